"""Credit moves: an owner of two teams moves credits from the one to the other.

Each team has a transfer of its own, in one transaction: the one pays the clearing account, which pays the other, so the
clearing account is where it was. What is held for machines stays, and so does everything of a team that is frozen.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.money.amounts import in_words
from forebay.domain.money.ledger import Draft, Posting, account_id
from forebay.domain.people import activity, teams
from forebay.domain.people.access import Denied, Stranger, TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Forbidden, InsufficientBalance
from forebay.ids import new_id


class CreditMove(msgspec.Struct, frozen=True, kw_only=True):
    """A move that was made."""

    id: str
    amount_micros: int
    from_team_id: str
    to_team_id: str
    available_micros: int
    """What is left for the team that gave."""
    created_at: datetime


def move(
    connection: Connection, context: TeamContext, to_team_id: str, amount_micros: int, *, now: datetime
) -> CreditMove:
    """Move credits from the context's team to another that the caller owns too.

    Raises BadRequest, NotFound for a team the caller is no member of, Forbidden for one that they don't own and for
    credits of a frozen team, InsufficientBalance for more than is available.
    """
    if amount_micros <= 0:
        raise BadRequest("Only an amount above zero can be moved.", details={"amount": "above 0"})
    if to_team_id == context.team_id:
        raise BadRequest("Credits move to another team.", details={"toTeamId": "another team"})
    if not context.caller.reaches(to_team_id):
        raise Stranger("Team", Denied(context.caller, to_team_id))
    # In the order of their ids: two moves that cross wait for each other instead of for ever.
    both = {
        team_id: teams.hold(connection, msgspec.structs.replace(context, team_id=team_id), Permission.move_credits)
        for team_id in sorted((context.team_id, to_team_id))
    }
    giver, taker = both[context.team_id], both[to_team_id]
    if giver.is_frozen:
        raise Forbidden(
            "This team is frozen: its credits stay where they are until an operator lifts it.", code="TEAM_FROZEN"
        )
    ledger.lock(connection, *both)
    before = ledger.balance(connection, giver.team_id)
    if before.available_micros < amount_micros:
        raise InsufficientBalance(needed_micros=amount_micros, available_micros=before.available_micros)
    move_id = new_id(now)
    drafts = [
        half(move_id, giver, ledger.MOVED_OUT, -amount_micros, f"to {taker.team_name}"),
        half(move_id, taker, ledger.MOVED_IN, amount_micros, f"from {giver.team_name}"),
    ]
    ledger.post_many(connection, drafts, now=now)
    for side in (giver, taker):
        activity.record(
            connection,
            context.caller,
            "credits.move",
            now=now,
            team_id=side.team_id,
            object_type="team",
            object_id=to_team_id if side is giver else giver.team_id,
            details={"amount": in_words(amount_micros), "fromTeamId": giver.team_id, "toTeamId": to_team_id},
        )
    return CreditMove(
        id=move_id,
        amount_micros=amount_micros,
        from_team_id=giver.team_id,
        to_team_id=to_team_id,
        available_micros=before.available_micros - amount_micros,
        created_at=now,
    )


def half(move_id: str, side: TeamContext, kind: str, amount_micros: int, reason: str) -> Draft:
    """One team's transfer."""
    return Draft(
        team_id=side.team_id,
        kind=kind,
        key=f"credit-move:{move_id}:{kind}",
        postings=[Posting(account_id(side.team_id), amount_micros), Posting(ledger.CLEARING, -amount_micros)],
        reason=reason,
        created_by=side.caller.user_id,
    )
