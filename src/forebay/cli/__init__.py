"""The `forebay` command: one file a noun over the client, and under `commands` what starts or mends a server."""

import typer

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


def main() -> None:
    """The entry point: what is wrong is said in one sentence, without a traceback."""
    from forebay.cli.commands.running import say_what_is_wrong
    from forebay.cli.ending import say_refusals

    with say_what_is_wrong(), say_refusals():
        app()
