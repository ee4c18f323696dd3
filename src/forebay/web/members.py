"""Who belongs to the team: the list, roles, and the way out with the report of what went along."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import off_boarding, ssh_keys
from forebay.domain.machines.off_boarding import OffBoarding
from forebay.domain.people import invitations, members
from forebay.domain.people.invitations import State
from forebay.domain.people.members import Member
from forebay.domain.people.roles import IN_WORDS, MemberMode, Permission, Role, standing
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard, asker
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

MANAGE = Permission.manage_members
MOST = 50
HERE = "/team/members/{user_id}"


class MemberPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/team", self.show_all),
            page("GET", f"{HERE}/role", self.ask_role, needs=MANAGE),
            page("POST", f"{HERE}/role", self.change_role, needs=MANAGE),
            page("GET", f"{HERE}/remove", self.ask_to_remove, needs=MANAGE),
            page("POST", f"{HERE}/remove", self.remove, needs=MANAGE),
            page("GET", "/team/leave", self.ask_to_leave, needs=Permission.leave),
            page("POST", "/team/leave", self.leave, needs=Permission.leave),
        ]

    def show_all(self, visit: Visit) -> Page:
        """Members, and for owners the invitations and what else they may do."""
        context, number = visit.context, page_of(visit)
        with self.dashboard.read() as connection:
            found, total = members.listed(connection, context.team_id, page=number, limit=MOST)
            invited: list[Any] = []
            if asker(context)(MANAGE):
                invited = list(invitations.listed(connection, context.team_id, page=1, limit=MOST, now=visit.now)[0])
            return self.dashboard.show(
                visit,
                connection,
                "team.html",
                members=found,
                total=total,
                page=number,
                limit=MOST,
                invitations=invited,
                pending=State.pending,
                me=visit.person.user_id,
                means={role: IN_WORDS[standing(role, context.member_mode)] for role in Role},
                modes=[(str(mode), IN_WORDS[standing(Role.member, mode)]) for mode in MemberMode],
            )

    def find(self, visit: Visit) -> Member:
        """The member of the address. Raises NotFound."""
        user_id = visit.parameters["user_id"]
        if not is_id(user_id):
            raise NotFound("Member")
        with self.dashboard.read() as connection:
            return members.find(connection, visit.context.team_id, user_id)

    def ask(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """A question."""
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, template, error=error, **values)

    def back(self, visit: Visit, said: str) -> Page:
        """To the list."""
        self.frame.nudge("mails")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/team")

    # Roles.

    def ask_role(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What each role may do."""
        member, mode = self.find(visit), visit.context.member_mode
        options = [(str(role), f"{role}: may {IN_WORDS[standing(role, mode)]}") for role in Role]
        return self.ask(visit, "member_role.html", error, member=member, options=options)

    def change_role(self, visit: Visit) -> Page:
        """Give them another one."""
        member, wanted = self.find(visit), visit.form.get("role", "")
        try:
            if wanted not in list(Role):
                raise BadRequest("There is no such role.", details={"role": "owner, admin or member"})
            with self.dashboard.begin(visit) as connection:
                members.change_role(connection, visit.context, member.user_id, Role(wanted), now=visit.now)
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_role(visit, error)
        return self.back(visit, f"{member.name} is {wanted} now.")

    # The way out.

    def ask_to_remove(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What goes with them, and which of their keys stay."""
        member = self.find(visit)
        with self.dashboard.read() as connection:
            team_id = visit.context.team_id
            keys = [key for key in ssh_keys.of_team(connection, team_id) if key.created_by == member.user_id]
            started = off_boarding.started_by(connection, team_id, member.user_id)
            return self.dashboard.show(
                visit, connection, "member_remove.html", error=error, member=member, keys=keys, started=started
            )

    def remove(self, visit: Visit) -> Page:
        """Take them out of the team, and say what went along and what is left."""
        member = self.find(visit)
        keep = [name.removeprefix("keep-") for name in visit.form if name.startswith("keep-")]
        try:
            if visit.form.get("confirm", "").strip().casefold() != member.email.casefold():
                raise BadRequest("Nobody was removed.", details={"confirm": "that is not their address"})
            with self.dashboard.begin(visit) as connection:
                done = off_boarding.off_board(
                    connection, visit.context, member.user_id, keep_key_ids=keep, now=visit.now
                )
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_to_remove(visit, error)
        return self.report(visit, done)

    def report(self, visit: Visit, done: OffBoarding) -> Page:
        """What was done, and what is left for the owners to decide."""
        self.frame.nudge("ssh-keys")
        self.frame.nudge("mails")
        return self.ask(visit, "off_boarded.html", done=done)

    def ask_to_leave(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What one gives up."""
        return self.ask(visit, "team_leave.html", error)

    def leave(self, visit: Visit) -> Page:
        """Leave, and go where one still belongs."""
        name = visit.context.team_name
        try:
            with self.dashboard.begin(visit) as connection:
                off_boarding.leave(connection, visit.context, now=visit.now)
        except ForebayError as error:
            if error.status != 409:
                raise
            return self.ask_to_leave(visit, error)
        self.frame.nudge("ssh-keys")
        self.frame.nudge("mails")
        self.frame.say(visit, f"You have left {name}.")
        return go("/t")


def page_of(visit: Visit) -> int:
    """Which page of a list is asked for; the first where that is no number."""
    text = visit.query.get("page", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1
