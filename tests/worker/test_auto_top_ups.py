"""Auto top-up: when it charges and how much, when it waits or stops, and that many at once charge a team once."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.money import audit, auto_top_up_terms, auto_top_ups, cards, ledger, payment_attempts
from forebay.domain.money.auto_top_up_terms import AutoTopUpOff, ConsentNeeded, Terms
from forebay.domain.money.auto_top_ups import Policy, Reason
from forebay.domain.money.deposits import AmountNotPossible, NoCard
from forebay.domain.money.payment_attempts import Attempt, PaymentUnderWay
from forebay.errors import NotFound
from forebay.payments.memory import MemoryProcessor
from forebay.storage import tables
from forebay.storage.database import Database
from forebay.worker.auto_top_ups import AutoTopUpReconciler
from tests import servers
from tests.payments.bank import DECLINED_LATER, GOOD, NEEDS_HOLDER, NO_FUNDS, MemoryBank, StripeBank
from tests.worker.stage import DOLLAR, Team
from tests.worker.till import Till, outcome

pytestmark = pytest.mark.slow

URL = "https://cloud.example.org"


class Pump:
    """A till with auto top-up."""

    def __init__(self, till: Till) -> None:
        self.till, self.database, self.clock = till, till.database, till.clock
        self.reconciler = self.open()

    def open(self, database: Database | None = None) -> AutoTopUpReconciler:
        """Another process on the same books."""
        return AutoTopUpReconciler(database or self.database, self.clock, public_url=URL, nudge=self.till.nudged.add)

    def team(self, number: str = GOOD, *, dollars: float = 0, **terms: Any) -> Team:
        """A team with a card, and auto top-up below $20 by $50."""
        team = self.till.team(number, dollars=dollars)
        self.put(team, **terms)
        return team

    def put(self, team: Team, *, is_agreed: bool = True, **terms: Any) -> None:
        """What the owner sets, in dollars."""
        wish = {"threshold": 20, "amount": 50} | terms
        wish.setdefault("max_charge", wish["amount"])
        month = wish.get("month_ceiling")
        found = Terms(
            threshold_micros=int(wish["threshold"] * DOLLAR),
            amount_micros=int(wish["amount"] * DOLLAR),
            max_charge_micros=int(wish["max_charge"] * DOLLAR),
            month_ceiling_micros=None if month is None else int(month * DOLLAR),
            day_ceiling_charges=wish.get("day_ceiling"),
            card_id=wish.get("card_id"),
        )
        with self.database.begin() as connection:
            auto_top_up_terms.put(connection, team.context, found, is_agreed=is_agreed, now=self.clock.now())

    def act(self, verb: str, team: Team) -> None:
        """`turn_off` or `try_again`, by the owner."""
        with self.database.begin() as connection:
            getattr(auto_top_up_terms, verb)(connection, team.context, now=self.clock.now())

    def run(self) -> None:
        """One round, and all that it claimed carried out."""
        self.reconciler.run()
        self.till.reconciler.run()

    def spend(self, team: Team, dollars: float) -> None:
        """The team uses credits."""
        with self.database.begin() as connection:
            ledger.post(
                connection,
                team_id=team.id,
                kind=ledger.GIVEN_UP,
                key=f"spent:{team.id}:{self.clock.ticks}:{dollars}",
                postings=[
                    ledger.Posting(f"team:{team.id}", -int(dollars * DOLLAR)),
                    ledger.Posting(ledger.GRANTS, int(dollars * DOLLAR)),
                ],
                now=self.clock.now(),
            )

    def attempts(self, team: Team, path: str = "auto") -> list[Attempt]:
        """The team's, oldest first."""
        with self.database.read() as connection:
            found, _ = payment_attempts.of_team(connection, team.id, limit=100)
        return [attempt for attempt in reversed(found) if attempt.path == path]

    def charges(self, team: Team) -> list[float]:
        """The amounts that were claimed, in dollars."""
        return [attempt.amount_micros / DOLLAR for attempt in self.attempts(team)]

    def policy(self, team: Team) -> Policy:
        with self.database.read() as connection:
            found = auto_top_ups.find(connection, team.id)
        assert found is not None
        return found

    def decision(self, team: Team) -> auto_top_ups.Decision:
        with self.database.read() as connection:
            standing = auto_top_ups.stand(connection, team.id, now=self.clock.now())
        assert standing is not None
        return auto_top_ups.decide(standing, now=self.clock.now())

    def mails(self, words: str) -> int:
        """How many have these words in their subject."""
        return sum(words in mail for mail in self.till.mails())


@pytest.fixture
def pump(database: Database) -> Pump:
    bank = MemoryBank(MemoryProcessor(lambda: datetime.now(UTC)))
    till = Till(database, bank)
    bank.memory.now = till.clock.now
    return Pump(till)


@pytest.fixture
def stripe_pump(sqlite_url: str, stripe_world: servers.StripeWorld) -> Iterator[Pump]:
    """On Stripe's stand-in."""
    bank, database = StripeBank(stripe_world.account()), Database(sqlite_url)
    yield Pump(Till(database, bank))
    bank.close()
    database.close()


def test_below_the_threshold_it_charges_and_at_it_it_does_not(pump: Pump) -> None:
    at, below = pump.team(dollars=20), pump.team(dollars=20)
    pump.spend(below, 0.000001)
    pump.run()
    assert (pump.charges(at), pump.charges(below)) == ([], [50])
    assert pump.till.balance(below) == 69.999999
    assert {"payments", "mails"} <= pump.till.nudged
    assert pump.decision(below).reason is Reason.enough
    assert pump.mails("Receipt") == 1
    pump.till.check()


@pytest.mark.slow
def test_a_charge_at_stripe(stripe_pump: Pump) -> None:
    good, dead = stripe_pump.team(), stripe_pump.team(DECLINED_LATER)
    stripe_pump.run()
    assert (stripe_pump.till.balance(good), stripe_pump.till.balance(dead)) == (50, 0)
    assert stripe_pump.policy(dead).failures_in_a_row == 1
    stripe_pump.till.check()


@pytest.mark.parametrize("number", [GOOD, DECLINED_LATER])
def test_attempts_are_five_minutes_apart_whatever_came_of_them_and_across_a_restart(pump: Pump, number: str) -> None:
    team = pump.team(number)
    pump.reconciler.run()
    pump.clock.pass_(100)
    pump.till.settle()
    if number == GOOD:
        pump.spend(team, 49)
    pump.act("try_again", team)
    pump.clock.pass_(199)
    pump.till.restart()
    pump.reconciler = pump.open()
    pump.put(team)
    pump.run()
    assert len(pump.attempts(team)) == 1
    assert pump.decision(team).reason is Reason.cooldown
    assert pump.decision(team).at == pump.clock.now() + timedelta(seconds=1)
    pump.clock.pass_(1)
    pump.run()
    assert len(pump.attempts(team)) == 2
    pump.till.check()


@pytest.mark.parametrize(
    ("balance", "terms", "charged"),
    [
        (19, {"amount": 15}, 15),
        (5, {"amount": 15}, 15),
        (4.99, {"amount": 15, "max_charge": 100}, 30),
        (4.99, {"amount": 15}, 15),
        (4.99, {"amount": 15, "max_charge": 29.99}, 15),
        (-70, {"amount": 15, "max_charge": 100}, 90),
        (-70, {"amount": 15, "max_charge": 60}, 60),
        (0, {"threshold": 500, "amount": 15, "max_charge": 5000}, 510),
    ],
)
def test_it_charges_the_smallest_multiple_that_lifts_the_balance(
    pump: Pump, balance: float, terms: dict[str, float], charged: float
) -> None:
    policy = {"threshold": 20, "max_charge": terms.get("max_charge", terms["amount"])} | terms
    found = auto_top_ups.charge_micros(
        Policy(
            team_id="t",
            is_on=True,
            threshold_micros=int(policy["threshold"] * DOLLAR),
            amount_micros=int(policy["amount"] * DOLLAR),
            max_charge_micros=round(policy["max_charge"] * DOLLAR),
            month_ceiling_micros=None,
            day_ceiling_charges=None,
            card_id=None,
            consent_text="",
            consented_by="p",
            consented_at=pump.clock.now(),
            failures_in_a_row=0,
            stopped_at=None,
            stopped_reason=None,
            last_claimed_at=None,
            next_attempt_at=None,
            too_little_mailed_at=None,
        ),
        round(balance * DOLLAR),
        0,
    )
    assert found == charged * DOLLAR


def test_after_a_decline_an_hour_is_waited(pump: Pump) -> None:
    team = pump.team(DECLINED_LATER)
    pump.run()
    pump.clock.pass_(3599)
    pump.run()
    assert pump.decision(team).reason is Reason.declined
    assert len(pump.attempts(team)) == 1
    pump.clock.pass_(1)
    pump.run()
    assert len(pump.attempts(team)) == 2


@pytest.mark.slow
def test_seven_days_of_a_dead_card_are_three_attempts_and_one_mail(pump: Pump) -> None:
    team = pump.team(NO_FUNDS)
    for _ in range(7 * 24 * 12):
        pump.run()
        pump.clock.pass_(300)
    assert [outcome(attempt) for attempt in pump.attempts(team)] == [("declined", "insufficient_funds")] * 3
    assert len(pump.till.mails()) == pump.mails("auto top-up has stopped") == 1
    policy = pump.policy(team)
    assert (policy.is_on, policy.stopped_reason) == (True, "insufficient_funds")
    # Somebody acts, and then three more, and a mail.
    pump.act("try_again", team)
    for _ in range(24):
        pump.run()
        pump.clock.pass_(600)
    assert len(pump.attempts(team)) == 6
    assert pump.mails("auto top-up has stopped") == 2
    pump.till.check()


def test_a_code_that_says_the_card_is_dead_stops_it_at_once(pump: Pump) -> None:
    team = pump.team()
    pump.reconciler.run()
    [attempt] = pump.attempts(team)
    with pump.database.begin() as connection:
        [mine] = payment_attempts.take(connection, [attempt.id], now=pump.clock.now())
    pump.till.reconciler.end(mine, payment_attempts.State.declined, "lost_card")
    assert pump.policy(team).stopped_reason == "lost_card"
    pump.clock.pass_(86400)
    pump.run()
    assert len(pump.attempts(team)) == 1
    # The same card is no news; another one that is charged from now on is.
    new = pump.till.save_card(team)
    with pump.database.begin() as connection:
        auto_top_ups.resume_by_card(connection, team.id, by=None, now=pump.clock.now())
    assert pump.policy(team).stopped_at is not None
    with pump.database.begin() as connection:
        cards.make_default(connection, team.id, new)
        auto_top_ups.resume_by_card(connection, team.id, by=None, now=pump.clock.now())
    pump.run()
    assert [attempt.card_id for attempt in pump.attempts(team)][1:] == [new]
    assert pump.till.balance(team) == 50
    pump.till.check()


def test_a_success_forgets_failures(pump: Pump) -> None:
    team = pump.team(DECLINED_LATER)
    pump.run()
    pump.clock.pass_(3600)
    pump.run()
    assert pump.policy(team).failures_in_a_row == 2
    with pump.database.begin() as connection:
        [old] = cards.of_team(connection, team.id)
        cards.delete(connection, team.id, old.id, now=pump.clock.now())
    assert pump.decision(team).reason is Reason.no_card
    pump.till.save_card(team)
    pump.clock.pass_(3600)
    pump.run()
    assert pump.policy(team).failures_in_a_row == 0
    assert pump.till.balance(team) == 50


def test_what_the_holder_must_confirm_frees_the_slot_and_mails_a_page(pump: Pump) -> None:
    team = pump.team(NEEDS_HOLDER)
    pump.run()
    [attempt] = pump.attempts(team)
    assert outcome(attempt) == ("authentication_required", "authentication_required")
    pump.till.reconciler.run()
    [page] = pump.attempts(team, "checkout")
    assert page.page_url is not None
    with pump.database.read() as connection:
        [mail] = connection.execute(sa.select(tables.mails)).all()
    assert page.page_url in mail.text
    assert mail.recipient == team.context.caller.email
    assert page.page_id is not None
    assert isinstance(pump.till.bank, MemoryBank)
    pump.till.bank.memory.pay(page.page_id, NEEDS_HOLDER)
    pump.clock.pass_(60)
    pump.till.reconciler.run()
    assert pump.till.balance(team) == 50
    pump.clock.pass_(3600)
    pump.run()
    assert len(pump.attempts(team)) == 1, "it isn't needed any more"
    pump.till.check()


def test_ceilings_of_a_day_and_of_a_month(pump: Pump) -> None:
    by_day, by_month = pump.team(day_ceiling=2), pump.team(month_ceiling=149.99)
    for _ in range(4):
        for team in (by_day, by_month):
            if pump.till.balance(team) >= 20:
                pump.spend(team, 50)
        pump.run()
        pump.clock.pass_(3600)
    assert (pump.charges(by_day), pump.charges(by_month)) == ([50, 50], [50, 50])
    assert pump.decision(by_day).at == datetime(2026, 3, 2, tzinfo=UTC)
    assert pump.decision(by_month).at == datetime(2026, 4, 1, tzinfo=UTC)
    with pump.database.read() as connection:
        assert auto_top_ups.due_teams(connection, now=pump.clock.now()) == [], "they keep no other waiting"
    pump.clock.pass_(20 * 3600 - 1)
    pump.run()
    assert len(pump.attempts(by_day)) == 2
    pump.clock.pass_(1)
    pump.run()
    assert (len(pump.attempts(by_day)), len(pump.attempts(by_month))) == (3, 2)
    pump.clock.pass_(30 * 86400)
    pump.run()
    assert len(pump.attempts(by_month)) == 3
    pump.till.check()


def test_a_month_ceiling_cuts_a_multiple(pump: Pump) -> None:
    team = pump.team(threshold=100, amount=20, max_charge=200, month_ceiling=70)
    pump.run()
    assert pump.charges(team) == [60]
    pump.clock.pass_(300)
    pump.run()
    assert pump.decision(team).reason is Reason.month_ceiling


def test_off_frozen_deleted_and_a_charge_under_way_are_reasons_not_to(pump: Pump) -> None:
    off, frozen, busy = pump.team(), pump.team(), pump.team()
    pump.act("turn_off", off)
    with pump.database.begin() as connection:
        connection.execute(
            sa.update(tables.teams).where(tables.teams.c.id == frozen.id).values(frozen_at=pump.clock.now())
        )
    pump.till.ask(busy, 15)
    with pytest.raises(AutoTopUpOff):
        pump.act("try_again", off)
    for team, reason in ((off, Reason.off), (frozen, Reason.frozen), (busy, Reason.under_way)):
        assert pump.decision(team).reason is reason
        with pump.database.begin() as connection:
            assert auto_top_ups.claim(connection, team.id, public_url=URL, now=pump.clock.now()) is None
    pump.run()
    assert [pump.attempts(team) for team in (off, frozen, busy)] == [[], [], []]
    pump.run()
    assert pump.charges(busy) == [50], "a deposit that was too small"


def test_what_is_not_needed_any_more_is_given_up_before_the_card_is_charged(pump: Pump) -> None:
    paid, off = pump.team(), pump.team()
    pump.reconciler.run()
    pump.till.stage.grant(paid.id, 100)
    pump.act("turn_off", off)
    pump.till.reconciler.run()
    for team in (paid, off):
        assert [outcome(attempt) for attempt in pump.attempts(team)] == [("canceled", "no_longer_needed")]
    assert pump.till.charged() == []
    pump.till.check()


def test_terms_out_of_bounds_without_a_card_or_without_consent_are_refused(pump: Pump) -> None:
    team, other = pump.till.team(), pump.till.team()
    for terms in (
        {"threshold": 4.99},
        {"threshold": 500.01},
        {"threshold": 5.001},
        {"amount": 14.99},
        {"amount": 5000.01},
        {"amount": 50, "max_charge": 49.99},
        {"max_charge": 5000.01},
        {"month_ceiling": 49},
    ):
        with pytest.raises(AmountNotPossible):
            pump.put(team, **terms)
    with pump.database.read() as connection:
        [theirs] = cards.of_team(connection, other.id)
    with pytest.raises(NotFound):
        pump.put(team, card_id=theirs.id)
    with pytest.raises(NoCard):
        pump.put(pump.till.stage.team(dollars=0))
    with pytest.raises(ConsentNeeded) as refused:
        pump.put(team, is_agreed=False, month_ceiling=500, day_ceiling=4)
    pump.put(team, month_ceiling=500, day_ceiling=4)
    policy = pump.policy(team)
    assert policy.consent_text == refused.value.details["consentText"]
    assert (policy.consented_by, policy.consented_at) == (team.context.caller.user_id, pump.clock.now())
    for words in ("visa ending in 4242", "$20.00", "$50.00", "$500.00 in a calendar month", "4 charges a day"):
        assert words in policy.consent_text


def test_what_it_means_is_said_in_words(pump: Pump) -> None:
    policy = pump.policy(pump.team(amount=100))
    says = auto_top_up_terms.meaning
    assert says(policy, 8_100_000) == "At your current burn of $8.10 an hour this charges about every 12 hours."
    assert "Nothing that costs is running" in says(policy, 0)
    assert "can't keep up" not in says(policy, 1200 * DOLLAR)
    assert "can't keep up" in says(policy, 1200 * DOLLAR + 1)
    assert auto_top_up_terms.most_a_day_micros(policy) == 28_800 * DOLLAR
    assert "$28800.00" in auto_top_up_terms.warning(policy)
    bounded = pump.policy(pump.team(amount=100, day_ceiling=3))
    assert auto_top_up_terms.most_a_day_micros(bounded) == 300 * DOLLAR
    bounded = pump.policy(pump.team(amount=100, month_ceiling=250))
    assert auto_top_up_terms.most_a_day_micros(bounded) == 250 * DOLLAR


def race(pump: Pump, url: str, workers: int, count: int, *, is_asked: bool = False) -> list[Team]:
    """So many processes look at so many teams that are below their threshold, all at once."""
    teams = [pump.team(dollars=19) for _ in range(count)]
    databases = [Database(url, connections=2) for _ in range(workers)]
    barrier = threading.Barrier(workers + is_asked)

    def work(database: Database) -> None:
        barrier.wait()
        for _ in range(2):
            pump.open(database).run()
            pump.till.open(database).run()

    def ask() -> None:
        barrier.wait()
        for team in teams:
            with suppress(PaymentUnderWay):
                pump.till.ask(team, 50)

    with ThreadPoolExecutor(workers + 1) as threads:
        under_way = [threads.submit(work, database) for database in databases]
        if is_asked:
            under_way.append(threads.submit(ask))
        for each in under_way:
            each.result()
    pump.till.settle()
    for database in databases:
        database.close()
    return teams


@pytest.mark.slow
def test_many_processes_charge_each_team_once(pump: Pump, database_url: str) -> None:
    teams = race(pump, database_url, 4, 10)
    assert [pump.charges(team) for team in teams] == [[50]] * len(teams)
    assert len(pump.till.charged()) == len(teams)
    pump.till.check()


@pytest.mark.prove
def test_eight_processes_charge_fifty_teams_once_each(pump: Pump, database_url: str) -> None:
    teams = race(pump, database_url, 8, 50)
    assert [pump.charges(team) for team in teams] == [[50]] * len(teams)
    assert len(pump.till.charged()) == 50
    pump.till.check()


@pytest.mark.grows
@pytest.mark.slow
def test_a_deposit_by_hand_at_the_same_moment_leaves_no_more_than_is_needed(pump: Pump, database_url: str) -> None:
    workers, count = (8, 50) if os.environ.get("PROVE") else (2, 10)
    teams = race(pump, database_url, workers, count, is_asked=True)
    for team in teams:
        asked, automatic = pump.attempts(team, "manual"), pump.attempts(team)
        # Whoever asks after an automatic charge has come to its end wants more than that; never the other way round.
        if automatic and asked:
            assert asked[0].id > automatic[0].id or automatic[0].state == "canceled"
        assert len(automatic) <= 1
    pump.till.check()


@pytest.mark.slow
def test_a_thousand_teams_that_are_due_at_once_are_claimed_within_ten_seconds(pump: Pump) -> None:
    team = pump.team()
    with pump.database.begin() as connection:
        copy(connection, team.id, 1000)
    before = datetime.now(UTC)
    pump.reconciler.run()
    taken = (datetime.now(UTC) - before).total_seconds()
    with pump.database.read() as connection:
        claimed = connection.execute(sa.select(sa.func.count()).select_from(tables.payment_attempts)).scalar_one()
    assert claimed == 1001
    assert taken <= 10, taken


def copy(connection: sa.Connection, team_id: str, count: int) -> None:
    """So many teams like this one, each with card, policy and an empty account."""
    for table, key in ((tables.teams, "id"), (tables.accounts, "team_id"), (tables.cards, "team_id"),
                       (tables.auto_top_ups, "team_id")):  # fmt: skip
        row = dict(connection.execute(sa.select(table).where(table.c[key] == team_id)).one()._mapping)
        rows = []
        for number in range(count):
            new = f"{team_id[:-6]}z{number:05}"
            own: dict[str, Any] = {key: new}
            if table is tables.teams:
                own |= {"slug": f"copy-{number}", "number": 100_000 + number}
            elif table is tables.accounts:
                own |= {"id": f"team:{new}"}
            elif table is tables.cards:
                own |= {"id": f"{row['id'][:-6]}z{number:05}", "payment_method_id": f"pm_copy_{number}"}
            rows.append(row | own)
        connection.execute(sa.insert(table), rows)


# The audit.


def findings(pump: Pump) -> list[str]:
    """What the audit says of auto top-up."""
    with audit.snapshot(pump.database) as connection:
        return [found.sentence for found in audit.run(connection) if found.check == "auto top-up"]


def plant(pump: Pump, attempt: Attempt, **values: Any) -> None:
    with pump.database.begin() as connection:
        connection.execute(
            sa.update(tables.payment_attempts).where(tables.payment_attempts.c.id == attempt.id).values(**values)
        )


def test_the_audit_finds_attempts_that_are_too_close(pump: Pump) -> None:
    team = pump.team()
    pump.run()
    pump.spend(team, 49)
    pump.clock.pass_(300)
    pump.run()
    assert findings(pump) == []
    first, second = pump.attempts(team)
    plant(pump, second, created_at=first.created_at + timedelta(seconds=299))
    [found] = findings(pump)
    assert second.id in found
    assert "299" in found


def test_the_audit_finds_attempts_after_the_breaker(pump: Pump) -> None:
    team = pump.team(NO_FUNDS)
    for _ in range(3):
        pump.run()
        pump.clock.pass_(3600)
    pump.act("try_again", team)
    pump.run()
    assert findings(pump) == []
    third, fourth = pump.attempts(team)[2:]
    stopped_at = pump.policy(team).last_claimed_at
    assert stopped_at is not None
    plant(pump, fourth, created_at=third.created_at + timedelta(seconds=1800))
    [found] = findings(pump)
    assert fourth.id in found
    assert "somebody" in found


def test_the_audit_finds_a_charge_of_a_dead_card(pump: Pump) -> None:
    team = pump.team(NO_FUNDS)
    pump.run()
    pump.clock.pass_(3600)
    pump.run()
    first, second = pump.attempts(team)
    plant(pump, first, error_code="stolen_card")
    [found] = findings(pump)
    assert second.id in found
