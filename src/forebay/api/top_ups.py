"""`/api/teams/{id}/top-ups`: buying credits, and what came of it."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.cards import demand_payments, no_cards_because
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.route import route
from forebay.domain.money import declines, deposits, payment_attempts
from forebay.domain.money.amounts import from_dollars, to_dollars
from forebay.domain.money.deposits import AmountNotPossible, Wish
from forebay.domain.money.payment_attempts import Attempt
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, NotFound


class NewTopUp(Input):
    """Credits that somebody buys."""

    amount: float
    """Dollars, in whole cents."""
    client_key: Annotated[str, msgspec.Meta(pattern="^[!-~]{1,255}$")]
    """Yours, a new one for each payment: the same key again is the same payment, however often it is sent."""
    card_id: str | None = None
    """Which saved card; without it the default one."""
    checkout: bool = False
    """Pay on a page of the payment processor instead."""
    currency: Literal["USD"] = "USD"


class TopUp(Wire):
    """A payment, from the wish to its end. It is open while `claimed`, `created`, `unknown` or `canceling`.

    `unknown`: the card may have been charged, and the payment processor is being asked; nothing else is charged
    meanwhile.
    """

    id: str
    path: Literal["manual", "auto", "checkout"]
    state: Literal[
        "claimed",
        "created",
        "unknown",
        "canceling",
        "succeeded",
        "declined",
        "authentication_required",
        "canceled",
    ]
    is_open: bool
    amount: float
    currency: Literal["USD"]
    card_id: str | None
    page_url: str | None
    """Where a person pays, for `checkout`, while it is open."""
    error_code: str | None
    message: str | None
    """Why nothing was charged, and what to do."""
    requested_by: str | None
    """Null: Forebay itself, by auto top-up."""
    created_at: str
    closed_at: str | None


class Page(Input):
    """Which part of a long list."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class TopUps(Wire):
    """Newest first."""

    takes_cards: bool
    no_cards_because: str | None
    """Why this cloud takes none, and who can change that."""
    presets: list[float]
    """Amounts to offer; any from `least` to `most` is good."""
    least: float
    most: float
    top_ups: list[TopUp]
    total: int
    page: int
    limit: int
    total_pages: int


def to_wire(attempt: Attempt) -> TopUp:
    """An attempt as clients see it."""
    return TopUp(
        id=attempt.id,
        path=attempt.path.value,
        state=attempt.state.value,
        is_open=attempt.is_open,
        amount=to_dollars(attempt.amount_micros),
        currency="USD",
        card_id=attempt.card_id,
        page_url=attempt.page_url if attempt.is_open else None,
        error_code=attempt.error_code,
        message=declines.sentence(attempt.error_code),
        requested_by=attempt.requested_by,
        created_at=iso(int(attempt.created_at.timestamp())) or "",
        closed_at=iso_at(attempt.closed_at),
    )


@route(
    "POST",
    "/api/teams/{team_id}/top-ups",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    body=NewTopUp,
    answers=TopUp,
    status=202,
    is_recent=True,
)
def create(call: Call, team_id: str, body: NewTopUp) -> TopUp:
    """Buy credits, from $15 to $5,000: ask `top-ups/{id}` until it is no longer open.

    A saved card is charged within seconds; with `checkout` the address of a payment page is in `pageUrl` a moment
    later, and good for half an hour. The credits are on the balance as soon as the state is `succeeded`. 400
    `AMOUNT_NOT_POSSIBLE`, 400 `NO_CARD`, 409 `PAYMENT_UNDER_WAY` while another charge of the team is, 409
    `CLIENT_KEY_REUSED`, 409 `PAYMENTS_NOT_SET_UP` where this cloud takes no cards.
    """
    demand_payments(call)
    if body.checkout and body.card_id is not None:
        raise BadRequest("A payment page asks for the card itself.", details={"cardId": "not with checkout"})
    try:
        amount_micros = from_dollars(body.amount)
    except ValueError:
        raise AmountNotPossible("The amount must be in whole cents.", details={"amount": "whole cents"}) from None
    wish = Wish(amount_micros=amount_micros, client_key=body.client_key, is_page=body.checkout, card_id=body.card_id)
    attempt = deposits.ask(call.connection, call.team, wish, now=call.now)
    call.nudge("payments")
    return to_wire(attempt)


@route(
    "GET",
    "/api/teams/{team_id}/top-ups",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    query=Page,
    answers=TopUps,
)
def list_all(call: Call, team_id: str, query: Page) -> TopUps:
    """The team's payments, whatever came of them, and what can be bought."""
    found, total = payment_attempts.of_team(call.connection, team_id, page=query.page, limit=query.limit)
    return TopUps(
        takes_cards=call.settings.takes_cards,
        no_cards_because=no_cards_because(call),
        presets=[to_dollars(preset) for preset in deposits.PRESETS],
        least=to_dollars(deposits.LEAST_MICROS),
        most=to_dollars(deposits.MOST_MICROS),
        top_ups=[to_wire(attempt) for attempt in found],
        total=total,
        page=query.page,
        limit=query.limit,
        total_pages=-(-total // query.limit),
    )


@route(
    "GET",
    "/api/teams/{team_id}/top-ups/{top_up_id}",
    needs=Permission.manage_billing,
    target=Target.team,
    target_from="path:team_id",
    answers=TopUp,
)
def show(call: Call, team_id: str, top_up_id: str) -> TopUp:
    """One payment."""
    attempt = payment_attempts.find(call.connection, top_up_id)
    if attempt is None or attempt.team_id != team_id:
        raise NotFound("Top-up")
    return to_wire(attempt)
