"""Brings a processor's events to Forebay's webhook as the internet does: signed, twice, late, in any order, or never.

And, from someone who knows the address and not the secret, forged ones.
"""

import json
import random
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from forebay.payments import events
from forebay.payments.base import Event

Deliver = Callable[[bytes, str], int]
"""Body and signature to status."""


class Relay:
    """See the module. What it does is decided by a seed."""

    def __init__(self, deliver: Deliver, secret: str, now: Callable[[], datetime], *, seed: int = 1) -> None:
        self.deliver, self.secret, self.now, self.chance = deliver, secret, now, random.Random(seed)
        self.late: list[bytes] = []

    def bring(self, bodies: Iterable[bytes], *, drop: float = 0.0) -> None:
        """All of these: shuffled, a third twice, a third later, and so many of them not at all."""
        kept = [body for body in bodies if self.chance.random() >= drop]
        twice = [body for body in kept if self.chance.random() < 1 / 3]
        chosen = kept + twice
        self.chance.shuffle(chosen)
        for body in chosen:
            if self.chance.random() < 1 / 3:
                self.late.append(body)
            else:
                self.send(body)

    def bring_late(self) -> None:
        """What was held back."""
        late, self.late = self.late, []
        for body in late:
            self.send(body)

    def send(self, body: bytes) -> None:
        """One, signed now: it must be taken."""
        assert self.deliver(body, events.sign(body, self.secret, now=self.now())) == 200

    def forge(self, body: bytes) -> None:
        """One that was signed by somebody else, or not at all: it must be refused."""
        assert self.deliver(body, events.sign(body, "whsec_guessed", now=self.now())) == 400
        assert self.deliver(body, "") == 400


def body_of(event: Event, **changes: Any) -> bytes:
    """What the processor would send for it."""
    is_own = event.object_id == event.payment_id
    about = {
        "id": event.object_id,
        "object": "payment_intent" if is_own else "other",
        "payment_intent": event.payment_id,
    }
    document = {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "created": int(event.occurred_at.timestamp()),
        "data": {"object": about},
    }
    return json.dumps(document | changes).encode()
