"""What all pages have in common: who visits, forms that can't be forged, cookies, and how an answer looks.

Every page is a function of a `Visit` that returns a `Page`; it runs in a thread and may use the database. What always
holds: a form is carried out only if it carries the token of the session (or, before sign-in, of the visitor's signed
cookie) and the browser doesn't say that it came from elsewhere; nothing but our own style and script runs; no address
of a page, which may hold a token, reaches a Referer or a log; and where a visitor is sent next is a path of ours.
"""

import asyncio
import hmac
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Scope
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from forebay import __version__, ids
from forebay.clock import Clock
from forebay.domain.machines.looks import Looks
from forebay.domain.machines.ssh_key_sources import Fetches
from forebay.domain.people import access, credentials, sessions
from forebay.domain.people.access import Caller, Credential, Denied, Stranger, Target
from forebay.domain.people.invitations import InvitationNotYours
from forebay.errors import BadRequest, Forbidden, ForebayError, NotFound, Unauthenticated, Unavailable
from forebay.headers import ALWAYS
from forebay.settings import Settings
from forebay.storage.database import Database
from forebay.web import assets, compression, figures
from forebay.web.rendering import Templates
from forebay.web.uploads import MULTIPART, File, read_upload
from forebay.web.visits import SignInFirst, Visit, cookies_of, fields_of, read_body, with_next

FOLDER = Path(__file__).parent
HOME = "/account"
START = "/t"
"""Where a person begins who wants nothing in particular: the team they looked at last."""
SLUG = re.compile(r"[a-z0-9-]{1,60}")
THEMES = ("light", "dark")
EXACT = "exact"
"""What the cookie holds of whoever wants amounts and times written out."""
FIELDS = ("email", "password", "name", "code")
"""Of all forms: an error about one of them stands beside it."""
BESIDE = {"WRONG_CREDENTIALS": ("password", "currentPassword"), "WRONG_CODE": ("code",)}
"""Errors that name no field, since they say nothing of an account: the field that is to be filled in again."""
log = logging.getLogger("forebay.pages")


class Denials(Protocol):
    """Where refused attempts are counted for the activity of the team that they concern."""

    def note(self, denied: Denied, request: str, permission: str, now: datetime) -> None:
        """Count one."""


class Page(msgspec.Struct, kw_only=True):
    """What is answered: a template with values, a way to go on, or JSON for our own script."""

    template: str = ""
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    status: int = 200
    location: str = ""
    json: Any = None
    file: bytes | None = None
    """To be kept, with `headers` that say what it is."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class FormRefused(Forbidden):
    """A form that did not come from a page of ours, or from one that is too old."""

    code = "FORM_REFUSED"

    def __init__(self) -> None:
        super().__init__(
            "This form is too old, or did not come from this site. Go back, reload the page and try again."
        )


def go(location: str) -> Page:
    """On to another page of ours."""
    return Page(status=303, location=location)


def keep(name: str, media_type: str, content: bytes) -> Page:
    """A file to keep."""
    disposition = f'attachment; filename="{name}"'
    return Page(file=content, headers={"content-type": media_type, "content-disposition": disposition})


def refusal(template: str, error: ForebayError, **values: Any) -> Page:
    """A form again, with the error beside its field, or above the form if it belongs to none."""
    fields = {name: error.sentence for name in FIELDS if isinstance(error.details.get(name), str)}
    fields = fields or dict.fromkeys(BESIDE.get(error.code, ())[:1], error.sentence)
    headers = {"retry-after": str(error.details["retryAfter"])} if error.status == 429 else {}
    return Page(
        template=template,
        status=error.status,
        values={"error": error.sentence, "errors": fields, **values},
        headers=headers,
    )


class Frame:
    """Renders the pages of one server and reads what comes back."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Clock,
        secret_key: bytes,
        public_url: str,
        *,
        nudge: Callable[[str], None],
        address_of: Callable[[Any], str],
        count: Callable[[str], None],
        note_use: Callable[[Caller, datetime], None],
        denials: Denials,
        looks: Looks,
        fetches: Fetches,
        executor: Executor,
        slow_executor: Executor,
        look_executor: Executor,
    ) -> None:
        self.settings, self.database, self.clock = settings, database, clock
        self.secret_key, self.public_url, self.nudge = secret_key, public_url, nudge
        self.address_of, self.count, self.note_use, self.denials = address_of, count, note_use, denials
        self.executor, self.slow_executor, self.look_executor = executor, slow_executor, look_executor
        self.looks, self.fetches = looks, fetches
        self.is_https = public_url.startswith("https://")
        self.form_targets: Callable[[], Sequence[str]] = tuple
        """Origins besides ours that a form may lead to: those of sign-in providers."""
        self.place_of: Callable[[str], str] = lambda _team_id: ""
        """How far the watch of a team has come: a page says up to when it knows what has changed."""
        self.templates = Templates(FOLDER / "templates")
        self.templates.filters |= {"agent": agent, **figures.FILTERS}
        self.templates.globals |= {"public_url": public_url, "version": __version__, "settings": settings}
        self.templates.globals |= {"asset": assets.address, "sign": assets.sign}

    # Handlers.

    def page(
        self,
        method: str,
        path: str,
        function: Callable[[Visit], Page],
        *,
        is_slow: bool = False,
        executor: Executor | None = None,
    ) -> HTTPRouteHandler:
        """A handler for one method of one path; `is_slow` where passwords are reckoned with."""
        executor = executor or (self.slow_executor if is_slow else self.executor)

        async def endpoint(request: Request[Any, Any, State]) -> ASGIResponse:
            try:
                visit = await self.read(request)
            except ForebayError as error:
                return self.write(
                    None, Page(template="error.html", status=error.status, values={"error": error.sentence})
                )
            return await asyncio.get_running_loop().run_in_executor(executor, self.answer, function, visit)

        methods: Any = ["GET", "HEAD"] if method == "GET" else [method]
        return HTTPRouteHandler(
            path.replace("}", ":str}"), http_method=methods, name=f"page {method} {path}", status_code=200
        )(endpoint)

    async def stray(self, request: Request[Any, Any, State], error: ForebayError) -> ASGIResponse:
        """A page for who came to an address that there is not, or to one that failed before it was a page."""

        def refuse(_visit: Visit) -> Page:
            raise error

        try:
            visit = self.visit_of(request.scope, "GET", {})
        except ForebayError:
            return self.write(None, refusal("error.html", error, code=error.code))
        visit.parameters = {}
        return await asyncio.get_running_loop().run_in_executor(self.executor, self.answer, refuse, visit)

    async def read(self, request: Request[Any, Any, State]) -> Visit:
        """A request as a visit. Raises BadRequest, BodyTooLarge, NotFound."""
        form: dict[str, str] = {}
        files: dict[str, File] = {}
        if request.method == "POST":
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == MULTIPART:
                form, files = await read_upload(request)
            elif kind == "application/x-www-form-urlencoded":
                form = fields_of(await read_body(request))
            else:
                raise BadRequest("This is not a form.")
        visit = self.visit_of(request.scope, str(request.method), form)
        visit.files = files
        return visit

    def visit_of(self, scope: Scope, method: str, form: dict[str, str]) -> Visit:
        """What asks, as a visit. Raises BadRequest, NotFound."""
        if "\0" in scope["path"]:
            raise NotFound("Page")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        cookies = cookies_of(headers.get("cookie", ""))
        return Visit(
            method=method,
            path=scope["path"],
            parameters=dict(scope.get("path_params", {})),
            query=fields_of(scope["query_string"]),
            form=form,
            cookies=cookies,
            is_exact=cookies.get(self.cookie("figures")) == EXACT,
            headers=headers,
            address=self.address_of(scope),
            now=self.clock.now(),
        )

    def answer(self, function: Callable[[Visit], Page], visit: Visit) -> ASGIResponse:
        """The answer, with every error made into a page."""
        try:
            self.identify(visit)
            if visit.method == "POST":
                self.refuse_forged(visit)
                if visit.caller is None:
                    self.count(f"page {visit.address}")
            page = function(visit)
        except ForebayError as error:
            self.note_denial(visit, error)
            page = self.refused(visit, error)
        except (OperationalError, PoolTimeout) as error:
            log.warning("database busy or away", extra={"path": visit.path, "reason": type(error).__name__})
            page = self.refused(visit, Unavailable("The database does not answer at this moment. Try again."))
        except Exception as error:
            is_sql = isinstance(error, DBAPIError)
            log.error("page failed", exc_info=not is_sql, extra={"path": visit.path, "kind": type(error).__name__})
            page = self.refused(visit, ForebayError("Something went wrong on our side. Nothing was changed."))
        try:
            return self.write(visit, page)
        except Exception as error:
            log.error("page not written", exc_info=True, extra={"path": visit.path, "kind": type(error).__name__})
            said = ForebayError("Something went wrong on our side: this page can't be shown.")
            return self.write(visit, self.refused(visit, said))

    def note_denial(self, visit: Visit, error: ForebayError) -> None:
        """Count a refusal for the activity of the team that it concerns, if there is one."""
        denied, permission = None, error.code
        if isinstance(error, InvitationNotYours):
            denied = error.denied
        elif isinstance(error, Stranger):
            denied, permission = error.denied, ""
        elif isinstance(error, Forbidden) and visit.team is not None and not isinstance(error, FormRefused):
            denied = Denied(visit.team.caller, visit.team.team_id)
            permission = str(error.details.get("permission") or error.code)
        if denied is not None:
            self.denials.note(denied, f"{visit.method} {visit.path}", permission, visit.now)

    def refused(self, visit: Visit, error: ForebayError) -> Page:
        """Where to go first, or a page that says why not."""
        here = visit.next or (visit.quoted_path if visit.method == "POST" else visit.here)
        if visit.method == "POST" and visit.path.startswith("/account"):
            here = HOME
        first = ""
        if isinstance(error, SignInFirst):
            first = with_next("/sign-in", here)
        elif error.code == "SIGN_IN_AGAIN":
            first = with_next("/step-up", here)
        if visit.headers.get("accept") == "application/json":
            return Page(status=error.status, json={"error": error.sentence, "first": first})
        if first:
            return go(first)
        return refusal("error.html", error, code=error.code)

    def write(self, visit: Visit | None, page: Page) -> ASGIResponse:
        """The answer as it is sent."""
        headers = {**self.headers(), **page.headers}
        body, media_type = b"", "text/html"  # Litestar adds the charset to what is text.
        if page.location:
            headers["location"] = page.location
        elif page.json is not None:
            body, media_type = msgspec.json.encode(page.json), "application/json"
        elif page.file is not None:
            body, media_type = page.file, headers.pop("content-type")
        else:
            values: dict[str, Any] = {"visit": visit, "caller": None, "csrf": "", "errors": {}, "error": ""}
            if visit is not None:
                if visit.caller is None:
                    self.give_visitor_cookie(visit)
                values |= {"caller": visit.caller, "csrf": compression.mask(self.token_of(visit)), "here": visit.here}
                values |= {"theme": self.theme_of(visit), "said": self.take_said(visit)}
            body = self.templates.get_template(page.template).render({**values, **page.values}).encode()
            headers["vary"] = "accept-encoding, sec-fetch-site"
            if visit is not None and compression.may_compress(visit.headers, is_https=self.is_https):
                body, headers["content-encoding"] = compression.compress(body), "gzip"
        found = ASGIResponse(body=body, status_code=page.status, media_type=media_type, headers=headers)
        for cookie in () if visit is None else visit.new_cookies:
            found.headers.add("set-cookie", cookie)
        return found

    def headers(self) -> dict[str, str]:
        """What every page says about itself."""
        targets = " ".join(["'self'", *self.form_targets()])
        found = ALWAYS | {
            "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
            f"img-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'",
            "cache-control": "no-store",
        }
        if self.is_https:
            found["strict-transport-security"] = "max-age=31536000"
        return found

    # Who visits.

    def identify(self, visit: Visit) -> None:
        """Find who is signed in in this browser, and the visitor's cookie."""
        token = visit.cookies.get(self.cookie("session"), "")
        if credentials.is_well_formed(token, credentials.SESSION_PREFIX):
            visit.session_token = token
            with self.database.read() as connection:
                visit.caller = self.enter(connection, visit)
        if visit.caller is not None:
            self.note_use(visit.caller, visit.now)
        else:
            visit.session_token = ""
        value, _, signature = visit.cookies.get(self.cookie("visitor"), "").partition(".")
        if value and hmac.compare_digest(signature.encode(), self.sign("visitor", value).encode()):
            visit.visitor = value

    def enter(self, connection: Connection, visit: Visit) -> Caller | None:
        """The person behind the session of this browser, if it has not ended; and the team that the address names."""
        hashed = credentials.hash_token(visit.session_token, self.secret_key)
        slug = visit.parameters.get("slug")
        target = Target.nothing if slug is None else Target.slug
        wanted = slug if slug is not None and SLUG.fullmatch(slug) else None
        visit.team, visit.foreign_team_id = None, None
        try:
            caller, visit.team = access.enter(
                connection, Credential(hashed, False, visit.address), target, wanted, now=visit.now
            )
        except Unauthenticated:
            return None
        except Stranger as error:
            visit.foreign_team_id = error.denied.team_id
            return error.denied.caller
        if visit.team is not None:
            # Before anything of the page is read: what changes from here on is told.
            visit.place = self.place_of(visit.team.team_id)
        return caller

    @contextmanager
    def begin(self, visit: Visit) -> Iterator[Connection]:
        """A transaction in which whoever is signed in still is. Raises SignInFirst."""
        with self.database.begin() as connection:
            if visit.caller is not None:
                visit.caller = self.enter(connection, visit)
                if visit.caller is None:
                    raise SignInFirst
            yield connection

    def demand_recent(self, visit: Visit) -> None:
        """Raise Forbidden unless the person has proved who they are within the last 15 minutes."""
        sessions.demand_recent(visit.person.signed_in_at, visit.now)

    @property
    def session_days(self) -> int:
        """How long a session lasts that is not used."""
        return min(self.settings.session_days, self.settings.session_idle_days)

    def open_session(self, visit: Visit, token: str) -> None:
        """Give the browser its session."""
        visit.new_cookies.append(self.bake("session", token, seconds=self.settings.session_days * 86400))
        visit.new_cookies.append(self.bake("visitor", "", seconds=0))

    def close_session(self, visit: Visit) -> None:
        """Take the session from the browser."""
        visit.caller = None
        visit.new_cookies.append(self.bake("session", "", seconds=0))

    # What a browser remembers for us: how pages look, and what is to be said on the next one.

    def theme_of(self, visit: Visit) -> str:
        """`light` or `dark` where the person chose one; empty: as their system has it."""
        chosen = visit.cookies.get(self.cookie("theme"), "")
        return chosen if chosen in THEMES else ""

    def say(self, visit: Visit, sentence: str) -> None:
        """Have the next page say what was done."""
        visit.new_cookies.append(self.bake("said", quote(sentence[:400], safe=""), seconds=60))

    def take_said(self, visit: Visit) -> str:
        """What the page before wants said, once; not to a page that only brings itself up to date."""
        found = visit.cookies.get(self.cookie("said"), "")
        if not found or "x-live" in visit.headers:
            return ""
        visit.new_cookies.append(self.bake("said", "", seconds=0))
        return unquote(found, errors="replace")

    # Cookies and forms.

    def cookie(self, name: str) -> str:
        """A cookie's name; over HTTPS one that no other host of the domain can set."""
        return f"__Host-forebay-{name}" if self.is_https else f"forebay-{name}"

    def bake(self, name: str, value: str, *, seconds: int | None = None) -> str:
        """A Set-Cookie line: out of reach of scripts, and not sent along by other sites' forms."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        secure = "; Secure" if self.is_https else ""
        return f"{self.cookie(name)}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}"

    def sign(self, purpose: str, value: str) -> str:
        """A signature that only we can make."""
        return hmac.digest(self.secret_key, f"page {purpose}:{value}".encode(), "sha256").hex()

    def give_visitor_cookie(self, visit: Visit) -> None:
        """A browser without a session gets a cookie, which its forms are bound to."""
        if not visit.visitor:
            visit.visitor = ids.new_secret(24).hex()
            visit.new_cookies.append(self.bake("visitor", f"{visit.visitor}.{self.sign('visitor', visit.visitor)}"))

    def token_of(self, visit: Visit) -> bytes:
        """What a form must carry, masked, to be carried out for this visitor."""
        return bytes.fromhex(self.sign("form", visit.session_token or visit.visitor))

    def refuse_forged(self, visit: Visit) -> None:
        """Raise FormRefused for a form that another site may have sent.

        A page without Referer sends `Origin: null`, so that says nothing; Sec-Fetch-Site does, and the token always.
        """
        site, origin = visit.headers.get("sec-fetch-site"), visit.headers.get("origin", "null")
        if site is not None and site not in ("same-origin", "none"):
            raise FormRefused
        if site is None and origin != "null" and origin.lower() != self.public_url.lower():
            raise FormRefused
        bound = visit.session_token or visit.visitor
        given = compression.unmask(visit.form.get("csrf", ""))
        if not bound or not hmac.compare_digest(given, self.token_of(visit)):
            raise FormRefused


def agent(text: str) -> str:
    """What a browser calls itself, in the two words that people know it by; programs as they are."""
    if not text.startswith("Mozilla/"):
        return text
    names = {"Firefox/": "Firefox", "Edg/": "Edge", "OPR/": "Opera", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {
        "Android": "Android",
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Windows": "Windows",
        "Mac OS": "macOS",
        "Linux": "Linux",
    }
    name = next((found for part, found in names.items() if part in text), "A browser")
    system = next((found for part, found in systems.items() if part in text), "")
    return f"{name} on {system}" if system else name
