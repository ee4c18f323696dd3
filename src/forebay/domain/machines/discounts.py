"""Discounts: percents off the prices of machines that an operator gives to a team, for all offers or for some.

They hold for the hourly price of machines; disks and volumes are paid in full. Where several hold at the same time the
highest counts, they are not added up. A discount begins at once or on its day. It ends on the day that was said when
it was given; ended earlier it holds for seven days more: its end is a rise for what runs, and a rise is announced.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation, Overflow

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.money.amounts import WHOLE_BASIS_POINTS
from forebay.domain.people import mails, operators
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.roles import Role
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.prepared import PreparedValues
from forebay.storage.rows import values_of
from forebay.storage.tables import discounts, teams

NOTICE_DAYS = 7
"""So long before it costs more, a team is told: the same as for a rise of prices."""
TOLD = (Role.owner, Role.admin)
SLACK_SECONDS = 300
"""A start may lie so far in the past: clocks differ, and requests take their time."""


class Discount(msgspec.Struct, frozen=True, kw_only=True):
    """A discount of a team; at most one of `offer_id` and `gpu_type` narrows it."""

    id: str
    team_id: str
    basis_points: int
    """Hundredths of a percent."""
    offer_id: str | None
    gpu_type: str | None
    starts_at: datetime
    ends_at: datetime | None
    reason: str
    created_at: datetime

    def holds(self, offer_id: str, gpu_type: str, at: datetime) -> bool:
        """Whether it counts for this offer at this moment."""
        is_time = self.starts_at <= at and (self.ends_at is None or at < self.ends_at)
        return is_time and self.offer_id in (None, offer_id) and self.gpu_type in (None, gpu_type)

    @property
    def percent(self) -> str:
        """As people read it: 12.5%."""
        return f"{self.basis_points / 100:g}%"

    @property
    def what_for(self) -> str:
        """What it is off."""
        if self.offer_id is not None:
            return f"the offer {self.offer_id}"
        return "all machines" if self.gpu_type is None else f"machines of the type {self.gpu_type}"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants to give."""

    basis_points: int
    offer_id: str | None = None
    gpu_type: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


COLUMNS = [discounts.c[name] for name in Discount.__struct_fields__]
OF_TEAM = PreparedValues(
    Discount,
    sa.select(*COLUMNS)
    .where(discounts.c.team_id == sa.bindparam("team_id", type_=sa.String()))
    .order_by(discounts.c.id),
)


def best(found: Sequence[Discount], offer_id: str, gpu_type: str, at: datetime) -> int:
    """The highest that counts, in basis points; 0 where none does."""
    return max((each.basis_points for each in found if each.holds(offer_id, gpu_type, at)), default=0)


def of_team(connection: Connection, team_id: str) -> Sequence[Discount]:
    """All that were ever given to a team, oldest first."""
    return OF_TEAM(connection, team_id=team_id)


def listed(connection: Connection, *, team_id: str | None, page: int, limit: int) -> tuple[Sequence[Discount], int]:
    """A page of all discounts, newest first, or of those of a team; and how many there are."""
    where = [] if team_id is None else [discounts.c.team_id == team_id]
    total = connection.execute(sa.select(sa.func.count()).select_from(discounts).where(*where)).scalar_one()
    rows = connection.execute(
        sa.select(*COLUMNS).where(*where).order_by(discounts.c.id.desc()).limit(limit).offset((page - 1) * limit)
    )
    return values_of(Discount, rows), int(total)


def give(
    connection: Connection,
    caller: Caller | None,
    team_id: str,
    wish: Wish,
    *,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> Discount:
    """Give a discount to a team, and tell its owners and admins. Raises NotFound, BadRequest."""
    name = name_of(connection, team_id)
    refuse_unusable(wish, now)
    discount = Discount(
        id=ids.new_id(now),
        team_id=team_id,
        starts_at=max(wish.starts_at or now, now),
        reason=reason,
        created_at=now,
        basis_points=wish.basis_points,
        offer_id=wish.offer_id,
        gpu_type=wish.gpu_type,
        ends_at=wish.ends_at,
    )
    connection.execute(sa.insert(discounts).values(**msgspec.structs.asdict(discount)))
    until = "until it is ended" if discount.ends_at is None else f"until {day(discount.ends_at)}"
    sentence = f"{plain(name)} has {discount.percent} off {plain(discount.what_for)}"
    tell(
        connection,
        team_id,
        f"{plain(name)}: {discount.percent} off {plain(discount.what_for)}",
        [
            f"{sentence}, from {day(discount.starts_at)} {until}. What runs is cheaper from then too; "
            "disks and volumes are paid in full.",
            f"The reason: {plain(reason)}",
        ],
        now,
    )
    record(connection, caller, "discount.give", discount, reason, now=now, by=by)
    return discount


def end(
    connection: Connection,
    caller: Caller | None,
    discount_id: str,
    *,
    at: datetime | None,
    reason: str,
    now: datetime,
    by: str | None = None,
) -> Discount:
    """End a discount before its time, `at` or after the days of notice; one that hasn't begun ends at once.

    Owners and admins are told. Raises NotFound, Conflict where it ends by itself before that, BadRequest for a day
    that is too near.
    """
    row = connection.execute(sa.select(*COLUMNS).where(discounts.c.id == discount_id).with_for_update()).first()
    if row is None:
        raise NotFound("Discount")
    discount = Discount(**row._mapping)
    earliest = now + timedelta(days=NOTICE_DAYS)
    if discount.starts_at > now:
        ends_at = discount.starts_at
    else:
        ends_at = at or earliest
        if ends_at < earliest:
            text = f"at least {NOTICE_DAYS} days from now: the team is told before it costs more"
            raise BadRequest("The discount can't end so soon.", details={"endsAt": text})
    if discount.ends_at is not None and discount.ends_at <= ends_at:
        raise Conflict(f"The discount ends before that: {day(discount.ends_at)}.", code="ENDS_BEFORE")
    connection.execute(sa.update(discounts).where(discounts.c.id == discount_id).values(ends_at=ends_at))
    ended = msgspec.structs.replace(discount, ends_at=ends_at)
    name = plain(name_of(connection, discount.team_id))
    tell(
        connection,
        discount.team_id,
        f"{name}: {discount.percent} off {plain(discount.what_for)} ends on {day(ends_at)}",
        [
            f"The discount of {discount.percent} off {plain(discount.what_for)} of {name} ends on {day(ends_at)}. "
            "From then on what runs costs the full price.",
            f"The reason: {plain(reason)}",
        ],
        now,
    )
    record(connection, caller, "discount.end", ended, reason, now=now, by=by)
    return ended


def basis_points_of(percent: float | str) -> int:
    """A percentage that somebody wrote, 12.5 or 12.5%, in hundredths of a percent. Raises BadRequest."""
    try:
        points = Decimal(str(percent).removesuffix("%")) * 100
        if points.is_finite() and points == points.to_integral_value() and 1 <= points <= 10_000:
            return int(points)
    except (InvalidOperation, Overflow):
        pass
    reason = "more than 0, at most 100, with at most two places behind the point"
    raise BadRequest("This is no percentage.", details={"percent": reason})


def refuse_unusable(wish: Wish, now: datetime) -> None:
    """Raise BadRequest that names what can't be meant."""
    wrong = {}
    if not 1 <= wish.basis_points <= WHOLE_BASIS_POINTS:
        wrong["percent"] = "more than 0, at most 100, with at most two places behind the point"
    if wish.offer_id is not None and wish.gpu_type is not None:
        wrong["gpuType"] = "give offerId or gpuType, not both"
    if wish.starts_at is not None and wish.starts_at < now - timedelta(seconds=SLACK_SECONDS):
        wrong["startsAt"] = "not in the past: what was charged stays charged"
    if wish.ends_at is not None and wish.ends_at <= max(wish.starts_at or now, now):
        wrong["endsAt"] = "after its start"
    if wrong:
        raise BadRequest("The discount can't be given as it was asked for.", details=wrong)


def name_of(connection: Connection, team_id: str) -> str:
    """The team's name. Raises NotFound, also where it was deleted."""
    statement = sa.select(teams.c.name).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
    found: str | None = connection.execute(statement).scalar()
    if found is None:
        raise NotFound("Team")
    return found


def tell(connection: Connection, team_id: str, subject: str, paragraphs: list[str], now: datetime) -> None:
    """A mail to owners and admins."""
    letter_to: Callable[[str], Letter] = lambda name: Letter(  # noqa: E731 - it is no more than that
        subject=subject, name=plain(name), paragraphs=paragraphs
    )
    mails.send_to_team(connection, team_id, TOLD, letter_to, now=now)


def record(
    connection: Connection,
    caller: Caller | None,
    action: str,
    discount: Discount,
    reason: str,
    *,
    now: datetime,
    by: str | None,
) -> None:
    """A row in the team's activity."""
    details = {
        "percent": discount.percent,
        "offer": discount.offer_id,
        "gpu_type": discount.gpu_type,
        "starts_at": discount.starts_at.isoformat(),
        "ends_at": discount.ends_at and discount.ends_at.isoformat(),
        "reason": reason,
    }
    operators.record(
        connection, caller, action, "discount", discount.id, now=now, team_id=discount.team_id, by=by, details=details
    )


def day(at: datetime) -> str:
    """A moment as people read it."""
    return f"{at:%-d %B %Y at %H:%M} UTC"
