"""`/api/auth`: making an account, proving its address, signing in with one factor or two, signing out."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.call import Asker, Call, Services
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.money import sign_up as signing_up
from forebay.domain.money.sign_up import Applicant
from forebay.domain.people import accounts, activity, credentials, passwords, sessions, sign_in, slow_down
from forebay.domain.people.sign_in import Guess, SecondFactorNeeded

Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
NewPassword = Annotated[str, msgspec.Meta(min_length=credentials.MIN_PASSWORD, max_length=credentials.MAX_PASSWORD)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
SENT = "We have sent a mail to this address. Open the link in it to go on."


class SignUp(Input):
    """A new account."""

    email: Annotated[str, msgspec.Meta(min_length=3, max_length=320)]
    password: NewPassword
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]


class Message(Wire):
    """A sentence for the person."""

    message: str


class Token(Input):
    """What the link in the mail carries."""

    token: Annotated[str, msgspec.Meta(max_length=200)]


class SignIn(Input):
    """Who wants in."""

    email: Annotated[str, msgspec.Meta(max_length=320)]
    password: Password


class SecondFactor(Wire):
    """The password was right, and this account has a second factor: give it to `POST /api/auth/second-factor`."""

    token: str
    """Names this sign-in; good for five minutes, and for one success."""
    methods: list[str]
    """What may be given: `totp`, a code of the authenticator app; `recovery-code`, one of those kept for its loss."""
    expires_at: str


class SignedIn(Wire):
    """A session: send the token as `Authorization: Bearer`. It is shown once."""

    token: str
    session_id: str
    expires_at: str
    user_id: str
    current_team_id: str | None


class SignInAnswer(Wire):
    """Either a session, as after the second factor, or `secondFactor` alone: what is asked for next."""

    token: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    current_team_id: str | UnsetType | None = UNSET
    second_factor: SecondFactor | UnsetType = UNSET


class SecondFactorCode(Input):
    """The second factor of a sign-in."""

    token: Annotated[str, msgspec.Meta(max_length=200)]
    """From the answer to the sign-in."""
    code: Code
    """Six digits of the authenticator app, or a recovery code."""


def hash_first(services: Services, body: SignUp, asker: Asker) -> str:
    """The hash of the new password; it takes a while."""
    return passwords.hash_new(body.password, email=body.email, name=body.name)


@route(
    "POST",
    "/api/auth/sign-up",
    needs=Needs.nothing,
    body=SignUp,
    answers=Message,
    status=202,
    raises=(403,),
    before=hash_first,
)
def sign_up(call: Call, body: SignUp, prepared: str) -> Message:
    """Make an account with a team of its own.

    A mail with a link proves the address. The answer is the same whether the address has an account or not.
    """
    email, name = accounts.check_email(body.email), accounts.check_name(body.name)
    if call.settings.sign_up == "invited":
        accounts.refuse_uninvited(call.connection, email, now=call.now)
    signing_up.sign_up(
        call.connection,
        Applicant(email=email, name=name, password_hash=prepared),
        public_url=call.services.public_url(),
        secret_key=call.services.secret_key,
        now=call.now,
        address=call.incoming.address,
    )
    call.nudge("mails")
    return Message(message=SENT)


@route("POST", "/api/auth/verify", needs=Needs.nothing, body=Token, answers=Message)
def verify(call: Call, body: Token) -> Message:
    """Prove the address with the token from the mail."""
    signing_up.verify(
        call.connection,
        body.token,
        secret_key=call.services.secret_key,
        now=call.now,
        address=call.incoming.address,
    )
    return Message(message="Your address is proved. You can sign in now.")


class Checked(msgspec.Struct, frozen=True):
    """A password that was looked at."""

    guess: Guess
    is_right: bool


def check_password(services: Services, email: str, password: str, address: str) -> Checked:
    """Count the attempt, then look at the password; equally long without an account. Raises RateLimitExceeded."""
    now = services.clock.now()
    with services.database.read() as connection:
        guess = sign_in.guess(connection, email, secret_key=services.secret_key, now=now, address=address)
    with services.database.begin() as connection:
        slow_down.count(connection, guess.attempt, now=now)
    return Checked(guess, guess.is_right(password))


def check_first(services: Services, body: SignIn, asker: Asker) -> Checked:
    """The password, looked at outside the transaction."""
    return check_password(services, body.email, body.password, asker.incoming.address)


@route(
    "POST",
    "/api/auth/sign-in",
    needs=Needs.nothing,
    body=SignIn,
    answers=SignInAnswer,
    raises=(401, 403),
    before=check_first,
)
def begin(call: Call, body: SignIn, prepared: Checked) -> SignInAnswer:
    """Sign in: a session's token, for programs and for people, or what is asked for next.

    Where an authenticator app is set up the answer is `{secondFactor: {token, methods, expiresAt}}` and nothing else:
    `POST /api/auth/second-factor` goes on. After five wrong passwords in a row each costs a wait, told by
    `Retry-After`.
    """
    address = call.incoming.address
    account = sign_in.finish_guess(call.connection, prepared.guess, prepared.is_right, now=call.now, address=address)
    found = sign_in.finish(
        call.connection,
        account,
        secret_key=call.services.secret_key,
        now=call.now,
        days=days(call),
        address=address,
        user_agent=call.incoming.user_agent,
        methods="password",
    )
    if isinstance(found, SecondFactorNeeded):
        step = SecondFactor(
            token=found.token,
            methods=list(found.methods),
            expires_at=iso(int(found.expires_at.timestamp())) or "",
        )
        return SignInAnswer(second_factor=step)
    return SignInAnswer(**msgspec.structs.asdict(shown(found)))


@route(
    "POST", "/api/auth/second-factor", needs=Needs.nothing, body=SecondFactorCode, answers=SignedIn, raises=(401, 403)
)
def second_factor(call: Call, body: SecondFactorCode) -> SignedIn:
    """Finish a sign-in with the second factor: a session's token.

    A code of the app is good once, a recovery code too. Wrong ones count: after five each costs a wait.
    """
    return shown(
        sign_in.complete(
            call.connection,
            body.token,
            body.code,
            secret_key=call.services.secret_key,
            now=call.now,
            days=days(call),
            address=call.incoming.address,
            user_agent=call.incoming.user_agent,
        )
    )


def days(call: Call) -> int:
    """How long a session lasts that is not used."""
    return min(call.settings.session_days, call.settings.session_idle_days)


def shown(found: sign_in.SignedIn) -> SignedIn:
    """A session as the wire shows it, once."""
    return SignedIn(
        token=found.token,
        session_id=found.session.id,
        expires_at=iso(int(found.session.expires_at.timestamp())) or "",
        user_id=found.account.id,
        current_team_id=found.account.current_team_id,
    )


@route("POST", "/api/auth/sign-out", needs=Needs.session, answers=Message)
def sign_out(call: Call) -> Message:
    """End this session."""
    sessions.end(call.connection, call.caller.user_id, call.caller.session_id or "", now=call.now)
    activity.record(
        call.connection,
        call.caller,
        "account.sign-out",
        now=call.now,
        object_type="session",
        object_id=call.caller.session_id,
    )
    return Message(message="You are signed out.")
