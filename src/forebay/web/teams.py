"""The team itself: its name, what its members may do, whose it is, its end; and making another one."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import teams as machine_teams
from forebay.domain.money.amounts import in_words
from forebay.domain.money.teams import create_own
from forebay.domain.people import members, teams
from forebay.domain.people.roles import IN_WORDS, SENTENCES, TABLE, MemberMode, Permission, Role, Standing, standing
from forebay.errors import BadRequest, ForebayError
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard, errors_of
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

MANAGE = Permission.manage_team
MOST_MEMBERS = 100
MODES = [(str(mode), f"{mode}: may {IN_WORDS[standing(Role.member, mode)]}") for mode in MemberMode]


class TeamPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            self.frame.page("GET", "/teams/new", self.ask_new),
            self.frame.page("POST", "/teams/new", self.create),
            page("GET", "/team/permissions", self.permissions),
            page("GET", "/team/rename", self.ask_name, needs=MANAGE),
            page("POST", "/team/rename", self.rename, needs=MANAGE),
            page("GET", "/team/mode", self.ask_mode, needs=MANAGE),
            page("POST", "/team/mode", self.set_mode, needs=MANAGE),
            page("GET", "/team/transfer", self.ask_whom, needs=MANAGE),
            page("POST", "/team/transfer", self.transfer, needs=MANAGE),
            page("GET", "/team/delete", self.ask_to_delete, needs=MANAGE),
            page("POST", "/team/delete", self.delete, needs=MANAGE),
        ]

    def ask(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """A question about the team."""
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, template, error=error, **values)

    def back(self, visit: Visit, said: str) -> Page:
        """To the page of the team."""
        self.frame.nudge("mails")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/team")

    # Another one.

    def ask_new(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Its name, and what its members may do."""
        values: dict[str, Any] = {"given": visit.form, "modes": MODES, "person": visit.person}
        if error is not None:
            values |= {"error": error.sentence, "errors": errors_of(error, visit)}
        return Page(template="team_new.html", status=200 if error is None else error.status, values=values)

    def create(self, visit: Visit) -> Page:
        """Make it; whoever makes it owns it."""
        visit.person.demand_second_factor(self.frame.settings.require_second_factor)
        try:
            mode = mode_of(visit.form.get("memberMode", ""))
            with self.frame.begin(visit) as connection:
                name = visit.form.get("name", "")[:400]
                team_id = create_own(connection, visit.person, name=name, member_mode=mode, now=visit.now)
                slug = next(team.slug for team in teams.of_user(connection, visit.person.user_id) if team.id == team_id)
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_new(visit, error)
        self.frame.say(visit, "The team is made, and yours.")
        return go(f"/t/{slug}")

    # What it is.

    def permissions(self, visit: Visit) -> Page:
        """The one table, and how far it goes for the person."""
        context = visit.context
        rows = [
            (permission, SENTENCES[permission], [TABLE[permission].get(column) for column in Standing])
            for permission in Permission
        ]
        mine = standing(context.role, context.member_mode)
        return self.ask(visit, "permissions.html", rows=rows, columns=list(Standing), mine=mine)

    def ask_name(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What it is to be called."""
        return self.ask(visit, "team_rename.html", error, name=visit.form.get("name"))

    def rename(self, visit: Visit) -> Page:
        """Give it another name; its address stays."""
        try:
            with self.dashboard.begin(visit) as connection:
                teams.rename(connection, visit.context, visit.form.get("name", "")[:400], now=visit.now)
        except BadRequest as error:
            return self.ask_name(visit, error)
        return self.back(visit, "The team has its new name.")

    def ask_mode(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What members may do."""
        self.frame.demand_recent(visit)
        return self.ask(visit, "team_mode.html", error, modes=MODES)

    def set_mode(self, visit: Visit) -> Page:
        """It holds at once, for all members."""
        self.frame.demand_recent(visit)
        try:
            mode = mode_of(visit.form.get("memberMode", ""))
            with self.dashboard.begin(visit) as connection:
                teams.set_member_mode(connection, visit.context, mode, now=visit.now)
        except BadRequest as error:
            return self.ask_mode(visit, error)
        return self.back(visit, f"Members may now {IN_WORDS[standing(Role.member, mode)]}.")

    def ask_whom(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Who is to own it."""
        self.frame.demand_recent(visit)
        with self.dashboard.read() as connection:
            found, _ = members.listed(connection, visit.context.team_id, page=1, limit=MOST_MEMBERS)
            others = [(each.user_id, f"{each.name}, {each.email} ({each.role})") for each in found]
            others = [other for other in others if other[0] != visit.person.user_id]
            return self.dashboard.show(visit, connection, "team_transfer.html", error=error, others=others)

    def transfer(self, visit: Visit) -> Page:
        """Make another one an owner."""
        self.frame.demand_recent(visit)
        user_id, keeps = visit.form.get("userId", ""), visit.form.get("keepOwnership") == "yes"
        try:
            if not is_id(user_id):
                raise BadRequest("Nobody was chosen.", details={"userId": "choose a member"})
            with self.dashboard.begin(visit) as connection:
                members.transfer(connection, visit.context, user_id, keeps_ownership=keeps, now=visit.now)
        except BadRequest as error:
            return self.ask_whom(visit, error)
        return self.back(visit, "The ownership is transferred.")

    # Its end.

    def ask_to_delete(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What is in the way, and what is given up."""
        self.frame.demand_recent(visit)
        with self.dashboard.read() as connection:
            found = machine_teams.remains(connection, visit.context.team_id)
            amount = in_words(found.balance_micros) if found.balance_micros > 0 else ""
            return self.dashboard.show(
                visit, connection, "team_delete.html", error=error, remains=found.in_the_way(), amount=amount
            )

    def delete(self, visit: Visit) -> Page:
        """Delete it for everybody in it, and for good."""
        self.frame.demand_recent(visit)
        context = visit.context
        try:
            if visit.form.get("confirm", "").strip() != context.team_name.strip():
                raise BadRequest("The team was not deleted.", details={"confirm": "that is not its name"})
            with self.dashboard.begin(visit) as connection:
                give_up = visit.form.get("giveUpCredits", "").strip().lstrip("$") or None
                machine_teams.delete(connection, context, give_up=give_up, now=visit.now)
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_to_delete(visit, error)
        self.frame.nudge("cards")
        self.frame.nudge("mails")
        self.frame.say(visit, f"{context.team_name} is deleted.")
        return go("/t")


def mode_of(text: str) -> MemberMode:
    """What members may do. Raises BadRequest."""
    if text not in list(MemberMode):
        raise BadRequest("There is no such mode.", details={"memberMode": "deploy-only or read-only"})
    return MemberMode(text)
