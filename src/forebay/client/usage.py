"""Usage: what a team was charged for machines and disks, in dollars, and what it was spent on."""

import msgspec

from forebay.client.request import Answer, Page, Request, given


class Use(Answer):
    """What one day, type, person, machine … was charged."""

    key: str | None
    """None for what belongs to none of them."""
    name: str | None
    cost: float
    compute_cost: float
    storage_cost: float
    machine_seconds: int


class Usage(Page):
    """A page of groups; the figures beside it are of all pages."""

    group_by: str
    from_: str = msgspec.field(name="from")
    to: str
    time_zone: str
    cost: float
    compute_cost: float
    storage_cost: float
    machine_seconds: int
    usage: list[Use]


def show(
    team_id: str,
    *,
    group_by: str | None = None,
    since: str | None = None,
    until: str | None = None,
    page: int | None = None,
    limit: int | None = None,
) -> Request[Usage]:
    """By `day`, `gpuType`, `member`, `apiKey`, `deployment`, `volume` or `label:<key>`, from a moment up to another."""
    query = given(groupBy=group_by, to=until, page=page, limit=limit) | given(**{"from": since})
    return Request(method="GET", path="/api/teams/{team_id}/usage", at={"team_id": team_id}, query=query, answers=Usage)


def as_csv(
    team_id: str, *, group_by: str | None = None, since: str | None = None, until: str | None = None
) -> Request[str]:
    """The same as a table for spreadsheets, all of it."""
    query = given(groupBy=group_by, to=until) | given(**{"from": since})
    return Request(
        method="GET", path="/api/teams/{team_id}/usage.csv", at={"team_id": team_id}, query=query, answers=str
    )
