"""`/api/auth/factors`, `/totp`, `/recovery-codes`: what I sign in with beside the password."""

from forebay.api.auth import Code, Message
from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.domain.people import factor_changes, second_factors


class Factors(Wire):
    """What I can sign in with."""

    password: bool
    totp: bool
    """An authenticator app is in use."""
    passkeys: int
    identities: list[str]
    """Providers that are connected."""
    recovery_codes_left: int


class Enrolment(Wire):
    """For the authenticator app: type the secret, or show the URI as a QR code. It is shown once."""

    secret: str
    """Base32."""
    uri: str
    """`otpauth://totp/…`: SHA-1, 6 digits, 30 seconds."""


class FactorCode(Input):
    """A code of the authenticator app; where it is in use, or a recovery code."""

    code: Code


class RecoveryCodes(Wire):
    """Keep them where the authenticator app is not. Each is good once; they are shown once."""

    recovery_codes: list[str]


@route("GET", "/api/auth/factors", needs=Needs.session, answers=Factors)
def show(call: Call) -> Factors:
    """What I can sign in with."""
    found = second_factors.of_user(call.connection, call.caller.user_id)
    return Factors(
        password=found.has_password,
        totp=found.has_totp,
        passkeys=found.passkeys,
        identities=list(found.identities),
        recovery_codes_left=found.recovery_codes_left,
    )


@route(
    "POST",
    "/api/auth/totp",
    needs=Needs.session,
    is_recent=True,
    answers=Enrolment,
    raises=(409,),
    is_replayable=False,
)
def begin(call: Call) -> Enrolment:
    """Begin to set up an authenticator app: its secret. It counts once `/confirm` has seen a code of it."""
    caller = call.caller
    found = factor_changes.begin_totp(call.connection, caller, secret_key=call.services.secret_key, now=call.now)
    return Enrolment(secret=found.secret, uri=found.uri)


@route(
    "POST",
    "/api/auth/totp/confirm",
    needs=Needs.session,
    is_recent=True,
    body=FactorCode,
    answers=RecoveryCodes,
    raises=(409,),
    is_replayable=False,
)
def confirm(call: Call, body: FactorCode) -> RecoveryCodes:
    """Put the authenticator app into use with a first code: ten recovery codes.

    From now on sign-in asks for a code too. This session counts as one of two factors.
    """
    codes = factor_changes.confirm_totp(
        call.connection,
        call.caller,
        body.code,
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return RecoveryCodes(recovery_codes=codes)


@route("DELETE", "/api/auth/totp", needs=Needs.session, is_recent=True, body=FactorCode, answers=Message, raises=(409,))
def remove(call: Call, body: FactorCode) -> Message:
    """Take the authenticator app and the recovery codes away, with a last code of either."""
    factor_changes.remove_totp(
        call.connection,
        call.caller,
        body.code,
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return Message(message="The authenticator app is taken away. Sign-in asks for no code any more.")


@route(
    "POST",
    "/api/auth/recovery-codes",
    needs=Needs.session,
    is_recent=True,
    answers=RecoveryCodes,
    raises=(409,),
    is_replayable=False,
)
def renew(call: Call) -> RecoveryCodes:
    """Ten new recovery codes; the ones before are worth nothing any more."""
    codes = factor_changes.renew_codes(
        call.connection,
        call.caller,
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return RecoveryCodes(recovery_codes=codes)
