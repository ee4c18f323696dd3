"""SIGKILL of a real process before and after every step of a charge, at Stripe's stand-in: nobody pays twice.

The steps are those that the code takes. `test_payment_crashes.py` does the same without a process for each of them.
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from forebay import ids
from forebay.storage.database import Database
from tests import servers
from tests.payments.bank import GOOD, StripeBank
from tests.worker.dying import DyingDatabase, DyingProvider, Fuse
from tests.worker.stage import Team
from tests.worker.test_auto_top_ups import Pump
from tests.worker.test_payment_crashes import ENDS, MOST_STEPS
from tests.worker.till import Till

PROVES = bool(os.environ.get("PROVE"))
DOLLARS = 50


class Charge(Fuse):
    """A fuse that ends the process it is in, as the kernel does."""

    def step(self, what: str) -> None:
        self.steps.append(what)
        if len(self.steps) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Scene:
    """The books and the account, and what a process needs to open them for itself."""

    pump: Pump
    url: str
    account: str

    def deposit(self, team: Team, database: DyingDatabase) -> None:
        """The owner asks for it."""
        self.pump.till.ask(team, DOLLARS, database=database)

    def automatic(self, team: Team, database: DyingDatabase) -> None:
        """The balance is below the threshold."""
        self.pump.open(database).run()  # type: ignore[arg-type]

    def is_cut_off(self, team: Team, at: int, begin: Callable[[Team, DyingDatabase], None]) -> bool:
        """Charge in a process of its own that is killed at this step; whether it came so far."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                ids.process = os.urandom(5).hex()
                till, fuse, bank = self.pump.till, Charge(at), StripeBank(self.account)
                till.database = Database(self.url, connections=4)
                database = DyingDatabase(till.database, fuse)
                begin(team, database)
                till.settle(till.open(database, DyingProvider(bank.processor, fuse)))
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True
        assert os.WEXITSTATUS(status) == 0
        return False


@pytest.fixture
def scene(database_url: str, stripe_world: servers.StripeWorld) -> Iterator[Scene]:
    account = stripe_world.account()
    bank, database = StripeBank(account), Database(database_url)
    yield Scene(Pump(Till(database, bank)), database_url, account)
    bank.close()
    database.close()


def goes_through(scene: Scene, number: str, path: str) -> None:
    """Killed at the first step, at the second, and so on until it is killed no more."""
    pump, till = scene.pump, scene.pump.till
    state, dollars = ENDS[number]
    for at in range(1, MOST_STEPS):
        team = till.team(number)
        if path == "automatic":
            pump.put(team, threshold=20, amount=DOLLARS)
        was_killed = scene.is_cut_off(team, at, getattr(scene, path))
        till.restart()
        if path == "automatic":
            pump.reconciler.run()
        till.settle()
        attempts = pump.attempts(team, "auto" if path == "automatic" else "manual")
        may_be_none = was_killed and path == "deposit"
        assert [attempt.state for attempt in attempts] in ([state], [] if may_be_none else [state])
        assert till.balance(team) == (dollars if attempts else 0)
        till.check()
        if path == "automatic":
            pump.act("turn_off", team)
        if not was_killed:
            assert at > 10
            return
    raise AssertionError("it never comes to its end")


@pytest.mark.grows
@pytest.mark.slow
@pytest.mark.parametrize("path", ["deposit", "automatic"] if PROVES else ["automatic"])
@pytest.mark.parametrize("number", ENDS if PROVES else [GOOD])
def test_every_card_survives_sigkill_at_any_step(scene: Scene, number: str, path: str) -> None:
    goes_through(scene, number, path)
