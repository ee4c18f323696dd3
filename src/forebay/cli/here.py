"""What every command over the client shares: which server and team, with what it signs in, and how it answers.

`command` declares one: the function takes a `Here` and what is its own; `--server`, `--team` and `--json` come by
themselves. With --json the answer of the API goes to standard output as it came; without, a table or a sentence does.
"""

import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from forebay.cli import credentials
from forebay.cli.completion import team_names
from forebay.cli.ending import NOT_FOUND, NOT_SIGNED_IN, USAGE, end

if TYPE_CHECKING:
    from forebay.client import Client, Reply, Request

T = TypeVar("T")
DEFAULT_SERVER = "http://127.0.0.1:8400"
PAGE = 100
MOST_MEANT = 3
TRIES = 2
"""A person who waits would rather be told."""

Server = Annotated[str | None, typer.Option("--server", help="Address of the server (FOREBAY_SERVER).", metavar="URL")]
Team = Annotated[
    str | None,
    typer.Option(
        "--team",
        help="The team, by slug, id or name (FOREBAY_TEAM); else the current one.",
        autocompletion=team_names,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print what the API answers, as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


class Here:
    """One run of a command."""

    def __init__(self, server: str | None = None, team: str | None = None, as_json: bool = False) -> None:
        wish = server or os.environ.get("FOREBAY_SERVER") or credentials.read().get("default") or DEFAULT_SERVER
        self.server = address(str(wish))
        self.wanted_team = team or os.environ.get("FOREBAY_TEAM") or None
        self.as_json = as_json
        self.patience: float | None = None
        """Seconds that an answer is waited for, if not the usual ones."""

    @property
    def token(self) -> str | None:
        """A session's token, or an API key."""
        return os.environ.get("FOREBAY_TOKEN") or credentials.token(self.server)

    @cached_property
    def client(self) -> "Client":
        """The client, with the credential. Ends the program where there is none."""
        if self.token is None:
            end(f"You are not signed in at {self.server}. Run: forebay login --server {self.server}", NOT_SIGNED_IN)
        return self.connect(self.token)

    def connect(self, token: str | None) -> "Client":
        """A client with this credential, or with none."""
        from forebay import __version__
        from forebay.client import Client

        more: dict[str, Any] = {"tries": TRIES} if self.patience is None else {"tries": 1, "timeout": self.patience}
        return Client(self.server, token, user_agent=f"forebay/{__version__}", **more)

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        if "client" in self.__dict__:
            self.client.close()

    def exchange(self, request: "Request[T]") -> "Reply[T]":
        """Carry a request out."""
        return self.client.exchange(request)

    def ask(self, request: "Request[T]") -> T:
        """The answer to a request."""
        return self.client.ask(request)

    @cached_property
    def teams(self) -> Any:
        """Those I belong to."""
        from forebay.client import teams

        return self.ask(teams.listed()).teams

    def team(self, wanted: str | None = None) -> Any:
        """The team that is meant: named here, by --team or FOREBAY_TEAM, else the current one."""
        wanted = wanted or self.wanted_team
        if wanted is not None:
            return pick("team", wanted, self.teams, lambda team: (team.slug, team.name))
        for team in self.teams:
            if team.is_current_team:
                return team
        end("There is no current team. Name one with --team, or choose one: forebay teams use TEAM", USAGE)

    def pause(self, seconds: float) -> None:
        """Wait before asking again."""
        time.sleep(seconds)

    # Answers.

    def table(self, reply: "Reply[Any]", columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
        """Print rows, or the JSON."""
        if not self.print_json(reply):
            self.rows(columns, rows)

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
        """Print rows."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            shown.add_column(column, overflow="fold")
        for row in rows:
            shown.add_row(*(Text(visible(cell or "–")) for cell in row))
        self.paper().print(shown)

    def facts(self, reply: "Reply[Any]", facts: Mapping[str, str | None]) -> None:
        """Print one thing, a fact a line, or the JSON."""
        if self.print_json(reply):
            return
        width = max(len(name) for name in facts) + 2
        for name, value in facts.items():
            print(f"{name:<{width}}{visible(value or '–')}")

    def say(self, reply: "Reply[Any]", sentence: str) -> None:
        """Print what was done, or the JSON."""
        if not self.print_json(reply):
            print(visible(sentence))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is printed meanwhile is no answer: it goes to standard error, as questions do."""
        with redirect_stdout(sys.stderr):
            yield

    def print_json(self, reply: "Reply[Any]") -> bool:
        """Print the answer as it came, if that is asked for; whether it is."""
        if self.as_json:
            sys.stdout.buffer.write(reply.raw + b"\n")
            sys.stdout.buffer.flush()
        return self.as_json

    def paper(self) -> Any:
        """Where tables are printed: as wide as they are where nobody looks, in colours where somebody does."""
        from rich.console import Console

        return Console(width=None if sys.stdout.isatty() else 1000, highlight=False, soft_wrap=False)

    def confirm(self, question: str, is_sure: bool) -> None:
        """Ask before something that can't be undone. Ends the program unless the answer is yes."""
        if is_sure:
            return
        if not sys.stdin.isatty():
            end("This can't be undone: say --yes, as there is nobody to ask.", USAGE)
        typer.confirm(visible(question), abort=True, err=True)


def address(text: str) -> str:
    """The address of a server in one form. Ends the program for what is none."""
    from urllib.parse import urlsplit

    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        end("The address of the server must be like https://cloud.example.org", USAGE)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/').removesuffix('/api')}"


def visible(text: str) -> str:
    """Text from elsewhere on a terminal: no character of it moves the cursor or hides the rest."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def pick(noun: str, wanted: str, things: Iterable[Any], names: Callable[[Any], Iterable[str]], key: str = "id") -> Any:
    """The one thing with this id or, if no id fits, this name. Ends the program where none or several fit."""
    all_of_them = list(things)
    found = [thing for thing in all_of_them if getattr(thing, key) == wanted]
    found = found or [thing for thing in all_of_them if wanted.lower() in (name.lower() for name in names(thing))]
    if not found:
        end(f"There is no {noun} {visible(wanted)!r} here.{meant(wanted, all_of_them, names)}", NOT_FOUND)
    if len(found) > 1:
        ids = ", ".join(getattr(thing, key) for thing in found)
        end(f"Several are called {visible(wanted)!r}: say which by its id ({ids}).", USAGE)
    return found[0]


def meant(wanted: str, things: list[Any], names: Callable[[Any], Iterable[str]]) -> str:
    """What there is instead: at most three names, those most like it first."""
    from difflib import SequenceMatcher

    there = [name for thing in things[:1000] for name in list(names(thing))[:1]]
    there.sort(key=lambda name: SequenceMatcher(None, wanted.lower(), name.lower()).ratio(), reverse=True)
    more = " …" if len(there) > MOST_MEANT else ""
    return f" There is: {', '.join(map(visible, there[:MOST_MEANT]))}{more}" if there else ""


def every_page(here: Here, request: Callable[..., "Request[Any]"], field: str, *given: Any, **named: Any) -> list[Any]:
    """What a list holds, on all its pages."""
    found: list[Any] = []
    page, pages = 0, 1
    while page < pages:
        page += 1
        answer = here.ask(request(*given, **named, page=page, limit=PAGE))
        found += getattr(answer, field)
        pages = answer.total_pages
    return found


def when(moment: str | None) -> str | None:
    """A moment of the API as people read it: to the minute, in UTC."""
    return None if moment is None else moment[:16].replace("T", " ")


def command(app: typer.Typer, name: str, **more: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command: its function takes a Here first, and then what is its own."""

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        shared = [
            inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for word, default, kind in (("server_", None, Server), ("team_", None, Team), ("as_json_", False, Json))
        ]

        @wraps(function)
        def run(*, server_: str | None = None, team_: str | None = None, as_json_: bool = False, **given: Any) -> None:
            with Here(server_, team_, as_json_) as here:
                function(here, **given)

        all_of_them = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
        run.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in all_of_them}
        del run.__wrapped__
        app.command(name, **more)(run)
        return function

    return declare


def noun(name: str, says: str) -> typer.Typer:
    """The commands of one noun."""
    return typer.Typer(name=name, help=says, no_args_is_help=True)


def refuse_usage(sentence: str) -> NoReturn:
    """End the program for what can't be meant."""
    end(sentence, USAGE)
