"""HTTP as it is spoken here: uvicorn's, with an end to what may be sent before it means anything.

A request's line and headers are kept until they are whole, and joined anew with every part that comes. Without a limit
one connection of a stranger could fill the memory and keep the event loop at it for minutes.
"""

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 512 * 1024
"""Far more than any client sends, and at least twice what comes off a socket at once."""

ENDLESS = "/live"
"""How the paths of streams end."""

SOCKET = re.compile(
    rb"/t/[a-z0-9-]{1,60}/deployments/[0-9a-zA-Z-]{1,60}/terminal/socket(\?columns=\d{1,4}&rows=\d{1,4})?"
)
"""The one address that may be asked for as a WebSocket; everywhere else a wish for one is not heard."""

MOST_MESSAGE_BYTES = 32 * 1024
"""That a browser may send at once over one."""

REFUSAL = b'{"error":"The headers of the request are too large.","code":"HEADERS_TOO_LARGE","details":{}}'


class BoundedHttp(HttpToolsProtocol):
    """One connection. Counts what came since headers were last complete, or a part of a body was."""

    pending_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Hand it to the parser, and hang up if that has too much in hand."""
        self.pending_bytes += len(data)
        super().data_received(data)
        if self.pending_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.refuse()

    def on_headers_complete(self) -> None:
        """The request can be carried out."""
        self.pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What is in the body is the application's to limit."""
        self.pending_bytes = 0
        super().on_body(body)

    def _should_upgrade(self) -> bool:
        """Whether the request becomes a WebSocket."""
        return self._get_upgrade() == b"websocket" and SOCKET.fullmatch(self.url) is not None

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on. What speaks on it is loaded now: most servers need it for hours not, or never."""
        from forebay.api.sockets import BoundedSocket

        self.ws_protocol_class = BoundedSocket
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """The server ends: a stream of events, which has no end of its own, ends with it."""
        is_answering = not getattr(self.cycle, "response_complete", True)
        if is_answering and self.scope["path"].endswith(ENDLESS):
            self.transport.close()
        else:
            super().shutdown()

    def refuse(self) -> None:
        """Say why, unless an answer is under way, and hang up."""
        if getattr(self.cycle, "response_complete", True):  # no cycle before the first request
            head = (
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % len(REFUSAL) + REFUSAL)
        self.transport.close()
