"""Requests that came to no route, and those that nobody has thought of: said as the one who asks can read it.

A program gets the envelope of the API. A person whose browser asks for a page gets one, of the pages' own making; never
under `/api`, which is for programs alone. Neither says anything of what was asked for: an address may hold anything.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from sqlalchemy.exc import DBAPIError

from forebay.api.envelope import refusal
from forebay.errors import BadRequest, ForebayError, MethodNotAllowed, NotFound
from forebay.headers import PRIVATE

AnyRequest = Request[Any, Any, State]
ShowsPage = Callable[[AnyRequest, ForebayError], Awaitable[ASGIApp]]
"""Makes the page that says so to a person."""
log = logging.getLogger("forebay.errors")


def is_api(path: str) -> bool:
    """Whether programs alone ask for it."""
    return path == "/api" or path.startswith("/api/")


def meaning(request: AnyRequest, error: Exception) -> ForebayError:
    """What Litestar itself refuses: paths and methods that don't exist; and what nobody has thought of."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if isinstance(error, MethodNotAllowedException):
        return MethodNotAllowed(f"{request.method} is not possible here.")
    if status == 404:
        return NotFound("Route" if is_api(request.scope["path"]) else "Page")
    if status < 500:
        return BadRequest("The request is not valid.")
    # The database's own words hold what was asked for.
    log.error(
        "request failed", exc_info=not isinstance(error, DBAPIError) and error, extra={"kind": type(error).__name__}
    )
    return ForebayError("Something went wrong on our side. Nothing was changed.")


class Shown(ASGIResponse):
    """A page that is made when it is sent."""

    def __init__(self, make: Callable[[], Awaitable[ASGIApp]], more: Mapping[str, str]) -> None:
        super().__init__()
        self.make, self.more = make, [(name.lower().encode(), value.encode()) for name, value in more.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def with_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.more]
            await send(message)

        await (await self.make())(scope, receive, with_more)


class Refused(Response[bytes]):
    """The answer to both."""

    def __init__(self, error: ForebayError, more: Mapping[str, str], show: ShowsPage | None) -> None:
        status, headers, payload = refusal(error)
        headers = {**PRIVATE, "content-type": "application/json", **more, **headers}
        super().__init__(payload, status_code=status, media_type="application/json", headers=headers)
        self.error, self.more, self.show = error, more, show

    def to_asgi_response(self, app: Litestar | None, request: AnyRequest, **given: Any) -> ASGIResponse:
        """As the one who asks reads it."""
        show, error = self.show, self.error
        if show is None or is_api(request.scope["path"]) or "text/html" not in request.headers.get("accept", ""):
            return super().to_asgi_response(app, request, **given)
        return Shown(lambda: show(request, error), self.more)
