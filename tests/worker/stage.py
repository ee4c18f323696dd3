"""A cloud for the tests of the worker: real books, a provider without machines, people, and a clock moved by hand.

Forebay itself can be ended at any moment and opened anew on the same books and the same provider. Nothing here sleeps:
whoever waits moves the clock.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from forebay.compute.base import Instance, InstanceState
from forebay.compute.memory import MemoryProvider
from forebay.domain.machines import (
    alerts,
    audit,
    deployments,
    launches,
    lifecycle,
    offers,
    orders,
    ssh_keys,
    volume_work,
    volumes,
)
from forebay.domain.machines.deployments import Deployment, Desired, Limits, Status
from forebay.domain.machines.schedules import Terms
from forebay.domain.machines.volumes import Volume
from forebay.domain.money import ledger
from forebay.domain.money.amounts import charge_micros
from forebay.domain.money.audit import snapshot
from forebay.domain.money.low_balance import Rules
from forebay.domain.people import accounts
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage import tables
from forebay.storage.database import Database, Lease
from forebay.worker.catalogue import OfferReconciler
from forebay.worker.clock_guard import ClockGuard
from forebay.worker.deduction_cycle import CycleReconciler
from forebay.worker.deployments import DeploymentReconciler
from forebay.worker.idleness import IdlenessReconciler, Thresholds
from forebay.worker.mails import MailReconciler
from forebay.worker.planned_ends import PlannedEndReconciler
from forebay.worker.prices import PriceReconciler
from forebay.worker.sightings import SightingReconciler
from forebay.worker.ssh_keys import SshKeyReconciler
from forebay.worker.volumes import VolumeReconciler

START = datetime(2026, 3, 1, tzinfo=UTC)
DOLLAR = 1_000_000
A_SECOND = 1000
"""What a second of the provider's small machine costs, in micro-dollars; of its disk, ten."""
DISK_SECOND = 10
LIMITS = Limits(minimum_micros=3 * DOLLAR, creations=1_000_000)
RULES = Rules(public_url="https://cloud.example.org")
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
NEVER_QUIET = 2000

numbers = itertools.count(1)


class HandClock:
    """Moved by hand, and by whoever waits."""

    def __init__(self) -> None:
        self.wall = START
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall.replace(microsecond=0)

    def monotonic(self) -> float:
        return self.ticks

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.pass_(seconds)
        return event.is_set()

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    def jump(self, seconds: float) -> None:
        """Put the wall clock forward or back, without any time going by."""
        self.wall += timedelta(seconds=seconds)


class AtOnce(Executor):
    """Does what is submitted before `submit` returns."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


class Outbox:
    """Keeps mails, or loses them on the way."""

    description = "a list"

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        """Id, recipient and subject of each."""
        self.refusal: Exception | None = None
        self.refused: Callable[[str], bool] = lambda subject: True

    def send(
        self,
        message_id: str,
        recipient: str,
        subject: str,
        text: str,
        html: str | None = None,
        *,
        unsubscribe: str | None = None,
    ) -> None:
        if self.refusal is not None and self.refused(subject):
            raise self.refusal
        self.sent.append((message_id, recipient, subject))


class Forebay:
    """One process's reconcilers."""

    def __init__(
        self,
        database: Database,
        provider: MemoryProvider,
        clock: HandClock,
        outbox: Outbox,
        *,
        end_orphans: bool = False,
        probe: Callable[[Instance], bool] | None = None,
        executor: Executor | None = None,
    ) -> None:
        providers = {"memory": provider}
        self.nudged: set[str] = set()
        self.guard = ClockGuard(database, clock, jump_seconds=30)
        self.catalogue = OfferReconciler(database, providers, clock)
        self.sightings = SightingReconciler(
            database, providers, clock, self.guard, end_orphans=end_orphans, nudge=self.nudged.add
        )
        self.deployments = DeploymentReconciler(
            database,
            providers,
            clock,
            LIMITS,
            probe=probe or provider.answers,
            launch_timeout_seconds=300,
            nudge=self.nudged.add,
            executor=executor or AtOnce(),
        )
        self.prices = PriceReconciler(database, clock, self.guard, nudge=self.nudged.add)
        self.cycle = CycleReconciler(
            database,
            clock,
            self.sightings,
            self.guard,
            cycle_seconds=60,
            rules=RULES,
            prices=self.prices,
            nudge=self.nudged.add,
        )
        self.keys = SshKeyReconciler(database, providers, clock, executor=AtOnce())
        self.volumes = VolumeReconciler(
            database, providers, clock, nudge=self.nudged.add, executor=executor or AtOnce()
        )
        self.mails = MailReconciler(database, outbox, clock)
        self.ends = PlannedEndReconciler(database, clock, self.guard, nudge=self.nudged.add)
        self.idleness = IdlenessReconciler(
            database, providers, clock, Thresholds(cpu=0.05, gpu=0.05), nudge=self.nudged.add
        )


class Team(msgspec.Struct, frozen=True):
    """A team of one person, and the key of its machines."""

    context: TeamContext
    key_id: str

    @property
    def id(self) -> str:
        """The team's id."""
        return self.context.team_id


class Stage:
    """See the module."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.database, self.clock, self.outbox, self.options = database, HandClock(), Outbox(), options
        self.provider = MemoryProvider(self.clock.now)
        self.forebay = self.open()
        self.granted_micros: dict[str, int] = {}
        with database.begin() as connection:
            ledger.open_system_accounts(connection)
        self.forebay.catalogue.run()

    def open(self, database: Any = None, provider: Any = None) -> Forebay:
        """A process on the same books and the same provider, or on what stands before them."""
        return Forebay(database or self.database, provider or self.provider, self.clock, self.outbox, **self.options)

    def restart(self) -> None:
        """End Forebay without a word and start it again."""
        self.forebay = self.open()
        if self.database.is_sqlite:
            with self.database.begin() as connection:
                lifecycle.release_all(connection)
                volume_work.release_all(connection, now=self.clock.now())
                Lease.drop_all(connection, tables.leases)

    # What people do.

    def team(self, *, dollars: float = 100) -> Team:
        """A team with credits, its owner, and a key."""
        number = next(numbers)
        now = self.clock.now()
        with self.database.begin() as connection:
            owner, team_id = accounts.create(
                connection,
                email=f"owner{number}@example.org",
                name=f"Owner {number}",
                password_hash=None,
                now=now,
                is_verified=True,
            )
            ledger.open_account(connection, team_id)
            key = ssh_keys.add(
                connection, team_id=team_id, name="key", public_key=PUBLIC_KEY, created_by=owner.id, now=now
            )
        caller = Caller(
            user_id=owner.id,
            email=owner.email,
            name=owner.name,
            is_operator=False,
            api_access="approved",
            current_team_id=team_id,
        )
        context = TeamContext(
            caller=caller,
            team_id=team_id,
            team_name=f"Team {number}",
            slug=f"team-{number}",
            number=number,
            role=Role.owner,
            member_mode=MemberMode.deploy_only,
            is_frozen=False,
        )
        if dollars:
            self.grant(team_id, dollars)
        return Team(context, key.id)

    def grant(self, team_id: str, dollars: float) -> None:
        """Credits, by the operator."""
        amount = round(dollars * DOLLAR)
        with self.database.begin() as connection:
            ledger.grant(
                connection, team_id=team_id, amount_micros=amount, reason="", created_by=None, now=self.clock.now()
            )
        self.granted_micros[team_id] = self.granted_micros.get(team_id, 0) + amount

    def launch(
        self,
        team: Team,
        *,
        offer: str = "small",
        cloud_init: Any = None,
        volume_ids: tuple[str, ...] = (),
        database: Any = None,
        **terms: Any,
    ) -> str:
        """An accepted launch; its id."""
        found = next(entry for entry in self.provider.all_offers if entry.offer_id == offer)
        order = orders.Order(
            offer_id=f"memory-{offer}",
            provider="memory",
            gpu_type=found.gpu_type,
            gpu_count=found.gpu_count,
            region=found.region,
            operating_system=found.os_options[0],
            instance_type=found.instance_type,
            ssh_key_id=team.key_id,
            cloud_init=cloud_init,
            volume_ids=volume_ids,
            terms=Terms(**terms),
        )
        with (database or self.database).begin() as connection:
            return launches.launch(connection, team.context, order, LIMITS, now=self.clock.now())

    def create_volume(self, team: Team, *, name: str = "data", size_gb: int = 10, database: Any = None) -> str:
        """An accepted volume; its id."""
        order = volumes.Order(name=name, size_gb=size_gb, provider="memory")
        with (database or self.database).begin() as connection:
            return volumes.create(connection, team.context, order, now=self.clock.now())

    def find_volume(self, volume_id: str) -> Volume:
        """The volume as it is now."""
        with self.database.read() as connection:
            row = connection.execute(sa.select(*volumes.COLUMNS).where(tables.volumes.c.id == volume_id)).one()
        return volumes.to_volume(row)

    def start(self, team: Team, deployment_id: str, database: Any = None) -> None:
        """An accepted start."""
        with (database or self.database).begin() as connection:
            deployments.start(connection, team.context, deployment_id, LIMITS, now=self.clock.now())

    def stop(self, team: Team, deployment_id: str, database: Any = None) -> None:
        """An accepted stop."""
        with (database or self.database).begin() as connection:
            deployments.stop(connection, team.context, deployment_id, now=self.clock.now())

    def terminate(self, team: Team, deployment_id: str, database: Any = None) -> None:
        """An accepted terminate."""
        with (database or self.database).begin() as connection:
            deployments.terminate(connection, team.context, deployment_id, now=self.clock.now())

    def delete_key(self, team: Team, key_id: str, database: Any = None) -> None:
        """The key is taken out of the team."""
        with (database or self.database).begin() as connection:
            ssh_keys.delete(connection, team.id, key_id, now=self.clock.now())

    # What time brings.

    def settle(self, forebay: Forebay | None = None) -> None:
        """Let Forebay work until nothing is due; the clock goes on only while something has to wait."""
        forebay = forebay or self.forebay
        for _ in range(NEVER_QUIET):
            forebay.deployments.run()
            forebay.volumes.run()
            next_at = self.next_at()
            if next_at is None:
                return
            self.clock.pass_(max(0, (next_at - self.clock.now()).total_seconds()))
        raise AssertionError("never quiet")

    def next_at(self) -> datetime | None:
        """When there is something to do next: what is due then, and in no lease any more. None: all is quiet."""
        found = []
        with self.database.read() as connection:
            for columns in (tables.deployments.c, tables.volumes.c):
                due = sa.select(columns.due_at, columns.lease_until).where(columns.due_at.is_not(None))
                found += [max(row.due_at, row.lease_until or row.due_at) for row in connection.execute(due)]
        return min(found, default=None)

    def recover(self) -> None:
        """What happens after a restart until all is quiet: everything is looked at, and what differs is mended."""
        self.restart()
        self.settle()
        for _ in range(3):
            self.forebay.sightings.run()
            self.settle()

    def running(self, team: Team, **options: Any) -> str:
        """A machine that runs since this second; its id."""
        deployment_id = self.launch(team, **options)
        self.settle()
        assert self.find(deployment_id).status is Status.running
        return deployment_id

    def pass_(self, seconds: int, *, cycles: bool = False) -> None:
        """Let time go by with the schedule's sightings every ten seconds, and cycles every sixty."""
        for second in range(1, seconds + 1):
            self.clock.pass_(1)
            if cycles and second % 60 == 0:
                self.forebay.cycle.run()
            elif second % 10 == 0:
                self.forebay.sightings.run()

    # What is on record.

    def find(self, deployment_id: str) -> Deployment:
        """The deployment as it is now."""
        with self.database.read() as connection:
            row = connection.execute(
                sa.select(*deployments.COLUMNS).where(tables.deployments.c.id == deployment_id)
            ).one()
        return deployments.to_deployment(row)

    def all(self) -> list[Deployment]:
        """Every deployment."""
        with self.database.read() as connection:
            return [deployments.to_deployment(row) for row in connection.execute(sa.select(*deployments.COLUMNS)).all()]

    def balance(self, team: Team) -> ledger.Balance:
        """The team's credits."""
        with self.database.read() as connection:
            return ledger.balance(connection, team.id)

    def charged(self, team: Team) -> int:
        """What the team has been charged in all."""
        return self.granted_micros.get(team.id, 0) - self.balance(team).balance_micros

    def segments(self, deployment_id: str) -> list[tuple[str, int, int | None]]:
        """Resource type, start and end of each segment, in seconds since the start, in the order of time."""

        def since(moment: datetime | None) -> int | None:
            return None if moment is None else int((moment - START).total_seconds())

        columns = tables.segments.c
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(columns.resource_type, columns.started_at, columns.ended_at)
                .where(columns.resource_id == deployment_id)
                .order_by(columns.started_at, columns.id)
            ).all()
        return [(row.resource_type, since(row.started_at) or 0, since(row.ended_at)) for row in rows]

    def events(self, deployment_id: str) -> list[str]:
        """The kinds of what happened to it."""
        columns = tables.deployment_events.c
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(columns.kind).where(columns.deployment_id == deployment_id).order_by(columns.id)
            )
            return [str(row.kind) for row in rows]

    def alerts(self) -> list[tuple[str, str]]:
        """Kind and subject of what an operator must look at now."""
        with self.database.read() as connection:
            return [(alert.kind, alert.subject) for alert in alerts.open_ones(connection)]

    def seconds(self) -> int:
        """Now, in seconds since the start."""
        return int((self.clock.now() - START).total_seconds())

    @contextmanager
    def nothing_charged(self, team: Team) -> Iterator[None]:
        """Whatever happens in the block is free."""
        before = self.balance(team).balance_micros
        yield
        assert self.balance(team).balance_micros == before

    # What must always hold.

    def check(self) -> None:
        """Books that balance; a record for each machine and a machine for each record; holds and capacity right."""
        with snapshot(self.database) as connection:
            assert audit.run(connection) == []
        everything = self.all()
        self.check_machines(everything)
        self.check_money(everything)
        self.check_room(everything)

    def check_machines(self, everything: list[Deployment]) -> None:
        """What runs is on record, and what is on record runs. Only when all is quiet."""
        states = {key: machine.instance.state for key, machine in self.provider.machines.items()}
        expected = {}
        for deployment in everything:
            if deployment.gone_at is None:
                assert deployment.status in (Status.running, Status.stopped), deployment
                assert deployment.desired is Desired(deployment.status)
                expected[deployment.id] = InstanceState(deployment.status)
        assert states == expected

    def check_money(self, everything: list[Deployment]) -> None:
        """Every team has paid what its segments come to, once; holds are open where a machine runs."""
        with self.database.read() as connection:
            segments = connection.execute(
                sa.select(tables.segments).order_by(tables.segments.c.started_at, tables.segments.c.id)
            ).all()
            held = connection.execute(
                sa.select(tables.holds.c.resource_id).where(tables.holds.c.released_at.is_(None))
            ).scalars()
            assert set(held) == {entry.id for entry in everything if entry.status is Status.running}
            balances = ledger.balances(connection, list(self.granted_micros))
        paid = dict.fromkeys(self.granted_micros, 0)
        reached: dict[str, datetime] = {}
        is_open: dict[str, str] = {}
        for segment in segments:
            assert segment.resource_id not in is_open, "two segments of one machine overlap"
            assert segment.started_at >= reached.get(segment.resource_id, START), "two segments of one machine overlap"
            seconds = int((segment.charged_through - segment.started_at).total_seconds())
            paid[segment.team_id] = paid.get(segment.team_id, 0) + charge_micros(segment.rate_micros, seconds)
            if segment.ended_at is None:
                is_open[segment.resource_id] = segment.resource_type
            else:
                reached[segment.resource_id] = segment.ended_at
        kinds = {Status.running: "compute", Status.stopped: "storage"}
        stored = self.stored()
        assert is_open == {
            entry.id: kinds[entry.status] for entry in everything if entry.status in kinds
        } | dict.fromkeys(stored, "storage")
        assert {volume_id: kept.size_gb for volume_id, kept in self.provider.volumes.items()} == stored
        for team_id, granted in self.granted_micros.items():
            assert balances[team_id].balance_micros == granted - paid[team_id]

    def stored(self) -> dict[str, int]:
        """The size of each volume that there is, by the records. Only when all is quiet."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(*volumes.COLUMNS).where(tables.volumes.c.gone_at.is_(None))).all()
        assert {row.state for row in rows} <= {"available"}
        return {row.id: row.size_gb for row in rows}

    def check_room(self, everything: list[Deployment]) -> None:
        """Capacity is taken by what the provider has not confirmed to be gone, and by nothing else."""
        [pool] = self.provider.all_pools
        with self.database.read() as connection:
            room = offers.rooms(connection)[f"memory/{pool.name}"]
        taken = sum(entry.vcpus for entry in everything if entry.gone_at is None)
        assert room.vcpus == pool.vcpus - taken
