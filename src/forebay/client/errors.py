"""What can go wrong between a program and Forebay, in one tree.

    ClientError
    ├── Unreachable             no answer: the server is away, or the network
    ├── Unintelligible          an answer that is none of Forebay's
    └── Refusal                 Forebay said no: status, code, sentence, details
        ├── NotValid            400
        ├── NotSignedIn         401
        ├── InsufficientBalance 402
        │   └── BudgetExceeded      code BUDGET_EXCEEDED: credits are there, a budget doesn't allow it
        ├── NotAllowed          403   code SIGN_IN_AGAIN: a recent sign-in is needed
        ├── NotFound            404   also for what is another team's
        ├── Contradiction       409
        ├── TooManyRequests     429   retry_after in seconds
        └── ServerFailed        5xx

None of them holds the credential, nor what was sent.
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The root. `request` is the method and path that were asked for."""

    def __init__(self, sentence: str, request: str) -> None:
        super().__init__(sentence)
        self.sentence, self.request = sentence, request


class Unreachable(ClientError):
    """No answer came. Whether the request had an effect is not known."""


class Unintelligible(ClientError):
    """What answered doesn't speak as Forebay does: a proxy, another program, or another version."""


class Refusal(ClientError):
    """Forebay said no."""

    def __init__(self, sentence: str, request: str, *, status: int, code: str, details: Mapping[str, Any]) -> None:
        super().__init__(sentence, request)
        self.status, self.code, self.details = status, code, dict(details)


class NotValid(Refusal):
    """The request can't be carried out as it was sent; `details` has a message for each field."""


class NotSignedIn(Refusal):
    """No credential, or none that is good."""


class InsufficientBalance(Refusal):
    """The team's available credits don't suffice; `details` has `required` and `available` in dollars."""


class BudgetExceeded(InsufficientBalance):
    """A budget leaves less than this needs; `details` says which, and who can change it."""


class NotAllowed(Refusal):
    """A permission is missing, a recent sign-in, or API access: see `code`."""


class NotFound(Refusal):
    """It doesn't exist, or is another team's."""


class Contradiction(Refusal):
    """It contradicts the present state."""


class TooManyRequests(Refusal):
    """Over a limit, and for longer than the client is ready to wait. `retry_after` in seconds."""

    retry_after: float = 0.0


class ServerFailed(Refusal):
    """Something is wrong on the server's side."""


BY_STATUS: dict[int, type[Refusal]] = {
    400: NotValid,
    401: NotSignedIn,
    402: InsufficientBalance,
    403: NotAllowed,
    404: NotFound,
    409: Contradiction,
    429: TooManyRequests,
}


def refusal(status: int, body: Any, request: str, retry_after: float) -> ClientError:
    """The error that a status and a decoded body mean."""
    if not isinstance(body, dict) or not isinstance(body.get("error"), str) or not isinstance(body.get("code"), str):
        return Unintelligible(f"The answer ({status}) is none of Forebay's: is the address right?", request)
    details = body.get("details")
    kind = BY_STATUS.get(status, ServerFailed if status >= 500 else Refusal)
    if body["code"] == "BUDGET_EXCEEDED":
        kind = BudgetExceeded
    found = kind(
        body["error"], request, status=status, code=body["code"], details=details if isinstance(details, dict) else {}
    )
    if isinstance(found, TooManyRequests):
        found.retry_after = retry_after
    return found
