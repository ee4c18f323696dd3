"""Waiting for what takes long: asked for again and again, with a sign of life where somebody looks."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from forebay.cli.here import Here, visible

if TYPE_CHECKING:
    from forebay.client import Reply, Request

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 3.0


@contextmanager
def sign_of_life(words: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error that something goes on, and for how long; gives what changes the words.

    Where no terminal is, each new sentence is a line.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        began = time.monotonic()
        with Console(stderr=True, highlight=False).status("") as status:

            def tell(words: str) -> None:
                seconds = int(time.monotonic() - began)
                status.update(f"{words} {f'({seconds} s)' if seconds else ''}".replace("[", "\\["))

            tell(visible(words))
            yield lambda words: tell(visible(words))
        return
    told: list[str] = []

    def line(words: str) -> None:
        if words not in told:
            told.append(words)
            print(visible(words), file=sys.stderr, flush=True)

    line(words)
    yield line


def until(
    here: Here,
    request: "Request[T]",
    is_done: Callable[[T], bool],
    says: Callable[[T], str],
    *,
    seconds: float | None = None,
    longest_pause: float = LONGEST_PAUSE_SECONDS,
) -> "Reply[T]":
    """Ask until the answer is as wanted, or so many seconds have passed; the last answer.

    `says` tells a person what is waited for. An answer that fails to come once is asked for again.
    """
    from forebay.client import ServerFailed, Unreachable

    pause, failures, waited = FIRST_PAUSE_SECONDS, 0, 0.0
    reply: Reply[T] = here.exchange(request)
    if is_done(reply.answer):
        return reply
    with sign_of_life(says(reply.answer)) as tell:
        while not is_done(reply.answer) and (seconds is None or waited < seconds):
            here.pause(pause)
            waited += pause
            pause = min(longest_pause, pause * 1.3)
            try:
                reply = here.exchange(request)
                failures = 0
            except (Unreachable, ServerFailed):
                failures += 1
                if failures > 5:
                    raise
                continue
            tell(says(reply.answer))
    return reply
