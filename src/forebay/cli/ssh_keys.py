"""`forebay ssh-keys`: the keys that open a team's machines."""

from pathlib import Path
from typing import Annotated

import typer

from forebay.cli.here import Here, Yes, command, noun, pick, refuse_usage, when

app = noun("ssh-keys", "SSH keys of a team: list, add, remove.")


@command(app, "list")
def list_all(here: Here) -> None:
    """List a team's keys."""
    from forebay.client import ssh_keys

    reply = here.exchange(ssh_keys.listed(team_id=here.team().id))
    here.table(
        reply,
        ["Name", "Fingerprint", "Added", "Id"],
        [[key.name, key.fingerprint, when(key.created_at), key.id] for key in reply.answer],
    )


@command(app, "add")
def add(
    here: Here,
    file: Annotated[Path, typer.Argument(help="A public key: the .pub file.", exists=True, dir_okay=False)],
    name: Annotated[str | None, typer.Option(help="What it is called; else the key's comment, or the file.")] = None,
) -> None:
    """Add a public key to a team."""
    from forebay.client import ssh_keys

    text = file.read_text(errors="replace").strip()
    if "PRIVATE KEY" in text:
        refuse_usage(f"{file} is a private key, which stays with you. Give the public one: {file}.pub")
    comment = text.split(maxsplit=2)[2:]
    team = here.team()
    reply = here.exchange(ssh_keys.add(name or (comment[0] if comment else file.stem), text, team_id=team.id))
    here.say(reply, f"{reply.answer.name} {reply.answer.fingerprint} belongs to {team.name}.")


@command(app, "remove")
def remove(
    here: Here,
    key: Annotated[str, typer.Argument(help="The key, by id, name or fingerprint.")],
    yes: Yes = False,
) -> None:
    """Take a key out of a team, and off its machines within a minute."""
    from forebay.client import ssh_keys

    team = here.team()
    keys = here.ask(ssh_keys.listed(team_id=team.id))
    found = pick("SSH key", key, keys, lambda one: (one.name, one.fingerprint))
    here.confirm(f"Take {found.name} {found.fingerprint} out of {team.name}?", yes)
    here.say(here.exchange(ssh_keys.delete(found.id)), f"{found.name} is removed, and off all machines in a minute.")
