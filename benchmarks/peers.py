"""Peers from the package index, each pinned with all that it needs, in an environment of its own under `.cache/`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import note

ENVIRONMENTS = Path(__file__).parent.parent / ".cache"


def installed(name: str) -> Path:
    """The folder of the programs of a peer, installed first if need be from `<name>-requirements.txt` beside this."""
    requirements = Path(__file__).with_name(f"{name}-requirements.txt")
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = ENVIRONMENTS / f"{name}-{digest}"
    stamp = folder / "is-complete"
    if not stamp.exists():
        note(f"installing the peer {name} into {folder} (once)")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "--quiet",
            "install",
        ]
        subprocess.run([*pip, "--no-deps", "-r", requirements], check=True, stdout=sys.stderr)
        stamp.touch()
        if os.geteuid() == 0:
            # What root writes into a checkout, its owner could not remove.
            subprocess.run(["chown", "-R", f"--reference={ENVIRONMENTS.parent}", ENVIRONMENTS], check=True)
    return folder / "bin"
