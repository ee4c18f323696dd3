"""Sessions: what a sign-in gives. Opaque, hashed, listed, ending by themselves and when their owner says so."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials
from forebay.errors import Forbidden, NotFound
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import sessions

RECENT_SECONDS = 900
MOST_SESSIONS = 50
"""Of one account at once: the one that was used longest ago ends when there would be more."""
DAY_SECONDS = 86400


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has not ended."""

    id: str
    created_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    kind: str = "program"
    """What holds the token: `program`, `browser` or `cli`."""
    methods: str = "password"
    """How the person proved who they are: `password`, `password+totp`, `passkey`, `oidc:<provider>`."""
    last_seen_at: datetime | None = None


def begin(
    connection: Connection,
    user_id: str,
    secret_key: bytes,
    *,
    now: datetime,
    days: int,
    address: str,
    user_agent: str,
    kind: str = "program",
    methods: str = "password",
    proved_at: datetime | None = None,
) -> tuple[str, Session]:
    """A new session: the token, shown once, and what is known of it. It ends `days` after its last use.

    `note_seen` moves its end, at most to the limit of all sessions. `proved_at` is when the person proved who they
    are, where that was before now.
    """
    end_oldest(connection, user_id, now=now)
    token = credentials.new_token(credentials.SESSION_PREFIX)
    session = Session(
        id=ids.new_id(now),
        created_at=now,
        expires_at=now + timedelta(days=days),
        address=address[:64],
        user_agent=user_agent[:300],
        kind=kind,
        methods=methods,
        last_seen_at=now,
    )
    connection.execute(
        sa.insert(sessions).values(
            user_id=user_id,
            token_hash=credentials.hash_token(token, secret_key),
            authenticated_at=proved_at or now,
            **msgspec.structs.asdict(session),
        )
    )
    return token, session


def proof_of(connection: Connection, session_id: str, *, now: datetime) -> tuple[str, datetime] | None:
    """How and when the person of an open session proved who they are; None if it has ended."""
    row = connection.execute(
        sa.select(sessions.c.methods, sa.func.coalesce(sessions.c.authenticated_at, sessions.c.created_at)).where(
            sessions.c.id == session_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now
        )
    ).first()
    return None if row is None else (row[0], row[1])


def end_oldest(connection: Connection, user_id: str, *, now: datetime) -> None:
    """Make room for one more session."""
    older = (
        sa.select(sessions.c.id)
        .where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        .order_by(sa.func.coalesce(sessions.c.last_seen_at, sessions.c.created_at).desc(), sessions.c.id.desc())
        .offset(MOST_SESSIONS - 1)
    )
    found = [row.id for row in connection.execute(older)]
    if found:
        connection.execute(sa.update(sessions).where(sessions.c.id.in_(found)).values(ended_at=now))


OF_USER = PreparedValues(
    Session,
    sa.select(*(sessions.c[name] for name in Session.__struct_fields__))
    .where(
        sessions.c.user_id == sa.bindparam("user_id", type_=sa.String()),
        sessions.c.ended_at.is_(None),
        sessions.c.expires_at > sa.bindparam("now", type_=sa.BigInteger()),
    )
    .order_by(sessions.c.id.desc()),
)


def of_user(connection: Connection, user_id: str, *, now: datetime) -> Sequence[Session]:
    """Sessions that can still be used, newest first."""
    return OF_USER(connection, user_id=user_id, now=int(now.timestamp()))


def end(connection: Connection, user_id: str, session_id: str, *, now: datetime) -> None:
    """End one of the person's sessions at once. Raises NotFound if they have no such session."""
    ended = connection.execute(
        sa.update(sessions)
        .where(sessions.c.id == session_id, sessions.c.user_id == user_id, sessions.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    if ended.rowcount != 1:
        raise NotFound("Session")


def end_all(connection: Connection, user_id: str, *, now: datetime, but: str | None = None) -> int:
    """End all of a person's sessions at once, but for the one with this id; how many there were."""
    ended = connection.execute(
        sa.update(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        .where(sa.true() if but is None else sessions.c.id != but)
        .values(ended_at=now)
    )
    return int(ended.rowcount)


def renew(connection: Connection, session_id: str, secret_key: bytes, *, now: datetime, methods: str) -> str:
    """The person has proved again who they are, within a session: a new token for it, and the old one ends at once."""
    token = credentials.new_token(credentials.SESSION_PREFIX)
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
        .values(token_hash=credentials.hash_token(token, secret_key), authenticated_at=now, methods=methods)
    )
    return token


def note_seen(connection: Connection, uses: Sequence[tuple[str, datetime]], *, days: int, idle_days: int) -> None:
    """Record when sessions were used: each ends `idle_days` after that, and `days` after it began at the latest."""
    for session_id, at in uses:
        latest = sessions.c.created_at + sa.literal(days * DAY_SECONDS, sa.BigInteger)
        idle = int(at.timestamp()) + idle_days * DAY_SECONDS
        connection.execute(
            sa.update(sessions)
            .where(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
            .values(last_seen_at=at, expires_at=sa.case((latest < idle, latest), else_=idle))
        )


def demand_recent(signed_in_at: int, now: datetime) -> None:
    """Raise Forbidden unless the person signed in within the last quarter of an hour."""
    if int(now.timestamp()) - signed_in_at > RECENT_SECONDS:
        raise Forbidden(
            "Prove first that it is you: this needs a sign-in of the last 15 minutes.",
            code="SIGN_IN_AGAIN",
            details={"stepUp": "/api/auth/step-up"},
        )
