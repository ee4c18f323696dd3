"""Looks which machines are in use, and warns and ends those that are idle for longer than people want.

In use is a machine whose processors or GPUs are busy, or in which somebody types, transfers files or has a tunnel. What
it is compared with is what this process saw the last time: after a restart, an outage of the provider or a change of
who looks, all begins anew, because nobody knows what was meanwhile.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from forebay import ids
from forebay.clock import Clock
from forebay.compute.base import Provider, ProviderError, Usage
from forebay.domain.machines import idleness
from forebay.domain.machines.idleness import Notice, Running
from forebay.storage.database import Database, Lease
from forebay.storage.tables import leases

log = logging.getLogger(__name__)

LEASE = "idleness"
LONGEST = 4
"""So many times the usual time may lie between two looks; after more nothing is concluded from what they show."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Below which a machine counts as idle."""

    cpu: float
    """Of one processor, from 0 to 1."""
    gpu: float
    """Of its busiest GPU, from 0 to 1."""


class Look(msgspec.Struct, frozen=True):
    """What a provider's machines had used when it was asked."""

    at: datetime
    usage: Mapping[str, Usage]


class IdlenessReconciler:
    """See the module."""

    name = "idleness"

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        thresholds: Thresholds,
        *,
        interval_seconds: float = 30,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.providers, self.clock = database, providers, clock
        self.thresholds, self.nudge = thresholds, nudge
        self.interval_seconds = interval_seconds
        self.token = ids.new_secret(16).hex()
        self.last: dict[str, Look] = {}

    def run(self) -> int:
        """Look once, where no other process does. Always 0: the next look is due in its time."""
        with self.database.begin() as connection:
            now, seconds = self.clock.now(), int(LONGEST * self.interval_seconds)
            if not Lease.take(connection, leases, LEASE, self.token, now=now, seconds=seconds):
                self.last.clear()
                return 0
        for name, provider in self.providers.items():
            before = self.last.pop(name, None)
            at = self.clock.now()
            try:
                look = Look(at, {usage.deployment_id: usage for usage in provider.usage()})
            except ProviderError as reason:
                log.info("no word of what machines use", extra={"provider": name, "reason": str(reason)})
                continue
            self.last[name] = look
            self.compare(name, provider, before, look)
        return 0

    def compare(self, name: str, provider: Provider, before: Look | None, look: Look) -> None:
        """Note who has begun to be idle and who is no more; then act on those that are."""
        with self.database.read() as connection:
            machines = idleness.running(connection, name)
        idle = {machine.id for machine in machines if self.is_idle(machine.id, before, look)}
        new = [machine.id for machine in machines if machine.id in idle and machine.idle_since is None]
        over = {machine.id for machine in machines if machine.id not in idle and machine.idle_since is not None}
        if new or over:
            with self.database.begin() as connection:
                idleness.begin(connection, new, since=before.at if before else look.at)
                idleness.end(connection, over, now=look.at)
        if before is not None:
            self.act(
                provider,
                [
                    machine
                    for machine in machines
                    if machine.id in idle and machine.is_to_be_told(machine.idle_since or before.at, look.at)
                ],
            )

    def is_idle(self, deployment_id: str, before: Look | None, look: Look) -> bool:
        """Whether it was not in use between two looks."""
        first = None if before is None else before.usage.get(deployment_id)
        second = look.usage.get(deployment_id)
        if before is None or first is None or second is None:
            return False
        seconds = (look.at - before.at).total_seconds()
        used = second.cpu_seconds - first.cpu_seconds
        if not 0 < seconds <= LONGEST * self.interval_seconds or used < 0:
            return False
        is_quiet = second.untouched_seconds is None or second.untouched_seconds >= seconds
        is_gpu_idle = second.gpu_busy is None or second.gpu_busy < self.thresholds.gpu
        return is_quiet and is_gpu_idle and used < self.thresholds.cpu * seconds

    def act(self, provider: Provider, machines: Sequence[Running]) -> None:
        """Warn and end those for which it is time, each in a transaction of its own."""
        for machine in machines:
            try:
                with self.database.begin() as connection:
                    outcome = idleness.act(connection, machine.id, now=self.clock.now())
            except Exception:
                log.exception("idle machine not dealt with", extra={"deployment": machine.id})
                continue
            if isinstance(outcome, Notice):
                self.nudge("notifications")
                self.tell(provider, outcome)
            elif outcome:
                self.nudge("deployments")

    def tell(self, provider: Provider, notice: Notice) -> None:
        """Give the machine its notice. The timeline has it already: who can't be told there is told by that."""
        if not provider.capabilities.notice:
            return
        try:
            provider.warn(notice.deployment_id, notice.sentence, notice.at, is_final=False)
        except ProviderError as reason:
            log.info("machine not warned", extra={"deployment": notice.deployment_id, "reason": str(reason)})

    def close(self) -> None:
        """Nothing is held but the lease, which ends by itself."""
