"""Webhooks' signatures and bodies: what was not signed with our secret just now is refused, what is no event too."""

import json
from datetime import timedelta
from typing import Any

import pytest
import stripe

from forebay.payments import events
from forebay.payments.events import BadSignature
from tests.api.clock import START

SECRET = "whsec_of_no_use_elsewhere"
BODY = b'{"id":"evt_1"}'


def event(**changes: Any) -> bytes:
    about = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}
    return json.dumps(
        {"id": "evt_1", "type": "charge.refunded", "created": 5, "data": {"object": about}} | changes
    ).encode()


def test_the_library_s_own_signature_is_taken() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, int(START.timestamp()))
    assert header == events.sign(BODY, SECRET, now=START)
    events.verify(BODY, header, SECRET, now=START)
    # While a secret is being replaced there are two signatures.
    events.verify(BODY, f"{header.split(',')[0]},v1={'0' * 64},{header.split(',')[1]}", SECRET, now=START)


def test_a_signature_is_good_for_five_minutes() -> None:
    header = events.sign(BODY, SECRET, now=START)
    for seconds in (-300, 300):
        events.verify(BODY, header, SECRET, now=START + timedelta(seconds=seconds))
    for seconds in (-301, 301, 365 * 86400):
        with pytest.raises(BadSignature):
            events.verify(BODY, header, SECRET, now=START + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "v1=0",
        "t=x,v1=0",
        f"t={int(START.timestamp())}",
        f"t={int(START.timestamp())},v1=",
        "t=1,t=2,v1=é",
        "t=²,v1=1",
    ],
)
def test_what_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(BadSignature):
        events.verify(BODY, header, SECRET, now=START)


def test_another_secret_another_body_and_another_scheme_are_refused() -> None:
    header = events.sign(BODY, SECRET, now=START)
    for body, given, secret in (
        (BODY, header, "whsec_x"),
        (BODY + b" ", header, SECRET),
        (BODY, header.replace("v1", "v0"), SECRET),
    ):
        with pytest.raises(BadSignature):
            events.verify(body, given, secret, now=START)


def test_an_event_says_where_to_look() -> None:
    found = events.read(event())
    assert (found.id, found.type, found.object_id, found.payment_id) == ("evt_1", "charge.refunded", "ch_1", "pi_1")
    own = events.read(event(data={"object": {"id": "pi_2", "object": "payment_intent"}}))
    assert own.payment_id == "pi_2"
    assert events.read(event(data={"object": {"id": "cus_1", "object": "customer"}})).payment_id == ""


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{}", b"\xff", event(id=5), event(id="x" * 256), event(type=None), event(created="now"),
        event(created=-1), event(created=1 << 60), event(data=None), event(data={"object": []}),
        event(data={"object": {"id": None}}),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no event"):
        events.read(body)
