"""Takes spot machines back: tells the machine that its end is near, and ends it when its notice is over."""

import logging
from collections.abc import Callable, Mapping

from forebay.clock import Clock
from forebay.compute.base import Provider, ProviderError
from forebay.domain.machines import reclaims
from forebay.domain.machines.reclaims import Warned
from forebay.storage.database import Database

log = logging.getLogger(__name__)


class ReclaimReconciler:
    """See the module."""

    name = "reclaims"
    interval_seconds = 1.0

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.providers, self.clock, self.nudge = database, providers, clock, nudge

    def run(self) -> int:
        """Tell those that weren't told, end those whose time has come; how many were ended."""
        with self.database.read() as connection:
            now = self.clock.now()
            untold, due = reclaims.to_warn(connection, now=now), reclaims.due(connection, now=now)
        for machine in untold:
            self.warn(machine)
        ended = 0
        for deployment_id in due:
            with self.database.begin() as connection:
                ended += reclaims.take_back(connection, deployment_id, now=self.clock.now())
        if ended:
            self.nudge("deployments")
            self.nudge("notifications")
        return ended

    def warn(self, machine: Warned) -> None:
        """Tell one machine; what can't be told now is told in the next round, and ended in its time all the same."""
        provider = self.providers.get(machine.provider)
        if provider is None or not provider.capabilities.notice:
            return
        message = f"This machine is taken back: {machine.reclaim_reason}"
        try:
            provider.warn(machine.id, message, machine.reclaim_at)
        except ProviderError as reason:
            log.warning("machine not told of its end", extra={"deployment": machine.id, "reason": str(reason)})
            return
        with self.database.begin() as connection:
            reclaims.note_warned(connection, machine.id, now=self.clock.now())

    def close(self) -> None:
        """Nothing is held."""
