"""A Checkout page that a browser can open: what `OwnCheckout` does by calls, with a form for the card's number.

Like Stripe's it leads back to the address that the order names, and the webhook is told of it by whoever is given.
"""

import html
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from stripe import CardError

from tests.payments.own_checkout import OwnCheckout

PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Checkout</title>
<link rel="icon" href="data:,">
<main><h1>{heading}</h1><p role="alert">{error}</p>
<form method="post"><label>Card number <input name="number" autocomplete="off"></label> <button>{verb}</button></form>
</main></html>"""


class CheckoutPage(OwnCheckout):
    """See the module."""

    def __init__(self, port: int, account: str, told: Callable[[str], object]) -> None:
        super().__init__(port, account)
        self.told = told

    def create(self, form: dict[str, list[str]], key: str) -> str:
        """A session whose address is this server's."""
        session_id = super().create(form, key)
        session = self.sessions[session_id]
        if session["url"] is not None:
            session["url"] = f"http://127.0.0.1:{self.server.server_port}/pay/{session_id}"
        return session_id

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Show the page and take what is typed there; all else is a program's."""
        _, _, session_id = urlsplit(request.path).path.partition("/pay/")
        if session_id not in self.sessions:
            super().answer(request)
        elif request.command == "GET":
            self.show(request, session_id)
        else:
            typed = parse_qs(request.rfile.read(int(request.headers.get("content-length") or 0)).decode())
            self.take(request, session_id, typed.get("number", [""])[0].replace(" ", ""))

    def show(self, request: BaseHTTPRequestHandler, session_id: str, error: str = "") -> None:
        """What is to be paid."""
        form = self.forms[session_id]
        cents = form.get("line_items[0][price_data][unit_amount]")
        words = ("Save a card", "Save") if cents is None else (f"Pay ${int(cents) / 100:,.2f}", "Pay")
        body = PAGE.format(heading=words[0], verb=words[1], error=html.escape(error)).encode()
        request.send_response(200)
        request.send_header("content-type", "text/html; charset=utf-8")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def take(self, request: BaseHTTPRequestHandler, session_id: str, number: str) -> None:
        """Charge or save the card, and lead back; a card that declines is told so here."""
        try:
            (self.pay if self.sessions[session_id]["mode"] == "payment" else self.save_on)(session_id, number)
        except CardError as error:
            self.show(request, session_id, error.user_message or "Your card was declined.")
            return
        self.told(session_id)
        request.send_response(303)
        request.send_header("location", self.forms[session_id]["success_url"])
        request.send_header("content-length", "0")
        request.end_headers()
