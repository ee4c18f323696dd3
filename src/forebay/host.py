"""The machine that a process runs on: its name, the data folder and the key in it, the address it listens at."""

import ipaddress
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from forebay.settings import InvalidSetting, Settings


def this_host() -> str:
    """What tells this machine from others, and lets a person know it: its name and the id of its installation."""
    path = Path("/etc/machine-id")
    return f"{socket.gethostname()} {path.read_text().strip() if path.exists() else ''}".strip()


def make_private_folder(folder: Path) -> None:
    """The data folder, for its owner alone."""
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)


def read_secret_key(settings: Settings) -> bytes:
    """The key under which credentials are hashed: the setting, or a file in the data folder that is made once."""
    if settings.secret_key:
        return settings.secret_key.encode()
    path = settings.data_dir / "secret.key"
    if not path.exists():
        partial = path.with_name(f"secret.key.{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_hex(32) + "\n")
        with suppress(FileExistsError):
            os.link(partial, path)
        partial.unlink()
    return path.read_text().strip().encode()


def public_url(settings: Settings, port: int) -> str:
    """The address that links are made from: the setting, or where the server listens."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = settings.host
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "[::1]"
        elif address.version == 6:
            host = f"[{host}]"
    return f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything else is done, so that an address in use is found at once.

    Raises InvalidSetting if it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said in full, as the event loop asks for it before it turns off waiting for more to send (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(2048)
    except OSError as reason:
        listener.close()
        raise InvalidSetting(f"can't listen on {host} port {port}: {reason.strerror or reason}") from None
    return listener
