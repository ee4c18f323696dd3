"""The host restarts: everything in memory is gone, everything on the disk is there, and so are the machines again."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.compute.base import CloudInit, InstanceState
from forebay.compute.local import LocalProvider, service
from forebay.compute.local.networks import delete_bridge
from forebay.compute.local.service import RUN_DIR, run
from forebay.settings import Settings
from tests.compute.conftest import Lab, end

pytestmark = pytest.mark.podman

STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{root}/storage"
runroot = "{root}/run"
[storage.options]
additionalimagestores = ["/var/lib/containers/storage"]
"""


class Host:
    """A Podman whose storage and memory are its own, so that only its machines see it restart."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.cloud_id = root, f"test-reboot-{os.getpid()}-{time.time_ns()}"
        (root / "storage.conf").write_text(STORAGE.format(root=root))
        engine = f'[engine]\nlock_type = "file"\ntmp_dir = "{root}/libpod"\n'
        patch.setattr(service, "CONFIGURATION", service.CONFIGURATION.replace("[engine]\n", engine))
        patch.setenv("STORAGE_CONF", "")
        ours = service.Service.environment
        at = {"CONTAINERS_STORAGE_CONF": str(root / "storage.conf")}
        patch.setattr(service.Service, "environment", lambda self: ours(self) | at)
        self.provider = self.boot()

    def boot(self) -> LocalProvider:
        """Forebay begins, and knows only what is on the disk."""
        self.provider = LocalProvider(Settings(), self.cloud_id)
        self.provider.prepare()
        return self.provider

    def lose_power(self) -> None:
        """Nothing that runs goes on, and nothing in memory stays: processes, mounts, networks, folders of /run."""
        provider = self.provider
        bridges = [network.bridge for network in provider.networks.all()]
        provider.close()
        pids = [pid for pid in self.processes() if pid != os.getpid()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        until = time.monotonic() + 10
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        for place in reversed(self.mounts()):
            run(["umount", "--lazy", place])
        for bridge in bridges:
            delete_bridge(bridge)
        provider.walls.remove()
        for folder in (self.root / "run", self.root / "libpod", *RUN_DIR.glob(f"{provider.tag}*")):
            shutil.rmtree(folder)

    def processes(self) -> list[int]:
        """The service, the monitors and what runs in the machines."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = (process / "cmdline").read_bytes() + (process / "cgroup").read_bytes()
                marks = [str(self.root), f"/{self.provider.tag}/", *self.identities()]
                if any(mark.encode() in told for mark in marks):
                    found.add(int(process.name))
        return sorted(found)

    def identities(self) -> list[str]:
        """Podman's names of the machines, as they are on the disk."""
        folder = self.root / "storage" / "overlay-containers"
        return [path.name for path in folder.glob("*") if path.is_dir()] if folder.exists() else []

    def mounts(self) -> list[str]:
        """What is mounted for this host alone, in the order in which it was mounted."""
        marks = (str(self.root), str(RUN_DIR / self.provider.tag))
        places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [place for place in places if place.startswith(marks)]


@pytest.fixture
def host(local_provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host of its own; the base image is there by then."""
    root = Path("/var/tmp") / f"forebay-reboot-{os.getpid()}"
    root.mkdir(mode=0o700)
    found = Host(root, monkeypatch)
    yield found
    for instance in found.provider.observe():
        end(found.provider, instance.deployment_id)
    found.provider.remove_installation()
    for place in reversed(found.mounts()):
        run(["umount", "--lazy", place])
    shutil.rmtree(root)


def test_after_a_reboot_machines_are_stopped_and_start_with_all_they_had(host: Host, ssh_key: Path) -> None:
    lab = Lab(host.provider, ssh_key)
    machine = lab.launch("runs", storage_gb=1, cloud_init=CloudInit(runcmd=("touch /root/first-boot",)))
    lab.launch("rests", storage_gb=1, team=2)
    lab.says(machine, "echo here > /root/file; sync")
    keys = machine.host_keys
    host.provider.stop("rests")
    ran_at = machine.started_at
    host.lose_power()
    assert host.processes() == []

    lab.provider = host.boot()
    found = {instance.deployment_id: instance for instance in host.provider.observe()}
    assert {name: instance.state for name, instance in found.items()} == {
        "runs": InstanceState.stopped,
        "rests": InstanceState.stopped,
    }
    assert found["runs"].started_at == ran_at
    assert found["runs"].stopped_at is None, "nobody knows when: it is paid to its last sighting"
    host.provider.set_authorized_keys("rests", [lab.public_key])
    for name in ("runs", "rests"):
        host.provider.launch(lab.spec(name, storage_gb=1, team=1 if name == "runs" else 2))
        seen = host.provider.inspect(name)
        assert seen is not None
        assert seen.state is InstanceState.stopped, "a launch leaves what has run as it is"
        host.provider.start(name)
    again = lab.ready("runs")
    assert (again.ssh_port, again.host_keys) == (machine.ssh_port, keys)
    assert lab.says(again, "cat /root/file") == "here"
    assert int(lab.says(again, "df -B1 --output=size / | tail -1")) < 1.05 * 2**30
    assert lab.says(lab.ready("rests"), "echo in") == "in"
    assert lab.ssh(again, "timeout 2 bash -c '</dev/tcp/169.254.169.254/80'").returncode == 124, "the walls stand again"
