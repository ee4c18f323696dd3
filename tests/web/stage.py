"""A cloud with enough life in it that every page shows what it is for: people, teams, a month of machines and use.

To look at it by hand: `.venv/bin/python -m tests.web.stage`.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from forebay.compute.memory import SMALL
from forebay.domain.money import card_changes, cards, deposits
from forebay.domain.money.deposits import Wish
from forebay.domain.people import access, credentials
from forebay.domain.people.access import Credential, Target
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage import migrations
from forebay.storage.tables import teams
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.api.wire import Loop
from tests.web.browser import PASSWORD, give_password

NASTY = '<img src=x onerror="document.title=1">'
LONG = "a-name-that-somebody-made-as-long-as-names-of-machines-may-be"[:60]
OFFERS = [
    msgspec.structs.replace(
        SMALL, offer_id=offer_id, name=name, gpu_type=gpu_type, gpu_model=model, gpu_count=count, gpu_memory_gb=memory,
        vcpus=12 * max(1, count), memory_gb=96 * max(1, count), storage_gb=500, region=region, rate_micros=rate,
        storage_rate_micros=40_000, os_options=("Debian 12", "Ubuntu 24.04"), minimum_runtime_minutes=minimum,
    )
    for offer_id, name, gpu_type, model, count, memory, region, rate, minimum in (
        ("h100-8", "8 × H100", "H100_SXM5", "NVIDIA H100 SXM5", 8, 80, "frankfurt", 19_920_000, 0),
        ("h100-1", "1 × H100", "H100_SXM5", "NVIDIA H100 SXM5", 1, 80, "frankfurt", 2_490_000, 0),
        ("a100-4", "4 × A100", "A100_80G", "NVIDIA A100", 4, 80, "helsinki", 5_160_000, 20),
        ("l40s-1", "1 × L40S", "L40S", "NVIDIA L40S", 1, 48, "helsinki", 867_500, 0),
        ("rtx-2", "2 × RTX 4090", "RTX_4090", "NVIDIA GeForce RTX 4090", 2, 24, "paris", 690_000, 0),
    )
]  # fmt: skip
OFFER = {offer.offer_id: offer for offer in OFFERS}


class Stage:
    """The cloud, and who is in it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        cloud.provider.all_offers = (SMALL, *OFFERS)
        [region] = cloud.provider.all_regions
        frankfurt = msgspec.structs.replace(region, region="frankfurt", name="Frankfurt", nanos_per_gb=96_000)
        cloud.provider.all_regions = (region, frankfurt)
        cloud.run("offers")
        self.olga = cloud.person("Olga Owner", credits_micros=0)
        self.adam = cloud.person("Adam Admin", credits_micros=12 * DOLLAR)
        self.mia = cloud.person("Mia Member", credits_micros=0)
        self.rita = cloud.person("Rita Reader", credits_micros=0)
        self.otto = cloud.person("Otto Operator", credits_micros=0, is_operator=True)
        self.lab = self.team("Vision Lab", MemberMode.deploy_only, 2400 * DOLLAR)
        self.speech = self.team("Speech Group", MemberMode.read_only, 41 * DOLLAR + 370_042)
        self.fresh = self.team("A team whose name is rather long, as those of departments are", MemberMode.read_only, 0)
        cloud.join(self.lab, self.adam, Role.admin)
        cloud.join(self.lab, self.mia, Role.member)
        for team in (self.speech, self.fresh):
            cloud.join(team, self.rita, Role.member)
        self.key = cloud.ssh_key(self.lab, self.olga)
        hook = {"url": "https://hooks.example.org/x", "name": NASTY, "kinds": ["limit.met"]}
        made = cloud.post(f"/api/teams/{self.lab}/webhooks", self.olga.key, hook).ok(201)
        self.webhook = str(made["id"])
        self.speech_key = cloud.ssh_key(self.speech, self.olga)
        self.machines = self.month()
        self.money = self.payments()
        self.volume = self.store()
        self.template = self.save()
        self.budget = self.budgets()

    def team(self, name: str, mode: MemberMode, credits_micros: int) -> str:
        """Another team of Olga's."""
        team_id = self.cloud.team(self.olga, mode=mode, credits_micros=credits_micros)
        with self.cloud.database.begin() as connection:
            slug = "-".join(name.lower().split()[:2])
            connection.execute(sa.update(teams).where(teams.c.id == team_id).values(name=name, slug=slug))
        return team_id

    def launch(self, person: Person, offer_id: str, name: str, **more: Any) -> str:
        """The id of a machine that runs."""
        offer = OFFER[offer_id]
        order = self.cloud.order(
            self.lab, self.key, offerId=f"memory-{offer_id}", gpuType=offer.gpu_type, gpuCount=offer.gpu_count,
            region=offer.region, operatingSystem=offer.os_options[0], name=name, **more,
        )  # fmt: skip
        machine = self.cloud.post("/api/deployments", person.key, order).ok(201)
        self.cloud.settle()
        return str(machine["id"])

    def spend(self, hours: int) -> None:
        """Let time pass, and be charged for."""
        self.cloud.clock.forward(hours=hours)
        self.cloud.run("sightings")
        self.cloud.run("cycle")

    def end(self, machine: str, verb: str = "DELETE") -> None:
        """Terminate or stop a machine."""
        path = f"/api/deployments/{machine}"
        (
            self.cloud.post(f"{path}/stop", self.olga.key)
            if verb == "stop"
            else self.cloud.send(verb, path, self.olga.key)
        ).ok()
        self.cloud.settle()

    def month(self) -> dict[str, str]:
        """Machines that came and went within a month, and some that are there."""
        found: dict[str, str] = {}
        for day in range(26):
            person = (self.olga, self.adam, self.mia)[day % 3]
            machine = self.launch(
                person, ("h100-1", "l40s-1", "rtx-2")[day % 3], f"train-{day + 1:02}", labels={"project": "vision"}
            )
            self.spend(4 + 7 * day % 11)
            self.end(machine)
            self.spend(24 - (4 + 7 * day % 11))
        found["stopped"] = self.launch(self.adam, "a100-4", "evaluation")
        self.spend(3)
        self.end(found["stopped"], "stop")
        found["long"] = self.launch(self.mia, "l40s-1", LONG)
        found["nasty"] = self.launch(self.olga, "rtx-2", NASTY, labels={"project": NASTY})
        found["running"] = self.launch(
            self.olga, "h100-8", "llm-pretraining", labels={"project": "vision", "run": "42"}
        )
        self.spend(2)
        self.cloud.clock.forward(minutes=3)
        offer = OFFER["h100-1"]
        order = self.cloud.order(
            self.lab, self.key, offerId="memory-h100-1", gpuType=offer.gpu_type, gpuCount=1, region=offer.region,
            name="fine-tuning",
        )  # fmt: skip
        found["deploying"] = str(self.cloud.post("/api/deployments", self.mia.key, order).ok(201)["id"])
        return found

    def payments(self) -> dict[str, str]:
        """A saved card, a payment and a card on their way, of a processor that isn't there."""
        now = self.cloud.clock.now()
        hashed = credentials.hash_token(self.olga.key, self.cloud.forebay.secret_key)
        facts = cards.Facts(
            payment_method_id="pm_stage", brand="visa", last_four="4242", expiry_month=12, expiry_year=2099
        )
        wish = Wish(amount_micros=50 * DOLLAR, client_key="stage", is_page=True)
        with self.cloud.database.begin() as connection:
            by_key = Credential(hashed, True, "192.0.2.7")
            _, context = access.enter(connection, by_key, Target.team, self.lab, now=now)
            assert context is not None
            return {
                "card_id": cards.add(connection, self.lab, facts, created_by=self.olga.id, now=now).id,
                "top_up_id": deposits.ask(connection, context, wish, now=now).id,
                "set_up_id": card_changes.begin(connection, context, payment_method_id=None, now=now).id,
                "month": f"{now:%Y-%m}",
            }

    def store(self) -> str:
        """A volume, attached to nothing, and one on a machine."""
        order = {"teamId": self.lab, "provider": "memory", "region": "frankfurt", "sizeInGb": 200}
        made = [
            self.cloud.post("/api/volumes", self.olga.key, {**order, "name": name}).ok(201)["id"]
            for name in ("datasets", "checkpoints")
        ]
        self.cloud.run("volumes")
        path = f"/api/volumes/{made[1]}/attach"
        self.cloud.post(path, self.olga.key, {"deploymentId": self.machines["running"]}).ok()
        self.cloud.run("volumes")
        return str(made[0])

    def budgets(self) -> str:
        """One of each kind, far from its end, near it, and beyond it; the id of the last."""
        wishes: tuple[dict[str, Any], ...] = (
            {"scope": "team", "amount": 5000},
            {"scope": "member", "key": self.mia.id, "amount": 80, "atLimit": "stop"},
            {"scope": "label", "key": f"project={NASTY}", "amount": 1, "atLimit": "block"},
        )
        path = f"/api/teams/{self.lab}/budgets"
        session = self.cloud.session(self.olga.id)
        made = [self.cloud.send("PUT", path, session, wish).ok()["id"] for wish in wishes]
        return str(made[-1])

    def save(self) -> str:
        """Templates: of one that can be launched, and of one whose offer is gone."""
        path = f"/api/teams/{self.lab}/templates"
        like = {"deploymentId": self.machines["running"]}
        made = self.cloud.post(path, self.olga.key, {"name": NASTY, **like, "deploymentName": "train-{n}"}).ok(201)
        self.cloud.post(path, self.mia.key, {"name": LONG, "deploymentId": self.machines["long"]}).ok(201)
        return str(made["id"])

    def slug(self, team_id: str) -> str:
        """The team in addresses."""
        with self.cloud.database.read() as connection:
            return str(connection.execute(sa.select(teams.c.slug).where(teams.c.id == team_id)).scalar_one())


def make_stage(folder: Path, loop: Loop, **settings: Any) -> Stage:
    """A stage of its own, on SQLite."""
    url = f"sqlite:///{folder / 'forebay.db'}"
    migrations.upgrade(url)
    return Stage(Cloud(folder, url, loop, **settings))


def main() -> None:
    """Serve it, and say where."""
    stage = make_stage(Path(tempfile.mkdtemp(prefix="forebay-stage-")), Loop())
    for person in (stage.olga, stage.adam, stage.mia, stage.rita, stage.otto):
        give_password(stage.cloud, person)
        print(f"{person.email}  {PASSWORD}")
    with stage.cloud.served() as port:
        print(f"http://127.0.0.1:{port}/t/vision-lab", flush=True)
        time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 86400)


if __name__ == "__main__":
    main()
