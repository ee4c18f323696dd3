"""What owners and admins are told when the credits run low, are gone, and when disks go: one letter a step.

Each says what has happened, what will happen next if nobody does anything, and how to change that.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from forebay.domain.money.amounts import in_words
from forebay.domain.money.outlook import Outlook, counted, lasting
from forebay.domain.people.letters import Letter, plain

LetterTo = Callable[[str], Letter]
"""The letter to a person of this name."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The team that a letter is about, and where this cloud is."""

    team_id: str
    name: str
    public_url: str

    def letter(self, subject: str, paragraphs: Sequence[str], after: Sequence[str] = ()) -> LetterTo:
        """A letter with the way to the team's billing below it."""
        billing = f"{self.public_url}/api/teams/{self.team_id}/billing"
        return lambda name: Letter(
            subject=f"{plain(self.name)}: {subject}",
            name=plain(name),
            paragraphs=paragraphs,
            label="Open billing",
            link=f"{self.public_url}/billing/{self.team_id}",
            after=[*after, f"How the team stands, for programs: GET {billing}"],
        )

    def start_again(self) -> str:
        """How to start what was stopped."""
        return (
            "Nothing starts by itself. Once there are credits again, this starts everything that was stopped for lack "
            "of them, as far as they last:\n"
            f"forebay start-again --team {self.team_id} --server {self.public_url}\n"
            f"or, for programs: POST {self.public_url}/api/teams/{self.team_id}/start-again"
        )


def dollars(amount_micros: int) -> str:
    """An amount as people read it: $3.50, -$0.00001."""
    return f"{'-' if amount_micros < 0 else ''}${in_words(abs(amount_micros))}"


def moment(at: datetime) -> str:
    """A moment as people read it."""
    return f"{at:%-d %B %Y at %H:%M} UTC"


def runway(
    about: About, stands: Outlook, top_up: str, wait_seconds: int, grace_days: int, *, now: datetime
) -> LetterTo:
    """The credits last so long and no longer. Something must be burning."""
    seconds = stands.runway_seconds or 0
    return about.letter(
        f"the credits last {lasting(seconds)}",
        [
            f"{plain(about.name)} has {dollars(stands.balance_micros)} and spends "
            f"{dollars(stands.burn_micros_per_hour)} an hour, disks included. "
            f"At this rate the credits are gone on {moment(now + timedelta(seconds=seconds))}.",
            "Then nothing can be launched or started any more. "
            f"A top-up that is about to come is waited for, {counted(wait_seconds // 60, 'minute')} at most. "
            "After that, machines that can pause are stopped and all others are terminated. "
            "Disks of stopped machines and volumes go on costing, "
            f"are kept for {counted(grace_days, 'day')} and then deleted.",
            f"{top_up} Add credits, or stop what isn't needed.",
        ],
    )


def waiting(about: About, machines: Sequence[str], balance_micros: int, until: datetime) -> LetterTo:
    """The credits are gone, and machines run on for a while."""
    return about.letter(
        "the credits ran out, a top-up is waited for",
        [
            f"The balance of {plain(about.name)} is {dollars(balance_micros)}. "
            "Nothing can be launched or started. A top-up is on its way; until it comes these machines run on, "
            f"until {moment(until)} at most:",
            "\n".join(machines),
            "If it doesn't come by then, those that can pause are stopped and all others are terminated.",
        ],
    )


def stopped(
    about: About, kept: Sequence[str], ended: Sequence[str], balance_micros: int, deletion_at: datetime
) -> LetterTo:
    """The credits are gone: what was stopped, and what was terminated."""
    paragraphs = [f"The credits of {plain(about.name)} ran out. The balance is {dollars(balance_micros)}."]
    if kept:
        paragraphs += ["Stopped, with their disks kept:", "\n".join(kept)]
    if ended:
        paragraphs += ["Terminated, because they can't be stopped:", "\n".join(ended)]
    return about.letter(
        "machines were stopped because the credits ran out",
        [*paragraphs, disks_until(deletion_at)],
        [about.start_again()],
    )


def kept(about: About, machines: Sequence[str], balance_micros: int, deletion_at: datetime, days: int) -> LetterTo:
    """The credits are gone, and nothing but disks is there."""
    listed = ["\n".join(machines)] if machines else []
    return about.letter(
        f"the credits ran out; disks are kept for {counted(days, 'day')}",
        [
            f"The credits of {plain(about.name)} ran out. The balance is {dollars(balance_micros)}. "
            "Nothing runs; these volumes, and these machines with their disks, are kept:",
            *listed,
            disks_until(deletion_at),
        ],
        [about.start_again()],
    )


def disks_go(about: About, machines: Sequence[str], balance_micros: int, deletion_at: datetime) -> LetterTo:
    """The disks are about to be deleted."""
    return about.letter(
        f"disks will be deleted on {moment(deletion_at)}",
        [
            f"{plain(about.name)} has no credits: the balance is {dollars(balance_micros)}. "
            f"On {moment(deletion_at)} these volumes, and these machines with their disks, are deleted, "
            "and nobody can bring them back:",
            "\n".join(machines),
            "Adding credits before that, enough to be above zero, keeps them.",
        ],
        [about.start_again()],
    )


def disks_gone(about: About, machines: Sequence[str], balance_micros: int, days: int) -> LetterTo:
    """The disks were deleted."""
    return about.letter(
        f"disks were deleted after {counted(days, 'day')} without credits",
        [
            f"{plain(about.name)} had no credits for {counted(days, 'day')}. "
            "These volumes, and these machines with their disks, were deleted:",
            "\n".join(machines),
            f"The balance is {dollars(balance_micros)}; the next deposit pays that first.",
        ],
    )


def disks_until(deletion_at: datetime) -> str:
    """What becomes of the disks."""
    return (
        "Disks of stopped machines and volumes go on costing, which is added to the debt. "
        f"On {moment(deletion_at)} they are deleted, unless there are credits by then; a mail comes before that."
    )
