"""Reads what clients send into typed values, with a message for each field that is wrong, not only the first."""

import re
from datetime import datetime
from functools import cache, reduce
from operator import or_
from types import NoneType
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec

from forebay.errors import BadRequest

T = TypeVar("T", bound=msgspec.Struct)

MOST_DEPTH = 64
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields by the names clients use."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def worded(field: msgspec.structs.FieldInfo) -> Any:
    """The type of a parameter that is given in words: the word null is one, and no null."""
    kinds = get_args(field.type)
    return reduce(or_, [kind for kind in kinds if kind is not NoneType]) if NoneType in kinds else field.type


def is_moment(kind: Any) -> bool:
    """Whether it is a datetime, with bounds or without, that may be left out or not."""
    return any(getattr(part, "__origin__", part) is datetime for part in (kind, *get_args(kind)))


@cache
def folded_names(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The names clients use, by their letters alone: tells a misspelt field from one that is none of our business."""
    return {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in fields_of(kind)}


def plain(message: str) -> str:
    """The library's message without its own notion of paths."""
    return message.replace(" - at `$`", "").replace("`$", "`")


def read_fields(kind: type[T], given: dict[str, Any], *, strict: bool) -> T:
    """A value of `kind`, or BadRequest with a message for every field that is missing, wrong, or misspelt.

    Fields nobody knows are passed over, as clients of the public API expect; one that differs from a known name only
    by case or punctuation is refused, because what it asks for would be dropped without a word.
    """
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, field in fields_of(kind).items():
        if name not in given or (given[name] is None and field.default is None):
            if field.required:
                wrong[name] = "required"
            continue
        try:
            kind_of_value = field.type if strict else worded(field)
            # In words a moment would be taken for seconds where it is a number, which the document doesn't know of.
            is_strict = strict or is_moment(field.type)
            values[field.name] = msgspec.convert(given[name], kind_of_value, strict=is_strict)
        except msgspec.ValidationError as reason:
            wrong[name] = plain(str(reason))
    for name in given:
        if name not in fields_of(kind):
            meant = folded_names(kind).get(re.sub(r"[^a-z0-9]", "", str(name).lower()))
            if meant is not None:
                wrong[name] = f"did you mean {meant}?"
    if wrong:
        parts = ", ".join(f"{name}: {message}" for name, message in wrong.items())
        raise BadRequest(f"The request is not valid. {parts}"[:1000], details=wrong)
    return kind(**values)


def read_body(kind: type[T], raw: bytes) -> T:
    """The JSON body as `kind`. Raises BadRequest."""
    if not raw:
        raise BadRequest("A body is needed: a JSON object.", details={"body": "required"})
    try:
        given = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise BadRequest(
            f"The body is not JSON: {reason}", code="MALFORMED_JSON", details={"body": str(reason)}
        ) from None
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object.", code="MALFORMED_JSON", details={"body": "not an object"})
    refuse_unstorable(given)
    return read_fields(kind, given, strict=True)


def refuse_unstorable(value: Any, path: str = "", depth: int = 0) -> None:
    """NUL and lone surrogates are JSON but no text that a database keeps. Raises BadRequest that names the field.

    Nothing here is nested deeply, and what is would exhaust the stack of whoever looks at it next: it is refused too.
    """
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            raise BadRequest(
                "The request holds characters that are no text.", details={path or "body": "NUL or a lone surrogate"}
            )
    elif depth == MOST_DEPTH:
        raise BadRequest(
            f"The body is nested more than {MOST_DEPTH} levels deep.",
            code="MALFORMED_JSON",
            details={"body": "nested too deeply"},
        )
    elif isinstance(value, dict):
        for name, part in value.items():
            refuse_unstorable(name, path or "body")
            refuse_unstorable(part, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list):
        for place, part in enumerate(value):
            refuse_unstorable(part, f"{path}[{place}]", depth + 1)


def read_query(kind: type[T], raw: bytes) -> T:
    """The query string as `kind`; of a parameter given twice the last counts. Raises BadRequest."""
    if not raw:
        return without_query(kind)  # type: ignore[return-value]
    try:
        given: dict[str, Any] = dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict"))
    except (ValueError, UnicodeDecodeError):
        raise BadRequest(
            "The query string is not valid.", details={"query": "not valid percent-encoded UTF-8"}
        ) from None
    refuse_unstorable(given)
    return read_fields(kind, {name: value for name, value in given.items() if value != ""}, strict=False)


@cache
def without_query(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """The value for a request without a query string."""
    return read_fields(kind, {}, strict=False)
