"""Activity: who did what, on what, when, from where, through which key; and what was tried in vain."""

from typing import Any, TypedDict, Unpack

from forebay.client.request import Answer, Page, Request, given


class Who(Answer):
    """A person; without an address once their account is gone."""

    id: str
    name: str
    email: str | None


class Activity(Answer):
    """One row."""

    id: str
    at: str
    action: str
    outcome: str
    """`done` or `denied`."""
    who: Who | None
    """None: Forebay itself."""
    api_key_id: str | None
    api_key_name: str | None
    address: str | None
    object_type: str | None
    object_id: str | None
    team_id: str | None
    details: dict[str, Any] | None


class Activities(Page):
    """A page, newest first."""

    activity: list[Activity]


class Filter(TypedDict, total=False):
    """Which rows: of a person, an action, a kind of object or one object, an outcome; from and to a moment."""

    user_id: str | None
    action: str | None
    object_type: str | None
    object_id: str | None
    outcome: str | None
    since: str | None
    until: str | None


def wire(which: Filter) -> dict[str, Any]:
    """The filter by the names of the wire."""
    return given(
        **{
            "userId": which.get("user_id"),
            "action": which.get("action"),
            "objectType": which.get("object_type"),
            "objectId": which.get("object_id"),
            "outcome": which.get("outcome"),
            "from": which.get("since"),
            "to": which.get("until"),
        }
    )


def of_team(
    team_id: str, *, page: int | None = None, limit: int | None = None, **which: Unpack[Filter]
) -> Request[Activities]:
    """What was done in a team."""
    query = given(page=page, limit=limit) | wire(which)
    return Request(
        method="GET", path="/api/teams/{team_id}/activity", at={"team_id": team_id}, query=query, answers=Activities
    )


def of_team_as_csv(team_id: str, **which: Unpack[Filter]) -> Request[str]:
    """The same as a table for spreadsheets."""
    return Request(
        method="GET", path="/api/teams/{team_id}/activity.csv", at={"team_id": team_id}, query=wire(which), answers=str
    )


def mine(*, page: int | None = None, limit: int | None = None, **which: Unpack[Filter]) -> Request[Activities]:
    """What I did. For a session, not a key."""
    query = given(page=page, limit=limit) | wire(which)
    return Request(method="GET", path="/api/me/activity", query=query, answers=Activities)
