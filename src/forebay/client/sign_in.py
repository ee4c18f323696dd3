"""Signing in: with a password, in two steps where a second factor is set up, or through the browser."""

from forebay.client.request import Answer, Request, given


class Message(Answer):
    """A sentence for the person."""

    message: str


class SecondFactor(Answer):
    """The password was right; the token is for the second step."""

    token: str
    methods: list[str]
    expires_at: str


class SignedIn(Answer):
    """A session; its token is shown once."""

    token: str
    session_id: str
    expires_at: str
    user_id: str
    current_team_id: str | None


class SignInAnswer(Answer):
    """A session, or `second_factor` where a second step is needed."""

    token: str | None = None
    session_id: str | None = None
    expires_at: str | None = None
    user_id: str | None = None
    current_team_id: str | None = None
    second_factor: SecondFactor | None = None


class Begun(Answer):
    """Show the address and the code to the person, and ask with the device token every `interval` seconds."""

    device_token: str
    user_code: str
    verify_url: str
    expires_in: int
    interval: int


class Outcome(Answer):
    """`pending`, or `approved` with a session."""

    status: str
    token: str | None = None
    session_id: str | None = None
    expires_at: str | None = None
    user_id: str | None = None
    current_team_id: str | None = None


class Proved(Answer):
    """The session goes on with a new token, and counts as recent until then."""

    token: str
    session_id: str
    recent_until: str


def with_password(email: str, password: str) -> Request[SignInAnswer]:
    """Begin a session with a password."""
    return Request(
        method="POST",
        path="/api/auth/sign-in",
        body={"email": email, "password": password},
        answers=SignInAnswer,
        is_open=True,
    )


def with_second_factor(token: str, code: str) -> Request[SignedIn]:
    """The second step: a code of the authenticator app, or a recovery code."""
    return Request(
        method="POST",
        path="/api/auth/second-factor",
        body={"token": token, "code": code},
        answers=SignedIn,
        is_open=True,
    )


def through_browser(name: str) -> Request[Begun]:
    """Begin to sign in through the browser; `name` is what the person is shown."""
    return Request(method="POST", path="/api/auth/cli", body={"name": name}, answers=Begun, is_open=True)


def finish(device_token: str) -> Request[Outcome]:
    """Ask whether the person has approved."""
    return Request(
        method="POST", path="/api/auth/cli/token", body={"deviceToken": device_token}, answers=Outcome, is_open=True
    )


def again(*, password: str | None = None, code: str | None = None) -> Request[Proved]:
    """Prove again who I am, within this session, which gets a new token."""
    body = given(password=password, code=code)
    return Request(method="POST", path="/api/auth/step-up", body=body, answers=Proved)


def out() -> Request[Message]:
    """End this session."""
    return Request(method="POST", path="/api/auth/sign-out", answers=Message)
