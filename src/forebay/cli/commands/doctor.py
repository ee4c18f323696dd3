"""`forebay doctor` and `forebay image`: what this machine lacks, and how to get it."""

from typing import Annotated

import typer

from forebay.cli.commands.running import DataDir, opened, read_settings

image = typer.Typer(help="The base image of local machines.", no_args_is_help=True)


def doctor(data_dir: DataDir = None) -> None:
    """Check this machine, the database and the providers; say what is missing and how to get it.

    Exit status 1 if anything is.
    """
    with opened(data_dir, must_exist=False) as forebay:
        forebay.open_providers("http://127.0.0.1")
        findings = [finding for provider in forebay.providers.values() for finding in provider.doctor()]
        from forebay.domain.machines import alerts

        with forebay.database.read() as connection:
            standing = alerts.open_ones(connection)
        typer.echo(f"ok    database: {forebay.database.url.render_as_string(hide_password=True)}")
        typer.echo(f"ok    mail: {forebay.sender.description}")
        for finding in findings:
            mark = "ok   " if finding.is_ok else ("LACKS" if finding.is_required else "note ")
            typer.echo(f"{mark} {finding.name}: {finding.found}")
            if not finding.is_ok and finding.remedy:
                typer.echo(f"        {finding.remedy}")
        for alert in standing:
            typer.echo(f"ALERT {alert.kind}: {alert.text} (since {alert.raised_at:%Y-%m-%d %H:%M:%S} UTC)")
        if standing or any(not finding.is_ok and finding.is_required for finding in findings):
            raise typer.Exit(1)


@image.command("build")
def build(
    podman: Annotated[str | None, typer.Option(help="The Podman program (FOREBAY_PODMAN).")] = None,
) -> None:
    """Build the base image now, so that the first launch need not wait for it. Nothing happens if it is there."""
    from forebay.app import build_image

    build_image(read_settings(None, podman=podman), typer.echo)
