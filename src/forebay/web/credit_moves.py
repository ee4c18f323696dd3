"""Credits from one of my teams to another."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.money import credit_moves
from forebay.domain.people import teams
from forebay.domain.people.roles import Permission, Role
from forebay.errors import BadRequest, ForebayError
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.figures import cents
from forebay.web.frame import Page, go
from forebay.web.once import FIELD, new_word, once
from forebay.web.top_ups import amount_of
from forebay.web.visits import Visit


class CreditMovePages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both, for owners."""
        page, needs = self.dashboard.page, Permission.move_credits
        return [
            page("GET", "/billing/move", self.ask, needs=needs),
            page("POST", "/billing/move", self.move, needs=needs),
        ]

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """How much, and to which team."""
        with self.dashboard.read() as connection:
            mine = teams.of_user(connection, visit.person.user_id)
            others = [
                (team.id, team.name) for team in mine if team.role is Role.owner and team.id != visit.context.team_id
            ]
            return self.dashboard.show(
                visit,
                connection,
                "credit_move.html",
                error=error,
                others=others,
                values=visit.form,
                once=visit.form.get(FIELD) or new_word(),
            )

    def move(self, visit: Visit) -> Page:
        """Move them, once however often the form is sent."""
        self.frame.demand_recent(visit)
        form, said = visit.form, "These credits were moved already."
        try:
            amount_micros = amount_of(form.get("amount", ""))
            if not is_id(form.get("toTeamId", "")):
                raise BadRequest("To which team?", details={"toTeamId": "choose a team"})
            with self.dashboard.begin(visit) as connection:

                def act() -> str:
                    nonlocal said
                    made = credit_moves.move(connection, visit.context, form["toTeamId"], amount_micros, now=visit.now)
                    left = cents(made.available_micros)
                    said = f"{cents(made.amount_micros)} moved. {left} are still available."
                    return f"/t/{visit.context.slug}/billing"

                location = once(connection, visit, act)
        except ForebayError as error:
            if error.status in (401, 404) or error.code == "FORBIDDEN":
                raise
            return self.ask(visit, error)
        self.frame.say(visit, said)
        return go(location)
