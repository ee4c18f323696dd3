"""The pages there are: where things are, and proving an address. Plain HTML, no script, nothing from elsewhere.

Opening a link changes nothing, because mail programs open links by themselves; the button does.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, select_autoescape
from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from forebay import __version__
from forebay.clock import Clock
from forebay.domain.people import accounts, activity
from forebay.errors import ForebayError
from forebay.settings import Settings
from forebay.storage.database import Database

MOST_FORM_BYTES = 4096
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
FOLDER = Path(__file__).parent


class Pages:
    """Renders the pages of one server."""

    def __init__(
        self, settings: Settings, database: Database, clock: Clock, secret_key: bytes, public_url: str
    ) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self.secret_key, self.public_url = secret_key, public_url
        self.templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"), autoescape=select_autoescape(), trim_blocks=True
        )

    def render(self, template: str, status: int = 200, **values: Any) -> ASGIResponse:
        """A page."""
        text = self.templates.get_template(template).render(public_url=self.public_url, version=__version__, **values)
        return ASGIResponse(
            body=text.encode(), status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS
        )

    def verify(self, token: str) -> ASGIResponse:
        """Prove an address, and say how it went."""
        try:
            with self.database.begin() as connection:
                now = self.clock.now()
                account = accounts.verify(connection, token, self.secret_key, now=now)
                activity.record(
                    connection, None, "account.verify", now=now, object_type="account", object_id=account.id
                )
        except ForebayError as error:
            return self.render("verify.html", error.status, token=None, message=error.sentence, is_done=False)
        return self.render(
            "verify.html", token=None, message="Your address is proved. You can sign in now.", is_done=True
        )


def build(pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers of all pages."""

    async def home() -> ASGIResponse:
        return pages.render("home.html", settings=pages.settings)

    async def style() -> ASGIResponse:
        text = (FOLDER / "static" / "forebay.css").read_bytes()
        headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
        return ASGIResponse(body=text, media_type="text/css; charset=utf-8", headers=headers)

    async def ask_to_verify(request: Request[Any, Any, State]) -> ASGIResponse:
        token = parse_qs(request.scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        return pages.render("verify.html", token=token[:200], message=None, is_done=False)

    async def verify(request: Request[Any, Any, State]) -> ASGIResponse:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_FORM_BYTES:
                return pages.render("verify.html", 413, token=None, message="The form is too large.", is_done=False)
        return await asyncio.to_thread(pages.verify, parse_qs(body.decode("latin-1")).get("token", [""])[-1][:200])

    return [
        HTTPRouteHandler("/", http_method=["GET", "HEAD"], name="home")(home),
        HTTPRouteHandler("/static/forebay.css", http_method=["GET", "HEAD"], name="style")(style),
        HTTPRouteHandler("/verify", http_method=["GET", "HEAD"], name="verify page")(ask_to_verify),
        HTTPRouteHandler("/verify", http_method="POST", name="verify", status_code=200)(verify),
    ]
