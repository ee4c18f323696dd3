"""`/api/auth/cli`: a program signs in through the browser of its user (`forebay login`). The page is `/cli`."""

from typing import Annotated, Literal

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, iso
from forebay.api.route import Needs, route
from forebay.domain.people import cli_sign_ins


class CliSignIn(Input):
    """Which program asks."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    """Shown to the person who approves, and in their list of sessions: the program and its machine."""


class CliSignInBegun(Wire):
    """Show the address and the code to the person; ask with the token."""

    device_token: str
    """The program's secret."""
    user_code: str
    verify_url: str
    expires_in: int
    """Seconds."""
    interval: int
    """Seconds to wait between two looks."""


class DeviceToken(Input):
    """What `POST /api/auth/cli` answered."""

    device_token: Annotated[str, msgspec.Meta(max_length=200)]


class CliSignedIn(Wire, omit_defaults=True):
    """Whether the person has approved; if so a session, with its token, which is shown once."""

    status: Literal["pending", "approved"]
    token: str | None = None
    session_id: str | None = None
    expires_at: str | None = None
    user_id: str | None = None
    current_team_id: str | None = None


@route("POST", "/api/auth/cli", needs=Needs.nothing, body=CliSignIn, answers=CliSignInBegun)
def begin(call: Call, body: CliSignIn) -> CliSignInBegun:
    """Begin to sign in through the browser.

    Someone who is signed in there opens `verifyUrl`, compares the code and approves.
    """
    begun = cli_sign_ins.begin(
        call.connection, body.name, call.services.secret_key, now=call.now, address=call.incoming.address
    )
    return CliSignInBegun(
        device_token=begun.device_token,
        user_code=begun.user_code,
        verify_url=f"{call.services.public_url()}/cli?code={begun.user_code}",
        expires_in=cli_sign_ins.GOOD_SECONDS,
        interval=cli_sign_ins.INTERVAL_SECONDS,
    )


@route("POST", "/api/auth/cli/token", needs=Needs.nothing, body=DeviceToken, answers=CliSignedIn)
def finish(call: Call, body: DeviceToken) -> CliSignedIn:
    """Ask whether the person has approved, at most once a second.

    `pending` while nobody has decided; once approved a session of kind `cli`; 400 if it was denied
    (`SIGN_IN_DENIED`), took longer than ten minutes or was given already (`STEP_EXPIRED`).
    """
    approved = cli_sign_ins.finish(
        call.connection,
        body.device_token,
        call.services.secret_key,
        now=call.now,
        days=min(call.settings.session_days, call.settings.session_idle_days),
    )
    if approved is None:
        return CliSignedIn(status="pending")
    return CliSignedIn(
        status="approved",
        token=approved.token,
        session_id=approved.session.id,
        expires_at=iso(int(approved.session.expires_at.timestamp())),
        user_id=approved.account.id,
        current_team_id=approved.account.current_team_id,
    )
