"""Forebay is killed before and after every step of a charge; after a restart the books show what the processor shows.

For every kind of card, on the processor in memory and on Stripe's stand-in. A second suite puts a network between that
loses, delays, refuses and cuts: the same result.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from forebay.domain.money.payment_attempts import of_team
from forebay.payments.memory import MemoryProcessor
from forebay.storage.database import Database
from tests import servers
from tests.payments.bank import (
    ALWAYS_NEEDS_HOLDER,
    DECLINED_LATER,
    DISPUTED,
    GOOD,
    NEEDS_HOLDER,
    NO_FUNDS,
    MemoryBank,
    StripeBank,
)
from tests.payments.fault_proxy import FAULTS, FaultProxy
from tests.worker.dying import Death, DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import Team
from tests.worker.till import Till

pytestmark = pytest.mark.slow

MOST_STEPS = 60
ENDS = {
    GOOD: ("succeeded", 50),
    DECLINED_LATER: ("declined", 0),
    NO_FUNDS: ("declined", 0),
    NEEDS_HOLDER: ("authentication_required", 0),
    ALWAYS_NEEDS_HOLDER: ("authentication_required", 0),
    DISPUTED: ("succeeded", 0),
}
"""What each card comes to: the attempt's state, and the dollars on the balance."""


@pytest.fixture(params=["memory", "stripe"])
def till(request: pytest.FixtureRequest, database: Database) -> Iterator[Till]:
    if request.param == "memory":
        yield Till(database, MemoryBank(MemoryProcessor(lambda: datetime.now(UTC))))
        return
    world: servers.StripeWorld = request.getfixturevalue("stripe_world")
    bank = StripeBank(world.account())
    yield Till(database, bank)
    bank.close()


def cut_off(till: Till, team: Team, at: int) -> Fuse:
    """Ask for a deposit and carry it out, and die at this step; then start again, and let that come to its end."""
    fuse = Fuse(at)
    database = DyingDatabase(till.database, fuse)
    with suppress(Death):
        till.ask(team, database=database)
        till.settle(till.open(database, DyingProvider(till.bank.processor, fuse)))
    till.restart()
    till.settle()
    return fuse


@pytest.mark.parametrize("number", ENDS)
def test_killed_at_any_step_of_a_charge(till: Till, number: str) -> None:
    seen: set[str] = set()
    state, dollars = ENDS[number]
    for at in range(1, MOST_STEPS):
        team = till.team(number)
        fuse = cut_off(till, team, at)
        seen |= set(fuse.steps)
        is_asked = "committed" in fuse.steps
        with till.database.read() as connection:
            attempts, total = of_team(connection, team.id)
        assert [attempt.state for attempt in attempts] == ([state] if is_asked else [])
        assert total == len(attempts)
        assert till.balance(team) == (dollars if is_asked else 0)
        till.check()
        if not fuse.is_burnt_out:
            break
    else:
        raise AssertionError("it never comes to its end")
    assert {"before create_payment", "after create_payment", "before confirm", "after confirm", "committed"} <= seen
    assert ("after cancel" in seen) == (state == "authentication_required")


def test_a_first_customer_is_made_once_wherever_it_is_cut_off(till: Till) -> None:
    for at in range(1, MOST_STEPS):
        team = till.stage.team(dollars=0)
        fuse = Fuse(at)
        database, processor = DyingDatabase(till.database, fuse), DyingProvider(till.bank.processor, fuse)
        made = ""
        with suppress(Death):
            made = till.open(database, processor).customers.ensure(team.id)
        again = till.reconciler.customers.ensure(team.id)
        assert made in ("", again)
        if not fuse.is_burnt_out:
            assert at > 4
            return
    raise AssertionError("it never comes to its end")


@pytest.fixture
def proxy(stripe_world: servers.StripeWorld) -> Iterator[FaultProxy]:
    with FaultProxy(stripe_world.port) as proxy:
        yield proxy


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [GOOD, DECLINED_LATER, NEEDS_HOLDER, DISPUTED])
def test_whatever_the_network_does_to_any_request(
    sqlite_url: str, stripe_world: servers.StripeWorld, proxy: FaultProxy, number: str, fault: str
) -> None:
    account = stripe_world.account()
    database = Database(sqlite_url)
    direct, bank = StripeBank(account), StripeBank(account, api_base=proxy.to(account), seconds=0.5)
    till = Till(database, direct)
    state, dollars = ENDS[number]
    for place in range(1, MOST_STEPS):
        team = till.team(number)
        proxy.spoil(fault, at=place)
        reconciler = till.open(processor=bank.processor)
        attempt = till.ask(team)
        till.settle(reconciler)
        assert till.find(attempt).state == state
        assert till.balance(team) == dollars
        till.check()
        if not proxy.has_spoilt:
            break
    else:
        raise AssertionError("it never comes to its end")
    assert place > 2
    bank.close()
    direct.close()
    database.close()
