"""Volumes of the local provider: each a sparse file with a file system in it, under the installation's own folder.

The file's size is the quota: a full volume is full for those who use it and for nobody else. Beside it a small file
says whose it is, with the user ids that the team's machines have here: who makes the team's network anew takes the same
ones again. The file system is XFS, because it grows while it is mounted wherever mounting is allowed; ext4 would ask
for CAP_SYS_RESOURCE, which not every machine gives. It is made and mounted by the host alone, so nothing that a machine
stores can be a file system that the kernel has to fear.

A volume is mounted while a machine has it. Everything can be done twice, and is found as it was left after a crash or a
reboot: what is missing is mounted again when it is asked for.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from forebay.compute.base import (
    Busy,
    OutOfStock,
    ProviderUnavailable,
    Rejected,
    Volume,
    VolumeMount,
    VolumeRegion,
    VolumeSpec,
)
from forebay.compute.local.disks import tune
from forebay.compute.local.mounts import Mounts
from forebay.compute.local.offers import DISK_RESERVE_GB, GIGABYTE
from forebay.compute.local.service import find_program, machine_lock, run
from forebay.compute.local.xfs import LOG_MB, PLAIN, superblock, used_bytes
from forebay.settings import Settings

MEGABYTE = 1024**2
LARGEST_GB = 16_384
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
PROGRAMS = ("mkfs.xfs", "xfs_growfs", "mount", "losetup")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What the file beside the image says."""

    team_id: str
    team_number: int
    uid_base: int


def image_bytes(size_gb: int) -> int:
    """How large the file of a volume is."""
    return size_gb * GIGABYTE + LOG_MB * MEGABYTE


class Volumes:
    """All volumes of one installation. Thread-safe, and several processes may share them."""

    def __init__(self, settings: Settings, tag: str) -> None:
        self.settings, self.tag = settings, tag
        self.folder = Path(settings.local_volumes_dir or settings.data_dir / "volumes").absolute()
        self.mounts = Mounts(tag)
        self.is_usable = os.geteuid() == 0 and all(find_program(program) for program in PROGRAMS)

    def lock(self) -> AbstractContextManager[None]:
        """Changes of mounts and files take turns."""
        return machine_lock(f"volumes-{self.tag}")

    def prepare(self) -> None:
        """Make the folders and the place of the mounts. Raises ProviderUnavailable."""
        if self.is_usable:
            with self.lock():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.mounts.prepare()

    def folder_of(self, deployment_id: str) -> Path | None:
        """What is /mnt on a machine, so that volumes can come and go there; None where there are no volumes."""
        if not self.is_usable:
            return None
        with self.lock():
            self.mounts.prepare()
            return self.mounts.machine(deployment_id)

    def region(self) -> VolumeRegion:
        """Where they are kept: unless the settings say otherwise, on half of the disk that is free."""
        place = self.folder
        while not place.exists():
            place = place.parent
        stored = sum(image.stat().st_blocks * 512 for image in self.images().values())
        free_gb = max(0, (shutil.disk_usage(place).free + stored) // GIGABYTE - DISK_RESERVE_GB)
        total_gb = self.settings.local_volumes_gb or free_gb // 2
        region = self.settings.local_region
        return VolumeRegion(
            region=region,
            name=region,
            nanos_per_gb=self.settings.local_volume_gb_nanos,
            min_size_gb=1,
            max_size_gb=max(1, min(LARGEST_GB, total_gb)),
            total_gb=total_gb,
        )

    # Files.

    def images(self) -> dict[str, Path]:
        """The image of each volume that was made to its end."""
        return {image.stem: image for image in self.folder.glob("*.xfs")} if self.folder.exists() else {}

    def image(self, volume_id: str) -> Path:
        """Where a volume's image is, or would be. Raises Rejected for what can be no id."""
        if not NAME.fullmatch(volume_id):
            raise Rejected("The volume's id can't be used as a name")
        return self.folder / f"{volume_id}.xfs"

    def owner(self, volume_id: str) -> Owner:
        """Whose it is. Raises Rejected if it is gone."""
        image = self.image(volume_id)
        try:
            return msgspec.json.decode(image.with_suffix(".json").read_bytes(), type=Owner)
        except (FileNotFoundError, msgspec.DecodeError):
            raise Rejected("The volume is gone") from None

    def write_owner(self, volume_id: str, owner: Owner) -> None:
        """Say whose it is, in one step."""
        path = self.image(volume_id).with_suffix(".json")
        fresh = path.with_suffix(".json.new")
        fresh.write_bytes(msgspec.json.encode(owner))
        fresh.replace(path)

    def kept_uid_bases(self) -> Mapping[int, int]:
        """The first user id of each team that has volumes, by its number."""
        found = {}
        for volume_id in self.images():
            with contextlib.suppress(Rejected):
                owner = self.owner(volume_id)
                found[owner.team_number] = owner.uid_base
        return found

    def refuse_full_disk(self) -> None:
        """Raise OutOfStock where this machine's own disk is nearly full."""
        if shutil.disk_usage(self.folder).free < DISK_RESERVE_GB * GIGABYTE:
            raise OutOfStock("The disk for volumes is nearly full")

    # The verbs.

    def create(self, spec: VolumeSpec, uid_base: int) -> None:
        """Make the file and the file system in it; the file has its name once that is whole."""
        if spec.region != self.settings.local_region:
            raise Rejected("There is no such region")
        self.prepare()
        image = self.image(spec.volume_id)
        with self.lock():
            if image.exists():
                return
            self.refuse_full_disk()
            fresh = image.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.truncate(descriptor, image_bytes(spec.size_gb))
            os.close(descriptor)
            if run(["mkfs.xfs", "-q", "-f", *PLAIN, str(fresh)]).returncode != 0:
                fresh.unlink()
                raise ProviderUnavailable("The file system of the volume can't be made")
            owner = Owner(team_id=spec.team_id, team_number=spec.team_number, uid_base=uid_base)
            self.write_owner(spec.volume_id, owner)
            fresh.rename(image)

    def resize(self, volume_id: str, size_gb: int) -> None:
        """Let file and file system grow; the file system of one that isn't mounted grows when it is."""
        image = self.image(volume_id)
        with self.lock():
            self.owner(volume_id)
            if image.stat().st_size < image_bytes(size_gb):
                self.refuse_full_disk()
                os.truncate(image, image_bytes(size_gb))
            place = self.mounts.volumes / volume_id
            if os.path.ismount(place):
                self.fill(place)

    def fill(self, place: Path) -> None:
        """Let a mounted file system take all of its file; nothing happens if it does."""
        device = run(["findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", str(place)]).stdout.strip()
        for command in (["losetup", "--set-capacity", device], ["xfs_growfs", "-d", str(place)]):
            if run(command).returncode != 0:
                raise ProviderUnavailable("The file system of the volume can't grow now")

    def attach(self, mount: VolumeMount, deployment_id: str, team_id: str) -> None:
        """Have it on a machine of its team."""
        with self.lock():
            owner = self.owner(mount.volume_id)
            if owner.team_id != team_id:
                raise Rejected("The volume is another team's")
            self.mounts.prepare()
            place = self.opened(mount.volume_id, owner)
            self.mounts.bind(place, deployment_id, mount.name)

    def opened(self, volume_id: str, owner: Owner) -> Path:
        """Mount it, mended if need be, as large as its file; the team's root owns it from the first time on."""
        image = self.image(volume_id)
        try:
            place = self.mounts.open(image)
        except ProviderUnavailable:
            if run(["xfs_repair", str(image)]).returncode != 0:
                raise
            place = self.mounts.open(image)
        self.fill(place)
        tune(place)
        if place.stat().st_uid == 0:
            # Nobody on a machine can give a file to the host's root: this is the first time.
            os.chown(place, owner.uid_base, owner.uid_base)
            place.chmod(0o755)
        return place

    def detach(self, volume_id: str, deployment_id: str) -> None:
        """Take it off a machine, and close it if that was the last one. Raises Busy."""
        with self.lock():
            for target in self.mounts.on_machines(volume_id):
                if target.parent.name == deployment_id:
                    self.mounts.release(target)
            self.close_unused([volume_id])

    def forget_machine(self, deployment_id: str) -> None:
        """A machine has ended: its volumes stay, and nothing of it does."""
        if self.mounts.machines.exists():
            with self.lock():
                self.close_unused(self.mounts.forget_machine(deployment_id))

    def close_unused(self, volume_ids: Iterator[str] | set[str] | list[str]) -> None:
        """Unmount those that no machine has."""
        for volume_id in volume_ids:
            place = self.mounts.volumes / volume_id
            if self.mounts.on_machines(volume_id) or not os.path.ismount(place):
                continue
            # Something of the host itself may look at it: it is closed the next time, then.
            with contextlib.suppress(Busy):
                self.mounts.close(volume_id)

    def delete(self, volume_id: str) -> None:
        """Delete the file, and what is beside it last. Raises Busy while a machine has it."""
        image = self.image(volume_id)
        with self.lock():
            if self.mounts.on_machines(volume_id):
                raise Busy("The volume is attached to a machine")
            self.mounts.close(volume_id)
            for path in (image, image.with_suffix(".new"), image.with_suffix(".json")):
                path.unlink(missing_ok=True)

    def all(self) -> list[Volume]:
        """Every volume as it is now."""
        if not self.folder.exists():
            return []
        with self.lock():
            return self.looked_at()

    def looked_at(self) -> list[Volume]:
        """The same, while nothing changes."""
        table = self.mounts.table()
        found = []
        for volume_id, image in sorted(self.images().items()):
            try:
                self.owner(volume_id)
                size, about = image.stat().st_size, superblock(image)
            except (Rejected, FileNotFoundError):
                continue
            place, used = self.mounts.volumes / volume_id, None
            if about is not None:
                is_mounted = any(each.place == place for each in table)
                used = used_bytes(place, about.groups) if is_mounted else about.used_bytes
            machines = {target.parent.name for target in self.mounts.on_machines(volume_id, table)}
            found.append(
                Volume(
                    volume_id=volume_id,
                    size_gb=(size - LOG_MB * MEGABYTE) // GIGABYTE,
                    used_bytes=used,
                    deployment_ids=tuple(sorted(machines)),
                )
            )
        return found

    def remove_mounts(self) -> None:
        """Unmount all of them; the files stay. Nothing may run any more."""
        if self.mounts.folder.exists():
            with self.lock():
                self.mounts.remove()
