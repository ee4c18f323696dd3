"""The machine's GPUs, as the Container Device Interface names them, and the simulated ones of the demo.

Real GPUs are what CDI files list under `nvidia.com/gpu`; their model and memory are what NVML says through nvidia-smi.
Simulated ones are character devices that do nothing, SIMULATED in every name, and only where no real ones are.
"""

import json
import os
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

NVIDIA = "nvidia.com/gpu"
SIMULATED = "forebay.dev/simulated-gpu"
SIMULATED_COUNT = 8
CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
SIMULATED_FILE = Path("/var/run/cdi/forebay-simulated.json")
DEVICE = "/dev/forebay-simulated-gpu{index}"


class Gpus(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one model. `kind` is CDI's; `names` are its devices of that kind, the index of one is its place there."""

    kind: str
    names: tuple[str, ...]
    gpu_type: str
    model: str
    memory_gb: int
    is_simulated: bool = False

    def devices(self, indexes: Iterable[int]) -> list[str]:
        """The full CDI names of some of them."""
        return [f"{self.kind}={self.names[index]}" for index in indexes]


def cdi_names(kind: str, folders: Iterable[Path] = CDI_FOLDERS) -> tuple[str, ...]:
    """The single devices that CDI files list for a kind: the numbered ones, else all but `all`."""
    found: set[str] = set()
    for folder in folders:
        for file in sorted([*folder.glob("*.json"), *folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                document: Any = yaml.safe_load(file.read_text())
            except (OSError, yaml.YAMLError):
                continue
            if isinstance(document, dict) and document.get("kind") == kind:
                found |= {str(device["name"]) for device in document.get("devices") or () if "name" in device}
    numbered = [name for name in found if name.isdigit()]
    return tuple(sorted(numbered, key=int)) if numbered else tuple(sorted(found - {"all"}))


def real_gpus() -> Gpus | None:
    """The NVIDIA GPUs that containers can have here, or None. A machine is taken to have one model."""
    names = cdi_names(NVIDIA)
    if not names:
        return None
    model, memory_gb = "NVIDIA GPU", 0
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip
        name, mebibytes = answer.splitlines()[0].rsplit(",", 1)
        model, memory_gb = name.strip(), round(int(mebibytes) / 1024)
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        pass
    short = model.upper().replace("NVIDIA", "").replace("GEFORCE", "").strip().split(" ")
    return Gpus(kind=NVIDIA, names=names, gpu_type="-".join(short) or "GPU", model=model, memory_gb=memory_gb)


def busy_gpus() -> dict[str, float]:
    """How busy each NVIDIA GPU is, from 0 to 1, by its full CDI name, of its number and of its UUID; as NVML says."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid,utilization.gpu", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip
        rows = [[part.strip() for part in line.split(",")] for line in answer.splitlines()]
        return {f"{NVIDIA}={name}": int(row[2]) / 100 for row in rows for name in row[:2]}
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return {}


def simulated_gpus() -> Gpus:
    """The demo's GPUs."""
    return Gpus(
        kind=SIMULATED,
        names=tuple(map(str, range(SIMULATED_COUNT))),
        gpu_type="SIMULATED-H100",
        model="SIMULATED H100 80GB",
        memory_gb=80,
        is_simulated=True,
    )


def write_simulated(file: Path = SIMULATED_FILE) -> None:
    """Describe the simulated GPUs to Podman and make their devices, which behave like /dev/null."""
    devices = []
    for index in range(SIMULATED_COUNT):
        path = DEVICE.format(index=index)
        if not os.path.exists(path):
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            os.chmod(path, 0o666)  # noqa: S103 - as open as /dev/null, whose twin it is
        node = {"path": path, "type": "c", "major": 1, "minor": 3, "permissions": "rw"}
        devices.append({"name": str(index), "containerEdits": {"deviceNodes": [node]}})
    text = json.dumps({"cdiVersion": "0.3.0", "kind": SIMULATED, "devices": devices}, indent=1)
    if file.exists() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(file)
