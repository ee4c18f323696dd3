"""A cloud of any size, written by the bare driver of SQLite in seconds: what pages are asked of when there is a lot.

One team is much larger than the others: it has two fifths of everything. Its owner belongs to all teams, and is who
looks. Rows are as the domain writes them as far as pages read them; the chains of the books are not, so no audit of
them passes.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from litestar import Litestar

from forebay.settings import Settings
from forebay.storage.database import Database
from tests.web.crowd import machines, money, news, people
from tests.web.crowd.filling import Filling, Pen, Size

__all__ = ["LARGE", "Crowd", "Size", "address", "fill", "pages_of", "settings", "statements"]

LARGE = Size(machines=10_000, lines=1_000_000, doings=300_000)
WRITING = "BEGIN IMMEDIATE"
NOT_LOOKED_AT = {"/t/{slug}/live", "/sign-in/with/{provider}/callback"}
"""A stream, and the way back from another server."""
BEFORE_SIGN_IN = {"/", "/sign-in", "/sign-up", "/second-factor", "/forgot", "/reset", "/verify"}
"""Pages that lead those on who are signed in."""
QUERIES = {
    "/t/{slug}/deploy/new": "?offerId=offer-0",
    "/t/{slug}/deploy/templates/new": "?from={deployment_id}",
    "/invitations": "?token={invitation_token}",
    "/operator/capacity/lift": "?kind=stock&scope=offer&subject=offer-0",
}
"""What a page must be asked with to be there."""


class Crowd(msgspec.Struct, kw_only=True):
    """Who looks, and at what."""

    session: str
    """The token of the owner's session, who is an operator too."""
    team_ids: list[str]
    names: dict[str, str]
    """What addresses of pages name, by the names of their parameters."""


def settings(folder: Path) -> Settings:
    """Of a server of its own, which nobody slows down, with every page that there is."""
    sources = ("GitHub=https://github.com/{user}.keys",)
    return Settings(data_dir=folder, providers=(), rate_limit_anonymous=10**9, ssh_key_sources=sources)


def fill(path: Path, secret_key: bytes, size: Size, now: datetime) -> Crowd:
    """Write it all into a new database of this server, and say who is there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN")
        crowd = write(Filling(Pen(raw), secret_key, size, now))
        raw.execute("COMMIT")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return crowd


def write(it: Filling) -> Crowd:
    """Everything, in the order in which it needs each other."""
    session = people.write_people(it)
    machines.write_offers(it)
    machines.write_keys(it)
    machines.write_machines(it)
    machines.write_volumes(it)
    machines.write_templates(it)
    money.write_use(it)
    money.write_money(it)
    money.write_budgets(it)
    news.write_doings(it)
    news.write_news(it)
    news.write_platform(it)
    return Crowd(session=session, team_ids=it.team_ids, names=it.names)


def pages_of(application: Litestar, who: Crowd) -> dict[str, str]:
    """Every page of a server by its path, with an address of it. Some are for whoever is not signed in."""
    handlers = [handler for route in application.routes for handler in getattr(route, "route_handlers", ())]
    paths = {name.removeprefix("page GET ") for each in handlers if (name := each.name or "").startswith("page GET ")}
    return {path: address(path, who) for path in sorted(paths - NOT_LOOKED_AT)}


def address(path: str, who: Crowd) -> str:
    """A path with everything in it that it names."""
    own = {"key_id": who.names["api_key_id"]} if path.startswith("/account") else {}
    return (path + QUERIES.get(path, "")).format_map(who.names | own)


def statements(database: Database, work: Callable[[], Any]) -> list[str]:
    """What SQLite is asked for by some work, with the values in it."""
    heard: list[str] = []

    def listen(raw: Any, *_: Any) -> None:
        raw.set_trace_callback(heard.append)

    engines = database.reader, database.writer
    for engine in engines:
        engine.dispose()
        sa.event.listen(engine, "connect", listen)
    try:
        work()
    finally:
        for engine in engines:
            sa.event.remove(engine, "connect", listen)
            engine.dispose()
    return [each for each in heard if each == WRITING or not each.startswith(("PRAGMA", "BEGIN", "ROLLBACK"))]
