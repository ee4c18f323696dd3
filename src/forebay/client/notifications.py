"""What I am told of by mail, and the offers I watch."""

from collections.abc import Mapping

from forebay.client.request import Answer, Request, given
from forebay.client.stock_watches import Watch


class Switch(Answer):
    """One kind of notification."""

    kind: str
    says: str
    goes_to: str
    is_on: bool
    is_required: bool
    """It can't be switched off."""
    is_for_webhooks: bool


class Notifications(Answer):
    """All kinds, and the offers I watch."""

    email: str
    kinds: list[Switch]
    watches: list[Watch]


def show() -> Request[Notifications]:
    """As it stands."""
    return Request(method="GET", path="/api/me/notifications", answers=Notifications)


def put(kinds: Mapping[str, bool]) -> Request[Notifications]:
    """Switch kinds on or off; what isn't named stays as it is."""
    return Request(method="PUT", path="/api/me/notifications", body=given(kinds=dict(kinds)), answers=Notifications)
