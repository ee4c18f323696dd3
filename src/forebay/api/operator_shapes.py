"""What `/api/operator` takes and answers."""

from typing import Annotated, Literal

import msgspec

from forebay.api.envelope import Input, Wire, iso_at
from forebay.domain.machines import operators as machine_operators
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people import operators
from forebay.domain.people.members import Member

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\S")]
State = Literal["none", "requested", "approved", "refused"]


class Paged(Input):
    """Which page."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Search(Paged):
    """An id, or part of a name, an address or a slug."""

    search: Annotated[str, msgspec.Meta(max_length=320)] | None = None


class AccountsAsking(Paged):
    """Accounts by where they stand on the whitelist."""

    status: State | None = None


class TeamSearch(Search):
    """Teams, frozen or not."""

    is_frozen: bool | None = None


class Decision(Input):
    """Whether an account may have API keys, and why; a refusal needs a reason."""

    decision: Literal["approved", "refused"]
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Because(Input):
    """Why; it is recorded, and shown to those whom it concerns."""

    reason: Words


class Grant(Input):
    """Credits for a team."""

    amount: float | str
    """Dollars, to the micro-dollar; as text to be exact."""
    reason: Words


class End(Input):
    """The end of a frozen team."""

    reason: Words
    give_up_credits: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """Exactly the credits that there are, in dollars, like 12.50."""


class Success(Wire):
    """It was done."""

    success: bool


class User(Wire):
    """An account."""

    id: str
    name: str
    email: str
    verified_at: str | None
    is_operator: bool
    api_access: State
    api_access_reason: str | None
    api_access_at: str | None
    created_at: str | None
    deleted_at: str | None
    teams: int


class Users(Wire):
    """A page of accounts, newest first."""

    users: list[User]
    total: int
    page: int
    limit: int
    total_pages: int


class TeamOfPlatform(Wire):
    """A team; amounts in dollars."""

    id: str
    slug: str
    name: str
    balance: float
    held: float
    members: int
    machines: int
    """Those that the provider has not confirmed to be gone."""
    created_at: str | None
    frozen_at: str | None
    frozen_reason: str | None
    ran_dry_at: str | None
    deleted_at: str | None


class TeamsOfPlatform(Wire):
    """A page of teams, newest first, also deleted ones."""

    teams: list[TeamOfPlatform]
    total: int
    page: int
    limit: int
    total_pages: int


class MemberOfTeam(Wire):
    """A person in a team."""

    user_id: str
    name: str
    email: str
    role: Literal["owner", "admin", "member"]
    joined_at: str | None


class TeamInFull(TeamOfPlatform):
    """A team and who belongs to it: those who are there longest first, at most 100."""

    people: list[MemberOfTeam]


class Granted(Wire):
    """A transfer of credits, and what the team has after it; dollars."""

    transfer_id: str
    team_id: str
    amount: float
    balance: float


class Alert(Wire):
    """Something that is not as it should be."""

    kind: str
    subject: str
    text: str
    raised_at: str | None
    seen_at: str | None


class Alerts(Wire):
    """What is wrong now, oldest first."""

    alerts: list[Alert]


def user(found: operators.User) -> User:
    """An account as operators see it."""
    return User(
        id=found.id,
        name=found.name,
        email=found.email,
        verified_at=iso_at(found.verified_at),
        is_operator=found.is_operator,
        api_access=found.api_access,  # type: ignore[arg-type]
        api_access_reason=found.api_access_reason,
        api_access_at=iso_at(found.api_access_at),
        created_at=iso_at(found.created_at),
        deleted_at=iso_at(found.deleted_at),
        teams=found.teams,
    )


def team(found: machine_operators.Team) -> TeamOfPlatform:
    """A team as operators see it."""
    row = found.row
    return TeamOfPlatform(
        id=row.id,
        slug=row.slug,
        name=row.name,
        balance=to_dollars(found.balance.balance_micros),
        held=to_dollars(found.balance.held_micros),
        members=row.members,
        machines=row.machines,
        created_at=iso_at(row.created_at),
        frozen_at=iso_at(row.frozen_at),
        frozen_reason=row.frozen_reason,
        ran_dry_at=iso_at(row.ran_dry_at),
        deleted_at=iso_at(row.deleted_at),
    )


def member(found: Member) -> MemberOfTeam:
    """A person in a team."""
    return MemberOfTeam(
        user_id=found.user_id,
        name=found.name,
        email=found.email,
        role=found.role.value,
        joined_at=iso_at(found.joined_at),
    )
