"""What a machine is given before its first start, cloud-init's seed included, and how its first boot ended.

The user data is YAML in which every string is quoted and every unusual character escaped, so that what a person sent
is what cloud-init reads. Text of files goes as base64 for the same reason.
"""

import base64
import io
import json
import re
import tarfile
from collections.abc import Sequence

from forebay.compute.base import CloudInit, CloudInitOutcome, FoundKey, LaunchSpec, WriteFile
from forebay.compute.local import image

Files = dict[str, tuple[str, int]]
"""Text and mode by path."""

SEED = "var/lib/cloud/seed/nocloud"
OUTCOME = "/var/lib/forebay/first-boot"
LOG = "/var/lib/forebay/first-boot.log"
LOG_BYTES = 64 * 1024
AUTHORIZED_KEYS = "etc/forebay/authorized_keys"
REMOVED_KEYS = "etc/forebay/removed_keys"
OWN_KEYS = ("/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys2")
"""Where a person adds keys by hand."""
AUTHORIZED_KEYS_VARIABLE = "FOREBAY_AUTHORIZED_KEYS"
VARIABLE_BYTES = 100_000
"""The kernel takes 128 KiB in one variable; more keys than this go as a file."""
KEY_IN_LINE = re.compile(r"(?<![^\s])(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+[ \t]+[A-Za-z0-9+/]+=*(?:[ \t].*)?$")
"""A public key in a line of authorized_keys; options with spaces in them may come before it."""
MOST_OF_A_LINE = 16384
HOST_KEYS = "/etc/forebay/host_keys"
HOST_KEY_LINE = re.compile(r"^forebay: host key (\S+ \S+)\s*$", re.M)
"""How the init tells its host keys on the console."""


def quoted(text: str) -> str:
    """A YAML scalar that means exactly `text`."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08X}" for c in text) + '"'


def user_data(cloud_init: CloudInit) -> str:
    """The #cloud-config document."""
    lines = ["#cloud-config"]
    if cloud_init.write_files:
        lines.append("write_files:")
        lines += [line for file in cloud_init.write_files for line in file_lines(file)]
    if cloud_init.packages:
        lines += ["package_update: true", "packages:", *(f"  - {quoted(name)}" for name in cloud_init.packages)]
    if cloud_init.runcmd:
        lines += ["runcmd:", *(f"  - {quoted(command)}" for command in cloud_init.runcmd)]
    return "\n".join(lines) + "\n"


def file_lines(file: WriteFile) -> list[str]:
    """One entry of write_files."""
    content, encoding = file.content, file.encoding
    if not encoding:
        content, encoding = base64.b64encode(content.encode()).decode(), "b64"
    fields = {"path": file.path, "content": content, "encoding": encoding}
    fields |= {"owner": file.owner, "permissions": file.permissions}
    given = [f"{name}: {quoted(value)}" for name, value in fields.items() if value or name == "content"]
    return [f"  - {given[0]}", *(f"    {line}" for line in given[1:])]


def seed(cloud_init: CloudInit, instance_id: str) -> Files:
    """What cloud-init reads."""
    return {
        f"{SEED}/user-data": (user_data(cloud_init), 0o600),
        f"{SEED}/meta-data": (json.dumps({"instance-id": instance_id}) + "\n", 0o600),
    }


def host_keys_of(console: str) -> tuple[str, ...]:
    """The public host keys that a console shows, of each kind the one told last."""
    return tuple({line.split()[0]: line for line in HOST_KEY_LINE.findall(console)}.values())


def machine_files() -> Files:
    """The init and its configuration, for an image that isn't ours."""
    placed = image.MACHINE_FILES.items()
    return {path.lstrip("/"): ((image.FOLDER / name).read_text(), mode) for name, (path, mode) in placed}


def keys_text(authorized_keys: Sequence[str]) -> str:
    """The text of an authorized_keys file."""
    return "".join(f"{key.strip()}\n" for key in authorized_keys)


def files_for(spec: LaunchSpec, *, is_own_image: bool) -> Files:
    """What has to be put into the machine before its first start: mostly nothing, for it takes a fifth of a second."""
    files: Files = {} if is_own_image else machine_files()
    if spec.cloud_init is not None:
        files |= seed(spec.cloud_init, spec.deployment_id)
    if len(keys_text(spec.authorized_keys)) > VARIABLE_BYTES:
        files |= keys_file(spec.authorized_keys)
    return files


def environment_for(spec: LaunchSpec) -> dict[str, str]:
    """The variables of the machine's init: the keys of the launch."""
    text = keys_text(spec.authorized_keys)
    return {AUTHORIZED_KEYS_VARIABLE: text} if len(text) <= VARIABLE_BYTES else {}


def keys_file(authorized_keys: Sequence[str]) -> Files:
    """The file of those keys that Forebay lets in; what a person adds in ~/.ssh by hand is apart from it."""
    return {AUTHORIZED_KEYS: (keys_text(authorized_keys), 0o600)}


def removed_file(keys: Sequence[str]) -> Files:
    """The file of keys that get in by no other way either. It comes after the other: sshd refuses all without it."""
    return {REMOVED_KEYS: (keys_text(keys), 0o600)}


def found_keys(text: bytes, place: str) -> list[FoundKey]:
    """The keys in the text of an authorized_keys file, without comments and options that stand before them."""
    lines = (line.strip() for line in text.decode(errors="replace").splitlines())
    keys = (KEY_IN_LINE.search(line) for line in lines if not line.startswith("#"))
    found = (" ".join(key[0].split(maxsplit=2)) for key in keys if key is not None)
    return [FoundKey(line=line[:MOST_OF_A_LINE], place=place) for line in found]


def packed(files: Files) -> bytes:
    """A tar archive of text files, each with its mode, all root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (text, mode) in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The regular files of a tar archive by their base names; whatever else is in it is passed over."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is not None:
                found[entry.name.rsplit("/", 1)[-1]] = content.read()
    return found


def outcome_of(verdict: bytes, log: bytes) -> CloudInitOutcome:
    """How first boot ended, from the two files that the machine wrote."""
    return CloudInitOutcome(succeeded=verdict.strip() == b"succeeded", log=log[-LOG_BYTES:].decode(errors="replace"))
