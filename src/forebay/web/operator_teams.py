"""Teams as operators see them, and what they do about them: credits, freezing, deleting, ending machines."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import discounts, overview, volumes_seen
from forebay.domain.machines import operators as machine_operators
from forebay.domain.machines import teams as machine_teams
from forebay.domain.money import cards, grants, ledger, transactions
from forebay.domain.money.amounts import as_dollars, from_dollars
from forebay.domain.money.transactions import Transaction
from forebay.domain.people import members
from forebay.errors import BadRequest, NotFound
from forebay.web.figures import cents
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.operator import LIMIT, Act, Desk, Field, Question, known, one_of
from forebay.web.visits import Visit
from forebay.web.volumes import TONES

STATES = {"": "All teams", "yes": "Frozen", "no": "Not frozen"}
ONE = "/teams/{team_id}"
MOST_MACHINES, MOST_TRANSACTIONS, MOST_GRANTS = 100, 10, 100


class TeamsOfPlatformPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        machine = f"{ONE}/machines/{{deployment_id}}/terminate"
        return [
            self.desk.page("GET", "/teams", self.show_all),
            self.desk.page("GET", ONE, self.show),
            *self.desk.acts(
                Act(path=f"{ONE}/grant", ask=self.ask_grant, do=self.grant),
                Act(path=f"{ONE}/grants/{{transfer_id}}/take-back", ask=self.ask_take_back, do=self.take_back),
                Act(path=f"{ONE}/freeze", ask=self.ask_freeze, do=self.freeze),
                Act(path=f"{ONE}/unfreeze", ask=self.ask_unfreeze, do=self.unfreeze),
                Act(path=f"{ONE}/delete", ask=self.ask_delete, do=self.delete),
                Act(path=machine, ask=self.ask_terminate, do=self.terminate, nudges=("deployments", "mails")),
            ),
        ]

    def show_all(self, visit: Visit) -> Page:
        """A page of them."""
        search, number = visit.query.get("search", "")[:320], page_of(visit)
        frozen = one_of(visit.query.get("frozen", ""), list(STATES))

        def values(connection: Connection) -> dict[str, Any]:
            found, total = machine_operators.listed(
                connection,
                search=search.strip() or None,
                is_frozen=None if not frozen else frozen == "yes",
                page=number,
                limit=LIMIT,
            )
            given = {name: text for name, text in (("search", search), ("frozen", frozen)) if text}
            return {"found": found, "total": total, "page": number, "states": STATES, "given": given}

        return self.desk.look(visit, "teams", "operator_teams.html", values)

    def show(self, visit: Visit) -> Page:
        """One team: money, people, machines, volumes, cards."""
        team_id = known(visit, "team_id", "Team")

        def values(connection: Connection) -> dict[str, Any]:
            found = machine_operators.find(connection, team_id)
            people, _ = members.listed(connection, team_id, page=1, limit=100)
            rows = overview.listed(connection, team_id, status="active", most=MOST_MACHINES)
            last, _ = transactions.search(connection, team_id, transactions.Filter(), limit=MOST_TRANSACTIONS)
            given, _ = discounts.listed(connection, team_id=team_id, page=1, limit=LIMIT)
            stored, count = volumes_seen.of_team(connection, team_id, page=1, limit=MOST_MACHINES)
            return {
                "volumes": stored, "volume_count": count, "volume_tones": TONES,
                "cards": cards.of_team(connection, team_id),
                "found": found, "people": people, "last": last, "grants": open_grants(connection, team_id),
                "machines": [dict(zip(overview.OWN, row, strict=False)) for row in rows],
                "discounts": [(each, each.ends_at is None or each.ends_at > visit.now) for each in given],
            }  # fmt: skip

        return self.desk.look(visit, "team", "operator_team.html", values, object_id=team_id, team_id=team_id)

    def question(self, connection: Connection, visit: Visit, title: str, says: str, verb: str, **more: Any) -> Question:
        """A question about the team of the address. Raises NotFound."""
        team_id = known(visit, "team_id", "Team")
        found = machine_operators.find(connection, team_id)
        if found.row.deleted_at is not None:
            raise NotFound("Team")
        return Question(
            title=title.format(found.row.name),
            says=says.format(found.row.name, cents(found.balance.balance_micros)),
            verb=verb,
            back=f"/operator/teams/{team_id}",
            back_name=found.row.name,
            kind="team",
            object_id=team_id,
            team_id=team_id,
            **more,
        )

    # Credits.

    def ask_grant(self, connection: Connection, visit: Visit) -> Question:
        """How much."""
        amount = Field(
            name="amount", label="Amount in dollars", hint="More than 0, at most 1,000,000", placeholder="100"
        )
        says = "It has {1} now. The credits are there at once; the team sees them in its transactions, with the reason."
        return self.question(
            connection, visit, "Grant credits to {}", says, "Grant them", fields=(amount,), is_destructive=False
        )

    def grant(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Give them."""
        text = visit.form.get("amount", "")[:40].strip().removeprefix("$").replace(",", "")
        try:
            amount_micros = from_dollars(text or "x")
        except ValueError:
            what = {"amount": "dollars, like 100 or 49.90"}
            raise BadRequest("This is not an amount of money.", details=what) from None
        team_id = known(visit, "team_id", "Team")
        grants.give(connection, visit.person, team_id, amount_micros, reason=reason, now=visit.now)
        return f"{as_dollars(amount_micros)} are granted."

    def ask_take_back(self, connection: Connection, visit: Visit) -> Question:
        """Which grant."""
        team_id, transfer_id = known(visit, "team_id", "Team"), known(visit, "transfer_id", "Grant")
        for each in open_grants(connection, team_id):
            if each.id == transfer_id:
                amount = cents(each.amount_micros)
                says = (
                    f"It is taken back whole. The balance, {{1}} now, may go below zero by it. The grant was {amount}."
                )
                return self.question(connection, visit, "Take a grant back from {}?", says, "Take it back")
        raise NotFound("Grant")

    def take_back(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Take it back."""
        team_id, transfer_id = known(visit, "team_id", "Team"), known(visit, "transfer_id", "Grant")
        grants.take_back(connection, visit.person, transfer_id, reason=reason, now=visit.now, team_id=team_id)
        return "The grant is taken back."

    # The team.

    def ask_freeze(self, connection: Connection, visit: Visit) -> Question:
        """What it means."""
        says = (
            "It can launch, start and grow nothing until that is lifted. What runs, runs on. Its owners are told why."
        )
        return self.question(connection, visit, "Freeze {}?", says, "Freeze it")

    def freeze(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Freeze it."""
        team_id = known(visit, "team_id", "Team")
        machine_teams.freeze(connection, visit.person, team_id, reason=reason, now=visit.now)
        return "The team is frozen."

    def ask_unfreeze(self, connection: Connection, visit: Visit) -> Question:
        """The end of it."""
        says = "It can launch and start again. Its owners are told."
        return self.question(connection, visit, "Lift the freeze of {}?", says, "Lift it", is_destructive=False)

    def unfreeze(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Lift it."""
        team_id = known(visit, "team_id", "Team")
        machine_teams.unfreeze(connection, visit.person, team_id, reason=reason, now=visit.now)
        return "The freeze is lifted."

    def ask_delete(self, connection: Connection, visit: Visit) -> Question:
        """Only what is frozen, when nothing of it is left."""
        give_up = Field(
            name="giveUpCredits", label="Credits that are given up", required=False, placeholder="12.50",
            hint="Exactly what it has, in dollars; empty where it has nothing",
        )  # fmt: skip
        says = "{0} is gone for everybody in it, and nothing brings it back. It has {1}. Its books stay."
        return self.question(connection, visit, "Delete {}?", says, "Delete it", fields=(give_up,))

    def delete(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Delete it."""
        team_id = known(visit, "team_id", "Team")
        give_up = visit.form.get("giveUpCredits", "")[:40].strip().lstrip("$") or None
        machine_teams.delete_frozen(connection, visit.person, team_id, give_up=give_up, reason=reason, now=visit.now)
        return "The team is deleted."

    # Its machines.

    def ask_terminate(self, connection: Connection, visit: Visit) -> Question:
        """Which machine."""
        deployment_id = known(visit, "deployment_id", "Deployment")
        row = overview.one(connection, deployment_id)
        machine = {} if row is None else dict(zip(overview.OWN, row, strict=False))
        if machine.get("team_id") != known(visit, "team_id", "Team"):
            raise NotFound("Deployment")
        # Names are people's own words: none of them is a pattern.
        name = str(machine["name"]).replace("{", "{{").replace("}", "}}")
        says = (
            f"{name} of {{0}} ends at once, also within its minimum runtime, and everything on its disk is lost. "
            "Its owners and who started it are told why."
        )
        return self.question(connection, visit, "Terminate a machine of {}?", says, "Terminate it")

    def terminate(self, connection: Connection, visit: Visit, reason: str) -> str:
        """End it."""
        deployment_id = known(visit, "deployment_id", "Deployment")
        machine_operators.terminate(connection, visit.person, deployment_id, reason=reason, now=visit.now)
        return "The machine is terminated."


def open_grants(connection: Connection, team_id: str) -> list[Transaction]:
    """The newest grants of the team that were not taken back."""
    found, _ = transactions.search(connection, team_id, transactions.Filter(kind=ledger.GRANT), limit=MOST_GRANTS)
    back = transactions.Filter(kind=ledger.GRANT_TAKEN_BACK)
    reversed_ones = {each.reverses for each in transactions.search(connection, team_id, back, limit=MOST_GRANTS)[0]}
    return [each for each in found if each.id not in reversed_ones]
