"""What the mails about invitations say.

The one with the link goes to somebody who may know neither the team nor us: it says who asks, into what, as what, and
is the same whether the address has an account or not.
"""

from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import IN_WORDS, Role, Standing

ROLES = {Role.owner: "an owner", Role.admin: "an admin", Role.member: "a member"}


def invitation(*, team: str, inviter: str, inviter_email: str, standing: Standing, link: str, days: int) -> Letter:
    """To the invited address."""
    team, inviter = plain(team), plain(inviter)
    role = ROLES[Role(standing.value.split()[0])]
    return Letter(
        subject=f"{inviter} invites you to {team}",
        name="",
        paragraphs=[
            f"{inviter} ({inviter_email}) invites you to the team “{team}” on Forebay, as {role}.",
            f"As {role} one may {IN_WORDS[standing].replace('those they', 'those one')}.",
        ],
        label="Look at the invitation",
        link=link,
        after=[
            f"The link is good for {days} days, and once. Opening it changes nothing yet: you accept or decline there. "
            "If you have no account, you make one with this address.",
            "If you don't know what this is about, ignore this mail.",
        ],
    )


def accepted(team: str, inviter: str, name: str, email: str, role: Role) -> Letter:
    """To whoever invited."""
    team, name = plain(team), plain(name)
    return Letter(
        subject=f"{name} has joined {team}",
        name=plain(inviter),
        paragraphs=[f"{name} ({email}) has accepted your invitation and belongs to {team} now, as {ROLES[role]}."],
    )


def declined(team: str, inviter: str, email: str) -> Letter:
    """To whoever invited."""
    return Letter(
        subject=f"Your invitation to {plain(team)} was declined",
        name=plain(inviter),
        paragraphs=[f"{email} has declined your invitation to {plain(team)}."],
    )
