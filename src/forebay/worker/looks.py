"""Looks into machines for people who wait: with a limit of time, and as many at once as hands are there."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from typing import TypeVar

import msgspec

from forebay.compute import base
from forebay.compute.base import Provider, ProviderError, Rejected
from forebay.domain.machines.looks import FoundKey, LogKind, LogPart, Unreadable

T = TypeVar("T")
MOST_SECONDS = 10
HANDS = 4


class ProviderLooks:
    """See `domain.machines.looks.Looks`. `providers` is asked for when somebody looks: they may come up later."""

    def __init__(self, providers: Callable[[], Mapping[str, Provider]], executor: Executor | None = None) -> None:
        self.providers = providers
        self.executor = executor or ThreadPoolExecutor(HANDS, thread_name_prefix="forebay-look")

    def keys(self, provider: str, deployment_id: str) -> Sequence[FoundKey] | None:
        """See the protocol."""
        asked = self.of(provider)
        if not asked.capabilities.live_keys:
            raise Unreadable(f"{provider} can't read the keys of a machine.")

        def look() -> Sequence[FoundKey] | None:
            try:
                found = asked.authorized_keys(deployment_id)
            except Rejected:
                return None
            return [FoundKey(line=key.line, place=key.place) for key in found]

        return self.in_time(look)

    def log(self, provider: str, deployment_id: str, kind: LogKind, *, after: str, most_bytes: int) -> LogPart | None:
        """See the protocol."""
        asked = self.of(provider)

        def look() -> LogPart | None:
            found = asked.read_log(deployment_id, base.LogKind(kind), after=after, most_bytes=most_bytes)
            return None if found is None else LogPart(**msgspec.structs.asdict(found))

        return self.in_time(look)

    def of(self, name: str) -> Provider:
        """The provider. Raises Unreadable where this process has none of that name."""
        found = self.providers().get(name)
        if found is None:
            raise Unreadable(f"This server can't look into machines of {name}.")
        return found

    def in_time(self, look: Callable[[], T]) -> T:
        """What there is to see, if it can be seen in time."""
        try:
            return self.executor.submit(look).result(MOST_SECONDS)
        except NotInTime:
            raise Unreadable("The machine could not be looked into in time. Try again.") from None
        except ProviderError as reason:
            raise Unreadable(f"The machine can't be looked into now: {reason}.") from None

    def close(self) -> None:
        """Wait for nobody."""
        self.executor.shutdown(wait=False, cancel_futures=True)
