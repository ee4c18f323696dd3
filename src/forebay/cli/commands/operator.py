"""`forebay operator`: what the people who run the platform do, on the machine that holds the books.

All of it is recorded.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.commands import operator_machines, operator_offers, operator_stock
from forebay.cli.commands.running import DataDir, opened

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forebay.app import Forebay

app = typer.Typer(help="What operators of the platform do.", no_args_is_help=True)

app.add_typer(operator_offers.offers, name="offers")
app.add_typer(operator_stock.stock, name="stock")
app.add_typer(operator_stock.maintenance, name="maintenance")
app.add_typer(operator_stock.discounts, name="discounts")
app.add_typer(operator_machines.orphans, name="orphans")
app.command("providers")(operator_machines.providers)
app.command("capacity")(operator_machines.capacity)
app.command("reclaim")(operator_machines.reclaim)

Email = Annotated[str, typer.Argument(help="The address of the account.")]
Reason = Annotated[str, typer.Option(help="Why; it is shown and recorded.")]


@app.command("create")
def create(
    email: Email,
    name: Annotated[str, typer.Option(help="The person's name.")] = "Operator",
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            envvar="OPERATOR_PASSWORD",
            help="Asked for if left out.",
        ),
    ] = "",
    data_dir: DataDir = None,
) -> None:
    """Make an operator: a new account whose address counts as proved, or an existing account that gets the flag."""
    with opened(data_dir, must_exist=False) as forebay:
        from forebay.domain.money import ledger
        from forebay.domain.people import accounts, passwords

        email = accounts.check_email(email)
        password_hash = passwords.hash_new(password, email=email, name=name)
        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            account = accounts.by_email(connection, email)
            if account is None:
                account, team_id = accounts.create(
                    connection,
                    email=email,
                    name=accounts.check_name(name),
                    password_hash=password_hash,
                    now=now,
                    is_verified=True,
                )
                ledger.open_account(connection, team_id)
            accounts.make_operator(connection, account.id)
            accounts.set_api_access(connection, account.id, "approved", reason="operator", now=now)
            note(connection, forebay, "operator.create", "account", account.id)
        typer.echo(f"{email} is an operator.")


@app.command("grant")
def grant(
    team: Annotated[str, typer.Argument(help="The team's slug or id.")],
    amount: Annotated[str, typer.Argument(help="Dollars, like 25 or 12.50.")],
    reason: Reason = "granted by the operator",
    data_dir: DataDir = None,
) -> None:
    """Give credits to a team."""
    with opened(data_dir) as forebay:
        from forebay.domain.money import grants, ledger
        from forebay.domain.money.amounts import from_dollars
        from forebay.domain.people import teams

        try:
            amount_micros = from_dollars(amount.removeprefix("$"))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if amount_micros <= 0:
            raise typer.BadParameter("the amount must be more than zero")
        with forebay.database.begin() as connection:
            team_id = teams.id_of_slug_or_id(connection, team)
            now = forebay.clock.now()
            transfer = grants.give(connection, None, team_id, amount_micros, reason=reason, now=now, by=shell())
            balance = ledger.balance(connection, team_id)
        typer.echo(
            f"granted ${amount_micros / 1e6:,.2f} as {transfer.id}; {team} has ${balance.balance_micros / 1e6:,.6f}"
        )


@app.command("take-back")
def take_back(
    transfer: Annotated[str, typer.Argument(help="The id that `grant` printed.")],
    reason: Reason = "taken back by the operator",
    data_dir: DataDir = None,
) -> None:
    """Take a grant back, once. The balance may go below zero by it."""
    with opened(data_dir) as forebay:
        from forebay.domain.money import grants

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            back = grants.take_back(connection, None, transfer, reason=reason, now=now, by=shell())
        typer.echo(f"taken back as {back.id}")


@app.command("approve-api")
def approve_api(email: Email, reason: Reason = "", data_dir: DataDir = None) -> None:
    """Let an account make API keys."""
    decide(email, "approved", reason, data_dir)


@app.command("refuse-api")
def refuse_api(email: Email, reason: Reason, data_dir: DataDir = None) -> None:
    """Refuse API access to an account, with the reason."""
    decide(email, "refused", reason, data_dir)


def decide(email: str, state: str, reason: str, data_dir: DataDir) -> None:
    """Change where an account stands on the whitelist, and mail it."""
    with opened(data_dir) as forebay:
        from forebay.domain.people import accounts, operators
        from forebay.errors import NotFound

        with forebay.database.begin() as connection:
            account = accounts.by_email(connection, email)
            if account is None:
                raise NotFound("Account")
            now = forebay.clock.now()
            operators.decide_api_access(connection, None, account.id, state, reason=reason, now=now, by=shell())
        typer.echo(f"API access of {account.email}: {state}")


@app.command("freeze")
def freeze(
    team: Annotated[str, typer.Argument(help="The team's slug or id.")], reason: Reason, data_dir: DataDir = None
) -> None:
    """Freeze a team: it can launch, start and grow nothing. What runs, runs on; its owners are told why."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import teams as machine_teams
        from forebay.domain.people import teams

        with forebay.database.begin() as connection:
            team_id = teams.id_of_slug_or_id(connection, team)
            machine_teams.freeze(connection, None, team_id, reason=reason, now=forebay.clock.now(), by=shell())
        typer.echo(f"{team} is frozen.")


@app.command("unfreeze")
def unfreeze(
    team: Annotated[str, typer.Argument(help="The team's slug or id.")],
    reason: Reason = "looked into",
    data_dir: DataDir = None,
) -> None:
    """Lift the freeze of a team."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import teams as machine_teams
        from forebay.domain.people import teams

        with forebay.database.begin() as connection:
            team_id = teams.id_of_slug_or_id(connection, team)
            machine_teams.unfreeze(connection, None, team_id, reason=reason, now=forebay.clock.now(), by=shell())
        typer.echo(f"{team} is not frozen any more.")


@app.command("invite")
def invite(email: Email, data_dir: DataDir = None) -> None:
    """Let an address make an account while sign-up is by invitation, and mail it."""
    with opened(data_dir) as forebay:
        from forebay.domain.people import accounts, mails

        email = accounts.check_email(email)
        address = forebay.settings.public_url or f"http://{forebay.settings.host}:{forebay.settings.port}"
        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            accounts.invite_to_sign_up(connection, email, now=now)
            text = f"You are invited to make an account with this address within a week, at\n{address}\n"
            mails.queue(connection, recipient=email, subject="You are invited to Forebay", text=text, now=now)
            note(connection, forebay, "account.invite", "email", accounts.email_key(email)[:80])
        typer.echo(f"{email} may make an account within a week.")


def note(connection: "Connection", forebay: "Forebay", action: str, kind: str, object_id: str) -> None:
    """A row in the activity of the platform."""
    from forebay.domain.people import operators

    operators.record(connection, None, action, kind, object_id, now=forebay.clock.now(), by=shell())


def shell() -> str:
    """Who it is: somebody with a shell on the machine that holds the books, which is all that is known of them."""
    import getpass

    return f"operator's shell, {getpass.getuser()}"
