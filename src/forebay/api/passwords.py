"""`/api/auth`: a forgotten password, and a new one."""

from typing import Annotated

import msgspec

from forebay.api.auth import Checked, Message, NewPassword, Password, check_password
from forebay.api.call import Asker, Call, Services
from forebay.api.envelope import Input
from forebay.api.route import Needs, route
from forebay.api.step_up import signed_in
from forebay.domain.people import accounts, passwords, sign_in
from forebay.errors import BadRequest

SENT = "If this address has an account, we have sent a mail to it. Open the link in it to go on."


class Forgotten(Input):
    """Whose password is forgotten."""

    email: Annotated[str, msgspec.Meta(min_length=1, max_length=320)]


class Reset(Input):
    """A new password, by means of the link in the mail."""

    token: Annotated[str, msgspec.Meta(max_length=200)]
    password: NewPassword


class Change(Input):
    """A new password for whoever is signed in."""

    password: NewPassword
    current_password: Password | None = None
    """Needed where there is one."""
    end_other_sessions: bool = True


@route("POST", "/api/auth/forgot-password", needs=Needs.nothing, body=Forgotten, answers=Message, status=202)
def forgot(call: Call, body: Forgotten) -> Message:
    """Ask for a link to set a new password with.

    The answer is the same whether the address has an account or not. At most five mails an hour go to one address.
    """
    services = call.services
    passwords.forgot(
        call.connection,
        body.email,
        public_url=services.public_url(),
        secret_key=services.secret_key,
        now=call.now,
        address=call.incoming.address,
    )
    call.nudge("mails")
    return Message(message=SENT)


def hash_reset(services: Services, body: Reset, asker: Asker) -> str:
    """The hash of the new password, if the link is good."""
    with services.database.begin() as connection:
        account = passwords.whose_link(
            connection,
            body.token,
            secret_key=services.secret_key,
            now=services.clock.now(),
            address=asker.incoming.address,
        )
    return passwords.hash_new(body.password, email=account.email, name=account.name)


@route("POST", "/api/auth/reset-password", needs=Needs.nothing, body=Reset, answers=Message, before=hash_reset)
def reset(call: Call, body: Reset, prepared: str) -> Message:
    """Set a new password with the token from the mail.

    It is good for an hour and once. All sessions end; a second factor stays needed; API keys stay.
    """
    services = call.services
    passwords.reset(
        call.connection,
        body.token,
        prepared,
        secret_key=services.secret_key,
        public_url=services.public_url(),
        now=call.now,
        address=call.incoming.address,
    )
    call.nudge("mails")
    return Message(message="Your password is set, and all sessions have ended. You can sign in now.")


class NewHash(msgspec.Struct, frozen=True):
    """The hash of the new password, and the present one looked at."""

    password_hash: str
    checked: Checked | None


def hash_change(services: Services, body: Change, asker: Asker) -> NewHash:
    """Both passwords, outside the transaction."""
    person = signed_in(asker)
    passwords.refuse_weak(body.password, email=person.email, name=person.name)
    with services.database.read() as connection:
        account = accounts.by_id(connection, person.user_id)
    checked = None
    if account is not None and account.password_hash is not None:
        if body.current_password is None:
            raise BadRequest("The present password is needed.", details={"currentPassword": "required"})
        checked = check_password(services, person.email, body.current_password, asker.incoming.address)
        if not checked.is_right:
            return NewHash("", checked)
    return NewHash(passwords.hash_new(body.password, email=person.email, name=person.name), checked)


@route("POST", "/api/auth/password", needs=Needs.session, body=Change, answers=Message, before=hash_change)
def change(call: Call, body: Change, prepared: NewHash) -> Message:
    """Change my password.

    The present one is needed, or where there is none a sign-in of the last 15 minutes. All other sessions end unless
    `endOtherSessions` is false.
    """
    if prepared.checked is None:
        call.demand_recent()
    else:
        sign_in.finish_guess(
            call.connection,
            prepared.checked.guess,
            prepared.checked.is_right,
            now=call.now,
            address=call.incoming.address,
        )
    ended = passwords.change(
        call.connection,
        call.caller,
        prepared.password_hash,
        ends_others=body.end_other_sessions,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return Message(message=f"Your password is changed. Other sessions ended: {ended}.")
