"""What people are told of a budget: that a share of it is spent, that machines are about to be stopped, that they were.

Each says what has happened, what will happen next if nobody does anything, and how to change that. They go to owners
and admins, and to whoever's spending it is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from forebay.domain.machines.budgets import Standing
from forebay.domain.money.amounts import to_the_cent
from forebay.domain.money.budgets import WHOLE, AtLimit
from forebay.domain.money.low_balance_letters import LetterTo, moment
from forebay.domain.money.outlook import counted
from forebay.domain.people.letters import Letter, plain


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The team that a letter is about, and where this cloud is."""

    team_id: str
    name: str
    slug: str
    public_url: str

    @property
    def page(self) -> str:
        """Where its budgets are."""
        return f"/t/{self.slug}/billing/budgets"

    def letter(self, subject: str, paragraphs: Sequence[str]) -> LetterTo:
        """A letter with the way to the budgets below it."""
        return lambda name: Letter(
            subject=f"{plain(self.name)}: {subject}",
            name=plain(name),
            paragraphs=paragraphs,
            label="See the budgets",
            link=f"{self.public_url}{self.page}",
            after=[f"For programs: GET {self.public_url}/api/teams/{self.team_id}/budgets"],
        )


def called(standing: Standing) -> str:
    """Which budget it is, in words that can't be a link."""
    return plain(standing.called)


def amounts(standing: Standing) -> str:
    """How much of it is spent."""
    return (
        f"{to_the_cent(standing.spent_micros)} of {to_the_cent(standing.budget.amount_micros)} for "
        f"{standing.month.start_at:%B} is spent, {int(standing.share)} %"
    )


def reached(about: About, standing: Standing, share: int, *, now: datetime) -> LetterTo:
    """So much of it is spent; or was, of a month that is over."""
    budget, month = standing.budget, standing.month
    what = "is used up" if share == WHOLE else f"is at {share} %"
    if month.end_at <= now:
        was = what.replace("is ", "was ", 1)
        paragraphs = [
            f"{plain(about.name)}: of {called(standing)} {amounts(standing).replace(' is spent', ' was spent')}.",
            f"The last of it was charged when the month was over. It has begun anew on {month.end_at:%-d %B}, and "
            "nothing is refused or stopped for this.",
        ]
        return about.letter(f"{called(standing)} {was} in {month.start_at:%B}", paragraphs)
    until = f"It begins anew on {month.end_at:%-d %B}."
    at_limit = {
        AtLimit.notify: "Nothing else happens when it is used up: it only tells.",
        AtLimit.block: "Once it is used up nothing more of it is launched, started or grown; what runs, runs on, and "
        "goes on costing.",
        AtLimit.stop: "Once it is used up nothing more of it is launched, started or grown, and after a notice its "
        "machines are stopped.",
    }
    if standing.is_used_up:
        at_limit[AtLimit.block] = (
            "Nothing more of it can be launched, started or grown. What runs, runs on, and goes on costing: stop what "
            "isn't needed."
        )
        at_limit[AtLimit.stop] = "Nothing more of it can be launched, started or grown."
    paragraphs = [
        f"{plain(about.name)}: of {called(standing)} {amounts(standing)}.",
        at_limit[budget.at_limit] + f" {until}",
    ]
    if standing.figures.burn_micros_per_hour and budget.at_limit is not AtLimit.stop:
        burn, forecast = to_the_cent(standing.figures.burn_micros_per_hour), to_the_cent(standing.forecast_micros)
        paragraphs.append(
            f"What runs now costs {burn} an hour; with the ends that are planned the month comes to {forecast}."
        )
    return about.letter(f"{called(standing)} {what}", paragraphs)


def stopping(
    about: About,
    standing: Standing,
    stopped: Sequence[str],
    left: Sequence[str],
    *,
    stops_at: datetime,
    notice: timedelta,
) -> LetterTo:
    """Its machines are about to be stopped, but for those that would lose their disk."""
    minutes = counted(int(notice.total_seconds()) // 60, "minute")
    paragraphs = [
        f"{plain(about.name)}: of {called(standing)} {amounts(standing)}. Nothing more of it can be launched, started "
        f"or grown, and in {minutes}, on {moment(stops_at)}, its machines are stopped. Their disks are kept, and go on "
        "costing a little."
    ]
    if stopped:
        paragraphs.append(
            "These would be stopped, a machine within its minimum runtime when that is over:\n" + "\n".join(stopped)
        )
    if left:
        paragraphs.append(
            "These run on and go on costing, because a stop would delete their disk. Terminate those that aren't "
            "needed:\n" + "\n".join(left)
        )
    paragraphs.append("Raise the budget, or let it only block, and nothing is stopped.")
    return about.letter(f"{called(standing)} is used up, machines will be stopped", paragraphs)


def were_stopped(about: About, standing: Standing, stopped: Sequence[str], left: Sequence[str]) -> LetterTo:
    """Its machines were stopped."""
    paragraphs = [
        f"{plain(about.name)}: of {called(standing)} {amounts(standing)}. These were stopped; their disks are "
        "kept, and go on costing a little:\n" + "\n".join(stopped)
    ]
    if left:
        paragraphs.append(
            "These run on and go on costing, because a stop would delete their disk. Terminate those that aren't "
            "needed:\n" + "\n".join(left)
        )
    paragraphs.append(
        f"They can be started again once the budget is raised, or from {standing.month.end_at:%-d %B} on. Nothing "
        "starts by itself."
    )
    return about.letter(f"{called(standing)} is used up, {counted(len(stopped), 'machine')} stopped", paragraphs)
