"""Keys for programs: whether one may have them, asking for it, and making, changing, rotating and revoking them."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import api_access, api_keys, key_changes, teams
from forebay.domain.people.api_keys import ApiKey, KeyStatus
from forebay.domain.people.key_changes import Wish
from forebay.domain.people.roles import SENTENCES, Permission
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

HERE = "/account/api-keys"
MOST_KEYS = 100
DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "never"}
KEEP_HOURS = {"0": "at once", "1": "in an hour", "24": "in a day"}
TONES = {
    KeyStatus.active: "good",
    KeyStatus.expiring: "warn",
    KeyStatus.expired: "idle",
    KeyStatus.revoked: "idle",
    KeyStatus.suspended: "bad",
}


class ApiKeyPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("GET", HERE, self.show_all),
            page("POST", "/account/api-access", self.ask_for_access),
            page("GET", f"{HERE}/new", self.ask),
            page("POST", f"{HERE}/new", self.make),
            page("GET", f"{HERE}/{{key_id}}/change", self.ask_changes),
            page("POST", f"{HERE}/{{key_id}}/change", self.change),
            page("GET", f"{HERE}/{{key_id}}/rotate", self.ask_to_rotate),
            page("POST", f"{HERE}/{{key_id}}/rotate", self.rotate),
            page("GET", f"{HERE}/{{key_id}}/revoke", self.ask_to_revoke),
            page("POST", f"{HERE}/{{key_id}}/revoke", self.revoke),
        ]

    def show(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """One of them in its frame."""
        person = visit.person
        with self.frame.database.read() as connection:
            return self.dashboard.show_own(visit, connection, template, error=error, person=person, **values)

    def is_suspended(self, visit: Visit) -> bool:
        """Whether the person's keys don't work at present."""
        return key_changes.is_suspended(visit.person, self.frame.settings.api_access)

    def show_all(self, visit: Visit) -> Page:
        """The keys, and where the account stands on the whitelist."""
        with self.frame.database.read() as connection:
            user_id = visit.person.user_id
            keys, _ = api_keys.listed(connection, user_id, with_revoked=False, page=1, limit=MOST_KEYS)
            access = api_access.of(connection, user_id)
            names = {team.id: team.name for team in teams.of_user(connection, user_id)}
        is_suspended = self.is_suspended(visit)
        lines = [(key, key.status(visit.now, is_suspended=is_suspended)) for key in keys]
        return self.show(
            visit,
            "api_keys.html",
            lines=lines,
            tones=TONES,
            access=access,
            is_open=self.frame.settings.api_access == "everyone",
            may_make=not is_suspended,
            names=names,
        )

    def ask_for_access(self, visit: Visit) -> Page:
        """Ask the operators."""
        if self.frame.settings.api_access != "everyone":
            with self.frame.begin(visit) as connection:
                api_access.request(connection, visit.person, public_url=self.frame.public_url, now=visit.now)
        return self.done(visit, "You have asked for API access. You get a mail once an operator has decided.")

    def done(self, visit: Visit, said: str) -> Page:
        """Back to the list."""
        self.frame.nudge("mails")
        self.frame.say(visit, said)
        return go(HERE)

    # The form of a key.

    def form(self, visit: Visit, template: str, error: ForebayError | None, **values: Any) -> Page:
        """What a key may do, and until when."""
        self.frame.demand_recent(visit)
        key_changes.demand_access(visit.person, self.frame.settings.api_access)
        with self.frame.database.read() as connection:
            mine = [(team.id, team.name) for team in teams.of_user(connection, visit.person.user_id)]
        permissions = [(str(permission), SENTENCES[permission]) for permission in Permission]
        return self.show(visit, template, error, mine=mine, permissions=permissions, days=DAYS.items(), **values)

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What the new key is for."""
        given = {"expiresInDays": "90", "teamId": visit.person.current_team_id or "", **visit.form}
        return self.form(visit, "api_key_new.html", error, given=given)

    def make(self, visit: Visit) -> Page:
        """Make it, and show it once."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            wish = wish_of(visit.form)
            with frame.begin(visit) as connection:
                secret, key = key_changes.make(
                    connection,
                    visit.person,
                    wish,
                    given_to=frame.settings.api_access,
                    prefix=frame.settings.api_key_prefix,
                    secret_key=frame.secret_key,
                    now=visit.now,
                )
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask(visit, error)
        frame.nudge("mails")
        return self.show(visit, "api_key_secret.html", secret=secret, key=key, rotated=False)

    def find(self, visit: Visit) -> ApiKey:
        """The key of the address. Raises NotFound."""
        key_id = visit.parameters["key_id"]
        if not is_id(key_id):
            raise NotFound("API key")
        with self.frame.database.read() as connection:
            keys, _ = api_keys.listed(connection, visit.person.user_id, with_revoked=True, page=1, limit=1000)
        for key in keys:
            if key.id == key_id:
                return key
        raise NotFound("API key")

    def ask_changes(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Its settings as they are."""
        key = self.find(visit)
        given = {"name": key.name, "teamId": key.current_team_id, "expiresInDays": "keep"}
        given |= {"mayTouchMoney": "yes"} if key.may_touch_money else {}
        given |= {f"team-{team_id}": "yes" for team_id in key.team_ids or ()}
        given |= {f"may-{permission}": "yes" for permission in key.permissions or ()}
        return self.form(visit, "api_key_change.html", error, given={**given, **visit.form}, key=key)

    def change(self, visit: Visit) -> Page:
        """It counts from the next request on."""
        self.frame.demand_recent(visit)
        key, keeps_end = self.find(visit), visit.form.get("expiresInDays") == "keep"
        try:
            wish = wish_of(visit.form | ({"expiresInDays": ""} if keeps_end else {}))
            changes: dict[str, Any] = {
                "name": wish.name.strip(),
                "current_team_id": wish.current_team_id,
                "may_touch_money": wish.may_touch_money,
                "team_ids": wish.team_ids,
                "permissions": wish.permissions,
            }
            if not keeps_end:
                changes["expires_at"] = key_changes.in_days(wish.expires_in_days, visit.now)
            with self.frame.begin(visit) as connection:
                key_changes.change(connection, visit.person, key.id, changes, now=visit.now)
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_changes(visit, error)
        return self.done(visit, f"{key.name} is changed.")

    # Their ends.

    def ask_to_rotate(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """How long the old one stays good."""
        self.frame.demand_recent(visit)
        return self.show(visit, "api_key_rotate.html", error, key=self.find(visit), hours=KEEP_HOURS.items())

    def rotate(self, visit: Visit) -> Page:
        """A new secret in the place of the old one, shown once."""
        frame = self.frame
        frame.demand_recent(visit)
        hours = visit.form.get("keepHours", "0")
        try:
            if hours not in KEEP_HOURS:
                raise BadRequest("The key was not rotated.", details={"keepHours": "one of those offered"})
            with frame.begin(visit) as connection:
                secret, key = key_changes.rotate(
                    connection,
                    visit.person,
                    self.find(visit).id,
                    keep_hours=int(hours),
                    given_to=frame.settings.api_access,
                    prefix=frame.settings.api_key_prefix,
                    secret_key=frame.secret_key,
                    now=visit.now,
                )
        except ForebayError as error:
            if error.status not in (400, 409):
                raise
            return self.ask_to_rotate(visit, error)
        frame.nudge("mails")
        return self.show(visit, "api_key_secret.html", secret=secret, key=key, rotated=True)

    def ask_to_revoke(self, visit: Visit) -> Page:
        """What stops working."""
        return self.show(visit, "api_key_revoke.html", key=self.find(visit))

    def revoke(self, visit: Visit) -> Page:
        """It works no more."""
        found = self.find(visit)
        with self.frame.begin(visit) as connection:
            key = key_changes.revoke(connection, visit.person, found.id, now=visit.now)
        return self.done(visit, f"{key.name} is revoked. No request succeeds with it any more.")


def wish_of(form: dict[str, str]) -> Wish:
    """What the form asks for. Nothing ticked narrows nothing. Raises BadRequest."""
    days = form.get("expiresInDays", "")
    if days not in DAYS:
        raise BadRequest("The key can't be made like this.", details={"expiresInDays": "one of those offered"})
    name = form.get("name", "").strip()
    if len(name) > 80:
        raise BadRequest("The key can't be made like this.", details={"name": "1 to 80 printable characters"})
    return Wish(
        name=name,
        current_team_id=form.get("teamId", ""),
        expires_in_days=int(days) if days else None,
        may_touch_money="mayTouchMoney" in form,
        team_ids=[name.removeprefix("team-") for name in form if name.startswith("team-")] or None,
        permissions=[name.removeprefix("may-") for name in form if name.startswith("may-")] or None,
    )
