"""A call as a value: what to ask for, and the type of what is answered. Carrying it out is the transport's."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """What Forebay answers with. Fields that a newer server adds are passed over."""


class Page(Answer):
    """One page of a list."""

    total: int
    """How many there are in all."""
    page: int
    limit: int
    total_pages: int


class Request(msgspec.Struct, Generic[T], kw_only=True, frozen=True):
    """One method of one path, with what is filled in."""

    method: str
    path: str
    """With `{name}` for what `at` fills in."""
    answers: type[T]
    """The type of the answer; `str` for one that is text, as CSV is, `bytes` for one that is neither, as PDF."""
    at: Mapping[str, str] = {}
    query: Mapping[str, Any] = {}
    """What is None is left out."""
    body: Mapping[str, Any] | None = None
    retry_key: str | None = None
    """The Idempotency-Key, where the caller may ask again later; else each time that it is carried out has its own."""
    is_harmless: bool = False
    """It changes nothing, whatever the method: it may be repeated as it is."""
    is_open: bool = False
    """No credential counts here, and therefore no Idempotency-Key either."""

    @property
    def filled_path(self) -> str:
        """The path as it goes over the wire."""
        return self.path.format(**{name: quote(value, safe="") for name, value in self.at.items()})

    @property
    def name(self) -> str:
        """What errors call it. As declared: what is filled in may be a token."""
        return f"{self.method} {self.path}"

    @property
    def takes_retry_key(self) -> bool:
        """Whether the server repeats its answer, not the effect, for the same Idempotency-Key."""
        return self.method == "POST" and not self.is_open and not self.is_harmless


def given(**values: Any) -> dict[str, Any]:
    """A body or query of those that aren't None."""
    return {name: value for name, value in values.items() if value is not None}
