"""`/api/me/notifications`: what I am told of by mail."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.api.stock_watches import Watch, to_wire
from forebay.domain.machines import stock_watches
from forebay.domain.people import notifications
from forebay.domain.people.notification_kinds import MEANINGS, Kind
from forebay.errors import BadRequest

KindName = Literal[
    "deployment.running",
    "deployment.failed",
    "deployment.reclaimed",
    "deployment.stopped",
    "deployment.idle",
    "balance.low",
    "budget.reached",
    "charge.made",
    "charge.declined",
    "auto-top-up.stopped",
    "auto-top-up.too-little",
    "card.expiring",
    "limit.met",
    "offer.in-stock",
    "report.weekly",
    "webhook.disabled",
    "account.changed",
]


class Switch(Wire):
    """One kind of notification."""

    kind: KindName
    says: str
    goes_to: str
    """Who is mailed."""
    is_on: bool
    is_required: bool
    """It can't be switched off: it tells what becomes of money or of an account."""
    is_for_webhooks: bool


class Notifications(Wire):
    """All kinds, and the offers I watch."""

    email: str
    """Where the mails go."""
    kinds: list[Switch]
    watches: list[Watch]


class Choices(Input):
    """Which kinds to switch on (true) or off (false). What isn't named stays as it is."""

    kinds: Annotated[dict[str, bool], msgspec.Meta(min_length=1)]


def shown(call: Call) -> Notifications:
    """As it stands."""
    chosen = notifications.choices(call.connection, call.caller.user_id)
    return Notifications(
        email=call.caller.email,
        kinds=[
            Switch(
                kind=kind.value,
                says=MEANINGS[kind].says,
                goes_to=MEANINGS[kind].goes_to,
                is_on=chosen[kind],
                is_required=MEANINGS[kind].is_required,
                is_for_webhooks=MEANINGS[kind].is_for_webhooks,
            )
            for kind in Kind
        ],
        watches=[to_wire(found) for found in stock_watches.of_person(call.connection, call.caller.user_id)],
    )


@route("GET", "/api/me/notifications", needs=Needs.account, answers=Notifications)
def show(call: Call) -> Notifications:
    """What I am told of by mail, and the offers I watch."""
    return shown(call)


@route("PUT", "/api/me/notifications", needs=Needs.session, body=Choices, answers=Notifications)
def put(call: Call, body: Choices) -> Notifications:
    """Switch kinds of mails on or off.

    What owners and admins must know of their team's money, and everybody of their account, stays on (`isRequired`):
    switching it off is 400 `KIND_REQUIRED`, and nothing is changed.
    """
    unknown = {f"kinds.{name[:60]}": "no such kind" for name in body.kinds if name not in set(Kind)}
    if unknown:
        raise BadRequest(f"There is no such kind of notification. There are: {', '.join(Kind)}.", details=unknown)
    wanted = {Kind(name): is_on for name, is_on in body.kinds.items()}
    notifications.put(call.connection, call.caller, wanted, now=call.now)
    return shown(call)
