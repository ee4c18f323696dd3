"""`/api/teams/{id}/billing`: how the team stands, in figures and in words."""

from typing import Literal

from forebay.api import auto_top_ups, cards
from forebay.api.auto_top_ups import AutoTopUp
from forebay.api.call import Call
from forebay.api.cards import Card
from forebay.api.envelope import Wire, iso_at
from forebay.api.route import route
from forebay.domain.money import low_balance, outlook
from forebay.domain.money.amounts import to_dollars
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Billing(Wire):
    """Amounts in dollars; a balance below zero is a debt."""

    team_id: str
    currency: Literal["USD"]
    balance: float
    held: float
    """Set aside for machines that were launched."""
    available: float
    """What a launch may count on: the balance less what is held."""
    burn_per_hour: float
    """What everything that runs costs an hour, disks included."""
    runway_seconds: int | None
    """How long the balance lasts at this burn; null when nothing burns."""
    runway: str
    """The same in words."""
    is_frozen: bool
    step: Literal["fine", "low", "empty", "waiting", "stopped", "disks deleted"]
    """How far it has come: the credits are low, or gone; machines run on for a top-up, are stopped; disks are gone."""
    what_next: str
    """The same in words, and what comes next if nobody adds credits."""
    debt: float
    """How far the balance is below zero."""
    waiting_until: str | None
    """Machines run until then at most, for a top-up that is about to come."""
    stopped_at: str | None
    """Since when nothing runs for lack of credits."""
    disks_deleted_at: str | None
    """When the disks of stopped machines are deleted, or were."""
    takes_cards: bool
    """Whether this cloud can charge cards at all."""
    no_cards_because: str | None
    """Why not, and who can change that."""
    auto_top_up: AutoTopUp | None
    """For those who may manage billing; null for others."""
    cards: list[Card] | None
    """The saved cards, for the same people."""


@route(
    "GET",
    "/api/teams/{team_id}/billing",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=Billing,
)
def show(call: Call, team_id: str) -> Billing:
    """How the team stands: balance, what is held and available, what it burns, and how long that lasts."""
    found = outlook.outlook(call.connection, team_id)
    rules = low_balance.rules_of(call.settings, call.services.public_url())
    state = low_balance.state(call.connection, team_id, rules, now=call.now)
    may_manage = call.team.reach(Permission.manage_billing)
    return Billing(
        team_id=team_id,
        currency="USD",
        balance=to_dollars(found.balance_micros),
        held=to_dollars(found.held_micros),
        available=to_dollars(found.available_micros),
        burn_per_hour=to_dollars(found.burn_micros_per_hour),
        runway_seconds=found.runway_seconds,
        runway=found.runway,
        is_frozen=call.team.is_frozen,
        step=state.step,
        what_next=state.sentence,
        debt=to_dollars(state.debt_micros),
        waiting_until=iso_at(state.waiting_until),
        stopped_at=iso_at(state.stopped_at),
        disks_deleted_at=iso_at(state.disks_deleted_at),
        takes_cards=call.settings.takes_cards,
        no_cards_because=cards.no_cards_because(call),
        auto_top_up=auto_top_ups.shown(call, team_id) if may_manage else None,
        cards=cards.list_all(call, team_id).cards if may_manage else None,
    )
