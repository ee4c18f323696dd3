"""A small Checkout page of our own in place of Stripe's hosted one, which no stand-in has.

It stands before Stripe's stand-in: what concerns Checkout sessions it answers itself, in the shape that Stripe's
OpenAPI document gives them, everything else it passes on. A person's visit to the page is a call here.
"""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.payments.bank import GOOD, StripeBank
from tests.payments.fault_proxy import FaultProxy

SESSIONS = "/v1/checkout/sessions"


class OwnCheckout(FaultProxy):
    """See the module."""

    def __init__(self, port: int, account: str) -> None:
        super().__init__(port)
        self.bank = StripeBank(account, api_base=self.to(account))
        self.processor = self.bank.processor
        self.sessions: dict[str, dict[str, Any]] = {}
        self.forms: dict[str, dict[str, str]] = {}
        self.keys: dict[str, str] = {}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer what concerns sessions, pass on the rest."""
        path = urlsplit(request.path).path
        if SESSIONS not in path:
            super().answer(request)
            return
        body = request.rfile.read(int(request.headers.get("content-length") or 0)).decode()
        session_id, _, verb = path.partition(SESSIONS)[2].strip("/").partition("/")
        if not session_id:
            session_id = self.create(parse_qs(body), request.headers.get("idempotency-key") or "")
        found = self.sessions.get(session_id)
        if found is None:
            self.refuse(request, 404, "resource_missing")
        elif verb == "expire" and found["status"] != "open":
            self.refuse(request, 400, "resource_not_open")
        else:
            if verb == "expire":
                found["status"] = "expired"
            self.reply(request, 200, json.dumps(found).encode())

    def refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        error = {"error": {"type": "invalid_request_error", "code": code, "message": "no"}}
        self.reply(request, status, json.dumps(error).encode())

    def create(self, form: dict[str, list[str]], key: str) -> str:
        """A session, once for its key; its id."""
        with self.lock:
            if key not in self.keys:
                session_id = f"cs_test_{len(self.sessions) + 1:06}"
                self.keys[key] = session_id
                self.forms[session_id] = {name: values[0] for name, values in form.items()}
                self.sessions[session_id] = {
                    "id": session_id,
                    "object": "checkout.session",
                    "mode": form["mode"][0],
                    "status": "open",
                    "url": f"https://checkout.test/{session_id}",
                    "payment_intent": None,
                    "setup_intent": None,
                    "metadata": {},
                }
            return self.keys[key]

    def pay(self, session_id: str, number: str = GOOD) -> str:
        """Somebody pays; the payment's id."""
        form, client = self.forms[session_id], self.bank.client
        marks = {
            name.rpartition("[")[2].rstrip("]"): value
            for name, value in form.items()
            if name.startswith("payment_intent_data[metadata]")
        }
        wanted: Any = {
            "amount": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "customer": form["customer"],
            "payment_method": self.bank.new_card(number),
            "metadata": marks,
            "confirm": True,
        }
        payment_id = client.payment_intents.create(wanted).id
        self.sessions[session_id] |= {"status": "complete", "payment_intent": payment_id, "url": None}
        return payment_id

    def save_on(self, session_id: str, number: str = GOOD) -> str:
        """Somebody saves a card; its id."""
        method = self.bank.new_card(number)
        wanted: Any = {"customer": self.forms[session_id]["customer"]}
        self.bank.client.payment_methods.attach(method, wanted)
        set_up = {"id": "seti_1", "object": "setup_intent", "payment_method": method}
        self.sessions[session_id] |= {"status": "complete", "setup_intent": set_up, "url": None}
        return method
