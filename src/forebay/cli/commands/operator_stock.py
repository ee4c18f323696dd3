"""`forebay operator stock`, `maintenance` and `discounts`: what is held back, and what costs a team less."""

from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer

from forebay.cli.commands.operator_offers import Moment, Reason
from forebay.cli.commands.running import DataDir, opened

stock = typer.Typer(help="So many machines of an offer or a pool at most.", no_args_is_help=True)
maintenance = typer.Typer(help="Of what nothing can be launched for now.", no_args_is_help=True)
discounts = typer.Typer(help="Percents off the prices of a team.", no_args_is_help=True)

Scope = Annotated[str, typer.Argument(help="offer, pool, region or provider.")]
Subject = Annotated[str, typer.Argument(help="Its id or name; of a pool `<provider>/<pool>`.")]
TeamName = Annotated[str, typer.Argument(help="The team's slug or id.")]
SCOPES = ("offer", "pool", "region", "provider")


@stock.command("cap")
def cap(scope: Scope, subject: Subject, most: int, reason: Reason, data_dir: DataDir = None) -> None:
    """Let at most so many machines of an offer or in a pool be there at once; 0: no more."""
    if scope not in SCOPES[:2]:
        raise typer.BadParameter("only an offer or a pool has a stock")
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import restrictions

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            restrictions.cap_stock(connection, None, scope, subject, most, reason=reason, now=now, by=shell())
        typer.echo(f"At most {most} machines of {subject}.")


@stock.command("uncap")
def uncap(scope: Scope, subject: Subject, reason: Reason, data_dir: DataDir = None) -> None:
    """Let there be as many as fit again."""
    lift("stock", scope, subject, reason, data_dir)
    typer.echo(f"As many of {subject} as fit.")


@maintenance.command("begin")
def begin(scope: Scope, subject: Subject, reason: Reason, until: Moment = None, data_dir: DataDir = None) -> None:
    """Let nothing of it be launched; what runs, runs on. It lasts until it is ended."""
    if scope not in SCOPES:
        raise typer.BadParameter(f"one of {', '.join(SCOPES)}")
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import restrictions

        until_at = until and until.replace(tzinfo=UTC)
        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            restrictions.begin_maintenance(
                connection, None, scope, subject, until_at=until_at, reason=reason, now=now, by=shell()
            )
        typer.echo(f"{subject} is under maintenance.")


@maintenance.command("end")
def end(scope: Scope, subject: Subject, reason: Reason = "done", data_dir: DataDir = None) -> None:
    """Let it be launched again."""
    lift("maintenance", scope, subject, reason, data_dir)
    typer.echo(f"{subject} can be launched again.")


@maintenance.command("list")
def list_restrictions(data_dir: DataDir = None) -> None:
    """What is under maintenance, and what is capped."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import restrictions

        with forebay.database.read() as connection:
            found = restrictions.listed(connection)
        for each in found:
            what = f"at most {each.most}" if each.kind == "stock" else "maintenance"
            until = f", until {each.until_at:%Y-%m-%d %H:%M} UTC" if each.until_at else ""
            typer.echo(
                f"{each.scope} {each.subject}: {what}{until}, since {each.set_at:%Y-%m-%d %H:%M} UTC: {each.reason}"
            )


def lift(kind: str, scope: str, subject: str, reason: str, data_dir: Path | None) -> None:
    """Hold something back no longer."""
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import restrictions

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            restrictions.lift(connection, None, kind, scope, subject, reason=reason, now=now, by=shell())


@discounts.command("give")
def give(
    *,
    team: TeamName,
    percent: Annotated[str, typer.Argument(help="Like 12.5.")],
    reason: Reason,
    offer: Annotated[str | None, typer.Option(help="Of this offer alone.")] = None,
    gpu_type: Annotated[str | None, typer.Option(help="Of this type of GPU alone.")] = None,
    starts: Moment = None,
    ends: Moment = None,
    data_dir: DataDir = None,
) -> None:
    """Give a team a discount, and tell its owners and admins. Of several the highest counts."""
    from decimal import Decimal, InvalidOperation

    try:
        points = Decimal(percent.removesuffix("%")) * 100
        basis_points = int(points) if points == points.to_integral_value() else 0
    except InvalidOperation:
        basis_points = 0
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import discounts as rules
        from forebay.domain.people import teams

        wish = rules.Wish(
            basis_points=basis_points,
            offer_id=offer,
            gpu_type=gpu_type,
            starts_at=starts and starts.replace(tzinfo=UTC),
            ends_at=ends and ends.replace(tzinfo=UTC),
        )
        with forebay.database.begin() as connection:
            team_id = teams.id_of_slug_or_id(connection, team)
            now = forebay.clock.now()
            given = rules.give(connection, None, team_id, wish, reason=reason, now=now, by=shell())
        typer.echo(f"{team} has {given.percent} off {given.what_for}: {given.id}")


@discounts.command("end")
def end_discount(
    discount: Annotated[str, typer.Argument(help="The id that `give` printed.")],
    reason: Reason,
    at: Moment = None,
    data_dir: DataDir = None,
) -> None:
    """End a discount before its time, seven days from now at the earliest; owners and admins are told."""
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import discounts as rules

        with forebay.database.begin() as connection:
            moment = at and at.replace(tzinfo=UTC)
            now = forebay.clock.now()
            ended = rules.end(connection, None, discount, at=moment, reason=reason, now=now, by=shell())
        typer.echo(f"It ends on {ended.ends_at:%Y-%m-%d %H:%M:%S} UTC.")


@discounts.command("list")
def list_discounts(
    team: Annotated[str | None, typer.Argument(help="Its slug or id.")] = None, data_dir: DataDir = None
) -> None:
    """All discounts, past ones too, newest first."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import discounts as rules
        from forebay.domain.people import teams

        with forebay.database.read() as connection:
            team_id = None if team is None else teams.id_of_slug_or_id(connection, team)
            found, _ = rules.listed(connection, team_id=team_id, page=1, limit=1000)
        for each in found:
            until = "" if each.ends_at is None else f" until {each.ends_at:%Y-%m-%d %H:%M} UTC"
            typer.echo(
                f"{each.id}  {each.team_id}  {each.percent} off {each.what_for}, "
                f"from {each.starts_at:%Y-%m-%d %H:%M} UTC{until}: {each.reason}"
            )
