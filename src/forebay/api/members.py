"""`/api/teams/{id}/members`: who belongs to a team, as what, and how that changes and ends."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.off_boarding import OffBoarded
from forebay.api.off_boarding import to_wire as off_boarded
from forebay.api.route import route
from forebay.domain.machines import off_boarding
from forebay.domain.machines.off_boarding import OffBoarding
from forebay.domain.people import members
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission, Role

RoleName = Literal["owner", "admin", "member"]


class Member(Wire):
    """A person in a team."""

    user_id: str
    name: str
    email: str
    role: RoleName
    joined_at: str
    is_me: bool


class Members(Wire):
    """A page of them, those who are there longest first."""

    members: list[Member]
    total: int
    page: int
    limit: int
    total_pages: int


class MemberList(Input):
    """Which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class ChangedMember(Input):
    """Another role."""

    role: RoleName


class Transfer(Input):
    """Who is to own the team. Without `keepOwnership` the giver becomes an admin."""

    user_id: Annotated[str, msgspec.Meta(max_length=100)]
    keep_ownership: bool = False


class Transferred(Wire):
    """Whose the team is now, and what the giver is."""

    owner_id: str
    my_role: RoleName


def to_wire(call: Call, member: members.Member) -> Member:
    """A member as clients see it."""
    return Member(
        user_id=member.user_id,
        name=member.name,
        email=member.email,
        role=member.role.value,
        joined_at=iso(int(member.joined_at.timestamp())) or "",
        is_me=member.user_id == call.caller.user_id,
    )


def ended(call: Call, done: OffBoarding) -> OffBoarded:
    """What went with a membership; whoever takes it off the machines is woken."""
    call.nudge("mails")
    call.nudge("ssh-keys")
    return off_boarded(done)


@route(
    "GET",
    "/api/teams/{team_id}/members",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    query=MemberList,
    answers=Members,
)
def list_all(call: Call, team_id: str, query: MemberList) -> Members:
    """Who belongs to the team."""
    found, total = members.listed(call.connection, call.team.team_id, page=query.page, limit=query.limit)
    return Members(
        members=[to_wire(call, member) for member in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "PATCH",
    "/api/teams/{team_id}/members/{user_id}",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    body=ChangedMember,
    answers=Member,
    raises=(409,),
)
def change_role(call: Call, team_id: str, user_id: str, body: ChangedMember) -> Member:
    """Give a member another role; it counts from their next request on.

    Making an owner, or taking that away, needs a recent sign-in. The last owner stays one: 409 `LAST_OWNER`.
    """
    members.change_role(call.connection, call.team, user_id, Role(body.role), now=call.now)
    call.nudge("mails")
    return to_wire(call, members.find(call.connection, call.team.team_id, user_id))


@route(
    "DELETE",
    "/api/teams/{team_id}/members/{user_id}",
    needs=Permission.manage_members,
    target=Target.team,
    target_from="path:team_id",
    answers=OffBoarded,
    raises=(409,),
)
def remove(call: Call, team_id: str, user_id: str) -> OffBoarded:
    """Remove a member: no request of theirs that starts after this answer gets into the team.

    The SSH keys they added leave the team, and its machines within a minute; what they launched runs on. To keep some
    of the keys, use `off-board`. The last owner can't be removed: 409 `LAST_OWNER`.
    """
    return ended(call, off_boarding.off_board(call.connection, call.team, user_id, now=call.now))


@route(
    "POST",
    "/api/teams/{team_id}/transfer-ownership",
    needs=Permission.manage_team,
    target=Target.team,
    target_from="path:team_id",
    body=Transfer,
    answers=Transferred,
    is_recent=True,
)
def transfer(call: Call, team_id: str, body: Transfer) -> Transferred:
    """Make another member an owner, and become an admin, or stay an owner beside them."""
    members.transfer(call.connection, call.team, body.user_id, keeps_ownership=body.keep_ownership, now=call.now)
    call.nudge("mails")
    return Transferred(owner_id=body.user_id, my_role="owner" if body.keep_ownership else "admin")


@route(
    "POST",
    "/api/teams/{team_id}/leave",
    needs=Permission.leave,
    target=Target.team,
    target_from="path:team_id",
    answers=OffBoarded,
)
def leave(call: Call, team_id: str) -> OffBoarded:
    """Leave the team. The last owner can't: 409 `LAST_OWNER`; transfer the ownership first."""
    return ended(call, off_boarding.leave(call.connection, call.team, now=call.now))
