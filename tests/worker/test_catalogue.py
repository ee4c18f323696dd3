"""Providers are brought up once, and put back what was taken away under them."""

from forebay.compute.base import ProviderUnavailable
from forebay.compute.memory import MemoryProvider
from forebay.domain.machines import alerts, offers
from forebay.storage.database import Database
from forebay.worker.catalogue import PREPARE_SECONDS, OfferReconciler
from tests.worker.stage import HandClock


class Counting(MemoryProvider):
    """Counts how often it is prepared, and fails as often as it is told."""

    prepared, failures = 0, 0

    def prepare(self) -> None:
        self.prepared += 1
        if self.prepared <= self.failures:
            raise ProviderUnavailable("no socket")


def test_a_provider_is_prepared_at_first_and_every_few_minutes(database: Database) -> None:
    time = HandClock()
    provider = Counting(time.now)
    reconciler = OfferReconciler(database, {"memory": provider}, time)
    assert [reconciler.run() for _ in range(3)] == [1, 0, 0]
    assert provider.prepared == 1
    time.pass_(PREPARE_SECONDS)
    assert [reconciler.run() for _ in range(3)] == [0, 0, 0]
    assert provider.prepared == 2
    with database.read() as connection:
        assert offers.listed(connection)


def test_a_provider_that_is_not_ready_is_shown_until_it_is(database: Database) -> None:
    time = HandClock()
    provider = Counting(time.now)
    provider.failures = 1
    reconciler = OfferReconciler(database, {"memory": provider}, time)
    assert reconciler.run() == 0
    with database.read() as connection:
        assert [alert.kind for alert in alerts.open_ones(connection)] == ["provider"]
    assert reconciler.run() == 1
    with database.read() as connection:
        assert alerts.open_ones(connection) == []
