"""Sessions: where I am signed in. They need a session, not a key."""

from forebay.client.request import Answer, Request
from forebay.client.sign_in import Message


class Session(Answer):
    """A sign-in that has not ended."""

    id: str
    created_at: str
    expires_at: str
    last_seen_at: str | None
    address: str
    user_agent: str
    kind: str
    """`program`, `browser` or `cli`."""
    methods: str
    is_current: bool


class Sessions(Answer):
    """All of mine, newest first."""

    sessions: list[Session]


def listed() -> Request[Sessions]:
    """Where I am signed in."""
    return Request(method="GET", path="/api/auth/sessions", answers=Sessions)


def end(session_id: str) -> Request[Message]:
    """End one of them."""
    return Request(
        method="DELETE", path="/api/auth/sessions/{session_id}", at={"session_id": session_id}, answers=Message
    )


def end_others() -> Request[Message]:
    """End all but this one. Needs a recent sign-in."""
    return Request(method="DELETE", path="/api/auth/sessions", answers=Message)
