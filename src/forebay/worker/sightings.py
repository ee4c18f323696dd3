"""Compares what runs with what is on record.

Who was seen is paid for, what differs is looked at, what nobody asked for is shown.

Acting on a difference is left to the deployment reconciler, which looks again under a lease; so it does no harm that
a machine was launched or ended while its provider was answering.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from forebay.clock import Clock
from forebay.compute.base import Instance, InstanceState, Provider, ProviderError
from forebay.domain.machines import alerts, lifecycle, orphans, provider_states, reclaims
from forebay.domain.machines.deployments import Status
from forebay.domain.machines.lifecycle import Known
from forebay.domain.money import metering
from forebay.storage.database import Database
from forebay.worker import volumes
from forebay.worker.clock_guard import ClockGuard

log = logging.getLogger(__name__)


class SightingReconciler:
    """See the module."""

    name = "sightings"
    interval_seconds = 10.0

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        guard: ClockGuard,
        *,
        end_orphans: bool,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.providers, self.clock, self.guard = database, providers, clock, guard
        self.end_orphans, self.nudge = end_orphans, nudge

    def run(self) -> int:
        """Look at every provider once. Always 0: what was found is others' work."""
        for name, provider in self.providers.items():
            asked_at = self.clock.now()
            # Asked after the clock was read: what is sighted then may be charged.
            if not self.guard.is_sane():
                break
            try:
                found = provider.observe()
            except ProviderError as reason:
                with self.database.begin() as connection:
                    alerts.raise_(connection, "provider", name, f"{name} does not answer: {reason}", now=asked_at)
                    provider_states.note_silence(connection, name, str(reason), now=asked_at)
                continue
            strangers = self.compare(name, found, asked_at)
            self.deal_with_strangers(name, provider, strangers)
            self.look_at_volumes(name, provider, asked_at)
            self.take_notice(name, found)
            self.collect_cloud_init(name, provider)
        return 0

    def look_at_volumes(self, name: str, provider: Provider, asked_at: datetime) -> None:
        """The same with what is stored."""
        try:
            if volumes.look(self.database, name, provider, now=asked_at):
                self.nudge("volumes")
        except ProviderError as reason:
            log.warning("volumes not seen", extra={"provider": name, "reason": str(reason)})

    def compare(self, name: str, found: Sequence[Instance], asked_at: datetime) -> Sequence[Instance]:
        """Note who was seen and wake what differs; the instances that no record is waiting for."""
        with self.database.begin() as connection:
            records = lifecycle.known(connection, name)
            seen = {instance.deployment_id: instance.state for instance in found}
            sighted = [key for key, state in seen.items() if key in records and is_as_recorded(records[key], state)]
            over = {key: ends_at for key in sighted if (ends_at := records[key].ends_at) and ends_at < asked_at}
            metering.sight(connection, [key for key in sighted if key not in over], at=asked_at)
            for key, ends_at in over.items():
                metering.sight(connection, [key], at=ends_at)
            differing = [
                key
                for key, record in records.items()
                if not record.is_due and not is_as_recorded(record, seen.get(key))
            ]
            alerts.clear(connection, "provider", name, now=asked_at)
            provider_states.note_answer(connection, name, len(found), now=asked_at)
        if differing:
            # In a transaction of its own: deployments are locked before what they cost, here as everywhere.
            with self.database.begin() as connection:
                lifecycle.wake(connection, differing, now=self.clock.now())
            self.nudge("deployments")
        return [instance for instance in found if instance.deployment_id not in records]

    def deal_with_strangers(self, name: str, provider: Provider, strangers: Sequence[Instance]) -> None:
        """Leftovers of ended deployments are ended again.

        What has no record at all is shown, or ended where the setting or an operator says so.
        """
        with self.database.read() as connection:
            leftovers = lifecycle.gone_deployments(connection, [instance.deployment_id for instance in strangers])
            standing = orphans.standing(connection, name)
            is_shown = alerts.is_any_open(connection, "orphan")
        asked = {orphan.instance_id for orphan in standing if orphan.end_asked_at is not None}
        left = {}
        for instance in strangers:
            is_leftover = instance.deployment_id in leftovers
            is_ended = False
            if is_leftover or self.end_orphans or instance.deployment_id in asked:
                is_ended = self.end(provider, instance.deployment_id)
            if not is_leftover and not is_ended:
                left[instance.deployment_id] = (instance.team_id, str(instance.state))
        subjects = [f"{name}/{deployment_id}" for deployment_id in left]
        if not subjects and not standing and not is_shown:
            return
        now = self.clock.now()
        with self.database.begin() as connection:
            orphans.note(connection, name, left, now=now)
            for subject in subjects:
                alerts.raise_(connection, "orphan", subject, f"{subject} runs without a record", now=now)
            alerts.clear(connection, "orphan", of=f"{name}/", keep=subjects, now=now)

    def end(self, provider: Provider, deployment_id: str) -> bool:
        """End an instance that nobody is waiting for; whether nothing is left of it."""
        try:
            provider.terminate(deployment_id)
        except ProviderError as reason:
            log.warning("leftover not ended yet", extra={"deployment": deployment_id, "reason": str(reason)})
            return False
        return True

    def take_notice(self, name: str, found: Sequence[Instance]) -> None:
        """Pass on that the provider itself takes machines back."""
        taken = [(each.deployment_id, each.reclaim_at) for each in found if each.reclaim_at is not None]
        for deployment_id, at in taken:
            with self.database.begin() as connection:
                now = self.clock.now()
                is_ours = deployment_id in lifecycle.known(connection, name)
                is_news = is_ours and reclaims.by_provider(connection, deployment_id, at, now=now)
            if is_news:
                self.nudge("reclaims")
                self.nudge("notifications")

    def collect_cloud_init(self, name: str, provider: Provider) -> None:
        """Keep how first boots ended."""
        with self.database.read() as connection:
            pending = lifecycle.pending_cloud_init(connection, name)
        for deployment_id in pending:
            try:
                outcome = provider.cloud_init_outcome(deployment_id)
            except ProviderError as reason:
                log.info("no word of cloud-init", extra={"deployment": deployment_id, "reason": str(reason)})
                continue
            if outcome is not None:
                with self.database.begin() as connection:
                    lifecycle.note_cloud_init(
                        connection, deployment_id, succeeded=outcome.succeeded, log=outcome.log, now=self.clock.now()
                    )

    def close(self) -> None:
        """Nothing is held."""


def is_as_recorded(record: Known, state: InstanceState | None) -> bool:
    """Whether what was seen is what the record says; a deployment that is on its way somewhere is never called so."""
    if record.status is Status.running:
        return state is InstanceState.running
    if record.status is Status.stopped:
        return state is InstanceState.stopped
    return False
