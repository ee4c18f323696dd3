"""Each payment processor in turn."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from forebay.payments.memory import MemoryProcessor
from tests import servers
from tests.payments.bank import Bank, MemoryBank, StripeBank

PROCESSORS = ["memory", pytest.param("stripe", marks=pytest.mark.slow)]


@pytest.fixture(params=PROCESSORS)
def bank(request: pytest.FixtureRequest) -> Iterator[Bank]:
    """An account at a processor, without anything in it."""
    if request.param == "memory":
        yield MemoryBank(MemoryProcessor(lambda: datetime.now(UTC)))
        return
    world: servers.StripeWorld = request.getfixturevalue("stripe_world")
    found = StripeBank(world.account())
    yield found
    found.close()
