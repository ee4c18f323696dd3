"""`/api/auth/sessions`: where I am signed in, and how to end that."""

from forebay.api.auth import Message
from forebay.api.call import Call
from forebay.api.envelope import Wire, iso, iso_at
from forebay.api.route import Needs, route
from forebay.domain.people import activity, sessions


class Session(Wire):
    """A sign-in that has not ended."""

    id: str
    created_at: str
    expires_at: str
    last_seen_at: str | None
    """To the minute."""
    address: str
    user_agent: str
    kind: str
    """What holds its token: `program`, `browser` or `cli`."""
    methods: str
    """What it began with: `password`, `password+totp`, `passkey`, `oidc:<provider>`."""
    is_current: bool


class Sessions(Wire):
    """All of mine, newest first; there are fifty at most."""

    sessions: list[Session]


@route("GET", "/api/auth/sessions", needs=Needs.session, answers=Sessions)
def list_sessions(call: Call) -> Sessions:
    """My sessions."""
    return Sessions(
        sessions=[
            Session(
                id=session.id,
                created_at=iso(int(session.created_at.timestamp())) or "",
                expires_at=iso(int(session.expires_at.timestamp())) or "",
                last_seen_at=iso_at(session.last_seen_at),
                address=session.address,
                user_agent=session.user_agent,
                kind=session.kind,
                methods=session.methods,
                is_current=session.id == call.caller.session_id,
            )
            for session in sessions.of_user(call.connection, call.caller.user_id, now=call.now)
        ]
    )


@route("DELETE", "/api/auth/sessions", needs=Needs.session, answers=Message)
def end_others(call: Call) -> Message:
    """End all of my sessions but this one."""
    caller = call.caller
    ended = sessions.end_all(call.connection, caller.user_id, now=call.now, but=caller.session_id)
    activity.record(call.connection, caller, "session.end-others", now=call.now, details={"ended": ended})
    return Message(message=f"{ended} other {'session has' if ended == 1 else 'sessions have'} ended.")


@route("DELETE", "/api/auth/sessions/{session_id}", needs=Needs.session, answers=Message)
def end_session(call: Call, session_id: str) -> Message:
    """End one of my sessions, this one or another."""
    sessions.end(call.connection, call.caller.user_id, session_id, now=call.now)
    activity.record(
        call.connection, call.caller, "session.end", now=call.now, object_type="session", object_id=session_id
    )
    return Message(message="The session has ended.")
