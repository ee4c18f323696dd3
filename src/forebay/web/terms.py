"""How a machine is to end, as people write it into a form: at a time, at a cost, when idle."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from forebay.domain.money.amounts import MICROS_PER_DOLLAR
from forebay.errors import BadRequest

FIELDS = ("terminateAt", "maxCost", "autoStopMinutes", "autoStopAction")
ACTIONS = (("stop", "Stop it"), ("terminate", "Terminate it"))
MOST_DOLLARS, MOST_MINUTES = 10_000_000, 43_200


def given(form: dict[str, str]) -> dict[str, Any]:
    """What the form says, as the domain has it; what is left empty is None. Raises BadRequest."""
    minutes = minutes_of(form.get("autoStopMinutes", ""))
    action = form.get("autoStopAction", "")
    return {
        "terminate_at": moment_of(form.get("terminateAt", "")),
        "max_cost_micros": micros_of(form.get("maxCost", "")),
        "auto_stop_minutes": minutes,
        "auto_stop_action": None if minutes is None else "terminate" if action == "terminate" else "stop",
    }


def written(found: Any) -> dict[str, str]:
    """The same as a form shows it; of anything that has the four."""
    most, minutes = found.max_cost_micros, found.auto_stop_minutes
    return {
        "terminateAt": "" if found.terminate_at is None else f"{found.terminate_at:%Y-%m-%dT%H:%M}",
        "maxCost": "" if most is None else f"{Decimal(most) / MICROS_PER_DOLLAR:f}",
        "autoStopMinutes": "" if minutes is None else str(minutes),
        "autoStopAction": found.auto_stop_action or "",
    }


def moment_of(text: str) -> datetime | None:
    """A moment in UTC, as a browser writes it. Raises BadRequest."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()[:16]).replace(tzinfo=UTC)
    except ValueError:
        raise refused("terminateAt", "a day and a time, like 2026-11-24T18:00") from None


def micros_of(text: str) -> int | None:
    """An amount in dollars. Raises BadRequest."""
    text = text.strip().lstrip("$").replace(",", "")[:20]
    if not text:
        return None
    try:
        amount = Decimal(text)
        is_amount = amount.is_finite() and 0 <= amount <= MOST_DOLLARS
    except InvalidOperation:
        is_amount = False
    if not is_amount or (amount * MICROS_PER_DOLLAR) % 1:
        raise refused("maxCost", "an amount in dollars, like 12.50")
    return int(amount * MICROS_PER_DOLLAR)


def minutes_of(text: str) -> int | None:
    """Whole minutes. Raises BadRequest."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 0 < int(text) <= MOST_MINUTES):
        raise refused("autoStopMinutes", f"whole minutes, up to {MOST_MINUTES:,}")
    return int(text)


def refused(field: str, reason: str) -> BadRequest:
    """A 400 that stands beside its field."""
    return BadRequest("The machine can't be ended like that.", details={field: reason})
