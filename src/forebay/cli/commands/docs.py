"""`forebay docs`: pages of the manual that are printed from the code."""

import typer

app = typer.Typer(help="Pages of the manual that are printed from the code.", no_args_is_help=True)


@app.callback()
def pages() -> None:
    """Pages of the manual that are printed from the code."""


@app.command("roles")
def roles() -> None:
    """Print who may do what."""
    from forebay.domain.people import roles_page

    typer.echo(roles_page.page(), nl=False)
