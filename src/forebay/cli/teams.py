"""`forebay teams`: those I belong to, and what I may do there."""

from typing import Annotated

import typer

from forebay.cli.completion import team_names
from forebay.cli.here import Here, Json, Server, Yes, command, noun, pick, refuse_usage
from forebay.cli.members import of_team

app = noun("teams", "Teams: list, make, change, leave, delete.")
app.info.no_args_is_help = False
app.info.invoke_without_command = True

TeamName = Annotated[
    str | None, typer.Argument(help="The team, by slug, id or name; else the current one.", autocompletion=team_names)
]
Mode = Annotated[str, typer.Argument(help="What members may do: deploy-only or read-only.")]


@app.callback()
def bare(context: typer.Context, server: Server = None, as_json: Json = False) -> None:
    """Teams: list, make, change, leave, delete. Without a command: list."""
    if context.invoked_subcommand is None:
        with Here(server, as_json=as_json) as here:
            list_all(here)
    elif server is not None or as_json:
        refuse_usage(f"Options come after the command: forebay teams {context.invoked_subcommand} …")


@command(app, "list")
def list_all(here: Here) -> None:
    """List my teams."""
    from forebay.client import teams

    reply = here.exchange(teams.listed())
    here.table(
        reply,
        ["", "Team", "Slug", "Role", "Members may", "Id"],
        [
            ["*" if team.is_current_team else " ", team.name, team.slug, team.role, team.member_mode, team.id]
            for team in reply.answer.teams
        ],
    )


@command(app, "show")
def show(here: Here, team: TeamName = None) -> None:
    """Show one team."""
    from forebay.client import teams

    reply = here.exchange(teams.show(here.team(team).id))
    found = reply.answer
    facts = {
        "Team": found.name,
        "Slug": found.slug,
        "Id": found.id,
        "My role": found.role,
        "Members may": found.member_mode,
        "Made at": found.created_at,
    }
    here.facts(reply, facts)


@command(app, "create")
def create(
    here: Here,
    name: Annotated[str, typer.Argument(help="What it is called.")],
    mode: Annotated[str | None, typer.Option(help="What members may do: deploy-only or read-only.")] = None,
) -> None:
    """Make a team. You own it."""
    from forebay.client import teams

    reply = here.exchange(teams.create(name, member_mode=mode))
    here.say(reply, f"{reply.answer.name} is made: {reply.answer.slug}")


@command(app, "rename")
def rename(here: Here, name: Annotated[str, typer.Argument(help="What it is to be called.")]) -> None:
    """Rename a team (that of --team, else the current one)."""
    from forebay.client import teams

    reply = here.exchange(teams.change(here.team().id, name=name))
    here.say(reply, f"The team is called {reply.answer.name} now.")


@command(app, "mode")
def set_mode(here: Here, mode: Mode) -> None:
    """Say what members of a team may do: launch machines of their own, or look."""
    from forebay.client import teams

    reply = here.exchange(teams.change(here.team().id, member_mode=mode))
    here.say(reply, f"Members of {reply.answer.name} are {reply.answer.member_mode} now.")


@command(app, "use")
def use(here: Here, team: Annotated[str, typer.Argument(help="The team, by slug, id or name.")]) -> None:
    """Make a team the current one."""
    from forebay.client import me

    found = here.team(team)
    reply = here.exchange(me.set_current_team(found.id))
    here.say(reply, f"{found.name} is your current team.")


@command(app, "transfer")
def transfer(
    here: Here,
    member: Annotated[str, typer.Argument(help="The member, by address, id or name.")],
    keep: Annotated[bool, typer.Option("--keep", help="Stay an owner beside them.")] = False,
    yes: Yes = False,
) -> None:
    """Transfer the ownership of a team to a member."""
    from forebay.client import members

    team = here.team()
    found = pick("member", member, of_team(here, team.id), lambda one: (one.email, one.name), key="user_id")
    here.confirm(f"Transfer {team.name} to {found.name} <{found.email}>?", yes)
    reply = here.exchange(members.transfer_ownership(team.id, found.user_id, keep_ownership=keep))
    here.say(reply, f"{found.name} owns {team.name} now. You are {reply.answer.my_role}.")


@command(app, "leave")
def leave(here: Here, team: TeamName = None, yes: Yes = False) -> None:
    """Leave a team. The SSH keys you added go with you; machines you started stay."""
    from forebay.client import members

    found = here.team(team)
    here.confirm(f"Leave {found.name}?", yes)
    here.say(here.exchange(members.leave(found.id)), f"You have left {found.name}.")


@command(app, "delete")
def delete(
    here: Here,
    team: Annotated[str, typer.Argument(help="The team, by slug, id or name.")],
    give_up_credits: Annotated[
        str | None, typer.Option(help="The credits that are left, in dollars to the cent, if they are to be given up.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete a team in which nothing runs and which owes nothing."""
    from forebay.client import teams

    if here.wanted_team is not None and here.team().id != here.team(team).id:
        refuse_usage("Two different teams are named.")
    found = here.team(team)
    here.confirm(f"Delete {found.name} for good?", yes)
    here.say(here.exchange(teams.delete(found.id, give_up_credits=give_up_credits)), f"{found.name} is deleted.")


@command(app, "permissions")
def permissions(here: Here, team: TeamName = None) -> None:
    """Say what you may do in a team."""
    from forebay.client import teams

    reply = here.exchange(teams.permissions(here.team(team).id))
    marks = {"all": "yes", "own": "own", "none": "no"}
    here.table(
        reply,
        ["Permission", "May", "You", "Who has it"],
        [
            [each.permission, each.means, marks.get(each.reach, each.reach), ", ".join(each.who_has_it)]
            for each in reply.answer.permissions
        ],
    )
