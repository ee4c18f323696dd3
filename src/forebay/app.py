"""The only wiring: database, secret key, providers, mail, routes, worker.

Everything else gets what it needs from here.
"""

import fcntl
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import sqlalchemy as sa

from forebay import ids, mail
from forebay.clock import Clock, SystemClock
from forebay.compute.base import Provider
from forebay.domain.machines import budget_stops, lifecycle, local_host, volume_work
from forebay.domain.machines.deployments import Limits
from forebay.domain.machines.ssh_key_sources import Fetches
from forebay.domain.money import card_set_ups, ledger, low_balance, payment_attempts
from forebay.domain.money.receipts import Seller
from forebay.domain.people import credentials, webhook_deliveries
from forebay.domain.people.public_addresses import Walls, walls_of
from forebay.host import listen, make_private_folder, public_url, read_secret_key, this_host
from forebay.outside import Outside
from forebay.payments.base import PaymentProcessor
from forebay.settings import InvalidSetting, Settings
from forebay.storage import migrations
from forebay.storage.database import Database, Lease
from forebay.storage.tables import cloud, leases, offers
from forebay.worker import catalogue
from forebay.worker.auto_top_ups import AutoTopUpReconciler
from forebay.worker.budgets import BudgetReconciler
from forebay.worker.cards import CardReconciler
from forebay.worker.catalogue import OfferReconciler
from forebay.worker.clock_guard import ClockGuard
from forebay.worker.deduction_cycle import CycleReconciler
from forebay.worker.deployments import DeploymentReconciler
from forebay.worker.housekeeping import HousekeepingReconciler
from forebay.worker.idleness import IdlenessReconciler, Thresholds
from forebay.worker.looks import ProviderLooks
from forebay.worker.loop import Reconciler, Worker
from forebay.worker.mails import MailReconciler
from forebay.worker.notifications import NotificationReconciler
from forebay.worker.payment_events import PaymentEventReconciler
from forebay.worker.payments import PaymentReconciler
from forebay.worker.planned_ends import PlannedEndReconciler
from forebay.worker.prices import PriceReconciler
from forebay.worker.reclaims import ReclaimReconciler
from forebay.worker.sightings import SightingReconciler
from forebay.worker.ssh_keys import SshKeyReconciler
from forebay.worker.ssh_probe import answers
from forebay.worker.terminals import ProviderShells
from forebay.worker.volumes import VolumeReconciler
from forebay.worker.webhooks import WebhookReconciler
from forebay.worker.weekly_reports import WeeklyReportReconciler

if TYPE_CHECKING:
    import uvicorn
    from litestar import Litestar

    from forebay.api.door import Door
    from forebay.web.frame import Frame

log = logging.getLogger(__name__)

SOURCE_SECONDS = 5.0
"""How long somebody waits for the keys that they want from another server."""


class AlreadyRunning(RuntimeError):
    """Another process works on this data folder; on SQLite there is one at a time."""


class WrongSecretKey(RuntimeError):
    """The secret key is not the one that this database was made with: no credential in it could be checked."""


class Forebay:
    """One process's view of a cloud: what is opened once and shared."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        make_private_folder(settings.data_dir)
        self.was_migrated = migrations.upgrade(settings.sqlalchemy_url)
        self.database = Database(settings.sqlalchemy_url)
        self.secret_key = read_secret_key(settings)
        self.cloud_id = self.open_cloud()
        self.folder_lock: IO[str] | None = None
        self.sender = mail.sender(settings)
        self.worker: Worker | None = None
        self.providers: Mapping[str, Provider] = {}
        self.looks = ProviderLooks(lambda: self.providers)
        self.fetches: Fetches = Outside(
            Walls(settings.ssh_key_source_open_networks, settings.ssh_key_source_allow_http),
            deadline_seconds=SOURCE_SECONDS,
        )
        self.processor: PaymentProcessor | None = None
        self.public_url = public_url(settings, settings.port)

    def open_cloud(self) -> str:
        """The id of this cloud, made at the very first start. Raises WrongSecretKey."""
        check = credentials.key_check(self.secret_key)
        with self.database.read() as connection:
            row = connection.execute(sa.select(cloud)).first()
        if row is None:
            with self.database.begin() as connection:
                row = connection.execute(sa.select(cloud)).first()
                if row is None:
                    now = self.clock.now()
                    connection.execute(sa.insert(cloud).values(id=ids.new_id(now), created_at=now, key_check=check))
                    ledger.open_system_accounts(connection)
                    row = connection.execute(sa.select(cloud)).one()
        if row.key_check != check:
            raise WrongSecretKey(
                "FOREBAY_SECRET_KEY (or secret.key in the data folder) is not the one this database was made with"
            )
        return str(row.id)

    def lock_folder(self) -> None:
        """On SQLite one server works on a data folder at a time. Raises AlreadyRunning."""
        if not self.settings.is_sqlite:
            return
        path = self.settings.data_dir / "server.lock"
        self.folder_lock = path.open("a")
        try:
            fcntl.flock(self.folder_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"another Forebay server works on {self.settings.data_dir.absolute()}") from None

    def check_providers(self) -> None:
        """Refuse names of no provider, and local machines on a second host. Raises InvalidSetting, Conflict."""
        catalogue.read_offers_file(self.settings)
        for name in self.settings.providers:
            if name not in PROVIDERS:
                raise InvalidSetting(f"FOREBAY_PROVIDERS: there is no provider {name!r}")
        if "local" in self.settings.providers:
            with self.database.begin() as connection:
                local_host.claim(connection, this_host())

    def open_providers(self, public_url: str) -> None:
        """Make the providers that the settings name; they come up in the worker. Raises as `check_providers` does."""
        self.check_providers()
        self.public_url = public_url
        settings = self.settings if self.settings.public_url else replace(self.settings, public_url=public_url)
        self.providers = {name: PROVIDERS[name](settings, self.cloud_id) for name in self.settings.providers}
        if self.settings.takes_cards:
            self.open_processor()

    def open_providers_to_look(self) -> None:
        """Where somebody else is the worker: make the providers whose machines are here, to look into those."""
        with self.database.read() as connection:
            is_local = local_host.is_here(connection, this_host())
        self.providers = {
            name: PROVIDERS[name](self.settings, self.cloud_id)
            for name in self.settings.providers
            if name in PROVIDERS and (name != "local" or is_local)
        }

    def build_worker(self, more: tuple[Reconciler, ...] = ()) -> Worker:
        """All reconcilers. `open_providers` comes first."""
        settings, database, clock = self.settings, self.database, self.clock
        guard = ClockGuard(database, clock, jump_seconds=settings.clock_jump_seconds)
        limits = Limits(minimum_micros=settings.minimum_launch_micros, creations=settings.rate_limit_creations)
        sightings = SightingReconciler(
            database, self.providers, clock, guard, end_orphans=settings.end_orphans, nudge=self.nudge
        )
        prices = PriceReconciler(database, clock, guard, nudge=self.nudge)
        self.worker = Worker(
            [
                OfferReconciler(database, self.providers, clock, settings=settings, nudge=self.nudge),
                DeploymentReconciler(
                    database,
                    self.providers,
                    clock,
                    limits,
                    probe=answers,
                    launch_timeout_seconds=settings.launch_timeout_seconds,
                    nudge=self.nudge,
                ),
                sightings,
                prices,
                ReclaimReconciler(database, self.providers, clock, nudge=self.nudge),
                CycleReconciler(
                    database,
                    clock,
                    sightings,
                    guard,
                    cycle_seconds=settings.cycle_seconds,
                    rules=low_balance.rules_of(settings, self.public_url),
                    prices=prices,
                    nudge=self.nudge,
                ),
                BudgetReconciler(
                    database, clock, guard, rules=budget_stops.rules_of(settings, self.public_url), nudge=self.nudge
                ),
                VolumeReconciler(database, self.providers, clock, nudge=self.nudge),
                PlannedEndReconciler(database, clock, guard, nudge=self.nudge),
                IdlenessReconciler(
                    database,
                    self.providers,
                    clock,
                    Thresholds(cpu=settings.idle_cpu_percent / 100, gpu=settings.idle_gpu_percent / 100),
                    interval_seconds=settings.idle_look_seconds,
                    nudge=self.nudge,
                ),
                SshKeyReconciler(database, self.providers, clock),
                *self.telling_reconcilers(),
                *self.payment_reconcilers(),
                *more,
            ],
            clock,
        )
        return self.worker

    def telling_reconcilers(self) -> list[Reconciler]:
        """What brings the news: to people by mail, to programs by webhook."""
        what = self.database, self.clock
        outside = Outside(walls_of(self.settings))
        weekly = WeeklyReportReconciler(*what, public_url=self.public_url, nudge=self.nudge)
        return [
            *([weekly] if self.settings.weekly_report else []),
            NotificationReconciler(*what, public_url=self.public_url, nudge=self.nudge),
            WebhookReconciler(*what, outside, secret_key=self.secret_key, nudge=self.nudge),
            MailReconciler(self.database, self.sender, self.clock, public_url=self.public_url),
        ]

    def open_processor(self) -> PaymentProcessor:
        """Make who charges cards. Raises InvalidSetting where this cloud takes none."""
        if not self.settings.takes_cards:
            raise InvalidSetting("FOREBAY_STRIPE_SECRET_KEY is not set: this cloud takes no cards")
        self.processor = make_stripe(self.settings)
        return self.processor

    def payment_reconcilers(self) -> list[Reconciler]:
        """What charges cards and saves them, where this cloud takes any."""
        if self.processor is None:
            return []
        seller = Seller(self.settings.company_name, self.settings.company_vat_number)
        what, url = (self.database, self.processor, self.clock), f"{self.public_url}/"
        charging = PaymentReconciler(*what, seller=seller, return_url=url, nudge=self.nudge)
        return [
            charging,
            AutoTopUpReconciler(self.database, self.clock, public_url=self.public_url, nudge=self.nudge),
            PaymentEventReconciler(*what, charging, nudge=self.nudge),
            CardReconciler(*what, return_url=url, nudge=self.nudge),
        ]

    def start_worker(self) -> None:
        """Begin to reconcile. Alone on its data folder, a server knows that leases of the past are nobody's."""
        if self.worker is None:
            return
        if self.settings.is_sqlite and self.folder_lock is not None:
            with self.database.begin() as connection:
                lifecycle.release_all(connection)
                volume_work.release_all(connection, now=self.clock.now())
                payment_attempts.release_all(connection, now=self.clock.now())
                card_set_ups.release_all(connection, now=self.clock.now())
                webhook_deliveries.release_all(connection, now=self.clock.now())
                Lease.drop_all(connection, leases)
        self.worker.start()

    def nudge(self, name: str) -> None:
        """Wake a reconciler, if this process has the worker; else its schedule finds the work."""
        if self.worker is not None:
            self.worker.nudge(name)

    def status(self) -> dict[str, Any]:
        """How the worker is, for /healthz and /metrics.

        Seconds since each reconciler's last good round, and failures.
        """
        if self.worker is None:
            return {}
        return {
            name: {"secondsSince": self.worker.seconds_since(name), "failures": self.worker.failures[name]}
            for name in self.worker.reconcilers
        }

    def close(self) -> None:
        """Stop the worker, let go of providers and database."""
        self.looks.close()
        if self.worker is not None:
            self.worker.stop()
        for provider in self.providers.values():
            with suppress(Exception):
                provider.close()
        if self.processor is not None:
            with suppress(Exception):
                self.processor.close()
        self.database.close()
        if self.folder_lock is not None:
            self.folder_lock.close()


def make_stripe(settings: Settings) -> PaymentProcessor:
    """Who charges cards. Its library takes a second to load: only those wait who take cards."""
    from forebay.payments.stripe import StripeProcessor

    return StripeProcessor(settings.stripe_secret_key, api_base=settings.stripe_api_base)


def make_local(settings: Settings, cloud_id: str) -> Provider:
    """The provider of machines on this host."""
    from forebay.compute.local import LocalProvider

    return LocalProvider(settings, cloud_id)


PROVIDERS: Mapping[str, Callable[[Settings, str], Provider]] = {"local": make_local}
"""What makes each provider, by its name in the settings."""


def build_image(settings: Settings, say: Callable[[str], None]) -> None:
    """Build the base image of local machines now, saying what is done; nothing where no provider would use it."""
    from forebay.compute.local import image
    from forebay.compute.local.service import Service, tag_of

    if "local" in settings.providers and not settings.local_image:
        image.build(Service(settings.podman, tag_of("")), say)


def build_api(forebay: Forebay, url: str) -> tuple["Litestar", "Door"]:
    """The ASGI application of a process, and the door all its requests go through."""
    # Imported where they are used: other commands start twice as fast without them.
    from forebay.api import health, server
    from forebay.api.call import Services
    from forebay.api.door import Door
    from forebay.web import pages

    services = Services(
        settings=forebay.settings,
        database=forebay.database,
        clock=forebay.clock,
        secret_key=forebay.secret_key,
        public_url=lambda: url,
        nudge=forebay.nudge,
        provider_names=forebay.settings.providers,
        looks=forebay.looks,
        fetches=forebay.fetches,
        status=forebay.status,
    )
    door = Door(services)
    frame = build_frame(forebay, door, url)
    own_pages, close_pages = pages.build(frame, ProviderShells(lambda: forebay.providers))
    asgi = server.build(door, [*health.build(door), *own_pages], frame.stray)
    asgi.on_shutdown.append(close_pages)
    return asgi, door


def build_frame(forebay: Forebay, door: "Door", url: str) -> "Frame":
    """What all pages of a process have in common."""
    from forebay.api.server import Proxies
    from forebay.web.frame import Frame

    return Frame(
        forebay.settings,
        forebay.database,
        forebay.clock,
        forebay.secret_key,
        url,
        nudge=forebay.nudge,
        address_of=Proxies(forebay.settings.trusted_proxies).client,
        count=lambda name: door.limiter.count(name, forebay.settings.rate_limit_anonymous),
        note_use=door.note_use,
        denials=door.denials,
        looks=forebay.looks,
        fetches=forebay.fetches,
        executor=door.executor,
        slow_executor=door.slow_executor,
        look_executor=door.look_executor,
    )


def server_config(asgi: "Litestar") -> "uvicorn.Config":
    """How the application is served."""
    import uvicorn

    from forebay.api.protocol import MOST_MESSAGE_BYTES, BoundedHttp

    return uvicorn.Config(
        asgi,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",  # but for terminals, which BoundedHttp hands on
        ws_max_size=MOST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def has_offers(database: Database) -> bool:
    """Whether any offer is on record."""
    with database.read() as connection:
        return connection.execute(sa.select(offers.c.id).limit(1)).first() is not None


def serve(forebay: Forebay, *, has_worker: bool, ready: Callable[[str], None]) -> None:
    """Serve until a signal asks for the end. `ready` is told the address once the socket is open."""
    import uvicorn

    failures: list[Exception] = []

    def end(*_: object) -> None:
        """What a signal does before uvicorn serves, and once it has served: it is raised again then. All is closed."""
        if failures:
            raise failures[0]
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    settings = forebay.settings
    listener = listen(settings.host, settings.port)
    url = public_url(settings, listener.getsockname()[1])
    asgi, door = build_api(forebay, url)
    housekeeping = HousekeepingReconciler(forebay.database, forebay.clock, settings, door)

    def begin_to_work() -> None:
        """Make providers and worker beside the first requests, which need neither; what fails ends the server."""
        try:
            if has_worker:
                forebay.open_providers(url)
                forebay.build_worker((housekeeping,))
            else:
                forebay.open_providers_to_look()
                forebay.worker = Worker([housekeeping], forebay.clock)
            forebay.start_worker()
        except Exception as error:
            failures.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    if has_worker:
        forebay.check_providers()
    # A new cloud has no offers on record yet: it works first, so that the first launch finds them.
    if not has_worker or has_offers(forebay.database):
        asgi.on_startup.append(threading.Thread(target=begin_to_work, name="forebay-begin", daemon=True).start)
    else:
        begin_to_work()
    ready(url)
    uvicorn.Server(server_config(asgi)).run(sockets=[listener])


def work(forebay: Forebay, stopped: threading.Event) -> None:
    """Reconcile without serving, until `stopped`."""
    forebay.open_providers(public_url(forebay.settings, forebay.settings.port))
    forebay.build_worker()
    forebay.start_worker()
    stopped.wait()
