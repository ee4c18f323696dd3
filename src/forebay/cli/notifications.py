"""`forebay notifications`: what I am mailed, and the offers I wait for."""

from typing import Annotated, Any

import typer

from forebay.cli.here import Here, Json, Server, command, noun, pick, refuse_usage

app = noun("notifications", "Notifications: list, on, off, watch, unwatch.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

Kinds = Annotated[list[str], typer.Argument(help="Which kinds, as `forebay notifications list` names them.")]
Offer = Annotated[str, typer.Argument(help="The offer, by its id.")]
ForTeam = Annotated[
    bool, typer.Option("--for-team", help="The webhooks of the team (--team, else the current one) too.")
]


@app.callback()
def bare(context: typer.Context, server: Server = None, as_json: Json = False) -> None:
    """Notifications: list, on, off, watch, unwatch. Without a command: list."""
    if context.invoked_subcommand is None:
        with Here(server, as_json=as_json) as here:
            list_all(here)
    elif server is not None or as_json:
        refuse_usage(f"Options come after the command: forebay notifications {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here) -> None:
    """List what I am mailed, and the offers I watch."""
    from forebay.client import notifications

    reply = here.exchange(notifications.show())
    here.table(
        reply,
        ["Kind", "By mail", "What happened", "Goes to"],
        [[each.kind, state(each), each.says, each.goes_to] for each in reply.answer.kinds],
    )
    if here.as_json or not reply.answer.watches:
        return
    print()
    slugs = {team.id: team.slug for team in here.teams}
    here.table(
        reply,
        ["Watched offer", "In stock", "Told", "Webhooks of"],
        [
            [
                each.offer_id,
                "yes" if each.is_in_stock else "no",
                "each time" if each.is_lasting else "once",
                slugs.get(each.team_id or "", each.team_id),
            ]
            for each in reply.answer.watches
        ],
    )


def state(switch: Any) -> str:
    """Whether it is mailed, in a word."""
    return "always" if switch.is_required else "on" if switch.is_on else "off"


@command(app, "on")
def on(here: Here, kinds: Kinds) -> None:
    """Be mailed these kinds."""
    switch(here, kinds, is_on=True)


@command(app, "off")
def off(here: Here, kinds: Kinds) -> None:
    """Be mailed these kinds no more."""
    switch(here, kinds, is_on=False)


def switch(here: Here, kinds: list[str], *, is_on: bool) -> None:
    """Switch kinds on or off."""
    from forebay.client import notifications

    reply = here.exchange(notifications.put(dict.fromkeys(kinds, is_on)))
    here.say(reply, f"Mails of {', '.join(kinds)} are {'on' if is_on else 'off'}.")


@command(app, "watch")
def watch(
    here: Here,
    offer: Offer,
    *,
    for_team: ForTeam = False,
    lasting: Annotated[bool, typer.Option("--lasting", help="Be told each time, not once.")] = False,
) -> None:
    """Be told when an offer is in stock again."""
    from forebay.client import stock_watches

    team_id = here.team().id if for_team else None
    reply = here.exchange(stock_watches.watch(offer, team_id=team_id, is_lasting=lasting))
    now = " It is in stock now." if reply.answer.is_in_stock else ""
    here.say(reply, f"You are told when {offer} is in stock again.{now}")


@command(app, "unwatch")
def unwatch(here: Here, offer: Offer, *, for_team: ForTeam = False) -> None:
    """Wait for an offer no more."""
    from forebay.client import notifications, stock_watches

    team_id = here.team().id if for_team else None
    mine = [each for each in here.ask(notifications.show()).watches if each.team_id == team_id]
    found = pick("watched offer", offer, mine, lambda each: (each.offer_id,), key="offer_id")
    reply = here.exchange(stock_watches.unwatch(found.offer_id, team_id=team_id))
    here.say(reply, f"You wait for {offer} no more.")
