"""Keeps offers and pools on record what the providers and the offers file say they are, and brings the providers up.

The file is read in every round. One with a mistake in it counts for nothing: what it said before stays, and an alert
says what is wrong and where.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from forebay.clock import Clock
from forebay.compute.base import Capabilities, Finding, Pool, Provider, ProviderError, ProviderOffer, VolumeRegion
from forebay.domain.machines import (
    alerts,
    listed_offers,
    offer_changes,
    offers,
    offers_file,
    provider_states,
    stock_watches,
    volume_regions,
)
from forebay.domain.machines.offer_terms import Terms
from forebay.domain.machines.offers_file import Mistakes
from forebay.settings import InvalidSetting, Settings
from forebay.storage.database import Database

log = logging.getLogger(__name__)

PREPARE_SECONDS = 300.0
"""So often a provider puts back what it needs: firewall rules that someone flushed, say."""

OFFERS_FILE = "offers file"
AN_OFFER = "offer "
"""How alerts about them are called."""
OTHERWISE = {
    "id",
    "provider",
    "pool_id",
    "os_options",
    "supports_cloud_init",
    "supports_ports",
    "supports_live_keys",
    "supports_session_ends",
    "supports_pause",
}
KEPT = [name for name in offers.Offer.__struct_fields__ if name not in OTHERWISE]
"""Fields that are taken over from the provider's offer as they are."""


class OfferReconciler:
    """See the module."""

    name = "offers"
    interval_seconds = 30.0

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        settings: Settings | None = None,
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.providers, self.clock = database, providers, clock
        self.settings, self.nudge = settings or Settings(), nudge
        self.prepared: dict[str, float] = {}
        """When each provider was last brought up, on the monotonic clock."""

    def run(self) -> int:
        """Ask every provider once; 1 if one has come up, so that its offers are listed at once."""
        came_up = 0
        self.read_file()
        for name, provider in self.providers.items():
            self.sync(name, provider)
            last = self.prepared.get(name)
            if last is None or self.clock.monotonic() - last >= PREPARE_SECONDS:
                is_ready = self.prepare(name, provider)
                came_up |= int(is_ready and last is None)
        self.note_strays()
        self.look_at_stock()
        return came_up

    def read_file(self) -> None:
        """Keep what the offers file says now, or say what is wrong with it."""
        now = self.clock.now()
        try:
            found = read_offers_file(self.settings)
        except InvalidSetting as reason:
            log.warning("offers file not read", extra={"reason": str(reason)})
            with self.database.begin() as connection:
                alerts.raise_(connection, "provider", OFFERS_FILE, f"It is not used: {reason}", now=now)
            return
        with self.database.begin() as connection:
            offer_changes.put_file(connection, found, now=now)
            alerts.clear(connection, "provider", OFFERS_FILE, now=now)

    def note_strays(self) -> None:
        """Show what operators say of offers that can't be, until it can."""
        now = self.clock.now()
        with self.database.begin() as connection:
            listed_offers.note_strays(connection, set(self.providers))
            wrong = listed_offers.problems(connection)
            for offer_id, text in wrong.items():
                alerts.raise_(connection, "provider", f"{AN_OFFER}{offer_id}", f"{offer_id}: {text}", now=now)
            keep = [f"{AN_OFFER}{offer_id}" for offer_id in wrong]
            alerts.clear(connection, "provider", of=AN_OFFER, keep=keep, now=now)

    def look_at_stock(self) -> None:
        """Tell whoever waits for an offer that has room again."""
        with self.database.read() as connection:
            if not stock_watches.are_any(connection):
                return
        with self.database.begin() as connection:
            told = stock_watches.look(connection, now=self.clock.now())
        if told:
            self.nudge("notifications")

    def prepare(self, name: str, provider: Provider) -> bool:
        """Bring a provider up, or mend what was taken away under it; an operator sees why if it can't be."""
        now = self.clock.now()
        try:
            provider.prepare()
        except ProviderError as reason:
            log.warning("provider not ready", extra={"provider": name, "reason": str(reason)})
            with self.database.begin() as connection:
                alerts.raise_(connection, "provider", f"{name} preparation", f"{name} is not ready: {reason}", now=now)
            return False
        self.prepared[name] = self.clock.monotonic()
        findings = self.examine(name, provider)
        with self.database.begin() as connection:
            alerts.clear(connection, "provider", f"{name} preparation", now=now)
            if findings is not None:
                provider_states.note_findings(connection, name, findings, now=now)
        return True

    def examine(self, name: str, provider: Provider) -> Sequence[Finding] | None:
        """What the provider's doctor finds, for operators to read; None where it can't say."""
        try:
            return provider.doctor()
        except ProviderError as reason:
            log.warning("provider not examined", extra={"provider": name, "reason": str(reason)})
            return None

    def sync(self, name: str, provider: Provider) -> None:
        """Write what the provider offers now."""
        try:
            found_pools, found = provider.pools(), provider.offers()
            regions = provider.volume_regions() if provider.capabilities.volumes else ()
        except ProviderError as reason:
            log.warning("offers not read", extra={"provider": name, "reason": str(reason)})
            return
        with self.database.begin() as connection:
            provider_states.note_sizes(connection, name, provider.capabilities.any_size, now=self.clock.now())
            listed_offers.sync(
                connection,
                name,
                [to_pool(name, pool) for pool in found_pools],
                [to_offer(name, offer, provider.capabilities) for offer in found],
                now=self.clock.now(),
            )
            kept = [to_region(name, region, provider.capabilities) for region in regions]
            volume_regions.sync(connection, name, kept)

    def close(self) -> None:
        """Nothing is held."""


def read_offers_file(settings: Settings) -> Mapping[str, Terms]:
    """What the offers file says, by offer; nothing where the settings name none.

    Raises InvalidSetting with all that is wrong with it, so that nothing begins to work with a broken one.
    """
    if not settings.offers_file:
        return {}
    try:
        return offers_file.read(Path(settings.offers_file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, Mistakes) as reason:
        what = getattr(reason, "strerror", None) or reason
        raise InvalidSetting(f"FOREBAY_OFFERS_FILE ({settings.offers_file}): {what}") from None


def to_pool(provider: str, pool: Pool) -> offers.Pool:
    """The provider's pool as it is kept."""
    return offers.Pool(
        id=f"{provider}/{pool.name}",
        vcpus=pool.vcpus,
        memory_gb=pool.memory_gb,
        storage_gb=pool.storage_gb,
        gpus=pool.gpus,
    )


def to_region(provider: str, region: VolumeRegion, capabilities: Capabilities) -> volume_regions.Region:
    """The provider's region for volumes as it is kept."""
    return volume_regions.Region(
        id=f"{provider}/{region.region}",
        provider=provider,
        can_grow=capabilities.volume_resize,
        can_share=capabilities.shared_volumes,
        **msgspec.structs.asdict(region),
    )


def to_offer(provider: str, offer: ProviderOffer, capabilities: Capabilities) -> offers.Offer:
    """The provider's offer as it is kept: its id carries the provider's name, so two providers can't clash."""
    return offers.Offer(
        id=f"{provider}-{offer.offer_id}",
        provider=provider,
        pool_id=f"{provider}/{offer.pool}",
        os_options=list(offer.os_options),
        supports_cloud_init=capabilities.cloud_init,
        supports_ports=capabilities.ports,
        supports_live_keys=capabilities.live_keys,
        supports_session_ends=capabilities.session_ends,
        supports_pause=capabilities.pause,
        **{name: getattr(offer, name) for name in KEPT},
    )
