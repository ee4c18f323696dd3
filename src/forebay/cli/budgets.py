"""`forebay budgets`: what a team, its members, API keys and labels may spend in a month, and how that stands."""

from typing import Annotated, Any, Literal

import typer

from forebay.cli import members
from forebay.cli.figures import dollars, figure
from forebay.cli.here import Here, Json, Server, Team, Yes, command, every_page, noun, pick, refuse_usage

app = noun("budgets", "Budgets of a team: list, set, delete.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

KINDS = {"team": "team", "member": "member", "apiKey": "API key", "label": "label"}


@app.callback()
def bare(context: typer.Context, server: Server = None, team: Team = None, as_json: Json = False) -> None:
    """Budgets of a team: list, set, delete. Without a command: list."""
    if context.invoked_subcommand is None:
        with Here(server, team, as_json) as here:
            list_all(here)
    elif server is not None or team is not None or as_json:
        refuse_usage(f"Options come after the command: forebay budgets {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here, page: Annotated[int, typer.Option(min=1)] = 1) -> None:
    """List the budgets, each with what is spent of it in this month."""
    from forebay.client import budgets

    reply = here.exchange(budgets.listed(here.team().id, page=page))
    here.table(
        reply,
        ["Of", "Kind", "Spent", "Amount", "Share", "Month comes to", "State", "At the limit", "Id"],
        [
            [
                one.name,
                KINDS.get(one.scope, one.scope),
                dollars(one.spent),
                dollars(one.amount),
                f"{one.share:g} %",
                dollars(one.forecast),
                one.state,
                one.at_limit,
                one.id,
            ]
            for one in reply.answer.budgets
        ],
    )


@command(app, "set")
def set_one(
    here: Here,
    amount: Annotated[str, typer.Argument(help="Dollars for a calendar month, in UTC.")],
    *,
    member: Annotated[str | None, typer.Option(help="Of this member, by address, id or name.")] = None,
    api_key: Annotated[str | None, typer.Option(help="Of this API key, by id.")] = None,
    label: Annotated[str | None, typer.Option(help="Of machines with this label: key=value.")] = None,
    alert: Annotated[list[int] | None, typer.Option(help="Tell at so many percent (again for more).")] = None,
    at_limit: Annotated[
        str, typer.Option(help="notify, block (launches, starts, growth) or stop (machines as well).")
    ] = "notify",
) -> None:
    """Set the budget of the team, or of a part of it, in the place of the one there is."""
    from forebay.client import budgets

    given = [("member", member), ("apiKey", api_key), ("label", label)]
    chosen: list[tuple[Any, str | None]] = [(scope, key) for scope, key in given if key is not None]
    if len(chosen) > 1:
        refuse_usage("Give one of --member, --api-key and --label; none for the team's.")
    if at_limit not in ("notify", "block", "stop"):
        refuse_usage("--at-limit is notify, block or stop.")
    then: Literal["notify", "block", "stop"] = at_limit  # type: ignore[assignment]
    team = here.team()
    scope: Any
    scope, key = chosen[0] if chosen else ("team", None)
    if scope == "member":
        key = members.find(here, team.id, key or "").user_id
    reply = here.exchange(budgets.put(team.id, scope, figure(amount), key=key, alerts=alert or None, at_limit=then))
    found = reply.answer
    here.say(reply, f"The budget of {found.name} is {dollars(found.amount)} a month ({found.at_limit}). {found.says}")


@command(app, "delete")
def delete(
    here: Here,
    budget: Annotated[str, typer.Argument(help="The budget, by id, name, or key=value; `team` for the team's.")],
    yes: Yes = False,
) -> None:
    """Delete a budget: it tells and refuses nothing any more."""
    from forebay.client import budgets

    team_id = here.team().id
    found = pick("budget", budget, every_page(here, budgets.listed, "budgets", team_id), names_of)
    here.confirm(f"Delete the budget of {found.name}, {dollars(found.amount)} a month?", yes)
    here.say(here.exchange(budgets.delete(team_id, found.id)), f"The budget of {found.name} is deleted.")


def names_of(one: Any) -> tuple[str, ...]:
    """What people call it."""
    return (one.name, "team") if one.scope == "team" else (one.name,)
