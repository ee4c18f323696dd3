"""The launch that a form describes, as a program would ask for it: to copy, and to automate what was tried by hand."""

import json
from typing import Any

from forebay.domain.machines.offers import SPOT
from forebay.domain.machines.orders import Order
from forebay.domain.machines.shell_words import is_plain, quoted
from forebay.domain.money.amounts import in_words, to_dollars
from forebay.web.cloud_init import written


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
    body = spelled(json.dumps(body_of(order, team_id), indent=2, ensure_ascii=False))
    return "\n".join(
        [
            f"curl {quoted(f'{public_url}/api/deployments')} \\",
            '  -H "Authorization: Bearer $FOREBAY_API_KEY" \\',
            "  -H 'Content-Type: application/json' \\",
            '  -H "Idempotency-Key: $(uuidgen)" \\',
            f"  -d {quoted(body)}",
        ]
    )


def spelled(document: str) -> str:
    """JSON, in which what can't be seen is spelled out."""
    return "".join(letter if is_plain(letter) else json.dumps(letter)[1:-1] for letter in document)


def command(order: Order, team_id: str, public_url: str) -> str:
    """For the command line that comes with Forebay; files that it reads are written first."""
    lines, terms = [], order.terms
    words = ["forebay", "deploy", order.offer_id, "--server", public_url, "--team", team_id]
    words += ["--region", order.region, "--os", order.operating_system]
    if order.instance_type == SPOT:
        words += ["--type", SPOT]
    if order.name:
        words += ["--name", order.name]
    if order.ssh_key_id:
        words += ["--ssh-key", order.ssh_key_id]
    elif order.ssh_public_key:
        lines.append(f"printf '%s\\n' {quoted(order.ssh_public_key)} > machine.pub")
        words += ["--ssh-key", "machine.pub"]
    for name, value in order.labels.items():
        words += ["--label", f"{name}={value}"]
    for volume_id in order.volume_ids:
        words += ["--volume", volume_id]
    for port in order.ports:
        words += ["--port", str(port)]
    if order.cloud_init is not None:
        lines.append(f"printf '%s' {quoted(written(order.cloud_init))} > cloud-init.yaml")
        words += ["--cloud-init", "cloud-init.yaml"]
    if terms.terminate_at is not None:
        words += ["--terminate-at", f"{terms.terminate_at:%Y-%m-%dT%H:%M:%SZ}"]
    if terms.max_cost_micros is not None:
        words += ["--max-cost", in_words(terms.max_cost_micros)]
    if terms.auto_stop_minutes is not None:
        words += ["--auto-stop", str(terms.auto_stop_minutes)]
    if terms.auto_stop_minutes is not None and terms.auto_stop_action is not None:
        words += ["--auto-stop-action", terms.auto_stop_action]
    return "\n".join([*lines, " ".join(map(quoted, words))])


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
