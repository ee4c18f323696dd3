"""`/api/gpu-offers/{offerId}/watch`: to be told when an offer is in stock again."""

from typing import Annotated

import msgspec

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire, moment
from forebay.api.route import route
from forebay.api.teams import Deleted
from forebay.domain.machines import stock_watches
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class NewWatch(Input):
    """For whom, and how often."""

    team_id: Annotated[str, msgspec.Meta(max_length=24)] | None = None
    """The webhooks of this team are told too; without it I alone am, by mail."""
    is_lasting: bool = False
    """The watch does not end when I have been told once."""


class WatchOf(Input):
    """For whom it was."""

    team_id: Annotated[str, msgspec.Meta(max_length=24)] | None = None


class Watch(Wire):
    """I wait for an offer."""

    offer_id: str
    team_id: str | None
    """Whose webhooks are told too."""
    is_lasting: bool
    is_in_stock: bool
    """As it was last looked at: I am told when this turns from false to true."""
    created_at: str


def to_wire(found: stock_watches.Watch) -> Watch:
    """A watch as clients see it."""
    return Watch(
        offer_id=found.offer_id,
        team_id=found.for_team or None,
        is_lasting=found.is_lasting,
        is_in_stock=not found.is_out,
        created_at=moment(int(found.created_at.timestamp())),
    )


def whose(call: Call, team_id: str | None) -> str:
    """The team whose webhooks are told, which takes the permission for them; empty for none. Raises Forbidden."""
    if not team_id:
        return ""
    call.team.demand(Permission.manage_webhooks)
    return call.team.team_id


@route(
    "POST",
    "/api/gpu-offers/{offer_id}/watch",
    needs=Permission.see,
    target=Target.current,
    target_from="body:teamId",
    body=NewWatch,
    answers=Watch,
    status=201,
    raises=(409,),
)
def watch(call: Call, offer_id: str, body: NewWatch) -> Watch:
    """Be told when an offer that is out of stock can be launched again.

    By mail, and with `teamId` by the team's webhooks too, which needs `webhooks.manage`. The watch ends when it has
    been told of, unless it is lasting. Watched again, it is changed. `GET /api/me/notifications` lists what I watch.
    """
    team = whose(call, body.team_id)
    found = stock_watches.watch(
        call.connection, call.caller, offer_id, for_team=team, is_lasting=body.is_lasting, now=call.now
    )
    return to_wire(found)


@route(
    "DELETE",
    "/api/gpu-offers/{offer_id}/watch",
    needs=Permission.see,
    target=Target.current,
    target_from="query:teamId",
    query=WatchOf,
    answers=Deleted,
)
def unwatch(call: Call, offer_id: str, query: WatchOf) -> Deleted:
    """Watch an offer no more."""
    stock_watches.end(call.connection, call.caller, offer_id, for_team=query.team_id or "", now=call.now)
    return Deleted(success=True)
