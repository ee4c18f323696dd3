"""`forebay webhooks`: addresses that are told what happens in a team, and what came of telling them."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.here import Here, Json, Server, Team, Yes, command, noun, pick, refuse_usage, when

if TYPE_CHECKING:
    from forebay.client import Reply

app = noun("webhooks", "Webhooks of a team: list, add, change, test, deliveries, rotate, remove.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

Which = Annotated[str, typer.Argument(help="The webhook, by id or name.")]
Kind = Annotated[list[str] | None, typer.Option("--kind", help="Tell of this kind only (again for more).")]


@app.callback()
def bare(context: typer.Context, server: Server = None, team: Team = None, as_json: Json = False) -> None:
    """Webhooks of a team: list, add, change, test, deliveries, rotate, remove. Without a command: list."""
    if context.invoked_subcommand is None:
        with Here(server, team, as_json) as here:
            list_all(here)
    elif server is not None or team is not None or as_json:
        refuse_usage(f"Options come after the command: forebay webhooks {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here) -> None:
    """List the team's webhooks, without their secrets."""
    from forebay.client import webhooks

    reply = here.exchange(webhooks.listed(here.team().id))
    here.table(
        reply,
        ["Name", "State", "Told of", "Address", "Id"],
        [[hook.name, state(hook), kinds_of(hook), hook.url, hook.id] for hook in reply.answer.webhooks],
    )


def state(hook: Any) -> str:
    """How it does, in words."""
    if not hook.is_enabled:
        return f"disabled: {hook.disabled_reason}"
    return f"failing since {when(hook.failing_since)}" if hook.failing_since else "enabled"


def kinds_of(hook: Any) -> str:
    """What it is told of."""
    return "everything" if hook.kinds is None else ", ".join(hook.kinds)


def find(here: Here, which: str) -> tuple[str, Any]:
    """The team's id, and the webhook that is meant."""
    from forebay.client import webhooks

    team_id = here.team().id
    found = here.ask(webhooks.listed(team_id)).webhooks
    return team_id, pick("webhook", which, found, lambda hook: (hook.name,))


def hand_over(here: Here, reply: "Reply[Any]", sentence: str) -> None:
    """Print the secret alone on standard output, so that it can be piped; the rest beside it."""
    if here.print_json(reply):
        return
    print(sentence, file=sys.stderr)
    print(reply.answer.secret)


@command(app, "add")
def add(
    here: Here,
    url: Annotated[str, typer.Argument(help="https://…, as a chat's incoming webhook has it, or a program of yours.")],
    *,
    name: Annotated[str | None, typer.Option(help="What it is called; else the host of the address.")] = None,
    kind: Kind = None,
) -> None:
    """Tell an address what happens in the team. The secret that signs messages is printed now and never again."""
    from forebay.client import webhooks

    reply = here.exchange(webhooks.create(here.team().id, url, name=name, kinds=kind or None))
    hand_over(here, reply, f"{reply.answer.name} is told of {kinds_of(reply.answer)}. Its secret is shown once:")


@command(app, "change")
def change(
    here: Here,
    webhook: Which,
    *,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    kind: Kind = None,
    all_kinds: Annotated[bool, typer.Option("--all-kinds", help="Tell of everything.")] = False,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Send there, or don't.")] = None,
) -> None:
    """Change a webhook, disable or enable it."""
    from forebay.client import webhooks

    team_id, found = find(here, webhook)
    reply = here.exchange(
        webhooks.change(
            team_id, found.id, url=url, name=name, kinds=kind or None, all_kinds=all_kinds, is_enabled=enable
        )
    )
    here.say(reply, f"{reply.answer.name} is changed: {state(reply.answer)}, told of {kinds_of(reply.answer)}.")


@command(app, "test")
def test(here: Here, webhook: Which) -> None:
    """Send a message that tells nothing."""
    from forebay.client import webhooks

    team_id, found = find(here, webhook)
    reply = here.exchange(webhooks.test(team_id, found.id))
    here.say(reply, f"A test is on its way to {found.name}. What came of it: forebay webhooks deliveries {found.id}")


@command(app, "deliveries")
def deliveries(here: Here, webhook: Which, page: Annotated[int, typer.Option(min=1)] = 1) -> None:
    """List what was sent to a webhook, and what came of the last attempt."""
    from forebay.client import webhooks

    team_id, found = find(here, webhook)
    reply = here.exchange(webhooks.deliveries(team_id, found.id, page=page))
    here.table(
        reply,
        ["At", "Kind", "State", "Attempts", "The last one", "Next", "Event"],
        [
            [
                when(each.created_at),
                each.kind,
                each.state,
                str(len(each.attempts)),
                each.attempts[-1].reason if each.attempts else None,
                when(each.next_attempt_at),
                each.event_id,
            ]
            for each in reply.answer.deliveries
        ],
    )


@command(app, "rotate")
def rotate(
    here: Here,
    webhook: Which,
    keep_hours: Annotated[int, typer.Option(help="Hours that the present secret signs too.", min=0, max=168)] = 24,
) -> None:
    """Give a webhook a new secret, printed now and never again."""
    from forebay.client import webhooks

    team_id, found = find(here, webhook)
    reply = here.exchange(webhooks.rotate(team_id, found.id, keep_hours=keep_hours))
    hand_over(here, reply, f"The old secret of {found.name} signs for {keep_hours} more hours. The new one:")


@command(app, "remove")
def remove(here: Here, webhook: Which, yes: Yes = False) -> None:
    """Remove a webhook, with the record of what was sent."""
    from forebay.client import webhooks

    team_id, found = find(here, webhook)
    here.confirm(f"Remove the webhook {found.name}?", yes)
    here.say(here.exchange(webhooks.delete(team_id, found.id)), f"{found.name} is removed.")
