"""Where the command line keeps what it signs in with: one file, readable by its owner alone, a credential a server.

$XDG_CONFIG_HOME/forebay/credentials.json    (~/.config/forebay/credentials.json)
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where they are."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "forebay" / "credentials.json"


def read() -> dict[str, Any]:
    """All of them: `default` is the server used last, `servers` has a token for each. What can't be read is empty."""
    try:
        found = json.loads(file().read_text())
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict) or not isinstance(found.get("servers"), dict):
        return {"default": None, "servers": {}}
    return found


def token(server: str) -> str | None:
    """What opens this server."""
    kept = read()["servers"].get(server)
    found = kept.get("token") if isinstance(kept, dict) else None
    return found if isinstance(found, str) else None


def keep(server: str, token: str, *, email: str, expires_at: str | None) -> None:
    """Keep a credential; its server is the default from now on."""
    kept = read()
    kept["servers"][server] = {"token": token, "email": email, "expiresAt": expires_at}
    write({**kept, "default": server})


def forget(server: str) -> bool:
    """Forget the server's; whether there was one."""
    kept = read()
    was_known = kept["servers"].pop(server, None) is not None
    if was_known:
        write(kept)
    return was_known


def write(kept: dict[str, Any]) -> None:
    """Put the file in the place of the old one, at once and never readable by others."""
    path = file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".credentials-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as written:
            json.dump(kept, written, indent=2)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
