"""One's own account in the browser: sessions, passkeys, the authenticator app, connected providers."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import (
    activity,
    factor_changes,
    identities,
    passkeys,
    passwords,
    second_factors,
    sessions,
    sign_in,
    teams,
)
from forebay.errors import ForebayError
from forebay.web.dashboard import Dashboard
from forebay.web.frame import HOME, Page, go
from forebay.web.sign_in import check_password, credential_of
from forebay.web.visits import Visit


class AccountPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard, providers: dict[str, str]) -> None:
        self.dashboard, self.frame, self.providers = dashboard, dashboard.frame, providers

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("GET", HOME, self.show),
            page("POST", "/account/password", self.change_password, is_slow=True),
            page("POST", "/account/sessions/end", self.end_session),
            page("POST", "/account/sessions/end-others", self.end_others),
            page("POST", "/account/passkeys/options", self.passkey_options),
            page("POST", "/account/passkeys", self.add_passkey),
            page("POST", "/account/passkeys/remove", self.remove_passkey),
            page("POST", "/account/totp", self.begin_totp),
            page("POST", "/account/totp/confirm", self.confirm_totp),
            page("POST", "/account/totp/remove", self.remove_totp),
            page("POST", "/account/recovery-codes", self.renew_codes),
            page("POST", "/account/identities/disconnect", self.disconnect),
        ]

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """All of it."""
        person = visit.person
        with self.frame.database.read() as connection:
            values: dict[str, Any] = {
                "person": person,
                "teams": teams.of_user(connection, person.user_id),
                "sessions": sessions.of_user(connection, person.user_id, now=visit.now),
                "passkeys": passkeys.of_user(connection, person.user_id),
                "factors": second_factors.of_user(connection, person.user_id),
                "identities": identities.of_user(connection, person.user_id),
                "providers": self.providers,
                "is_recent": visit.is_recent,
                "tab": HOME,
            }
            return self.dashboard.show_own(visit, connection, "account.html", error=error, **values)

    def change_password(self, visit: Visit) -> Page:
        """Another password, for whoever knows the present one; all other sessions end."""
        frame, person, wanted = self.frame, visit.person, visit.form.get("password", "")
        try:
            passwords.refuse_weak(wanted, email=person.email, name=person.name)
            guess, is_right = check_password(frame, visit, person.email, visit.form.get("currentPassword", ""))
            hashed = passwords.hash_new(wanted, email=person.email, name=person.name) if is_right else ""
            with frame.begin(visit) as connection:
                sign_in.finish_guess(connection, guess, is_right, now=visit.now, address=visit.address)
                passwords.change(
                    connection, visit.person, hashed, ends_others=True, public_url=frame.public_url, now=visit.now
                )
        except ForebayError as error:
            if error.status == 403:
                raise
            return self.show(visit, error)
        frame.nudge("mails")
        frame.say(visit, "Your password is changed, and your other sessions have ended.")
        return go(HOME)

    def end_session(self, visit: Visit) -> Page:
        """End one of my sessions."""
        with self.frame.begin(visit) as connection:
            person, session_id = visit.person, visit.form.get("id", "")[:24]
            sessions.end(connection, person.user_id, session_id, now=visit.now)
            activity.record(
                connection, person, "session.end", now=visit.now, object_type="session", object_id=session_id
            )
        if session_id == person.session_id:
            self.frame.close_session(visit)
            return go("/")
        return go(f"{HOME}#sessions")

    def end_others(self, visit: Visit) -> Page:
        """End all of my sessions but this one."""
        with self.frame.begin(visit) as connection:
            person = visit.person
            ended = sessions.end_all(connection, person.user_id, now=visit.now, but=person.session_id)
            activity.record(connection, person, "session.end-others", now=visit.now, details={"ended": ended})
        return go(f"{HOME}#sessions")

    # Passkeys.

    def passkey_options(self, visit: Visit) -> Page:
        """A challenge for our script."""
        frame = self.frame
        frame.demand_recent(visit)
        with frame.begin(visit) as connection:
            found = passkeys.begin_registration(
                connection, visit.person, passkeys.site_of(frame.public_url), frame.secret_key, now=visit.now
            )
        return Page(json={"token": found.token, "options": found.options})

    def add_passkey(self, visit: Visit) -> Page:
        """Keep the passkey that the browser made."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                passkeys.register(
                    connection,
                    visit.person,
                    visit.form.get("token", "")[:200],
                    credential_of(visit),
                    visit.form.get("name", "") or "Passkey",
                    passkeys.site_of(frame.public_url),
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.show(visit, error)
        frame.nudge("mails")
        return go(f"{HOME}#passkeys")

    def remove_passkey(self, visit: Visit) -> Page:
        """Forget one of my passkeys."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                passkeys.remove(
                    connection,
                    visit.person,
                    visit.form.get("id", "")[:24],
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.show(visit, error)
        frame.nudge("mails")
        return go(f"{HOME}#passkeys")

    # The authenticator app.

    def begin_totp(self, visit: Visit) -> Page:
        """A new secret, as a code to scan and as text."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                found = factor_changes.begin_totp(connection, visit.person, secret_key=frame.secret_key, now=visit.now)
        except ForebayError as error:
            return self.show(visit, error)
        return Page(template="totp.html", values={"secret": found.secret, "code": picture(found.uri)})

    def confirm_totp(self, visit: Visit) -> Page:
        """The first code puts the app into use; the recovery codes are shown once."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                codes = factor_changes.confirm_totp(
                    connection,
                    visit.person,
                    visit.form.get("code", "")[:40],
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return Page(
                template="totp.html",
                status=error.status,
                values={"secret": "", "code": "", "errors": {"code": error.sentence}},
            )
        frame.nudge("mails")
        return Page(template="recovery_codes.html", values={"codes": codes})

    def remove_totp(self, visit: Visit) -> Page:
        """Take the app away, with a last code."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                factor_changes.remove_totp(
                    connection,
                    visit.person,
                    visit.form.get("code", "")[:40],
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.show(visit, error)
        frame.nudge("mails")
        return go(f"{HOME}#second-factor")

    def renew_codes(self, visit: Visit) -> Page:
        """New recovery codes; the old ones are worth nothing."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                codes = factor_changes.renew_codes(
                    connection,
                    visit.person,
                    secret_key=frame.secret_key,
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.show(visit, error)
        frame.nudge("mails")
        return Page(template="recovery_codes.html", values={"codes": codes})

    # Providers.

    def disconnect(self, visit: Visit) -> Page:
        """A provider does not let me in any more."""
        frame = self.frame
        frame.demand_recent(visit)
        try:
            with frame.begin(visit) as connection:
                identities.disconnect(
                    connection,
                    visit.person,
                    visit.form.get("provider", "")[:40],
                    public_url=frame.public_url,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.show(visit, error)
        frame.nudge("mails")
        return go(f"{HOME}#providers")


def picture(uri: str) -> str:
    """A QR code as SVG: dark on light in either colour scheme, as scanners want it; no style, no script."""
    import segno

    return str(segno.make(uri, error="m").svg_inline(border=3, dark="#000", light="#fff", omitsize=True, svgclass="qr"))
