"""Makes a team's customer at the processor when one is first needed: claimed, committed, asked for, recorded."""

from datetime import timedelta

from forebay.clock import Clock
from forebay.domain.money import customers
from forebay.domain.money.customers import Customer
from forebay.payments.base import Customer as Wanted
from forebay.payments.base import PaymentProcessor
from forebay.storage.database import Database

REPEAT_SECONDS = 23 * 3600
"""After a day the processor forgets a key: no request is repeated so late."""


class Customers:
    """See the module."""

    def __init__(self, database: Database, processor: PaymentProcessor, clock: Clock) -> None:
        self.database, self.processor, self.clock = database, processor, clock

    def ensure(self, team_id: str) -> str:
        """The processor's id of the team. Raises PaymentError, NotFound."""
        with self.database.read() as connection:
            found = customers.find(connection, team_id)
        if found is None:
            with self.database.begin() as connection:
                found = customers.claim(connection, team_id, now=self.clock.now())
        if found.customer_id is not None:
            return found.customer_id
        customer_id = self.make(found)
        with self.database.begin() as connection:
            customers.note_made(connection, team_id, customer_id, now=self.clock.now())
            found = customers.find(connection, team_id)
        assert found is not None
        assert found.customer_id is not None
        return found.customer_id

    def make(self, claimed: Customer) -> str:
        """Ask for it; long after the claim only where a look shows that it isn't there."""
        wanted = Wanted(name=claimed.name, email=claimed.email, marks={"forebay_team": claimed.team_id})
        key = claimed.idempotency_key
        if self.clock.now() - claimed.claimed_at >= timedelta(seconds=REPEAT_SECONDS):
            made = self.processor.find_customer(wanted.marks, since=claimed.claimed_at - timedelta(days=1))
            if made is not None:
                return made
            key = f"{key}:{self.clock.now():%Y-%m-%d}"
        return self.processor.create_customer(wanted, key=key)
