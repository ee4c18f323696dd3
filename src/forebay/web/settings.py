"""Settings: one's own name and address, teams and balances, and the end of the account.

What guards the ways in is in `account.py`, keys for programs are in `api_keys.py`, mails in `notifications.py`: tabs of
one page group.
"""

from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import accounts as machine_accounts
from forebay.domain.machines import exports
from forebay.domain.people import accounts, activity, addresses, teams
from forebay.errors import ForebayError
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

PROFILE = "/account/profile"


class SettingsPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            self.dashboard.page("GET", "/settings", self.enter, with_one_factor=True),
            page("GET", PROFILE, self.profile),
            page("POST", "/account/name", self.rename),
            page("POST", "/account/email", self.change_address),
            page("POST", "/account/email/cancel", self.keep_address),
            page("POST", "/account/export", self.export),
            page("GET", "/account/delete", self.ask_to_delete),
            page("POST", "/account/delete", self.delete),
            page("GET", "/account/teams", self.show_teams),
            page("GET", "/account/billing", self.show_balances),
        ]

    def enter(self, visit: Visit) -> Page:
        """From the navigation of a team to what is the person's own; the team stays beside it."""
        self.dashboard.remember(visit)
        return go(PROFILE)

    def show(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """One of the tabs."""
        person = visit.person
        with self.frame.database.read() as connection:
            return self.dashboard.show_own(visit, connection, template, error=error, person=person, **values)

    def done(self, visit: Visit, location: str, said: str) -> Page:
        """Back to the tab, which says what was done."""
        self.frame.nudge("mails")
        self.frame.say(visit, said)
        return go(location)

    def note(self, connection: Connection, visit: Visit, action: str, details: dict[str, Any] | None = None) -> None:
        """A row in the activity of the account."""
        person = visit.person
        about = person.user_id
        activity.record(
            connection, person, action, now=visit.now, object_type="account", object_id=about, details=details
        )

    # Who I am.

    def profile(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Name and address, and what is kept."""
        with self.frame.database.read() as connection:
            pending = addresses.pending(connection, visit.person.user_id, now=visit.now)
        return self.show(visit, "profile.html", error, given=visit.form, pending=pending)

    def rename(self, visit: Visit) -> Page:
        """Be called something else."""
        person = visit.person
        try:
            name = accounts.check_name(visit.form.get("name", "")[:400])
        except ForebayError as error:
            return self.profile(visit, error)
        with self.frame.begin(visit) as connection:
            accounts.rename(connection, person.user_id, name)
            self.note(connection, visit, "account.rename")
        return self.done(visit, PROFILE, "You have your new name.")

    def change_address(self, visit: Visit) -> Page:
        """Ask for another address: both mailboxes agree."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                addresses.begin(
                    connection,
                    visit.person,
                    visit.form.get("email", "")[:320],
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            if error.status in (401, 403):
                raise
            return self.profile(visit, error)
        return self.done(visit, PROFILE, "A mail went to both addresses. The change happens once both have agreed.")

    def keep_address(self, visit: Visit) -> Page:
        """Give the change up."""
        with self.frame.begin(visit) as connection:
            addresses.cancel(connection, visit.person, now=visit.now)
        return self.done(visit, PROFILE, "The change of address is given up.")

    def export(self, visit: Visit) -> Page:
        """Everything that is kept about me, as a file."""
        self.frame.demand_recent(visit)
        with self.frame.begin(visit) as connection:
            found = exports.of_account(connection, visit.person.user_id)
            self.note(connection, visit, "account.export")
        headers = {"content-disposition": 'attachment; filename="forebay-account.json"'}
        return Page(json=msgspec.to_builtins(found), headers=headers)

    def ask_to_delete(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What ends with the account."""
        self.frame.demand_recent(visit)
        with self.frame.database.read() as connection:
            mine = teams.of_user(connection, visit.person.user_id)
        return self.show(visit, "account_delete.html", error, mine=mine, given=visit.form)

    def delete(self, visit: Visit) -> Page:
        """Delete it, and the teams that nobody else belongs to."""
        self.frame.demand_recent(visit)
        try:
            with self.frame.begin(visit) as connection:
                machine_accounts.delete(
                    connection,
                    visit.person,
                    confirm=visit.form.get("confirm", "")[:320],
                    give_up=visit.form.get("giveUpCredits", "").strip().lstrip("$") or None,
                    now=visit.now,
                )
        except ForebayError as error:
            if error.status in (401, 403):
                raise
            return self.ask_to_delete(visit, error)
        for name in ("ssh-keys", "cards", "mails"):
            self.frame.nudge(name)
        self.frame.close_session(visit)
        said = "Your account is deleted. Thank you for having been here."
        return Page(template="message.html", values={"title": "Farewell", "message": said})

    # What is mine.

    def show_teams(self, visit: Visit) -> Page:
        """All my teams, and what I am in each."""
        return self.show(visit, "my_teams.html")

    def show_balances(self, visit: Visit) -> Page:
        """The balances of all my teams, each under its name."""
        return self.show(visit, "my_balances.html")
