"""`forebay offers`: what can be launched, and what it costs. Without a sign-in too; with one prices are the team's."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.figures import dollars, figure
from forebay.cli.here import PAGE, Here, command, visible

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.client.offers import Offer

ORDERS = ("popularity", "lowestPrice", "highestPrice", "averagePrice")

Kind = Annotated[str | None, typer.Option("--type", help="DEDICATED, SPOT or CLUSTER.", metavar="TYPE")]
Gpus = Annotated[int | None, typer.Option(help="With so many GPUs; 0: machines without.", min=0)]


def add_to(app: typer.Typer) -> None:
    """Put it beside the other commands."""
    command(app, "offers")(offers)


def offers(
    here: Here,
    search: Annotated[str | None, typer.Argument(help="A type of GPU, or part of it, as in h100.")] = None,
    *,
    kind: Kind = None,
    gpus: Gpus = None,
    provider: Annotated[str | None, typer.Option(help="Of this provider.")] = None,
    region: Annotated[str | None, typer.Option(help="In this region.")] = None,
    max_price: Annotated[str | None, typer.Option(help="For so many dollars an hour at most.")] = None,
    in_stock: Annotated[bool, typer.Option("--in-stock", help="That can be launched now.")] = False,
    sort: Annotated[str, typer.Option(help=f"By {', '.join(ORDERS)}.")] = "lowestPrice",
) -> None:
    """List what can be launched, the cheapest first. JSON is what the API answers, less what the filters leave out."""
    most = None if max_price is None else figure(max_price)
    tests: dict[str, Callable[[Any], bool]] = {}
    if gpus is not None:
        tests["gpus"] = lambda offer: offer["gpuCount"] == gpus
    if provider is not None:
        tests["provider"] = lambda offer: offer["provider"] == provider
    if region is not None:
        tests["region"] = lambda offer: region in offer["clusters"]
    if most is not None:
        tests["price"] = lambda offer: price_of(offer, kind) <= most
    if in_stock:
        tests["stock"] = lambda offer: offer["available"] and not offer["maintenance"]
    show(here, lambda offer: all(test(offer) for test in tests.values()), search=search, sort_by=sort, kind=kind)


def price_of(offer: Any, kind: str | None) -> float:
    """What it costs an hour, launched as is asked for."""
    spot = offer.get("spot_price") if kind == "SPOT" else None
    return float(offer["price"] if spot is None else spot)


def show(here: Here, is_wanted: Callable[[Any], bool], *, search: str | None, sort_by: str, kind: str | None) -> None:
    """Print the wanted ones of all pages."""
    import msgspec

    from forebay.client.offers import Offer, listed

    descending = {"sort_order": "desc"} if sort_by == "popularity" else {}
    with client(here) as asker:
        # Whose prices: the team's that is meant, where one is signed in.
        team_id = here.team().id if here.token is not None and here.wanted_team is not None else None
        pages, page, groups, answer = 1, 0, [], {}
        while page < pages:
            page += 1
            request = listed(
                search=search, sort_by=sort_by, instance_type=kind, team_id=team_id, page=page, limit=PAGE, **descending
            )
            reply = asker.exchange(request)
            answer = msgspec.json.decode(reply.raw)
            groups += answer["data"]
            pages = reply.answer.total_pages
    for group in groups:
        group["offers"] = [offer for offer in group["offers"] if is_wanted(offer)]
    groups = [group for group in groups if group["offers"]]
    if here.as_json:
        whole = {**answer, "data": groups, "total": len(groups), "page": 1, "totalPages": 1}
        sys.stdout.buffer.write(msgspec.json.encode(whole) + b"\n")
        return
    found = [(group["displayName"], msgspec.convert(offer, Offer)) for group in groups for offer in group["offers"]]
    here.rows(
        ["Offer", "GPU", "Provider", "Region", "vCPUs", "Memory", "Disk", "An hour", "Stock"],
        [row(name, offer, kind) for name, offer in found],
    )
    if not found:
        print("Nothing that can be launched is like that.", file=sys.stderr)


def client(here: Here) -> "Client":
    """With the credential where there is one: an offer is no secret."""
    return here.connect(here.token)


def row(name: str, offer: "Offer", kind: str | None) -> list[str | None]:
    """One line of the table."""
    gpu = f"{offer.gpu_count} × {name}" if offer.gpu_count else "–"
    return [
        offer.offer_id,
        f"{gpu} {offer.gpu_memory} GB" if offer.gpu_count and offer.gpu_memory else gpu,
        offer.provider,
        offer.region,
        str(offer.vcpus),
        f"{offer.memory} GB",
        f"{offer.storage} GB",
        cost(offer, kind),
        "maintenance" if offer.maintenance else str(offer.extras.get("free", "yes")) if offer.available else "none",
    ]


def cost(offer: "Offer", kind: str | None) -> str:
    """What it costs an hour: with a discount also before it, and as SPOT where it can be launched so."""
    if kind == "SPOT" and offer.spot_price is not None:
        return f"{dollars(offer.spot_price)} spot"
    words = dollars(offer.price)
    if offer.has_discount and offer.original_price is not None:
        words += f" (instead of {dollars(offer.original_price)})"
    if offer.spot_price is not None and offer.instance_type != "SPOT":
        words += f", spot {dollars(offer.spot_price)}"
    return visible(words)
