"""All pages of a server: the first one, the style and the script, and those of the other files here."""

from collections.abc import Callable

from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from forebay.oidc import open_providers
from forebay.web.account import AccountPages
from forebay.web.cli_sign_ins import CliPages
from forebay.web.frame import FOLDER, Frame, Page
from forebay.web.identities import IdentityPages
from forebay.web.invitations import InvitationPages
from forebay.web.sign_in import SignInPages
from forebay.web.sign_up import SignUpPages
from forebay.web.visits import Visit

KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = ("forebay.css", "forebay.svg", "passkeys.js")


def build(frame: Frame) -> tuple[list[HTTPRouteHandler], Callable[[], None]]:
    """The handlers of all pages, and what ends what they hold open."""
    providers = open_providers(frame.settings.oidc, frame.public_url, frame.clock.now)
    labels = {name: provider.config.label for name, provider in providers.items()}
    by_provider = IdentityPages(frame, providers)

    def home(visit: Visit) -> Page:
        """Where things are."""
        return Page(template="home.html")

    pages = [
        frame.page("GET", "/", home),
        *(static(name) for name in FILES),
        *SignInPages(frame, labels).handlers(),
        *SignUpPages(frame, labels).handlers(),
        *AccountPages(frame, labels).handlers(),
        *InvitationPages(frame).handlers(),
        *CliPages(frame).handlers(),
        *by_provider.handlers(),
    ]
    return pages, by_provider.close


def static(name: str) -> HTTPRouteHandler:
    """A file of ours as it is."""
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    media_type = f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8"

    async def endpoint() -> ASGIResponse:
        return ASGIResponse(body=(FOLDER / "static" / name).read_bytes(), media_type=media_type, headers=headers)

    return HTTPRouteHandler(f"/static/{name}", http_method=["GET", "HEAD"], name=name)(endpoint)
