"""Credit moves: from one of my teams to another."""

from forebay.client.request import Answer, Request


class CreditMove(Answer):
    """A move that was made, in dollars."""

    id: str
    amount: float
    from_team_id: str
    to_team_id: str
    available: float
    """What is left for the team that gave."""
    created_at: str


def make(team_id: str, to_team_id: str, amount: str) -> Request[CreditMove]:
    """Move available credits to another team that I own too; `amount` in dollars, as text to be exact."""
    body = {"toTeamId": to_team_id, "amount": amount}
    return Request(
        method="POST", path="/api/teams/{team_id}/credit-moves", at={"team_id": team_id}, body=body, answers=CreditMove
    )
