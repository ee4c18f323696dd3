"""What a machine has cost, hour by hour or day by day, and the steps of its price.

Reckoned from its segments by the formula that charges them: what lies between two moments is the formula at the one
less the formula at the other, so the parts add up to what the machine has cost so far, to the micro-dollar. To this
second: what is due and not charged yet is in it, as in "cost so far". Hours and days are those of UTC.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money.amounts import charge_micros
from forebay.storage.tables import segments

HOUR, DAY = 3600, 86400
WEEK = 7 * DAY
HOURLY_SECONDS = 2 * DAY
"""A younger machine is shown by the hour."""
DAILY_SECONDS = 120 * DAY
"""One that is older than this is shown by the week."""
MONDAY = 4 * DAY
"""The first Monday since 1970, in seconds."""
MOST_STEPS = 200
"""Of the price, the newest."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An hour, a day or a week."""

    from_at: datetime
    cost_micros: int
    total_micros: int
    """What it had cost at the end of this part."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From when on it had this price an hour; a disk's alone while it was stopped, 0 where it cost nothing."""

    from_at: datetime
    rate_micros: int
    runs: bool


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, oldest first; nothing before the first charge began."""

    part_seconds: int
    parts: Sequence[Part]
    steps: Sequence[Step]
    until: datetime
    """Now, or when it ended."""

    @property
    def total_micros(self) -> int:
        """What it has cost so far."""
        return self.parts[-1].total_micros if self.parts else 0


class Stretch(msgspec.Struct, frozen=True):
    """A segment, in seconds since 1970."""

    started: int
    ended: int
    rate_micros: int
    runs: bool
    is_open: bool

    def cost_micros(self, low: int, high: int) -> int:
        """What it costs from one moment to another."""
        low, high = max(low, self.started), min(high, self.ended)
        if high <= low:
            return 0
        until_high = charge_micros(self.rate_micros, high - self.started)
        return until_high - charge_micros(self.rate_micros, low - self.started)


def history(connection: Connection, deployment_id: str, *, now: datetime) -> History:
    """Of a machine and its disk."""
    stretches = stretches_of(connection, deployment_id, int(now.timestamp()))
    if not stretches:
        return History(part_seconds=HOUR, parts=(), steps=(), until=now)
    first, last = stretches[0].started, max(stretch.ended for stretch in stretches)
    length = part_seconds(last - first)
    return History(
        part_seconds=length,
        parts=list(parts_of(stretches, first, last, length)),
        steps=list(steps_of(stretches))[-MOST_STEPS:],
        until=moment(last),
    )


OF_DEPLOYMENT = (
    sa.select(
        segments.c.resource_type,
        segments.c.rate_micros,
        segments.c.started_at,
        segments.c.ended_at,
        segments.c.charged_through,
    )
    .where(segments.c.resource_id == sa.bindparam("deployment_id"))
    .order_by(segments.c.started_at, segments.c.id)
)


def stretches_of(connection: Connection, deployment_id: str, now: int) -> list[Stretch]:
    """Its segments; an open one reaches to this second, or to where it has been charged if that is later."""
    rows = connection.execute(OF_DEPLOYMENT, {"deployment_id": deployment_id}).all()
    return [
        Stretch(
            started=seconds(row.started_at),
            ended=max(now, seconds(row.charged_through)) if row.ended_at is None else seconds(row.ended_at),
            rate_micros=row.rate_micros,
            runs=row.resource_type == "compute",
            is_open=row.ended_at is None,
        )
        for row in rows
    ]


def seconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp())


def moment(at: int) -> datetime:
    """So many seconds after the beginning of 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)


def part_seconds(age: int) -> int:
    """How long the parts are of a machine that is so many seconds old."""
    if age < HOURLY_SECONDS:
        return HOUR
    return DAY if age <= DAILY_SECONDS else WEEK


def parts_of(stretches: Sequence[Stretch], first: int, last: int, length: int) -> Iterator[Part]:
    """Every part from the first charge to the last, those that cost nothing too."""
    offset = MONDAY if length == WEEK else 0
    low = (first - offset) // length * length + offset
    begun, total = 0, 0
    while low <= first or low < last:
        high = low + length
        # They are in their order, and what ended before this part is not looked at again.
        while begun < len(stretches) and stretches[begun].ended <= low and stretches[begun].ended < high:
            begun += 1
        cost = 0
        for stretch in stretches[begun:]:
            if stretch.started >= high:
                break
            cost += stretch.cost_micros(low, high)
        total += cost
        yield Part(from_at=moment(low), cost_micros=cost, total_micros=total)
        low = high


def steps_of(stretches: Sequence[Stretch]) -> Iterator[Step]:
    """Where the price changed, down to nothing where nothing was charged for a while or it has ended."""
    before: Step | None = None
    lasting = [stretch for stretch in stretches if stretch.is_open or stretch.ended > stretch.started]
    for number, stretch in enumerate(lasting):
        step = Step(from_at=moment(stretch.started), rate_micros=stretch.rate_micros, runs=stretch.runs)
        if before is None or (before.rate_micros, before.runs) != (step.rate_micros, step.runs):
            yield step
            before = step
        is_last = number + 1 == len(lasting)
        if not stretch.is_open and (is_last or lasting[number + 1].started > stretch.ended):
            before = Step(from_at=moment(stretch.ended), rate_micros=0, runs=False)
            yield before
