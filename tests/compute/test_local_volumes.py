"""Volumes on real machines: live in and out, full alone, grown live, apart from other teams, back after a reboot."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.compute.base import Busy, VolumeMount, VolumeSpec
from forebay.compute.local import LocalProvider, container
from forebay.compute.local.service import run
from tests.compute.conftest import PATIENCE_SECONDS, Lab

pytestmark = pytest.mark.podman

MEGABYTE = 1024**2
GIGABYTE = 1024**3


@pytest.fixture(autouse=True)
def no_volume_stays(lab: Lab) -> Iterator[None]:
    """What a test made is deleted after it, and nothing of it is mounted."""
    yield
    lab.end(lab.launched)
    for volume in lab.provider.observe_volumes():
        lab.provider.delete_volume(volume.volume_id)
    assert lab.provider.volumes.mounts.table() == []
    assert str(lab.provider.volumes.folder) not in run(["losetup", "--all"]).stdout


def make(provider: LocalProvider, name: str, *, team: int = 1) -> VolumeMount:
    """A volume of one GB, and its usual place."""
    provider.create_volume(
        VolumeSpec(volume_id=name, team_id=f"team-{team}", team_number=team, region="local", size_gb=1)
    )
    return VolumeMount(name, name)


def test_a_file_outlives_its_machine_and_is_there_before_anything_runs_on_the_next(lab: Lab) -> None:
    data = make(lab.provider, "data")
    first = lab.launch("first", volumes=(data,))
    lab.says(
        first, "echo kept > /mnt/data/file; chmod 600 /mnt/data/file; mkdir /mnt/data/of; chown daemon /mnt/data/of"
    )
    lab.end(["first"])
    second = lab.launch("second", volumes=(data,))
    assert lab.says(
        second, "cat /mnt/data/file; stat -c '%U %a' /mnt/data /mnt/data/file; stat -c %U /mnt/data/of"
    ) == ("kept\nroot 755\nroot 600\ndaemon")
    # Files of root on a machine are files of nobody here, and nothing on it is a device or set-uid for anybody.
    place = lab.provider.volumes.mounts.volumes / "data"
    assert (place / "file").stat().st_uid == lab.provider.networks.of_team(1)[0].uid_base
    options = lab.says(second, "grep ' /mnt/data ' /proc/self/mounts").split()[3].split(",")
    assert {"nosuid", "nodev"} <= set(options)
    used = lab.provider.observe_volumes()[0].used_bytes
    assert used is not None
    assert used < MEGABYTE


def test_what_is_stored_is_known_to_the_block_once_no_machine_has_it(lab: Lab) -> None:
    """XFS counts what it holds ready for a file that grows, and for writes under way: as much again, at times."""
    data = make(lab.provider, "data")
    machine = lab.launch("writer", volumes=(data,))
    lab.says(machine, "cd /mnt/data; for i in 1 2 3 4 5 6; do head -c 9M /dev/zero >> file; done")
    lab.provider.resize_volume("data", 2)
    lab.provider.detach_volume("data", "writer")

    def used() -> int:
        [seen] = lab.provider.observe_volumes()
        assert seen.used_bytes is not None
        return seen.used_bytes

    assert used() == 54 * MEGABYTE
    lab.provider.attach_volume(data, "writer")
    assert used() == pytest.approx(54 * MEGABYTE, abs=16384)
    lab.says(machine, "rm /mnt/data/file")
    lab.end(["writer"])
    assert used() == 0


def test_volumes_come_and_go_while_machines_run_and_are_shared(lab: Lab) -> None:
    data, more = make(lab.provider, "data"), make(lab.provider, "more")
    one, two = lab.launch("one"), lab.launch("two")
    assert lab.says(one, "ls /mnt; touch /mnt/x 2>/dev/null || echo refused") == "refused"
    for name in ("one", "two"):
        lab.provider.attach_volume(data, name)
    lab.provider.attach_volume(more, "one")
    lab.says(one, "echo from one > /mnt/data/file")
    assert lab.says(two, "cat /mnt/data/file; ls /mnt") == "from one\ndata"
    lab.says(one, "cd /mnt/data && (sleep 100 >/dev/null 2>&1 & echo $! > /run/pid)")
    with pytest.raises(Busy):
        lab.provider.detach_volume("data", "one")
    assert lab.says(one, "cat /mnt/data/file") == "from one"
    lab.says(one, "kill $(cat /run/pid); sleep 0.2")
    lab.provider.detach_volume("data", "one")
    assert lab.says(one, "ls /mnt") == "more"
    assert lab.says(two, "cat /mnt/data/file") == "from one"
    # A machine that is stopped and started comes up with what it had.
    lab.provider.stop("two")
    lab.provider.start("two")
    assert lab.says(lab.ready("two"), "cat /mnt/data/file") == "from one"


def test_a_full_volume_hurts_nobody_else_and_grows_while_it_is_written_to(lab: Lab) -> None:
    full, other = make(lab.provider, "full"), make(lab.provider, "other")
    machine = lab.launch("writer", volumes=(full, other))
    fill = "fallocate -l 900M /mnt/full/big && dd if=/dev/zero of=/mnt/full/rest bs=1M"
    assert "No space left" in lab.ssh(machine, fill).stderr
    [seen] = [each for each in lab.provider.observe_volumes() if each.volume_id == "full"]
    assert seen.used_bytes is not None
    assert 0.95 * GIGABYTE < seen.used_bytes <= GIGABYTE
    assert lab.says(machine, "echo fine > /mnt/other/file; echo fine > /root/file; cat /mnt/other/file") == "fine"
    lab.says(machine, "(while :; do echo x >> /mnt/full/log 2>/dev/null; done) >/dev/null 2>&1 & echo $! > /run/pid")
    lab.provider.resize_volume("full", 2)
    assert (
        lab.says(machine, "df --output=size -B1G /mnt/full | tail -1; head -c 200M /dev/zero > /mnt/full/more") == "2"
    )
    lab.says(machine, "kill $(cat /run/pid); rm /mnt/full/*")
    # What is deleted on it is free on this machine's disk again.
    image = lab.provider.volumes.image("full")
    assert image.stat().st_size > 2 * GIGABYTE
    until = time.monotonic() + PATIENCE_SECONDS
    while image.stat().st_blocks * 512 > 200 * MEGABYTE:
        assert time.monotonic() < until
        # XFS frees the blocks of a deleted file behind its back, and gives them away with its next log, 30 s later.
        lab.says(machine, "sync --file-system /mnt/full; sleep 0.1")
    # One that no machine has grows too: the file now, what is in it with the next machine.
    lab.provider.resize_volume("other", 3)
    lab.provider.detach_volume("other", "writer")
    lab.provider.resize_volume("other", 4)
    lab.provider.attach_volume(other, "writer")
    assert lab.says(machine, "df --output=size -B1G /mnt/other | tail -1; cat /mnt/other/file") == "4\nfine"


def test_what_is_stored_is_out_of_reach_for_other_teams(lab: Lab) -> None:
    data = make(lab.provider, "data")
    mine, theirs = lab.launch("mine", volumes=(data,)), lab.launch("theirs", team=2)
    lab.says(mine, "echo secret > /mnt/data/file; mknod /mnt/data/disk b 7 0 2>/dev/null; true")
    attempts = (
        "ls /mnt; mount /dev/loop0 /mnt 2>&1; grep -c xfs /proc/self/mountinfo; ls /dev | grep -c loop; "
        "mkdir /tmp/x; mknod /tmp/x/d b 7 0 2>&1; unshare -rm true 2>&1"
    )
    said = lab.ssh(theirs, attempts).stdout
    assert "secret" not in said
    assert "data" not in said
    assert lab.ssh(mine, "ls /mnt/data/disk").returncode != 0
    for folder in (lab.provider.volumes.folder, lab.provider.volumes.mounts.folder):
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct(lab.provider.volumes.image("data").stat().st_mode & 0o777) == "0o600"


def test_after_a_reboot_they_are_mounted_again(lab: Lab) -> None:
    """A reboot takes the mounts away, and Podman's state of what ran; the files and the machine's disk stay."""
    data = make(lab.provider, "data")
    machine = lab.launch("kept", volumes=(data,))
    lab.says(machine, "echo kept > /mnt/data/file; sync")
    lab.provider.podman.stop(container.name_of(lab.provider.tag, "kept"), 1)
    lab.provider.volumes.remove_mounts()
    assert not lab.provider.volumes.mounts.folder.exists()
    assert lab.provider.observe_volumes()[0].deployment_ids == ()
    lab.provider.attach_volume(data, "kept")
    lab.provider.start("kept")
    assert lab.says(lab.ready("kept"), "cat /mnt/data/file") == "kept"
    assert lab.provider.observe_volumes()[0].deployment_ids == ("kept",)


def test_what_a_crash_left_half_made_is_made_anew(lab: Lab, tmp_path: Path) -> None:
    volumes = lab.provider.volumes
    volumes.prepare()
    half = volumes.image("data").with_suffix(".new")
    half.write_bytes(b"half")
    data = make(lab.provider, "data")
    assert not half.exists()
    # The file has grown and its file system hasn't: the same call again makes that good.
    machine = lab.launch("one", volumes=(data,))
    os.truncate(volumes.image("data"), 3 * GIGABYTE)
    lab.provider.resize_volume("data", 2)
    assert lab.says(machine, "df --output=size -B1G /mnt/data | tail -1") == "3"


def test_a_team_keeps_its_user_ids_while_it_has_volumes(lab: Lab) -> None:
    make(lab.provider, "data")
    base = lab.provider.networks.of_team(1)[0].uid_base
    lab.provider.podman.remove_network(lab.provider.networks.of_team(1)[0].name)
    lab.provider.networks.forget()
    assert lab.provider.networks.of_team(3)[0].uid_base != base
    assert lab.provider.networks.of_team(1)[0].uid_base == base
