"""The `forebay` command: one file a noun over the client, and under `commands` what starts or mends a server."""

import typer

from forebay import __version__
from forebay.cli.commands import audit, backup, database, doctor, operator, serve

app = typer.Typer(
    name="forebay",
    help="A self-hosted GPU cloud for teams.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("migrate")(database.migrate)
app.command("audit")(audit.audit)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("settings")(database.show_settings)
app.add_typer(operator.app, name="operator")
app.add_typer(doctor.image, name="image")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """The entry point: what is wrong is said in one sentence, without a traceback."""
    from forebay.cli.commands.running import say_what_is_wrong

    with say_what_is_wrong():
        app()
