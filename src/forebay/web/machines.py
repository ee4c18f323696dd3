"""How pages show machines: one row of `overview` as a value, with the words and colours of its state."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec

from forebay.domain.machines import overview
from forebay.domain.machines.deployments import ACTIVE, Status
from forebay.domain.machines.shell_words import ssh_command

TONES = {
    Status.deploying: "calm",
    Status.running: "good",
    Status.stopped: "warn",
    Status.failed: "bad",
    Status.terminated: "idle",
    Status.terminated_provider: "bad",
}
WORDS = {Status.terminated_provider: "reclaimed"}
FIELDS = [
    *overview.OWN,
    "volume_ids",
    "charged_micros",
    "charged_through",
    "open_rate_micros",
    "open_started_at",
    "open_charged_micros",
]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in a list or on its page. Times are seconds since 1970."""

    id: str
    name: str
    status: Status
    created_by: str
    provider: str
    offer_id: str
    instance_type: str
    region: str
    operating_system: str
    gpu_type: str
    gpu_model: str
    gpu_count: int
    vcpus: int
    memory_gb: int
    storage_gb: int
    rate_micros: int
    ssh_key_name: str
    ssh_key_fingerprint: str
    labels: dict[str, str]
    port_forwards: list[dict[str, int]]
    """Of the ports that were opened: `internal`, and `external` where it is reached."""
    ip_address: str | None
    ssh_command: str
    """Empty until SSH answers."""
    error: str
    created_at: int
    started_at: int | None
    stopped_at: int | None
    terminate_at: int | None
    max_cost_micros: int | None
    auto_stop_minutes: int | None
    auto_stop_action: str | None
    accrued_micros: int
    """What it has cost to this second."""

    @property
    def word(self) -> str:
        """Its state in a word."""
        return WORDS.get(self.status, str(self.status))

    @property
    def tone(self) -> str:
        """The colour of its state."""
        return TONES[self.status]

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ACTIVE

    @property
    def hardware(self) -> str:
        """What it is made of, in a line."""
        if not self.gpu_count:
            return f"{self.vcpus} vCPU, {self.memory_gb} GB"
        return f"{self.gpu_count} × {self.gpu_model}"


OTHERS = (
    "status",
    "labels",
    "port_forwards",
    "error",
    "ssh_user",
    "ip_address",
    "ssh_port",
    "charged_micros",
    "open_rate_micros",
    "open_started_at",
    "open_charged_micros",
)
PLAIN = tuple(name for name in Machine.__struct_fields__ if name in FIELDS and name not in OTHERS[:4])
"""What is shown as the row has it."""
plain, others = (itemgetter(*map(FIELDS.index, names)) for names in (PLAIN, OTHERS))
LABELS, FORWARDS = msgspec.json.Decoder(dict[str, str]), msgspec.json.Decoder(list[dict[str, int]])


def machine(row: Sequence[Any], now: int) -> Machine:
    """A row of `overview` as it is at this second."""
    own = dict(zip(PLAIN, plain(row), strict=True))
    status, labels, forwards, error, user, host, port, *costs = others(row)
    charged_micros, rate_micros, began_at, paid_micros = costs
    return Machine(
        **own,
        status=Status(status),
        labels=LABELS.decode(labels) if labels else {},
        port_forwards=FORWARDS.decode(forwards) if forwards else [],
        ssh_command=ssh_command(user, host, port) if host else "",
        error=error or "",
        accrued_micros=overview.accrued_micros(int(charged_micros or 0), rate_micros, began_at, paid_micros, now),
    )
