"""WebSockets as they are spoken here: uvicorn's, with an end to what it would keep for a client that doesn't read.

Loaded when the first one is asked for: a server that opens no terminal never has it.
"""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MOST_UNSENT_BYTES = 1024 * 1024
LINGER_SECONDS = 10


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def handle_ping(self) -> None:
        """Answer, unless the client has read none of the answers before."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self.transport.abort()

    def handle_parser_exception(self) -> None:
        """What is no WebSocket. Before the handshake there is nothing to close but the connection."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has said its last word: who does not take that in time is cut off."""
        super().on_task_complete(task)
        self.loop.call_later(LINGER_SECONDS, self.cut_off)

    def cut_off(self) -> None:
        """End the connection with what is unsent."""
        if not self.disconnected:
            self.transport.abort()
