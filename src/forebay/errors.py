"""Every way in which Forebay says no, in one tree.

    ForebayError                        500  INTERNAL_ERROR
    ├── BadRequest                      400  VALIDATION_ERROR        details: a message for each field
    │   ├── OutOfStock                  400  NOT_ENOUGH_STOCK
    │   ├── MinimumRuntimeNotMet        400  MINIMUM_RUNTIME_NOT_MET
    │   └── CannotTerminate             400  CANNOT_TERMINATE
    ├── Unauthenticated                 401  UNAUTHORIZED
    ├── InsufficientBalance             402  INSUFFICIENT_BALANCE
    ├── Forbidden                       403  FORBIDDEN               details: the permission and who has it
    ├── NotFound                        404  NOT_FOUND               also for what is another team's
    ├── MethodNotAllowed                405  METHOD_NOT_ALLOWED
    ├── Conflict                        409  CONFLICT, or a narrower code
    ├── BodyTooLarge                    413  BODY_TOO_LARGE
    ├── RateLimitExceeded               429  RATE_LIMIT_EXCEEDED     and a Retry-After header
    └── Unavailable                     503  UNAVAILABLE

An error is a fact about the request, so it is raised where the fact is found, in any wing of the domain, and written
to the wire in one place (`api/envelope.py`) as `{error, code, details}` and whatever `extra` adds beside them.
"""

from collections.abc import Mapping
from typing import Any


class ForebayError(Exception):
    """The root. `sentence` is for a person, `code` for a program, `details` and `extra` go to the wire as they are."""

    status = 500
    code = "INTERNAL_ERROR"
    is_kept = False
    """Whether what the transaction wrote before is committed all the same: a wrong guess that must be counted."""

    def __init__(
        self,
        sentence: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or type(self).code
        self.details = dict(details or {})
        self.extra = dict(extra or {})


class BadRequest(ForebayError):
    """The request can't be carried out as it was sent; `details` names the fields."""

    status = 400
    code = "VALIDATION_ERROR"


class OutOfStock(BadRequest):
    """No capacity for this offer now. Clients look for the words "Not Enough Stock"."""

    code = "NOT_ENOUGH_STOCK"

    def __init__(self, offer_id: str, why: str = "") -> None:
        why = f" {why}" if why else ""
        super().__init__(
            f"Not Enough Stock: offer {offer_id} has no free capacity at the moment.{why}",
            details={"offerId": offer_id},
        )


class MinimumRuntimeNotMet(BadRequest):
    """Stop or terminate inside the offer's minimum runtime. All figures are whole minutes, rounded up."""

    code = "MINIMUM_RUNTIME_NOT_MET"

    def __init__(self, minimum_minutes: int, remaining_minutes: int) -> None:
        super().__init__(
            "Minimum runtime not met",
            details={"timeRemaining": remaining_minutes, "minimumRuntime": minimum_minutes},
            extra={
                "message": f"Instance must run for at least {minimum_minutes} minutes. "
                f"Time remaining: {remaining_minutes} minutes.",
                "canTerminate": False,
                "timeRemaining": remaining_minutes,
                "minimumRuntime": minimum_minutes,
            },
        )


class CannotTerminate(BadRequest):
    """The deployment has ended already."""

    code = "CANNOT_TERMINATE"

    def __init__(self, current_status: str) -> None:
        ended = "failed" if current_status == "failed" else "already been terminated"
        super().__init__(
            "Cannot terminate instance",
            details={"currentStatus": current_status},
            extra={"message": f"Instance has {ended}.", "currentStatus": current_status, "canTerminate": False},
        )


class Unauthenticated(ForebayError):
    """No credentials, or none that are good. The sentence never says which part was wrong."""

    status = 401
    code = "UNAUTHORIZED"

    def __init__(self, sentence: str = "Missing or invalid API key.", *, code: str | None = None) -> None:
        super().__init__(sentence, code=code)


class InsufficientBalance(ForebayError):
    """Not enough available credits (balance less holds). Amounts in micro-dollars."""

    status = 402
    code = "INSUFFICIENT_BALANCE"

    def __init__(self, *, needed_micros: int, available_micros: int) -> None:
        super().__init__(
            f"Insufficient balance: this needs ${needed_micros / 1_000_000:,.2f} of available credits "
            f"and the team has ${available_micros / 1_000_000:,.2f}. Add credits to go on.",
            details={"required": needed_micros / 1_000_000, "available": available_micros / 1_000_000},
        )


class Forbidden(ForebayError):
    """A member without the permission; strangers get NotFound instead."""

    status = 403
    code = "FORBIDDEN"


class NotFound(ForebayError):
    """What does not exist, and what is another team's: the same answer."""

    status = 404
    code = "NOT_FOUND"

    def __init__(self, noun: str = "Resource") -> None:
        super().__init__(f"{noun} not found")


class MethodNotAllowed(ForebayError):
    """The path exists, the method doesn't."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class Conflict(ForebayError):
    """The request contradicts the present state: a name that is taken, a retry that is still running."""

    status = 409
    code = "CONFLICT"


class BodyTooLarge(ForebayError):
    """The body is over the limit (a setting, 1 MiB at first)."""

    status = 413
    code = "BODY_TOO_LARGE"


class RateLimitExceeded(ForebayError):
    """Too many requests; `retry_after` in seconds."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many requests. Try again in {retry_after} seconds.",
            details={"retryAfter": retry_after},
            extra={"retryAfter": retry_after},
        )
        self.retry_after = retry_after


class Unavailable(ForebayError):
    """Something Forebay depends on does not answer; nothing was changed."""

    status = 503
    code = "UNAVAILABLE"
