"""Percents off the prices of a team, as operators give and end them: on the team's page."""

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import discounts
from forebay.domain.machines import operators as machine_operators
from forebay.domain.machines.discounts import Discount, Wish
from forebay.errors import NotFound
from forebay.web.operator import Act, Desk, Field, Question, known, moment_of
from forebay.web.visits import Visit

MOST = 1000


class DiscountPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """Both."""
        here = "/teams/{team_id}/discounts"
        return self.desk.acts(
            Act(path=f"{here}/give", ask=self.ask_give, do=self.give, nudges=("prices", "mails")),
            Act(path=f"{here}/{{discount_id}}/end", ask=self.ask_end, do=self.end),
        )

    def question(
        self, connection: Connection, visit: Visit, title: str, says: str, verb: str, fields: tuple[Field, ...]
    ) -> Question:
        """A question about the discounts of the team of the address. Raises NotFound."""
        team_id = known(visit, "team_id", "Team")
        row = machine_operators.find(connection, team_id).row
        return Question(
            title=title.format(row.name), says=says, verb=verb, back=f"/operator/teams/{team_id}", back_name=row.name,
            kind="team", object_id=team_id, team_id=team_id, fields=fields, is_destructive=False,
        )  # fmt: skip

    def ask_give(self, connection: Connection, visit: Visit) -> Question:
        """How much, off what, until when."""
        fields = (
            Field(name="percent", label="Percent off", hint="More than 0, at most 100", placeholder="12.5"),
            Field(name="offerId", label="Of one offer", hint="Its id; empty: of all machines", required=False),
            Field(name="gpuType", label="Or of one type of GPU", required=False),
            Field(name="startsAt", label="From (UTC)", kind="datetime-local", hint="Empty: at once", required=False),
            Field(name="endsAt", label="Until (UTC)", kind="datetime-local", hint="Empty: until ended", required=False),
        )
        says = "What runs is cheaper from its first second. Disks and volumes are paid in full. Owners are told."
        return self.question(connection, visit, "Give {} a discount", says, "Give it", fields)

    def give(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Give it."""
        wish = Wish(
            basis_points=discounts.basis_points_of(visit.form.get("percent", "")[:40].strip()),
            offer_id=visit.form.get("offerId", "")[:100].strip() or None,
            gpu_type=visit.form.get("gpuType", "")[:60].strip() or None,
            starts_at=moment_of(visit, "startsAt"),
            ends_at=moment_of(visit, "endsAt"),
        )
        team_id = known(visit, "team_id", "Team")
        given = discounts.give(connection, visit.person, team_id, wish, reason=reason, now=visit.now)
        return f"{given.percent} off {given.what_for}."

    def find(self, connection: Connection, visit: Visit) -> Discount:
        """The discount of the address, of the team of the address. Raises NotFound."""
        team_id, discount_id = known(visit, "team_id", "Team"), known(visit, "discount_id", "Discount")
        for each in discounts.of_team(connection, team_id):
            if each.id == discount_id:
                return each
        raise NotFound("Discount")

    def ask_end(self, connection: Connection, visit: Visit) -> Question:
        """Until when."""
        found = self.find(connection, visit)
        until = Field(
            name="endsAt", label="Until (UTC)", kind="datetime-local", required=False,
            hint="At least seven days from now; empty: just that",
        )  # fmt: skip
        says = (
            f"{found.percent} off {found.what_for}. What runs costs more from then on; owners and admins are told. "
            "One that has not begun ends at once."
        )
        return self.question(connection, visit, "End a discount of {}?", says, "End it", (until,))

    def end(self, connection: Connection, visit: Visit, reason: str) -> str:
        """End it."""
        found, at = self.find(connection, visit), moment_of(visit, "endsAt")
        ended = discounts.end(connection, visit.person, found.id, at=at, reason=reason, now=visit.now)
        return (
            "The discount is ended." if ended.ends_at is None else f"It ends on {ended.ends_at:%-d %B %Y, %H:%M} UTC."
        )
