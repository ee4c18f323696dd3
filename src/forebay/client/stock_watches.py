"""Offers that I watch, to be told when they are in stock again."""

from forebay.client.request import Answer, Request, given
from forebay.client.teams import Deleted


class Watch(Answer):
    """I wait for an offer."""

    offer_id: str
    team_id: str | None
    """Whose webhooks are told too."""
    is_lasting: bool
    is_in_stock: bool
    created_at: str


def watch(offer_id: str, *, team_id: str | None = None, is_lasting: bool | None = None) -> Request[Watch]:
    """Be told when it can be launched again: by mail, and with `team_id` by the team's webhooks too."""
    return Request(
        method="POST",
        path="/api/gpu-offers/{offer_id}/watch",
        at={"offer_id": offer_id},
        body=given(teamId=team_id, isLasting=is_lasting),
        answers=Watch,
    )


def unwatch(offer_id: str, *, team_id: str | None = None) -> Request[Deleted]:
    """Watch it no more."""
    return Request(
        method="DELETE",
        path="/api/gpu-offers/{offer_id}/watch",
        at={"offer_id": offer_id},
        query=given(teamId=team_id),
        answers=Deleted,
    )
