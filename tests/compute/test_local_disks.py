"""The disk of a machine: as large as is paid for, its own alone, there after a stop and gone after the end."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.compute.base import OutOfStock
from forebay.compute.local import LocalProvider, disks
from forebay.compute.local.disks import Disks
from forebay.compute.local.service import run
from tests.compute.conftest import PATIENCE_SECONDS, Lab
from tests.compute.test_local_machines import create_only, facts

pytestmark = pytest.mark.podman

GIGABYTE = 2**30
FILL = "cat /dev/zero > {0} 2>/dev/null; stat -c %s {0}"


def written(image: Path) -> int:
    """What an image takes of the host's disk, in bytes."""
    return image.stat().st_blocks * 512


def mounted() -> str:
    """The kernel's table."""
    return Path("/proc/self/mountinfo").read_text()


def test_a_full_disk_is_full_for_its_machine_alone(lab: Lab) -> None:
    machine, neighbour = lab.launch("full", storage_gb=1), lab.launch("beside", storage_gb=1, team=2)
    image = lab.provider.disks.image("full")
    assert lab.provider.capabilities.disk_quota
    assert int(lab.says(machine, "df -B1 --output=avail / | tail -1")) > GIGABYTE * 0.98
    filled = int(lab.says(machine, FILL.format("/root/full")))
    assert 0.98 * GIGABYTE < filled < 1.05 * GIGABYTE
    assert written(image) < 1.2 * GIGABYTE
    # No other place that the machine may write to is without end.
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/var/tmp/more"):
        assert int(lab.says(machine, FILL.format(path))) < 2**20, path
    places = lab.says(machine, "findmnt -rno TARGET,FSTYPE,OPTIONS,SOURCE | grep -v ' ro[, ]'").splitlines()
    kinds = {line.split()[1] for line in places}
    assert kinds <= {"overlay", "ext4", "proc", "tmpfs", "devpts", "mqueue", "devtmpfs"}
    assert all("/dev/loop" in line for line in places if line.split()[1] == "ext4")
    # It can be told things all the same, and let in those who may come in.
    lab.provider.set_authorized_keys("full", [lab.public_key, lab.public_key])
    assert lab.says(machine, "wc -l < /etc/forebay/authorized_keys") == "2"
    assert lab.says(neighbour, "head -c 200M /dev/zero > /root/more && stat -c %s /root/more") == str(200 * 2**20)
    lab.says(machine, "rm /root/full && sync && echo here > /root/file")
    until = time.monotonic() + PATIENCE_SECONDS
    while written(image) > 0.2 * GIGABYTE:
        assert time.monotonic() < until, "what is deleted is free on the host again"
        time.sleep(0.1)
    lab.provider.stop("full")
    lab.provider.start("full")
    assert lab.says(lab.ready("full"), "cat /root/file") == "here"
    lab.end(["full"])
    assert not image.exists()
    assert not lab.provider.disks.place("full").exists()
    assert str(lab.provider.disks.place("full")) not in mounted()


def test_a_disk_s_room_is_free_at_once_though_others_began_meanwhile(lab: Lab) -> None:
    first = lab.launch("first", storage_gb=1)
    lab.says(first, "head -c 300M /dev/urandom > /root/much; sync")
    before = shutil.disk_usage(lab.provider.disks.images).free
    second = lab.launch("second", storage_gb=1)
    lab.end(["first"])
    freed = shutil.disk_usage(lab.provider.disks.images).free - before
    assert freed > 150 * 2**20
    assert lab.says(second, "echo fine > /root/file; sync; cat /root/file") == "fine"


def test_a_launch_that_was_cut_off_at_its_disk_is_made_good(lab: Lab) -> None:
    provider = lab.provider
    for cut in ("made", "created", "half under", "unmounted"):
        name = cut.replace(" ", "-")
        if cut == "made":
            base = provider.team_network(1).uid_base
            assert provider.disks.make(name, 1, base, name, provider.resolvers)
        else:
            create_only(lab, name, storage_gb=1)
            layers: dict[str, str] = facts(lab, name)["GraphDriver"]["Data"]  # type: ignore[assignment]
        if cut == "half under":
            (provider.disks.place(name) / "diff").mkdir()
            Path(layers["UpperDir"]).rmdir()
        if cut == "unmounted":
            provider.disks.put_under(name, layers)
            run(["umount", str(provider.disks.place(name))])
        size = lab.says(lab.launch(name, storage_gb=1), "df -B1 --output=size / | tail -1")
        assert 0.98 * GIGABYTE < int(size) < 1.05 * GIGABYTE, cut


def test_a_host_whose_disk_is_nearly_full_takes_no_more_machines(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = lab.launch("early", storage_gb=1)
    free = shutil.disk_usage(lab.provider.disks.images).free
    monkeypatch.setattr(disks, "DISK_RESERVE_GB", free // GIGABYTE + 10)
    with pytest.raises(OutOfStock):
        lab.provider.launch(lab.spec("late", storage_gb=1))
    lab.provider.stop("early")
    lab.provider.start("early")
    assert lab.says(lab.ready("early"), "echo here") == lab.says(machine, "echo here")


def test_without_loop_devices_machines_run_and_the_provider_says_what_is_missing(
    make_lab: Callable[[LocalProvider], Lab], neighbour_provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "LOOP_CONTROL", Path("/nowhere"))
    monkeypatch.setattr(neighbour_provider, "disks", Disks(neighbour_provider.tag))
    lab = make_lab(neighbour_provider)
    machine = lab.launch("plain", storage_gb=1)
    assert lab.says(machine, "cat /etc/hostname") == "plain"
    assert not neighbour_provider.disks.image("plain").exists()
    [finding] = [finding for finding in neighbour_provider.doctor() if finding.name == "machine disks"]
    assert not finding.is_ok
    assert "may fill the disk of all" in finding.remedy


def test_what_a_machine_writes_passes_by_the_host_s_cache(lab: Lab) -> None:
    lab.launch("direct", storage_gb=1)
    device = os.stat(lab.provider.disks.place("direct")).st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    assert (block / "loop/dio").read_text().strip() == "1"
    assert (block / "loop/backing_file").read_text().strip() == str(lab.provider.disks.image("direct"))
    assert int((block / "bdi/max_bytes").read_text()) <= 2 * disks.DIRTY_BYTES
    # Its mount is hidden while something uses it: a second device for the same file would ruin what is on it.
    place = lab.provider.disks.place("direct")
    with (place / "used").open("w"):
        run(["umount", "--lazy", str(place)])
        assert not os.path.ismount(place)
        assert lab.provider.disks.open("direct")
        assert os.stat(place).st_dev == device
