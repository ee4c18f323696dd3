"""Brings about what is desired of each volume: makes it, lets it grow, attaches, detaches, deletes.

A volume that is due is claimed under a lease, worked on outside any transaction, and each outcome is applied only if
the lease still holds. Every step can be cut off: the intent is on record before the provider hears of it, and the
provider's verbs may be repeated. What machines come up with is the launch's own affair.

`look` is the other half: what the providers keep is compared with the records, by the round that looks at machines.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

from forebay import ids
from forebay.clock import Clock
from forebay.compute.base import (
    Busy,
    OutOfStock,
    Provider,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    VolumeMount,
    VolumeSpec,
)
from forebay.compute.base import Volume as Seen
from forebay.domain.machines import alerts, volume_attachments, volume_work, volumes
from forebay.domain.machines.lifecycle import Lost
from forebay.domain.machines.volume_attachments import Attachment
from forebay.domain.machines.volumes import Volume
from forebay.domain.money import metering
from forebay.storage.database import Database

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
MOST_AT_ONCE = 16
HANDS = 4
SOON_SECONDS = 2
"""Until the next look, where something else must happen first."""
RETRY_SECONDS = (1, 2, 5, 10, 30, 60)
"""From one attempt to the next. After so many attempts the operator is told."""


class VolumeReconciler:
    """See the module."""

    name = "volumes"
    interval_seconds = 1.0

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        nudge: Callable[[str], None] = lambda name: None,
        executor: Executor | None = None,
    ) -> None:
        self.database, self.providers, self.clock, self.nudge = database, providers, clock, nudge
        self.executor = executor or ThreadPoolExecutor(HANDS, thread_name_prefix="forebay-volume")

    def run(self) -> int:
        """Work on the volumes that are due; how many there were."""
        with self.database.read() as connection:
            if not volume_work.is_any_due(connection, now=self.clock.now()):
                return 0
        token = ids.new_secret(16).hex()
        with self.database.begin() as connection:
            claimed_at = self.clock.now()
            due = volume_work.claim(connection, token, now=claimed_at, seconds=LEASE_SECONDS, limit=MOST_AT_ONCE)
        until = claimed_at + timedelta(seconds=LEASE_SECONDS)
        for done in [self.executor.submit(self.work, volume, token, until) for volume in due]:
            done.result()
        return len(due)

    def work(self, volume: Volume, token: str, until: datetime) -> None:
        """One volume: bring it about, and give the lease back with the time of the next look."""
        wait: int | None
        trouble = ""
        try:
            wait = self.bring_about(volume, token)
        except Lost:
            return
        except ProviderError as reason:
            wait, trouble = backoff(volume.attempts), str(reason)
        except Exception:
            log.exception("volume not brought about", extra={"volume": volume.id})
            wait, trouble = backoff(volume.attempts), "something went wrong in Forebay"
        with self.database.begin() as connection:
            now = self.clock.now()
            next_due = None if wait is None else now + timedelta(seconds=wait)
            volume_work.release(connection, volume, token, due_before=until, next_due=next_due, now=now)
            if trouble and volume.attempts >= len(RETRY_SECONDS):
                alerts.raise_(connection, "provider", f"volume {volume.id}", trouble, now=now)
            elif not trouble:
                alerts.clear(connection, "provider", f"volume {volume.id}", now=now)

    def bring_about(self, volume: Volume, token: str) -> int | None:
        """Seconds to the next look; None: all is as it should be."""
        provider = self.providers.get(volume.provider)
        if provider is None:
            raise ProviderUnavailable(f"the provider {volume.provider} is not configured")
        if volume.state == "creating":
            volume = self.make(volume, token, provider)
        if volume.state == "available" and volume.made_gb < volume.size_gb:
            volume = self.grow(volume, token, provider)
        if volume.state == "available":
            return self.place(volume, token, provider)
        return self.take_away(volume, token, provider)

    def make(self, volume: Volume, token: str, provider: Provider) -> Volume:
        """Have it made; whoever waits to launch with it may go on. What can't be made has failed."""
        with self.database.read() as connection:
            number = volume_work.team_number(connection, volume)
        spec = VolumeSpec(
            volume_id=volume.id,
            team_id=volume.team_id,
            team_number=number,
            region=volume.region,
            size_gb=volume.size_gb,
        )
        try:
            provider.create_volume(spec)
        except (OutOfStock, Rejected) as reason:
            with self.database.begin() as connection:
                volume_work.mark_failed(connection, volume.id, token, str(reason), now=self.clock.now())
                return volume_work.held(connection, volume.id, token)
        with self.database.begin() as connection:
            made = volume_work.mark_made(connection, volume.id, token, volume.size_gb, now=self.clock.now())
        self.nudge("deployments")
        return made

    def grow(self, volume: Volume, token: str, provider: Provider) -> Volume:
        """Let it grow; where that can't be, it stays as it is and says so."""
        try:
            provider.resize_volume(volume.id, volume.size_gb)
        except (OutOfStock, Rejected) as reason:
            with self.database.begin() as connection:
                volume_work.mark_not_grown(connection, volume.id, token, str(reason))
                return volume_work.held(connection, volume.id, token)
        with self.database.begin() as connection:
            return volume_work.mark_grown(connection, volume.id, token, volume.size_gb, now=self.clock.now())

    def place(self, volume: Volume, token: str, provider: Provider) -> int | None:
        """Have it on the machines that should have it, and on no others."""
        seen = observed(provider, volume.id)
        with self.database.read() as connection:
            wanted = volume_attachments.of_volume(connection, volume.id)
        if seen is not None and seen.used_bytes not in (None, volume.used_bytes):
            # A machine that ended has let go of it, for one: what it left is known now, not a round later.
            with self.database.begin() as connection:
                volume_work.mark_used(connection, volume.id, token, seen.used_bytes)
        on = set() if seen is None else set(seen.deployment_ids)
        waits = [self.place_on(volume, token, provider, each, is_there=each.deployment_id in on) for each in wanted]
        for stray in on - {each.deployment_id for each in wanted}:
            provider.detach_volume(volume.id, stray)
        return min((wait for wait in waits if wait is not None), default=None)

    def place_on(
        self, volume: Volume, token: str, provider: Provider, wanted: Attachment, *, is_there: bool
    ) -> int | None:
        """One machine; seconds to the next look at it."""
        if wanted.is_ending:
            # Its end sets the volume free, and wakes this.
            return None
        if wanted.state == "detaching":
            return self.detach(volume, token, provider, wanted)
        if wanted.is_first_launch:
            return SOON_SECONDS
        if wanted.state == "attaching" or not is_there:
            self.attach(volume, token, provider, wanted)
        return None

    def attach(self, volume: Volume, token: str, provider: Provider, wanted: Attachment) -> None:
        """Have it on one machine."""
        try:
            provider.attach_volume(VolumeMount(volume.id, wanted.name), wanted.deployment_id)
        except Rejected as reason:
            with self.database.begin() as connection:
                now = self.clock.now()
                volume_work.mark_not_attached(connection, volume, token, wanted, str(reason), now=now)
            return
        with self.database.begin() as connection:
            volume_work.mark_attached(connection, volume, token, wanted, now=self.clock.now())

    def detach(self, volume: Volume, token: str, provider: Provider, wanted: Attachment) -> int | None:
        """Take it off one machine, and say what is stored on it now that its last write is done.

        While something uses it that is tried for a while, and then given up.
        """
        try:
            provider.detach_volume(volume.id, wanted.deployment_id)
        except Busy:
            with self.database.begin() as connection:
                is_over = volume_work.mark_busy(connection, volume, token, wanted, now=self.clock.now())
            return None if is_over else SOON_SECONDS
        seen = observed(provider, volume.id)
        used_bytes = None if seen is None else seen.used_bytes
        with self.database.begin() as connection:
            volume_work.mark_detached(connection, volume, token, wanted, used_bytes, now=self.clock.now())
        return None

    def take_away(self, volume: Volume, token: str, provider: Provider) -> int | None:
        """Delete what is left of one that has ended, once no machine has it any more."""
        if volume.gone_at is not None:
            return None
        if volume.state == "deleting":
            with self.database.read() as connection:
                if volume_attachments.of_volume(connection, volume.id):
                    return SOON_SECONDS
        provider.delete_volume(volume.id)
        with self.database.begin() as connection:
            volume_work.mark_gone(connection, volume.id, token, now=self.clock.now())
        return None

    def close(self) -> None:
        """What is under way is taken up at the next start."""
        self.executor.shutdown(wait=False, cancel_futures=True)


def observed(provider: Provider, volume_id: str) -> Seen | None:
    """The volume as the provider sees it now; None if it has none such. Raises ProviderError."""
    return next((each for each in provider.observe_volumes() if each.volume_id == volume_id), None)


def look(database: Database, name: str, provider: Provider, *, now: datetime) -> bool:
    """Note which volumes the provider keeps, and what is stored on them; wake those that differ from the records.

    What has no record at all is shown to the operator and never deleted: it may be somebody's work. Whether any was
    woken. Raises ProviderError.
    """
    if not provider.capabilities.volumes:
        return False
    found = {each.volume_id: each for each in provider.observe_volumes()}
    with database.begin() as connection:
        records = volume_work.known(connection, name)
        metering.sight(connection, [volume_id for volume_id in found if volume_id in records], at=now)
    differing = [volume_id for volume_id, record in records.items() if differs(record, found.get(volume_id))]
    used = {
        volume_id: each.used_bytes
        for volume_id, each in found.items()
        if each.used_bytes is not None and volume_id in records and each.used_bytes != records[volume_id].used_bytes
    }
    if differing or used:
        # In a transaction of its own: volumes are locked before what they cost, here as everywhere.
        with database.begin() as connection:
            for volume_id in sorted({*differing, *used}):
                if volume_id in used:
                    volumes.change(connection, volume_id, used_bytes=used[volume_id])
                if volume_id in differing:
                    volume_attachments.wake(connection, volume_id, now=now)
    lost = [
        volume_id for volume_id, record in records.items() if record.state == "available" and volume_id not in found
    ]
    tell(database, name, provider, lost, [volume_id for volume_id in found if volume_id not in records], now=now)
    return bool(differing)


def differs(record: volume_work.Known, seen: Seen | None) -> bool:
    """Whether a volume that is thought to be as it should isn't."""
    if record.is_due or seen is None or record.state != "available":
        return False
    return set(seen.deployment_ids) != record.attached


def tell(
    database: Database, name: str, provider: Provider, lost: Sequence[str], strangers: Sequence[str], *, now: datetime
) -> None:
    """Tell the operator of volumes that the provider has lost, and of those that nobody asked for."""
    with database.read() as connection:
        leftovers = volume_work.ended(connection, strangers)
        standing = any(alerts.is_any_open(connection, kind) for kind in ("orphan", "provider"))
    for volume_id in sorted(leftovers):
        try:
            provider.delete_volume(volume_id)
        except ProviderError as reason:
            log.warning("leftover not deleted yet", extra={"volume": volume_id, "reason": str(reason)})
    orphans = [f"{name} volume {volume_id}" for volume_id in strangers if volume_id not in leftovers]
    missing = [f"{name} lost volume {volume_id}" for volume_id in lost]
    if not (orphans or missing or standing):
        return
    with database.begin() as connection:
        for subject in orphans:
            alerts.raise_(connection, "orphan", subject, f"{subject} has no record", now=now)
        for subject in missing:
            alerts.raise_(connection, "provider", subject, f"{subject}: it is on record and not there", now=now)
        alerts.clear(connection, "orphan", of=f"{name} volume ", keep=orphans, now=now)
        alerts.clear(connection, "provider", of=f"{name} lost volume ", keep=missing, now=now)


def backoff(attempts: int) -> int:
    """Seconds to the next attempt."""
    return RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)]
