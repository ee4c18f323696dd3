"""Run in a machine, as its root: tries one way out after the other, and prints as JSON how each ended.

A file of its own without imports of ours, because it is fed to the machine's own Python.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
ways: dict[str, Callable[[], object]] = {}

SYSCALLS: dict[str, tuple[Any, ...]] = {
    # Number on x86-64 and arguments. Each would need a capability in the host's own user namespace.
    "a clock that is set": (227, 0, struct.pack("qq", 1, 0)),
    "a module loaded": (175, b"", 0, b""),
    "a module loaded from a file": (313, -1, b"", 0),
    "another kernel started": (246, 0, 0, 0, 0),
    "the machine restarted": (169, 0xFEE1DEAD, 672274793, 0, 0),
    "swap switched off": (168, b"/dev/vda"),
    "ports of the hardware": (172, 3),
    "a file by its handle": (304, -100, struct.pack("IiQ", 8, 1, 2), 0),
    "a key put into a ring": (248, b"user", b"forebay", b"x", 1, -4 & 0xFFFFFFFF),
    "a ring of keys": (250, 0, -4 & 0xFFFFFFFF, 1),
    "a program in the kernel": (321, 0, struct.pack("IIII", 1, 4, 8, 1) + bytes(100), 116),
    "events of the processor": (298, struct.pack("II", 1, 112) + bytes(104), -1, 0, -1, 0),
    "a user namespace": (272, 0x10000000),
    "a mount namespace": (272, 0x00020000),
    "a network namespace": (272, 0x40000000),
    "another process's namespace": (308, -1, 0),
    "a new root": (155, b"/", b"/"),
    "a host name": (170, b"other", 5),
    "the kernel's log": (103, 3, ctypes.create_string_buffer(100), 100),
    "accounting": (163, b"/tmp/accounts"),
    "a quota": (179, 0, b"/dev/vda", 0, 0),
    "pages of a fault": (323, 0),
    "a file system opened": (430, b"ext4", 0),
    "a tree of mounts": (428, -100, b"/", 1),
    "a hung up terminal": (153,),
    "a child in a user namespace": (56, 0x10000011, 0, 0, 0, 0),
    "a child in a user namespace, by the newer call": (
        435,
        struct.pack("QQQQQQQQ", 0x10000000, 0, 0, 0, 17, 0, 0, 0),
        64,
    ),
}


def way(function: Callable[[], object]) -> Callable[[], object]:
    """Something that must fail."""
    ways[function.__name__.replace("_", " ")] = function
    return function


def called(number: Any, *arguments: Any) -> Callable[[], object]:
    """A system call that must fail."""

    def call() -> object:
        result = libc.syscall(
            ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
        )
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    return call


def written(path: str, text: str = "1") -> Callable[[], object]:
    """A file that must not be writable."""

    def write() -> object:
        # Not made anew: in a file system in memory of the machine's own that would be no way out.
        with open(path, "r+") as file:
            return file.write(text)

    return write


def opened(path: str) -> Callable[[], object]:
    """A file that must not show anything."""

    def read() -> object:
        with open(path, "rb") as file:
            if not file.read(16):
                raise OSError("empty")
        return path

    return read


def mounted(kind: str, source: str, flags: int = 0) -> Callable[[], object]:
    """A mount that must be refused."""

    def mount() -> object:
        os.makedirs("/tmp/mounted", exist_ok=True)
        if libc.mount(source.encode(), b"/tmp/mounted", kind.encode(), flags, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        return kind

    return mount


def node(name: str, mode: int, major: int, minor: int) -> Callable[[], object]:
    """A device that must not come to be."""

    def make() -> object:
        os.mknod(f"/tmp/{name}", mode | 0o600, os.makedev(major, minor))
        return name

    return make


def of_family(family: int, kind: int, protocol: int = 0) -> Callable[[], object]:
    """A socket that must not be had."""

    def make() -> object:
        with socket.socket(family, kind, protocol):
            return family

    return make


for name, (number, *arguments) in SYSCALLS.items():
    ways[name] = called(number, *arguments)
for path in (
    "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
    "/proc/sys/kernel/panic", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/ns_last_pid",
    "/sys/kernel/uevent_helper",
    "/sys/class/bdi/7:0/max_bytes", "/sys/power/state", "/proc/irq/default_smp_affinity", "/sys/module/loop/uevent",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory/tasks", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/systemd/release_agent",
):  # fmt: skip
    ways[f"writing {path}"] = written(path)
for path in (
    "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/dev/mem", "/dev/kmsg",
    "/dev/port", "/dev/vda", "/dev/sda", "/dev/loop0", "/dev/kvm", "/dev/fuse", "/dev/loop-control", "/dev/vsock",
    "/sys/kernel/debug/sched/debug", "/sys/firmware/acpi/tables/DSDT", "/run/forebay/podman.sock",
    "/run/podman/podman.sock", "/var/run/docker.sock", "/etc/forebay/forebay.env",
):  # fmt: skip
    ways[f"reading {path}"] = opened(path)
for kind, source, flags in (
    ("proc", "proc", 0), ("sysfs", "sysfs", 0), ("tmpfs", "tmpfs", 0), ("cgroup", "memory", 0), ("cgroup2", "none", 0),
    ("devtmpfs", "devtmpfs", 0), ("debugfs", "debugfs", 0), ("ext4", "/dev/vda", 0), ("overlay", "overlay", 0),
    ("none", "/proc", 4096), ("none", "/", 32 | 4096), ("bpf", "bpf", 0), ("fuse", "fuse", 0),
    ("securityfs", "none", 0),
):  # fmt: skip
    ways[f"mounting {kind} with {flags}"] = mounted(kind, source, flags)
for name, mode, major, minor in (
    ("disk", 0o060000, 254, 0), ("loop", 0o060000, 7, 0), ("mem", 0o020000, 1, 1), ("kmsg", 0o020000, 1, 11),
    ("fuse", 0o020000, 10, 229), ("tun", 0o020000, 10, 200), ("null", 0o020000, 1, 3),
):  # fmt: skip
    ways[f"making the device {name}"] = node(name, mode, major, minor)
for name, *facts in (
    ("packets", 17, socket.SOCK_RAW, 0x0300), ("packets of IP", 17, socket.SOCK_DGRAM, 0x0300),
    ("raw IP", socket.AF_INET, socket.SOCK_RAW, 1), ("raw IPv6", socket.AF_INET6, socket.SOCK_RAW, 58),
    ("the hypervisor", 40, socket.SOCK_STREAM), ("the kernel's ciphers", 38, 5), ("keys of IPsec", 15, 3, 2),
    ("TIPC", 30, 1), ("RDS", 21, 5), ("Bluetooth", 31, 3), ("CAN", 29, 3, 1), ("XDP", 44, 3), ("SMC", 43, 1),
):  # fmt: skip
    ways[f"a socket for {name}"] = of_family(*facts)


@way
def a_neighbour_told_wrong() -> object:
    """An entry of the ARP table by netlink, as who would speak for the gateway."""
    return succeeds("ip neigh replace 10.9.9.9 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")


@way
def an_address_taken() -> object:
    return succeeds("ip address add 10.9.9.9/32 dev eth0")


@way
def an_interface_of_one_s_own_kind() -> object:
    return succeeds("ip link add forebay0 type veth")


@way
def another_hardware_address() -> object:
    return succeeds("ip link set eth0 address 02:00:00:00:00:02")


@way
def a_route_to_the_host() -> object:
    return succeeds("ip route add 169.254.169.254/32 dev eth0")


@way
def a_folder_among_the_cgroups() -> object:
    with open("/proc/mounts") as file:
        places = [words[1] for words in map(str.split, file) if words[2].startswith("cgroup")]
    for place in places:
        try:
            os.mkdir(f"{place}/mine")
        except OSError:
            continue
        return place
    raise OSError("none")


@way
def real_time_scheduling() -> object:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    return "FIFO"


@way
def more_than_others_share() -> object:
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    return os.getpriority(os.PRIO_PROCESS, 0)


@way
def surviving_when_memory_is_short() -> object:
    return written("/proc/self/oom_score_adj", "-1000")()


@way
def more_open_files_than_allowed() -> object:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard * 4, hard * 4))
    except ValueError as refusal:
        raise PermissionError(errno.EPERM, str(refusal)) from refusal
    return hard


@way
def a_process_of_another_s() -> object:
    """Every process that is seen was started by this machine: its parents end at 1, or at what was put in here."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/status") as file:
                fields = dict(line.split(":", 1) for line in file)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "65534" in fields["Uid"].split() or int(fields["NSpid"].split()[0]) != int(entry):
            return fields
    raise OSError("none")


@way
def a_process_traced_outside() -> object:
    for process in range(100_000, 100_050):
        os.kill(process, 0)
    return "seen"


@way
def a_root_that_is_another() -> object:
    """A chroot may be made: what is above it must still be this machine."""
    before = os.stat("/proc/1/root/.")
    os.makedirs("/tmp/root", exist_ok=True)
    child = os.fork()
    if child == 0:
        above = os.open("/", os.O_RDONLY)
        os.chroot("/tmp/root")
        os.fchdir(above)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        found = os.stat("/")
        os._exit(0 if (found.st_dev, found.st_ino) == (before.st_dev, before.st_ino) else 1)
    if os.waitpid(child, 0)[1] != 0:
        return "outside"
    raise OSError("inside")


@way
def a_socket_by_the_calls_of_32_bit_programs() -> object:
    """socketcall(SYS_SOCKET, {AF_VSOCK, SOCK_STREAM, 0}) by int 0x80, which looks at no other list of calls."""
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x62, -1, ctypes.c_long(0))
    if platform.machine() != "x86_64" or place is None or place >= 2**32:
        raise OSError("none")
    code = b"\x53\xb8\x66\0\0\0\xbb\x01\0\0\0\xb9" + struct.pack("I", place + 64) + b"\xcd\x80\x5b\x48\x98\xc3"
    ctypes.memmove(place, code, len(code))
    ctypes.memmove(place + 64, struct.pack("III", 40, 1, 0), 12)
    result = ctypes.CFUNCTYPE(ctypes.c_long)(place)()
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def succeeds(command: str) -> str:
    """A command that must fail."""
    subprocess.run(command.split(), check=True, capture_output=True)
    return command


def tried(attempt: Callable[[], object]) -> str:
    """How one attempt ended, in a process of its own: some would end it. What got out begins with `out`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        try:
            told = f"out {attempt()!r}"[:200]
        except OSError as refusal:
            told = errno.errorcode.get(refusal.errno or 0, str(refusal))
        except subprocess.CalledProcessError as refusal:
            told = str(refusal.stderr.decode().strip())
        except BaseException as mistake:
            told = f"mistake {mistake!r}"
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        ended = answer.read().decode()
    os.waitpid(child, 0)
    return ended or "killed"


json.dump({name: tried(attempt) for name, attempt in ways.items()}, sys.stdout)
