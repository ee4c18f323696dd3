"""What there is room for: pools, the machines that take it, what is held back, and spot machines taken back."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import capacity, overview, reclaims, restrictions
from forebay.errors import BadRequest, NotFound
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.operator import LIMIT, Act, Desk, Field, Question, known, moment_of, one_of
from forebay.web.visits import Visit

HERE, BACK = "/capacity", "/operator/capacity"
CAPPED = (("offer", "An offer"), ("pool", "A pool"))
MAINTAINED = (*CAPPED, ("region", "A region"), ("provider", "A provider"))


class StockPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self.desk.page("GET", HERE, self.show),
            *self.desk.acts(
                Act(path=f"{HERE}/cap", ask=self.ask_cap, do=self.cap),
                Act(path=f"{HERE}/maintenance", ask=self.ask_maintenance, do=self.maintain),
                Act(path=f"{HERE}/lift", ask=self.ask_lift, do=self.lift),
                Act(
                    path=f"{HERE}/machines/{{deployment_id}}/reclaim",
                    ask=self.ask_reclaim,
                    do=self.reclaim,
                    nudges=("reclaims", "notifications"),
                ),
            ),
        ]

    def show(self, visit: Visit) -> Page:
        """Pools, what is held back, and who takes what."""
        pool_id, number = visit.query.get("pool", "")[:120], page_of(visit)

        def values(connection: Connection) -> dict[str, Any]:
            takers, total = capacity.takers(
                connection, pool_id=pool_id or None, offer_id=None, page=number, limit=LIMIT
            )
            pools = capacity.figures(connection)
            return {
                "pools": pools, "restrictions": restrictions.listed(connection), "takers": takers, "total": total,
                "page": number, "pool": pool_id,
                "pool_options": [("", "All pools"), *((each.id, each.id) for each in pools)],
            }  # fmt: skip

        return self.desk.look(visit, "capacity", "operator_capacity.html", values)

    def question(self, title: str, says: str, verb: str, fields: tuple[Field, ...], **more: Any) -> Question:
        """A question about capacity."""
        return Question(
            title=title, says=says, verb=verb, back=BACK, back_name="Capacity", kind="restrictions", fields=fields,
            **{"is_destructive": False, **more},
        )  # fmt: skip

    def subjects(self, options: tuple[tuple[str, str], ...]) -> tuple[Field, Field]:
        """What it is about."""
        return (
            Field(name="scope", label="Of what", kind="select", options=options),
            Field(
                name="subject", label="Which", hint="The id of the offer or pool, or the name", placeholder="local/cpu"
            ),
        )

    def ask_cap(self, connection: Connection, visit: Visit) -> Question:
        """So many at most."""
        most = Field(name="most", label="Machines at most", kind="number", hint="Stopped ones count too. 0: no more")
        says = "At most so many machines may be there at once. What is there beyond that runs on."
        return self.question("Limit the stock", says, "Limit it", (*self.subjects(CAPPED), most))

    def cap(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Limit it."""
        text = visit.form.get("most", "").strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadRequest("This is no number of machines.", details={"most": "a whole number, 0 or more"})
        scope, subject = self.which(visit, CAPPED)
        try:
            restrictions.cap_stock(connection, visit.person, scope, subject, int(text), reason=reason, now=visit.now)
        except NotFound as error:
            raise no_such(error) from None
        return f"At most {text} machines of {subject}."

    def ask_maintenance(self, connection: Connection, visit: Visit) -> Question:
        """No launches."""
        until = Field(
            name="until", label="Expected to be over (UTC)", kind="datetime-local", required=False,
            hint="For people to read; it ends when somebody ends it",
        )  # fmt: skip
        says = "Nothing of it can be launched. What runs, runs on. Whoever wants to launch is told the reason."
        return self.question("Begin maintenance", says, "Begin it", (*self.subjects(MAINTAINED), until))

    def maintain(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Begin it."""
        scope, subject = self.which(visit, MAINTAINED)
        until_at = moment_of(visit, "until")
        try:
            restrictions.begin_maintenance(
                connection, visit.person, scope, subject, until_at=until_at, reason=reason, now=visit.now
            )
        except NotFound as error:
            raise no_such(error) from None
        return f"Nothing of {subject} is launched until you end it."

    def which(self, visit: Visit, options: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        """What the form is about. Raises BadRequest."""
        scope = one_of(visit.form.get("scope", ""), [name for name, _ in options])
        subject = visit.form.get("subject", "").strip()
        if not scope or not 1 <= len(subject) <= 120:
            raise BadRequest("Say what it is about.", details={"subject": "an id or a name"})
        return scope, subject

    def ask_lift(self, connection: Connection, visit: Visit) -> Question:
        """Which of them, as the link or the form says."""
        given = {**visit.query, **visit.form}
        for each in restrictions.listed(connection):
            if (each.kind, each.scope, each.subject) == tuple(given.get(name) for name in ("kind", "scope", "subject")):
                return self.question(
                    f"Let {each.subject} be launched again?",
                    f"The {each.kind} was set because: {each.reason}",
                    "End the maintenance" if each.kind == "maintenance" else "Lift the limit",
                    tuple(
                        Field(name=name, label=name, kind="hidden", value=value)
                        for name, value in (("kind", each.kind), ("scope", each.scope), ("subject", each.subject))
                    ),
                )
        raise NotFound("Restriction")

    def lift(self, connection: Connection, visit: Visit, reason: str) -> str:
        """End it."""
        kind, scope, subject = (visit.form.get(name, "")[:120] for name in ("kind", "scope", "subject"))
        restrictions.lift(connection, visit.person, kind, scope, subject, reason=reason, now=visit.now)
        return f"{subject} is held back no longer."

    def ask_reclaim(self, connection: Connection, visit: Visit) -> Question:
        """After how long."""
        deployment_id = known(visit, "deployment_id", "Deployment")
        row = overview.one(connection, deployment_id)
        if row is None:
            raise NotFound("Deployment")
        machine = dict(zip(overview.OWN, row, strict=False))
        seconds = Field(
            name="noticeSeconds", label="Seconds of notice", kind="number",
            value=str(self.desk.frame.settings.reclaim_notice_seconds),
            hint=f"0 to {reclaims.MOST_NOTICE_SECONDS}",
        )  # fmt: skip
        return Question(
            title=f"Take {machine['name']} back?",
            says="The spot machine is told, and its people as they wish. It ends after the notice, with its disk.",
            verb="Take it back", back=BACK, back_name="Capacity", kind="deployment", object_id=deployment_id,
            team_id=machine["team_id"], fields=(seconds,),
        )  # fmt: skip

    def reclaim(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Announce it."""
        deployment_id, text = known(visit, "deployment_id", "Deployment"), visit.form.get("noticeSeconds", "").strip()
        most = reclaims.MOST_NOTICE_SECONDS
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
            raise BadRequest("This is no notice.", details={"noticeSeconds": f"a whole number, at most {most}"})
        at = reclaims.by_operator(
            connection, visit.person, deployment_id, reason=reason, seconds=int(text), now=visit.now
        )
        return f"It is taken back at {at:%-d %B %Y, %H:%M:%S} UTC."


def no_such(error: NotFound) -> BadRequest:
    """What was named isn't there: that is said beside the field."""
    return BadRequest(error.sentence, details={"subject": "there is none of this name"})
