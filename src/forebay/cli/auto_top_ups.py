"""`forebay auto-top-up`: on what terms a team's card is charged by itself, how that stands, and letting it go on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.ending import NOT_FOUND, end
from forebay.cli.figures import dollars, figure
from forebay.cli.here import Here, Yes, command, noun, visible, when

if TYPE_CHECKING:
    from forebay.client import Reply

app = noun("auto-top-up", "Auto top-up: show, set, off, try-again.")


@command(app, "show")
def show(here: Here) -> None:
    """Show the terms, how it stands, and the last attempts."""
    from forebay.client import billing

    reply = here.exchange(billing.show(here.team().id))
    if here.print_json(reply):
        return
    found = reply.answer.auto_top_up
    if found is None:
        end("You may not manage the billing of this team; its owners and admins may.", NOT_FOUND)
    tell(here, reply, found)
    if found.last_attempts:
        print()
        here.table(
            reply,
            ["Attempt", "Amount", "State", "Why"],
            [[when(one.created_at), dollars(one.amount), one.state, one.message] for one in found.last_attempts],
        )


@command(app, "set")
def set_terms(
    here: Here,
    threshold: Annotated[str, typer.Argument(help="Charge when the balance is below this: $5 to $500.")],
    amount: Annotated[str, typer.Argument(help="How much: $15 to $5,000.")],
    *,
    max_charge: Annotated[
        str | None, typer.Option(help="The most one charge may be, where one amount is too little.")
    ] = None,
    month_ceiling: Annotated[str | None, typer.Option(help="The most in a calendar month, in dollars.")] = None,
    day_ceiling: Annotated[int | None, typer.Option(help="The most charges in a day.", min=1, max=288)] = None,
    card: Annotated[str | None, typer.Option(help="Id of a saved card; else the default one of the moment.")] = None,
    yes: Yes = False,
) -> None:
    """Turn auto top-up on with these terms, after showing what is agreed to. What isn't given has no ceiling."""
    from forebay.client import NotValid, auto_top_ups

    team_id = here.team().id
    terms: dict[str, Any] = {
        "threshold": figure(threshold),
        "amount": figure(amount),
        "max_charge_amount": None if max_charge is None else figure(max_charge),
        "month_ceiling": None if month_ceiling is None else figure(month_ceiling),
        "day_ceiling": day_ceiling,
        "card_id": card,
    }
    if not yes:
        try:
            here.ask(auto_top_ups.put(team_id, **terms))
        except NotValid as refused:
            if refused.code != "CONSENT_NEEDED":
                raise
            here.confirm(f"{refused.details['consentText']} Do you agree?", yes)
    reply = here.exchange(auto_top_ups.put(team_id, **terms, agree=True))
    tell(here, reply, reply.answer)


@command(app, "off")
def off(here: Here) -> None:
    """Turn auto top-up off: nothing is charged by itself any more."""
    from forebay.client import auto_top_ups

    reply = here.exchange(auto_top_ups.put(here.team().id, is_on=False))
    here.say(reply, reply.answer.says)


@command(app, "try-again")
def try_again(here: Here) -> None:
    """Let auto top-up go on after it has stopped, with the same card or another one."""
    from forebay.client import auto_top_ups

    reply = here.exchange(auto_top_ups.try_again(here.team().id))
    here.say(reply, reply.answer.says)


def tell(here: Here, reply: "Reply[Any]", found: Any) -> None:
    """Print the terms and the state."""
    if here.print_json(reply):
        return
    facts = {"State": found.says}
    if found.threshold is not None:
        facts |= {
            "Charges below": dollars(found.threshold),
            "Amount": dollars(found.amount),
            "At once": f"at most {dollars(found.max_charge_amount)}",
            "A month": ceiling(None if found.month_ceiling is None else dollars(found.month_ceiling)),
            "A day": ceiling(None if found.day_ceiling is None else f"{found.day_ceiling} charges"),
            "Next attempt": when(found.next_attempt_at) or "when the balance is below the threshold",
        }
    if found.is_on:
        facts |= {"Means": found.meaning, "Beware": found.warning}
    for name, value in facts.items():
        print(f"{name:<15}{visible(value)}")


def ceiling(words: str | None) -> str:
    """A ceiling, or that there is none."""
    return "no ceiling" if words is None else f"at most {words}"
