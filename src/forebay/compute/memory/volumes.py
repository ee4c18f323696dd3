"""The volumes of the provider without machines: what it was asked to keep, and what the world does to them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from forebay.compute.base import (
    Busy,
    OutOfStock,
    ProviderError,
    Rejected,
    Volume,
    VolumeMount,
    VolumeRegion,
    VolumeSpec,
)

REGION = VolumeRegion(
    region="here", name="Here", nanos_per_gb=3_600_000, min_size_gb=1, max_size_gb=1000, total_gb=100_000
)
"""A micro-dollar a second for each GB."""


class Kept(msgspec.Struct):
    """What is remembered of one volume."""

    spec: VolumeSpec
    size_gb: int
    mounts: dict[str, str]
    """Its name on each machine, by deployment."""
    used_bytes: int = 0
    is_in_use: bool = False
    """Whether a process uses it."""


class MemoryVolumes:
    """The half of `MemoryProvider` that keeps volumes. Thread-safe."""

    def __init__(self, regions: Sequence[VolumeRegion], *, can_share: bool) -> None:
        self.all_regions, self.can_share = tuple(regions), can_share
        self.lock = threading.RLock()
        self.machines: dict[str, Any] = {}
        self.volumes: dict[str, Kept] = {}
        self.calls: list[tuple[str, str]] = []
        """Every verb that changed something, and of which deployment or volume."""
        self.refusals: dict[str, ProviderError] = {}
        """What a verb raises from now on, by its name; `all` for every verb."""

    @contextmanager
    def asked(self, verb: str) -> Iterator[None]:
        """One verb at a time, unless it is refused."""
        with self.lock:
            refusal = self.refusals.get(verb) or self.refusals.get("all")
            if refusal is not None:
                raise refusal
            yield

    # What Forebay asks.

    def volume_regions(self) -> Sequence[VolumeRegion]:
        with self.asked("volume_regions"):
            return self.all_regions

    def create_volume(self, spec: VolumeSpec) -> None:
        with self.asked("create_volume"):
            if spec.volume_id in self.volumes:
                return
            self.refuse_too_much(spec.size_gb, spec.region)
            self.volumes[spec.volume_id] = Kept(spec, spec.size_gb, {})
            self.calls.append(("create_volume", spec.volume_id))

    def refuse_too_much(self, more_gb: int, region: str) -> None:
        """Raise Rejected where there is no such region, OutOfStock where there is no room."""
        found = next((each for each in self.all_regions if each.region == region), None)
        if found is None:
            raise Rejected("There is no such region")
        if more_gb + sum(kept.size_gb for kept in self.volumes.values()) > found.total_gb:
            raise OutOfStock("There is no room for so large a volume")

    def resize_volume(self, volume_id: str, size_gb: int) -> None:
        with self.asked("resize_volume"):
            kept = self.kept(volume_id)
            if size_gb > kept.size_gb:
                self.refuse_too_much(size_gb - kept.size_gb, kept.spec.region)
                kept.size_gb = size_gb
                self.calls.append(("resize_volume", volume_id))

    def kept(self, volume_id: str) -> Kept:
        """The volume. Raises Rejected if it is gone."""
        if volume_id not in self.volumes:
            raise Rejected("The volume is gone")
        return self.volumes[volume_id]

    def attach_volume(self, mount: VolumeMount, deployment_id: str) -> None:
        with self.asked("attach_volume"):
            kept, machine = self.kept(mount.volume_id), self.machines.get(deployment_id)
            if machine is None:
                raise Rejected("The machine is gone")
            if machine.spec.team_id != kept.spec.team_id:
                raise Rejected("The machine is another team's")
            if deployment_id in kept.mounts:
                return
            if kept.mounts and not self.can_share:
                raise Rejected("The volume is attached to another machine")
            kept.mounts[deployment_id] = mount.name
            self.calls.append(("attach_volume", mount.volume_id))

    def detach_volume(self, volume_id: str, deployment_id: str) -> None:
        with self.asked("detach_volume"):
            kept = self.volumes.get(volume_id)
            if kept is None or deployment_id not in kept.mounts:
                return
            if kept.is_in_use:
                raise Busy("A process uses the volume")
            del kept.mounts[deployment_id]
            self.calls.append(("detach_volume", volume_id))

    def delete_volume(self, volume_id: str) -> None:
        with self.asked("delete_volume"):
            kept = self.volumes.get(volume_id)
            if kept is not None and kept.mounts:
                raise Busy("The volume is attached")
            if self.volumes.pop(volume_id, None) is not None:
                self.calls.append(("delete_volume", volume_id))

    def observe_volumes(self) -> Sequence[Volume]:
        with self.asked("observe_volumes"):
            return [
                Volume(
                    volume_id=volume_id,
                    size_gb=kept.size_gb,
                    used_bytes=kept.used_bytes,
                    deployment_ids=tuple(sorted(kept.mounts)),
                )
                for volume_id, kept in self.volumes.items()
            ]

    # What the world does.

    def write(self, volume_id: str, more_bytes: int) -> None:
        """Somebody stores so much on it."""
        with self.lock:
            self.volumes[volume_id].used_bytes += more_bytes

    def use_volume(self, volume_id: str, *, is_in_use: bool = True) -> None:
        """A process on a machine works on it, or has ended."""
        with self.lock:
            self.volumes[volume_id].is_in_use = is_in_use

    def let_go(self, deployment_id: str) -> None:
        """A machine has ended, and every process on it."""
        for kept in self.volumes.values():
            kept.mounts.pop(deployment_id, None)
