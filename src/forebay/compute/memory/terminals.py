"""The terminal of a provider without machines: it echoes what is typed, and knows `echo` and `exit`."""

import threading

PROMPT = b"# "


class MemoryShell:
    """See `compute.base.Shell`. `size` is what it was told last: columns and rows."""

    def __init__(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        self.shown, self.line = bytearray(PROMPT), bytearray()
        self.has_ended = False
        self.changed = threading.Condition()

    def read(self, timeout_seconds: float | None = None) -> bytes | None:
        with self.changed:
            if not self.changed.wait_for(lambda: self.shown or self.has_ended, timeout_seconds):
                return None
            found = bytes(self.shown)
            self.shown.clear()
            return found

    def write(self, typed: bytes) -> None:
        with self.changed:
            for byte in b"" if self.has_ended else typed:
                if byte in b"\r\n":
                    self.shown += b"\r\n"
                    self.obey(bytes(self.line))
                    self.line.clear()
                else:
                    self.shown.append(byte)
                    self.line.append(byte)
            self.changed.notify_all()

    def obey(self, line: bytes) -> None:
        """One command."""
        word, _, rest = line.strip().partition(b" ")
        if word == b"exit":
            self.has_ended = True
            return
        answer = rest if word == b"echo" else b"%s: not found" % word if word else b""
        self.shown += (answer + b"\r\n" if word else b"") + PROMPT

    def resize(self, columns: int, rows: int) -> None:
        with self.changed:
            self.size = (columns, rows)

    def close(self) -> None:
        with self.changed:
            self.has_ended = True
            self.shown.clear()
            self.changed.notify_all()
