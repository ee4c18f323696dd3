"""What operators see and do, on pages: the tabs, who gets in, and questions before something is done.

An operator belongs to no team by that, so these pages lie beside the teams' and are in the frame of the team that the
person looked at last. What always holds: whoever is no operator finds nothing here; looking is recorded; whatever
changes something is asked on a page of its own, wants a sign-in of the last 15 minutes and a reason, and is done by
the function that `/api/operator` calls, once however often the button is pressed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.people import operators
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import OPERATOR, Dashboard
from forebay.web.frame import Page, go
from forebay.web.once import new_word, once
from forebay.web.visits import Visit

TABS = (
    (OPERATOR, "Health"),
    (f"{OPERATOR}/accounts", "Accounts"),
    (f"{OPERATOR}/teams", "Teams"),
    (f"{OPERATOR}/offers", "Offers"),
    (f"{OPERATOR}/capacity", "Capacity"),
    (f"{OPERATOR}/activity", "Activity"),
)
LIMIT = 50
MOST_REASON = 500


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Something to fill in, named as on the wire."""

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()
    required: bool = True
    placeholder: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked before something is done, and where the page goes back to."""

    title: str
    says: str
    verb: str
    back: str
    back_name: str
    kind: str
    """Of what it is done to, for the row that says that somebody looked."""
    object_id: str | None = None
    team_id: str | None = None
    fields: tuple[Field, ...] = ()
    is_destructive: bool = True


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that operators do: the question, and the doing, which answers with the sentence that says so."""

    path: str
    ask: Callable[[Connection, Visit], Question]
    do: Callable[[Connection, Visit, str], str]
    nudges: tuple[str, ...] = ("mails",)
    needs_reason: bool = True


class Desk:
    """Where operators' pages are made, of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def page(self, method: str, path: str, function: Callable[[Visit], Page]) -> HTTPRouteHandler:
        """A handler for operators alone; `path` goes on behind `/operator`."""

        def checked(visit: Visit) -> Page:
            demand_operator(visit)
            visit.person.demand_second_factor(self.frame.settings.require_second_factor)
            return function(visit)

        return self.frame.page(method, f"{OPERATOR}{path}", checked)

    def acts(self, *found: Act) -> list[HTTPRouteHandler]:
        """The question and the doing of each, at one address."""
        handlers = []
        for act in found:
            handlers.append(self.page("GET", act.path, partial(self.ask, act)))
            handlers.append(self.page("POST", act.path, partial(self.do, act)))
        return handlers

    @contextmanager
    def begin(self, visit: Visit) -> Iterator[Connection]:
        """A transaction in which the person still is an operator. Raises SignInFirst, NotFound."""
        with self.frame.begin(visit) as connection:
            demand_operator(visit)
            yield connection

    def look(
        self,
        visit: Visit,
        kind: str,
        template: str,
        values: Callable[[Connection], dict[str, Any]],
        *,
        object_id: str | None = None,
        team_id: str | None = None,
        error: ForebayError | None = None,
    ) -> Page:
        """A page of what there is, and a row that says who looked."""
        with self.begin(visit) as connection:
            found = values(connection)
            operators.look(connection, visit.person, kind, object_id, now=visit.now, team_id=team_id)
            return self.dashboard.show_own(
                visit, connection, template, error=error, tabs=TABS, tab=tab_of(visit.path), limit=LIMIT, **found
            )

    def ask(self, act: Act, visit: Visit, error: ForebayError | None = None) -> Page:
        """The question, again with what was filled in if something is wrong with that."""
        self.frame.demand_recent(visit)
        with self.begin(visit) as connection:
            question = act.ask(connection, visit)
            operators.look(
                connection, visit.person, question.kind, question.object_id, now=visit.now, team_id=question.team_id
            )
            return self.dashboard.show_own(
                visit,
                connection,
                "operator_question.html",
                error=error,
                tabs=TABS,
                tab=tab_of(visit.path),
                question=question,
                given={name: value[:1000] for name, value in visit.form.items()},
                needs_reason=act.needs_reason,
                once=new_word(),
            )

    def do(self, act: Act, visit: Visit) -> Page:
        """Do it, and say so where the question came from."""
        self.frame.demand_recent(visit)
        said = "That was done already."

        def carried_out(connection: Connection) -> str:
            nonlocal said
            back = act.ask(connection, visit).back
            said = act.do(connection, visit, reason_of(visit, act.needs_reason))
            return back

        try:
            with self.begin(visit) as connection:
                location = once(connection, visit, lambda: carried_out(connection))
        except ForebayError as error:
            if error.status in (401, 403, 404):
                raise
            return self.ask(act, visit, error)
        for name in act.nudges:
            self.frame.nudge(name)
        self.frame.say(visit, said)
        return go(location)


def demand_operator(visit: Visit) -> None:
    """Raise NotFound for whoever is no operator: to them there is nothing here. Raises SignInFirst."""
    if not visit.person.is_operator:
        raise NotFound("Page")


def reason_of(visit: Visit, is_needed: bool = True) -> str:
    """The reason that was given. Raises BadRequest."""
    reason = visit.form.get("reason", "").strip()
    if len(reason) > MOST_REASON or (is_needed and not reason):
        what = f"say why, in at most {MOST_REASON} characters"
        raise BadRequest("A reason is needed.", details={"reason": what})
    return reason


def known(visit: Visit, parameter: str, noun: str) -> str:
    """The id in the address. Raises NotFound: what is no id can't exist."""
    found = visit.parameters[parameter]
    if not is_id(found):
        raise NotFound(noun)
    return found


def tab_of(path: str) -> str:
    """The tab that a page belongs to."""
    if path.startswith(f"{OPERATOR}/new-offer"):
        path = f"{OPERATOR}/offers"
    found = [tab for tab, _ in TABS if path == tab or path.startswith(f"{tab}/")]
    return max(found, key=len, default=OPERATOR)


def one_of(text: str, options: Sequence[str]) -> str:
    """The text if it is among these, else empty."""
    return text if text in options else ""


def moment_of(visit: Visit, field: str) -> datetime | None:
    """A moment that was filled in, in UTC; none where nothing was. Raises BadRequest."""
    text = visit.form.get(field, "").strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest("This is no moment.", details={field: "a day and a time, like 2026-12-01 00:00"}) from None
