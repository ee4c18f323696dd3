"""Keeps offers and pools on record what the providers say they are, and brings the providers up at the start."""

import logging
from collections.abc import Callable, Mapping

import msgspec

from forebay.clock import Clock
from forebay.compute.base import Capabilities, Pool, Provider, ProviderError, ProviderOffer, VolumeRegion
from forebay.domain.machines import alerts, offers, stock_watches, volume_regions
from forebay.storage.database import Database

log = logging.getLogger(__name__)

PREPARE_SECONDS = 300.0
"""So often a provider puts back what it needs: firewall rules that someone flushed, say."""

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
        nudge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.database, self.providers, self.clock, self.nudge = database, providers, clock, nudge
        self.prepared: dict[str, float] = {}
        """When each provider was last brought up, on the monotonic clock."""

    def run(self) -> int:
        """Ask every provider once; 1 if one has come up, so that its offers are listed at once."""
        came_up = 0
        for name, provider in self.providers.items():
            self.sync(name, provider)
            last = self.prepared.get(name)
            if last is None or self.clock.monotonic() - last >= PREPARE_SECONDS:
                is_ready = self.prepare(name, provider)
                came_up |= int(is_ready and last is None)
        self.look_at_stock()
        return came_up

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
        with self.database.begin() as connection:
            alerts.clear(connection, "provider", f"{name} preparation", now=now)
        return True

    def sync(self, name: str, provider: Provider) -> None:
        """Write what the provider offers now."""
        try:
            found_pools, found = provider.pools(), provider.offers()
            regions = provider.volume_regions() if provider.capabilities.volumes else ()
        except ProviderError as reason:
            log.warning("offers not read", extra={"provider": name, "reason": str(reason)})
            return
        with self.database.begin() as connection:
            offers.sync(
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
