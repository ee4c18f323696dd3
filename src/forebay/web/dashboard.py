"""The frame of the dashboard: pages of a team, with the navigation beside them and the team's credits above.

How to add a page group, say volumes:

1. A file of the noun's name here, with a class that takes the `Dashboard` and whose `handlers()` are made by
   `dashboard.page(method, path, function, needs=…)`. The path begins behind `/t/<slug>`. The permission is the one that
   the API's route needs: a stranger gets the 404 page, a member without it the 403 page, before the function is called.
2. A function for each: `visit.context` is the team with the person in it, `visit.form` and `visit.query` what they
   sent. It looks within `dashboard.read()` and answers `dashboard.show(...)` with that connection; it changes things
   within `dashboard.begin(visit)`, by the function of the domain that the API calls, says so by `frame.say` and answers
   `go(...)`. What goes wrong in a form is a `ForebayError`: show the form again with `error=error`. Fields are
   named as on the wire, so that each error finds its field.
3. A template that extends `dashboard.html` and is made of the macros in `parts.html`. Ask `may("…")` before a button:
   nobody sees one that answers 403. What is asked before it is done is a page of its own with the macro `question`,
   and links to it carry `data-asks`. A part that keeps itself up to date has an id, and `data-live-on` with topics of
   `live.py`. Then `make assets`, which finds the classes of Tailwind that are new.
4. Its class in `pages.dashboard_pages`, and a row in `tests/web/dashboard_pages.py`; one in
   `tests/e2e/test_dashboard.py`, by which it is looked at, weighed and judged. Its place in `NAVIGATION` is there
   already, and shows once there is a page.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.money import outlook
from forebay.domain.money.outlook import DAY, HOUR, Outlook
from forebay.domain.people import teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission, Reach
from forebay.errors import BadRequest, Forbidden, ForebayError, NotFound
from forebay.web.frame import BESIDE, EXACT, Frame, Page, go
from forebay.web.visits import Visit

NAVIGATION = (
    ("", "Overview", "gauge"),
    ("/deploy", "Deploy", "rocket"),
    ("/deployments", "Deployments", "server"),
    ("/volumes", "Volumes", "hard-drive"),
    ("/ssh-keys", "SSH keys", "key-round"),
    ("/billing", "Billing", "wallet"),
    ("/team", "Team", "users"),
    ("/settings", "Settings", "settings"),
)
"""Path, name and sign of each page group, in their order."""
UNSEEN = frozenset(("offerId", "instanceType", "deploymentId", "clientKey", "once", "next"))
"""Fields that nobody fills in: an error about one of them stands above the form."""
OPERATOR = "/operator"
"""Where the pages of operators are: beside the teams, since operators belong to none by that."""
NOTHING = Outlook(balance_micros=0, held_micros=0, burn_micros_per_hour=0)


class TeamLine(msgspec.Struct, frozen=True, kw_only=True):
    """A team in the switcher."""

    name: str
    slug: str
    role: str
    is_here: bool
    outlook: Outlook


class Dashboard:
    """The pages of one server that belong to teams."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.needs: dict[tuple[str, str], Permission] = {}
        """The permission of every page, by method and path: a test holds all of them to it."""

    def page(
        self,
        method: str,
        path: str,
        function: Callable[[Visit], Page],
        *,
        needs: Permission = Permission.see,
        is_slow: bool = False,
        asks_elsewhere: bool = False,
        with_one_factor: bool = False,
    ) -> HTTPRouteHandler:
        """A handler for one method of one path of a team; `with_one_factor` where a second one is set up.

        One that `asks_elsewhere` waits for another server, and nobody waits for it.
        """
        path = f"/t/{{slug}}{path}"
        self.needs[method, path] = needs

        def checked(visit: Visit) -> Page:
            context = visit.context
            if not with_one_factor:
                visit.person.demand_second_factor(self.frame.settings.require_second_factor)
            context.demand(needs)
            return function(visit)

        executor = self.frame.look_executor if asks_elsewhere else None
        return self.frame.page(method, path, checked, is_slow=is_slow, executor=executor)

    def read(self) -> AbstractContextManager[Connection]:
        """A connection to look with."""
        return self.frame.database.read()

    @contextmanager
    def begin(self, visit: Visit) -> Iterator[Connection]:
        """A transaction in which the person still belongs to the team. Raises SignInFirst, Stranger."""
        with self.frame.begin(visit) as connection:
            visit.context.demand(Permission.see)
            yield connection

    def show(
        self,
        visit: Visit,
        connection: Connection,
        template: str,
        *,
        error: ForebayError | None = None,
        **values: Any,
    ) -> Page:
        """A page of the team in its frame; with an error, its status and the errors of the form."""
        if error is not None:
            values = {"error": error.sentence, "errors": errors_of(error, visit), **values}
        self.remember(visit)
        return Page(
            template=template,
            status=200 if error is None else error.status,
            values={**self.surroundings(visit, connection), **values},
        )

    def show_own(
        self, visit: Visit, connection: Connection, template: str, *, error: ForebayError | None = None, **values: Any
    ) -> Page:
        """A page of the person's own, in the frame of the team that they looked at last.

        Without any team, or a second factor that is asked for, it stands alone.
        """
        person = visit.person
        try:
            person.demand_second_factor(self.frame.settings.require_second_factor)
            slug = self.last_slug(visit, connection)
        except Forbidden:
            slug = ""
        if slug:
            visit.parameters = {**visit.parameters, "slug": slug}
            self.frame.enter(connection, visit)
        if visit.team is not None:
            return self.show(visit, connection, template, error=error, layout="dashboard.html", **values)
        if error is not None:
            values = {"error": error.sentence, "errors": errors_of(error, visit), **values}
        status = 200 if error is None else error.status
        return Page(template=template, status=status, values={"layout": "frame.html", "team_lines": [], **values})

    def surroundings(self, visit: Visit, connection: Connection) -> dict[str, Any]:
        """What the frame around a page shows: one query, however many teams there are."""
        context = visit.context
        lines = [
            TeamLine(
                name=each.name,
                slug=each.slug,
                role=each.role,
                is_here=each.team_id == context.team_id,
                outlook=each.outlook,
            )
            for each in outlook.of_person(connection, visit.person.user_id)
        ]
        stands = next((line.outlook for line in lines if line.is_here), NOTHING)
        base = f"/t/{context.slug}"
        here = visit.path.removeprefix(base)
        is_own = visit.path.startswith("/account")
        return {
            "team": context,
            "base": base,
            "team_lines": lines,
            "outlook": stands,
            "runway_tone": runway_tone(stands),
            "navigation": [
                (f"{base}{path}", name, sign, is_within("/settings" if is_own else here, path))
                for path, name, sign in NAVIGATION
                if ("GET", f"/t/{{slug}}{path}") in self.needs
            ],
            "is_operating": visit.person.is_operator,
            "may": asker(context),
            "here_path": here,
            "has": lambda path: ("GET", f"/t/{{slug}}{path}") in self.needs,
        }

    def remember(self, visit: Visit) -> None:
        """Where the person begins next time: in the team they looked at last."""
        cookie = self.frame.cookie("team")
        if visit.cookies.get(cookie) != visit.context.slug:
            visit.new_cookies.append(self.frame.bake("team", visit.context.slug, seconds=365 * 86400))

    def last_slug(self, visit: Visit, connection: Connection) -> str:
        """The team that was looked at last, or the person's current one, or any; empty where there is none."""
        mine = teams.of_user(connection, visit.person.user_id)
        last = visit.cookies.get(self.frame.cookie("team"), "")
        wanted = [team for team in mine if team.slug == last]
        wanted += [team for team in mine if team.id == visit.person.current_team_id]
        chosen = [*wanted, *mine]
        return chosen[0].slug if chosen else ""

    def start(self, visit: Visit) -> Page:
        """On to a team, or to making one."""
        with self.read() as connection:
            slug = self.last_slug(visit, connection)
        return go(f"/t/{slug}" if slug else "/teams/new")

    def handlers(self) -> list[HTTPRouteHandler]:
        """The way in, and how this browser wants pages to look."""
        return [
            self.frame.page("GET", "/t", self.start),
            self.frame.page("GET", "/billing/{team_id}", self.to_billing),
            self.frame.page("POST", "/theme", self.set_theme),
            self.frame.page("POST", "/figures", self.set_figures),
        ]

    def to_billing(self, visit: Visit) -> Page:
        """On to a team's billing, from a mail or a payment page, which know the team by its id. Raises NotFound."""
        with self.read() as connection:
            mine = teams.of_user(connection, visit.person.user_id)
        slug = next((team.slug for team in mine if team.id == visit.parameters["team_id"]), None)
        if slug is None:
            raise NotFound("Page")
        return go(f"/t/{slug}/billing")

    def set_theme(self, visit: Visit) -> Page:
        """Light, dark, or as the system has it; this browser remembers."""
        theme = visit.form.get("theme", "")
        is_known = theme in ("light", "dark")
        line = self.frame.bake("theme", theme if is_known else "", seconds=365 * 86400 if is_known else 0)
        visit.new_cookies.append(line)
        return go(visit.next or "/")

    def set_figures(self, visit: Visit) -> Page:
        """Amounts and times exact, or short; this browser remembers."""
        is_exact = visit.form.get("figures") == EXACT
        line = self.frame.bake("figures", EXACT if is_exact else "", seconds=365 * 86400 if is_exact else 0)
        visit.new_cookies.append(line)
        return go(visit.next or "/")


def beside(error: ForebayError, names: dict[str, str]) -> BadRequest:
    """The same refusal with its fields called as they are in the form."""
    details = {names.get(name, name): reason for name, reason in error.details.items()}
    return BadRequest(error.sentence, code=error.code, details=details)


def is_within(here: str, path: str) -> bool:
    """Whether a page belongs to the group of this path."""
    return here == path or (path != "" and here.startswith(f"{path}/"))


def asker(context: TeamContext) -> Callable[..., bool]:
    """For templates: whether the person may do something here, to a thing of `created_by` if that is given."""

    reaches: dict[str, Reach | None] = {}

    def may(permission: str, created_by: str | None = None) -> bool:
        # A list asks the same of each of its rows.
        if permission not in reaches:
            reaches[permission] = context.reach(Permission(permission))
        found = reaches[permission]
        return found is Reach.all or (found is Reach.own and created_by in (None, context.caller.user_id))

    return may


def runway_tone(found: Outlook) -> str:
    """How urgent the runway is: nothing, `is-low` under a day, `is-out` under an hour."""
    if found.runway_seconds is None or found.runway_seconds >= DAY:
        return ""
    return "is-low" if found.runway_seconds >= HOUR else "is-out"


def errors_of(error: ForebayError, visit: Visit) -> dict[str, str]:
    """The error beside the fields of the form that it is about; none: it stands above the form."""
    found = {}
    for name, reason in error.details.items():
        if name in visit.form and name not in UNSEEN and isinstance(reason, str):
            found[name] = reason[:1].upper() + reason[1:] if " " in reason else error.sentence
    return found or {name: error.sentence for name in BESIDE.get(error.code, ())[-1:] if name in visit.form}
