"""Guesses are slowed down, to the second; and nobody can lock anybody else out."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from forebay.domain.people import accounts, sessions, slow_down
from forebay.domain.people.slow_down import Attempt, network_of
from forebay.errors import RateLimitExceeded
from forebay.storage.database import Database
from forebay.storage.tables import sign_in_failures
from tests.api.clock import Clock

pytestmark = pytest.mark.slow

KEY = b"a key for tests, of no use elsewhere"
HOME, AWAY = "198.51.100.7", "203.0.113.9"


class Gate:
    """One account's gate, and who knocks at it."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, Clock()
        with database.begin() as connection:
            account, _ = accounts.create(
                connection, email="ann@example.org", name="Ann", password_hash=None, now=self.clock.now()
            )
        self.user_id = account.id

    def knock(self, address: str, account: str = "ann@example.org", user_id: str | None = None) -> Attempt:
        """A wrong guess; raises RateLimitExceeded."""
        now = self.clock.now()
        known = user_id or (self.user_id if account == "ann@example.org" else None)
        with self.database.read() as connection:
            attempt = slow_down.look(
                connection, "password", account, user_id=known, address=address, secret_key=KEY, now=now
            )
        with self.database.begin() as connection:
            slow_down.count(connection, attempt, now=now)
        return attempt

    def wait(self, address: str, account: str = "ann@example.org") -> int:
        """How long the next guess would have to wait, without making it."""
        with self.database.read() as connection:
            known = self.user_id if account == "ann@example.org" else None
            try:
                slow_down.look(
                    connection,
                    "password",
                    account,
                    user_id=known,
                    address=address,
                    secret_key=KEY,
                    now=self.clock.now(),
                )
            except RateLimitExceeded as refused:
                return refused.retry_after
            return 0

    def was_at(self, address: str) -> None:
        """The owner has signed in from there."""
        with self.database.begin() as connection:
            sessions.begin(
                connection, self.user_id, KEY, now=self.clock.now(), days=1, address=address, user_agent="a test"
            )


@pytest.fixture
def gate(database: Database) -> Gate:
    return Gate(database)


def test_after_five_each_wrong_guess_costs_a_wait_that_doubles_up_to_fifteen_minutes(gate: Gate) -> None:
    waits = []
    for _ in range(18):
        gate.knock(HOME)
        waits.append(gate.wait(HOME))
        gate.clock.forward(seconds=waits[-1])
        assert gate.wait(HOME) == 0
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_a_wait_ends_at_its_second_and_asking_meanwhile_costs_nothing(gate: Gate) -> None:
    for _ in range(4):
        gate.knock(HOME)
    for wait in (1, 2, 4):
        gate.knock(HOME)
        for left in range(wait, 0, -1):
            with pytest.raises(RateLimitExceeded) as refused:
                gate.knock(HOME)
            assert refused.value.retry_after == left
            gate.clock.forward(seconds=1)


def test_a_right_one_is_given_back_and_a_day_without_wrong_ones_forgets(gate: Gate) -> None:
    for _ in range(4):
        attempt = gate.knock(HOME)
    with gate.database.begin() as connection:
        slow_down.forgive(connection, attempt, now=gate.clock.now())
    for _ in range(4):
        gate.knock(HOME)
    assert gate.wait(HOME) == 0
    gate.clock.forward(days=1)
    for _ in range(4):
        gate.knock(HOME)
    assert gate.wait(HOME) == 0
    gate.knock(HOME)
    assert gate.wait(HOME) == 1


def test_an_account_that_is_not_there_is_slowed_down_like_one_that_is(gate: Gate) -> None:
    for _ in range(9):
        for account in ("ann@example.org", "nobody@example.org"):
            gate.knock(HOME, account)
        waits = [gate.wait(HOME, account) for account in ("ann@example.org", "nobody@example.org")]
        assert waits[0] == waits[1]
        gate.clock.forward(seconds=waits[0])


def test_whoever_hammers_from_elsewhere_makes_the_owner_wait_nowhere_they_are_known(gate: Gate) -> None:
    gate.was_at(HOME)
    for number in range(60):
        try:
            gate.knock(f"203.0.{number}.9")
        except RateLimitExceeded as refused:
            gate.clock.forward(seconds=refused.retry_after)
    assert gate.wait("192.0.2.1") > 0, "from a network where the account was never seen"
    assert gate.wait(HOME) == 0
    assert gate.wait("198.51.100.200") == 0, "the same /24"
    assert gate.wait("198.51.101.7") > 0
    assert gate.wait("192.0.2.1", "bob@example.org") == 0, "another account"


def test_the_wait_of_an_account_everywhere_is_a_minute_at_most(gate: Gate) -> None:
    for number in range(60):
        gate.knock(f"203.0.{number}.9")
        wait = gate.wait("192.0.2.1")
        assert wait <= 60
        gate.clock.forward(seconds=wait)
    assert wait == 60


def test_one_password_on_many_accounts_is_slowed_down_by_network(gate: Gate) -> None:
    gate.was_at(AWAY)
    for number in range(100):
        gate.knock(AWAY, f"person-{number}@example.org")
    assert gate.wait(AWAY, "one-more@example.org") == 1
    assert gate.wait(HOME, "one-more@example.org") == 0
    assert gate.wait(AWAY) == 0, "whoever is known there"


def test_guesses_made_at_once_gain_nothing(gate: Gate) -> None:
    now = gate.clock.now()
    with gate.database.read() as connection:
        seen = [
            slow_down.look(
                connection, "password", "ann@example.org", user_id=gate.user_id, address=HOME, secret_key=KEY, now=now
            )
            for _ in range(20)
        ]
    refused = []
    for attempt in seen:
        try:
            with gate.database.begin() as connection:
                slow_down.count(connection, attempt, now=now)
        except RateLimitExceeded as error:
            refused.append(error.retry_after)
    assert refused == [1] * 15


def test_old_counts_are_dropped_and_none_says_whose_it_was(gate: Gate) -> None:
    gate.knock(HOME)
    with gate.database.read() as connection:
        text = str(connection.execute(sa.select(sign_in_failures)).all())
        assert "ann" not in text
        assert "198.51" not in text
    later = gate.clock.now() + timedelta(days=1)
    with gate.database.begin() as connection:
        assert slow_down.forget_old(connection, now=later - timedelta(seconds=1)) == 0
        assert slow_down.forget_old(connection, now=later) == 3
        assert slow_down.forget_old(connection, now=later) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network
