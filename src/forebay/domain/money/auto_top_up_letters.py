"""What owners and admins are told of auto top-up: that it stopped, wants a person at the card, or can't keep up."""

from forebay.domain.money.declines import sentence
from forebay.domain.money.low_balance_letters import About, LetterTo, dollars
from forebay.domain.money.outlook import counted
from forebay.domain.people.letters import Letter, plain

__all__ = ["About"]


def stopped(about: About, code: str, failures: int) -> LetterTo:
    """It charges nothing until somebody acts."""
    often = "The charge failed" if failures == 1 else f"{counted(failures, 'charge')} failed in a row"
    return about.letter(
        "auto top-up has stopped",
        [
            f"{often}, and auto top-up of {plain(about.name)} has stopped: nothing is charged any more. "
            f"{sentence(code)}",
            "When the credits are used up, machines are stopped. Save another card and make it the default one, or let "
            "the same card be tried again:\n"
            f"forebay auto-top-up try-again --team {about.team_id} --server {about.public_url}\n"
            f"or, for programs: POST {about.public_url}/api/teams/{about.team_id}/auto-top-up/try-again",
        ],
    )


def too_little(about: About, most_micros: int, burn_micros_per_hour: int) -> LetterTo:
    """At this burn the credits run out in spite of it."""
    return about.letter(
        "auto top-up can't keep up",
        [
            f"{plain(about.name)} spends {dollars(burn_micros_per_hour)} an hour. Auto top-up charges at most "
            f"{dollars(most_micros)} at once, and at most every 5 minutes: at this rate the credits run out all the "
            "same, and machines are stopped.",
            "Raise the amount and the most that one charge may be, or stop what isn't needed.",
        ],
    )


def confirm(about: About, amount_micros: int, url: str) -> LetterTo:
    """The bank wants its holder: here is where they pay."""
    return lambda name: Letter(
        subject=f"{plain(about.name)}: the bank wants a top-up to be confirmed",
        name=plain(name),
        paragraphs=[
            f"an automatic top-up of {plain(about.name)} by {dollars(amount_micros)} was not made, because the card's "
            "bank wants its holder to confirm the payment. Nothing was charged. Pay on this page, where the bank can "
            "ask:",
        ],
        label=f"Pay {dollars(amount_micros)}",
        link=url,
        after=["The page is good for half an hour. Auto top-up tries again in an hour, unless it has stopped."],
    )
