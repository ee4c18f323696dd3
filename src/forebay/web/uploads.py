"""Forms with a file in them: read as it comes, and no more of it kept than a form may hold.

A file may be any file: somebody takes the wrong one from a folder. So one that is too large is read to its end, as far
as that is reasonable, and is known as too large: then the page can say so beside its field, which a browser that is cut
off in the middle would never show.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from forebay.errors import BadRequest, BodyTooLarge

MULTIPART = "multipart/form-data"
MOST_FIELD_BYTES = 64 * 1024
"""Of all that isn't a file together."""
MOST_FILE_BYTES = 64 * 1024
"""That are kept of a file."""
MOST_BYTES = 8 * 1024 * 1024
"""That are read at all."""
MOST_PARTS = 50


class File(msgspec.Struct, kw_only=True):
    """What somebody chose from their files."""

    name: str
    content: bytes = b""
    is_too_large: bool = False
    """Then `content` is not the whole of it."""


class Reader:
    """One such form while it comes in."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != MULTIPART or not options.get("boundary"):
            raise BadRequest("This is not a form.")
        self.fields: dict[str, bytes] = {}
        self.files: dict[str, File] = {}
        self.kept = 0
        self.parser = PushMultipartParser(options["boundary"][:200], max_segment_count=MOST_PARTS)
        self.segment: MultipartSegment | None = None

    def feed(self, part: bytes) -> None:
        """Take what has come; nothing at all at the end. Raises BadRequest, BodyTooLarge."""
        try:
            # An empty chunk tells the parser that this was all.
            for event in self.parser.parse(part):
                self.take(event)
        except (MultipartError, ValueError):
            raise BadRequest("What was sent is not a form.") from None

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """A field begins, or some of it has come."""
        if event is None:
            self.segment = None
        elif isinstance(event, MultipartSegment):
            self.segment = event
            name = event.name or ""
            if event.filename is not None:
                self.files[name] = File(name=event.filename[:255])
            else:
                self.fields[name] = b""
        elif self.segment is not None:
            self.keep(self.segment.name or "", bytes(event), is_file=self.segment.filename is not None)

    def keep(self, name: str, some: bytes, *, is_file: bool) -> None:
        """More of a field."""
        if is_file:
            file = self.files[name]
            file.is_too_large |= len(file.content) + len(some) > MOST_FILE_BYTES
            file.content = b"" if file.is_too_large else file.content + some
            return
        self.kept += len(some)
        if self.kept > MOST_FIELD_BYTES:
            raise BodyTooLarge("The form is too large.", details={"limit": MOST_FIELD_BYTES})
        self.fields[name] += some

    def texts(self) -> Iterator[tuple[str, str]]:
        """The fields as text; of a file its name, as a form without files sends it. Raises BadRequest."""
        for name, raw in self.fields.items():
            try:
                # Browsers write lines as the form's other kind does.
                yield name, raw.decode()
            except UnicodeDecodeError:
                raise BadRequest("What was sent is not a form.") from None
        yield from ((name, file.name) for name, file in self.files.items())


async def read_upload(request: Request[Any, Any, State]) -> tuple[dict[str, str], dict[str, File]]:
    """The fields of a form, and its files where any were chosen. Raises BadRequest, BodyTooLarge."""
    reader, size = Reader(request.headers.get("content-type", "")), 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise BodyTooLarge(f"That is more than {MOST_BYTES // 1024**2} MB.", details={"limit": MOST_BYTES})
        if part:
            reader.feed(part)
    if not reader.parser.closed:
        reader.feed(b"")
    fields = dict(reader.texts())
    if any("\0" in name or "\0" in text for name, text in fields.items()):
        raise BadRequest("The form holds characters that are no text.")
    return fields, {name: file for name, file in reader.files.items() if file.name or file.content}
