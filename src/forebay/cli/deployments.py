"""`forebay deployments`: a team's machines, what they cost, what happens to them, and when they end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.ending import REFUSED, end
from forebay.cli.figures import dollars
from forebay.cli.here import Here, Json, Server, Team, Yes, command, every_page, noun, pick, refuse_usage, visible, when
from forebay.cli.progress import until
from forebay.cli.schedules import AutoStop, AutoStopAction, MaxCost, TerminateAt, ends_of, ends_wished
from forebay.cli.ssh import Machine

if TYPE_CHECKING:
    from forebay.client import Reply
    from forebay.client.deployments import Deployment, Event

app = noun("deployments", "Machines: list, show, watch, stop, start, terminate, rename, label, and plan their end.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

STATUSES = ("active", "inactive", "deploying", "running", "stopped", "failed", "terminated", "terminated-provider")
Status = Annotated[str | None, typer.Option(help=f"Which: {', '.join(STATUSES)}.")]


@app.callback()
def bare(context: typer.Context, server: Server = None, team: Team = None, as_json: Json = False) -> None:
    """Machines: list, show, watch, stop, start, terminate, rename, label, plan their end. Without a command: list."""
    if context.invoked_subcommand is None:
        with Here(server, team, as_json) as here:
            list_all(here)
    elif server is not None or team is not None or as_json:
        refuse_usage(f"Options come after the command: forebay deployments {context.invoked_subcommand} …")


@command(app, "list")
def list_all(
    here: Here,
    *,
    status: Status = "active",
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Those that I launched.")] = False,
) -> None:
    """List a team's machines: those that are there, unless another status is asked for."""
    from forebay.client import deployments, me

    user_id = here.ask(me.show()).id if mine else None
    wanted = None if everything else status
    reply = here.exchange(deployments.listed(team_id=here.team().id, status=wanted, user_id=user_id))
    here.table(
        reply,
        ["Name", "State", "Offer", "Region", "An hour", "So far", "Ends", "SSH", "Id"],
        [
            [
                one.name,
                one.status,
                one.offer_id,
                one.region,
                dollars(one.hourly_rate),
                dollars(round(one.accrued_cost, 2)),
                "; ".join(ends_of(one)) or None,
                one.ssh_command,
                one.id,
            ]
            for one in reply.answer
        ],
    )


@command(app, "show")
def show(here: Here, machine: Machine) -> None:
    """Show one machine, and what has happened to it."""
    from forebay.client import deployments

    found = machine_of(here, machine)
    reply = here.exchange(deployments.show(found.id))
    if here.print_json(reply):
        return
    here.facts(reply, facts_of(reply.answer))
    events = here.ask(deployments.events(found.id, limit=100))
    print()
    here.rows(["When", "What", ""], [[when(one.at), one.kind, first_line(one.message)] for one in events.events[::-1]])


def facts_of(one: "Deployment") -> dict[str, str | None]:
    """All there is to know of it."""
    gpus = f"{one.gpu_count} × {one.gpu_model_id}, " if one.gpu_count else ""
    paid = dollars(one.hourly_rate) + (f" instead of {dollars(one.original_hourly_rate)}" if one.has_discount else "")
    return {
        "Name": one.name,
        "Id": one.id,
        "State": f"{one.status}{f': {one.error}' if one.error else ''}",
        "Offer": f"{one.offer_id} ({one.instance_type}) in {one.region}",
        "Has": f"{gpus}{one.vcpus} vCPUs, {one.memory} GB of memory, {one.storage} GB of disk",
        "System": one.operating_system,
        "SSH": one.ssh_command,
        "Ports": ", ".join(f"{port.internal} at {port.external}" for port in one.port_forwards) or None,
        "Key": f"{one.ssh_key_name} {one.ssh_key_fingerprint}",
        "Labels": ", ".join(f"{key}={value}" for key, value in sorted(one.labels.items())) or None,
        "Costs": f"{paid} an hour",
        "So far": f"{dollars(one.accrued_cost)}, of which {dollars(one.total_cost)} is charged",
        "Ends": "; ".join(ends_of(one)) or "when somebody ends it",
        "Launched": when(one.created_at),
        "Started": when(one.started_at),
        "Stopped": when(one.stopped_at),
    }


def first_line(text: str) -> str:
    """What of a long message a table has room for."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 160 else f"{line[:159]}…"


@command(app, "watch")
def watch(
    here: Here,
    machine: Machine,
    *,
    until_status: Annotated[str | None, typer.Option("--until", help="End when it is so: running, say.")] = None,
) -> None:
    """Print what happens to a machine as it happens, until it has ended. With --json an event a line."""
    from forebay.client import deployments

    if until_status is not None and until_status not in STATUSES[2:]:
        refuse_usage(f"--until takes one of {', '.join(STATUSES[2:])}.")
    found = machine_of(here, machine)
    told: set[str] = set()
    while True:
        now = here.ask(deployments.show(found.id))
        news = [one for one in every_page(here, deployments.events, "events", found.id)[::-1] if one.id not in told]
        for event in news:
            told.add(event.id)
            tell(here, event)
        if now.status == until_status:
            return
        if now.status not in ("deploying", "running", "stopped"):
            if until_status is not None:
                end(f"{visible(now.name)} is {now.status}.", REFUSED)
            return
        here.pause(1.0)


def tell(here: Here, event: "Event") -> None:
    """One event on a line."""
    if here.as_json:
        import msgspec

        print(msgspec.json.encode(event).decode(), flush=True)
    else:
        print(visible(f"{event.at}  {event.kind:<16}  {first_line(event.message)}"), flush=True)


@command(app, "stop")
def stop(here: Here, machine: Machine, yes: Yes = False) -> None:
    """Stop a machine. Its disk stays, and costs a little; what is in memory is gone."""
    from forebay.client import deployments

    found = machine_of(here, machine, "active")
    here.confirm(f"Stop {found.name}?", yes)
    reply = here.exchange(deployments.stop(found.id))
    here.say(reply, f"{reply.answer.name} is stopped. It has cost {dollars(reply.answer.accrued_cost)}.")


@command(app, "start")
def start(
    here: Here,
    machine: Machine,
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Don't wait until it runs.")] = False,
) -> None:
    """Start a stopped machine with the disk it had, and wait until SSH answers."""
    from forebay.client import deployments

    found = machine_of(here, machine, "active")
    reply = here.exchange(deployments.start(found.id))
    if not detach:
        reply = await_running(here, found.id)
    tell_how_it_is(here, reply)


def await_running(here: Here, deployment_id: str) -> "Reply[Deployment]":
    """How it is once it is not being deployed any more."""
    from forebay.client import deployments

    return until(
        here,
        deployments.show(deployment_id),
        lambda now: now.status != "deploying",
        lambda now: f"{now.name} is being made …",
        longest_pause=1.0,
    )


def tell_how_it_is(here: Here, reply: "Reply[Deployment]") -> None:
    """Print how to get in, or why it is not there. Ends the program with status 1 then."""
    one = reply.answer
    if one.status == "running":
        here.say(reply, f"{one.name} runs: {one.ssh_command}")
        return
    if one.status == "deploying":
        here.say(reply, f"{one.name} is on its way: forebay deployments watch {one.id} --until running")
        return
    here.print_json(reply)
    end(visible(f"{one.name} is {one.status}.{f' {one.error}' if one.error else ''}"), REFUSED)


@command(app, "plan")
def plan(
    here: Here,
    machine: Machine,
    *,
    max_cost: MaxCost = None,
    terminate_at: TerminateAt = None,
    auto_stop: AutoStop = None,
    auto_stop_action: AutoStopAction = None,
) -> None:
    """Decide when a machine ends by itself: at a cost, at a time, when it is idle. `none` takes one off again."""
    from forebay.client import deployments

    wishes = ends_wished(max_cost, terminate_at, auto_stop, auto_stop_action)
    if not wishes:
        refuse_usage("Say what is to end it: --max-cost, --terminate-at or --auto-stop.")
    reply = here.exchange(deployments.change(machine_of(here, machine, "active").id, **wishes))
    one = reply.answer
    here.say(reply, f"{one.name} ends {'; '.join(ends_of(one)) or 'when somebody ends it'}.")


@command(app, "terminate")
def terminate(
    here: Here,
    machine: Machine,
    *,
    when_allowed: Annotated[
        bool, typer.Option("--when-allowed", help="Or as soon as its minimum runtime is over.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Terminate a machine, and delete its disk. It is charged to this second and not beyond."""
    from forebay.client import deployments

    found = machine_of(here, machine, "active")
    here.confirm(f"Terminate {found.name}, with all that is on its disk?", yes)
    reply = here.exchange(deployments.terminate(found.id, when="allowed" if when_allowed else None))
    at = reply.answer.deployment.terminate_at
    if at is not None:
        here.say(reply, f"{found.name} is terminated at {at}. Not after all: forebay deployments plan {found.id} "
                        "--terminate-at none")  # fmt: skip
    else:
        here.say(reply, f"{found.name} is terminated.")


@command(app, "rename")
def rename(here: Here, machine: Machine, name: Annotated[str, typer.Argument(help="What it is called.")]) -> None:
    """Rename a machine."""
    from forebay.client import deployments

    reply = here.exchange(deployments.change(machine_of(here, machine).id, name=name))
    here.say(reply, f"It is called {reply.answer.name} now.")


@command(app, "label")
def label(
    here: Here,
    machine: Machine,
    labels: Annotated[list[str], typer.Argument(help="KEY=VALUE sets one, KEY- takes it off.", metavar="LABEL…")],
) -> None:
    """Set labels of a machine, by which use is told apart, or take some off."""
    from forebay.client import deployments

    found = machine_of(here, machine)
    kept = dict(found.labels)
    for text in labels:
        key, has_value, value = text.partition("=")
        if has_value:
            kept[key] = value
        elif text.endswith("-"):
            kept.pop(text[:-1], None)
        else:
            refuse_usage(f"{visible(text)!r} is no label: KEY=VALUE sets one, KEY- takes it off.")
    reply = here.exchange(deployments.change(found.id, labels=kept))
    shown = ", ".join(f"{key}={value}" for key, value in sorted(reply.answer.labels.items()))
    here.say(reply, f"{reply.answer.name}: {shown or 'no labels'}")


def machine_of(here: Here, wanted: str, status: str | None = None) -> "Deployment":
    """The team's machine of this name or id: one that is there before one that has ended."""
    from forebay.client import deployments

    listed = here.ask(deployments.listed(team_id=here.team().id, status=status))
    return fitting(wanted, listed)


def fitting(wanted: str, listed: "Sequence[Deployment]") -> "Deployment":
    """The one that is meant. Ends the program where none or several are."""
    there = [one for one in listed if one.status in ("deploying", "running", "stopped")]
    named = [one for one in there if wanted.lower() == one.name.lower() or wanted == one.id]
    found: Deployment = pick("machine", wanted, named or listed, lambda one: [one.name])
    return found
