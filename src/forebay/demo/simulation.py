"""A month in the life of a team that never was: so that every page of a demo shows what it is for.

Everything is done by the domain's own functions, in their order, on a clock that starts a month ago: launches take
holds, machines come up and end, cycles charge them, an operator grants credits. Only the machines are made up, and
named SIMULATED wherever they show. All of it has ended when it is over: nothing costs, nothing can be launched, and
`forebay audit` finds books like any others.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import deployments, launch_templates, launches, lifecycle, listed_offers, ssh_keys
from forebay.domain.machines.blueprints import Blueprint
from forebay.domain.machines.deployments import Deployment, Limits
from forebay.domain.machines.lifecycle import Reach
from forebay.domain.machines.offers import Offer, Pool
from forebay.domain.machines.orders import Order
from forebay.domain.money import cycles, grants, metering
from forebay.domain.money.teams import create as new_team
from forebay.domain.people import members, notifications
from forebay.domain.people import teams as people_teams
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.accounts import Account
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import segments, teams

NAME = "Render Farm (simulation)"
DAYS = 30
CYCLE = timedelta(hours=6)
LEASE_SECONDS = 60
PROVIDER = "simulation"
POOL = Pool(id=f"{PROVIDER}/farm", vcpus=512, memory_gb=4096, storage_gb=65536, gpus=64)
SYSTEM = "Debian 12"
LIMITS = Limits(minimum_micros=3_000_000, creations=1_000)
GRANTS = (
    (0, 900, "credits of the simulation"),
    (9, 600, "credits for the trailer"),
    (21, 450, "credits of the simulation"),
)
"""Days after the beginning, dollars, and what for."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBd5Yq0hB2o1cDWw4y3Yl7m0c0v0x3b1mF8q2t4s6u9x simulation"
PROJECTS = ("trailer", "look-dev", "denoiser", "assets")
WORK = ("render", "train", "bake", "notebook", "encode")


def offer(slug: str, model: str, gpu_type: str, count: int, rate_micros: int, *, memory_gb: int) -> Offer:
    """Something to launch, for as long as the simulation lasts."""
    what = f"{count} × {model}" if count else "CPU"
    return Offer(
        id=f"{PROVIDER}-{slug}",
        provider=PROVIDER,
        pool_id=POOL.id,
        name=f"{what} (SIMULATED)",
        description=f"SIMULATED: {what} that never ran, for the demo's past.",
        region="simulation",
        instance_type="DEDICATED",
        vcpus=8 * max(1, count),
        memory_gb=64 * max(1, count),
        storage_gb=200,
        gpu_type=gpu_type,
        gpu_model=f"SIMULATED {model}" if count else "",
        gpu_count=count,
        gpu_memory_gb=memory_gb,
        os_options=[SYSTEM],
        rate_micros=rate_micros,
        storage_rate_micros=20_000,
        minimum_runtime_minutes=0,
        interconnect_type="",
        interconnect_description="",
        supports_cloud_init=True,
        supports_pause=True,
        is_simulated=True,
        is_maintenance=False,
    )


OFFERS = (
    offer("h100-1", "H100", "SIMULATED_H100", 1, 2_490_000, memory_gb=80),
    offer("h100-8", "H100", "SIMULATED_H100", 8, 19_920_000, memory_gb=80),
    offer("a100-2", "A100", "SIMULATED_A100", 2, 2_780_000, memory_gb=80),
    offer("l40s-4", "L40S", "SIMULATED_L40S", 4, 3_560_000, memory_gb=48),
    offer("cpu", "", "cpu", 0, 320_000, memory_gb=0),
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of the past: who launched what, and how it went."""

    at: datetime
    who: int
    """Its place among the people."""
    offer: Offer
    name: str
    labels: dict[str, str]
    hours: tuple[float, ...]
    """How long it ran, was stopped, ran again, and so on."""
    end: str
    """terminated, failed or lost: failed never ran, lost was taken away by the provider."""


def jobs(began: datetime, people: int, chance: random.Random) -> Iterator[Job]:
    """What was launched, day by day: more on weekdays, mostly by day, and one long job of many GPUs."""
    for day in range(DAYS):
        midnight = (began + timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(chance.choice((2, 3, 3, 4)) if midnight.weekday() < 5 else chance.choice((0, 1, 1))):
            at = max(began, midnight) + timedelta(seconds=chance.randrange(8 * 3600, 18 * 3600))
            kind = chance.choices(OFFERS, weights=(5, 0, 3, 2, 4))[0]
            project, work = chance.choice(PROJECTS), chance.choice(WORK)
            end = chance.choices(("terminated", "failed", "lost"), weights=(20, 2, 1))[0]
            hours = [round(chance.triangular(0.3, 16, 3), 3)]
            if chance.random() < 0.2:
                hours += [round(chance.uniform(4, 15), 3), round(chance.uniform(0.5, 4), 3)]
            yield Job(
                at=at,
                who=chance.randrange(people),
                offer=kind,
                name=f"{project}-{work}-{day + 1:02}",
                labels={"project": project, "work": work},
                hours=tuple(hours),
                end=end,
            )
    yield Job(
        at=began + timedelta(days=12, hours=9, seconds=1234),
        who=0,
        offer=OFFERS[1],
        name="trailer-final-frames",
        labels={"project": "trailer", "work": "render"},
        hours=(6.75,),
        end="terminated",
    )


Step = tuple[datetime, Callable[[datetime], object]]


class Simulation:
    """One run, on one connection, in the caller's transaction; nobody else may have deployments yet."""

    def __init__(self, connection: Connection, people: Sequence[Account], operator: Account, *, now: datetime) -> None:
        self.connection, self.now = connection, now
        self.began = (now - timedelta(days=DAYS)).replace(minute=0, second=0, microsecond=0)
        self.chance = random.Random(20)
        self.operator = caller(operator)
        self.team_id = new_team(
            connection, name=NAME, owner_id=people[0].id, now=self.began, member_mode=MemberMode.deploy_only
        )
        for person, role in zip(people[1:], (Role.admin, Role.member), strict=False):
            people_teams.add_member(connection, self.team_id, person.id, role, now=self.began)
        row = connection.execute(sa.select(teams).where(teams.c.id == self.team_id)).one()
        roles = (Role.owner, Role.admin, Role.member)
        self.contexts = [
            TeamContext(
                caller=caller(person),
                team_id=self.team_id,
                team_name=NAME,
                slug=row.slug,
                number=row.number,
                role=role,
                member_mode=MemberMode.deploy_only,
                is_frozen=False,
            )
            for person, role in zip(people, roles, strict=False)
        ]
        self.key_id = ssh_keys.add(
            connection,
            team_id=self.team_id,
            name="farm key",
            public_key=KEY,
            created_by=people[0].id,
            now=self.began,
        ).id

        self.templates: dict[str, str] = {}
        """What was saved of the launches of an offer, by the offer's id."""

    def run(self) -> None:
        """Live through the month, step by step in the order of time, and withdraw the offers at its end."""
        listed_offers.sync(self.connection, PROVIDER, [POOL], OFFERS, now=self.began)
        steps: list[Step] = [*self.grants(), *self.cycles(), *self.saves()]
        last = self.now - timedelta(hours=1)
        for job in jobs(self.began, len(self.contexts), self.chance):
            if job.at + timedelta(hours=sum(job.hours)) < last:
                steps += self.steps_of(job)
        for at, act in sorted(steps, key=lambda step: step[0]):
            act(at)
        listed_offers.sync(self.connection, PROVIDER, [POOL], [], now=self.now)
        self.part()

    def part(self) -> None:
        """All but the owner have left: the demo's other people keep the teams that `demo.json` says."""
        for context in self.contexts[1:]:
            member = members.find(self.connection, self.team_id, context.caller.user_id)
            members.end(self.connection, context, member, now=self.now)
            members.record(
                self.connection, context, "member.leave", member.user_id, now=self.now, role=str(member.role)
            )

    def grants(self) -> Iterator[Step]:
        """What the operator gave."""

        for day, dollars, reason in GRANTS:
            yield self.began + timedelta(days=day), partial(self.give, dollars, reason)

    def give(self, dollars: int, reason: str, at: datetime) -> None:
        """Grant credits."""
        grants.give(self.connection, self.operator, self.team_id, dollars * 1_000_000, reason=reason, now=at)

    def saves(self) -> Iterator[Step]:
        """What was saved to be launched again; the offers are gone by now, and the templates say so."""
        for day, who, offer, name in ((2, 0, OFFERS[0], "Nightly render"), (4, -1, OFFERS[1], "Denoiser on eight")):
            yield self.began + timedelta(days=day, hours=9), partial(self.save, self.contexts[who], offer, name)

    def save(self, context: TeamContext, offer: Offer, name: str, at: datetime) -> None:
        """Save a template."""
        blueprint = Blueprint(
            offer_id=offer.id,
            ssh_key_id=self.key_id,
            machine_name=name.split(maxsplit=1)[0].lower() + "-{n}",
            labels={"project": "trailer"},
            auto_stop_minutes=60,
        )
        made = launch_templates.create(self.connection, context, name, blueprint, now=at)
        self.templates[offer.id] = made.id

    def cycles(self) -> Iterator[Step]:
        """Deductions, as the worker makes them, only further apart."""
        at = self.began + CYCLE
        while at < self.now - timedelta(minutes=30):
            yield at, self.deduct
            at += CYCLE

    def deduct(self, at: datetime) -> None:
        """One cycle: everything that is metered was seen this second, and is charged to it."""
        is_open = sa.and_(segments.c.team_id == self.team_id, segments.c.ended_at.is_(None))
        seen = self.connection.execute(sa.select(segments.c.resource_id).where(is_open)).scalars().all()
        if not seen:
            return
        metering.sight(self.connection, seen, at=at)
        cycle_id = cycles.open_cycle(self.connection, now=at)
        cycles.deduct(self.connection, cycle_id=cycle_id, team_ids=[self.team_id], now=at)
        cycles.close_cycle(self.connection, cycle_id, now=at)

    def steps_of(self, job: Job) -> Iterator[Step]:
        """One machine's life."""
        found: dict[str, str] = {}
        context = self.contexts[job.who]

        def launch(at: datetime) -> None:
            found["id"] = launches.launch(self.connection, context, self.order(job), LIMITS, now=at)

        def act(verb: Callable[..., None]) -> Callable[[datetime], None]:
            return lambda at: verb(self.connection, context, found["id"], now=at)

        def start(at: datetime) -> None:
            deployments.start(self.connection, context, found["id"], LIMITS, now=at)

        def settle(outcome: Callable[[Deployment, str, datetime], None]) -> Callable[[datetime], None]:
            return lambda at: self.settle(found["id"], outcome, at)

        yield job.at, launch
        if job.end == "failed":
            yield job.at + timedelta(seconds=95), settle(self.fail)
            yield job.at + timedelta(seconds=99), settle(self.let_go)
            return
        at = job.at
        for place, hours in enumerate(job.hours):
            if place % 2 == 0:
                if place:
                    yield at, start
                yield at + timedelta(seconds=self.chance.randrange(25, 80)), settle(self.come_up)
            else:
                yield at, act(deployments.stop)
                yield at + timedelta(seconds=4), settle(self.leave)
            at += timedelta(hours=hours)
        yield at, settle(self.lose) if job.end == "lost" else act(deployments.terminate)
        yield at + timedelta(seconds=12), settle(self.let_go)

    def order(self, job: Job) -> Order:
        """What was asked for."""
        return Order(
            offer_id=job.offer.id,
            provider=PROVIDER,
            gpu_type=job.offer.gpu_type,
            gpu_count=job.offer.gpu_count,
            region=job.offer.region,
            operating_system=SYSTEM,
            instance_type=job.offer.instance_type,
            ssh_key_id=self.key_id,
            name=job.name,
            labels=job.labels,
            template_id=self.templates.get(job.offer.id),
        )

    def settle(self, deployment_id: str, outcome: Callable[[Deployment, str, datetime], None], at: datetime) -> None:
        """What the reconciler does with a deployment: take the lease, apply what was found out, give it back."""
        token = ids.new_secret(16).hex()
        lifecycle.wake(self.connection, [deployment_id], now=at)
        claimed = lifecycle.claim(self.connection, token, now=at, seconds=LEASE_SECONDS, limit=100)
        for deployment in claimed:
            if deployment.id == deployment_id:
                outcome(deployment, token, at)
            now = deployments.find(self.connection, deployment.id, self.team_id)
            next_due = None if deployment.id == deployment_id else at
            lifecycle.release(self.connection, now, token, next_due=next_due, now=at)

    def come_up(self, seen: Deployment, token: str, at: datetime) -> None:
        """SSH answered, at an address that is for examples alone."""
        reach = Reach(
            ip_address=f"203.0.113.{self.chance.randrange(1, 255)}",
            ssh_user="root",
            ssh_port=22,
            port_forwards=[],
            host_keys=[],
        )
        lifecycle.mark_running(self.connection, seen, token, reach, now=at)

    def fail(self, seen: Deployment, token: str, at: datetime) -> None:
        """The launch came to nothing."""
        lifecycle.mark_failed(self.connection, seen, token, "SSH did not answer in time (simulated)", now=at)

    def lose(self, seen: Deployment, token: str, at: datetime) -> None:
        """The provider has it no longer."""
        metering.sight(self.connection, [seen.id], at=at)
        lifecycle.mark_lost(self.connection, seen, token, now=at)

    def leave(self, seen: Deployment, token: str, at: datetime) -> None:
        """It is as it should be."""

    def let_go(self, seen: Deployment, token: str, at: datetime) -> None:
        """Nothing is left of it."""
        lifecycle.mark_gone(self.connection, seen, token, now=at)


def caller(account: Account) -> Caller:
    """The person as somebody who asks."""
    return Caller(
        user_id=account.id,
        email=account.email,
        name=account.name,
        is_operator=account.is_operator,
        api_access="approved",
        current_team_id=None,
    )


def make(connection: Connection, people: Sequence[Account], operator: Account, *, now: datetime) -> Mapping[str, Any]:
    """The month, and what is told of its team."""
    simulation = Simulation(connection, people, operator, now=now)
    simulation.run()
    notifications.tell_nobody(connection, simulation.team_id)
    return {"id": simulation.team_id, "slug": simulation.contexts[0].slug, "name": NAME}
