"""The style, the scripts and the signs of the pages: built from `assets/` at the root of the repository, and committed.

Whoever runs Forebay needs nothing to build them with. Each is asked for with a mark of its content in the address, so
that a browser may keep it for a year and still gets a new one the moment there is one.
"""

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from markupsafe import Markup

from forebay.headers import NO_PAGE

FOLDER = Path(__file__).parent / "static"
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FOR_A_YEAR, FOR_AN_HOUR = "public, max-age=31536000, immutable", "public, max-age=3600"


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A file that browsers load."""

    name: str
    media_type: str
    mark: str
    body: bytes
    packed: bytes
    """The same, compressed."""

    @property
    def address(self) -> str:
        """Where pages ask for it."""
        return f"/static/{self.name}?v={self.mark}"


def load(path: Path) -> Asset:
    """One file, with what is sent of it."""
    body = path.read_bytes()
    return Asset(
        name=path.name,
        media_type=f"{KINDS[path.suffix[1:]]}; charset=utf-8",
        mark=hashlib.sha256(body).hexdigest()[:12],
        body=body,
        packed=gzip.compress(body, 9, mtime=0),
    )


ASSETS = {path.name: load(path) for path in sorted(FOLDER.iterdir()) if path.suffix[1:] in KINDS}
SIGNS: dict[str, str] = json.loads((FOLDER / "signs.json").read_text())
"""What is inside the <svg> of each sign, by its name."""


def address(name: str) -> str:
    """Where a page loads an asset from."""
    return ASSETS[name].address


@cache
def sign(name: str) -> Markup:
    """A sign to stand beside words that say the same: whoever can't see it misses nothing."""
    # What is inside comes from our own build, never from people.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" stroke-width="2" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{SIGNS[name]}</svg>'
    )


def handlers() -> list[HTTPRouteHandler]:
    """One for each asset."""
    return [handler(asset) for asset in ASSETS.values()]


def handler(asset: Asset) -> HTTPRouteHandler:
    """An asset as it is, compressed for those who take it so."""

    async def endpoint(request: Request[Any, Any, State]) -> ASGIResponse:
        headers = NO_PAGE | {
            "cache-control": FOR_A_YEAR if request.query_params.get("v") == asset.mark else FOR_AN_HOUR,
            "vary": "accept-encoding",
        }
        body = asset.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["content-encoding"] = asset.packed, "gzip"
        return ASGIResponse(body=body, media_type=asset.media_type, headers=headers)

    path = f"/static/{asset.name}"
    return HTTPRouteHandler(path, http_method=["GET", "HEAD"], name=path)(endpoint)
