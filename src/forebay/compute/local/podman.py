"""The REST calls that Forebay makes of Podman (libpod 4.0.0), and nothing about what they are for.

Every call may be repeated: a connection that broke is tried once more, after the service has been found or started
again. What Podman says goes to the log; people get a sentence without paths of the host.
"""

import json
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from forebay.compute.base import ProviderUnavailable
from forebay.compute.local.service import Service
from forebay.compute.local.unix_http import NotUpgraded, UnixTransport, upgraded

logger = logging.getLogger(__name__)

CALL_SECONDS = 120
CONNECTIONS = 32
PREFIX = "/v4.0.0/libpod"


class Refused(Exception):
    """Podman answered with an error. `status` is HTTP's, `reason` its own words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    @property
    def is_gone(self) -> bool:
        """Whether there is no such thing."""
        return self.status == httpx.codes.NOT_FOUND

    @property
    def is_not_running(self) -> bool:
        """Whether the container would have to run for this."""
        return "state improper" in self.reason

    @property
    def is_port_taken(self) -> bool:
        """Whether another program listens on the port that the machine was to have."""
        return "address already in use" in self.reason

    @property
    def is_name_taken(self) -> bool:
        """Whether a container of this name exists."""
        return self.status == httpx.codes.CONFLICT or ("already in use" in self.reason and not self.is_port_taken)


class Podman:
    """One installation's view of Podman. Thread-safe."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = httpx.Client(
            transport=UnixTransport(str(service.socket), connections=CONNECTIONS, kept=8),
            base_url=f"http://podman{PREFIX}",
            timeout=httpx.Timeout(CALL_SECONDS, connect=5),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, **sent: Any) -> httpx.Response:
        """One call; `sent` is `json` or `content`. Raises Refused for an error, ProviderUnavailable for no answer."""
        for is_last in (False, True):
            self.service.ensure()
            try:
                answer = self.client.request(method, path, params=query, **sent)
                break
            except httpx.TimeoutException:
                raise ProviderUnavailable("Podman does not answer in time") from None
            except httpx.TransportError as error:
                if is_last:
                    raise ProviderUnavailable("Podman's service can't be reached") from error
        if answer.status_code < httpx.codes.BAD_REQUEST:
            return answer
        try:
            reason = str(answer.json().get("message", ""))
        except ValueError:
            reason = answer.text
        raise Refused(answer.status_code, reason)

    def containers(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """All containers, in any state, that have all of these labels (`name` or `name=value`)."""
        query = {"all": "true", "filters": json.dumps({"label": list(labels)})}
        return list(self.call("GET", "/containers/json", query=query).json() or [])

    def container(self, name: str) -> dict[str, Any] | None:
        """What Podman knows of one container, or None."""
        return self.find(f"/containers/{quote(name)}/json")

    def create(self, specification: Mapping[str, Any]) -> None:
        """Create a container; it isn't started."""
        self.call("POST", "/containers/create", json=specification)

    def start(self, name: str) -> None:
        """Start it; fine if it runs."""
        self.call("POST", f"/containers/{quote(name)}/start")

    def stop(self, name: str, seconds: int) -> None:
        """SIGTERM, then SIGKILL after so many seconds; returns when it is stopped. Fine if it is stopped or gone."""
        self.unless_gone("POST", f"/containers/{quote(name)}/stop", {"timeout": str(seconds)})

    def remove(self, name: str) -> None:
        """Kill it, and delete it with its disk and volumes. Fine if it is gone."""
        self.unless_gone("DELETE", f"/containers/{quote(name)}", {"force": "true", "v": "true", "timeout": "0"})

    def put_files(self, name: str, archive: bytes) -> None:
        """Unpack a tar archive over the root of a container, running or not."""
        self.call("PUT", f"/containers/{quote(name)}/archive", query={"path": "/"}, content=archive)

    def get_file(self, name: str, path: str, most_bytes: int) -> bytes | None:
        """A tar archive of one file of a container, resolved inside it; None if there is none, or it is too large."""
        return self.download(f"/containers/{quote(name)}/archive", {"path": path}, most_bytes)

    def logs(self, name: str, lines: int, most_bytes: int) -> bytes | None:
        """The last lines of both streams of its console, in Docker's framing; None if gone or too large."""
        query = {"stdout": "true", "stderr": "true", "tail": str(lines)}
        return self.download(f"/containers/{quote(name)}/logs", query, most_bytes)

    def create_exec(self, name: str, command: Sequence[str], variables: Mapping[str, str]) -> str:
        """Prepare a process with a terminal in a running container; the session's id."""
        body = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": list(command)}
        body["Env"] = [f"{key}={value}" for key, value in variables.items()]
        return str(self.call("POST", f"/containers/{quote(name)}/exec", json=body).json()["Id"])

    def attach_exec(self, session: str, columns: int, rows: int) -> tuple[socket.socket, bytes]:
        """Start a prepared process: the raw stream of its terminal, and what has come over it already."""
        body = json.dumps({"Detach": False, "Tty": True, "w": columns, "h": rows}).encode()
        self.service.ensure()
        try:
            return upgraded(str(self.service.socket), f"{PREFIX}/exec/{quote(session)}/start", body, CALL_SECONDS)
        except NotUpgraded as answer:
            raise Refused(answer.status, answer.text) from answer
        except OSError as error:
            raise ProviderUnavailable("Podman's service can't be reached") from error

    def exec_session(self, session: str) -> dict[str, Any] | None:
        """What Podman knows of a process that was started in a container, or None."""
        return self.find(f"/exec/{quote(session)}/json")

    def resize_exec(self, session: str, columns: int, rows: int) -> None:
        """Tell a terminal its size."""
        self.call("POST", f"/exec/{quote(session)}/resize", query={"w": str(columns), "h": str(rows)})

    def networks(self, label: str) -> list[dict[str, Any]]:
        """All networks with a label."""
        return list(self.call("GET", "/networks/json", query={"filters": json.dumps({"label": [label]})}).json() or [])

    def create_network(self, specification: Mapping[str, Any]) -> dict[str, Any]:
        """Create a network; Podman chooses its addresses. Returns what `networks` would."""
        return dict(self.call("POST", "/networks/create", json=specification).json())

    def remove_network(self, name: str) -> None:
        """Remove a network that nothing uses. Fine if it is gone."""
        self.unless_gone("DELETE", f"/networks/{quote(name)}", {})

    def has_image(self, name: str) -> bool:
        """Whether an image is in Podman's storage."""
        try:
            self.call("GET", f"/images/{quote(name, safe='')}/exists")
        except Refused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def download(self, path: str, query: Mapping[str, str], most_bytes: int) -> bytes | None:
        """GET what a machine's owner may have made as large as they like: None beyond the limit, or if it is gone."""
        content = b""
        self.service.ensure()
        try:
            with self.client.stream("GET", path, params=query) as answer:
                if answer.status_code >= httpx.codes.BAD_REQUEST:
                    return None
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > most_bytes:
                        return None
        except httpx.TransportError as error:
            raise ProviderUnavailable("Podman's service can't be reached") from error
        return content

    def find(self, path: str) -> dict[str, Any] | None:
        """GET one thing, or None if there is no such thing."""
        try:
            return dict(self.call("GET", path).json())
        except Refused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def unless_gone(self, method: str, path: str, query: Mapping[str, str]) -> None:
        """A call for which "no such thing" is success."""
        try:
            self.call(method, path, query=query)
        except Refused as refusal:
            if refusal.status != httpx.codes.NOT_FOUND:
                raise
