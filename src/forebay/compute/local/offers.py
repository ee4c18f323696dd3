"""What can be launched on this machine, and the capacity it comes from. Prices are the settings', nothing else."""

import os
import shutil
from pathlib import Path

import msgspec

from forebay.compute.base import Pool, ProviderOffer
from forebay.compute.local.gpus import Gpus
from forebay.settings import Settings

POOL = "local"
GIGABYTE = 1024**3
DISK_RESERVE_GB = 5
"""Left for the image, Forebay's own books and the host."""
Size = tuple[int, int, int]
"""Virtual CPUs, GB of memory, GB of disk."""
CPU_SIZES: dict[str, Size] = {"small": (1, 1, 10), "medium": (2, 4, 20), "large": (4, 8, 40)}
GPU_COUNTS = (1, 2, 4, 8)
DISK_OVERCOMMIT = 4
"""GB of disk offered for each that is free: a machine takes what it has written, mostly a fraction of its size."""
GPU_DISK_GB = 10
SHARED_KERNEL = "A container: its kernel is shared with the other machines on the host."
SIMULATED_SIZE = (1, 1)
"""Virtual CPUs and GB of memory that come with each simulated GPU: all eight fit on a small machine."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the host has: CPUs, GB of memory, GB of free disk where Podman keeps its containers."""

    cpus: int
    memory_gb: int
    disk_gb: int


def this_machine(storage: Path = Path("/var/lib/containers")) -> Machine:
    """Measure the host."""
    while not storage.exists():
        storage = storage.parent
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        memory_gb=memory // GIGABYTE,
        disk_gb=max(0, shutil.disk_usage(storage).free // GIGABYTE - DISK_RESERVE_GB),
    )


def pool_of(machine: Machine, gpus: Gpus | None, settings: Settings) -> Pool:
    """All of it as one pool."""
    return Pool(
        name=POOL,
        vcpus=machine.cpus * settings.local_cpu_overcommit,
        memory_gb=max(0, machine.memory_gb - settings.local_memory_reserve_gb),
        storage_gb=machine.disk_gb * DISK_OVERCOMMIT,
        gpus=len(gpus.names) if gpus else 0,
    )


def rate_micros(settings: Settings, *, vcpus: int, memory_gb: int, gpus: int) -> int:
    """Micro-dollars an hour of a whole machine."""
    size_micros = vcpus * settings.local_vcpu_micros + memory_gb * settings.local_memory_gb_micros
    return size_micros + gpus * settings.local_gpu_micros


def storage_rate_micros(settings: Settings, storage_gb: int) -> int:
    """Micro-dollars an hour of a stopped machine's disk: rounded once, half up, from nano-dollars."""
    return (storage_gb * settings.local_disk_gb_nanos + 500) // 1000


def offers_of(
    pool: Pool, gpus: Gpus | None, settings: Settings, *, operating_system: str, is_maintenance: bool
) -> tuple[ProviderOffer, ...]:
    """Every offer that fits into the pool when it is empty."""

    def offer(offer_id: str, name: str, size: Size, count: int = 0, minimum_minutes: int = 0) -> ProviderOffer:
        vcpus, memory_gb, storage_gb = size
        on_gpu = gpus if count else None
        measures = f"{vcpus} vCPU, {memory_gb} GB memory, {storage_gb} GB disk"
        with_gpus = f"{count} × {on_gpu.model}, " if on_gpu else ""
        warning = "SIMULATED GPUs: devices that compute nothing. " if on_gpu and on_gpu.is_simulated else ""
        return ProviderOffer(
            offer_id=offer_id,
            name=name,
            description=f"{warning}{with_gpus}{measures}. {SHARED_KERNEL}",
            pool=pool.name,
            region=settings.local_region,
            vcpus=vcpus,
            memory_gb=memory_gb,
            storage_gb=storage_gb,
            gpu_type=on_gpu.gpu_type if on_gpu else "cpu",
            gpu_model=on_gpu.model if on_gpu else "",
            gpu_count=count,
            gpu_memory_gb=on_gpu.memory_gb if on_gpu else 0,
            os_options=(operating_system,),
            rate_micros=rate_micros(settings, vcpus=vcpus, memory_gb=memory_gb, gpus=count),
            storage_rate_micros=storage_rate_micros(settings, storage_gb),
            minimum_runtime_minutes=minimum_minutes,
            interconnect_type="PCIe" if on_gpu and not on_gpu.is_simulated else "",
            is_simulated=bool(on_gpu and on_gpu.is_simulated),
            is_maintenance=is_maintenance,
        )

    found = [offer(f"cpu-{size}", f"CPU {size}", numbers) for size, numbers in CPU_SIZES.items()]
    if gpus is not None:
        for count in (count for count in GPU_COUNTS if count <= len(gpus.names)):
            vcpus, memory_gb = share(pool, gpus, count)
            kind = "simulated-gpu" if gpus.is_simulated else "gpu"
            size = (vcpus, memory_gb, GPU_DISK_GB * count)
            found.append(offer(f"{kind}-{count}", f"{count} × {gpus.model}", size, count))
    if settings.demo:
        found.append(offer("cpu-committed", "CPU small, 20 minutes at least", CPU_SIZES["small"], minimum_minutes=20))
    return tuple(
        entry
        for entry in found
        if entry.memory_gb <= pool.memory_gb and entry.vcpus <= pool.vcpus and entry.storage_gb <= pool.storage_gb
    )


def share(pool: Pool, gpus: Gpus, count: int) -> tuple[int, int]:
    """Virtual CPUs and GB of memory that come with `count` GPUs: of real ones, their part of the machine."""
    if gpus.is_simulated:
        return SIMULATED_SIZE[0] * count, SIMULATED_SIZE[1] * count
    total = len(gpus.names)
    return max(1, pool.vcpus * count // total), max(1, pool.memory_gb * count // total)
