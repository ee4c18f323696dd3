"""What a machine has written: its console, which the host keeps, and cloud-init's output, which is a file in it."""

import contextlib
import io
import os
from pathlib import Path

from forebay.compute.base import LogPart
from forebay.compute.local import inside
from forebay.compute.local.podman import Podman
from forebay.compute.logs import piece

CLOUD_INIT = "/var/log/cloud-init-output.log"
FULL = b"F"


class Consoles:
    """Where the host keeps consoles. Podman is asked once for each: whoever follows one costs a read of a file."""

    def __init__(self, podman: Podman) -> None:
        self.podman = podman
        self.paths: dict[str, Path] = {}

    def part(self, name: str, after: str, most_bytes: int) -> LogPart | None:
        """A piece of a container's console; None if the container is gone."""
        known = self.paths.get(name)
        found = known and console_part(known, after, most_bytes)
        if found:
            return found
        facts = self.podman.container(name)
        if facts is None:
            self.paths.pop(name, None)
            return None
        self.paths[name] = Path(facts["HostConfig"]["LogConfig"]["Path"])
        return console_part(self.paths[name], after, most_bytes) or LogPart(text="", cursor="")


def console_part(path: Path, after: str, most_bytes: int) -> LogPart | None:
    """A piece of the file that a container's monitor writes; None if it isn't there."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        facts = os.fstat(file.fileno())
        found = piece(file, facts.st_ino, facts.st_size, after, most_bytes)
        return LogPart(text=console_text(found.content), cursor=found.cursor, is_cut=found.is_cut)
    return None


def console_text(lines: bytes) -> str:
    """The text out of lines like `2026-03-01T00:00:00.0+00:00 stderr F text`: P instead of F is a line's beginning."""
    text = b""
    for line in lines.split(b"\n"):
        parts = line.split(b" ", 3)
        if len(parts) == 4:
            text += parts[3] + (b"\n" if parts[2] == FULL else b"")
    return text.replace(b"\r\n", b"\n").decode(errors="replace")


def file_part(pid: int, identity: str, path: str, after: str, most_bytes: int) -> LogPart:
    """A piece of a file of a running machine."""
    with inside.opened(pid, identity, path) as file:
        if file is None:
            return LogPart(text="", cursor=after)
        facts = os.fstat(file.fileno())
        found = piece(file, facts.st_ino, facts.st_size, after, most_bytes)
        return LogPart(text=found.content.decode(errors="replace"), cursor=found.cursor, is_cut=found.is_cut)


def kept_part(content: bytes, after: str, most_bytes: int) -> LogPart:
    """A piece of what is left of a log that grows no more."""
    found = piece(io.BytesIO(content), 0, len(content), after, most_bytes)
    return LogPart(text=found.content.decode(errors="replace"), cursor=found.cursor, is_cut=found.is_cut)
