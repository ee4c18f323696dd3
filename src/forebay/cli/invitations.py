"""`forebay invitations`: inviting people into a team, and accepting what one was sent."""

from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from forebay.cli.here import Here, Yes, command, every_page, noun, pick, refuse_usage, when

app = noun("invitations", "Invitations: send, list, resend, revoke; accept or decline.")

Which = Annotated[str, typer.Argument(help="The invitation, by address or id.")]
Link = Annotated[str, typer.Argument(help="The link in the mail, or `-` to read it from standard input.")]


def find(here: Here, team_id: str, which: str) -> Any:
    """The invitation that is meant: by its id any, by its address the one that is open."""
    from forebay.client import invitations

    found = every_page(here, invitations.listed, "invitations", team_id)
    return pick("invitation", which, found, lambda one: (one.email,) if one.state in ("pending", "expired") else ())


def token_of(link: str) -> str:
    """The token that a link carries; what is no link is taken for the token itself."""
    import sys

    text = (sys.stdin.readline() if link == "-" else link).strip()
    found = text if "://" not in text else parse_qs(urlsplit(text).query).get("token", [""])[0]
    if not found:
        refuse_usage("This is no link of an invitation.")
    return found


@command(app, "list")
def list_all(
    here: Here,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 100,
) -> None:
    """List a team's invitations, open and closed."""
    from forebay.client import invitations

    reply = here.exchange(invitations.listed(here.team().id, page=page, limit=limit))
    here.table(
        reply,
        ["Address", "Role", "State", "Sent by", "Sent at", "Good until", "Id"],
        [
            [one.email, one.role, one.state, one.inviter_name, when(one.sent_at), when(one.expires_at), one.id]
            for one in reply.answer.invitations
        ],
    )


@command(app, "send")
def send(
    here: Here,
    email: Annotated[str, typer.Argument(help="Whom to invite.")],
    role: Annotated[str, typer.Option(help="owner, admin or member.")] = "member",
) -> None:
    """Invite an address into a team."""
    from forebay.client import invitations

    team = here.team()
    reply = here.exchange(invitations.send(team.id, email, role))
    found = reply.answer
    here.say(reply, f"{found.email} is invited to {team.name} as {found.role}, until {when(found.expires_at)} UTC.")


@command(app, "resend")
def resend(here: Here, which: Which) -> None:
    """Send a new link; the old one ends."""
    from forebay.client import invitations

    team = here.team()
    reply = here.exchange(invitations.resend(team.id, find(here, team.id, which).id))
    here.say(reply, f"{reply.answer.email} gets a new link, good until {when(reply.answer.expires_at)} UTC.")


@command(app, "revoke")
def revoke(here: Here, which: Which, yes: Yes = False) -> None:
    """End an invitation."""
    from forebay.client import invitations

    team = here.team()
    found = find(here, team.id, which)
    here.confirm(f"Revoke the invitation of {found.email}?", yes)
    reply = here.exchange(invitations.revoke(team.id, found.id))
    here.say(reply, f"The invitation of {found.email} is revoked.")


@command(app, "accept")
def accept(here: Here, link: Link) -> None:
    """Accept an invitation that was sent to your address."""
    from forebay.client import invitations

    reply = here.exchange(invitations.accept(token_of(link)))
    here.say(reply, f"You are {reply.answer.role} of {reply.answer.team_name}, which is your current team now.")


@command(app, "decline")
def decline(here: Here, link: Link, yes: Yes = False) -> None:
    """Say no to an invitation. Nobody needs to be signed in for that."""
    from forebay.client import invitations

    token = token_of(link)
    with here.connect(None) as client:
        found = client.ask(invitations.show(token))
        here.confirm(f"Decline the invitation into {found.team_name}?", yes)
        reply = client.exchange(invitations.decline(token))
    here.say(reply, f"You have declined the invitation into {found.team_name}.")
