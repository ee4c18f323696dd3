"""`/api/teams/{id}/credit-moves`: credits from one of my teams to another."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, moment
from forebay.api.route import route
from forebay.domain.money import credit_moves
from forebay.domain.money.amounts import from_dollars, to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, NotFound
from forebay.ids import is_id


class NewCreditMove(Input):
    """How much, in dollars, to which team."""

    to_team_id: Annotated[str, msgspec.Meta(max_length=24)]
    amount: float | str
    """Above zero, and no finer than a micro-dollar."""


class CreditMove(Wire):
    """A move that was made, in dollars."""

    id: str
    amount: float
    from_team_id: str
    to_team_id: str
    available: float
    """What is left for the team that gave."""
    created_at: str


@route(
    "POST",
    "/api/teams/{team_id}/credit-moves",
    needs=Permission.move_credits,
    target=Target.team,
    target_from="path:team_id",
    body=NewCreditMove,
    answers=CreditMove,
    status=201,
    raises=(402,),
    is_recent=True,
)
def make(call: Call, team_id: str, body: NewCreditMove) -> CreditMove:
    """Move available credits to another team that I own too.

    What is held for machines stays. Send an `Idempotency-Key`, so that a retry moves nothing a second time.
    """
    try:
        amount_micros = from_dollars(body.amount)
    except ValueError as reason:
        raise BadRequest("This is not an amount of money.", details={"amount": str(reason)}) from None
    if not is_id(body.to_team_id):
        raise NotFound("Team")
    made = credit_moves.move(call.connection, call.team, body.to_team_id, amount_micros, now=call.now)
    return CreditMove(
        id=made.id,
        amount=to_dollars(made.amount_micros),
        from_team_id=made.from_team_id,
        to_team_id=made.to_team_id,
        available=to_dollars(made.available_micros),
        created_at=moment(int(made.created_at.timestamp())),
    )
