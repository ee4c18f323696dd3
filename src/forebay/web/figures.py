"""Amounts and times as pages show them: short for the eye, exact for whoever points at them.

Pointing takes a mouse, or a finger. For everybody else, and whoever wants to read down a column, a person can have all
of them written out exactly, on every page: then nothing is hidden behind a pointer.
"""

from datetime import UTC, date, datetime
from functools import lru_cache

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from forebay.domain.money.amounts import MICROS_PER_DOLLAR
from forebay.domain.money.outlook import lasting
from forebay.web.rendering import marked

MINUTE, HOUR, DAY, MONTH_SECONDS = 60, 3600, 86400, 30 * 86400
SOON = 45
CENT = MICROS_PER_DOLLAR // 100
HOURS_A_MONTH = 730


def cents(amount_micros: int) -> str:
    """Dollars, rounded to the cent: $1,234.50, -$0.07."""
    number = (abs(amount_micros) + CENT // 2) // CENT
    sign = "-" if amount_micros < 0 and number else ""
    return f"{sign}${number // 100:,}.{number % 100:02}"


def exact(amount_micros: int) -> str:
    """Dollars with all the digits there are, at least two: $0.001234."""
    whole, part = divmod(abs(amount_micros), MICROS_PER_DOLLAR)
    digits = f"{part:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount_micros < 0 else ''}${whole:,}.{digits}"


def plain(amount_micros: int) -> str:
    """The same for programs, with no more digits than it needs: 0.001234, 10."""
    whole, part = divmod(abs(amount_micros), MICROS_PER_DOLLAR)
    digits = f".{part:06}".rstrip("0") if part else ""
    return f"{'-' if amount_micros < 0 else ''}{whole}{digits}"


def is_exact(context: Context) -> bool:
    """Whether whoever looks wants everything written out."""
    # Out of the values that the page was given, without asking the scopes around: this is asked for each amount.
    visit = context.parent.get("visit")
    return visit is not None and visit.is_exact


@pass_context
def money(context: Context, amount_micros: int) -> Markup:
    """An amount to the cent, with the exact one on hover; or the exact one."""
    return marked_money(amount_micros, is_exact(context))


@lru_cache(4096)
def marked_money(amount_micros: int, is_written_out: bool) -> Markup:
    """The same. Kept, as times are."""
    # Figures of our own making: there is nothing in them to escape, and pages show hundreds.
    if is_written_out:
        return marked(f'<data value="{plain(amount_micros)}">{exact(amount_micros)}</data>')
    return marked(f'<data value="{plain(amount_micros)}" title="{exact(amount_micros)}">{cents(amount_micros)}</data>')


@pass_context
def in_words(context: Context, amount_micros: int) -> str:
    """An amount within a sentence."""
    return exact(amount_micros) if is_exact(context) else cents(amount_micros)


def rate(rate_micros: int) -> Markup:
    """A price an hour, with as many digits as it needs below a cent."""
    shown = exact(rate_micros) if rate_micros % CENT > 0 else cents(rate_micros)
    return marked(f'<span>{shown}<span class="quiet">/h</span></span>')


def at_seconds(at: datetime | int) -> int:
    """A time of either kind as seconds since 1970."""
    return at if isinstance(at, int) else int(at.timestamp())


@lru_cache(4096)
def written(seconds: int) -> tuple[str, str]:
    """A time for programs and for people. Kept, because pages show the same times again and again."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%-d %b %Y, %H:%M:%S} UTC"


def said(at: datetime | int) -> str:
    """A time in full: 24 Nov 2026, 18:40:07 UTC."""
    return written(at_seconds(at))[1]


def relative(seconds: int) -> str:
    """How long ago (negative) or ahead, in the words that the script of the pages goes on with."""
    size = abs(seconds)
    if size < SOON:
        return "in a moment" if seconds > 0 else "just now"
    if size >= DAY:
        unit, number = "day", size // DAY
    elif size >= HOUR:
        unit, number = "hour", size // HOUR
    else:
        unit, number = "minute", max(1, size // MINUTE)
    noun = f"{number:,} {unit}{'' if number == 1 else 's'}"
    return f"in {noun}" if seconds > 0 else f"{noun} ago"


@pass_context
def since(context: Context, at: datetime | int | None) -> Markup:
    """A time as it is from now, with the exact one on hover; or the exact one. A dash for none."""
    if at is None:
        return marked('<span class="quiet">–</span>')
    seconds = at_seconds(at)
    iso, full = written(seconds)
    if is_exact(context):
        return marked(f'<time datetime="{iso}">{full}</time>')
    words = relative(seconds - int(context["visit"].now.timestamp()))
    return marked(f'<time datetime="{iso}" title="{full}" data-relative>{words}</time>')


@pass_context
def moment(context: Context, at: datetime | int) -> str:
    """A time to the minute, or exactly."""
    full = said(at)
    return full if is_exact(context) else f"{full[: -len(':00 UTC')]} UTC"


@pass_context
def runway(context: Context, seconds: int | None) -> str:
    """How long credits last, in a word or two."""
    if seconds is None:
        return "no end"
    if seconds <= 0:
        return "none left"
    if is_exact(context):
        return duration(seconds)
    return lasting(seconds).removeprefix("about ")


def duration(seconds: int) -> str:
    """A stretch of time to two units: 3 d 4 h, 2 h 10 min, 40 s."""
    days, hours, minutes = seconds // DAY, seconds % DAY // HOUR, seconds % HOUR // MINUTE
    if days:
        return f"{days:,} d {hours} h" if hours else f"{days:,} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{max(0, seconds)} s"


def day(text: str) -> str:
    """A day of a table, written as 2026-11-24, as times are written: 24 Nov 2026."""
    return f"{date.fromisoformat(text):%-d %b %Y}"


def stored(size_bytes: int) -> str:
    """An amount of storage, in units of 1024 as sizes are sold and as `forebay volumes` writes it: 20 MB, 1.5 GB."""
    size, units = float(size_bytes), ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 10 else f"{size:.1f} {units[0]}"


def initial(text: str) -> str:
    """The letter that stands for a name."""
    return (text.strip() or "?")[0].upper()


def choice(value: str, text: str = "{}") -> tuple[str, str]:
    """An option of a select."""
    return value, text.format(value)


FILTERS = {
    "choice": choice,
    "money": money,
    "cents": in_words,
    "exact": exact,
    "rate": rate,
    "moment": moment,
    "since": since,
    "runway": runway,
    "duration": duration,
    "day": day,
    "initial": initial,
    "stored": stored,
}
