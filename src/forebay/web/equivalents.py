"""The launch that a form describes, as a program would ask for it: to copy, and to automate what was tried by hand."""

import json
import shlex
from typing import Any

from forebay.domain.machines.orders import Order
from forebay.domain.money.amounts import to_dollars


def body_of(order: Order, team_id: str) -> dict[str, Any]:
    """The body of `POST /api/deployments`."""
    terms = order.terms
    asked: dict[str, Any] = {
        "teamId": team_id,
        "provider": order.provider,
        "offerId": order.offer_id,
        "gpuType": order.gpu_type,
        "gpuCount": order.gpu_count,
        "region": order.region,
        "operatingSystem": order.operating_system,
        "instanceType": order.instance_type,
        "name": order.name,
        "sshKeyId": order.ssh_key_id,
        "ssh_public_key": order.ssh_public_key,
        "labels": dict(order.labels) or None,
        "volumeIds": list(order.volume_ids) or None,
        "ports": list(order.ports) or None,
        "terminateAt": None if terms.terminate_at is None else f"{terms.terminate_at:%Y-%m-%dT%H:%M:%SZ}",
        "maxCost": None if terms.max_cost_micros is None else to_dollars(terms.max_cost_micros),
        "autoStopMinutes": terms.auto_stop_minutes,
        "autoStopAction": terms.auto_stop_action,
    }
    if order.cloud_init is not None:
        names = {"packages": "packages", "write_files": "writeFiles", "runcmd": "runcmd"}
        asked["cloudInit"] = {names[name]: value for name, value in order.cloud_init.items() if value}
    return {name: value for name, value in asked.items() if value is not None}


def curl(order: Order, team_id: str, public_url: str) -> str:
    """For a shell; the key is in `$FOREBAY_API_KEY`."""
    body = json.dumps(body_of(order, team_id), indent=2, ensure_ascii=False)
    return "\n".join(
        [
            f"curl {shlex.quote(f'{public_url}/api/deployments')} \\",
            '  -H "Authorization: Bearer $FOREBAY_API_KEY" \\',
            "  -H 'Content-Type: application/json' \\",
            '  -H "Idempotency-Key: $(uuidgen)" \\',
            f"  -d {shlex.quote(body)}",
        ]
    )


def python(order: Order, team_id: str, public_url: str) -> str:
    """For Python, with the client that comes with Forebay."""
    fields = body_of(order, team_id)
    launch = {NAMES.get(name, name): value for name, value in fields.items() if name != "cloudInit"}
    lines = [f"        {name}={value!r}," for name, value in launch.items()]
    if "cloudInit" in fields:
        lines.append(f"        cloud_init={fields['cloudInit']!r},")
    return "\n".join(
        [
            "import os",
            "",
            "from forebay.client import Client, deployments",
            "",
            f"with Client({public_url!r}, token=os.environ['FOREBAY_API_KEY']) as cloud:",
            "    launch = deployments.launch(",
            *lines,
            "    )",
            "    print(cloud.ask(launch).id)",
        ]
    )


NAMES = {
    "teamId": "team_id",
    "offerId": "offer_id",
    "gpuType": "gpu_type",
    "gpuCount": "gpu_count",
    "operatingSystem": "operating_system",
    "instanceType": "instance_type",
    "sshKeyId": "ssh_key_id",
    "volumeIds": "volume_ids",
    "terminateAt": "terminate_at",
    "maxCost": "max_cost",
    "autoStopMinutes": "auto_stop_minutes",
    "autoStopAction": "auto_stop_action",
}
