"""The local provider itself: each verb of the protocol, in terms of its neighbours.

Launches take turns only where they choose a port and GPUs; the slow part, starting, goes on side by side. What a crash
leaves half made is found by its labels and finished by the next launch.
"""

import ipaddress
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
    Pool,
    ProviderOffer,
    ProviderUnavailable,
    Rejected,
    Shell,
    Usage,
    Volume,
    VolumeMount,
    VolumeRegion,
    VolumeSpec,
)
from forebay.compute.local import (
    container,
    doctor,
    first_boot,
    image,
    inside,
    journal,
    notice,
    seccomp,
    sessions,
    shell,
    starting,
    usage,
)
from forebay.compute.local.container import CLOUD, DEPLOYMENT, GPUS
from forebay.compute.local.disks import Disks
from forebay.compute.local.gpus import Gpus, busy_gpus, real_gpus, simulated_gpus, write_simulated
from forebay.compute.local.networks import Networks, TeamNetwork, bridge_prefix
from forebay.compute.local.offers import offers_of, pool_of, this_machine
from forebay.compute.local.placement import place
from forebay.compute.local.podman import Podman, Refused
from forebay.compute.local.service import Service, machine_lock, tag_of
from forebay.compute.local.volumes import Volumes
from forebay.compute.local.walls import Walls
from forebay.settings import Settings

logger = logging.getLogger(__name__)

LAUNCH_ATTEMPTS = 3
SMALL_FILE_BYTES = 128 * 1024
"""The most that is read of a file that the machine's owner could have made as large as they like."""


def loopback(host: str) -> bool:
    """Whether people reach `host` only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def resolvers_of(settings: Settings, file: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """DNS servers for machines: the setting's, else this machine's own that a machine could reach."""
    if settings.local_resolvers:
        return settings.local_resolvers
    lines = file.read_text().splitlines() if file.exists() else []
    named = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return tuple(address for address in named if ":" not in address and not loopback(address))


class LocalProvider:
    """Containers on this machine. `cloud_id` is this installation's own and never changes."""

    name = "local"

    def __init__(self, settings: Settings, cloud_id: str) -> None:
        self.settings = settings
        self.cloud_id = cloud_id
        self.tag = tag_of(cloud_id)
        self.address = settings.ssh_host or urlsplit(settings.public_url).hostname or "127.0.0.1"
        self.listen_on = "127.0.0.1" if loopback(self.address) else container.EVERYWHERE
        self.resolvers = resolvers_of(settings)
        self.image = settings.local_image or image.reference()
        self.service = Service(settings.podman, self.tag)
        self.podman = Podman(self.service)
        self.disks = Disks(self.tag)
        self.volumes = Volumes(settings, self.tag)
        has_volumes = self.volumes.is_usable
        self.capabilities = Capabilities(
            cloud_init=True,
            pause=True,
            live_keys=True,
            any_size=True,
            session_ends=True,
            ports=True,
            terminal=True,
            notice=True,
            disk_quota=self.disks.is_usable,
            volumes=has_volumes,
            volume_resize=has_volumes,
            shared_volumes=has_volumes,
        )
        self.networks = Networks(self.podman, cloud_id, self.tag, self.volumes.kept_uid_bases)
        self.walls = Walls(self.tag, bridge_prefix(self.tag), self.resolvers, settings.local_open_networks)
        self.gpus = self.find_gpus()
        self.pool = pool_of(this_machine(), self.gpus, settings)
        self.has_image = False
        self.host_keys: dict[tuple[str, datetime | None], tuple[str, ...]] = {}
        self.consoles = journal.Consoles(self.podman)
        self.running: Sequence[dict[str, Any]] | None = None
        """What was found running when it was last looked, as Podman lists it; None: it wasn't yet."""
        self.cgroups: dict[str, Path | None] = {}
        self.exit_reasons: dict[tuple[str, datetime | None], str | None] = {}

    def find_gpus(self) -> Gpus | None:
        """Real GPUs; in the demo, where there are none, simulated ones."""
        return real_gpus() or (simulated_gpus() if self.settings.demo else None)

    def prepare(self, say: Callable[[str], None] = logger.info) -> None:
        """Bring up the service, the firewall and the image; the image takes a minute the first time on a machine."""
        self.service.ensure()
        if self.gpus is not None and self.gpus.is_simulated:
            write_simulated()
        self.networks.forget()
        self.raise_walls()
        self.disks.prepare()
        self.volumes.prepare()
        if not self.settings.local_image:
            image.build(self.service, say)
        self.has_image = self.podman.has_image(self.image)
        if not self.has_image:
            raise ProviderUnavailable(f"The image {self.image} is not in this machine's storage: podman pull it")

    def pools(self) -> Sequence[Pool]:
        """One pool: this machine."""
        return (self.pool,)

    def offers(self) -> Sequence[ProviderOffer]:
        """The sizes that fit on this machine; under maintenance until its image is there."""
        system, is_maintenance = image.OPERATING_SYSTEM, not self.is_ready()
        return offers_of(self.pool, self.gpus, self.settings, operating_system=system, is_maintenance=is_maintenance)

    def is_ready(self) -> bool:
        """Whether launches would find their image."""
        if not self.has_image:
            try:
                self.has_image = self.podman.has_image(self.image)
            except (ProviderUnavailable, Refused):
                return False
        return self.has_image

    def launch(self, spec: LaunchSpec) -> None:
        """Create and start the machine; see the protocol."""
        if not self.is_ready():
            raise ProviderUnavailable("The base image is still being built")
        if spec.pool != self.pool.name or spec.operating_system != image.OPERATING_SYSTEM:
            raise Rejected("This machine has no such pool or operating system")
        name = container.name_of(self.tag, spec.deployment_id)
        network = self.team_network(spec.team_number)
        with told("create the machine"):
            for _ in range(LAUNCH_ATTEMPTS):
                entry = self.entry(spec.deployment_id)
                if entry is None:
                    place(
                        self.podman, spec, name=name, cloud_id=self.cloud_id, image=self.image, network=network,
                        listen_on=self.listen_on, gpus=self.gpus, resolvers=self.resolvers,
                        seccomp=seccomp.write(self.service.folder),
                        disk_mounts=self.disks.make(
                            spec.deployment_id, spec.storage_gb, network.uid_base, spec.hostname, self.resolvers
                        ),
                        volumes=self.volumes.folder_of(spec.deployment_id),
                    )  # fmt: skip
                elif container.moment(entry["StartedAt"]):
                    return
                self.put_disk_under(spec.deployment_id)
                for mount in spec.volumes:
                    self.volumes.attach(mount, spec.deployment_id, spec.team_id)
                if files := first_boot.files_for(spec, is_own_image=not self.settings.local_image):
                    self.podman.put_files(name, first_boot.packed(files))
                try:
                    return starting.start(self.podman, name)
                except Refused as refusal:
                    # Its port was taken meanwhile, or Podman was cut off while starting it and can't go on from there.
                    # It never ran by Podman's own books, so nothing is lost: make it again, on another port.
                    logger.warning("Podman could not start %s, which is made again: %s", name, refusal.reason)
                    starting.remove(self.podman, self.service, name)
                    self.disks.delete(spec.deployment_id)
                    self.networks.forget()
        raise ProviderUnavailable("Podman could not start the machine")

    def put_disk_under(self, deployment_id: str) -> None:
        """Let a machine that was created and has never run write to its own disk."""
        created = self.podman.container(container.name_of(self.tag, deployment_id))
        if created is not None and self.disks.open(deployment_id):
            self.disks.put_under(deployment_id, created["GraphDriver"]["Data"])

    def team_network(self, team_number: int) -> TeamNetwork:
        """The team's network; at this process's first use of it the walls are raised, before anything is in it."""
        with told("prepare the team's network"):
            network, is_first_use = self.networks.of_team(team_number)
            if is_first_use:
                self.raise_walls()
            return network

    def raise_walls(self) -> None:
        """Put the firewall's rules in place around all networks that there are now."""
        with machine_lock(f"walls-{self.tag}"):
            self.walls.raise_around([network.bridge for network in self.networks.all()])

    def observe(self) -> Sequence[Instance]:
        """Every machine of this installation: one call, and one more for each that ended by itself, once."""
        with told("list its machines"):
            entries = self.podman.containers([f"{CLOUD}={self.cloud_id}"])
            self.running = [entry for entry in entries if entry["State"] == "running"]
            return [self.instance(entry) for entry in entries]

    def usage(self) -> Sequence[Usage]:
        """What the machines use that the last look found running, read from the kernel; see `usage`."""
        if self.running is None:
            self.observe()
        entries = self.running or []
        busy = busy_gpus() if self.gpus is not None and not self.gpus.is_simulated else {}
        self.cgroups = {
            entry["Id"]: self.cgroups.get(entry["Id"]) or usage.cgroup_of(entry["Pid"], entry["Id"])
            for entry in entries
        }
        found = (
            usage.usage_of(
                entry["Labels"][DEPLOYMENT],
                entry["Pid"],
                self.cgroups[entry["Id"]],
                usage.busiest(entry["Labels"].get(GPUS, ""), busy),
            )
            for entry in entries
        )
        return [each for each in found if each is not None]

    def inspect(self, deployment_id: str) -> Instance | None:
        """One machine, with its host keys once it has made them."""
        with told("look at the machine"):
            entry = self.entry(deployment_id)
            if entry is None:
                return None
            instance = self.instance(entry)
            return msgspec.structs.replace(instance, host_keys=self.reported_host_keys(entry["Id"], instance))

    def stop(self, deployment_id: str) -> None:
        """SIGTERM to everything in it, at most ten seconds, then the end; its disk stays."""
        with told("stop the machine"):
            self.podman.stop(container.name_of(self.tag, deployment_id), container.STOP_SECONDS)

    def start(self, deployment_id: str) -> None:
        """Start it again, with its disk and its port. Raises Rejected if it is gone."""
        with told("start the machine"):
            entry = self.entry(deployment_id)
            if entry is None:
                raise Rejected("The machine is gone")
            name = container.name_of(self.tag, deployment_id)
            if entry["State"] == container.LEFT_UNCLEARED:
                self.service.clear_away(name)
            self.disks.open(deployment_id)
            self.volumes.folder_of(deployment_id)
            try:
                starting.start(self.podman, name)
            except Refused as refusal:
                logger.warning("Podman could not start %s, which is tried from the beginning: %s", name, refusal.reason)
                starting.start_over(self.podman, self.service, name)

    def terminate(self, deployment_id: str) -> None:
        """End it at once and delete its disk. Raises NotYetTerminated while anything of it is left."""
        name = container.name_of(self.tag, deployment_id)
        try:
            starting.remove(self.podman, self.service, name)
        except Refused as refusal:
            logger.warning("Podman can't remove %s yet: %s", name, refusal.reason)
            raise NotYetTerminated("Podman has not let go of the machine yet") from refusal
        with told("look for the machine"):
            if self.entry(deployment_id) is not None:
                raise NotYetTerminated("Podman has not let go of the machine yet")
        self.disks.delete(deployment_id)
        self.volumes.forget_machine(deployment_id)

    def set_authorized_keys(self, deployment_id: str, keys: Sequence[str], removed: Sequence[str] = ()) -> None:
        """Replace the keys that Forebay lets in and those that it keeps out, on a running machine or a stopped one."""
        with told("change the machine's keys"):
            if self.entry(deployment_id) is None:
                raise Rejected("The machine is gone")
            archive = first_boot.packed(first_boot.keys_file(keys) | first_boot.removed_file(removed))
            self.podman.put_files(container.name_of(self.tag, deployment_id), archive)

    def authorized_keys(self, deployment_id: str) -> Sequence[FoundKey]:
        """Forebay's own keys, and root's in ~/.ssh."""
        with told("read the machine's keys"):
            entry = self.entry(deployment_id)
            if entry is None:
                raise Rejected("The machine is gone")
            own = f"/{first_boot.AUTHORIZED_KEYS}"
            texts = {path: self.contents(entry, path) for path in (own, *first_boot.OWN_KEYS)}
            return [
                key
                for path, text in texts.items()
                for key in first_boot.found_keys(text or b"", "" if path == own else path)
            ]

    def end_sessions(self, deployment_id: str, fingerprints: Sequence[str]) -> int:
        """End the connections of these keys; see `sessions`."""
        with told("look for the machine's sessions"):
            entry = self.entry(deployment_id)
            is_running = entry is not None and container.is_running(entry)
            return sessions.end(entry["Pid"], entry["Id"], frozenset(fingerprints)) if entry and is_running else 0

    def volume_regions(self) -> Sequence[VolumeRegion]:
        """This machine's disk."""
        return (self.volumes.region(),) if self.volumes.is_usable else ()

    def create_volume(self, spec: VolumeSpec) -> None:
        """Make its file, for the team's user ids."""
        self.volumes.create(spec, self.team_network(spec.team_number).uid_base)

    def resize_volume(self, volume_id: str, size_gb: int) -> None:
        """Let it grow, mounted or not."""
        self.volumes.resize(volume_id, size_gb)

    def attach_volume(self, mount: VolumeMount, deployment_id: str) -> None:
        """Have it on a machine, at once if it runs."""
        with told("look for the machine"):
            entry = self.entry(deployment_id)
        if entry is None:
            raise Rejected("The machine is gone")
        if container.VOLUMES_AT not in (entry.get("Mounts") or ()):
            raise Rejected("The machine is from the time before volumes: launch another one for them")
        self.volumes.attach(mount, deployment_id, entry["Labels"].get(container.TEAM, ""))

    def detach_volume(self, volume_id: str, deployment_id: str) -> None:
        """Take it off a machine. Raises Busy while a process there uses it."""
        self.volumes.detach(volume_id, deployment_id)

    def delete_volume(self, volume_id: str) -> None:
        """Delete its file."""
        self.volumes.delete(volume_id)

    def observe_volumes(self) -> Sequence[Volume]:
        """Every volume in the folder of this installation."""
        return self.volumes.all()

    def cloud_init_outcome(self, deployment_id: str) -> CloudInitOutcome | None:
        """How its first boot ended, or None while it goes on or where nothing was asked of it."""
        with told("read the machine's first boot"):
            verdict = self.read_file(deployment_id, first_boot.OUTCOME)
            if verdict is None:
                return None
            return first_boot.outcome_of(verdict, self.read_file(deployment_id, first_boot.LOG) or b"")

    def logs(self, deployment_id: str, *, most_bytes: int = 65536) -> str:
        """The end of its console, or nothing if it is gone."""
        with told("read the machine's console"):
            name = container.name_of(self.tag, deployment_id)
            framed = self.podman.logs(name, most_bytes // 64 + 10, 2 * container.LOG_BYTES)
            return container.console_text(framed or b"", most_bytes)

    def read_log(
        self, deployment_id: str, kind: LogKind, *, after: str = "", most_bytes: int = 65536
    ) -> LogPart | None:
        """A piece of its console or of cloud-init's output; see `journal`."""
        with told("read the machine's log"):
            if kind is LogKind.console:
                name = container.name_of(self.tag, deployment_id)
                return self.consoles.part(name, after, most_bytes)
            entry = self.entry(deployment_id)
            if entry is None:
                return None
            if container.is_running(entry):
                return journal.file_part(entry["Pid"], entry["Id"], journal.CLOUD_INIT, after, most_bytes)
            return journal.kept_part(self.read_file(deployment_id, first_boot.LOG) or b"", after, most_bytes)

    def open_shell(self, deployment_id: str, columns: int = 80, rows: int = 24) -> Shell:
        """A login shell of root's, on a terminal of that size."""
        with told("open a shell in the machine"):
            return shell.open_shell(self.podman, container.name_of(self.tag, deployment_id), columns, rows)

    def warn(self, deployment_id: str, message: str, at: datetime, *, is_final: bool = True) -> None:
        """Leave the notice in the machine, and if it is final end what people run in it; see `notice`."""
        with told("warn the machine"):
            notice.give(self.podman, container.name_of(self.tag, deployment_id), message, at, is_final=is_final)

    def doctor(self) -> Sequence[Finding]:
        """What this machine lacks."""
        return doctor.examine(self.service, is_root=os.geteuid() == 0)

    def close(self) -> None:
        """Let go of connections. The service and the machines run on."""
        self.podman.close()

    def remove_installation(self) -> None:
        """Take everything of this installation off the machine: machines, networks, firewall rules, service."""
        with told("remove the installation"):
            for instance in self.observe():
                self.terminate(instance.deployment_id)
            self.networks.remove_all()
        self.disks.remove()
        self.volumes.remove_mounts()
        self.walls.remove()
        self.close()
        self.service.end()
        self.service.forget()

    def entry(self, deployment_id: str) -> dict[str, Any] | None:
        """One machine as Podman lists it."""
        labels = [f"{CLOUD}={self.cloud_id}", f"{DEPLOYMENT}={deployment_id}"]
        return next(iter(self.podman.containers(labels)), None)

    def instance(self, entry: dict[str, Any]) -> Instance:
        """The Instance of a row of Podman's list, with the reason if it ended by itself."""
        found = container.instance_of(entry, address=self.address, probe_address=self.listen_on_probe)
        if found.state is not InstanceState.stopped or not entry.get("ExitCode"):
            return found
        key = (entry["Id"], found.stopped_at)
        if key not in self.exit_reasons:
            state = (self.podman.container(entry["Id"]) or {}).get("State", {})
            self.exit_reasons[key] = container.exit_reason(entry["ExitCode"], bool(state.get("OOMKilled")))
        return msgspec.structs.replace(found, exit_reason=self.exit_reasons[key])

    @property
    def listen_on_probe(self) -> str | None:
        """Where Forebay itself tries SSH: always over loopback, on which every published port answers."""
        return None if self.address == "127.0.0.1" else "127.0.0.1"

    def reported_host_keys(self, identity: str, instance: Instance) -> tuple[str, ...]:
        """The public host keys that the machine wrote down at its last start; asked for until it has.

        They are remembered by Podman's identity of it: its name may be another machine's within the same second.
        """
        key = (identity, instance.started_at)
        if key not in self.host_keys and instance.state is InstanceState.running:
            found = first_boot.host_keys_of(self.logs(instance.deployment_id))
            if not found:
                # The console has gone on since then. The file costs a tenth of a second, so it comes second.
                text = (self.read_file(instance.deployment_id, first_boot.HOST_KEYS) or b"").decode(errors="replace")
                found = tuple(" ".join(line.split()[:2]) for line in text.splitlines())
            if not found:
                return ()
            self.host_keys[key] = found
        return self.host_keys.get(key, ())

    def contents(self, entry: dict[str, Any], path: str) -> bytes | None:
        """A small file of a machine, running or stopped, or None; of a large one its beginning."""
        if container.is_running(entry):
            return inside.read(entry["Pid"], entry["Id"], path, SMALL_FILE_BYTES)
        return self.read_file(entry["Labels"][DEPLOYMENT], path)

    def read_file(self, deployment_id: str, path: str) -> bytes | None:
        """A small file of a machine, or None."""
        archive = self.podman.get_file(container.name_of(self.tag, deployment_id), path, SMALL_FILE_BYTES)
        return first_boot.unpacked(archive).get(path.rsplit("/", 1)[-1]) if archive else None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn a refusal of Podman's into ProviderUnavailable: its own words go to the log, not to the team."""
    try:
        yield
    except Refused as refusal:
        logger.warning("Podman could not %s: %s", what, refusal.reason)
        raise ProviderUnavailable(f"Podman could not {what} (HTTP {refusal.status})") from refusal
