"""`forebay api-keys`: keys for programs, and the whitelist that one must be on."""

import sys
from typing import Annotated, Any

import typer

from forebay.cli.here import Here, Yes, command, every_page, noun, pick, refuse_usage, when

app = noun("api-keys", "API keys: list, make, change, rotate, revoke; API access.")

Which = Annotated[str, typer.Argument(help="The key, by id, name or first characters.")]
OnlyTeam = Annotated[list[str] | None, typer.Option(help="Narrow it to this team (again for more).")]
OnlyPermission = Annotated[list[str] | None, typer.Option(help="Narrow it to this permission (again for more).")]
Days = Annotated[int | None, typer.Option(help="Days until it expires.", min=1, max=3650)]


def find(here: Here, which: str) -> Any:
    """The key that is meant; of several with one name the one that works."""
    from forebay.client import api_keys

    found = every_page(here, api_keys.listed, "api_keys")
    usable = [key for key in found if key.status not in ("expired", "revoked") and key.replaced_by is None]
    named = [key for key in usable if key.name.lower() == which.lower()]
    return pick("API key", which, named if len(named) == 1 else found, lambda key: (key.name, key.first_characters))


def ids(here: Here, names: list[str] | None) -> list[str] | None:
    """The ids of teams."""
    return None if not names else [here.team(name).id for name in names]


def hand_over(here: Here, reply: Any, sentence: str) -> None:
    """Print the secret alone on standard output, so that it can be piped; the rest beside it."""
    if here.print_json(reply):
        return
    print(sentence, file=sys.stderr)
    print(reply.answer.secret)


@command(app, "list")
def list_all(
    here: Here,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
    page: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """List my keys, without their secrets."""
    from forebay.client import api_keys

    reply = here.exchange(api_keys.listed(include_revoked=revoked or None, page=page, limit=100))
    slugs = {} if here.as_json else {team.id: team.slug for team in here.teams}
    here.table(
        reply,
        ["Name", "Status", "Key", "Expires", "Last used", "From", "Current team", "Id"],
        [
            [
                key.name,
                key.status,
                f"{key.first_characters}…{key.last_characters}",
                when(key.expires_at),
                when(key.last_used_at),
                key.last_used_from,
                slugs.get(key.current_team_id),
                key.id,
            ]
            for key in reply.answer.api_keys
        ],
    )


@command(app, "create")
def create(
    here: Here,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    expires_in_days: Days = None,
    only_team: OnlyTeam = None,
    only_permission: OnlyPermission = None,
    may_touch_money: Annotated[bool, typer.Option("--may-touch-money", help="Let it change billing.")] = False,
) -> None:
    """Make a key whose current team is that of --team. Its secret is printed now and never again."""
    from forebay.client import api_keys

    reply = here.exchange(
        api_keys.create(
            name,
            team_id=here.team().id,
            expires_in_days=expires_in_days,
            may_touch_money=may_touch_money,
            team_ids=ids(here, only_team),
            permissions=only_permission or None,
        )
    )
    hand_over(here, reply, "This is the key. It is shown once:")


@command(app, "change")
def change(
    here: Here,
    key: Which,
    *,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    expires_in_days: Days = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It doesn't expire.")] = False,
    only_team: OnlyTeam = None,
    all_teams: Annotated[bool, typer.Option("--all-teams", help="All of my teams.")] = False,
    only_permission: OnlyPermission = None,
    all_permissions: Annotated[bool, typer.Option("--all-permissions", help="Whatever my role allows.")] = False,
    may_touch_money: Annotated[
        bool | None, typer.Option("--may-touch-money/--no-money", help="Whether it may change billing.")
    ] = None,
) -> None:
    """Change a key: its name, end, narrowing, and with --team its current team."""
    from forebay.client import api_keys

    for given, lifted, what in (
        (expires_in_days, never_expires, "the end"),
        (only_team, all_teams, "the teams"),
        (only_permission, all_permissions, "the permissions"),
    ):
        if given and lifted:
            refuse_usage(f"Say one thing about {what}.")
    wishes: dict[str, Any] = {
        "name": name,
        "team_id": None if here.wanted_team is None else here.team().id,
        "expires_in_days": expires_in_days,
        "team_ids": ids(here, only_team),
        "permissions": only_permission or None,
        "may_touch_money": may_touch_money,
    }
    wishes = {wish: value for wish, value in wishes.items() if value is not None}
    lifts = {"expires_in_days": never_expires, "team_ids": all_teams, "permissions": all_permissions}
    wishes |= {wish: None for wish, is_lifted in lifts.items() if is_lifted}
    if not wishes:
        refuse_usage("Say what to change.")
    reply = here.exchange(api_keys.change(find(here, key).id, **wishes))
    here.say(reply, f"{reply.answer.name} is changed.")


@command(app, "rotate")
def rotate(
    here: Here,
    key: Which,
    keep_hours: Annotated[int, typer.Option(help="Hours for which the old key stays good.", min=0, max=24)] = 0,
) -> None:
    """Replace a key by a new one, as narrow; the old one ends at once, or after --keep-hours."""
    from forebay.client import api_keys

    reply = here.exchange(api_keys.rotate(find(here, key).id, keep_hours=keep_hours))
    old = reply.answer.old_key
    ends = "has ended" if keep_hours == 0 else f"is good until {when(old.expires_at)} UTC"
    hand_over(here, reply, f"The old key {ends}. This is the new one. It is shown once:")


@command(app, "revoke")
def revoke(here: Here, key: Which, yes: Yes = False) -> None:
    """Revoke a key at once."""
    from forebay.client import api_keys

    found = find(here, key)
    here.confirm(f"Revoke {found.name} ({found.first_characters}…)?", yes)
    here.say(here.exchange(api_keys.revoke(found.id)), f"{found.name} is revoked.")


@command(app, "access")
def access(here: Here) -> None:
    """Say whether you may have API keys, and if not, why."""
    from forebay.client import api_keys

    tell(here, here.exchange(api_keys.access()))


@command(app, "request-access")
def request_access(here: Here) -> None:
    """Ask the operators for API access."""
    from forebay.client import api_keys

    tell(here, here.exchange(api_keys.request_access()))


def tell(here: Here, reply: Any) -> None:
    """Where the account stands."""
    found = reply.answer
    facts = {"Status": found.status, "": found.message, "Reason": found.reason, "Asked at": when(found.requested_at)}
    facts |= {"Decided at": when(found.decided_at), "Ask again from": when(found.may_ask_from)}
    here.facts(reply, {name: value for name, value in facts.items() if value is not None})
