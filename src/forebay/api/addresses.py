"""`/api/me/email` and `/api/auth/change-address`: moving an account to another address."""

from typing import Annotated

import msgspec

from forebay.api.auth import Message, Token
from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.domain.people import addresses


class NewAddress(Input):
    """Where I want to be written to."""

    email: Annotated[str, msgspec.Meta(min_length=3, max_length=320)]


class AddressProved(Wire):
    """One of both mailboxes has agreed."""

    is_done: bool
    """Both have: the address is changed."""
    message: str


@route("POST", "/api/me/email", needs=Needs.session, is_recent=True, body=NewAddress, answers=Message, status=202)
def begin(call: Call, body: NewAddress) -> Message:
    """Ask for another address: a link goes to each of both, and the change happens once both were opened.

    They are good for a day. A change asked for before is given up. Five a day may be asked for.
    """
    addresses.begin(
        call.connection,
        call.caller,
        body.email,
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
    )
    call.nudge("mails")
    return Message(message="We have sent a mail to both addresses. The change happens once both have agreed.")


@route("DELETE", "/api/me/email", needs=Needs.session, answers=Message, raises=(404,))
def cancel(call: Call) -> Message:
    """Give the change of address up."""
    addresses.cancel(call.connection, call.caller, now=call.now)
    return Message(message="The change of address is given up.")


@route("POST", "/api/auth/change-address", needs=Needs.nothing, body=Token, answers=AddressProved)
def prove(call: Call, body: Token) -> AddressProved:
    """Agree to a change of address with the token from the mail.

    The present address and the new one both do, in either order.
    """
    is_done = addresses.prove(
        call.connection,
        body.token,
        secret_key=call.services.secret_key,
        public_url=call.services.public_url(),
        now=call.now,
        address=call.incoming.address,
    )
    call.nudge("mails")
    if is_done:
        return AddressProved(is_done=True, message="Your address is changed.")
    return AddressProved(is_done=False, message="Thank you. The change happens once the other address has agreed too.")
