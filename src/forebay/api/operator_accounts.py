"""`/api/operator/users/…`: help for accounts that have lost a second factor, or whose sessions must end."""

from forebay.api.call import Call
from forebay.api.envelope import Wire
from forebay.api.operator_shapes import Because, Success
from forebay.api.route import Needs, route
from forebay.domain.people import operator_accounts
from forebay.errors import NotFound
from forebay.ids import is_id


class SessionsEnded(Wire):
    """They are good for nothing any more."""

    sessions_ended: int


@route(
    "POST",
    "/api/operator/users/{user_id}/end-sessions",
    needs=Needs.operator,
    body=Because,
    answers=SessionsEnded,
    is_recent=True,
)
def end_sessions(call: Call, user_id: str, body: Because) -> SessionsEnded:
    """End all sessions of an account at once; its owner is told by mail, with the reason. Keys go on."""
    ended = operator_accounts.end_sessions(call.connection, call.caller, known(user_id), body.reason, now=call.now)
    call.nudge("mails")
    return SessionsEnded(sessions_ended=ended)


@route(
    "POST",
    "/api/operator/users/{user_id}/remove-second-factor",
    needs=Needs.operator,
    body=Because,
    answers=Success,
    is_recent=True,
    raises=(409,),
)
def remove_second_factor(call: Call, user_id: str, body: Because) -> Success:
    """Take a lost authenticator app and its recovery codes off an account, whose sessions end with it.

    Make sure first that it is the account's owner who asks. They are told by mail, with the reason.
    """
    operator_accounts.remove_second_factor(call.connection, call.caller, known(user_id), body.reason, now=call.now)
    call.nudge("mails")
    return Success(success=True)


def known(user_id: str) -> str:
    """An id, or what can't be one: NotFound."""
    if not is_id(user_id):
        raise NotFound("Account")
    return user_id
