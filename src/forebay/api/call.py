"""What a route's function gets: the request, who asks, when, on which connection, and what the program offers."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from forebay.clock import Clock
from forebay.domain.machines.looks import Looks
from forebay.domain.machines.ssh_key_sources import Fetches
from forebay.domain.people import sessions
from forebay.domain.people.access import Caller, TeamContext
from forebay.errors import Forbidden, NotFound, Unauthenticated
from forebay.settings import Settings
from forebay.storage.database import Database

ALL_ROWS = 1_000_000


class TooManyRows(Exception):
    """A read on the event loop found more than it may handle there: it is run again in a thread."""


class Tally:
    """How many requests of one kind there were, and their time."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0


class Incoming(msgspec.Struct, frozen=True):
    """What is needed of a request, read off the event loop's objects once."""

    path: str
    parameters: dict[str, str]
    query: bytes
    body: bytes
    authorization: str
    retry_key: str | None
    address: str
    user_agent: str
    signature: str = ""
    """Of the body, where another server sends it."""


class Asker(msgspec.Struct, frozen=True):
    """What is known of a request before its transaction: what came in, and who asks where a credential is needed."""

    incoming: Incoming
    person: Caller | None


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What the wire needs of the program around it."""

    settings: Settings
    database: Database
    clock: Clock
    secret_key: bytes
    public_url: Callable[[], str]
    nudge: Callable[[str], None]
    provider_names: tuple[str, ...]
    looks: Looks
    """Into machines: for what is so only there."""
    fetches: Fetches
    """From the servers that people's SSH keys are taken from."""
    status: Callable[[], dict[str, Any]]
    """The health of the worker, for /healthz and /metrics."""


class Call:
    """What a route's function gets: who asks, when, on which connection, and what the program offers."""

    __slots__ = (
        "connection",
        "incoming",
        "is_inline",
        "most_rows",
        "now",
        "nudges",
        "person",
        "services",
        "team_or_none",
    )

    def __init__(self, services: Services, incoming: Incoming, connection: Connection, now: datetime) -> None:
        self.services, self.incoming, self.connection, self.now = services, incoming, connection, now
        self.person: Caller | None = None
        self.team_or_none: TeamContext | None = None
        self.most_rows = ALL_ROWS
        self.nudges: list[str] = []

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.services.settings

    @property
    def caller(self) -> Caller:
        """Who asks, on routes that need a credential."""
        if self.person is None:
            raise Unauthenticated
        return self.person

    @property
    def team(self) -> TeamContext:
        """The team, on routes that have one."""
        if self.team_or_none is None:
            raise NotFound("Team")
        return self.team_or_none

    def demand_session(self) -> None:
        """Raise Forbidden for an API key."""
        if self.caller.api_key_id is not None:
            raise Forbidden("This is done by a person who is signed in, not with an API key.", code="SESSION_NEEDED")

    def demand_operator(self) -> None:
        """Raise Forbidden unless an operator of the platform asks, signed in."""
        self.demand_session()
        if not self.caller.is_operator:
            raise Forbidden("This is for operators of the platform.", code="OPERATOR_NEEDED")

    def demand_recent(self) -> None:
        """Raise Forbidden for a session whose person proved who they are more than 15 minutes ago."""
        if self.caller.session_id is not None:
            sessions.demand_recent(self.caller.signed_in_at, self.now)

    def nudge(self, name: str) -> None:
        """Wake a reconciler once the transaction is committed."""
        self.nudges.append(name)
