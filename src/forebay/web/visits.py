"""A request for a page, read into values: its form, its cookies, where to go afterwards.

What is no form is refused before anything looks at it; where a visitor is sent next is a path on this site.
"""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from litestar import Request
from litestar.datastructures import State

from forebay.domain.people import sessions
from forebay.domain.people.access import Caller, Denied, Stranger, TeamContext
from forebay.errors import BadRequest, BodyTooLarge, Unauthenticated
from forebay.web.uploads import File

MOST_FORM_BYTES = 64 * 1024
MOST_FIELDS = 50
MOST_PATH = 1000


class SignInFirst(Unauthenticated):
    """The page is for people who are signed in."""

    def __init__(self) -> None:
        super().__init__("Sign in first.")


class Visit(msgspec.Struct, kw_only=True):
    """A request for a page."""

    method: str
    path: str
    parameters: dict[str, str]
    query: dict[str, str]
    form: dict[str, str]
    cookies: dict[str, str]
    headers: dict[str, str]
    address: str
    now: datetime
    files: dict[str, File] = msgspec.field(default_factory=dict)
    """The chosen files of a form, by the names of their fields."""
    is_exact: bool = False
    """Whether the person wants amounts and times written out."""
    caller: Caller | None = None
    """Who is signed in in this browser."""
    team: TeamContext | None = None
    """Of a page whose address names a team: the team, if the person belongs to it."""
    place: str = ""
    """How far the watch of the team had come before the page was made; empty where nobody watches it."""
    foreign_team_id: str | None = None
    """The team that the address names, if there is one and the person does not belong to it."""
    session_token: str = ""
    visitor: str = ""
    """What the visitor's cookie holds, made anew where there was no good one."""
    new_cookies: list[str] = msgspec.field(default_factory=list)

    @property
    def person(self) -> Caller:
        """Who is signed in. Raises SignInFirst."""
        if self.caller is None:
            raise SignInFirst
        return self.caller

    @property
    def context(self) -> TeamContext:
        """Who is signed in, in the team of the address. Raises SignInFirst, Stranger."""
        if self.team is None:
            raise Stranger("Page", Denied(self.person, self.foreign_team_id))
        return self.team

    @property
    def quoted_path(self) -> str:
        """The path of the visited page as it stands in an address: ids that others chose may hold anything."""
        return quote(self.path)

    @property
    def here(self) -> str:
        """The visited page as a path, with its query; empty if that is no path to be sent to."""
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in self.query.items())
        return path_of_ours(f"{self.quoted_path}?{query}" if query else self.quoted_path)

    @property
    def user_agent(self) -> str:
        """What the browser calls itself."""
        return self.headers.get("user-agent", "")

    @property
    def next(self) -> str:
        """Where to go afterwards: what the form or the address says, if that is a path of ours; else empty."""
        return path_of_ours(self.form.get("next") or self.query.get("next") or "")

    @property
    def is_recent(self) -> bool:
        """Whether the person has proved who they are within the last 15 minutes."""
        since = int(self.now.timestamp()) - (0 if self.caller is None else self.caller.signed_in_at)
        return since <= sessions.RECENT_SECONDS


def path_of_ours(text: str) -> str:
    """The text if it is a path on this site, else empty: nobody is sent elsewhere by a link to us."""
    if len(text) > MOST_PATH or not text.startswith("/") or text.startswith("//"):
        return ""
    # It may become part of a cookie's line as well.
    if not text.isascii() or not text.isprintable() or any(letter in text for letter in '\\ ;,"<>'):
        return ""
    parts = urlsplit(text)
    return "" if parts.scheme or parts.netloc else text


def with_next(path: str, where: str) -> str:
    """A path that remembers where to go afterwards."""
    return f"{path}?next={quote(where, safe='/')}" if where else path


async def read_body(request: Request[Any, Any, State]) -> bytes:
    """A form. Raises BodyTooLarge."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            raise BodyTooLarge("The form is too large.", details={"limit": MOST_FORM_BYTES})
    return body


def fields_of(raw: bytes) -> dict[str, str]:
    """The fields of a form or a query; of one that is given twice the last counts. Raises BadRequest."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("What was sent is not a form.") from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise BadRequest("The form holds characters that are no text.")
    return dict(pairs)


def cookies_of(line: str) -> dict[str, str]:
    """The cookies by their names; of two with one name the first counts, as browsers put the nearest first."""
    found: dict[str, str] = {}
    for part in line.split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found
