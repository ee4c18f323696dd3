"""`forebay operator offers`: what may be launched, and at which price."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.commands.running import DataDir, opened

if TYPE_CHECKING:
    from forebay.domain.machines.offer_terms import Terms

offers = typer.Typer(help="Offers and prices.", no_args_is_help=True)

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
OfferId = Annotated[str, typer.Argument(help="The offer's id, as in the catalogue.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded, and shown to those whom it concerns.")]
Dollars = Annotated[str | None, typer.Option(help="Dollars an hour, like 2.50.")]
Moment = Annotated[datetime | None, typer.Option(formats=FORMATS, help="A moment in UTC.")]
Number = Annotated[int | None, typer.Option(help="A whole number; memory and storage in GB.")]
Text = Annotated[str | None, typer.Option(help="A line of text.")]


@offers.command("list")
def list_offers(data_dir: DataDir = None) -> None:
    """All offers with their prices, withdrawn ones too, and what waits for its date."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import operator_offers, price_changes
        from forebay.domain.money.amounts import in_words

        with forebay.database.read() as connection:
            seen = operator_offers.listed(connection, now=forebay.clock.now())
            waiting = price_changes.waiting(connection)
        for each in seen:
            offer = each.offer
            price = f"${in_words(offer.rate_micros)}"
            if offer.spot_rate_micros is not None:
                price += f", spot ${in_words(offer.spot_rate_micros)}"
            state = "listed" if each.is_listed else "withdrawn"
            state += ", maintenance" if offer.is_maintenance else ""
            sources = ", ".join(part.source for part in each.said) or "provider"
            typer.echo(f"{offer.id}  {price}  free {each.free}, there {each.machines}  {state}  ({sources})")
            if each.problem:
                typer.echo(f"        {each.problem}")
        for change in waiting:
            typer.echo(
                f"{change.offer_id}  {change.kind}: ${in_words(change.from_micros)} → ${in_words(change.to_micros)} "
                f"from {change.launches_at:%Y-%m-%d %H:%M} UTC"
            )


@offers.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A file as FOREBAY_OFFERS_FILE names one.")], data_dir: DataDir = None
) -> None:
    """Say all that is wrong with an offers file, line by line. Exit status 1 if anything is."""
    from forebay.cli.commands.running import read_settings
    from forebay.domain.machines import offers_file

    try:
        found = offers_file.read(file.read_text("utf-8"))
    except (offers_file.Mistakes, UnicodeDecodeError) as reason:
        for mistake in getattr(reason, "found", [reason]):
            typer.echo(f"{file}: {mistake}")
        raise typer.Exit(1) from None
    settings = read_settings(data_dir)
    unknown = []
    if not settings.is_sqlite or (settings.data_dir / "forebay.db").exists():
        unknown = unknown_to(data_dir, found)
        for offer_id in unknown:
            typer.echo(f"{file}: offer {offer_id}: no provider has it, and it is no offer of your own")
    if unknown:
        raise typer.Exit(1)
    typer.echo(f"{file}: {len(found)} offers, nothing wrong.")


def unknown_to(data_dir: Path | None, found: Mapping[str, "Terms"]) -> list[str]:
    """Offers of the file that are no offers of this cloud and have no shape of their own."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import offer_changes
        from forebay.errors import NotFound

        unknown = []
        with forebay.database.read() as connection:
            for offer_id, terms in found.items():
                if terms.is_own:
                    continue
                try:
                    offer_changes.provider_of(connection, offer_id)
                except NotFound:
                    unknown.append(offer_id)
        return unknown


@offers.command("set")
def set_terms(
    *,
    offer_id: OfferId,
    reason: Reason,
    price: Dollars = None,
    spot_price: Dollars = None,
    storage_price: Dollars = None,
    price_from: Moment = None,
    name: Text = None,
    description: Text = None,
    region: Text = None,
    minimum_runtime_minutes: Number = None,
    data_dir: DataDir = None,
) -> None:
    """Change an offer. A cut reaches what runs at once, a rise after seven days' mailed notice."""
    given = {
        "price": price,
        "spot_price": spot_price,
        "storage_price": storage_price,
        "price_from": price_from and price_from.replace(tzinfo=UTC),
        "name": name,
        "description": description,
        "region": region,
        "minimum_runtime_minutes": minimum_runtime_minutes,
    }
    said = read(given)
    if not said:
        raise typer.BadParameter("nothing is changed: give a price, say")
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import offer_changes

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            offer_changes.change(connection, None, offer_id, said, reason=reason, now=now, by=shell())
        typer.echo(f"{offer_id} is changed.")


@offers.command("create")
def create(
    *,
    offer_id: OfferId,
    provider: Annotated[str, typer.Option(help="Who launches it.")],
    pool: Annotated[str, typer.Option(help="In which of its pools.")],
    name: Annotated[str, typer.Option(help="What people read.")],
    price: Annotated[str, typer.Option(help="Dollars an hour, like 2.50.")],
    vcpus: Annotated[int, typer.Option(help="Virtual CPUs.")],
    memory: Annotated[int, typer.Option(help="GB of memory.")],
    storage: Annotated[int, typer.Option(help="GB of disk.")],
    reason: Reason,
    gpu_count: Number = None,
    gpu_type: Text = None,
    spot_price: Dollars = None,
    storage_price: Dollars = None,
    instance_type: Annotated[str | None, typer.Option(help="DEDICATED or SPOT.")] = None,
    region: Text = None,
    description: Text = None,
    data_dir: DataDir = None,
) -> None:
    """Make an offer of your own shape. Its id begins with the provider's name and a hyphen."""
    given = {
        "provider": provider, "pool": pool, "name": name, "price": price, "vcpus": vcpus, "memory": memory,
        "storage": storage, "gpu_count": gpu_count, "gpu_type": gpu_type, "spot_price": spot_price,
        "storage_price": storage_price, "instance_type": instance_type, "region": region, "description": description,
    }  # fmt: skip
    said = read(given)
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import offer_changes
        from forebay.domain.machines.offer_terms import Terms

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            offer_changes.create(connection, None, offer_id, Terms(**said), reason=reason, now=now, by=shell())
        typer.echo(f"{offer_id} is offered.")


@offers.command("withdraw")
def withdraw(offer_id: OfferId, reason: Reason, data_dir: DataDir = None) -> None:
    """Offer it no longer. What runs, runs on."""
    with opened(data_dir) as forebay:
        from forebay.cli.commands.operator import shell
        from forebay.domain.machines import offer_changes

        with forebay.database.begin() as connection:
            now = forebay.clock.now()
            offer_changes.withdraw(connection, None, offer_id, reason=reason, now=now, by=shell())
        typer.echo(f"{offer_id} is withdrawn.")


@offers.command("history")
def history(offer_id: OfferId, data_dir: DataDir = None) -> None:
    """What its prices were, who said so, and why; newest first."""
    with opened(data_dir) as forebay:
        from forebay.domain.machines import offer_changes, price_changes
        from forebay.domain.money.amounts import in_words

        with forebay.database.read() as connection:
            offer_changes.provider_of(connection, offer_id)
            found = price_changes.of_offer(connection, offer_id)
        for each in found:
            who = each.user_id or each.said_by or each.source
            state = "cancelled" if each.cancelled_at else ("since" if each.applied_at else "from")
            typer.echo(
                f"{each.announced_at:%Y-%m-%d %H:%M} UTC  {each.kind}: ${in_words(each.from_micros)} → "
                f"${in_words(each.to_micros)}, {state} {each.launches_at:%Y-%m-%d %H:%M} UTC, what ran "
                f"{each.running_at:%Y-%m-%d %H:%M} UTC  by {who}: {each.reason}"
            )


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, as `Terms` have it. Ends the program for what can't be meant."""
    from forebay.domain.machines import offers_file

    said = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            said[offers_file.NAMES[name]] = offers_file.value_of(name, value)
        except ValueError as reason:
            raise typer.BadParameter(f"--{name.replace('_', '-')} {reason}") from None
    return said
