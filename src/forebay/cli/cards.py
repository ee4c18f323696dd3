"""`forebay cards`: the cards that a team has saved, and saving one. No card number is ever typed here."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.completion import card_names
from forebay.cli.ending import REFUSED
from forebay.cli.here import Here, Yes, command, noun, pick, visible
from forebay.cli.progress import until

if TYPE_CHECKING:
    from forebay.client.cards import Card

app = noun("cards", "Saved cards of a team: list, add, default, remove.")

WhichCard = Annotated[str, typer.Argument(help="The card, by its last four digits or id.", autocompletion=card_names)]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Don't open the page, only say where it is.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Don't wait for what comes of it.")]


@command(app, "list")
def list_all(here: Here) -> None:
    """List a team's cards."""
    from forebay.client import cards

    reply = here.exchange(cards.listed(here.team().id))
    here.table(
        reply,
        ["", "Card", "Expires", "Id"],
        [["*" if card.is_default else " ", words(card), expiry(card), card.id] for card in reply.answer.cards],
    )
    if reply.answer.no_cards_because is not None:
        print(visible(reply.answer.no_cards_because), file=sys.stderr)


@command(app, "add")
def add(
    here: Here,
    *,
    payment_method: Annotated[
        str | None, typer.Option(help="What the payment processor gave a payment page of your own, as in pm_….")
    ] = None,
    no_browser: NoBrowser = False,
    no_wait: NoWait = False,
) -> None:
    """Save a card, on a page of the payment processor. Status 1 if none came of it."""
    from forebay.client import cards

    team = here.team()
    begun = here.ask(cards.add(team.id, payment_method_id=payment_method))
    request = cards.set_up(team.id, begun.id)
    reply = until(here, request, lambda now: now.state != "claimed", lambda _: "Asking the payment processor …")
    found = reply.answer
    if found.state == "open":
        show_page(found.page_url, no_browser=no_browser or no_wait)
        if not no_wait:
            reply = until(here, request, is_over, lambda _: "Waiting until the card is saved on the page …")
            found = reply.answer
    if found.state in ("saved", "open"):
        here.say(reply, f"The card is saved for {team.name}." if found.card_id else f"The page is open: {found.id}")
        return
    here.say(reply, found.message or f"The card was not saved: {found.state}.")
    raise typer.Exit(REFUSED)


def is_over(set_up: Any) -> bool:
    """Whether it is known what came of it."""
    return set_up.state not in ("claimed", "open")


@command(app, "default")
def default(here: Here, card: WhichCard) -> None:
    """Charge this card from now on, unless another is named."""
    from forebay.client import cards

    found = choose(here, card)
    reply = here.exchange(cards.make_default(here.team().id, found.id))
    here.say(reply, f"{words(found)} is charged from now on.")


@command(app, "remove")
def remove(here: Here, card: WhichCard, yes: Yes = False) -> None:
    """Delete a card: it is charged no more."""
    from forebay.client import cards

    team, found = here.team(), choose(here, card)
    here.confirm(f"Delete {words(found)} of {team.name}?", yes)
    here.say(here.exchange(cards.remove(team.id, found.id)), f"{words(found)} is deleted, and charged no more.")


def choose(here: Here, wanted: str) -> "Card":
    """The team's card with these last four digits, or this id. Ends the program where none or several fit."""
    from forebay.client import cards

    found: Card = pick("card", wanted, here.ask(cards.listed(here.team().id)).cards, names)
    return found


def names(card: "Card") -> Iterable[str]:
    """What it may be called."""
    return card.last_four, words(card), f"{card.brand} {card.last_four}"


def words(card: "Card") -> str:
    """As people call it."""
    return f"{card.brand} ending in {card.last_four}"


def expiry(card: "Card") -> str:
    """Until when it is good."""
    return f"{card.expiry_month:02}/{card.expiry_year}" + (", expired" if card.has_expired else "")


def show_page(url: str | None, *, no_browser: bool) -> None:
    """Say where a page of the processor is, and open it where there is somebody to look at it."""
    print(f"Open   {visible(url or '')}", file=sys.stderr, flush=True)
    if not no_browser and sys.stderr.isatty() and (url or "").startswith(("http://", "https://")):
        import webbrowser

        webbrowser.open(url or "")
