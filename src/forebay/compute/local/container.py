"""What one machine is to Podman: the specification it is created from, and the Instance read back from its listing."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from forebay.compute.base import Instance, InstanceState, LaunchSpec, PortForward, Rejected
from forebay.compute.local import cgroups, first_boot, notice
from forebay.compute.local.networks import TeamNetwork

CLOUD = "io.forebay.cloud"
DEPLOYMENT = "io.forebay.deployment"
TEAM = "io.forebay.team"
GPUS = "io.forebay.gpus"
PORT = "io.forebay.ssh-port"
FORWARDS = "io.forebay.ports"
"""Ports beside SSH's, as `host:machine`, with commas between."""

SSH_PORT = 22
USER = "root"
STOP_SECONDS = 10
PROCESSES = 4096
LOG_BYTES = 4 * 1024 * 1024
CPU_PERIOD = 100_000
CAP_SYS_RESOURCE = 24
GIGABYTE = 1024**3
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - in the machine
VOLUMES_AT = "/mnt"
NOTICE_OPTIONS = ("rw", "nosuid", "nodev", "noexec", "mode=0755", "size=1m")
EVERYWHERE = "0.0.0.0"  # noqa: S104 - people come from outside
FRAME_HEADER = 8

KEPT_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETUID", "SETGID", "SETPCAP", "SETFCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "AUDIT_WRITE",
)  # fmt: skip
"""What sshd, sudo, apt and cloud-init need, all within the machine's own user namespace."""

STATES = {
    "configured": InstanceState.starting, "created": InstanceState.starting, "initialized": InstanceState.starting,
    "running": InstanceState.running, "paused": InstanceState.running, "stopping": InstanceState.running,
    "exited": InstanceState.stopped, "stopped": InstanceState.stopped, "removing": InstanceState.ending,
}  # fmt: skip

LEFT_UNCLEARED = "stopped"
"""Podman's word for a container that has ended, with its network still there; `exited` once that is cleared away."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def name_of(tag: str, deployment_id: str) -> str:
    """The container's name, unique on the machine. Raises Rejected for an id that can't be part of one."""
    if not NAME.fullmatch(deployment_id):
        raise Rejected("The deployment's id can't be used as a name")
    return f"forebay-{tag}-{deployment_id}"


def limits() -> list[dict[str, Any]]:
    """ulimits that runc may set: without CAP_SYS_RESOURCE it can't go above the machine's own."""
    status = Path("/proc/self/status").read_text()
    effective = int(re.findall(r"^CapEff:\s*([0-9a-f]+)$", status, re.M)[0], 16)
    if effective >> CAP_SYS_RESOURCE & 1:
        return [{"type": name, "soft": 1048576, "hard": 1048576} for name in ("nofile", "nproc")]
    return [{"type": "nofile", "soft": 4096, "hard": 8192}, {"type": "nproc", "soft": 8192, "hard": 8192}]


def shared_memory(size_bytes: int) -> list[str]:
    """Mount options of /dev/shm."""
    return ["rw", "nosuid", "nodev", "noexec", "mode=1777", f"size={size_bytes}"]


def volumes_mount(folder: Path | None) -> list[dict[str, Any]]:
    """What makes volumes come and go on a machine: a folder of the host, as a slave of the mounts below it there."""
    if folder is None:
        return []
    options = ["rbind", "rslave", "nosuid", "nodev"]
    return [{"destination": VOLUMES_AT, "type": "bind", "source": str(folder), "options": options}]


def specification(
    spec: LaunchSpec, *, name: str, cloud_id: str, image: str, network: TeamNetwork, port: int, listen_on: str,
    devices: Sequence[str], resolvers: Sequence[str], seccomp: Path,
    forwards: Sequence[PortForward] = (), disk_mounts: Sequence[dict[str, Any]] = (), volumes: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The body of Podman's create call."""
    memory = spec.memory_gb * GIGABYTE
    # Podman forwards what comes to exactly this address: none stands for all of them.
    host_ip = "" if listen_on == EVERYWHERE else listen_on
    mapping = [{"container_id": 0, "host_id": network.uid_base, "size": network.uid_count}]
    return {
        "name": name,
        "image": image,
        "entrypoint": ["/usr/bin/tini", "--", "/usr/lib/forebay/init"],
        "command": [],
        "hostname": spec.hostname,
        "oci_runtime": "runc",
        "cgroup_parent": f"/{cgroups.PARENT}",
        "labels": {
            CLOUD: cloud_id,
            DEPLOYMENT: spec.deployment_id,
            TEAM: spec.team_id,
            GPUS: ",".join(devices),
            PORT: str(port),
            FORWARDS: ",".join(f"{forward.external}:{forward.internal}" for forward in forwards),
        },
        "env": {"LANG": "C.UTF-8", "container": "podman", **first_boot.environment_for(spec)},
        "userns": {"nsmode": "private"},
        "idmappings": {"UIDMap": mapping, "GIDMap": mapping},
        "netns": {"nsmode": "bridge"},
        "Networks": {network.name: {}},
        "portmappings": [
            {
                "container_port": forward.internal,
                "host_port": forward.external,
                "host_ip": host_ip,
                "protocol": "tcp",
            }
            for forward in (PortForward(external=port, internal=SSH_PORT), *forwards)
        ],
        **({"dns_server": list(resolvers)} if resolvers else {"use_image_resolve_conf": True}),
        "resource_limits": {
            "memory": {"limit": memory, "swap": memory},
            "cpu": {"quota": spec.vcpus * CPU_PERIOD, "period": CPU_PERIOD, "shares": cgroups.SHARES * spec.vcpus},
            "pids": {"limit": PROCESSES},
        },
        "r_limits": limits(),
        # A mount of its own: the one that Podman makes is on the host, and is at times still busy when a machine ends.
        "ipcns": {"nsmode": "none"},
        "mounts": [
            {"destination": SHARED_MEMORY, "type": "tmpfs", "source": "tmpfs", "options": shared_memory(memory // 2)},
            {"destination": notice.FOLDER, "type": "tmpfs", "source": "tmpfs", "options": list(NOTICE_OPTIONS)},
            *disk_mounts,
            *volumes_mount(volumes),
        ],
        "cap_drop": ["all"],
        "cap_add": list(KEPT_CAPABILITIES),
        "seccomp_profile_path": str(seccomp),
        "sysctl": {"net.ipv4.ping_group_range": "0 65535"},
        "devices": [{"path": device} for device in devices],
        "stop_timeout": STOP_SECONDS,
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES},
        "restart_policy": "no",
        "image_volume_mode": "ignore",
    }


def instance_of(entry: Mapping[str, Any], *, address: str, probe_address: str | None) -> Instance:
    """One row of Podman's list of containers. Times are whole seconds, as the list has them."""
    started_at, stopped_at = moment(entry.get("StartedAt")), moment(entry.get("ExitedAt"))
    state = STATES.get(str(entry.get("State", "")).lower(), InstanceState.starting)
    if state is InstanceState.starting and started_at is not None:
        # It ran, and the host went down: Podman calls it created again.
        state = InstanceState.stopped
    has_stop = state is InstanceState.stopped and started_at and stopped_at and stopped_at >= started_at
    labels = entry["Labels"]
    port = int(labels.get(PORT, 0)) or None
    return Instance(
        deployment_id=labels.get(DEPLOYMENT, ""),
        team_id=labels.get(TEAM, ""),
        state=state,
        address=address,
        probe_address=probe_address,
        ssh_port=port,
        user=USER,
        port_forwards=(PortForward(external=port, internal=SSH_PORT), *forwards_of(labels)) if port else (),
        started_at=started_at,
        stopped_at=stopped_at if has_stop else None,
    )


def is_running(entry: Mapping[str, Any]) -> bool:
    """Whether a machine runs, and has an init, by a row of Podman's list."""
    return str(entry.get("State", "")).lower() == "running" and int(entry.get("Pid") or 0) > 1


def has_address(entry: Mapping[str, Any] | None) -> bool:
    """Whether a container, as Podman describes it, has an address on its network."""
    networks = (entry or {}).get("NetworkSettings", {}).get("Networks") or {}
    return any(network.get("IPAddress") for network in networks.values())


def forwards_of(labels: Mapping[str, str]) -> list[PortForward]:
    """The ports beside SSH's that a machine was created with."""
    pairs = (pair.partition(":") for pair in labels.get(FORWARDS, "").split(",") if pair)
    return [PortForward(external=int(external), internal=int(internal)) for external, _, internal in pairs]


def ports_of(labels: Mapping[str, str]) -> list[int]:
    """All ports of the host that are a machine's, running or not."""
    return [int(labels[PORT]), *(forward.external for forward in forwards_of(labels))]


def moment(seconds: Any) -> datetime | None:
    """A time of Podman's list; before 1970 stands for never."""
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and seconds > 0 else None


def exit_reason(code: int, is_out_of_memory: bool) -> str | None:
    """Why it ended by itself, in words; None if it was asked to.

    The init ends with 0 then; in the first moment after a start it is not there yet, and SIGTERM ends tini's child.
    """
    if code in {0, 128 + SIGTERM}:
        return None
    if is_out_of_memory:
        return "It ran out of memory and was killed by the kernel."
    if code == 128 + SIGKILL:
        return "Its init was killed."
    return f"Its init ended with code {code}."


def console_text(framed: bytes, most_bytes: int) -> str:
    """The end of a console, out of Docker's framing: eight bytes before each piece, the last four its length."""
    text = b""
    while len(framed) >= FRAME_HEADER:
        length = int.from_bytes(framed[4:FRAME_HEADER], "big")
        text += framed[FRAME_HEADER : FRAME_HEADER + length]
        framed = framed[FRAME_HEADER + length :]
    return text[-most_bytes:].decode(errors="replace")
