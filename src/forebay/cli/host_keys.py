"""How `ssh` knows a machine: the host keys that the API tells, in a file for each machine, and nothing on trust.

$XDG_CONFIG_HOME/forebay/ssh/<server>/<id>.keys    (~/.config/forebay/ssh/…)

What the API says goes into files that `ssh` reads and into its command line, so all of it is looked at first: a name
that a colleague gave to a machine must not become an option.
"""

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forebay.cli import credentials
from forebay.cli.ending import end
from forebay.cli.here import Here, visible

if TYPE_CHECKING:
    from forebay.client.deployments import Deployment

ID = re.compile(r"[0-9a-f]{24}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
ADDRESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:-]{0,252}")
KEY = re.compile(r"[a-z0-9][a-z0-9@.-]{0,63} [A-Za-z0-9+/]{16,4096}={0,2}")


def folder(here: Here) -> Path:
    """Where the files of this server's machines are."""
    parts = urlsplit(here.server)
    name = f"{parts.hostname}-{parts.port}" if parts.port else str(parts.hostname)
    return credentials.file().parent / "ssh" / name.replace(":", "-")


def address_of(machine: "Deployment") -> tuple[str, str, int]:
    """User, address and port. Ends the program for what is none."""
    user, address, port = machine.user or "", machine.ip_address or "", machine.ssh_port or 0
    if not (USER.fullmatch(user) and ADDRESS.fullmatch(address) and 0 < port < 65536 and ID.fullmatch(machine.id)):
        end("The server tells an address that can't be one: is it Forebay?")
    return user, address, port


def keep(here: Here, machine: "Deployment") -> Path:
    """Write what the machine proves itself with; the file. Says so where that has changed."""
    path = folder(here) / f"{machine.id}.keys"
    lines = [f"{machine.id} {key.public_key}" for key in machine.host_keys if KEY.fullmatch(key.public_key)]
    content = "".join(f"{line}\n" for line in lines)
    known = path.read_text(errors="replace") if path.exists() else ""
    if known == content and path.exists():
        return path
    if known and content and not set(known.splitlines()) & set(lines):
        print(f"The host keys of {visible(machine.name)} are others than before, says {here.server}.", file=sys.stderr)
    write(path, content)
    return path


def write(path: Path, content: str) -> None:
    """Put the file in the place of the old one, at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    Path(partial).replace(path)


def options(here: Here, machine: "Deployment") -> Sequence[tuple[str, str]]:
    """What `ssh` is told of the machine, by its configuration's own names.

    Where the machine's keys aren't known yet `ssh` asks the person, as it does for every unknown machine.
    """
    user, address, port = address_of(machine)
    path = keep(here, machine)
    return (
        ("HostName", address),
        ("User", user),
        ("Port", str(port)),
        ("HostKeyAlias", machine.id),
        ("UserKnownHostsFile", quoted(path)),
        ("GlobalKnownHostsFile", "none"),
        ("StrictHostKeyChecking", "yes" if path.stat().st_size else "ask"),
        ("CheckHostIP", "no"),
        ("UpdateHostKeys", "no"),
    )


def quoted(path: Path) -> str:
    """A path as one word of ssh's configuration, which takes % and spaces for its own."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if re.search(r"\s", text) else text
