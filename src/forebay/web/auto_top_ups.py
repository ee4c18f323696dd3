"""Auto top-up: its terms, what they mean at the team's burn, and the text that somebody agrees to.

The form is sent twice: the first time it answers with that text and what a day can cost, the second time with the
person's agreement to it. A changed figure is another text, so it is asked for anew.
"""

from collections.abc import Mapping
from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.money import auto_top_up_terms, auto_top_ups, card_changes, cards, metering
from forebay.domain.money.amounts import in_words
from forebay.domain.money.auto_top_up_terms import ConsentNeeded, Terms
from forebay.domain.money.auto_top_ups import MOST_A_DAY, Policy
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, ForebayError
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.top_ups import Again, amount_of
from forebay.web.visits import Visit

FIELDS = ("threshold", "amount", "maxChargeAmount", "monthCeiling", "dayCeiling", "cardId")


class AutoTopUpPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard, again: Again) -> None:
        self.dashboard, self.frame, self.again = dashboard, dashboard.frame, again

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them, for those who may manage billing."""
        page, needs = self.dashboard.page, Permission.manage_billing
        return [
            page("GET", "/billing/auto-top-up", self.show, needs=needs),
            page("POST", "/billing/auto-top-up", self.put, needs=needs),
            page("POST", "/billing/auto-top-up/off", self.turn_off, needs=needs),
            page("POST", "/billing/auto-top-up/try-again", self.try_again, needs=needs),
        ]

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form, as it stands or as it was sent."""
        with self.dashboard.read() as connection:
            policy = auto_top_ups.find(connection, visit.context.team_id)
            given = {name: visit.form[name] for name in FIELDS if name in visit.form}
            consent = ""
            if isinstance(error, ConsentNeeded):
                consent, error = str(error.details["consentText"]), None
            found = self.dashboard.show(
                visit,
                connection,
                "auto_top_up.html",
                error=error,
                policy=policy,
                values=given or as_written(policy),
                cards=cards.of_team(connection, visit.context.team_id),
                consent=consent,
                **self.meaning(connection, visit, consent),
            )
        return found

    def meaning(self, connection: Connection, visit: Visit, consent: str) -> dict[str, Any]:
        """What the terms that are about to be agreed to come to; nothing before."""
        if not consent:
            return {}
        terms = terms_of(visit.form)
        burn = metering.burn_micros_per_hour(connection, visit.context.team_id)
        return {
            "meaning": auto_top_up_terms.meaning(terms, burn),
            "warning": auto_top_up_terms.warning(terms),
        }

    def put(self, visit: Visit) -> Page:
        """Turn it on, or change its terms."""
        self.frame.demand_recent(visit)
        try:
            card_changes.demand_payments(takes_cards=self.frame.settings.takes_cards)
            terms = terms_of(visit.form)
            with self.dashboard.begin(visit) as connection:
                visit.context.demand(Permission.manage_billing)
                auto_top_up_terms.put(
                    connection,
                    visit.context,
                    terms,
                    is_agreed=visit.form.get("agree") == "yes",
                    now=visit.now,
                    agreed_text=visit.form.get("consentText"),
                )
        except (BadRequest, Conflict) as error:
            return self.show(visit, error)
        return self.back(visit, "Auto top-up is on.")

    def turn_off(self, visit: Visit) -> Page:
        """Nothing is charged by itself any more."""
        self.frame.demand_recent(visit)
        with self.dashboard.begin(visit) as connection:
            visit.context.demand(Permission.manage_billing)
            auto_top_up_terms.turn_off(connection, visit.context, now=visit.now)
        return self.back(visit, "Auto top-up is off.")

    def try_again(self, visit: Visit) -> Page:
        """Go on after a stop, or before the hour after a decline is over."""
        self.frame.demand_recent(visit)
        try:
            with self.dashboard.begin(visit) as connection:
                visit.context.demand(Permission.manage_billing)
                auto_top_up_terms.try_again(connection, visit.context, now=visit.now)
        except Conflict as error:
            return self.again(visit, error)
        return self.back(visit, "Auto top-up goes on.")

    def back(self, visit: Visit, said: str) -> Page:
        """To the billing page, which says what was done."""
        self.frame.nudge("auto-top-ups")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/billing")


def as_written(policy: Policy | None) -> dict[str, str]:
    """The terms as the form has them; without any, what is usual."""
    if policy is None:
        return {"threshold": "20", "amount": "50"}
    values = {
        "threshold": in_words(policy.threshold_micros),
        "amount": in_words(policy.amount_micros),
        "cardId": policy.card_id or "",
    }
    if policy.max_charge_micros != policy.amount_micros:
        values["maxChargeAmount"] = in_words(policy.max_charge_micros)
    if policy.month_ceiling_micros is not None:
        values["monthCeiling"] = in_words(policy.month_ceiling_micros)
    if policy.day_ceiling_charges is not None:
        values["dayCeiling"] = str(policy.day_ceiling_charges)
    return values


def terms_of(form: Mapping[str, str]) -> Terms:
    """What the form asks for. Raises BadRequest, AmountNotPossible."""

    def optional(name: str) -> int | None:
        return amount_of(form[name], name) if form.get(name, "").strip() else None

    amount_micros = amount_of(form.get("amount", ""), "amount")
    day, card_id = form.get("dayCeiling", "").strip(), form.get("cardId", "")
    if day and not (day.isascii() and day.isdigit() and len(day) < 4 and 1 <= int(day) <= MOST_A_DAY):
        reason = f"a whole number from 1 to {MOST_A_DAY}"
        raise BadRequest(f"The charges a day must be {reason}.", details={"dayCeiling": reason})
    if card_id and not is_id(card_id):
        raise BadRequest("There is no such card.", details={"cardId": "no card of the team"})
    return Terms(
        threshold_micros=amount_of(form.get("threshold", ""), "threshold"),
        amount_micros=amount_micros,
        max_charge_micros=optional("maxChargeAmount") or amount_micros,
        month_ceiling_micros=optional("monthCeiling"),
        day_ceiling_charges=int(day) if day else None,
        card_id=card_id or None,
    )
