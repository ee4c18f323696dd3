"""Backups of a cloud on SQLite.

A consistent copy of the database, taken while it is written to, and the secret key beside it.

A backup is a tar file of `forebay.db`, `secret.key` and `backup.json` with their checksums; restoring refuses one
that doesn't agree with them, and a folder that holds anything.
"""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from datetime import datetime
from pathlib import Path

from forebay.errors import BadRequest, Conflict
from forebay.settings import Settings

DATABASE, KEY, FACTS = "forebay.db", "secret.key", "backup.json"


def write(settings: Settings, cloud_id: str, target: Path, *, now: datetime) -> int:
    """Write the backup; its size in bytes. Raises Conflict where the file exists, BadRequest on PostgreSQL."""
    if not settings.is_sqlite or settings.database_url:
        raise BadRequest(
            "Backups are for SQLite in the data folder. Use pg_dump for PostgreSQL, and keep FOREBAY_SECRET_KEY."
        )
    if target.exists():
        raise Conflict(f"{target} exists already")
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        copy = Path(folder) / DATABASE
        copy_database(settings.data_dir / DATABASE, copy)
        contents = {DATABASE: copy.read_bytes()}
        key = settings.data_dir / KEY
        if not settings.secret_key:
            contents[KEY] = key.read_bytes()
    facts = {
        "cloud": cloud_id,
        "takenAt": now.isoformat().replace("+00:00", "Z"),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    contents[FACTS] = json.dumps(facts, indent=2).encode()
    partial = target.with_name(target.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    partial.rename(target)
    return target.stat().st_size


def copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup: consistent, and writers are not held up."""
    with closing(sqlite3.connect(source)) as running, closing(sqlite3.connect(target)) as copy:
        running.backup(copy, pages=1000, sleep=0.01)
        copy.execute("PRAGMA journal_mode=DELETE")


def restore(settings: Settings, source: Path) -> str:
    """Fill an empty data folder; when the backup was taken.

    Raises Conflict for a folder that isn't empty, BadRequest for a bad file.
    """
    folder = settings.data_dir
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder.absolute()} is not empty: restore into a new folder")
    contents = read(source)
    try:
        facts = json.loads(contents[FACTS])
        for name, digest in facts["sha256"].items():
            if hashlib.sha256(contents[name]).hexdigest() != digest:
                raise BadRequest(f"{source}: {name} does not agree with its checksum")
        taken_at = str(facts["takenAt"])
    except (KeyError, ValueError, TypeError):
        raise BadRequest(f"{source} is not a backup of Forebay") from None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in facts["sha256"]:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents[name])
            file.flush()
            os.fsync(file.fileno())
    return taken_at


def read(source: Path) -> dict[str, bytes]:
    """The files of a backup; no others are looked at. Raises BadRequest."""
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            found = {}
            for entry in archive:
                if entry.isreg() and entry.name in (DATABASE, KEY, FACTS):
                    content = archive.extractfile(entry)
                    found[entry.name] = content.read() if content else b""
            return found
    except (tarfile.TarError, EOFError, OSError) as reason:
        if isinstance(reason, FileNotFoundError):
            raise
        raise BadRequest(f"{source} is not a backup of Forebay") from None
