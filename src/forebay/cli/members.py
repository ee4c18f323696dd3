"""`forebay members`: who belongs to a team, as what, and the ways out."""

from typing import Annotated, Any

import typer

from forebay.cli.here import Here, Yes, command, every_page, noun, pick, when

app = noun("members", "Members of a team: list, change a role, remove, off-board.")

Who = Annotated[str, typer.Argument(help="The member, by address, id or name.")]
Role = Annotated[str, typer.Argument(help="owner, admin or member.")]


def of_team(here: Here, team_id: str) -> list[Any]:
    """All members of a team."""
    from forebay.client import members

    return every_page(here, members.listed, "members", team_id)


def find(here: Here, team_id: str, who: str) -> Any:
    """The member who is meant."""
    return pick("member", who, of_team(here, team_id), lambda one: (one.email, one.name), key="user_id")


@command(app, "list")
def list_all(
    here: Here,
    page: Annotated[int, typer.Option(min=1)] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 100,
) -> None:
    """List who belongs to a team."""
    from forebay.client import members

    reply = here.exchange(members.listed(here.team().id, page=page, limit=limit))
    here.table(
        reply,
        ["Name", "Address", "Role", "Since", "Id"],
        [[one.name, one.email, one.role, when(one.joined_at), one.user_id] for one in reply.answer.members],
    )


@command(app, "role")
def change_role(here: Here, who: Who, role: Role) -> None:
    """Give a member another role. It counts from their next request on."""
    from forebay.client import members

    team = here.team()
    found = find(here, team.id, who)
    reply = here.exchange(members.change_role(team.id, found.user_id, role))
    here.say(reply, f"{found.name} is {reply.answer.role} of {team.name} now.")


@command(app, "remove")
def remove(here: Here, who: Who, yes: Yes = False) -> None:
    """Take a person out of a team, with all SSH keys they added."""
    from forebay.client import members

    team = here.team()
    found = find(here, team.id, who)
    here.confirm(f"Remove {found.name} <{found.email}> from {team.name}?", yes)
    tell(here, here.exchange(members.remove(team.id, found.user_id)), team.name)


@command(app, "off-board")
def off_board(
    here: Here,
    who: Who,
    keep_key: Annotated[
        list[str] | None, typer.Option(help="An SSH key of theirs to keep, by id, name or fingerprint.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Take a person out of a team, and say what that did and what is left to decide."""
    from forebay.client import members, ssh_keys

    team = here.team()
    found = find(here, team.id, who)
    kept = []
    if keep_key:
        keys = here.ask(ssh_keys.listed(team_id=team.id))
        kept = [pick("SSH key", wish, keys, lambda key: (key.name, key.fingerprint)).id for wish in keep_key]
    here.confirm(f"Take {found.name} <{found.email}> out of {team.name}?", yes)
    tell(here, here.exchange(members.off_board(team.id, found.user_id, keep_key_ids=kept)), team.name)


def tell(here: Here, reply: Any, team_name: str) -> None:
    """What an off-boarding did, and what is left."""
    if here.print_json(reply):
        return
    found = reply.answer
    here.say(reply, f"{found.name} <{found.email}> has left {team_name}.")
    for key in found.done.removed_keys:
        here.say(reply, f"  removed SSH key     {key.name} {key.fingerprint}")
    for machine in found.done.machines:
        here.say(reply, f"  off this machine    {machine.name}, by {when(found.done.keys_gone_by)} UTC")
    if found.done.revoked_api_keys:
        here.say(reply, f"  revoked API keys    {found.done.revoked_api_keys}")
    for machine in found.left.deployments:
        here.say(reply, f"  still there         {machine.name} ({machine.status}), ${machine.hourly_rate:g} an hour")
    for key in found.left.kept_keys:
        here.say(reply, f"  kept SSH key        {key.name} {key.fingerprint}")
    for webhook in found.left.webhooks:
        here.say(reply, f"  webhook they added  {webhook.name} ({webhook.id})")
