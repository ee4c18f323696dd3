"""The declared routes as a Litestar application, with what concerns all of them.

Addresses behind proxies, bodies, unknown paths.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp, Receive, Scope, Send

from forebay.api import (
    activity,
    addresses,
    api_access,
    api_keys,
    auth,
    auto_top_ups,
    balance,
    billing,
    budgets,
    cards,
    cli_sign_ins,
    credit_moves,
    deployment_keys,
    deployments,
    invitations,
    kubernetes,
    launch_templates,
    logs,
    me,
    members,
    notifications,
    off_boarding,
    offers,
    openapi,
    operator,
    operator_accounts,
    operator_discounts,
    operator_offers,
    operator_providers,
    operator_stock,
    passkeys,
    passwords,
    previews,
    providers,
    second_factors,
    sessions,
    ssh_key_sources,
    ssh_keys,
    start_again,
    statements,
    step_up,
    stock_watches,
    stripe_webhook,
    teams,
    top_ups,
    transactions,
    usage,
    volumes,
    webhook_deliveries,
    webhooks,
)
from forebay.api.call import Incoming
from forebay.api.door import Door
from forebay.api.envelope import encoder, refusal
from forebay.api.route import ROUTES, Route
from forebay.api.strays import Refused, ShowsPage, meaning
from forebay.errors import BadRequest, BodyTooLarge, ForebayError
from forebay.headers import PRIVATE

NOUNS = (
    activity,
    addresses,
    api_access,
    api_keys,
    auth,
    auto_top_ups,
    balance,
    billing,
    budgets,
    cards,
    cli_sign_ins,
    credit_moves,
    deployment_keys,
    deployments,
    invitations,
    kubernetes,
    launch_templates,
    logs,
    me,
    members,
    notifications,
    off_boarding,
    offers,
    operator,
    operator_accounts,
    operator_discounts,
    operator_offers,
    operator_providers,
    operator_stock,
    passkeys,
    passwords,
    previews,
    providers,
    second_factors,
    sessions,
    ssh_key_sources,
    ssh_keys,
    start_again,
    statements,
    stock_watches,
    stripe_webhook,
    step_up,
    teams,
    top_ups,
    transactions,
    usage,
    volumes,
    webhook_deliveries,
    webhooks,
)
"""Importing them declares their routes."""

AnyRequest = Request[Any, Any, State]


class Proxies:
    """Whose X-Forwarded-For is believed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self.networks = [ipaddress.ip_network(network, strict=False) for network in trusted]

    def client(self, scope: Scope) -> str:
        """The address of the client: the last one in the chain that is not a trusted proxy.

        The chain may be spread over several lines, as some proxies add one of their own.
        """
        client = scope.get("client")
        peer = client[0] if client else "unknown"
        if not self.networks or not self.trusts(peer):
            return peer
        chain = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        address = peer
        for part in reversed(chain.decode("latin-1").split(",")):
            address = part.strip()[:64] or peer
            if not self.trusts(address):
                break
        return address

    def trusts(self, text: str) -> bool:
        """Whether the address belongs to a trusted proxy."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self.networks)


MOST_DIGITS = 18
"""Of a length: more is too much whatever the limit."""


async def read_limited(request: AnyRequest, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as that is known; what comes after the limit is not kept."""
    length = request.headers.get("content-length", "0").lstrip("0")
    if length.isdecimal() and (len(length) > MOST_DIGITS or int(length) > limit):
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The request was not sent to its end.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def too_large(limit: int) -> BodyTooLarge:
    """A 413 that says the limit."""
    return BodyTooLarge(f"The body is larger than {limit} bytes.", details={"limit": limit})


class Answer:
    """A finished answer as an ASGI application: two messages, nothing computed."""

    __slots__ = ("headers", "payload", "status")

    def __init__(self, status: int, headers: dict[str, str], payload: bytes) -> None:
        self.status, self.payload = status, payload
        self.headers = [(b"content-length", str(len(payload)).encode()), *COMMON_HEADERS]
        if "content-type" not in headers:
            self.headers.append(JSON)
        self.headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start: Any = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        body: Any = {"type": "http.response.body", "body": self.payload, "more_body": False}
        await send(body)


JSON = (b"content-type", b"application/json")
COMMON_HEADERS = tuple((name.encode(), value.encode()) for name, value in PRIVATE.items())


def handler(route: Route, door: Door, proxies: Proxies) -> HTTPRouteHandler:
    """A Litestar handler that brings requests of one route to the door."""
    limit = door.services.settings.body_limit_bytes
    reads_body = route.has_body or route.method in ("POST", "PUT", "PATCH")

    async def endpoint(request: AnyRequest) -> ASGIApp:
        scope = request.scope
        headers = {name: value for name, value in scope["headers"] if name in WANTED}
        retry_key = headers.get(b"idempotency-key")
        try:
            body = await read_limited(request, limit) if reads_body else b""
            incoming = Incoming(
                path=scope["path"],
                parameters=scope.get("path_params", {}),
                query=scope["query_string"],
                body=body,
                authorization=headers.get(b"authorization", b"").decode("latin-1"),
                retry_key=None if retry_key is None else retry_key.decode("latin-1"),
                address=proxies.client(scope),
                user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
                signature=headers.get(b"stripe-signature", b"").decode("latin-1"),
            )
        except ForebayError as error:
            return Answer(*refusal(error))
        return Answer(*await door.handle(route, incoming))

    path = route.path.replace("}", ":str}")
    methods: Any = ["GET", "HEAD"] if route.method == "GET" else [route.method]
    return HTTPRouteHandler(path, http_method=methods, name=f"{route.method} {route.path}", status_code=200)(endpoint)


WANTED = frozenset((b"authorization", b"idempotency-key", b"stripe-signature", b"user-agent"))


def document_handler(door: Door) -> HTTPRouteHandler:
    """`/api/openapi.json`, written once when it is first asked for."""
    written: list[bytes] = []

    async def endpoint() -> ASGIApp:
        if not written:
            written.append(encoder.encode(openapi.document(ROUTES, door.services.public_url())))
        return Answer(200, {}, written[0])

    return HTTPRouteHandler("/api/openapi.json", http_method=["GET", "HEAD"], name="openapi")(endpoint)


def options_handler(path: str, methods: Sequence[str]) -> HTTPRouteHandler:
    """What can be done with a path, and nothing about anything in it."""
    allowed = {**PRIVATE, "allow": ", ".join(sorted({*methods, "OPTIONS"}))}

    async def endpoint() -> Response[None]:
        return Response(None, status_code=204, headers=allowed)

    return HTTPRouteHandler(path, http_method="OPTIONS", name=f"OPTIONS {path}", status_code=204)(endpoint)


class Application(Litestar):
    """Litestar without the plugins that it takes by itself if their libraries happen to be there.

    None of our types is pydantic's or attrs', and loading all of pydantic would be a fifth of a server's start.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def build(
    door: Door, more: Sequence[HTTPRouteHandler | WebsocketRouteHandler] = (), show: ShowsPage | None = None
) -> Litestar:
    """The application. `more` are handlers of others: pages, health, the terminals of machines.

    `show` makes the pages by which people learn that there is none at their address.
    """

    def on_error(request: AnyRequest, error: Exception) -> Refused:
        headers = error.headers if isinstance(error, HTTPException) else None
        return Refused(meaning(request, error), headers or {}, show)

    proxies = Proxies(door.services.settings.trusted_proxies)
    handlers = [*(handler(route, door, proxies) for route in ROUTES), document_handler(door), *more]
    methods: dict[str, list[str]] = {}
    for found in handlers:
        if isinstance(found, WebsocketRouteHandler):
            continue
        for path in found.paths:
            methods.setdefault(path, []).extend(found.http_methods)
    return Application(
        # Ours come first: Litestar's own name the methods of one handler only, where a path has several.
        [*(options_handler(path, found) for path, found in methods.items()), *handlers],
        openapi_config=None,
        exception_handlers={HTTPException: on_error, Exception: on_error},
        logging_config=None,
        on_shutdown=[door.close],
    )
