"""Budgets: what the team, its people, API keys and labels may spend in a month, and how far each has come.

Everybody in the team sees them. Owners set all of them, admins none of the team's nor of their own, as in the API.
"""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import budgets
from forebay.domain.machines.budgets import Standing
from forebay.domain.money import budget_scopes
from forebay.domain.money import budgets as kept
from forebay.domain.money.amounts import as_dollars, in_words
from forebay.domain.money.budget_scopes import Scope, may_set
from forebay.domain.money.budgets import USUAL_SHARES, AtLimit, Budget, Terms
from forebay.domain.people import members
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.top_ups import amount_of
from forebay.web.visits import Visit

SET = Permission.set_budgets
HERE = "/billing/budgets"
TONES = {
    "ok": "good",
    "alerted": "warn",
    "used up": "bad",
    "blocked": "bad",
    "stopping": "bad",
    "stopped": "bad",
}
AT_LIMIT = (
    ("notify", "It is told, nothing else"),
    ("block", "Nothing more is launched, started or grown"),
    ("stop", "The same, and machines are stopped"),
)
DOES = {
    "notify": "It only tells",
    "block": "It blocks launches, starts and growth when it is used up",
    "stop": "It blocks launches, starts and growth when it is used up, and stops machines",
}
KINDS = {Scope.team: "Team", Scope.member: "Member", Scope.api_key: "API key", Scope.label: "Label"}
A_LABEL = "label:"
MOST_MEMBERS = 1000
MOST_SHOWN = 200


class BudgetPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page, one = self.dashboard.page, f"{HERE}/{{budget_id}}"
        return [
            page("GET", HERE, self.show_all),
            page("GET", f"{HERE}/set", self.ask, needs=SET),
            page("POST", f"{HERE}/set", self.put, needs=SET),
            page("GET", f"{one}/delete", self.ask_to_delete, needs=SET),
            page("POST", f"{one}/delete", self.delete, needs=SET),
        ]

    def show_all(self, visit: Visit) -> Page:
        """Each with what is spent of it, in an order that keeps the team's first."""
        context = visit.context
        with self.dashboard.read() as connection:
            found = budgets.standings(connection, context.team_id, now=visit.now)
            return self.dashboard.show(
                visit,
                connection,
                "budgets.html",
                standings=[Line(each, visit) for each in found[:MOST_SHOWN]],
                count=len(found),
            )

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form, empty or as the budget of the address is."""
        with self.dashboard.read() as connection:
            given = {
                "key": "",
                "label": "",
                "amount": "",
                "alerts": ", ".join(map(str, USUAL_SHARES)),
                "atLimit": "notify",
            }
            budget = None
            if visit.query.get("budget") and not visit.form:
                budget = self.find(connection, visit, visit.query["budget"])
                given |= written(budget)
            given |= {name: visit.form[name][:400] for name in given if name in visit.form}
            choices = self.choices(connection, visit)
            if given["key"] and given["key"] not in dict(choices):
                name = (
                    "somebody or something else"
                    if budget is None
                    else budget_scopes.subjects(connection, [budget])[budget.id].name
                )
                choices.append((given["key"], name))
            return self.dashboard.show(
                visit,
                connection,
                "budget.html",
                error=error,
                given=given,
                choices=choices,
                at_limit=AT_LIMIT,
                budget=budget,
            )

    def choices(self, connection: Connection, visit: Visit) -> list[tuple[str, str]]:
        """Whose budgets the person may set: of the team, of members, keys and labels."""
        context = visit.context
        found = [(f"{Scope.team}:", f"All of {context.team_name}")] if may_set(context, Scope.team, None) else []
        there, _ = members.listed(connection, context.team_id, page=1, limit=MOST_MEMBERS)
        found += [
            (f"{Scope.member}:{member.user_id}", member.name)
            for member in there
            if may_set(context, Scope.member, member.user_id)
        ]
        found.append((A_LABEL, "A label of machines"))
        found += [
            (f"{Scope.api_key}:{key.id}", f"API key {key.name}, of {key.person}")
            for key in budget_scopes.keys_of(connection, context.team_id)
            if may_set(context, Scope.api_key, key.user_id)
        ]
        return found

    def put(self, visit: Visit) -> Page:
        """Set it."""
        try:
            with self.dashboard.begin(visit) as connection:
                standing = budgets.put(connection, visit.context, terms_of(visit.form), now=visit.now)
        except ForebayError as error:
            if error.status in (401, 404) or error.code == "FORBIDDEN":
                raise
            return self.ask(visit, beside_its_field(error, visit.form))
        self.frame.nudge("budgets")
        called = standing.called
        self.frame.say(
            visit, f"{called[0].upper()}{called[1:]} is {as_dollars(standing.budget.amount_micros)} a month."
        )
        return go(f"/t/{visit.context.slug}{HERE}")

    def find(self, connection: Connection, visit: Visit, budget_id: str) -> Budget:
        """The team's budget. Raises NotFound, and Forbidden where the person may not set it."""
        if not is_id(budget_id):
            raise NotFound("Budget")
        found = kept.find(connection, visit.context.team_id, budget_id)
        budget_scopes.demand(connection, visit.context, found.scope, found.subject)
        return found

    def ask_to_delete(self, visit: Visit) -> Page:
        """Whether it shall go."""
        with self.dashboard.read() as connection:
            budget = self.find(connection, visit, visit.parameters["budget_id"])
            [standing] = budgets.stand(connection, visit.context.team_id, [budget], now=visit.now)
            return self.dashboard.show(visit, connection, "budget_delete.html", standing=standing)

    def delete(self, visit: Visit) -> Page:
        """Delete it."""
        budget_id = visit.parameters["budget_id"]
        if not is_id(budget_id):
            raise NotFound("Budget")
        with self.dashboard.begin(visit) as connection:
            kept.delete(connection, visit.context, budget_id, now=visit.now)
        self.frame.say(visit, "The budget is deleted.")
        return go(f"/t/{visit.context.slug}{HERE}")


class Line:
    """A budget as pages show it."""

    def __init__(self, standing: Standing, visit: Visit) -> None:
        self.standing, self.budget, self.figures = standing, standing.budget, standing.figures
        self.state = standing.state(visit.now)
        self.tone = TONES[self.state]
        self.says = standing.says(visit.now)
        self.kind = KINDS[standing.budget.scope]
        self.name = visit.context.team_name if standing.budget.scope is Scope.team else standing.name
        self.percent = min(100, int(standing.share))
        self.does = DOES[standing.budget.at_limit]
        self.may_set = may_set(visit.context, standing.budget.scope, standing.person)


def mine(connection: Connection, visit: Visit) -> list[Line]:
    """The budgets that hold for what the person launches: the team's and their own."""
    return [Line(each, visit) for each in budgets.holding(connection, visit.context, now=visit.now)]


def written(budget: Budget) -> dict[str, str]:
    """The form of a budget that there is."""
    is_label = budget.scope is Scope.label
    return {
        "key": A_LABEL if is_label else f"{budget.scope}:{budget.subject}",
        "label": budget.subject if is_label else "",
        "amount": in_words(budget.amount_micros),
        "alerts": ", ".join(map(str, budget.shares)),
        "atLimit": str(budget.at_limit),
    }


def terms_of(form: dict[str, str]) -> Terms:
    """What the form asks for. Raises BadRequest."""
    scope, _, subject = form.get("key", "").partition(":")
    words = form.get("alerts", "").replace(",", " ").replace("%", " ").split()
    wrong = {}
    if scope not in list(Scope):
        wrong["key"] = "choose whose budget it is"
    if form.get("atLimit", "") not in list(AtLimit):
        wrong["atLimit"] = "choose what happens"
    if not all(word.isascii() and word.isdecimal() and len(word) < 6 for word in words):
        wrong["alerts"] = "whole percents, with commas between"
    if wrong:
        raise BadRequest("The budget can't be like this.", details=wrong)
    return Terms(
        scope=Scope(scope),
        subject=form.get("label", "").strip() if scope == Scope.label else subject,
        amount_micros=amount_of(form.get("amount", "")),
        shares=tuple(int(word) for word in words),
        at_limit=AtLimit(form["atLimit"]),
    )


def beside_its_field(error: ForebayError, form: dict[str, str]) -> ForebayError:
    """An error of the key stands beside the label, where that is what was written."""
    details: dict[str, Any] = dict(error.details)
    if form.get("key") == A_LABEL and "key" in details:
        details["label"] = details.pop("key")
    return BadRequest(error.sentence, code=error.code, details=details) if error.status == 400 else error
