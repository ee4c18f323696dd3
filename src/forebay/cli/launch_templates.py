"""`forebay templates`: launches that a team has saved, to launch them again with `forebay deploy --template`."""

from typing import Annotated, Any

import typer

from forebay.cli.completion import offer_names, template_names
from forebay.cli.figures import dollars
from forebay.cli.here import Here, Json, Server, Team, Yes, command, noun, refuse_usage, visible, when
from forebay.cli.launch_options import CloudInit, Kind, Label, Port, Region, SshKey, System, Volume
from forebay.cli.logs import machine
from forebay.cli.orders import cloud_init_of, labels_of, named_key, template_of, volumes_of
from forebay.cli.schedules import NOTHING, AutoStop, AutoStopAction, MaxCost, ends_wished, stretch

app = noun("templates", "Templates of a team: list, show, save, rename, delete.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

Which = Annotated[str, typer.Argument(help="The template, by name or id.", autocompletion=template_names)]


@app.callback()
def bare(context: typer.Context, server: Server = None, team: Team = None, as_json: Json = False) -> None:
    """Templates of a team: list (also bare), show, save, rename, delete."""
    if context.invoked_subcommand is None:
        with Here(server, team, as_json) as here:
            list_all(here)
    elif server is not None or team is not None or as_json:
        refuse_usage(f"Options come after the command: forebay templates {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here) -> None:
    """List the team's templates, with what each costs now."""
    from forebay.client import launch_templates

    reply = here.exchange(launch_templates.listed(here.team().id))
    here.table(
        reply,
        ["Name", "Offer", "$/hour", "In stock", "Last used", "Id"],
        [
            [one.name, one.offer_id, cost(one), str(one.in_stock), when(one.last_used_at) or "never", one.id]
            for one in reply.answer.templates
        ],
    )


def cost(one: Any) -> str:
    """What an hour costs, if it can still be said."""
    return "offer gone" if one.hourly_rate is None else dollars(one.hourly_rate)


@command(app, "show")
def show(here: Here, template: Which) -> None:
    """Show what a template launches, and what of it is gone."""
    from forebay.client import launch_templates

    team_id = here.team().id
    reply = here.exchange(launch_templates.show(team_id, template_of(here, team_id, template).id))
    one = reply.answer
    ends = [
        f"after {one.terminate_after_minutes} minutes" if one.terminate_after_minutes else "",
        "" if one.max_cost is None else f"at {dollars(one.max_cost)}",
        f"{one.auto_stop_action or 'stop'} after {one.auto_stop_minutes} idle minutes" if one.auto_stop_minutes else "",
    ]
    here.facts(
        reply,
        {
            "Name": one.name,
            "Offer": f"{one.offer_id}, {one.instance_type}",
            "Region": one.region,
            "System": one.operating_system,
            "An hour": cost(one),
            "In stock": str(one.in_stock),
            "Machine": one.deployment_name,
            "SSH key": one.ssh_key_id,
            "Labels": ", ".join(f"{key}={value}" for key, value in one.labels.items()),
            "Volumes": ", ".join(one.volume_ids),
            "Ports": ", ".join(map(str, one.ports)),
            "Ends": ", ".join(filter(None, ends)),
            "cloud-init": "yes" if one.has_cloud_init else "no",
            "Last used": when(one.last_used_at) or "never",
            "Id": one.id,
        },
    )
    if not here.as_json:
        for problem in one.problems:
            print(visible(f"Note: {problem.message}"))


@command(app, "save")
def save(
    here: Here,
    name: Annotated[str, typer.Argument(help="What the template is called.")],
    offer: Annotated[str | None, typer.Argument(help="The offer, by its id.", autocompletion=offer_names)] = None,
    *,
    like: Annotated[
        str | None, typer.Option("--from", help="A machine of the team, also one that has ended: as it was launched.")
    ] = None,
    machine_name: Annotated[
        str | None, typer.Option("--name", help="What its machines are called; {n} is the next number, {date} the day.")
    ] = None,
    ssh_key: SshKey = None,
    region: Region = None,
    system: System = None,
    kind: Kind = None,
    label: Label = None,
    volume: Volume = None,
    port: Port = None,
    cloud_init: CloudInit = None,
    max_cost: MaxCost = None,
    terminate_after: Annotated[
        str | None, typer.Option(help="Terminate it so long after its launch: 90m, 8h, 2d.")
    ] = None,
    auto_stop: AutoStop = None,
    auto_stop_action: AutoStopAction = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change the template that has this name already.")] = False,
) -> None:
    """Save a launch for the team: of an offer, or as a machine was launched. With --replace, change what is said."""
    from forebay.client import launch_templates

    team_id = here.team().id
    wishes: dict[str, Any] = {
        "offer_id": offer,
        "deployment_name": machine_name,
        "ssh_key_id": key_id(here, team_id, ssh_key),
        "region": region,
        "operating_system": system,
        "instance_type": kind,
        "labels": labels_of(label),
        "volume_ids": volumes_of(here, team_id, volume),
        "ports": port or None,
        "cloud_init": cloud_init_of(cloud_init),
        "terminate_after_minutes": None if terminate_after is None else minutes(terminate_after),
    }
    wishes = {field: value for field, value in wishes.items() if value is not None}
    wishes |= ends_wished(max_cost, None, auto_stop, auto_stop_action)
    if terminate_after == NOTHING:
        wishes["terminate_after_minutes"] = None
    if replace:
        if like is not None:
            refuse_usage(
                "A template is replaced by what is said of it, not by a machine: save that under another name."
            )
        found = template_of(here, team_id, name)
        reply = here.exchange(launch_templates.change(team_id, found.id, **wishes))
    else:
        if (offer is None) == (like is None):
            refuse_usage("Say which offer, or --from which machine.")
        if like is not None:
            wishes["deployment_id"] = machine(here, like).id
        reply = here.exchange(launch_templates.save(team_id, name, **wishes))
    here.say(reply, f"{reply.answer.name} is saved. Launch from it with: forebay deploy --template {reply.answer.id}")


def key_id(here: Here, team_id: str, wanted: str | None) -> str | None:
    """The team's key that is meant. Ends the program for one that is not the team's."""
    from forebay.client import ssh_keys

    if wanted is None:
        return None
    listed = here.ask(ssh_keys.listed(team_id=team_id))
    found = named_key(listed, wanted)
    if "ssh_key_id" not in found:
        refuse_usage("A template holds keys of the team: add this one first, with forebay ssh-keys add.")
    return found["ssh_key_id"]


def minutes(text: str) -> int | None:
    """So long after the launch; None for none. Ends the program for what is no time."""
    if text == NOTHING:
        return None
    found = stretch(text)
    if found is None:
        refuse_usage(f"{visible(text)!r} is no time: say 90m, 8h or 2d.")
    return found


@command(app, "rename")
def rename(
    here: Here, template: Which, name: Annotated[str, typer.Argument(help="What it is called from now on.")]
) -> None:
    """Rename a template."""
    from forebay.client import launch_templates

    team_id = here.team().id
    found = template_of(here, team_id, template)
    reply = here.exchange(launch_templates.change(team_id, found.id, name=name))
    here.say(reply, f"{found.name} is {reply.answer.name} from now on.")


@command(app, "delete")
def delete(here: Here, template: Which, yes: Yes = False) -> None:
    """Delete a template. Machines that were launched from it run on."""
    from forebay.client import launch_templates

    team_id = here.team().id
    found = template_of(here, team_id, template)
    here.confirm(f"Delete the template {found.name}?", yes)
    here.say(here.exchange(launch_templates.delete(team_id, found.id)), f"{found.name} is deleted.")
