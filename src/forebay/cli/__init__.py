"""The `forebay` command: one file a noun over the client, and under `commands` what starts or mends a server."""

import copy
import os
import sys
from collections.abc import Sequence

import typer
from typer.models import TyperInfo

from forebay import __version__
from forebay.cli import (
    activity,
    api_keys,
    auto_top_ups,
    balance,
    budgets,
    cards,
    deploy,
    deployments,
    invitations,
    launch_templates,
    login,
    logs,
    members,
    notifications,
    offers,
    ssh,
    ssh_keys,
    start_again,
    statements,
    teams,
    top_ups,
    transactions,
    usage,
    volumes,
    webhooks,
)
from forebay.cli.commands import audit, backup, database, docs, doctor, operator, payments, serve

STATUSES = """Exit status: 0 done · 1 refused · 2 not understood · 3 not signed in, or not recently enough · \
4 it doesn't exist, or isn't allowed · 5 no answer, or too busy."""

app = typer.Typer(
    name="forebay",
    help="A self-hosted GPU cloud for teams.",
    epilog=STATUSES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
login.add_to(app)
for noun in (
    teams,
    members,
    invitations,
    api_keys,
    ssh_keys,
    deployments,
    launch_templates,
    volumes,
    cards,
    auto_top_ups,
    budgets,
    notifications,
    webhooks,
):
    app.add_typer(noun.app)
for several in (activity, balance, usage, transactions, statements, top_ups, start_again, offers, deploy, ssh, logs):
    several.add_to(app)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("migrate")(database.migrate)
app.command("audit")(audit.audit)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("settings")(database.show_settings)
app.add_typer(operator.app, name="operator")
app.add_typer(payments.app, name="payments")
app.add_typer(doctor.image, name="image")
app.add_typer(docs.app, name="docs")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def only(asked: Sequence[str]) -> typer.Typer:
    """The program with no other command than the first word, if that is one: to make them all takes longer than to run
    most of them."""
    groups = [group for group in app.registered_groups if name_of(group) in asked]
    commands = [command for command in app.registered_commands if command.name in asked]
    if not groups and not commands:
        return app
    found = copy.copy(app)
    # A command that is alone would stand for the whole program, and its name would be its first argument.
    found.registered_groups, found.registered_commands = groups or app.registered_groups[:1], commands
    return found


def name_of(group: TyperInfo) -> str:
    """The word that comes before its commands."""
    own = group.typer_instance
    return str(group.name or (own.info.name if own else ""))


def main() -> None:
    """The entry point: what is wrong is said in one sentence, without a traceback."""
    from forebay.cli.commands.running import say_what_is_wrong
    from forebay.cli.ending import say_refusals

    program = app if "_FOREBAY_COMPLETE" in os.environ else only(sys.argv[1:2])
    with say_what_is_wrong(), say_refusals():
        program()
