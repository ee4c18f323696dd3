"""`forebay top-up` and `top-ups`: buying credits, and what was bought."""

import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.cards import NoBrowser, NoWait, choose, show_page, words
from forebay.cli.ending import NO_ANSWER, REFUSED, end
from forebay.cli.figures import dollars, figure
from forebay.cli.here import Here, Yes, command, every_page, refuse_usage, visible, when
from forebay.cli.progress import until

if TYPE_CHECKING:
    from forebay.client import Reply, Request
    from forebay.client.cards import Card
    from forebay.client.top_ups import TopUp

CARD_SECONDS = 120.0
"""So long a person waits for a card; the payment itself goes on."""


def add_to(app: typer.Typer) -> None:
    """Put them beside the other commands."""
    command(app, "top-up")(top_up)
    command(app, "top-ups")(top_ups)


def top_up(
    here: Here,
    amount: Annotated[str | None, typer.Argument(help="In dollars, from $15 to $5,000; asked for if left out.")] = None,
    *,
    card: Annotated[
        str | None, typer.Option(help="The card, by its last four digits or id; else the default one.")
    ] = None,
    checkout: Annotated[bool, typer.Option("--checkout", help="Pay on a page of the payment processor.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Yours, a new one for each payment: the same key again is the same payment.")
    ] = None,
    no_browser: NoBrowser = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Buy credits for a team, by a saved card or on a page. Status 1 if nothing was charged."""
    if checkout and card is not None:
        refuse_usage("A payment page asks for the card itself: leave --card out.")
    team = here.team()
    sum_ = figure(amount) if amount is not None else ask_for_amount(here)
    if not checkout:
        chosen = choose(here, card) if card is not None else default_card(here)
        here.confirm(f"Charge {dollars(sum_)} to {words(chosen)} for {team.name}?", yes)
        card = None if card is None else chosen.id
    key = key or secrets.token_hex(8)
    with how_to_go_on(["top-up", f"{sum_:g}", "--key", key, *paid_by(card, checkout)]):
        reply = pay(here, team.id, sum_, client_key=key, card_id=card, checkout=checkout or None)
        if checkout and reply.answer.is_open:
            show_page(reply.answer.page_url, no_browser=no_browser or no_wait)
        if not no_wait:
            seconds = None if checkout else CARD_SECONDS
            request = top_ups_of(team.id, reply.answer)
            reply = until(here, request, lambda now: not now.is_open, waiting_for, seconds=seconds)
    tell(here, reply, team.name, no_wait)


def pay(here: Here, team_id: str, amount: float, **how: Any) -> "Reply[TopUp]":
    """Begin the payment; with a page, as soon as there is its address."""
    from forebay.client import top_ups

    begun = here.exchange(top_ups.buy(team_id, amount, **how))
    if not how["checkout"]:
        return begun
    return until(
        here,
        top_ups_of(team_id, begun.answer),
        lambda now: now.page_url is not None or not now.is_open,
        lambda _: "Asking the payment processor …",
        seconds=CARD_SECONDS,
    )


def top_ups_of(team_id: str, found: "TopUp") -> "Request[TopUp]":
    """How the payment stands."""
    from forebay.client import top_ups

    return top_ups.show(team_id, found.id)


def paid_by(card_id: str | None, checkout: bool) -> list[str]:
    """The options that say so."""
    return ["--checkout"] if checkout else ["--card", card_id] if card_id is not None else []


def waiting_for(now: "TopUp") -> str:
    """What a person who waits is told."""
    if now.state == "unknown":
        return "The card may have been charged: the payment processor is being asked …"
    return "Waiting until somebody pays on the page …" if now.path == "checkout" else "The card is being charged …"


@contextmanager
def how_to_go_on(command: list[str]) -> Iterator[None]:
    """Whatever cuts it off: say how the same payment is asked for again, and none twice."""
    from forebay.client import Refusal, ServerFailed

    try:
        yield
    except BaseException as error:
        if not isinstance(error, Refusal) or isinstance(error, ServerFailed):
            again = shlex.join(["forebay", *command])
            print(f"To go on with the same payment, and pay once: {visible(again)}", file=sys.stderr)
        raise


def tell(here: Here, reply: "Reply[TopUp]", team_name: str, no_wait: bool) -> None:
    """Say what came of it. Ends the program with status 1 where nothing was charged, 5 where that isn't known yet."""
    found = reply.answer
    if found.state == "succeeded":
        here.say(reply, f"{team_name} has {dollars(found.amount)} of credits more.")
        return
    if not found.is_open:
        here.say(reply, f"Nothing was charged. {found.message or found.state}")
        raise typer.Exit(REFUSED)
    here.say(reply, f"The payment goes on as {found.id}. What comes of it: forebay top-ups")
    if not no_wait:
        raise typer.Exit(NO_ANSWER)


def ask_for_amount(here: Here) -> float:
    """The amount, from the person in the terminal. Ends the program where there is nobody to ask."""
    from forebay.client import top_ups

    if not sys.stdin.isatty():
        refuse_usage("Say how much, in dollars: forebay top-up 50")
    found = here.ask(top_ups.listed(here.team().id, limit=1))
    if found.no_cards_because is not None:
        end(visible(found.no_cards_because))
    usual = ", ".join(whole(preset) for preset in found.presets)
    print(f"Usual amounts: {usual}; any from {whole(found.least)} to {whole(found.most)}.", file=sys.stderr)
    return figure(typer.prompt("How many dollars", err=True))


def whole(amount: float) -> str:
    """An amount without cents, as presets are."""
    return dollars(amount).removesuffix(".00")


def default_card(here: Here) -> "Card":
    """The team's default card. Ends the program where there is none."""
    from forebay.client import cards

    found = here.ask(cards.listed(here.team().id))
    if found.no_cards_because is not None:
        end(visible(found.no_cards_because))
    for card in found.cards:
        if card.is_default:
            return card
    end("The team has no default card: name one with --card, save one (forebay cards add), or pay with --checkout.")


def top_ups(here: Here) -> None:
    """List a team's payments, whatever came of them."""
    from forebay.client import top_ups

    team_id = here.team().id
    reply = here.exchange(top_ups.listed(team_id, limit=100))
    found = reply.answer.top_ups
    if not here.as_json and reply.answer.total_pages > 1:
        found = every_page(here, top_ups.listed, "top_ups", team_id)
    here.table(
        reply,
        ["At", "Amount", "How", "State", "Why", "Id"],
        [[when(one.created_at), dollars(one.amount), one.path, one.state, one.message, one.id] for one in found],
    )
