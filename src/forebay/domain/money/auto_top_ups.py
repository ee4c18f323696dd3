"""Auto top-up: whether a team's card is charged now by itself, how much, and if not, why and when next.

A decision hangs on what is on record alone and is made under the lock of the team's account, in the transaction that
claims the charge: whoever looks at the same team at the same moment finds the slot taken, or the cooldown running. The
cooldown counts from the claim, whatever came of it. After a decline an hour is waited; after three in a row, or one
that says that the card is dead, it stops until somebody acts. What people may change is in `auto_top_up_terms.py`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.money import auto_top_up_letters, charge_news, deposits, ledger, payment_attempts
from forebay.domain.money.amounts import SECONDS_PER_HOUR, to_dollars
from forebay.domain.money.auto_top_up_letters import About
from forebay.domain.money.cards import Card
from forebay.domain.money.payment_attempts import OPEN, Attempt, Path, State
from forebay.domain.money.receipts import KEEPERS
from forebay.domain.people import activity, mails, notifications
from forebay.domain.people.notification_kinds import Kind
from forebay.storage.tables import accounts, auto_top_ups, segments, teams
from forebay.storage.tables import cards as card_rows
from forebay.storage.tables import payment_attempts as attempts
from forebay.storage.types import ID, Timestamp

COOLDOWN = timedelta(seconds=300)
"""Between two attempts, counted from the claim, whatever came of it."""
AFTER_DECLINE = timedelta(hours=1)
MOST_FAILURES = 3
"""So many in a row, and it stops."""
MOST_A_DAY = int(timedelta(days=1) / COOLDOWN)

FAILURES = frozenset({State.declined, State.authentication_required})
DEAD = frozenset(
    {
        "card_deleted", "card_not_supported", "currency_not_supported", "expired_card", "fraudulent",
        "incorrect_number", "invalid_account", "invalid_number", "lost_card", "merchant_blacklist",
        "new_account_information_available", "not_a_card", "payment_method_unexpected_state", "pickup_card",
        "resource_missing", "restricted_card", "revocation_of_all_authorizations", "revocation_of_authorization",
        "security_violation", "service_not_allowed", "stolen_card", "stop_payment_order",
    }
)  # fmt: skip
"""Codes after which charging the same card again is of no use."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a team has agreed to, and how it goes."""

    team_id: str
    is_on: bool
    threshold_micros: int
    amount_micros: int
    max_charge_micros: int
    month_ceiling_micros: int | None
    day_ceiling_charges: int | None
    card_id: str | None
    consent_text: str
    consented_by: str
    consented_at: datetime
    failures_in_a_row: int
    stopped_at: datetime | None
    stopped_reason: str | None
    last_claimed_at: datetime | None
    next_attempt_at: datetime | None
    too_little_mailed_at: datetime | None

    @property
    def cool_at(self) -> datetime | None:
        """When the cooldown of the last claim is over."""
        return None if self.last_claimed_at is None else self.last_claimed_at + COOLDOWN

    def keeps_up_with(self, burn_micros_per_hour: int) -> bool:
        """Whether a charge every cooldown pays for this burn."""
        return keeps_up(self.max_charge_micros, burn_micros_per_hour)


def keeps_up(max_charge_micros: int, burn_micros_per_hour: int) -> bool:
    """Whether a charge of so much every cooldown pays for this burn."""
    return max_charge_micros * SECONDS_PER_HOUR >= burn_micros_per_hour * int(COOLDOWN.total_seconds())


class Reason(StrEnum):
    """Why a charge is made now, or none is."""

    charge = "charge"
    off = "off"
    stopped = "stopped"
    frozen = "frozen"
    no_card = "no card"
    under_way = "under way"
    enough = "enough"
    month_ceiling = "month ceiling"
    day_ceiling = "day ceiling"
    declined = "declined"
    """The hour after a decline isn't over."""
    cooldown = "cooldown"


class Decision(msgspec.Struct, frozen=True):
    """What to do now."""

    reason: Reason
    amount_micros: int = 0
    """How much to charge; 0: nothing now."""
    at: datetime | None = None
    """When an attempt is possible next, where that is only a matter of time."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision hangs on."""

    policy: Policy
    balance_micros: int
    burn_micros_per_hour: int
    is_frozen: bool
    card: Card | None
    """The one that would be charged."""
    is_open: bool
    """Whether a charge has the team's slot."""
    month_micros: int
    """Charged by auto top-up in this calendar month, in UTC, or under way."""
    day_charges: int
    """The same for today, in charges."""


COLUMNS = tuple(auto_top_ups.c[name] for name in Policy.__struct_fields__)
CARD = tuple(card_rows.c[name].label(f"card_{name}") for name in Card.__struct_fields__)
IS_CHARGED = sa.and_(
    card_rows.c.team_id == auto_top_ups.c.team_id,
    card_rows.c.deleted_at.is_(None),
    sa.or_(
        card_rows.c.id == auto_top_ups.c.card_id,
        sa.and_(auto_top_ups.c.card_id.is_(None), card_rows.c.is_default),
    ),
)
"""Whether a card is the one that a policy charges: the one that was named, or else the default one."""


def standing_query() -> sa.Select[Any]:
    """All of a Standing in one row, for the team `team`, the first moment of `today` and that of `month`."""
    team = sa.bindparam("team", type_=ID)
    mine = (attempts.c.team_id == team, attempts.c.path == Path.auto.value)
    is_counted = attempts.c.state.in_([state.value for state in (*OPEN, State.succeeded)])
    burn = sa.select(sa.func.coalesce(sa.func.sum(segments.c.rate_micros), 0)).where(
        segments.c.team_id == team, segments.c.ended_at.is_(None)
    )
    month = sa.select(sa.func.coalesce(sa.func.sum(attempts.c.amount_micros), 0)).where(
        *mine, is_counted, attempts.c.created_at >= sa.bindparam("month", type_=Timestamp())
    )
    day = sa.select(sa.func.count()).where(
        *mine, is_counted, attempts.c.created_at >= sa.bindparam("today", type_=Timestamp())
    )
    is_open = sa.exists().where(
        attempts.c.team_id == team, attempts.c.closed_at.is_(None), attempts.c.path != Path.checkout.value
    )
    return (
        sa.select(
            *COLUMNS,
            *CARD,
            accounts.c.balance_micros,
            teams.c.frozen_at,
            burn.scalar_subquery().label("burn_micros"),
            month.scalar_subquery().label("month_micros"),
            day.scalar_subquery().label("day_charges"),
            is_open.label("is_open"),
        )
        .select_from(auto_top_ups)
        .join(accounts, accounts.c.team_id == auto_top_ups.c.team_id)
        .join(teams, teams.c.id == auto_top_ups.c.team_id)
        .outerjoin(card_rows, IS_CHARGED)
        .where(auto_top_ups.c.team_id == team)
    )


STANDING = standing_query()


def find(connection: Connection, team_id: str) -> Policy | None:
    """The team's policy; None if it never had one."""
    row = connection.execute(sa.select(*COLUMNS).where(auto_top_ups.c.team_id == team_id)).first()
    return None if row is None else Policy(**row._asdict())


def change(connection: Connection, team_id: str, **values: Any) -> None:
    """Write part of the policy."""
    connection.execute(sa.update(auto_top_ups).where(auto_top_ups.c.team_id == team_id).values(**values))


def day_of(now: datetime) -> datetime:
    """The beginning of this day, in UTC."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def next_month(now: datetime) -> datetime:
    """The beginning of the next calendar month."""
    return (day_of(now).replace(day=1) + timedelta(days=32)).replace(day=1)


def stand(connection: Connection, team_id: str, *, now: datetime) -> Standing | None:
    """How the team stands; None where there is no policy."""
    today = day_of(now)
    row = connection.execute(STANDING, {"team": team_id, "today": today, "month": today.replace(day=1)}).first()
    if row is None:
        return None
    # By place: the policy has a `card_id` of its own.
    policy = dict(zip(Policy.__struct_fields__, row, strict=False))
    own = dict(zip(Card.__struct_fields__, row[len(COLUMNS) :], strict=False))
    return Standing(
        policy=Policy(**policy),
        balance_micros=int(row.balance_micros),
        burn_micros_per_hour=int(row.burn_micros),
        is_frozen=row.frozen_at is not None,
        card=None if own["id"] is None else Card(**own),
        is_open=bool(row.is_open),
        month_micros=int(row.month_micros),
        day_charges=int(row.day_charges),
    )


def charged_card_id(connection: Connection, team_id: str) -> str | None:
    """The card that would be charged."""
    return connection.execute(
        sa.select(card_rows.c.id).join(auto_top_ups, IS_CHARGED).where(auto_top_ups.c.team_id == team_id)
    ).scalar()


def decide(standing: Standing, *, now: datetime) -> Decision:
    """What to do now."""
    policy = standing.policy
    checks = (
        (not policy.is_on, Reason.off),
        (policy.stopped_at is not None, Reason.stopped),
        (standing.is_frozen, Reason.frozen),
        (standing.card is None, Reason.no_card),
        (standing.is_open, Reason.under_way),
        (standing.balance_micros >= policy.threshold_micros, Reason.enough),
    )
    for is_so, reason in checks:
        if is_so:
            return Decision(reason)
    if policy.day_ceiling_charges is not None and standing.day_charges >= policy.day_ceiling_charges:
        return Decision(Reason.day_ceiling, at=day_of(now) + timedelta(days=1))
    amount_micros = charge_micros(policy, standing.balance_micros, standing.month_micros)
    if amount_micros == 0:
        return Decision(Reason.month_ceiling, at=next_month(now))
    cool_at, next_at = policy.cool_at, policy.next_attempt_at
    if next_at is not None and next_at > now and (cool_at is None or next_at > cool_at):
        return Decision(Reason.declined, at=next_at)
    if cool_at is not None and cool_at > now:
        return Decision(Reason.cooldown, at=cool_at)
    return Decision(Reason.charge, amount_micros)


def charge_micros(policy: Policy, balance_micros: int, month_micros: int) -> int:
    """The smallest multiple of the amount that lifts the balance to the threshold, as far as one charge, and the month,
    allow; 0: the month doesn't allow one amount."""
    amount = policy.amount_micros
    wanted = -(-(policy.threshold_micros - balance_micros) // amount)
    possible = [wanted, policy.max_charge_micros // amount]
    if policy.month_ceiling_micros is not None:
        possible.append(max(0, policy.month_ceiling_micros - month_micros) // amount)
    return min(possible) * amount


# Claims.


def is_charge_open() -> sa.Exists:
    """Whether the team of a policy has a charge under way."""
    return sa.exists().where(
        attempts.c.team_id == auto_top_ups.c.team_id,
        attempts.c.closed_at.is_(None),
        attempts.c.path != Path.checkout.value,
    )


def due_teams(connection: Connection, *, now: datetime, after: str = "", limit: int = 100) -> Sequence[str]:
    """The ids, in order, of teams beyond `after` that a charge may be due for: `claim` decides."""
    last_at, next_at = auto_top_ups.c.last_claimed_at, auto_top_ups.c.next_attempt_at
    return (
        connection.execute(
            sa.select(auto_top_ups.c.team_id)
            .join(accounts, accounts.c.team_id == auto_top_ups.c.team_id)
            .join(teams, teams.c.id == auto_top_ups.c.team_id)
            .where(
                auto_top_ups.c.is_on,
                auto_top_ups.c.stopped_at.is_(None),
                auto_top_ups.c.team_id > after,
                accounts.c.balance_micros < auto_top_ups.c.threshold_micros,
                teams.c.frozen_at.is_(None),
                teams.c.deleted_at.is_(None),
                sa.or_(last_at.is_(None), last_at <= now - COOLDOWN),
                sa.or_(next_at.is_(None), next_at <= now),
                sa.exists().where(IS_CHARGED),
                sa.not_(is_charge_open()),
            )
            .order_by(auto_top_ups.c.team_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def claim(connection: Connection, team_id: str, *, public_url: str, now: datetime) -> Attempt | None:
    """Claim the charge that is due for the team, if one is. Then nudge `payments`, and `mails`."""
    ledger.lock(connection, team_id)
    standing = stand(connection, team_id, now=now)
    if standing is None:
        return None
    decision = decide(standing, now=now)
    if decision.reason in (Reason.day_ceiling, Reason.month_ceiling):
        # Not looked at again before: a team at its ceiling keeps no other waiting.
        change(connection, team_id, next_attempt_at=decision.at)
        if decision.at is not None and decision.at != standing.policy.next_attempt_at:
            ceiling = "day" if decision.reason is Reason.day_ceiling else "month"
            charge_news.ceiling_met(connection, team_id, ceiling, decision.at, now=now)
    if decision.reason is not Reason.charge:
        return None
    policy, card = standing.policy, standing.card
    attempt = payment_attempts.claim(
        connection,
        team_id=team_id,
        path=Path.auto,
        amount_micros=decision.amount_micros,
        card_id=card.id if card else None,
        request=deposits.request(decision.amount_micros, card=card, marks={"forebay_team": team_id}),
        now=now,
    )
    change(connection, team_id, last_claimed_at=now, next_attempt_at=None)
    details = {"amountMicros": decision.amount_micros, "balanceMicros": standing.balance_micros}
    record(connection, team_id, "claim", details, object_id=attempt.id, now=now)
    burn = standing.burn_micros_per_hour
    if policy.too_little_mailed_at is None and not policy.keeps_up_with(burn):
        letter = auto_top_up_letters.too_little(about(connection, team_id, public_url), policy.max_charge_micros, burn)
        figures = {"burnPerHour": to_dollars(burn), "maxChargeAmount": to_dollars(policy.max_charge_micros)}
        notifications.mail_team(
            connection, Kind.auto_top_up_too_little, team_id, KEEPERS, letter, details=figures, now=now
        )
        change(connection, team_id, too_little_mailed_at=now)
    return attempt


def is_pointless(connection: Connection, attempt: Attempt) -> bool:
    """Whether what was claimed isn't wanted any more: credits came in, it was turned off, or the team is frozen."""
    row = connection.execute(
        sa.select(auto_top_ups.c.is_on, auto_top_ups.c.threshold_micros, accounts.c.balance_micros, teams.c.frozen_at)
        .join(accounts, accounts.c.team_id == auto_top_ups.c.team_id)
        .join(teams, teams.c.id == auto_top_ups.c.team_id)
        .where(auto_top_ups.c.team_id == attempt.team_id)
    ).first()
    if row is None:
        return False
    return not row.is_on or row.frozen_at is not None or bool(row.balance_micros >= row.threshold_micros)


def is_coming(connection: Connection, team_id: str, *, now: datetime) -> bool:
    """Whether a charge is made now, or as soon as its cooldown is over."""
    standing = stand(connection, team_id, now=now)
    return standing is not None and decide(standing, now=now).reason in (Reason.charge, Reason.cooldown)


# Ends.


def note_success(connection: Connection, attempt: Attempt) -> None:
    """The charge was made, so the card is good."""
    if attempt.path is Path.auto:
        change(connection, attempt.team_id, failures_in_a_row=0, next_attempt_at=None)


def note_end(
    connection: Connection, attempt: Attempt, state: State, code: str, *, public_url: str, now: datetime
) -> None:
    """The charge came to nothing. Under the lock of the account; then nudge `payments` and `mails`."""
    policy = find(connection, attempt.team_id) if attempt.path is Path.auto and state in FAILURES else None
    if policy is None or not policy.is_on:
        if attempt.path is not Path.checkout and state in FAILURES:
            charge_news.declined(connection, attempt, code, is_mailed=False, now=now)
        return
    failures = policy.failures_in_a_row + 1
    change(connection, policy.team_id, failures_in_a_row=failures, next_attempt_at=now + AFTER_DECLINE)
    if state is State.authentication_required:
        open_page(connection, attempt, now=now)
    is_end = (code in DEAD or failures >= MOST_FAILURES) and policy.stopped_at is None
    is_mailed = is_end or state is State.authentication_required
    charge_news.declined(connection, attempt, code, is_mailed=is_mailed, now=now)
    if is_end:
        code = (code or "declined")[:60]
        change(connection, policy.team_id, stopped_at=now, stopped_reason=code)
        letter = auto_top_up_letters.stopped(about(connection, policy.team_id, public_url), code, failures)
        details: dict[str, Any] = {"code": code, "failures": failures}
        notifications.mail_team(
            connection, Kind.auto_top_up_stopped, policy.team_id, KEEPERS, letter, details=details, now=now
        )
        record(connection, policy.team_id, "stop", details, object_id=attempt.id, now=now)


def open_page(connection: Connection, attempt: Attempt, *, now: datetime) -> None:
    """Let somebody pay by hand what the bank wants its holder to confirm, unless enough pages are open."""
    if len(payment_attempts.open_pages(connection, attempt.team_id)) >= payment_attempts.MOST_OPEN_PAGES:
        return
    payment_attempts.claim(
        connection,
        team_id=attempt.team_id,
        path=Path.checkout,
        amount_micros=attempt.amount_micros,
        request=deposits.request(attempt.amount_micros, card=None, marks={"forebay_team": attempt.team_id}),
        now=now,
    )


def mail_page(connection: Connection, page: Attempt, url: str, *, public_url: str, now: datetime) -> None:
    """A page that Forebay itself asked for is open: owners and admins get its address. Then nudge `mails`."""
    if page.requested_by is None:
        letter = auto_top_up_letters.confirm(about(connection, page.team_id, public_url), page.amount_micros, url)
        mails.send_to_team(connection, page.team_id, KEEPERS, letter, now=now)


def resume_by_card(connection: Connection, team_id: str, *, by: str | None, now: datetime) -> None:
    """Go on where it had stopped, if somebody's act made another card the one that is charged. Then nudge."""
    ledger.lock(connection, team_id)
    policy = find(connection, team_id)
    if policy is None or not policy.is_on:
        return
    last_card = connection.execute(
        sa.select(attempts.c.card_id)
        .where(attempts.c.team_id == team_id, attempts.c.path == Path.auto.value)
        .order_by(attempts.c.created_at.desc(), attempts.c.id.desc())
        .limit(1)
    ).scalar()
    card_id = charged_card_id(connection, team_id)
    if card_id is None or card_id == last_card or (policy.stopped_at is None and policy.failures_in_a_row == 0):
        return
    go_on(connection, team_id)
    record(connection, team_id, "resume", {"cardId": card_id, "by": by}, object_id=card_id, now=now)


def go_on(connection: Connection, team_id: str) -> None:
    """Somebody acted: what failed before counts no more. The cooldown does."""
    change(connection, team_id, failures_in_a_row=0, stopped_at=None, stopped_reason=None, next_attempt_at=None)


def about(connection: Connection, team_id: str, public_url: str) -> About:
    """The team, for its letters."""
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == team_id)).scalar_one()
    return About(team_id=team_id, name=str(name), public_url=public_url)


def record(
    connection: Connection, team_id: str, verb: str, details: dict[str, Any], *, object_id: str, now: datetime
) -> None:
    """A row in the team's activity, by nobody but Forebay."""
    activity.record(
        connection,
        None,
        f"auto-top-up.{verb}",
        now=now,
        team_id=team_id,
        object_type="auto-top-up",
        object_id=object_id,
        details=details,
    )
