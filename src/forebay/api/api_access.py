"""`/api/api-access`: where an account stands on the whitelist of who may have API keys, and asking to be on it."""

from typing import Literal

from forebay.api.call import Call
from forebay.api.envelope import Wire, iso_at
from forebay.api.route import Needs, route
from forebay.domain.people import api_access


class ApiAccess(Wire):
    """Where the account stands on the whitelist."""

    status: Literal["none", "requested", "approved", "refused"]
    message: str
    reason: str | None
    """What the operator who decided gave as a reason."""
    requested_at: str | None
    """Since when it is waiting for an operator."""
    decided_at: str | None
    may_ask_from: str | None
    """After a refusal: from then on it can be asked for again."""


SENTENCES = {
    "none": "Ask for API access, and an operator will look at it.",
    "requested": "You have asked for API access. An operator will look at it.",
    "approved": "You can make API keys.",
    "refused": "An operator has refused API access.",
}


def shown(call: Call) -> ApiAccess:
    """How it stands now."""
    found = api_access.of(call.connection, call.caller.user_id)
    if call.settings.api_access == "everyone":
        found = api_access.Standing(state="approved", reason=None, at=None)
    is_decided = found.state in ("approved", "refused")
    return ApiAccess(
        status=found.state,
        message=SENTENCES[found.state],
        reason=found.reason if is_decided else None,
        requested_at=iso_at(found.at) if found.state == "requested" else None,
        decided_at=iso_at(found.at) if is_decided else None,
        may_ask_from=iso_at(found.may_ask_from) if found.state == "refused" else None,
    )


@route("GET", "/api/api-access", needs=Needs.account, answers=ApiAccess, is_inline=True)
def show(call: Call) -> ApiAccess:
    """Whether I may have API keys, and if not, why."""
    return shown(call)


@route("POST", "/api/api-access", needs=Needs.session, answers=ApiAccess)
def ask(call: Call) -> ApiAccess:
    """Ask for API access. The operators are told by mail.

    Asking twice changes nothing. After a refusal it can be asked for again when a day has passed: before that 409
    `REFUSED_RECENTLY`.
    """
    if call.settings.api_access != "everyone":
        api_access.request(call.connection, call.caller, public_url=call.services.public_url(), now=call.now)
        call.nudge("mails")
    return shown(call)
