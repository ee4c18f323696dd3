"""A provider without machines: it keeps what it was asked for, and lets whoever holds it play the world outside.

For tests and simulations of everything above a provider. It fulfils the same contract as the ones that run machines.
Its state is its own, so it outlives any Forebay that speaks to it: a crash of Forebay leaves it as it was.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from itertools import count

import msgspec

from forebay.compute.base import (
    Capabilities,
    CloudInitOutcome,
    Finding,
    FoundKey,
    Instance,
    InstanceState,
    LaunchSpec,
    LogKind,
    LogPart,
    NotYetTerminated,
    OutOfStock,
    Pool,
    PortForward,
    ProviderOffer,
    ProviderUnavailable,
    Rejected,
    Shell,
    Usage,
    VolumeRegion,
)
from forebay.compute.logs import piece
from forebay.compute.memory.terminals import MemoryShell
from forebay.compute.memory.volumes import REGION, MemoryVolumes

POOL = Pool(name="house", vcpus=16, memory_gb=64, storage_gb=1000, gpus=4)
SMALL = ProviderOffer(
    offer_id="small", name="Small", description="A machine without GPU.", pool="house", region="here", vcpus=2,
    memory_gb=4, storage_gb=20, gpu_type="cpu", gpu_model="CPU", gpu_count=0, gpu_memory_gb=0,
    os_options=("Debian 12",), rate_micros=3_600_000, storage_rate_micros=36_000,
)  # fmt: skip
"""A thousand micro-dollars a second; ten for its disk."""
MINIMUM = msgspec.structs.replace(SMALL, offer_id="minimum", name="Minimum", minimum_runtime_minutes=20)
GPU = msgspec.structs.replace(
    SMALL, offer_id="gpu", name="GPU", gpu_type="h100", gpu_model="H100", gpu_count=1, gpu_memory_gb=80,
    rate_micros=36_000_000,
)  # fmt: skip


def host_key_of(deployment_id: str) -> str:
    """A host key of the machine's own, in the form of a real one."""
    kind = b"ssh-ed25519"
    blob = len(kind).to_bytes(4, "big") + kind + (32).to_bytes(4, "big") + sha256(deployment_id.encode()).digest()
    return f"ssh-ed25519 {b64encode(blob).decode()}"


UNUSED = Usage(deployment_id="", cpu_seconds=0, gpu_busy=None, untouched_seconds=None)


class Machine(msgspec.Struct):
    """What is remembered of one machine."""

    spec: LaunchSpec
    instance: Instance
    keys: tuple[str, ...]
    removed: tuple[str, ...] = ()
    """Keys that get in by no other way either."""
    by_hand: list[FoundKey] = []
    """What its owner put there beside Forebay."""
    sessions: list[str] = []
    """The fingerprint that each open SSH connection came in with."""
    console: str = ""
    boot_log: str = ""
    starts: int = 0
    """How often it was really started."""
    notices: list[tuple[str, datetime]] = []
    """What it was told since its last start: the message, and when it ends."""
    shells: list[MemoryShell] = []
    usage: Usage = UNUSED


class MemoryProvider(MemoryVolumes):
    """See the module. Thread-safe; `now` is the provider's own clock."""

    name = "memory"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        pools: Sequence[Pool] = (POOL,),
        offers: Sequence[ProviderOffer] = (SMALL, MINIMUM, GPU),
        can_pause: bool = True,
        regions: Sequence[VolumeRegion] = (REGION,),
        can_share: bool = True,
    ) -> None:
        super().__init__(regions, can_share=can_share)
        self.now = now
        self.capabilities = Capabilities(
            cloud_init=True,
            pause=can_pause,
            live_keys=True,
            session_ends=True,
            ports=True,
            terminal=True,
            notice=True,
            any_size=True,
            volumes=bool(regions),
            volume_resize=bool(regions),
            shared_volumes=bool(regions) and can_share,
        )
        self.all_pools, self.all_offers = tuple(pools), tuple(offers)
        self.ports = count(20_000)
        self.machines: dict[str, Machine] = {}
        self.outcomes: dict[str, CloudInitOutcome] = {}
        self.is_silent = False
        """Whether SSH gives no answer."""

    # What Forebay asks.

    def prepare(self) -> None:
        with self.asked("prepare"):
            pass

    def pools(self) -> Sequence[Pool]:
        with self.asked("pools"):
            return self.all_pools

    def offers(self) -> Sequence[ProviderOffer]:
        with self.asked("offers"):
            return self.all_offers

    def launch(self, spec: LaunchSpec) -> None:
        with self.asked("launch"):
            if spec.deployment_id in self.machines:
                return
            pool = next((pool for pool in self.all_pools if pool.name == spec.pool), None)
            if pool is None:
                raise Rejected("There is no such pool")
            if spec.vcpus + sum(machine.spec.vcpus for machine in self.machines.values()) > pool.vcpus:
                raise OutOfStock("All processors are taken")
            port = next(self.ports)
            instance = Instance(
                deployment_id=spec.deployment_id,
                team_id=spec.team_id,
                state=InstanceState.starting,
                address="192.0.2.1",
                ssh_port=port,
                user="root",
                port_forwards=tuple(
                    PortForward(external=next(self.ports) if internal != 22 else port, internal=internal)
                    for internal in (22, *spec.ports)
                ),
                host_keys=(host_key_of(spec.deployment_id),),
            )
            self.machines[spec.deployment_id] = Machine(spec, instance, spec.authorized_keys)
            try:
                for mount in spec.volumes:
                    self.attach_volume(mount, spec.deployment_id)
            except Rejected:
                self.machines.pop(spec.deployment_id)
                self.let_go(spec.deployment_id)
                raise
            self.run(self.machines[spec.deployment_id], "launch")

    def run(self, machine: Machine, verb: str) -> None:
        """Really start it."""
        machine.starts += 1
        machine.console = f"start {machine.starts}\n"
        machine.usage = UNUSED
        machine.notices.clear()
        machine.instance = msgspec.structs.replace(
            machine.instance, state=InstanceState.running, started_at=self.now(), stopped_at=None, exit_reason=None
        )
        self.calls.append((verb, machine.instance.deployment_id))

    def observe(self) -> Sequence[Instance]:
        with self.asked("observe"):
            return [machine.instance for machine in self.machines.values()]

    def usage(self) -> Sequence[Usage]:
        with self.asked("usage"):
            return [
                msgspec.structs.replace(machine.usage, deployment_id=deployment_id)
                for deployment_id, machine in self.machines.items()
                if machine.instance.state is InstanceState.running
            ]

    def inspect(self, deployment_id: str) -> Instance | None:
        with self.asked("inspect"):
            machine = self.machines.get(deployment_id)
            return None if machine is None else machine.instance

    def stop(self, deployment_id: str) -> None:
        with self.asked("stop"):
            machine = self.machines.get(deployment_id)
            if machine is not None and machine.instance.state is not InstanceState.stopped:
                self.halt(machine, None)
                self.calls.append(("stop", deployment_id))

    def start(self, deployment_id: str) -> None:
        with self.asked("start"):
            machine = self.machines.get(deployment_id)
            if machine is None:
                raise Rejected("The machine is gone")
            if machine.instance.state is not InstanceState.running:
                self.run(machine, "start")

    def terminate(self, deployment_id: str) -> None:
        with self.asked("terminate"):
            machine = self.machines.pop(deployment_id, None)
            if machine is not None:
                self.hang_up(machine)
                self.let_go(deployment_id)
                self.calls.append(("terminate", deployment_id))

    def set_authorized_keys(self, deployment_id: str, keys: Sequence[str], removed: Sequence[str] = ()) -> None:
        with self.asked("set_authorized_keys"):
            machine = self.machines.get(deployment_id)
            if machine is None:
                raise Rejected("The machine is gone")
            machine.keys, machine.removed = tuple(keys), tuple(removed)

    def authorized_keys(self, deployment_id: str) -> Sequence[FoundKey]:
        with self.asked("authorized_keys"):
            machine = self.machines.get(deployment_id)
            if machine is None:
                raise Rejected("The machine is gone")
            return [*(FoundKey(line=key, place="") for key in machine.keys), *machine.by_hand]

    def end_sessions(self, deployment_id: str, fingerprints: Sequence[str]) -> int:
        with self.asked("end_sessions"):
            machine = self.machines.get(deployment_id)
            if machine is None:
                return 0
            before = len(machine.sessions)
            machine.sessions = [key for key in machine.sessions if key not in fingerprints]
            return before - len(machine.sessions)

    def cloud_init_outcome(self, deployment_id: str) -> CloudInitOutcome | None:
        with self.asked("cloud_init_outcome"):
            return self.outcomes.get(deployment_id)

    def logs(self, deployment_id: str, *, most_bytes: int = 65536) -> str:
        with self.asked("logs"):
            return f"{deployment_id}: {self.machines[deployment_id].starts} starts\n"[-most_bytes:]

    def read_log(
        self, deployment_id: str, kind: LogKind, *, after: str = "", most_bytes: int = 65536
    ) -> LogPart | None:
        with self.asked("read_log"):
            machine = self.machines.get(deployment_id)
            if machine is None:
                return None
            content = (machine.console if kind is LogKind.console else machine.boot_log).encode()
            found = piece(BytesIO(content), machine.starts, len(content), after, most_bytes)
            return LogPart(text=found.content.decode(errors="replace"), cursor=found.cursor, is_cut=found.is_cut)

    def open_shell(self, deployment_id: str, columns: int = 80, rows: int = 24) -> Shell:
        with self.asked("open_shell"):
            machine = self.machines.get(deployment_id)
            if machine is None or machine.instance.state is not InstanceState.running:
                raise Rejected("The machine does not run")
            machine.shells.append(MemoryShell(columns, rows))
            return machine.shells[-1]

    def warn(self, deployment_id: str, message: str, at: datetime, *, is_final: bool = True) -> None:
        with self.asked("warn"):
            machine = self.machines.get(deployment_id)
            if machine is None or machine.instance.state is not InstanceState.running:
                return
            if (message, at) not in machine.notices:
                machine.notices.append((message, at))
                self.calls.append(("warn", deployment_id))

    def doctor(self) -> Sequence[Finding]:
        return (Finding(name="memory", is_ok=True, found="there"),)

    def close(self) -> None:
        """Nothing is held."""

    # What the world does.

    def use(self, deployment_id: str, cpu_seconds: float = 0, **more: float | None) -> None:
        """The machine has used so much more processor time; `gpu_busy` and `untouched_seconds` as they are now."""
        with self.lock:
            machine = self.machines[deployment_id]
            total = machine.usage.cpu_seconds + cpu_seconds
            machine.usage = msgspec.structs.replace(machine.usage, cpu_seconds=total, **more)

    def answers(self, instance: Instance) -> bool:
        """Whether SSH answers on a machine as `instance` says."""
        with self.lock:
            machine = self.machines.get(instance.deployment_id)
            return machine is not None and machine.instance.state is InstanceState.running and not self.is_silent

    def halt(self, machine: Machine, reason: str | None) -> None:
        """Let it be stopped from now on."""
        machine.sessions.clear()
        self.hang_up(machine)
        machine.instance = msgspec.structs.replace(
            machine.instance, state=InstanceState.stopped, stopped_at=self.now(), exit_reason=reason
        )

    def hang_up(self, machine: Machine) -> None:
        """End the terminals in it."""
        for shell in machine.shells:
            shell.close()
        machine.shells.clear()

    def stop_by_itself(self, deployment_id: str, reason: str = "It ran out of memory.") -> None:
        """The machine stops, and nobody asked for it."""
        with self.lock:
            self.halt(self.machines[deployment_id], reason)

    def lose(self, deployment_id: str) -> None:
        """The machine is gone, and nobody asked for it."""
        with self.lock:
            self.hang_up(self.machines.pop(deployment_id))
            self.let_go(deployment_id)

    def be_unreachable(self, reason: str = "The network is down") -> None:
        """Answer nothing, until `be_back`."""
        self.refusals["all"] = ProviderUnavailable(reason)

    def be_slow_to_end(self) -> None:
        """Confirm no end, until `be_back`."""
        self.refusals["terminate"] = NotYetTerminated("It is still shutting down")

    def be_back(self) -> None:
        """Do again as one is asked."""
        self.refusals.clear()
