"""Attempts that were refused, on their way to the team's activity: repeated ones become one row a minute.

They are counted in memory, so that whoever knocks in vain costs no write, and written when their minute is over or the
server ends. A server that is killed loses the counts of that minute, and nothing else.
"""

import threading
from datetime import UTC, datetime

import msgspec

from forebay.domain.people.access import Caller, Denied
from forebay.domain.people.activity import Denial

MOST_KINDS = 10_000
"""Kinds of refusals kept at once; more within a minute are counted together, without their object."""


class Kind(msgspec.Struct, frozen=True):
    """Refusals that become one row."""

    minute: int
    team_id: str
    caller: Caller
    request: str
    permission: str
    object_type: str | None
    object_id: str | None


class Denials:
    """The refusals of one server that are not written yet. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[Kind, int] = {}

    def note(
        self,
        denied: Denied,
        request: str,
        permission: str,
        now: datetime,
        *,
        object_type: str | None = None,
        object_id: str | None = None,
    ) -> None:
        """Count one. `request` is method and path as declared, `permission` what was missing."""
        if denied.team_id is None:
            return
        # What changes from one request to the next is no part of who they are.
        caller = msgspec.structs.replace(denied.caller, last_used_at=None, current_team_id=None)
        kind = Kind(
            minute=int(now.timestamp()) // 60,
            team_id=denied.team_id,
            caller=caller,
            request=request,
            permission=permission,
            object_type=object_type,
            object_id=object_id,
        )
        with self.lock:
            if kind not in self.counts and len(self.counts) >= MOST_KINDS:
                kind = msgspec.structs.replace(kind, object_id=None, request="many", permission="")
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def take(self, now: datetime | None) -> list[Denial]:
        """Those whose minute is over, or all of them if `now` is None; whoever takes them writes them."""
        minute = None if now is None else int(now.timestamp()) // 60
        with self.lock:
            taken = {kind: count for kind, count in self.counts.items() if minute is None or kind.minute < minute}
            for kind in taken:
                del self.counts[kind]
        return [
            Denial(
                at=datetime.fromtimestamp(kind.minute * 60, UTC),
                team_id=kind.team_id,
                caller=kind.caller,
                request=kind.request,
                permission=kind.permission,
                object_type=kind.object_type,
                object_id=kind.object_id,
                count=count,
            )
            for kind, count in taken.items()
        ]
