"""`/api/auth`: making an account, proving its address, signing in and out, and the sessions that are open."""

from typing import Annotated

import msgspec

from forebay.api.call import Call, Services
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.money import ledger
from forebay.domain.people import accounts, activity, credentials, mails, sessions
from forebay.domain.people.accounts import Account, AddressTaken
from forebay.errors import Forbidden, Unauthenticated

Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
NewPassword = Annotated[str, msgspec.Meta(min_length=credentials.MIN_PASSWORD, max_length=credentials.MAX_PASSWORD)]
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


class SignedIn(Wire):
    """A session: send the token as `Authorization: Bearer`. It is shown once."""

    token: str
    session_id: str
    expires_at: str
    user_id: str
    current_team_id: str | None


class Session(Wire):
    """A sign-in that has not ended."""

    id: str
    created_at: str
    expires_at: str
    address: str
    user_agent: str
    is_current: bool


class Sessions(Wire):
    """All of mine, newest first."""

    sessions: list[Session]


def hash_first(services: Services, body: SignUp) -> str:
    """The hash of the new password; it takes a while."""
    return credentials.hash_password(body.password)


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
    account = accounts.by_email(call.connection, email)
    call.nudge("mails")
    if account is not None and account.verified_at is not None:
        text = (
            f"Hello {account.name},\n\nsomeone, perhaps you, wants to make an account with this address at\n"
            f"{call.services.public_url()}\n\nYou have one already: just sign in. "
            "If it wasn't you, there is nothing to do.\n"
        )
        mails.queue(
            call.connection, recipient=account.email, subject="You have an account already", text=text, now=call.now
        )
        return Message(message=SENT)
    if account is None:
        account = new_account(call, email, name, prepared)
    else:
        accounts.replace_unverified(call.connection, account, name=name, password_hash=prepared)
    token = accounts.new_verification(call.connection, account, call.services.secret_key, now=call.now)
    text = (
        f"Hello {name},\n\nopen this link to prove your address; it is good for a day, and once:\n\n"
        f"{call.services.public_url()}/verify?token={token}\n\nIf you did not ask for an account, ignore this mail.\n"
    )
    mails.queue(call.connection, recipient=email, subject="Prove your address", text=text, now=call.now)
    return Message(message=SENT)


def new_account(call: Call, email: str, name: str, password_hash: str) -> Account:
    """An account with its team, or the one that someone made with the address in this very moment."""
    try:
        account, team_id = accounts.create(
            call.connection, email=email, name=name, password_hash=password_hash, now=call.now
        )
    except AddressTaken:
        found = accounts.by_email(call.connection, email)
        assert found is not None
        accounts.replace_unverified(call.connection, found, name=name, password_hash=password_hash)
        return found
    ledger.open_account(call.connection, team_id)
    activity.record(call.connection, None, "account.sign-up", now=call.now, object_type="account", object_id=account.id)
    return account


@route("POST", "/api/auth/verify", needs=Needs.nothing, body=Token, answers=Message)
def verify(call: Call, body: Token) -> Message:
    """Prove the address with the token from the mail."""
    account = accounts.verify(call.connection, body.token, call.services.secret_key, now=call.now)
    activity.record(call.connection, None, "account.verify", now=call.now, object_type="account", object_id=account.id)
    return Message(message="Your address is proved. You can sign in now.")


def check_first(services: Services, body: SignIn) -> str | None:
    """The id of the account if the password is right; it takes equally long if there is no such account."""
    with services.database.read() as connection:
        account = accounts.by_email(connection, body.email)
    is_right = credentials.is_right_password(account.password_hash if account else None, body.password)
    return account.id if account is not None and is_right else None


@route(
    "POST",
    "/api/auth/sign-in",
    needs=Needs.nothing,
    body=SignIn,
    answers=SignedIn,
    raises=(401, 403),
    before=check_first,
)
def sign_in(call: Call, body: SignIn, prepared: str | None) -> SignedIn:
    """Sign in: a session's token, for programs and for people."""
    account = None if prepared is None else accounts.by_id(call.connection, prepared)
    if account is None:
        raise Unauthenticated("The address or the password is wrong.", code="WRONG_CREDENTIALS")
    if account.verified_at is None:
        raise Forbidden("Prove your address first: open the link in the mail we sent.", code="ADDRESS_NOT_VERIFIED")
    token, session = sessions.begin(
        call.connection,
        account.id,
        call.services.secret_key,
        now=call.now,
        days=min(call.settings.session_days, call.settings.session_idle_days),
        address=call.incoming.address,
        user_agent=call.incoming.user_agent,
    )
    return SignedIn(
        token=token,
        session_id=session.id,
        expires_at=iso(int(session.expires_at.timestamp())) or "",
        user_id=account.id,
        current_team_id=account.current_team_id,
    )


@route("POST", "/api/auth/sign-out", needs=Needs.session, answers=Message)
def sign_out(call: Call) -> Message:
    """End this session."""
    sessions.end(call.connection, call.caller.user_id, call.caller.session_id or "", now=call.now)
    return Message(message="You are signed out.")


@route("GET", "/api/auth/sessions", needs=Needs.session, answers=Sessions)
def list_sessions(call: Call) -> Sessions:
    """My sessions."""
    return Sessions(
        sessions=[
            Session(
                id=session.id,
                created_at=iso(int(session.created_at.timestamp())) or "",
                expires_at=iso(int(session.expires_at.timestamp())) or "",
                address=session.address,
                user_agent=session.user_agent,
                is_current=session.id == call.caller.session_id,
            )
            for session in sessions.of_user(call.connection, call.caller.user_id, now=call.now)
        ]
    )


@route("DELETE", "/api/auth/sessions/{session_id}", needs=Needs.session, answers=Message)
def end_session(call: Call, session_id: str) -> Message:
    """End one of my sessions, this one or another."""
    sessions.end(call.connection, call.caller.user_id, session_id, now=call.now)
    return Message(message="The session has ended.")
