"""`forebay ssh-keys`: the keys that open a team's machines."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.here import Here, Yes, command, noun, pick, refuse_usage, visible, when
from forebay.cli.logs import Machine, machine

if TYPE_CHECKING:
    from forebay.client.deployment_keys import DeploymentKey
    from forebay.client.ssh_key_sources import PublishedKey

app = noun("ssh-keys", "SSH keys of a team, and of its machines.")


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
    file: Annotated[
        str | None,
        typer.Argument(
            help="The .pub file, or - for standard input; with --agent the comment of a key.", metavar="FILE"
        ),
    ] = None,
    *,
    agent: Annotated[bool, typer.Option("--agent", help="Take the key from the SSH agent that runs here.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Take the keys that a user has published, as in github:USER.", metavar="SOURCE:USER"
        ),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="Of those only the one with this fingerprint; may be repeated.")
    ] = None,
    yes: Yes = False,
    name: Annotated[str | None, typer.Option(help="What it is called; else the key's comment, or the file.")] = None,
) -> None:
    """Add a public key to a team."""
    from forebay.client import ssh_keys

    if source is not None:
        if file or agent or name:
            refuse_usage("With --from the server takes the keys: name no file, no agent and no name beside it.")
        take(here, source, key or None, yes)
        return
    if key:
        refuse_usage("Only keys from elsewhere are chosen with --key: say --from SOURCE:USER.")
    text = from_agent(file) if agent else from_file(file)
    comment = text.split(maxsplit=2)[2:]
    fallback = "key" if agent or file in (None, "-") else Path(str(file)).stem
    team = here.team()
    reply = here.exchange(ssh_keys.add(name or (comment[0] if comment else fallback), text, team_id=team.id))
    here.say(reply, f"{reply.answer.name} {reply.answer.fingerprint} belongs to {team.name}.")


def take(here: Here, whose: str, fingerprints: list[str] | None, is_sure: bool) -> None:
    """Add keys that a user has published, once the person has seen them."""
    from forebay.client import ssh_key_sources

    source, _, user = whose.partition(":")
    if not source or not user:
        refuse_usage("Say where from and whose: --from SOURCE:USER. The sources: forebay ssh-keys sources")
    team = here.team()
    if not is_sure and sys.stdin.isatty():
        found = here.ask(ssh_key_sources.lookup(source, user, team_id=team.id))
        with here.aside():
            here.rows(["Name", "Type", "Fingerprint", "State"], [published(key) for key in found.keys])
        # One that the team has, or can't have, is not asked about.
        new = [key for key in found.keys if key.refusal is None and key.existing_id is None]
        wanted = [key for key in new if fingerprints is None or key.fingerprint in fingerprints]
        if wanted:
            typer.confirm(visible(f"Add {count(len(wanted))} to {team.name}?"), abort=True, err=True)
            fingerprints = fingerprints or [str(key.fingerprint) for key in wanted]
    reply = here.exchange(ssh_key_sources.take(source, user, fingerprints, team_id=team.id))
    if here.print_json(reply):
        return
    for key in reply.answer.added:
        print(visible(f"{key.name} {key.fingerprint} belongs to {team.name}."))
    for key in reply.answer.present:
        print(visible(f"{key.name} {key.fingerprint} was there already."))


def count(number: int) -> str:
    """How many keys, in words."""
    return "this key" if number == 1 else f"these {number} keys"


def published(key: "PublishedKey") -> list[str | None]:
    """A key of a source, and whether it can be added, as cells of a table."""
    state = "the team has it" if key.existing_id else "new"
    return [key.name, key.type, key.fingerprint, f"can't be used: {key.refusal}" if key.refusal else state]


@command(app, "sources")
def sources(here: Here) -> None:
    """List the servers that keys can be taken from."""
    from forebay.client import ssh_key_sources

    reply = here.exchange(ssh_key_sources.listed())
    here.table(reply, ["Name", "Where"], [[source.name, source.pattern] for source in reply.answer.sources])


def from_file(file: str | None) -> str:
    """The text of a .pub file, or of standard input. Ends the program for a private key."""
    if file is None:
        refuse_usage("Name the .pub file, or - for standard input, or say --agent.")
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(errors="replace")
    except OSError as reason:
        refuse_usage(f"{file} can't be read: {reason.strerror}.")
    if "PRIVATE KEY" in text:
        refuse_usage(f"{file} is a private key, which stays with you. Give the public one: {file}.pub")
    return text.strip()


def from_agent(wanted: str | None) -> str:
    """A public key of the SSH agent's: the only one, or the one with this comment. Ends the program without one."""
    import subprocess

    program = shutil.which("ssh-add")
    listed = (
        "" if program is None else subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout
    )
    keys = [line for line in listed.splitlines() if len(line.split()) >= 2]
    found = [key for key in keys if wanted is None or wanted in (comment_of(key), key.split()[1])]
    if not keys:
        refuse_usage("No SSH agent answers here, or it holds no key: ssh-add puts one in.")
    if len(found) != 1:
        comments = ", ".join(comment_of(key) or key.split()[0] for key in keys)
        refuse_usage(f"Say which one, by its comment. The agent holds: {visible(comments)}")
    return found[0]


def comment_of(key: str) -> str:
    """What stands after a public key."""
    return " ".join(key.split()[2:])


@command(app, "delete", hidden=True)
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


@command(app, "on")
def on(here: Here, name: Machine) -> None:
    """Show the keys that open a machine, as they are found there."""
    from forebay.client import deployment_keys

    found = machine(here, name)
    reply = here.exchange(deployment_keys.show(found.id))
    rows = [
        [key.name, key.fingerprint, state_of(key), key.added_by.name if key.added_by else None, when(key.since)]
        for key in reply.answer.ssh_keys
    ]
    here.table(reply, ["Name", "Fingerprint", "State", "Added by", "Since"], rows)
    if reply.answer.reason and not here.as_json:
        print(visible(f"{found.name} was not asked: {reply.answer.reason}"), file=sys.stderr)


def state_of(key: "DeploymentKey") -> str:
    """What is so with a key, and where else in the machine it stands."""
    return f"{key.state} ({', '.join(key.places)})" if key.places else key.state


@command(app, "set")
def choose(
    here: Here,
    name: Machine,
    keys: Annotated[
        list[str] | None, typer.Argument(help="All the keys that are to open it, by id, name or fingerprint.")
    ] = None,
    *,
    add: Annotated[list[str] | None, typer.Option("--add", help="Put this key on it, and leave the others.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Take this key off it.")] = None,
) -> None:
    """Choose the keys that open a machine. Connections of a key that is taken off are ended."""
    from forebay.client import deployment_keys, ssh_keys

    if bool(keys) == bool(add or remove):
        refuse_usage("Say all the keys that are to open it, or what changes: --add KEY, --remove KEY.")
    found = machine(here, name)
    of_team = here.ask(ssh_keys.listed(team_id=here.team().id))
    there = [key for key in here.ask(deployment_keys.show(found.id)).ssh_keys if key.added_by is not None]
    present = [key for key in there if key.state not in ("leaving", "kept-out")]
    known = [*of_team, *(key for key in present if key.id not in {one.id for one in of_team})]

    def ids(words: list[str] | None, among: list[Any]) -> list[str]:
        return [pick("SSH key", word, among, lambda one: (one.name, one.fingerprint)).id for word in words or ()]

    chosen = ids(keys, known) or [str(key.id) for key in present] + ids(add, known)
    leaving = ids(remove, present)
    reply = here.exchange(
        deployment_keys.change(found.id, [key for key in dict.fromkeys(chosen) if key not in leaving])
    )
    here.say(reply, f"{found.name} has these keys, and no others, within a minute.")
