"""`forebay operator providers`, `capacity`, `orphans` and `reclaim`: what runs, where, and what should not."""

from typing import Annotated

import typer

from forebay.cli.commands.running import DataDir, opened

orphans = typer.Typer(help="Instances that carry this cloud's mark and have no record.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; it is recorded, and shown to those whom it concerns.")]


def providers(data_dir: DataDir = None) -> None:
    """Whether each provider answers, since when, and what its doctor found."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import orphans as strays
        from forebay.domain.machines import provider_states

        with forebay.database.read() as connection:
            states = provider_states.listed(connection)
            standing = strays.standing(connection)
        for state in states:
            says = "answers" if state.is_reachable else f"does not answer ({state.last_error})"
            seen = "never" if state.observed_at is None else f"{state.observed_at:%Y-%m-%d %H:%M:%S} UTC"
            count = sum(orphan.provider == state.name for orphan in standing)
            typer.echo(
                f"{state.name} {says} since {state.since:%Y-%m-%d %H:%M:%S} UTC; last seen {seen}; "
                f"{state.instances} instances, {count} orphans"
            )
            for finding in state.findings or []:
                if not finding["is_ok"]:
                    typer.echo(f"        {finding['name']}: {finding['found']}  {finding['remedy']}")


def capacity(
    pool: Annotated[str | None, typer.Option(help="Of this pool alone.")] = None, data_dir: DataDir = None
) -> None:
    """What each pool has, what of it is taken, and by whom since when; stopped machines too."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import capacity as figures

        with forebay.database.read() as connection:
            pools = [each for each in figures.figures(connection) if pool in (None, each.id)]
            takers, total = figures.takers(connection, pool_id=pool, offer_id=None, page=1, limit=1000)
        for each in pools:
            names = ("vCPU", "GB memory", "GB disk", "GPUs")
            parts = zip(each.taken, each.total, names, strict=True)
            measures = ", ".join(f"{taken} of {of} {name}" for taken, of, name in parts)
            cap = "" if each.most is None else f", at most {each.most} machines"
            typer.echo(f"{each.id}: {measures}{cap}")
        for taker in takers:
            typer.echo(
                f"{taker.deployment_id}  {taker.offer_id}  {taker.status}  {taker.team_name}  {taker.created_by_name}  "
                f"since {taker.created_at:%Y-%m-%d %H:%M} UTC"
            )
        if total > len(takers):
            typer.echo(f"… and {total - len(takers)} more")


@orphans.command("list")
def list_orphans(data_dir: DataDir = None) -> None:
    """All of them, those first that have been there longest."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import orphans as strays

        with forebay.database.read() as connection:
            standing = strays.standing(connection)
        for each in standing:
            ending = ", is being ended" if each.end_asked_at else ""
            typer.echo(
                f"{each.provider} {each.instance_id}  {each.state}  since {each.found_at:%Y-%m-%d %H:%M} UTC{ending}"
            )


@orphans.command("end")
def end_orphan(
    provider: Annotated[str, typer.Argument(help="Its provider.")],
    instance: Annotated[str, typer.Argument(help="Its id, as `list` prints it.")],
    reason: Reason,
    data_dir: DataDir = None,
) -> None:
    """Have one ended by the worker, which asks the provider until it is gone."""
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import orphans as strays

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            strays.ask_end(connection, None, provider, instance, reason=reason, now=now, by=shell())
        typer.echo(f"{instance} is being ended.")


def reclaim(
    deployment: Annotated[str, typer.Argument(help="The deployment's id.")],
    reason: Reason,
    notice_seconds: Annotated[int | None, typer.Option(help="Else the setting's, 120 at first.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Take a spot machine back, after notice to it and its people."""
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import reclaims

        seconds = forebay.settings.reclaim_notice_seconds if notice_seconds is None else notice_seconds
        with forebay.database.begin() as connection:
            at = reclaims.by_operator(
                connection, None, deployment, reason=reason, seconds=seconds, now=forebay.clock.now(), by=shell()
            )
        typer.echo(f"{deployment} is taken back at {at:%Y-%m-%d %H:%M:%S} UTC.")
