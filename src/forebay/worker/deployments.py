"""Brings about what is desired of each deployment, and applies what the provider reported.

A deployment that is due is claimed under a lease, worked on outside any transaction, and the outcome is applied only
if the lease still holds. Every step can be cut off: the intent is on record before the provider hears of it, and the
provider's verbs may be repeated. `running` is said when SSH has answered with the host key that the machine reported.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

import msgspec

from forebay import ids
from forebay.clock import Clock
from forebay.compute.base import (
    CloudInit,
    Instance,
    InstanceState,
    LaunchSpec,
    NotYetTerminated,
    OutOfStock,
    Provider,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    VolumeMount,
)
from forebay.domain.machines import alerts, authorized_keys, host_keys, lifecycle, volume_attachments
from forebay.domain.machines.deployments import Deployment, Desired, Limits, Status, slug
from forebay.domain.machines.lifecycle import LaunchFacts, Lost, Reach
from forebay.domain.machines.volume_attachments import Wanted
from forebay.storage.database import Database

log = logging.getLogger(__name__)

LEASE_SECONDS = 30
AT_ONCE = 8
PATIENCE_SECONDS = 20.0
"""How long one claim waits for SSH before it lets others have a turn."""
PROBE_SECONDS, PROBE_MORE_SECONDS = 0.02, 0.1
"""From one look to the next: often at first, for most machines answer within a second; then less often."""
OFTEN_SECONDS = 2.0
RETRY_SECONDS = (1, 2, 5, 10, 30, 60)
"""From one attempt to the next. After so many attempts the operator is told."""


class DeploymentReconciler:
    """See the module."""

    name = "deployments"
    interval_seconds = 1.0

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        limits: Limits,
        *,
        probe: Callable[[Instance], bool],
        launch_timeout_seconds: int,
        nudge: Callable[[str], None] = lambda name: None,
        at_once: int = AT_ONCE,
        executor: Executor | None = None,
    ) -> None:
        self.database, self.providers, self.clock, self.limits = database, providers, clock, limits
        self.probe, self.launch_timeout_seconds, self.nudge = probe, launch_timeout_seconds, nudge
        self.slots = threading.BoundedSemaphore(at_once)
        self.at_once = at_once
        self.executor = executor or ThreadPoolExecutor(at_once, thread_name_prefix="forebay-machine")
        self.stopping = threading.Event()

    def run(self) -> int:
        """Claim what is due, as much as there are hands, and hand it out. It does not wait for the ends."""
        free = self.take_slots()
        token = ids.new_secret(16).hex()
        claimed: list[Deployment] = []
        try:
            if free:
                with self.database.begin() as connection:
                    now = self.clock.now()
                    claimed = list(lifecycle.claim(connection, token, now=now, seconds=LEASE_SECONDS, limit=free))
        finally:
            for _ in range(free - len(claimed)):
                self.slots.release()
        for deployment in claimed:
            self.executor.submit(self.work, deployment, token)
        return 0

    def take_slots(self) -> int:
        """How many hands are free; they are taken."""
        taken = 0
        while taken < self.at_once and self.slots.acquire(blocking=False):
            taken += 1
        return taken

    def work(self, deployment: Deployment, token: str) -> None:
        """One claimed deployment, in a thread; afterwards whoever waits for a hand is told."""
        try:
            self.handle(deployment, token)
        except Exception:
            log.exception("deployment not handled", extra={"deployment": deployment.id})
        finally:
            self.slots.release()
            self.nudge(self.name)
            self.nudge("notifications")

    def handle(self, deployment: Deployment, token: str) -> None:
        """Bring about what is desired, and give the lease back with the time of the next look."""
        wait: float | None
        try:
            deployment, wait = self.bring_about(deployment, token)
        except Lost:
            wait = 0
        except (NotYetTerminated, ProviderUnavailable) as reason:
            wait = backoff(deployment.attempts)
            self.note_trouble(deployment, reason)
            deployment = self.give_up_if_late(deployment, token, str(reason))
        except ProviderError as reason:
            wait = backoff(deployment.attempts)
            deployment = self.refused(deployment, token, reason)
        except Exception:
            log.exception("deployment not brought about", extra={"deployment": deployment.id})
            wait = backoff(deployment.attempts)
            deployment = self.give_up_if_late(deployment, token, "something went wrong in Forebay")
        with self.database.begin() as connection:
            now = self.clock.now()
            next_due = None if wait is None else now + timedelta(seconds=int(wait))
            lifecycle.release(connection, deployment, token, next_due=next_due, now=now)
            if wait is None:
                alerts.clear(connection, "provider", f"deployment {deployment.id}", now=now)

    def bring_about(self, deployment: Deployment, token: str) -> tuple[Deployment, float | None]:
        """The deployment as it is afterwards, and the seconds to the next look; None: all is as it should be."""
        provider = self.providers.get(deployment.provider)
        if provider is None:
            raise ProviderUnavailable(f"the provider {deployment.provider} is not configured")
        if deployment.desired is Desired.terminated:
            return self.bring_to_an_end(deployment, token, provider)
        if deployment.desired is Desired.stopped:
            return self.bring_to_a_stop(deployment, token, provider)
        if deployment.status is Status.running:
            return self.look_after(deployment, token, provider)
        return self.bring_up(deployment, token, provider)

    def bring_to_an_end(
        self, deployment: Deployment, token: str, provider: Provider
    ) -> tuple[Deployment, float | None]:
        """Terminate, and free the capacity once the provider has confirmed."""
        provider.terminate(deployment.id)
        with self.database.begin() as connection:
            lifecycle.mark_gone(connection, deployment, token, now=self.clock.now())
        self.nudge("offers")
        return deployment, None

    def bring_to_a_stop(
        self, deployment: Deployment, token: str, provider: Provider
    ) -> tuple[Deployment, float | None]:
        """Stop; a machine that isn't there any more is lost."""
        instance = provider.inspect(deployment.id)
        if instance is None:
            return self.lost(deployment, token), 0
        if instance.state is not InstanceState.stopped:
            provider.stop(deployment.id)
        with self.database.begin() as connection:
            lifecycle.note_halted(connection, deployment, now=self.clock.now())
        return deployment, None

    def look_after(self, deployment: Deployment, token: str, provider: Provider) -> tuple[Deployment, float | None]:
        """A running machine that something seemed wrong with."""
        instance = provider.inspect(deployment.id)
        if instance is None:
            return self.lost(deployment, token), 0
        if instance.state is InstanceState.running:
            return deployment, None
        if instance.state is not InstanceState.stopped:
            return deployment, 2
        with self.database.begin() as connection:
            now = self.clock.now()
            reason = instance.exit_reason or "by itself"
            lifecycle.mark_stopped_by_itself(
                connection, deployment, token, reason, self.limits, at=instance.stopped_at, now=now
            )
        return deployment, 0

    def lost(self, deployment: Deployment, token: str) -> Deployment:
        """Apply that the machine is gone at the provider."""
        with self.database.begin() as connection:
            lifecycle.mark_lost(connection, deployment, token, now=self.clock.now())
        return deployment

    def bring_up(self, deployment: Deployment, token: str, provider: Provider) -> tuple[Deployment, float | None]:
        """Launch or start, then wait for SSH."""
        instance = provider.inspect(deployment.id)
        if instance is None and deployment.started_at is not None:
            return self.lost(deployment, token), 0
        if instance is None or instance.state is not InstanceState.running:
            wanted = self.wanted_volumes(deployment)
            if any(volume.state == "creating" for volume in wanted):
                return self.give_up_if_late(deployment, token, "its volume could not be made in time"), 1
            mounts = [VolumeMount(volume.volume_id, volume.name) for volume in wanted]
            if deployment.started_at is not None:
                self.start(deployment, provider, mounts)
            else:
                self.launch(deployment, provider, mounts)
            with self.database.begin() as connection:
                now = self.clock.now()
                if not lifecycle.prolong(connection, deployment.id, token, now=now, seconds=LEASE_SECONDS):
                    raise Lost
                lifecycle.note_placed(connection, deployment, now=now)
        return self.wait_for_ssh(deployment, token, provider)

    def wanted_volumes(self, deployment: Deployment) -> Sequence[Wanted]:
        """What the machine is to come up with. Raises Rejected where one of them can't be."""
        with self.database.read() as connection:
            wanted = volume_attachments.wanted(connection, deployment.id)
        for volume in wanted:
            if volume.state == "failed":
                raise Rejected(f"its volume {volume.name} could not be made: {volume.error}")
        return wanted

    def start(self, deployment: Deployment, provider: Provider, mounts: Sequence[VolumeMount]) -> None:
        """Start it with its volumes: after a reboot of the host they are not there any more."""
        for mount in mounts:
            provider.attach_volume(mount, deployment.id)
        provider.start(deployment.id)
        self.note_volumes(deployment, mounts)

    def note_volumes(self, deployment: Deployment, mounts: Sequence[VolumeMount]) -> None:
        """The machine has come up with these."""
        if mounts:
            with self.database.begin() as connection:
                volume_ids = [mount.volume_id for mount in mounts]
                volume_attachments.machine_launched(connection, deployment.id, volume_ids, now=self.clock.now())

    def launch(self, deployment: Deployment, provider: Provider, mounts: Sequence[VolumeMount]) -> None:
        """Launch with the keys that are right now; if they aren't any more afterwards, they are written again."""
        with self.database.read() as connection:
            facts = lifecycle.launch_facts(connection, deployment)
        provider.launch(msgspec.structs.replace(self.spec(deployment, facts), volumes=tuple(mounts)))
        with self.database.begin() as connection:
            authorized_keys.recheck(connection, deployment.id, facts.keys_version, now=self.clock.now())
        self.note_volumes(deployment, mounts)

    def spec(self, deployment: Deployment, facts: LaunchFacts) -> LaunchSpec:
        """What the provider is told."""
        return LaunchSpec(
            deployment_id=deployment.id,
            team_id=deployment.team_id,
            team_number=facts.team_number,
            hostname=slug(deployment.name),
            offer_id=deployment.offer_id.removeprefix(f"{deployment.provider}-"),
            pool=deployment.pool_id.partition("/")[2],
            operating_system=deployment.operating_system,
            vcpus=deployment.vcpus,
            memory_gb=deployment.memory_gb,
            storage_gb=deployment.storage_gb,
            gpu_type=deployment.gpu_type,
            gpu_count=deployment.gpu_count,
            authorized_keys=facts.keys,
            ports=facts.ports,
            cloud_init=None if deployment.cloud_init is None else msgspec.convert(deployment.cloud_init, CloudInit),
        )

    def wait_for_ssh(self, deployment: Deployment, token: str, provider: Provider) -> tuple[Deployment, float | None]:
        """Say `running` when SSH answers; after a while let others have a turn, in the end give up."""
        began = self.clock.monotonic()
        until = began + PATIENCE_SECONDS
        while not self.stopping.is_set():
            instance = provider.inspect(deployment.id)
            if instance is not None and is_reachable(instance) and self.probe(instance):
                with self.database.begin() as connection:
                    now = self.clock.now()
                    lifecycle.mark_running(connection, deployment, token, reach(instance), now=now)
                return msgspec.structs.replace(deployment, status=Status.running), None
            if instance is None or instance.state is InstanceState.stopped or self.clock.monotonic() >= until:
                break
            with self.database.read() as connection:
                if not lifecycle.is_still_wanted(connection, deployment, token):
                    raise Lost
            is_early = self.clock.monotonic() < began + OFTEN_SECONDS
            self.clock.wait(self.stopping, PROBE_SECONDS if is_early else PROBE_MORE_SECONDS)
        return self.give_up_if_late(deployment, token, "SSH did not answer in time"), backoff(deployment.attempts)

    def note_trouble(self, deployment: Deployment, reason: ProviderError) -> None:
        """What holds a deployment up is on its timeline, once: the first of all tries says it."""
        if deployment.attempts == 0 and isinstance(reason, ProviderUnavailable):
            with self.database.begin() as connection:
                lifecycle.note_trouble(connection, deployment, str(reason), now=self.clock.now())

    def give_up_if_late(self, deployment: Deployment, token: str, reason: str) -> Deployment:
        """A launch or start that has taken too long has failed; an outage of the provider shows to the operator."""
        now = self.clock.now()
        if not is_late(deployment, now, self.launch_timeout_seconds):
            if deployment.attempts >= len(RETRY_SECONDS):
                with self.database.begin() as connection:
                    alerts.raise_(connection, "provider", f"deployment {deployment.id}", reason, now=now)
            return deployment
        return self.failed(deployment, token, reason)

    def refused(self, deployment: Deployment, token: str, reason: ProviderError) -> Deployment:
        """The provider said no: a launch or start has failed, anything else is tried again and the operator told."""
        if deployment.desired is Desired.running and deployment.status is Status.deploying:
            sentence = f"Not Enough Stock: {reason}" if isinstance(reason, OutOfStock) else str(reason)
            return self.failed(deployment, token, sentence)
        with self.database.begin() as connection:
            alerts.raise_(connection, "provider", f"deployment {deployment.id}", str(reason), now=self.clock.now())
        log.error("provider refused", extra={"deployment": deployment.id, "is_final": isinstance(reason, Rejected)})
        return deployment

    def failed(self, deployment: Deployment, token: str, reason: str) -> Deployment:
        """Apply the failure, unless someone wanted something else in the meantime."""
        try:
            with self.database.begin() as connection:
                lifecycle.mark_failed(connection, deployment, token, reason, now=self.clock.now())
        except Lost:
            log.info("failure of no consequence", extra={"deployment": deployment.id})
        return deployment

    def close(self) -> None:
        """Let those who wait for SSH go; what they were at is taken up at the next start."""
        self.stopping.set()
        self.executor.shutdown(wait=False, cancel_futures=True)


def is_late(deployment: Deployment, now: datetime, timeout_seconds: int) -> bool:
    """Whether a launch or start has taken longer than it may."""
    if deployment.status is not Status.deploying or deployment.deploying_since is None:
        return False
    return now - deployment.deploying_since > timedelta(seconds=timeout_seconds)


def backoff(attempts: int) -> int:
    """Seconds to the next attempt."""
    return RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)]


def is_reachable(instance: Instance) -> bool:
    """Whether the machine runs and everything people need to get in is known."""
    return (
        instance.state is InstanceState.running
        and bool(instance.host_keys)
        and None not in (instance.address, instance.ssh_port, instance.user)
    )


def reach(instance: Instance) -> Reach:
    """How people get in."""
    return Reach(
        ip_address=instance.address or "",
        ssh_user=instance.user or "",
        ssh_port=instance.ssh_port or 0,
        port_forwards=[
            {"external": forward.external, "internal": forward.internal} for forward in instance.port_forwards
        ],
        host_keys=host_keys.read(instance.host_keys),
    )
