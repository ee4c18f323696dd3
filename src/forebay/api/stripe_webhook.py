"""`/api/stripe/webhook`: where Stripe says that something happened.

The signature over the raw body is checked, the event is kept once, and the answer is 200 at once: what it means is
found out afterwards, by asking Stripe for the object.
"""

from forebay.api.call import Call
from forebay.api.envelope import Wire
from forebay.api.route import Needs, route
from forebay.domain.money import webhook_events
from forebay.domain.money.card_changes import PaymentsNotSetUp
from forebay.errors import BadRequest
from forebay.payments import events


class Received(Wire):
    """It is on record."""

    received: bool


@route("POST", "/api/stripe/webhook", needs=Needs.nothing, answers=Received, raises=(409,), is_counted=False)
def receive(call: Call) -> Received:
    """Take an event of Stripe's.

    For Stripe alone: the body must be signed with this cloud's webhook secret. 400 `BAD_SIGNATURE` for any
    other sender, and for one who repeats an old request; 409 `PAYMENTS_NOT_SET_UP` where no secret is set.
    """
    secret = call.settings.stripe_webhook_secret
    if not secret:
        raise PaymentsNotSetUp(
            "No webhook is set up in this cloud: FOREBAY_STRIPE_WEBHOOK_SECRET is not set.",
            details={"setting": "FOREBAY_STRIPE_WEBHOOK_SECRET", "whoCanDoIt": ["operator"]},
        )
    try:
        events.verify(call.incoming.body, call.incoming.signature, secret, now=call.now)
    except events.BadSignature:
        raise BadRequest("The signature is not good.", code="BAD_SIGNATURE") from None
    try:
        event = events.read(call.incoming.body)
    except ValueError:
        raise BadRequest("This is no event.", details={"body": "no event"}) from None
    if event.type in events.CONCERN_US:
        found = webhook_events.Event(
            id=event.id,
            type=event.type,
            object_id=event.object_id,
            related_id=event.payment_id or None,
            occurred_at=event.occurred_at,
        )
        if webhook_events.note(call.connection, found, webhook_events.WEBHOOK, now=call.now):
            call.nudge("payment-events")
    return Received(received=True)
