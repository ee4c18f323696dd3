"""The one door: in one joined query from a credential and what it wants to touch to who asks and what they may do.

Looking a thing up is authorizing it: the team of a deployment is found in the same query as the key, its owner and
their membership. A stranger can't tell forbidden from absent; a member is told which permission is missing and who
has it. An API key acts as its owner with the role held at this moment, narrowed to some teams or permissions where it
was made so.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people.roles import MONEY, NEVER_BY_KEY, MemberMode, Permission, Reach, Role, reach, who_has
from forebay.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from forebay.storage.prepared import Prepared
from forebay.storage.tables import api_keys, deployments, memberships, sessions, ssh_keys, teams, users, volumes


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: a person, through a session or an API key."""

    user_id: str
    email: str
    name: str
    is_operator: bool
    api_access: str
    current_team_id: str | None
    """The key's own current team, or the person's for a session."""
    api_key_id: str | None = None
    session_id: str | None = None
    signed_in_at: int = 0
    """When the person last proved who they are, in this session; seconds since 1970; 0 for keys."""
    has_two_factors: bool = False
    """Whether this session was begun with two factors, or one passkey, which is two."""
    may_touch_money: bool = True
    only_teams: tuple[str, ...] | None = None
    only_permissions: tuple[str, ...] | None = None
    last_used_at: int | None = None
    """The last use on record, of the key or the session; newer ones may wait to be written."""
    address: str = ""

    def demand_second_factor(self, required_of: str) -> None:
        """Raise Forbidden where one is required (of `operators` or `everyone`) and this session has none."""
        is_required = required_of == "everyone" or (required_of == "operators" and self.is_operator)
        if is_required and self.session_id is not None and not self.has_two_factors:
            raise Forbidden(
                "This cloud asks for a second factor: add a passkey or an authenticator app, and sign in with it.",
                code="SECOND_FACTOR_NEEDED",
            )

    def demand_api_access(self, given_to: str) -> None:
        """Raise Forbidden for a key whose owner has no API access, where it is given to the `approved` alone."""
        if self.api_key_id is not None and given_to == "approved" and self.api_access != "approved":
            raise Forbidden(
                "This key is suspended: API access isn't approved for its owner's account.",
                code="API_ACCESS_NEEDED",
                details={"status": self.api_access},
            )

    def reaches(self, team_id: str) -> bool:
        """Whether the key isn't narrowed away from the team."""
        return self.only_teams is None or team_id in self.only_teams


class TeamContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, and in which team with which role."""

    caller: Caller
    team_id: str
    team_name: str
    slug: str
    number: int
    role: Role
    member_mode: MemberMode
    is_frozen: bool

    def reach(self, permission: Permission) -> Reach | None:
        """How far the permission goes for this caller here."""
        caller = self.caller
        if caller.api_key_id is not None:
            if permission in NEVER_BY_KEY or (permission in MONEY and not caller.may_touch_money):
                return None
            if caller.only_permissions is not None and permission not in caller.only_permissions:
                return None
        return reach(permission, self.role, self.member_mode)

    def demand(self, permission: Permission, *, created_by: str | None = None) -> None:
        """Raise Forbidden unless the caller has the permission, for a thing of `created_by` if that is given."""
        found = self.reach(permission)
        if found is Reach.all or (found is Reach.own and created_by in (None, self.caller.user_id)):
            return
        holders = who_has(permission)
        through = " with this API key" if self.caller.api_key_id else ""
        raise Forbidden(
            f"You may not do this in {self.team_name}{through}: it needs the permission {permission}, "
            f"which {', '.join(holders)} have. You are {self.role}.",
            details={"permission": str(permission), "whoHasIt": holders, "role": str(self.role)},
        )


class Target(StrEnum):
    """What names the team of a request."""

    nothing = "nothing"
    """The caller's account alone is concerned."""
    current = "current"
    team = "team"
    slug = "slug"
    """The team by the name that it has in addresses of pages."""
    deployment = "deployment"
    ssh_key = "ssh_key"
    volume = "volume"


wanted = sa.bindparam("wanted", type_=sa.String())
named = teams.alias("named")
TEAM_OF = {
    Target.team: wanted,
    Target.slug: sa.select(named.c.id).where(named.c.slug == wanted).scalar_subquery(),
    Target.deployment: sa.select(deployments.c.team_id).where(deployments.c.id == wanted).scalar_subquery(),
    Target.ssh_key: sa.select(ssh_keys.c.team_id)
    .where(ssh_keys.c.id == wanted, ssh_keys.c.deleted_at.is_(None))
    .scalar_subquery(),
    Target.volume: sa.select(volumes.c.team_id).where(volumes.c.id == wanted).scalar_subquery(),
}
nothing: sa.ColumnElement[Any] = sa.literal_column("NULL")
PERSON = (users.c.id, users.c.email, users.c.name, users.c.is_operator, users.c.api_access)
TEAM = (
    teams.c.id,
    teams.c.name,
    teams.c.slug,
    teams.c.number,
    teams.c.member_mode,
    teams.c.frozen_at,
    memberships.c.role,
)
NO_TEAM: tuple[sa.ColumnElement[Any], ...] = tuple(nothing.label(f"no_team_{place}") for place in range(len(TEAM)))
BY_KEY: tuple[sa.ColumnElement[Any], ...] = (
    api_keys.c.id,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.created_at,
    api_keys.c.current_team_id,
    api_keys.c.may_touch_money,
    api_keys.c.team_ids,
    api_keys.c.permissions,
    api_keys.c.last_used_at,
    nothing.label("methods"),
)
BY_SESSION: tuple[sa.ColumnElement[Any], ...] = (
    sessions.c.id,
    sessions.c.expires_at,
    sessions.c.ended_at,
    sa.func.coalesce(sessions.c.authenticated_at, sessions.c.created_at).label("authenticated_at"),
    users.c.current_team_id,
    sa.literal_column("1").label("may_touch_money"),
    nothing.label("team_ids"),
    nothing.label("permissions"),
    sa.func.coalesce(sessions.c.last_seen_at, sessions.c.created_at).label("last_used_at"),
    sessions.c.methods,
)


CREDENTIAL = len(BY_KEY)
TEAM_AT = CREDENTIAL + len(PERSON)
"""Where in the row the person begins, and where the team does."""


def door(target: Target, *, by_key: bool) -> Prepared:
    """The joined query for one kind of credential and target."""
    table = api_keys if by_key else sessions
    credential = BY_KEY if by_key else BY_SESSION
    secret_hash = api_keys.c.secret_hash if by_key else sessions.c.token_hash
    source = table.join(users, users.c.id == table.c.user_id)
    columns: tuple[sa.ColumnElement[Any], ...] = (*credential, *PERSON)
    if target is Target.nothing:
        columns = (*columns, *NO_TEAM)
    else:
        team_id = TEAM_OF.get(target, table.c.current_team_id if by_key else users.c.current_team_id)
        source = source.outerjoin(teams, sa.and_(teams.c.id == team_id, teams.c.deleted_at.is_(None)))
        source = source.outerjoin(
            memberships, sa.and_(memberships.c.team_id == teams.c.id, memberships.c.user_id == users.c.id)
        )
        columns = (*columns, *TEAM)
    # Whose account is deleted has no credentials left; nor does one that was made in the same moment count.
    is_theirs = sa.and_(secret_hash == sa.bindparam("hash", type_=sa.String()), users.c.deleted_at.is_(None))
    return Prepared(sa.select(*columns).select_from(source).where(is_theirs))


DOORS = {(target, by_key): door(target, by_key=by_key) for target in Target for by_key in (True, False)}
NOUNS = {
    Target.team: "Team",
    Target.slug: "Team",
    Target.deployment: "Deployment",
    Target.ssh_key: "SSH key",
    Target.volume: "Volume",
}


class Denied(msgspec.Struct, frozen=True):
    """Who was refused, and in which team: for its activity. No team: what was asked for doesn't exist."""

    caller: Caller
    team_id: str | None


class Stranger(NotFound):
    """A thing of a team that the caller is no member of: to them the same answer as for what does not exist."""

    def __init__(self, noun: str, denied: Denied) -> None:
        super().__init__(noun)
        self.denied = denied


class Credential(msgspec.Struct, frozen=True):
    """The hash of what the request carried, and which of the two kinds it is."""

    secret_hash: str
    is_key: bool
    address: str


def enter(
    connection: Connection, credential: Credential, target: Target, wanted_id: str | None, *, now: datetime
) -> tuple[Caller, TeamContext | None]:
    """Who is asking, and the team if there is one and they belong to it.

    Raises Unauthenticated for a credential that is unknown, expired or revoked; NotFound for a thing of a team the
    caller is no member of, and for what does not exist; BadRequest if a team must be named because the current one
    can't be used.
    """
    values = {"hash": credential.secret_hash}
    if target in TEAM_OF:
        values["wanted"] = wanted_id or ""
    rows = DOORS[target, credential.is_key](connection, **values)
    if not rows:
        raise Unauthenticated
    caller, team = read(rows[0], credential, now=int(now.timestamp()))
    if target is Target.nothing:
        return caller, None
    if team is None or not caller.reaches(team.team_id):
        if target is Target.current:
            raise BadRequest(
                "Name the team with teamId: the current team of this key can't be used.",
                code="TEAM_REQUIRED",
                details={"teamId": "required"},
            )
        raise Stranger(NOUNS[target], Denied(caller, rows[0][TEAM_AT]))
    return caller, team


def read(row: tuple[Any, ...], credential: Credential, *, now: int) -> tuple[Caller, TeamContext | None]:
    """The row of the joined query as values. Raises Unauthenticated if the credential has ended."""
    (
        (
            credential_id,
            expires_at,
            ended_at,
            created_at,
            current_team_id,
            may_touch_money,
            team_ids,
            permissions,
            last_used_at,
            methods,
        ),
        (user_id, email, name, is_operator, api_access),
        (team_id, team_name, slug, number, member_mode, frozen_at, role),
    ) = row[:CREDENTIAL], row[CREDENTIAL:TEAM_AT], row[TEAM_AT:]
    # What was ended stays ended, even if the clock goes back behind that moment.
    if ended_at is not None or (expires_at is not None and expires_at <= now):
        raise Unauthenticated
    caller = Caller(
        user_id=user_id,
        email=email,
        name=name,
        is_operator=bool(is_operator),
        api_access=api_access,
        current_team_id=current_team_id,
        api_key_id=credential_id if credential.is_key else None,
        session_id=None if credential.is_key else credential_id,
        signed_in_at=0 if credential.is_key else created_at,
        has_two_factors=methods is not None and ("+" in methods or methods == "passkey"),
        may_touch_money=bool(may_touch_money),
        only_teams=None if team_ids is None else msgspec.json.decode(team_ids, type=tuple[str, ...]),
        only_permissions=None if permissions is None else msgspec.json.decode(permissions, type=tuple[str, ...]),
        last_used_at=last_used_at,
        address=credential.address,
    )
    if role is None:
        return caller, None
    return caller, TeamContext(
        caller=caller,
        team_id=team_id,
        team_name=team_name,
        slug=slug,
        number=number,
        role=Role(role),
        member_mode=MemberMode(member_mode),
        is_frozen=frozen_at is not None,
    )
