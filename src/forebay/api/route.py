"""Routes as declarations: what each needs, takes and answers.

The server, the OpenAPI document and the tests read the same ones.

A route can't be declared without saying who may use it: `needs` is a permission of the one table, or one of `Needs`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission


class Needs(StrEnum):
    """What a route needs that concerns no team."""

    nothing = "nothing"
    """Anyone may use it; a key is not looked at."""
    account = "account"
    """Any valid key or session."""
    session = "session"
    """A person who is signed in: keys get 403."""
    operator = "operator"
    """An operator of the platform who is signed in: everybody else gets 403."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: str
    path: str
    """With `{name}` for parameters."""
    needs: Permission | Needs
    is_recent: bool
    """A session must have proved who it is within the last 15 minutes; keys are what they are."""
    target: Target
    """What names the team."""
    target_from: str
    """Where its id comes from: `path:<name>`, `query:teamId`, `body:teamId`; empty: the current team."""
    query: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    answers: Any
    """The type of the answer's body."""
    status: int
    raises: tuple[int, ...]
    """Statuses beside those that follow from the rest."""
    is_inline: bool
    """A few indexed reads: run on the event loop where the database is SQLite."""
    writes: bool
    is_counted: bool
    """Against the limit of the address it comes from; False where the body is signed and the sender may not wait."""
    is_replayable: bool
    """A retry with the same Idempotency-Key gets the stored answer; False where that would show a secret again."""
    before: Callable[..., Any] | None
    """What takes long and must not hold the writer: called with (services, body, asker) before the transaction. Who
    may not do in this team what the route is for has been refused by then."""
    asks_elsewhere: bool
    """`before` waits for another server: beside the routes that look into machines, not those that hash passwords."""
    finish: Callable[..., Any] | None
    """What has to look into a machine, of a route that reads: called with (services, what the function returned) when
    the transaction is over. The answer is what it returns."""
    function: Callable[..., Any]
    summary: str
    description: str
    noun: str

    @property
    def has_body(self) -> bool:
        """Whether a JSON body is expected."""
        return self.body is not None

    @property
    def takes_retry_key(self) -> bool:
        """Whether `Idempotency-Key` counts here."""
        return self.method == "POST" and self.writes and self.needs is not Needs.nothing

    @property
    def statuses(self) -> list[int]:
        """Every status that this route can answer."""
        found = {self.status, 503, *self.raises} | ({429} if self.is_counted else set())
        if self.query is not None or self.method in ("POST", "PUT", "PATCH"):
            found.add(400)
        if self.has_body or self.takes_retry_key:
            found |= {400, 413}
        if self.needs is not Needs.nothing:
            found |= {401, 403}
        if self.target is Target.current or self.target_from.startswith(("query:", "body:")):
            found |= {400, 404}
        if "{" in self.path:
            found.add(404)
        if self.takes_retry_key:
            found.add(409)
        return sorted(found)


ROUTES: list[Route] = []


def route(
    method: str,
    path: str,
    *,
    needs: Permission | Needs,
    answers: Any,
    target: Target = Target.nothing,
    target_from: str = "",
    query: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
    status: int = 200,
    raises: tuple[int, ...] = (),
    is_inline: bool = False,
    is_recent: bool = False,
    is_counted: bool = True,
    is_replayable: bool = True,
    writes: bool | None = None,
    before: Callable[..., Any] | None = None,
    asks_elsewhere: bool = False,
    finish: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a route. The function takes a Call, then the path's parameters by name, `query`, `body` and `prepared`
    (what `before` returned) where there are any.

    Its docstring is the manual: the first line the summary, the rest the description.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        summary, _, description = (function.__doc__ or "").partition("\n")
        ROUTES.append(
            Route(
                method=method,
                path=path,
                needs=needs,
                is_recent=is_recent,
                target=target,
                target_from=target_from,
                query=query,
                body=body,
                answers=answers,
                status=status,
                raises=raises,
                is_inline=is_inline,
                writes=method != "GET" if writes is None else writes,
                is_counted=is_counted,
                is_replayable=is_replayable,
                before=before,
                asks_elsewhere=asks_elsewhere,
                finish=finish,
                function=function,
                summary=summary.strip().rstrip("."),
                description=" ".join(description.split()),
                noun=function.__module__.rpartition(".")[2].replace("_", "-"),
            )
        )
        return function

    return declare
