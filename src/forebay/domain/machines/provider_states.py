"""What providers were last seen to be: whether they answer, since when, what runs there, what their doctor found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.storage.database import upsert_insert
from forebay.storage.rows import values_of
from forebay.storage.tables import provider_states


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One provider."""

    name: str
    is_reachable: bool
    since: datetime
    """It has been reachable, or not, since then."""
    observed_at: datetime | None
    """The last time that it said what runs."""
    instances: int
    """How many instances it named then."""
    last_error: str | None
    last_error_at: datetime | None
    takes_any_size: bool
    findings: list[dict[str, Any]] | None
    findings_at: datetime | None


COLUMNS = [provider_states.c[name] for name in State.__struct_fields__]


def lock(connection: Connection, name: str, *, now: datetime) -> None:
    """Let nobody else change what there is of a provider until the transaction ends; a new one gets its row."""
    insert = upsert_insert(connection, provider_states).values(name=name, is_reachable=True, since=now)
    connection.execute(insert.on_conflict_do_nothing())
    connection.execute(sa.select(provider_states.c.name).where(provider_states.c.name == name).with_for_update()).all()


def note_answer(connection: Connection, name: str, instances: int, *, now: datetime) -> None:
    """It said what runs there."""
    lock(connection, name, now=now)
    connection.execute(
        sa.update(provider_states)
        .where(provider_states.c.name == name)
        .values(
            since=sa.case((provider_states.c.is_reachable, provider_states.c.since), else_=int(now.timestamp())),
            is_reachable=True,
            observed_at=now,
            instances=instances,
        )
    )


def note_silence(connection: Connection, name: str, error: str, *, now: datetime) -> None:
    """It did not answer."""
    lock(connection, name, now=now)
    connection.execute(
        sa.update(provider_states)
        .where(provider_states.c.name == name)
        .values(
            since=sa.case((provider_states.c.is_reachable, int(now.timestamp())), else_=provider_states.c.since),
            is_reachable=False,
            last_error=error[:500],
            last_error_at=now,
        )
    )


def note_findings(connection: Connection, name: str, findings: Sequence[Any], *, now: datetime) -> None:
    """What its doctor found."""
    lock(connection, name, now=now)
    connection.execute(
        sa.update(provider_states)
        .where(provider_states.c.name == name)
        .values(findings=[msgspec.to_builtins(each) for each in findings], findings_at=now)
    )


def note_sizes(connection: Connection, name: str, takes_any_size: bool, *, now: datetime) -> None:
    """Whether it launches machines of any size that fits, or its own sizes alone."""
    lock(connection, name, now=now)
    connection.execute(
        sa.update(provider_states).where(provider_states.c.name == name).values(takes_any_size=takes_any_size)
    )


def takes_any_size(connection: Connection, name: str) -> bool:
    """Whether an offer of an operator's own shape can be launched there."""
    found = sa.select(provider_states.c.takes_any_size).where(provider_states.c.name == name)
    return bool(connection.execute(found).scalar())


def listed(connection: Connection) -> Sequence[State]:
    """All of them, by name."""
    rows = connection.execute(sa.select(*COLUMNS).order_by(provider_states.c.name))
    return values_of(State, rows)
