"""Members of a team: who they are, their roles, and the ways out."""

from collections.abc import Sequence

import msgspec

from forebay.client.request import Answer, Page, Request, given


class Member(Answer):
    """A person in a team."""

    user_id: str
    name: str
    email: str
    role: str
    joined_at: str
    is_me: bool


class Members(Page):
    """A page of the members, those who are there longest first."""

    members: list[Member]


class Transferred(Answer):
    """Whose the team is now."""

    owner_id: str
    my_role: str


class KeyOfMember(Answer):
    """An SSH key that they added."""

    id: str
    name: str
    fingerprint: str
    is_temporary: bool


class MachineToClear(Answer):
    """A machine from which keys go."""

    id: str
    name: str
    status: str


class StartedByMember(Answer):
    """A deployment of theirs that is still there; `hourly_rate` in dollars."""

    id: str
    name: str
    status: str
    hourly_rate: float


class WebhookOfMember(Answer):
    """A webhook that they added."""

    id: str
    name: str


class Done(Answer):
    """What was done at once, or is by `keys_gone_by`."""

    removed_keys: list[KeyOfMember]
    machines: list[MachineToClear]
    keys_gone_by: str | None
    revoked_api_keys: int


class Left(Answer):
    """What is left for the owners to decide."""

    deployments: list[StartedByMember]
    kept_keys: list[KeyOfMember]
    webhooks: list[WebhookOfMember] = msgspec.field(default_factory=list)
    """Their addresses go on being told what happens in the team."""


class OffBoarded(Answer):
    """A person does not belong to the team any more."""

    success: bool
    user_id: str
    name: str
    email: str
    role: str
    done: Done
    left: Left


def listed(team_id: str, *, page: int | None = None, limit: int | None = None) -> Request[Members]:
    """Who belongs to a team."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/members",
        at={"team_id": team_id},
        query=given(page=page, limit=limit),
        answers=Members,
    )


def change_role(team_id: str, user_id: str, role: str) -> Request[Member]:
    """Give a member another role. Owners are made and unmade under a recent sign-in."""
    return Request(
        method="PATCH",
        path="/api/teams/{team_id}/members/{user_id}",
        at={"team_id": team_id, "user_id": user_id},
        body={"role": role},
        answers=Member,
    )


def remove(team_id: str, user_id: str) -> Request[OffBoarded]:
    """Take a person out of a team, with all SSH keys they added."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/members/{user_id}",
        at={"team_id": team_id, "user_id": user_id},
        answers=OffBoarded,
    )


def off_board(team_id: str, user_id: str, *, keep_key_ids: Sequence[str] = ()) -> Request[OffBoarded]:
    """Take a person out of a team, with the SSH keys they added but for those to keep."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/members/{user_id}/off-board",
        at={"team_id": team_id, "user_id": user_id},
        body={"keepKeyIds": list(keep_key_ids)},
        answers=OffBoarded,
    )


def transfer_ownership(team_id: str, user_id: str, *, keep_ownership: bool = False) -> Request[Transferred]:
    """Make a member the owner, beside me or in my place. Needs a recent sign-in."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/transfer-ownership",
        at={"team_id": team_id},
        body={"userId": user_id, "keepOwnership": keep_ownership},
        answers=Transferred,
    )


def leave(team_id: str) -> Request[OffBoarded]:
    """Leave a team. The last owner can't."""
    return Request(method="POST", path="/api/teams/{team_id}/leave", at={"team_id": team_id}, answers=OffBoarded)
