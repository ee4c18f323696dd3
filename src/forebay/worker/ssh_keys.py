"""Puts the right keys on machines: above all, takes deleted ones off, and ends what they opened.

A machine that is due is taken for a while, written to outside any transaction, and settled only if its keys are still
those that were read; see `domain/machines/authorized_keys.py`. Cut off in between, it is due again when the while is
over: writing the same keys twice does no harm.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

from forebay.clock import Clock
from forebay.compute.base import Provider, ProviderError, ProviderUnavailable, Rejected
from forebay.domain.machines import alerts, authorized_keys
from forebay.domain.machines.authorized_keys import Due
from forebay.storage.database import Database

log = logging.getLogger(__name__)

TAKEN_SECONDS = 20
"""A machine that was taken and not reported on for so long is taken again."""
RETRY_SECONDS = 5
MOST_AT_ONCE = 50
HANDS = 4


class SshKeyReconciler:
    """See the module."""

    name = "ssh-keys"
    interval_seconds = 10.0

    def __init__(
        self, database: Database, providers: Mapping[str, Provider], clock: Clock, *, executor: Executor | None = None
    ) -> None:
        self.database, self.providers, self.clock = database, providers, clock
        self.executor = executor or ThreadPoolExecutor(HANDS, thread_name_prefix="forebay-keys")

    def run(self) -> int:
        """Write the keys of machines that are due; how many there were."""
        with self.database.read() as connection:
            if not authorized_keys.is_any_due(connection, now=self.clock.now()):
                return 0
        with self.database.begin() as connection:
            now = self.clock.now()
            due = authorized_keys.claim(connection, now=now, seconds=TAKEN_SECONDS, limit=MOST_AT_ONCE)
        for done in [self.executor.submit(self.write, each) for each in due]:
            done.result()
        return len(due)

    def write(self, due: Due) -> None:
        """Make the machine's keys what they should be, and note how that ended."""
        try:
            provider = self.providers.get(due.provider)
            if provider is None:
                raise ProviderUnavailable(f"the provider {due.provider} is not configured")
            if not provider.capabilities.live_keys:
                with self.database.begin() as connection:
                    authorized_keys.note_impossible(connection, due, now=self.clock.now())
                return
            provider.set_authorized_keys(due.deployment_id, due.keys, due.removed)
            ended = self.end_sessions(provider, due)
        except ProviderError as reason:
            self.put_off(due, reason)
            return
        with self.database.begin() as connection:
            now = self.clock.now()
            authorized_keys.note_written(connection, due, ended, now=now)
            alerts.clear(connection, "provider", subject(due), now=now)

    def end_sessions(self, provider: Provider, due: Due) -> int | None:
        """End the connections of keys that are off the machine by now; None where the provider can't."""
        if not provider.capabilities.session_ends:
            return None
        return provider.end_sessions(due.deployment_id, due.fingerprints) if due.leaving else 0

    def put_off(self, due: Due, reason: ProviderError) -> None:
        """Try again soon. A machine that isn't there yet is no cause for alarm; any other is the operator's affair."""
        log.warning("keys not written", extra={"deployment": due.deployment_id, "reason": str(reason)})
        with self.database.begin() as connection:
            now = self.clock.now()
            authorized_keys.put_off(connection, due, now=now, seconds=RETRY_SECONDS)
            if not (due.status == "deploying" and isinstance(reason, Rejected)):
                text = f"SSH keys of {due.deployment_id} can't be changed, a deleted one may open it: {reason}"
                alerts.raise_(connection, "provider", subject(due), text, now=now)

    def close(self) -> None:
        """What is under way is taken up at the next start."""
        self.executor.shutdown(wait=False)


def subject(due: Due) -> str:
    """What an alert about it is about."""
    return f"keys of deployment {due.deployment_id}"
