"""`forebay ssh`, `cp` and `ssh-config`: onto machines, by OpenSSH, which is told where they are and who they are."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from forebay.cli import host_keys
from forebay.cli.completion import deployment_names
from forebay.cli.ending import REFUSED, end
from forebay.cli.here import Here, command, pick, refuse_usage, visible
from forebay.cli.progress import until

if TYPE_CHECKING:
    from forebay.client.deployments import Deployment

PASSED_ON = {"context_settings": {"allow_interspersed_args": False}}
"""What comes after the machine's name is the command's own."""
ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MACHINE_AND_PATH = re.compile(r"([^/:]+):(.*)", re.DOTALL)

Machine = Annotated[
    str, typer.Argument(help="The machine, by name or id.", autocompletion=deployment_names, metavar="NAME")
]
Identity = Annotated[
    Path | None, typer.Option("--identity", "-i", help="Private key; else the one that fits, or those ssh tries.")
]
Print = Annotated[bool, typer.Option("--print", help="Print the command line instead of running it.")]


def add_to(app: typer.Typer) -> None:
    """Put them beside the other commands."""
    command(app, "ssh", **PASSED_ON)(ssh)
    command(app, "cp")(cp)
    command(app, "ssh-config")(ssh_config)


def ssh(
    here: Here,
    machine: Machine,
    words: Annotated[list[str] | None, typer.Argument(help="A command to run there.", metavar="COMMAND")] = None,
    *,
    identity: Identity = None,
    prints: Print = False,
) -> None:
    """Log in to a machine, or run a command there. Options come before the name; its exit status is the command's."""
    found = running(here, machine)
    line = ["ssh", *as_options(here, found, identity), found.id]
    if words and words[0] == "--":
        words = words[1:]
    # As ssh does with its arguments: the shell there puts them together again.
    run(here, [*line, "--", *words] if words else line, prints)


def cp(
    here: Here,
    source: Annotated[list[str], typer.Argument(help="Files here, or NAME:PATH on a machine.")],
    target: Annotated[str, typer.Argument(help="Where to, here or NAME:PATH.")],
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all that is in them.")] = False,
    identity: Identity = None,
    prints: Print = False,
) -> None:
    """Copy files to a machine or from one, by scp."""
    places = [*source, target]
    remote = [MACHINE_AND_PATH.fullmatch(place) for place in places]
    names = {match[1] for match in remote if match}
    if len(names) != 1 or any((match is None) is (remote[-1] is None) for match in remote[:-1]):
        refuse_usage("Copy between this machine and one other: NAME:PATH on one side, and files here on the other.")
    found = running(here, names.pop())
    there = [place_of(place, found) for place in places]
    flags = ["-r"] if recursive else []
    run(here, ["scp", *flags, *as_options(here, found, identity), "--", *there], prints)


def place_of(place: str, machine: "Deployment") -> str:
    """A place as scp has it: what is here is never taken for another machine's, or for an option."""
    found = MACHINE_AND_PATH.fullmatch(place)
    if found:
        return f"{machine.id}:{found[2]}"
    return place if place.startswith(("/", "./", "../")) or place in (".", "..") else f"./{place}"


def running(here: Here, wanted: str) -> "Deployment":
    """The team's machine, once it runs. Ends the program if it doesn't."""
    from forebay.client import deployments

    team = here.team()
    listed = here.ask(deployments.listed(team_id=team.id, status="active"))
    found: Deployment = pick("machine", wanted, listed, lambda one: [one.name])
    if found.status == "deploying":
        request = deployments.show(found.id)
        found = until(
            here,
            request,
            lambda now: now.status != "deploying",
            lambda now: f"{now.name} is being made …",
        ).answer
    if found.status == "running":
        return found
    why = f" {found.error}" if found.error else ""
    end(f"{visible(found.name)} is {found.status}.{visible(why)}", REFUSED)


def as_options(here: Here, machine: "Deployment", identity: Path | None) -> list[str]:
    """For a command line."""
    found = [part for name, value in host_keys.options(here, machine) for part in ("-o", f"{name}={value}")]
    key = identity or fitting_key(machine)
    return [*found, "-i", str(key)] if key is not None else found


def fitting_key(machine: "Deployment") -> Path | None:
    """The private key here whose public half was put on the machine when it was launched, if there is one."""
    import base64
    import binascii
    import hashlib

    for public in sorted((Path.home() / ".ssh").glob("*.pub")):
        try:
            blob = base64.b64decode(public.read_text().split()[1], validate=True)
        except (OSError, ValueError, IndexError, binascii.Error):
            continue
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        if f"SHA256:{digest}" == machine.ssh_key_fingerprint and public.with_suffix("").exists():
            return public.with_suffix("")
    return None


def run(here: Here, line: Sequence[str], prints: bool) -> NoReturn:
    """Become this program, so that signals, the terminal and the exit status are its own; or print it."""
    if here.as_json and not prints:
        refuse_usage("What the machine says is no JSON: leave --json out, or say --print too.")
    if prints:
        import msgspec

        print(msgspec.json.encode({"command": line}).decode() if here.as_json else shlex.join(line))
        raise SystemExit(0)
    program = shutil.which(line[0])
    if program is None:
        end(f"There is no {line[0]} on this machine: install the OpenSSH client.")
    here.__exit__()
    sys.stdout.flush()
    os.execv(program, list(line))  # noqa: S606  (no shell is what is wanted)


# Entries for ssh itself.


def ssh_config(
    here: Here,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
    prints: Annotated[bool, typer.Option("--print", help="Print the entries instead of writing them.")] = False,
) -> None:
    """Write entries for `ssh`, `scp`, `rsync` and editors: NAME.TEAM.forebay for each machine that runs in my teams."""
    machines = [(team, one) for team in here.teams for one in running_of(here, team.id) if is_addressed(one)]
    hosts = list(entries(machines))
    text = "".join([HEAD.format(server=visible(here.server)), *(entry(here, one, alias) for alias, one in hosts)])
    folder = host_keys.folder(here)
    path = output or folder.with_name(f"{folder.name}.config")
    if not prints:
        forget_others(here, {one.id for _, one in machines})
        host_keys.write(path, text)
    if here.as_json:
        import msgspec

        shown = {"file": None if prints else str(path), "hosts": [alias for alias, _ in hosts]}
        print(msgspec.json.encode(shown).decode())
    elif prints:
        print(text, end="")
    else:
        print(f"{len(hosts)} machines are in {path}.")
        if output is None and not is_included(path):
            print(f"Let ssh read it, by this line at the top of ~/.ssh/config:\n\nInclude {path.parent}/*.config")


HEAD = "# Machines of {server}, written by `forebay ssh-config`, which writes it anew.\n"


def running_of(here: Here, team_id: str) -> "Sequence[Deployment]":
    """The team's machines that one can log in to."""
    from forebay.client import deployments

    return here.ask(deployments.listed(team_id=team_id, status="running"))


def is_addressed(machine: "Deployment") -> bool:
    """Whether one can log in to it."""
    return machine.ip_address is not None


def entries(machines: "Iterable[tuple[Any, Deployment]]") -> "Iterable[tuple[str, Deployment]]":
    """What each machine is called: by its name, if that is one word and no other's of the team, else by its id."""
    listed = list(machines)
    names = [(team.id, one.name.lower()) for team, one in listed]
    for team, one in listed:
        is_good = ALIAS.fullmatch(one.name) and names.count((team.id, one.name.lower())) == 1
        slug = team.slug if ALIAS.fullmatch(team.slug) else team.id
        yield f"{one.name if is_good else one.id}.{slug}.forebay", one


def entry(here: Here, machine: "Deployment", alias: str) -> str:
    """What ssh reads of one machine."""
    lines = [f"\nHost {alias}", *(f"    {name} {value}" for name, value in host_keys.options(here, machine))]
    key = fitting_key(machine)
    if key is not None:
        lines.append(f"    IdentityFile {host_keys.quoted(key)}")
    return "\n".join(lines) + "\n"


def forget_others(here: Here, kept_ids: set[str]) -> None:
    """Remove the keys of machines that are gone."""
    for path in host_keys.folder(here).glob("*.keys"):
        if path.stem not in kept_ids:
            path.unlink(missing_ok=True)


def is_included(path: Path) -> bool:
    """Whether ssh is told of the folder already."""
    try:
        text = (Path.home() / ".ssh" / "config").read_text()
    except OSError:
        return False
    return any(
        line.split()[:1] == ["Include"] and str(path.parent) in os.path.expanduser(line.replace("~", str(Path.home())))
        for line in text.splitlines()
    )
