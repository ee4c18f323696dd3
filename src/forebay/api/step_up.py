"""`/api/auth/step-up`: proving again, within a session, who one is."""

from forebay.api.auth import Checked, Code, Password, check_password
from forebay.api.call import Asker, Call, Services
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.people import sessions, step_up
from forebay.domain.people.access import Caller
from forebay.errors import Forbidden


class Proof(Input):
    """What this account signs in with: the password, a code of the authenticator app (or a recovery code), or both."""

    password: Password | None = None
    code: Code | None = None


class Proved(Wire):
    """The session goes on with a new token; the one before is dead."""

    token: str
    """Shown once."""
    session_id: str
    recent_until: str
    """Until then nothing asks for a proof again."""


def signed_in(asker: Asker) -> Caller:
    """Who asks, in a session. Raises Forbidden for an API key, before anything slow is done for it."""
    person = asker.person
    if person is None or person.session_id is None:
        raise Forbidden("This is done by a person who is signed in, not with an API key.", code="SESSION_NEEDED")
    return person


def check_first(services: Services, body: Proof, asker: Asker) -> Checked | None:
    """The password, looked at outside the transaction, if all is given that is needed."""
    person = signed_in(asker)
    with services.database.read() as connection:
        step_up.refuse_incomplete(
            connection, person.user_id, has_password=body.password is not None, has_code=body.code is not None
        )
    if body.password is None:
        return None
    return check_password(services, person.email, body.password, asker.incoming.address)


@route(
    "POST",
    "/api/auth/step-up",
    needs=Needs.session,
    body=Proof,
    answers=Proved,
    before=check_first,
    is_replayable=False,
)
def prove(call: Call, body: Proof, prepared: Checked | None) -> Proved:
    """Prove again who I am, as strongly as at sign-in: for what answers 403 `SIGN_IN_AGAIN`.

    With a password and an authenticator app both are needed; `details` of the 400 names what is missing. The session
    gets a new token, and for 15 minutes nothing asks again. Wrong guesses count as at sign-in.
    """
    token = step_up.prove(
        call.connection,
        call.caller,
        guess=None if prepared is None else prepared.guess,
        is_right=prepared is not None and prepared.is_right,
        code=body.code,
        secret_key=call.services.secret_key,
        now=call.now,
    )
    return proved(call, token)


def proved(call: Call, token: str) -> Proved:
    """The renewed session as the wire shows it."""
    until = int(call.now.timestamp()) + sessions.RECENT_SECONDS
    return Proved(token=token, session_id=call.caller.session_id or "", recent_until=iso(until) or "")
