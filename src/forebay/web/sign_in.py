"""Signing in and out in the browser: by password, with the second factor, by passkey; and proving it again."""

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.people import activity, passkeys, second_factors, sessions, sign_in, slow_down, step_up
from forebay.domain.people.accounts import Account
from forebay.domain.people.sign_in import Guess, SecondFactorNeeded, SignedIn
from forebay.errors import BadRequest, ForebayError
from forebay.web.frame import START, Frame, Page, go, refusal
from forebay.web.visits import Visit, path_of_ours, with_next

MOST_PASSWORD = 1024
LATER_SECONDS = 86_400


class SignInPages:
    """The pages of one server."""

    def __init__(self, frame: Frame, providers: dict[str, str]) -> None:
        self.frame = frame
        self.providers = providers
        """What each provider is called on its button."""

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("GET", "/sign-in", self.ask),
            page("POST", "/sign-in", self.by_password, is_slow=True),
            page("GET", "/second-factor", self.ask_code),
            page("POST", "/second-factor", self.by_code),
            page("POST", "/sign-in/passkey/options", self.passkey_options),
            page("POST", "/sign-in/passkey", self.by_passkey),
            page("POST", "/sign-out", self.sign_out),
            page("GET", "/step-up", self.ask_again),
            page("POST", "/step-up", self.prove_again, is_slow=True),
            page("POST", "/step-up/passkey", self.prove_by_passkey),
        ]

    # In.

    def values(self, visit: Visit) -> dict[str, object]:
        """What the form shows."""
        return {"next": visit.next, "email": visit.form.get("email", "")[:320], "providers": self.providers}

    def ask(self, visit: Visit) -> Page:
        """The form."""
        if visit.caller is not None:
            return go(visit.next or START)
        return Page(template="sign_in.html", values=self.values(visit))

    def by_password(self, visit: Visit) -> Page:
        """Sign in, or on to the second factor."""
        frame, email = self.frame, visit.form.get("email", "")[:320]
        try:
            guess, is_right = check_password(frame, visit, email, visit.form.get("password", ""))
            with frame.database.begin() as connection:
                account = sign_in.finish_guess(connection, guess, is_right, now=visit.now, address=visit.address)
                found = finish(frame, visit, connection, account, "password")
        except ForebayError as error:
            return refusal("sign_in.html", error, **self.values(visit))
        return self.welcome(visit, found)

    def welcome(self, visit: Visit, found: SignedIn | SecondFactorNeeded) -> Page:
        """Signed in, or asked for the second factor."""
        return welcome(self.frame, visit, found)

    def ask_code(self, visit: Visit) -> Page:
        """The form for the second factor."""
        if not visit.cookies.get(self.frame.cookie("step")):
            return go("/sign-in")
        return Page(template="second_factor.html", values={"next": visit.next})

    def by_code(self, visit: Visit) -> Page:
        """The code of the app, or a recovery code."""
        frame = self.frame
        try:
            with frame.database.begin() as connection:
                found = sign_in.complete(
                    connection,
                    visit.cookies.get(frame.cookie("step"), "")[:200],
                    visit.form.get("code", "")[:40],
                    secret_key=frame.secret_key,
                    now=visit.now,
                    days=frame.session_days,
                    address=visit.address,
                    user_agent=visit.user_agent,
                )
        except ForebayError as error:
            return refusal("second_factor.html", error, next=visit.next)
        return self.welcome(visit, found)

    def passkey_options(self, visit: Visit) -> Page:
        """A challenge for our script."""
        frame = self.frame
        with frame.database.begin() as connection:
            found = passkeys.begin_sign_in(
                connection, passkeys.site_of(frame.public_url), frame.secret_key, now=visit.now
            )
        return Page(json={"token": found.token, "options": found.options})

    def by_passkey(self, visit: Visit) -> Page:
        """What the authenticator answered."""
        frame = self.frame
        try:
            with frame.database.begin() as connection:
                account = recognise(frame, visit, connection)
                found = finish(frame, visit, connection, account, "passkey")
        except ForebayError as error:
            return refusal("sign_in.html", error, **self.values(visit))
        return self.welcome(visit, found)

    # Out.

    def sign_out(self, visit: Visit) -> Page:
        """End the session of this browser."""
        with self.frame.begin(visit) as connection:
            if visit.caller is not None:
                end(connection, visit)
        self.frame.close_session(visit)
        return go("/")

    # Again.

    def ask_again(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form that asks for what this account signs in with."""
        person = visit.person
        with self.frame.database.read() as connection:
            factors = second_factors.of_user(connection, person.user_id)
        values = {"next": visit.next or START, "factors": factors, "providers": self.providers}
        return (
            Page(template="step_up.html", values=values) if error is None else refusal("step_up.html", error, **values)
        )

    def prove_again(self, visit: Visit) -> Page:
        """Password and code, as far as the account has them."""
        frame, person = self.frame, visit.person
        password, code = visit.form.get("password") or None, visit.form.get("code") or None
        try:
            with frame.database.read() as connection:
                step_up.refuse_incomplete(
                    connection, person.user_id, has_password=password is not None, has_code=code is not None
                )
            guess, is_right = None, False
            if password is not None:
                guess, is_right = check_password(frame, visit, person.email, password)
            with frame.begin(visit) as connection:
                token = step_up.prove(
                    connection,
                    visit.person,
                    guess=guess,
                    is_right=is_right,
                    code=None if code is None else code[:40],
                    secret_key=frame.secret_key,
                    now=visit.now,
                )
        except ForebayError as error:
            return self.ask_again(visit, error)
        frame.open_session(visit, token)
        return go(visit.next or START)

    def prove_by_passkey(self, visit: Visit) -> Page:
        """One of the person's own passkeys."""
        frame = self.frame
        try:
            with frame.begin(visit) as connection:
                if recognise(frame, visit, connection).id != visit.person.user_id:
                    raise passkeys.WrongPasskey
                token = step_up.renew(connection, visit.person, "passkey", secret_key=frame.secret_key, now=visit.now)
        except ForebayError as error:
            return self.ask_again(visit, error)
        frame.open_session(visit, token)
        return go(visit.next or START)


def check_password(frame: Frame, visit: Visit, email: str, password: str) -> tuple[Guess, bool]:
    """Count the attempt, then look at the password; equally long without an account. Raises RateLimitExceeded."""
    with frame.database.read() as connection:
        guess = sign_in.guess(connection, email, secret_key=frame.secret_key, now=visit.now, address=visit.address)
    with frame.database.begin() as connection:
        slow_down.count(connection, guess.attempt, now=visit.now)
    return guess, guess.is_right(password[:MOST_PASSWORD])


def recognise(frame: Frame, visit: Visit, connection: Connection) -> Account:
    """Whose passkey answered. Raises BadRequest, WrongPasskey."""
    return passkeys.recognise(
        connection,
        visit.form.get("token", "")[:200],
        credential_of(visit),
        passkeys.site_of(frame.public_url),
        secret_key=frame.secret_key,
        now=visit.now,
        address=visit.address,
    )


def credential_of(visit: Visit) -> dict[str, object]:
    """What our script put into the form. Raises BadRequest."""
    try:
        return msgspec.json.decode(visit.form.get("credential", ""), type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("The passkey did not answer. Try again.") from None


def finish(
    frame: Frame, visit: Visit, connection: Connection, account: Account, methods: str
) -> SignedIn | SecondFactorNeeded:
    """The first factor was right. A session that this browser had before ends."""
    found = sign_in.finish(
        connection,
        account,
        secret_key=frame.secret_key,
        now=visit.now,
        days=frame.session_days,
        address=visit.address,
        user_agent=visit.user_agent,
        kind="browser",
        methods=methods,
    )
    if visit.caller is not None and isinstance(found, SignedIn):
        end(connection, visit)
    return found


def end(connection: Connection, visit: Visit) -> None:
    """End the session of this browser."""
    person = visit.person
    session_id = person.session_id or ""
    sessions.end(connection, person.user_id, session_id, now=visit.now)
    activity.record(connection, person, "account.sign-out", now=visit.now, object_type="session", object_id=session_id)


def welcome(frame: Frame, visit: Visit, found: SignedIn | SecondFactorNeeded) -> Page:
    """Signed in, and on to where the person wanted to go; or asked for the second factor.

    Between the two the browser holds the token of the sign-in in a cookie, out of reach of scripts.
    """
    if isinstance(found, SecondFactorNeeded):
        visit.new_cookies.append(frame.bake("step", found.token, seconds=sign_in.STEP_SECONDS))
        return go(with_next("/second-factor", visit.next))
    frame.open_session(visit, found.token)
    visit.new_cookies.append(frame.bake("step", "", seconds=0))
    later = path_of_ours(visit.cookies.get(frame.cookie("next"), ""))
    if later:
        visit.new_cookies.append(frame.bake("next", "", seconds=0))
    return go(visit.next or later or START)


def remember_next(frame: Frame, visit: Visit) -> None:
    """Where to go once the address is proved, which may take a day and another tab."""
    if visit.next:
        visit.new_cookies.append(frame.bake("next", visit.next, seconds=LATER_SECONDS))
