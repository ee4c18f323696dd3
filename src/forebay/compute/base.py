"""What Forebay asks of whoever runs machines: the Provider protocol, and the values that cross it.

A provider holds no books. The domain decides what should be, the reconciler compares that with what `observe` says and
calls the verbs here; every verb may be repeated after a crash, so each is idempotent by deployment or volume id:

- `launch` of a deployment that exists already changes nothing (but starts it if a crash came between the two);
- `stop`, `start` and `terminate` of one that is already so, or already gone, are fine;
- `terminate` raises NotYetTerminated until the provider confirms that nothing is left;
- so it is with volumes: what is there already is not made again, what is gone already is fine, and what is stored on
  one outlives every machine that it was attached to.

Providers are plain synchronous objects, called from worker threads, several at once: they must be thread-safe.
They never see money, people, or the database.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class ProviderError(Exception):
    """The root of what a provider may raise. The text is for the team's timeline: no secrets, no host paths."""


class OutOfStock(ProviderError):
    """No capacity for this launch after all."""


class NotYetTerminated(ProviderError):
    """The end was asked for and isn't confirmed yet: ask again."""


class ProviderUnavailable(ProviderError):
    """The provider can't be reached or does not answer; what runs there is unknown. Try again later."""


class Rejected(ProviderError):
    """The provider will never do this: trying again is useless."""


class Busy(ProviderError):
    """A process of a machine still uses the volume; nothing was changed."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider can do, as claims."""

    cloud_init: bool = False
    pause: bool = False
    """Stop keeps the disk, and start brings the same machine back."""
    volumes: bool = False
    """Volumes can be made, and attached to machines while they run."""
    volume_resize: bool = False
    """A volume can grow, also while it is attached."""
    shared_volumes: bool = False
    """A volume can be attached to several machines at once."""
    live_keys: bool = False
    """`set_authorized_keys` works on a running machine, and `authorized_keys` reads back what is there."""
    session_ends: bool = False
    """`end_sessions` finds the sessions of a key and ends them."""
    ports: bool = False
    """Ports of a machine beside its SSH are reached from outside, where the launch asks for it."""
    terminal: bool = False
    """`open_shell` gives a terminal in a running machine."""
    notice: bool = False
    """`warn` tells a running machine that it will be taken back."""
    disk_quota: bool = False
    """A machine can write as much as its offer's disk is large, and no more."""
    vm_isolation: bool = False
    any_size: bool = False
    """Machines of any size that fits the pool can be launched, not only those of `offers`."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity that several offers of one region share. Units: virtual CPUs, GB of memory, GB of disk, GPUs."""

    name: str
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpus: int


class ProviderOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be launched. Money is in micro-dollars an hour for the whole instance."""

    offer_id: str
    """Stable across restarts, at most 60 of [a-z0-9-], unique in the provider."""
    name: str
    description: str
    pool: str
    region: str
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpu_type: str
    """`cpu` for a machine without GPU."""
    gpu_model: str
    gpu_count: int
    gpu_memory_gb: int
    os_options: tuple[str, ...]
    rate_micros: int
    storage_rate_micros: int
    """What the disk costs while the machine is stopped."""
    spot_rate_micros: int | None = None
    """What it costs as a machine that may be taken back; None: it isn't offered so, or `instance_type` says it is."""
    minimum_runtime_minutes: int = 0
    instance_type: str = "DEDICATED"
    interconnect_type: str = ""
    interconnect_description: str = ""
    is_simulated: bool = False
    is_maintenance: bool = False
    """Not to be launched now: its image is still being built, say."""


class VolumeRegion(msgspec.Struct, frozen=True, kw_only=True):
    """Where volumes can be kept, at what price, and within which bounds. GB are 2**30 bytes."""

    region: str
    """As in the offers: a volume can be attached to machines of its region."""
    name: str
    """What people call the region."""
    nanos_per_gb: int
    """Nano-dollars an hour for each GB."""
    min_size_gb: int
    max_size_gb: int
    total_gb: int
    """What all volumes of the region may come to."""


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One volume to be."""

    volume_id: str
    team_id: str
    team_number: int
    """As of a launch: on some providers it says whose user ids the files have."""
    region: str
    size_gb: int


class VolumeMount(msgspec.Struct, frozen=True):
    """A volume on a machine, at `/mnt/<name>`."""

    volume_id: str
    name: str
    """[a-z0-9_-], at most 60."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as the provider sees it at one moment."""

    volume_id: str
    size_gb: int
    used_bytes: int | None = None
    """What is stored on it; None where that can't be said now."""
    deployment_ids: tuple[str, ...] = ()
    """The machines, running or not, that it is attached to."""


class WriteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file cloud-init writes. `encoding` is empty, b64, gzip or gz+b64; `permissions` octal text like 0644."""

    path: str
    content: str
    owner: str = ""
    permissions: str = ""
    encoding: str = ""


class CloudInit(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine does at first boot, in cloud-init's own order: files, packages, commands."""

    packages: tuple[str, ...] = ()
    runcmd: tuple[str, ...] = ()
    write_files: tuple[WriteFile, ...] = ()


class LaunchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One machine to be."""

    deployment_id: str
    team_id: str
    team_number: int
    """A small integer of the team's own, from 1: providers derive its network and its uid range from it."""
    hostname: str
    """[a-z0-9-], at most 60."""
    offer_id: str
    pool: str
    operating_system: str
    vcpus: int
    memory_gb: int
    storage_gb: int
    gpu_type: str
    gpu_count: int
    authorized_keys: tuple[str, ...]
    ports: tuple[int, ...] = ()
    """TCP ports of the machine that are to be reached from outside, beside its SSH."""
    cloud_init: CloudInit | None = None
    volumes: tuple[VolumeMount, ...] = ()
    """They exist, and are there before anything runs on the machine."""


class InstanceState(StrEnum):
    """What the provider sees. `starting` covers everything before the machine's init runs."""

    starting = "starting"
    running = "running"
    stopped = "stopped"
    ending = "ending"


class PortForward(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the machine, reachable at `external` on the address of its SSH."""

    external: int
    internal: int


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as the provider sees it at one moment."""

    deployment_id: str
    state: InstanceState
    team_id: str = ""
    address: str | None = None
    """Where people reach it: a host name or IP address."""
    probe_address: str | None = None
    """Where Forebay itself tries SSH, when that differs from `address` (loopback, say); None: the same."""
    ssh_port: int | None = None
    user: str | None = None
    host_keys: tuple[str, ...] = ()
    """Public SSH host keys as the machine reported them, `type base64` each; empty until it has."""
    port_forwards: tuple[PortForward, ...] = ()
    started_at: datetime | None = None
    """The provider's own time of the last start (UTC)."""
    stopped_at: datetime | None = None
    """The provider's own time of the last stop (UTC), if it is stopped."""
    reclaim_at: datetime | None = None
    """The provider takes it back then; it has said so, and nobody here has asked for it."""
    exit_reason: str | None = None
    """In words, if it stopped by itself: out of memory, its init ended with code 1."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running machine uses at one moment."""

    deployment_id: str
    cpu_seconds: float
    """Processor time since its start, of all its processors together."""
    gpu_busy: float | None
    """How busy the busiest of its GPUs is, from 0 to 1; None: it has none, or nobody can say."""
    untouched_seconds: float | None
    """Since somebody did something over SSH or in a terminal; 0 where that is going on, None: nobody is logged in."""


class CloudInitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How first boot ended."""

    succeeded: bool
    log: str
    """The last 64 KiB of cloud-init's output."""


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that opens a machine, as it was read there."""

    line: str
    """`type base64 comment`; whoever is root in the machine may have written it."""
    place: str
    """The file it stands in, as it is called inside; empty where Forebay's own keys are."""


class LogKind(StrEnum):
    """What there is to read of a machine."""

    console = "console"
    cloud_init = "cloud-init"


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a log that ends with a whole line."""

    text: str
    cursor: str
    """Where it ends: what is asked for after it comes next. At most 60 characters; empty where there is no log yet."""
    is_cut: bool = False
    """Something is missing before it: too much for one piece, or the log was begun anew since the cursor."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `forebay doctor`: a claim, whether it holds, and how to make it hold."""

    name: str
    is_ok: bool
    found: str
    remedy: str = ""
    is_required: bool = True


class Shell(Protocol):
    """A terminal in a machine, with root's shell in it. May be read, written and closed by different threads."""

    def read(self, timeout_seconds: float | None = None) -> bytes | None:
        """What the terminal shows next, raw; b"" once the shell has ended; None if nothing came in time."""

    def write(self, typed: bytes) -> None:
        """What was typed, raw. Fine if the shell has ended."""

    def resize(self, columns: int, rows: int) -> None:
        """The terminal's size. Fine if the shell has ended."""

    def close(self) -> None:
        """Hang up: the shell ends, and who reads is told so. May be called again."""


class Provider(Protocol):
    """The protocol itself. All methods may raise ProviderUnavailable."""

    name: str
    capabilities: Capabilities

    def prepare(self) -> None:
        """Bring up what launches need (services, networks, images).

        Slow the first time; may be called again at will.
        """

    def pools(self) -> Sequence[Pool]:
        """The capacity there is in all, taken or not."""

    def offers(self) -> Sequence[ProviderOffer]:
        """What can be launched here, whether or not there is room for it now."""

    def launch(self, spec: LaunchSpec) -> None:
        """Create and start the machine. Returns when it was started, not when SSH answers.

        Raises OutOfStock, Rejected.
        """

    def observe(self) -> Sequence[Instance]:
        """Every instance that carries our mark, whoever asked for it."""

    def usage(self) -> Sequence[Usage]:
        """What each machine uses that `observe` has last found running: cheap enough to be asked every half minute.

        One that has gone since, or can't be measured, is left out.
        """

    def inspect(self, deployment_id: str) -> Instance | None:
        """One instance with all of its fields, or None if there is no such thing."""

    def stop(self, deployment_id: str) -> None:
        """Stop it gracefully, then hard; its disk stays. Returns when it is stopped."""

    def start(self, deployment_id: str) -> None:
        """Start it again with the disk it had. Raises Rejected if it is gone."""

    def terminate(self, deployment_id: str) -> None:
        """End it and delete its disk. Returns when nothing is left of it; raises NotYetTerminated otherwise."""

    def set_authorized_keys(self, deployment_id: str, keys: Sequence[str], removed: Sequence[str] = ()) -> None:
        """Make exactly these public keys the ones that Forebay lets in; those in `removed` get in by no other file.

        Raises Rejected if the machine is gone.
        """

    def authorized_keys(self, deployment_id: str) -> Sequence[FoundKey]:
        """The keys that open the machine, as they stand there, running or stopped. Raises Rejected if it is gone."""

    def end_sessions(self, deployment_id: str, fingerprints: Sequence[str]) -> int:
        """End the SSH connections that came in with these keys (`SHA256:…`); how many there were. Fine if it is gone.

        What was started in them and left to run on, runs on. Best effort: whoever is root inside could prevent it.
        """

    # Volumes: only where `capabilities.volumes` says so.

    def volume_regions(self) -> Sequence[VolumeRegion]:
        """Where volumes can be kept."""

    def create_volume(self, spec: VolumeSpec) -> None:
        """Make an empty volume; nothing is changed on one that exists. Raises OutOfStock, Rejected."""

    def resize_volume(self, volume_id: str, size_gb: int) -> None:
        """Let it grow to so many GB, attached or not; one that is as large already stays as it is.

        Raises Rejected if it is gone, OutOfStock.
        """

    def attach_volume(self, mount: VolumeMount, deployment_id: str) -> None:
        """Have it on a machine, running or stopped, at the mount's place. Raises Rejected."""

    def detach_volume(self, volume_id: str, deployment_id: str) -> None:
        """Take it off a machine; fine if either is gone. Raises Busy while something on the machine uses it."""

    def delete_volume(self, volume_id: str) -> None:
        """Delete it with all that is on it; fine if it is gone. Raises Busy while it is attached."""

    def observe_volumes(self) -> Sequence[Volume]:
        """Every volume of ours, whoever asked for it."""

    def cloud_init_outcome(self, deployment_id: str) -> CloudInitOutcome | None:
        """None while first boot is still under way or there was nothing to do."""

    def logs(self, deployment_id: str, *, most_bytes: int = 65536) -> str:
        """The end of the machine's console."""

    def read_log(
        self, deployment_id: str, kind: LogKind, *, after: str = "", most_bytes: int = 65536
    ) -> LogPart | None:
        """The end of a log; with `after`, what has come since that cursor. None if the machine is gone."""

    def open_shell(self, deployment_id: str, columns: int = 80, rows: int = 24) -> Shell:
        """A terminal in a running machine, for who may have one. Raises Rejected if it is gone or does not run."""

    def warn(self, deployment_id: str, message: str, at: datetime, *, is_final: bool = True) -> None:
        """Tell a running machine that it ends at `at`: by a file, a line on its terminals, and SIGTERM to what people
        run in it. The last only if it is final: an end that can still be averted disturbs nothing.

        The same notice is given once, however often it is asked for. Fine if the machine is stopped or gone; raises
        ProviderUnavailable if it can't be told, which delays nothing: who reclaims it goes on at `at`.
        """

    def doctor(self) -> Sequence[Finding]:
        """What this provider needs of its surroundings, checked one by one."""

    def close(self) -> None:
        """Let go of connections. What runs, runs on."""
