"""Starting again what was stopped when the credits ran out."""

from forebay.client.request import Answer, Request


class Started(Answer):
    """A machine that is starting."""

    id: str
    name: str


class StillStopped(Answer):
    """A machine that stays stopped, and why: `INSUFFICIENT_BALANCE` or `FORBIDDEN`, and a sentence."""

    id: str
    name: str
    code: str
    reason: str


class StartedAgain(Answer):
    """What came of it; both empty if no machine was stopped for lack of credits."""

    started: list[Started]
    refused: list[StillStopped]


def start_again(team_id: str) -> Request[StartedAgain]:
    """Start what was stopped when the credits ran out, as far as they last now, the oldest first."""
    return Request(
        method="POST", path="/api/teams/{team_id}/start-again", at={"team_id": team_id}, answers=StartedAgain
    )
