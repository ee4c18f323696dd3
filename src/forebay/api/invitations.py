"""Invitations: an owner's side under `/api/teams/{id}`, the invited person's under `/api/invitations/{token}`.

No answer here has the link's token in it: it goes to the invited address by mail, and nowhere else.
"""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.members import RoleName
from forebay.api.route import Needs, route
from forebay.domain.people import invitations
from forebay.domain.people.access import Target
from forebay.domain.people.invitations import Post
from forebay.domain.people.roles import IN_WORDS, Permission, Role, standing
from forebay.domain.people.sent_links import Limits

StateName = Literal["pending", "accepted", "declined", "revoked", "expired"]


class NewInvitation(Input):
    """Who is invited, as what."""

    email: Annotated[str, msgspec.Meta(min_length=3, max_length=320)]
    role: RoleName


class Invitation(Wire):
    """An invitation as the team's owners see it."""

    id: str
    email: str
    role: RoleName
    state: StateName
    invited_by: str
    """The id of whoever sent its present link."""
    inviter_name: str
    created_at: str
    sent_at: str
    expires_at: str
    closed_at: str | None


class Invitations(Wire):
    """A page of them, open and closed, newest first."""

    invitations: list[Invitation]
    total: int
    page: int
    limit: int
    total_pages: int


class InvitationList(Input):
    """Which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class InvitationToMe(Wire):
    """An invitation as whoever has the link sees it."""

    team_name: str
    inviter_name: str
    email: str
    """The address it was sent to: only an account that has proved it can accept."""
    role: RoleName
    may_do: str
    """What the role may do in this team, in words."""
    state: StateName
    expires_at: str


class Joined(Wire):
    """I belong to the team now, and look at it."""

    team_id: str
    team_name: str
    role: RoleName


class InvitationRevoked(Wire):
    """The link is dead."""

    success: bool


class Declined(Wire):
    """The link is dead."""

    success: bool


def to_wire(found: invitations.Invitation) -> Invitation:
    """An invitation as owners see it."""
    return Invitation(
        id=found.id,
        email=found.email,
        role=found.role.value,
        state=found.state.value,
        invited_by=found.invited_by,
        inviter_name=found.inviter_name,
        created_at=iso(int(found.created_at.timestamp())) or "",
        sent_at=iso(int(found.sent_at.timestamp())) or "",
        expires_at=iso(int(found.expires_at.timestamp())) or "",
        closed_at=iso_at(found.closed_at),
    )


def post(call: Call) -> Post:
    """What an invitation is sent with."""
    settings = call.settings
    return Post(
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        limits=Limits(
            team=settings.invitations_per_team,
            address=settings.invitations_per_address,
            address_and_team=settings.invitations_per_team_and_address,
        ),
    )


@route(
    "GET",
    "/api/teams/{team_id}/invitations",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    query=InvitationList,
    answers=Invitations,
)
def list_all(call: Call, team_id: str, query: InvitationList) -> Invitations:
    """Who was invited, and what became of it."""
    found, total = invitations.listed(
        call.connection, call.team.team_id, page=query.page, limit=query.limit, now=call.now
    )
    return Invitations(
        invitations=[to_wire(invitation) for invitation in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "POST",
    "/api/teams/{team_id}/invitations",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    body=NewInvitation,
    answers=Invitation,
    status=201,
)
def create(call: Call, team_id: str, body: NewInvitation) -> Invitation:
    """Invite an address: a mail with a link that is good for 7 days, and once.

    Nothing in the answer depends on whether the address has an account. 409 `ALREADY_MEMBER` or `ALREADY_INVITED`.
    Inviting an owner needs a recent sign-in.
    """
    made = invitations.create(call.connection, call.team, body.email, Role(body.role), post(call), now=call.now)
    call.nudge("mails")
    return to_wire(made)


@route(
    "POST",
    "/api/teams/{team_id}/invitations/{invitation_id}/resend",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    answers=Invitation,
)
def resend(call: Call, team_id: str, invitation_id: str) -> Invitation:
    """Send a new link, good for 7 days from now; the old one is dead."""
    sent = invitations.resend(call.connection, call.team, invitation_id, post(call), now=call.now)
    call.nudge("mails")
    return to_wire(sent)


@route(
    "DELETE",
    "/api/teams/{team_id}/invitations/{invitation_id}",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    answers=InvitationRevoked,
    raises=(409,),
)
def revoke(call: Call, team_id: str, invitation_id: str) -> InvitationRevoked:
    """Revoke an invitation: its link is dead."""
    invitations.revoke(call.connection, call.team, invitation_id, now=call.now)
    return InvitationRevoked(success=True)


@route("GET", "/api/invitations/{token}", needs=Needs.nothing, answers=InvitationToMe)
def show(call: Call, token: str) -> InvitationToMe:
    """What a link offers. Looking changes nothing."""
    found = invitations.by_token(call.connection, token, call.services.secret_key, now=call.now)
    return InvitationToMe(
        team_name=found.team_name,
        inviter_name=found.inviter_name,
        email=found.email,
        role=found.role.value,
        may_do=IN_WORDS[standing(found.role, found.member_mode)],
        state=found.state.value,
        expires_at=iso(int(found.expires_at.timestamp())) or "",
    )


@route("POST", "/api/invitations/{token}/accept", needs=Needs.session, answers=Joined)
def accept(call: Call, token: str) -> Joined:
    """Join the team.

    The account must have proved the address that was invited: otherwise 403 `INVITATION_NOT_YOURS`.
    409 `INVITATION_CLOSED` for a link that was used, declined, revoked or has expired; `details.state` says which.
    """
    found = invitations.accept(call.connection, call.caller, token, call.services.secret_key, now=call.now)
    call.nudge("mails")
    return Joined(team_id=found.team_id, team_name=found.team_name, role=found.role.value)


@route("POST", "/api/invitations/{token}/decline", needs=Needs.nothing, answers=Declined, raises=(409,))
def decline(call: Call, token: str) -> Declined:
    """Say no. The link is enough for it; an owner can invite again."""
    invitations.decline(call.connection, token, call.services.secret_key, now=call.now)
    call.nudge("mails")
    return Declined(success=True)
