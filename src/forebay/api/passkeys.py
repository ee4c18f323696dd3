"""`/api/auth/passkeys`, `/passkey-sign-in`, `/step-up/passkey`: signing in with a passkey (WebAuthn)."""

from typing import Annotated, Any

import msgspec

from forebay.api.auth import Message, SignedIn, days, shown
from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso, iso_at
from forebay.api.route import Needs, route
from forebay.api.step_up import Proved, proved
from forebay.domain.people import passkeys, sign_in, step_up
from forebay.domain.people.accounts import Account
from forebay.domain.people.passkeys import Site

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=passkeys.MOST_NAME)]


class PasskeyChallenge(Wire):
    """What the browser is asked; good for five minutes and for one answer."""

    token: str
    """Goes back with the answer."""
    options: dict[str, Any]
    """As `PublicKeyCredential.parse…OptionsFromJSON` takes them."""


class PasskeyAnswer(Input):
    """What the browser answered."""

    token: Annotated[str, msgspec.Meta(max_length=200)]
    credential: dict[str, Any]
    """`PublicKeyCredential.toJSON()`."""


class NewPasskey(PasskeyAnswer):
    """A passkey that was made."""

    name: Name = "Passkey"


class PasskeyName(Input):
    """What I call it."""

    name: Name


class Passkey(Wire):
    """One of my passkeys."""

    id: str
    name: str
    created_at: str
    last_used_at: str | None
    is_backed_up: bool
    """Kept by a service that has copies on other devices."""


class Passkeys(Wire):
    """All of mine, oldest first; there are twenty at most."""

    passkeys: list[Passkey]


def site(call: Call) -> Site:
    """Who we are to an authenticator."""
    return passkeys.site_of(call.services.public_url())


def seen(found: passkeys.Passkey) -> Passkey:
    """A passkey as the wire shows it."""
    return Passkey(
        id=found.id,
        name=found.name,
        created_at=iso(int(found.created_at.timestamp())) or "",
        last_used_at=iso_at(found.last_used_at),
        is_backed_up=found.is_backed_up,
    )


def challenge(found: passkeys.Challenge) -> PasskeyChallenge:
    """A challenge as the wire shows it."""
    return PasskeyChallenge(token=found.token, options=found.options)


@route("POST", "/api/auth/passkeys/options", needs=Needs.session, is_recent=True, answers=PasskeyChallenge)
def begin(call: Call) -> PasskeyChallenge:
    """Begin to add a passkey: what `navigator.credentials.create` is given."""
    return challenge(
        passkeys.begin_registration(call.connection, call.caller, site(call), call.services.secret_key, now=call.now)
    )


@route("POST", "/api/auth/passkeys", needs=Needs.session, is_recent=True, body=NewPasskey, answers=Passkey, status=201)
def add(call: Call, body: NewPasskey) -> Passkey:
    """Add the passkey that the browser made. A mail says so."""
    found = passkeys.register(
        call.connection,
        call.caller,
        body.token,
        body.credential,
        body.name,
        site(call),
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return seen(found)


@route("GET", "/api/auth/passkeys", needs=Needs.session, answers=Passkeys)
def list_passkeys(call: Call) -> Passkeys:
    """My passkeys."""
    return Passkeys(passkeys=[seen(one) for one in passkeys.of_user(call.connection, call.caller.user_id)])


@route("PATCH", "/api/auth/passkeys/{passkey_id}", needs=Needs.session, body=PasskeyName, answers=Passkey)
def rename(call: Call, passkey_id: str, body: PasskeyName) -> Passkey:
    """Call a passkey something else."""
    return seen(passkeys.rename(call.connection, call.caller, passkey_id, body.name, now=call.now))


@route(
    "DELETE",
    "/api/auth/passkeys/{passkey_id}",
    needs=Needs.session,
    is_recent=True,
    answers=Message,
    raises=(409,),
)
def remove(call: Call, passkey_id: str) -> Message:
    """Forget a passkey. A mail says so.

    The last way into the account can't be removed: 409 `LAST_WAY_IN`.
    """
    passkeys.remove(call.connection, call.caller, passkey_id, public_url=call.services.public_url(), now=call.now)
    call.nudge("mails")
    return Message(message="The passkey is removed.")


@route("POST", "/api/auth/passkey-sign-in/options", needs=Needs.nothing, answers=PasskeyChallenge)
def begin_sign_in(call: Call) -> PasskeyChallenge:
    """Begin to sign in with a passkey, or to prove with one who I am.

    The answer is what `navigator.credentials.get` is given.
    """
    return challenge(passkeys.begin_sign_in(call.connection, site(call), call.services.secret_key, now=call.now))


@route(
    "POST", "/api/auth/passkey-sign-in", needs=Needs.nothing, body=PasskeyAnswer, answers=SignedIn, raises=(401, 403)
)
def finish_sign_in(call: Call, body: PasskeyAnswer) -> SignedIn:
    """Sign in with a passkey. It is two factors in one: nothing else is asked for."""
    account = recognised(call, body)
    found = sign_in.finish(
        call.connection,
        account,
        secret_key=call.services.secret_key,
        now=call.now,
        days=days(call),
        address=call.incoming.address,
        user_agent=call.incoming.user_agent,
        methods="passkey",
    )
    assert isinstance(found, sign_in.SignedIn)
    return shown(found)


@route(
    "POST", "/api/auth/step-up/passkey", needs=Needs.session, body=PasskeyAnswer, answers=Proved, is_replayable=False
)
def prove(call: Call, body: PasskeyAnswer) -> Proved:
    """Prove again who I am with a passkey of mine, for what answers 403 `SIGN_IN_AGAIN`.

    The challenge comes from `POST /api/auth/passkey-sign-in/options`; the session gets a new token.
    """
    account = recognised(call, body)
    if account.id != call.caller.user_id:
        raise passkeys.WrongPasskey
    return proved(
        call, step_up.renew(call.connection, call.caller, "passkey", secret_key=call.services.secret_key, now=call.now)
    )


def recognised(call: Call, body: PasskeyAnswer) -> Account:
    """Whose passkey answered."""
    return passkeys.recognise(
        call.connection,
        body.token,
        body.credential,
        site(call),
        secret_key=call.services.secret_key,
        now=call.now,
        address=call.incoming.address,
    )
