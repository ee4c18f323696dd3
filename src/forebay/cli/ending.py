"""How the program ends: with which status, and what it says then.

0  done                     3  not signed in, or not recently enough     5  no answer, or too busy
1  refused                  4  it doesn't exist, or isn't allowed
2  not understood
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

REFUSED, USAGE, NOT_SIGNED_IN, NOT_FOUND, NO_ANSWER = 1, 2, 3, 4, 5

WHAT_NEXT = {
    "SIGN_IN_AGAIN": "Run: forebay login",
    "SESSION_NEEDED": "Run: forebay login, without FOREBAY_TOKEN being set",
    "UNAUTHORIZED": "Run: forebay login",
    "API_ACCESS_NEEDED": "See: forebay api-keys access",
    "TEAM_REQUIRED": "Say which: --team TEAM",
    "SECOND_FACTOR_NEEDED": "Set one up on the pages, then run: forebay login",
}
"""What to do about a refusal, by its code."""


def end(sentence: str, status: int = REFUSED) -> NoReturn:
    """Say one sentence on standard error, and end."""
    print(f"forebay: {sentence}", file=sys.stderr)
    raise SystemExit(status)


@contextmanager
def say_refusals() -> Iterator[None]:
    """Turn what the client raises into one sentence and a status."""
    try:
        yield
    except Exception as error:
        if "forebay.client.errors" not in sys.modules:
            raise
        from forebay.client import errors

        if not isinstance(error, errors.ClientError):
            raise
        code = getattr(error, "code", "")
        sentence = " ".join([error.sentence, *reasons(error), WHAT_NEXT.get(code, "")]).strip()
        end("".join(letter if letter.isprintable() else " " for letter in sentence), status(error, code))


def reasons(error: Exception) -> list[str]:
    """What is wrong with each field, where the sentence doesn't say it already."""
    details = getattr(error, "details", {}) if getattr(error, "status", 0) == 400 else {}
    said = str(error)
    return [f"{name}: {why}." for name, why in details.items() if isinstance(why, str) and why not in said]


def status(error: Exception, code: str) -> int:
    """With which status such a refusal ends the program."""
    from forebay.client import errors

    if isinstance(error, errors.NotSignedIn) or code in ("SIGN_IN_AGAIN", "SESSION_NEEDED"):
        return NOT_SIGNED_IN
    if isinstance(error, errors.NotFound | errors.NotAllowed):
        return NOT_FOUND
    away = errors.Unreachable | errors.Unintelligible | errors.TooManyRequests | errors.ServerFailed
    return NO_ANSWER if isinstance(error, away) else REFUSED
