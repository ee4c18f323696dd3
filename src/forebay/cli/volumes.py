"""`forebay volumes`: what a team stores beyond the life of its machines."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.completion import deployment_names, volume_names
from forebay.cli.ending import NO_ANSWER, REFUSED, end
from forebay.cli.figures import dollars
from forebay.cli.here import Here, Json, Server, Team, Yes, command, every_page, noun, pick, refuse_usage, when
from forebay.cli.progress import until

if TYPE_CHECKING:
    from forebay.client import Reply
    from forebay.client.deployments import Deployment
    from forebay.client.volumes import Volume

app = noun("volumes", "Volumes of a team: list, create, grow, rename, attach, detach, delete, regions.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

PATIENCE_SECONDS = 60.0
SETTLED = ("available", "attached", "failed", "deleted")
UNITS = ("B", "KB", "MB", "GB", "TB")

Name = Annotated[str, typer.Argument(help="The volume, by name or id.", autocompletion=volume_names)]
MachineName = Annotated[str, typer.Argument(help="The machine, by name or id.", autocompletion=deployment_names)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Don't wait until it is so.")]
Size = Annotated[int, typer.Argument(help="In GB.", min=1)]


@app.callback()
def bare(context: typer.Context, server: Server = None, team: Team = None, as_json: Json = False) -> None:
    """Volumes of a team: list (also bare), create, grow, rename, attach, detach, delete, regions."""
    if context.invoked_subcommand is None:
        with Here(server, team, as_json) as here:
            list_all(here)
    elif server is not None or team is not None or as_json:
        refuse_usage(f"Options come after the command: forebay volumes {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here) -> None:
    """List a team's volumes."""
    from forebay.client import volumes

    team = here.team()
    reply = here.exchange(volumes.listed(team_id=team.id, limit=100))
    found = reply.answer.volumes if here.as_json else every_page(here, volumes.listed, "volumes", team_id=team.id)
    names = {} if here.as_json else machine_names(here, team.id)
    here.table(
        reply,
        ["Name", "Status", "Size", "Used", "$/hour", "Region", "On", "Created", "Id"],
        [
            [
                each.name,
                each.status,
                f"{each.size_in_gb} GB",
                amount(each.used_capacity_bytes),
                dollars(each.hourly_rate),
                f"{each.provider_id}/{each.region}",
                ", ".join(names.get(on.deployment_id, on.deployment_id) for on in each.attachments),
                when(each.created_at),
                each.id,
            ]
            for each in found
        ],
    )


def machine_names(here: Here, team_id: str) -> dict[str, str]:
    """What the team's machines are called, by their ids."""
    from forebay.client import deployments

    return {each.id: each.name for each in here.ask(deployments.listed(team_id=team_id, status="active"))}


def amount(size_bytes: int) -> str:
    """So many bytes as people read them."""
    size = float(size_bytes)
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"


@command(app, "create")
def create(
    here: Here,
    name: Annotated[str, typer.Argument(help="Its folder on machines: /mnt/NAME.")],
    size: Size,
    *,
    provider: Annotated[str | None, typer.Option(help="Who keeps it; else the first that keeps volumes.")] = None,
    region: Annotated[str | None, typer.Option(help="Where; else the provider's first region.")] = None,
    attach_to: Annotated[
        str | None, typer.Option("--attach", help="A machine to attach it to.", autocompletion=deployment_names)
    ] = None,
    no_wait: NoWait = False,
) -> None:
    """Make a volume. It is paid for by the second until it is deleted."""
    from forebay.client import volumes

    team = here.team()
    machine = None if attach_to is None else machine_of(here, attach_to)
    if provider is None:
        places = here.ask(volumes.regions()).regions
        if not places:
            end("No provider here keeps volumes.", REFUSED)
        provider = places[0].provider
    reply = here.exchange(
        volumes.create(
            name,
            size,
            provider=provider,
            region=region,
            deployment_id=None if machine is None else machine.id,
            team_id=team.id,
        )
    )
    if not no_wait:
        reply = wait(here, reply, "is being made", lambda now: now.status in SETTLED and not has(now, "attaching"))
    made = reply.answer
    place = f", at {made.attachments[0].path} of {machine.name}" if machine is not None and made.attachments else ""
    here.say(reply, f"{made.name} is {made.status}{place}: {made.size_in_gb} GB, {dollars(made.hourly_rate)} an hour.")
    refuse(made)


@command(app, "grow")
def grow(here: Here, volume: Name, size: Size) -> None:
    """Let a volume grow to so many GB, also while machines use it. It never shrinks."""
    from forebay.client import volumes

    found = volume_of(here, volume)
    reply = here.exchange(volumes.change(found.id, size_in_gb=size))
    here.say(reply, f"{found.name} grows to {size} GB: {dollars(reply.answer.hourly_rate)} an hour.")


@command(app, "rename")
def rename(here: Here, volume: Name, name: Annotated[str, typer.Argument(help="The new one.")]) -> None:
    """Give a volume another name. It counts on machines when it is attached again."""
    from forebay.client import volumes

    found = volume_of(here, volume)
    reply = here.exchange(volumes.change(found.id, name=name))
    here.say(reply, f"{found.name} is {reply.answer.name} now.")


@command(app, "attach")
def attach(here: Here, volume: Name, machine: MachineName, *, no_wait: NoWait = False) -> None:
    """Have a volume on a machine, running or stopped, at /mnt/NAME."""
    from forebay.client import volumes

    found, on = volume_of(here, volume), machine_of(here, machine)
    reply = here.exchange(volumes.attach(found.id, on.id))
    if not no_wait:
        reply = wait(here, reply, "is being attached", lambda now: not has(now, "attaching", on.id))
    there = next((each for each in reply.answer.attachments if each.deployment_id == on.id), None)
    if there is None:
        here.say(reply, reply.answer.error or f"{found.name} is not attached to {on.name}.")
        raise typer.Exit(REFUSED)
    here.say(reply, f"{found.name} is {there.status} to {on.name}: {there.path}")


@command(app, "detach")
def detach(here: Here, volume: Name, machine: MachineName, *, no_wait: NoWait = False) -> None:
    """Take a volume off a machine; what is stored on it stays. Status 1 if something there still uses it."""
    from forebay.client import volumes

    found, on = volume_of(here, volume), machine_of(here, machine)
    reply = here.exchange(volumes.detach(found.id, on.id))
    if no_wait:
        here.say(reply, f"{found.name} is being detached from {on.name}.")
        return
    reply = wait(here, reply, "is being detached", lambda now: not has(now, "detaching", on.id))
    if any(each.deployment_id == on.id for each in reply.answer.attachments):
        here.say(reply, reply.answer.error or f"{found.name} is still attached to {on.name}.")
        raise typer.Exit(REFUSED)
    here.say(reply, f"{found.name} is off {on.name}.")


@command(app, "delete")
def delete(here: Here, volume: Name, *, yes: Yes = False) -> None:
    """Delete a volume with all that is on it. It must be detached."""
    from forebay.client import volumes

    found = volume_of(here, volume)
    stored = amount(found.used_capacity_bytes)
    here.confirm(f"Delete {found.name} with {stored} that are stored on it? Nobody can bring them back.", yes)
    here.say(here.exchange(volumes.delete(found.id)), f"{found.name} is deleted and costs nothing any more.")


@command(app, "regions")
def regions(here: Here, *, provider: Annotated[str | None, typer.Option(help="Of this provider.")] = None) -> None:
    """List where volumes can be kept, at what price."""
    from forebay.client import volumes

    reply = here.exchange(volumes.regions(provider=provider))
    here.table(
        reply,
        ["Provider", "Region", "From", "To", "$/GB/month", "Grows", "Shared"],
        [
            [
                each.provider,
                each.id,
                f"{each.min_size_gb} GB",
                f"{each.max_size_gb} GB",
                dollars(each.hourly_rate_per_gb * 730),
                "yes" if each.can_grow else "no",
                "yes" if each.can_share else "no",
            ]
            for each in reply.answer.regions
        ],
    )


def wait(here: Here, reply: "Reply[Volume]", what: str, is_done: Any) -> "Reply[Volume]":
    """Ask until it is so. Ends the program where that takes too long."""
    from forebay.client import volumes

    name = reply.answer.name
    found = until(here, volumes.show(reply.answer.id), is_done, lambda _: f"{name} {what} …", seconds=PATIENCE_SECONDS)
    if not is_done(found.answer):
        end(f"{name} {what} still: see forebay volumes", NO_ANSWER)
    return found


def has(volume: "Volume", status: str, deployment_id: str | None = None) -> bool:
    """Whether it is on its way to a machine, or off it."""
    return any(each.status == status and deployment_id in (None, each.deployment_id) for each in volume.attachments)


def refuse(volume: "Volume") -> None:
    """End the program for one that could not be made."""
    if volume.status == "failed":
        end(volume.error or f"{volume.name} could not be made.", REFUSED)


def volume_of(here: Here, wanted: str) -> "Volume":
    """The team's volume of this name or id."""
    from forebay.client import volumes

    found: Volume = pick(
        "volume", wanted, every_page(here, volumes.listed, "volumes", team_id=here.team().id), lambda one: [one.name]
    )
    return found


def machine_of(here: Here, wanted: str) -> "Deployment":
    """The team's machine of this name or id."""
    from forebay.client import deployments

    listed = here.ask(deployments.listed(team_id=here.team().id, status="active"))
    found: Deployment = pick("machine", wanted, listed, lambda one: [one.name])
    return found
