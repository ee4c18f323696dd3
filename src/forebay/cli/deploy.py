"""`forebay deploy`: from a wish to a machine that one can log in to, with a look at what it costs in between."""

import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.completion import offer_names
from forebay.cli.deployments import await_running, tell_how_it_is
from forebay.cli.ending import REFUSED, USAGE, end
from forebay.cli.figures import dollars
from forebay.cli.here import Here, Yes, command, visible
from forebay.cli.launch_options import CloudInit, Kind, Label, Port, Region, SshKey, System, Template, Volume
from forebay.cli.orders import Asker, cloud_init_of, file_of, key_of, labels_of, order_of, team_of, volumes_of
from forebay.cli.schedules import AutoStop, AutoStopAction, MaxCost, TerminateAt, ends_wished

if TYPE_CHECKING:
    from forebay.client import Reply
    from forebay.client.deployments import Deployment
    from forebay.client.previews import LaunchPreview

Offer = Annotated[
    str | None,
    typer.Argument(help="The offer, by its id; asked for if left out.", autocompletion=offer_names),
]
OPTIONS = {
    "template_id": "--template",
    "region": "--region",
    "operating_system": "--os",
    "instance_type": "--type",
    "ssh_key_id": "--ssh-key",
    "name": "--name",
    "terminate_at": "--terminate-at",
    "max_cost": "--max-cost",
    "auto_stop_minutes": "--auto-stop",
    "auto_stop_action": "--auto-stop-action",
}
"""Which option says what of a launch."""


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "deploy")(deploy)


def deploy(
    here: Here,
    offer: Offer = None,
    *,
    name: Annotated[str | None, typer.Option(help="What the machine is called.")] = None,
    template: Template = None,
    ssh_key: SshKey = None,
    region: Region = None,
    system: System = None,
    kind: Kind = None,
    label: Label = None,
    volume: Volume = None,
    port: Port = None,
    cloud_init: CloudInit = None,
    max_cost: MaxCost = None,
    terminate_at: TerminateAt = None,
    auto_stop: AutoStop = None,
    auto_stop_action: AutoStopAction = None,
    previews: Annotated[bool, typer.Option("--preview", help="Say what it would cost, and launch nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Don't wait until it runs.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Yours, a new one for each launch: the same key again is the same machine.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Launch a machine, and wait until SSH answers. Asks for what it needs, and shows what it costs before.

    Status 1 if it is refused, or comes to nothing.
    """
    asker = Asker(here, is_sure=yes, is_looking=previews)
    team = team_of(here, asker) if offer is None and template is None else here.team()
    place = {"kind": kind, "region": region, "system": system}
    order = order_of(here, asker, team, offer, template, place)
    if name is None and offer is None and template is None and asker.is_there and not previews:
        name = asker.line("Its name (empty: one is made up)") or None
    if ssh_key is not None or order.get("ssh_key_id") is None:
        order |= {"ssh_key_id": None, **key_of(here, asker, team, ssh_key)}
    wishes: dict[str, Any] = {
        "name": name,
        "labels": labels_of(label),
        "volume_ids": volumes_of(here, team.id, volume),
        "ports": port or None,
        "cloud_init": cloud_init_of(cloud_init),
    }
    order = dict.fromkeys(wishes) | order | {field: value for field, value in wishes.items() if value is not None}
    order |= ends_wished(max_cost, terminate_at, auto_stop, auto_stop_action)
    if previews or not yes:
        look(here, asker, order, is_all=previews)
    if not previews:
        key = key or secrets.token_hex(8)
        files = {"--ssh-key": ssh_key or file_of(order.get("ssh_public_key")), "--cloud-init": cloud_init}
        with how_to_go_on(again(order, key, files)):
            launch(here, order, key, detach=detach)


def look(here: Here, asker: Asker, order: Mapping[str, Any], *, is_all: bool) -> None:
    """Show what the launch would come to, and ask whether it is wanted; `is_all`: it is only looked at.

    Ends the program with status 1 where it would be refused.
    """
    from forebay.client import deployments, previews

    reply = here.exchange(previews.preview(deployments.launch(**order)))
    found = reply.answer
    if is_all:
        if not here.print_json(reply):
            tell_preview(here, found, order)
        if not found.can_launch:
            raise typer.Exit(REFUSED)
        return
    if asker.is_there or not found.can_launch:
        with here.aside():
            tell_preview(here, found, order)
    if not found.can_launch:
        end("Nothing was launched.", REFUSED)
    if asker.is_there:
        asker.confirm("Launch it?")
    else:
        end("Credits are spent by this: say --yes, as there is nobody to ask.", USAGE)


def tell_preview(here: Here, found: "LaunchPreview", order: Mapping[str, Any]) -> None:
    """Print what a launch would come to."""
    facts: dict[str, str | None] = {"Offer": f"{order['offer_id']} in {order['region']}, {order['operating_system']}"}
    if found.offer_id is not None:
        before = f" instead of {dollars(found.original_cost.per_hour)}" if found.has_discount else ""
        cost = found.cost
        facts |= {
            "Costs": f"{dollars(cost.per_hour)}{before} an hour, {dollars(round(cost.per_day, 2))} a day, "
            f"{dollars(round(cost.per_month, 2))} a month",
            "Held": f"{dollars(found.hold)} of {dollars(found.available)}, leaving {dollars(found.available_after)}",
            "Lasts": found.runway,
            "Volumes": f"{dollars(found.volumes_cost.per_hour)} an hour, as before" if order["volume_ids"] else None,
            "In stock": str(found.in_stock),
        }
    if found.ends_at is not None:
        facts["Ends"] = found.ends_at
    for name, value in facts.items():
        if value is not None:
            print(f"{name:<11}{visible(value)}")
    for warning in found.warnings:
        print(visible(f"Note: {warning.message}"))
    for refusal in found.refusals:
        reasons = [f"{field}: {why}." for field, why in refusal.details.items() if isinstance(why, str)]
        who = f" Who can change that: {', '.join(refusal.who_can)}." if refusal.who_can else ""
        print(visible(" ".join([f"No: {refusal.error}", *reasons]) + who))


def launch(here: Here, order: Mapping[str, Any], key: str, *, detach: bool) -> None:
    """Launch, wait unless that isn't wanted, and tell how to get in. Status 1 where it came to nothing."""
    from forebay.client import deployments

    reply: Reply[Deployment] = here.exchange(deployments.launch(**order, retry_key=key))
    if not detach:
        reply = await_running(here, reply.answer.id)
    tell_how_it_is(here, reply)


def again(order: Mapping[str, Any], key: str, files: Mapping[str, object]) -> list[str]:
    """The command that asks for the same launch; `files` are what was read, by their options."""
    words = ["deploy", order["offer_id"], "--team", order["team_id"], "--key", key, "--yes"]
    for name, option in OPTIONS.items():
        if order.get(name) is not None:
            words += [option, str(order[name])]
    for label, value in (order["labels"] or {}).items():
        words += ["--label", f"{label}={value}"]
    for volume_id in order["volume_ids"] or ():
        words += ["--volume", volume_id]
    for number in order["ports"] or ():
        words += ["--port", str(number)]
    for option, file in files.items():
        if file is not None and option not in words:
            words += [option, str(file)]
    return words


@contextmanager
def how_to_go_on(command: list[str]) -> Iterator[None]:
    """Whatever cuts it off: say how the same launch is asked for again, and no second machine."""
    from forebay.client import Refusal, ServerFailed

    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not isinstance(error, Refusal) or isinstance(error, ServerFailed):
            line = shlex.join(["forebay", *command])
            print(f"To go on with the same machine, and launch one: {visible(line)}", file=sys.stderr)
        raise
