"""What people are told by mail: what they started, what they chose, and what they can't do without."""

import email
import email.policy
from typing import Any, get_args

import msgspec
import pytest
import sqlalchemy as sa

from forebay.api.notifications import KindName
from forebay.compute.base import Rejected
from forebay.domain.machines.stock_watches import MOST_WATCHES
from forebay.domain.people.notification_kinds import MEANINGS, Kind
from forebay.domain.people.roles import Role
from forebay.storage.tables import mails, notification_choices, notifications, stock_watches
from tests.api.cloud import ENDLESS, Cloud, Person

AT = "/api/me/notifications"
WATCH = "/api/gpu-offers/memory-small/watch"


def tell(cloud: Cloud) -> None:
    cloud.run("notifications")
    cloud.run("notifications")


def mailed(cloud: Cloud, person: Person) -> list[Any]:
    """The mails to somebody, oldest first."""
    with cloud.database.read() as connection:
        found = sa.select(mails).where(mails.c.recipient == person.email).order_by(mails.c.id)
        return list(connection.execute(found).all())


def subjects(cloud: Cloud, person: Person) -> list[str]:
    tell(cloud)
    return [mail.subject.partition(": ")[2] for mail in mailed(cloud, person)]


def switch(cloud: Cloud, person: Person, **kinds: bool) -> Any:
    wanted = {name.replace("__", ".").replace("_", "-"): is_on for name, is_on in kinds.items()}
    return cloud.send("PUT", AT, person.session, {"kinds": wanted})


def test_whoever_started_a_machine_hears_of_it_and_nobody_else(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(olga.team, mia, Role.member)
    cloud.running(mia, olga.team, name="heron.example")
    assert subjects(cloud, mia) == ["heron\u2024example is running"], "a name that makes no link"
    [mail] = mailed(cloud, mia)
    assert "ssh -p" in mail.text
    assert AT.removeprefix("/api/me") in mail.text, "the way to the switches"
    assert subjects(cloud, olga) == []


def test_failures_and_machines_that_were_reclaimed(cloud: Cloud) -> None:
    pat = cloud.person()
    cloud.provider.refusals["launch"] = Rejected("no such image")
    cloud.launch(pat, name="one")
    cloud.settle()
    cloud.provider.be_back()
    lost = cloud.running(pat, name="two")
    cloud.provider.lose(lost["id"])
    cloud.run("sightings")
    cloud.settle()
    cloud.clock.forward(minutes=10)
    cloud.run("sightings")
    cloud.settle()
    assert cloud.get(f"/api/deployments/{lost['id']}", pat.key).ok()["status"] == "terminated-provider"
    assert subjects(cloud, pat) == ["one could not be launched", "two is running", "two was reclaimed"]
    assert "no such image" in mailed(cloud, pat)[0].text
    stopped = cloud.running(pat, name="three")
    cloud.post(f"/api/deployments/{stopped['id']}/stop", pat.key).ok()
    cloud.settle()
    assert subjects(cloud, pat)[3:] == ["three is running"], "what one does oneself is no news"


def test_each_kind_is_switched_off_and_on_by_each_person(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    shown = switch(cloud, pat, deployment__running=False, report__weekly=False).ok()
    assert {each["kind"] for each in shown["kinds"] if not each["isOn"]} == {"deployment.running", "report.weekly"}
    assert [each["kind"] for each in shown["kinds"]] == list(Kind) == list(get_args(KindName))
    assert all(each["says"] and each["goesTo"] for each in shown["kinds"])
    for person in (pat, mia):
        cloud.running(person, name="heron")
    assert subjects(cloud, pat) == []
    assert subjects(cloud, mia) == ["heron is running"]
    assert switch(cloud, pat, deployment__running=True).ok()["kinds"][0]["isOn"] is True
    assert cloud.get(AT, pat.key).ok()["kinds"][0]["isOn"] is True
    cloud.running(pat, name="heron")
    assert subjects(cloud, pat) == ["heron is running"]


@pytest.mark.parametrize("kind", [kind.value for kind in Kind if MEANINGS[kind].is_required])
def test_what_owners_must_know_stays_on_and_it_is_said(cloud: Cloud, kind: str) -> None:
    pat = cloud.person()
    wanted = {kind: False, "deployment.running": False}
    refused = cloud.send("PUT", AT, pat.session, {"kinds": wanted}).refused(400, "KIND_REQUIRED")
    assert refused["details"] == {f"kinds.{kind}": "stays on"}
    shown = {each["kind"]: each for each in cloud.get(AT, pat.session).ok()["kinds"]}
    assert (shown[kind]["isOn"], shown[kind]["isRequired"]) == (True, True)
    assert shown["deployment.running"]["isOn"] is True, "all or nothing"
    cloud.send("PUT", AT, pat.session, {"kinds": {kind: True}}).ok()


def test_what_is_no_choice_is_refused(cloud: Cloud) -> None:
    pat = cloud.person()
    wrong: list[Any] = [{}, {"kinds": {"x": True}}, {"kinds": {"deployment.running": "no"}}, {"kinds": []}]
    for body in (*wrong, {"kinds": None}):
        assert cloud.send("PUT", AT, pat.session, body).refused(400, "VALIDATION_ERROR")["details"]


def test_a_mail_that_one_may_do_without_says_where(cloud: Cloud) -> None:
    pat = cloud.person()
    cloud.running(pat)
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).ok(201)
    tell(cloud)
    before = set((cloud.settings.data_dir / "outbox").glob("*.eml"))
    while cloud.worker.run_once("mails"):
        pass
    found = {}
    for path in set((cloud.settings.data_dir / "outbox").glob("*.eml")) - before:
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if mail["To"] == pat.email:
            found[str(mail["Subject"])] = mail["List-Unsubscribe"]
    assert [link for subject, link in found.items() if "is running" in subject] == [
        f"<{cloud.forebay.public_url}/account/notifications>"
    ]
    assert [link for subject, link in found.items() if "API key" in subject] == [None]


def test_who_has_left_hears_nothing_more(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(olga.team, mia, Role.member)
    cloud.running(mia, olga.team)
    cloud.leave(olga.team, mia)
    assert subjects(cloud, mia) == []


def full(cloud: Cloud, is_full: bool) -> None:
    """Whether there is room for machines."""
    cloud.provider.all_pools = (msgspec.structs.replace(ENDLESS, vcpus=0) if is_full else ENDLESS,)
    cloud.run("offers")


def test_a_watched_offer_that_is_in_stock_again(cloud: Cloud) -> None:
    pat = cloud.person()
    watching = cloud.post(WATCH, pat.session, {}).ok(201)
    assert (watching["isInStock"], watching["isLasting"], watching["teamId"]) == (True, False, None)
    cloud.run("offers")
    assert subjects(cloud, pat) == []
    full(cloud, True)
    assert cloud.get(AT, pat.session).ok()["watches"][0]["isInStock"] is False
    assert subjects(cloud, pat) == []
    full(cloud, False)
    tell(cloud)
    [mail] = mailed(cloud, pat)
    assert mail.subject.endswith("is in stock again")
    assert cloud.get(AT, pat.session).ok()["watches"] == []
    full(cloud, True)
    full(cloud, False)
    assert len(subjects(cloud, pat)) == 1, "told once"
    cloud.send("DELETE", WATCH, pat.session).refused(404, "NOT_FOUND")
    cloud.post("/api/gpu-offers/nothing/watch", pat.session, {}).refused(404, "NOT_FOUND")


def test_a_lasting_watch_for_a_team_tells_its_webhooks_once_an_hour_at_most(cloud: Cloud) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    cloud.join(olga.team, mia, Role.member)
    body = {"teamId": olga.team, "isLasting": True}
    cloud.post(WATCH, mia.session, body).refused(403, "FORBIDDEN")
    full(cloud, True)
    cloud.post(WATCH, olga.session, body).ok(201)

    def told() -> int:
        mine = sa.select(sa.func.count()).where(
            notifications.c.kind == Kind.offer_in_stock.value, notifications.c.team_id == olga.team
        )
        with cloud.database.read() as connection:
            return int(connection.execute(mine).scalar_one())

    full(cloud, False)
    full(cloud, True)
    full(cloud, False)
    assert told() == 1
    cloud.clock.forward(hours=1)
    cloud.run("offers")
    assert told() == 2
    assert len(subjects(cloud, olga)) == 2
    cloud.send("DELETE", f"{WATCH}?teamId={olga.team}", olga.session).ok()
    with cloud.database.begin() as connection:
        for number in range(MOST_WATCHES):
            connection.execute(
                stock_watches.insert().values(
                    offer_id="memory-small",
                    user_id=olga.id,
                    for_team=str(number),
                    is_lasting=True,
                    is_out=False,
                    created_at=cloud.clock.now(),
                )
            )
    cloud.post(WATCH, olga.session, {}).refused(409, "TOO_MANY_WATCHES")
    with cloud.database.begin() as connection:
        connection.execute(stock_watches.delete())


def test_what_goes_with_an_account_and_a_team(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=0)
    switch(cloud, pat, report__weekly=False).ok()
    cloud.post(WATCH, pat.session, {}).ok(201)
    hook = {"url": "https://hooks.example.org/x"}
    team = cloud.team(pat)
    cloud.post(f"/api/teams/{team}/webhooks", pat.session, hook).ok(201)
    exported = cloud.get("/api/me/export", pat.session).ok()
    assert exported["notificationChoices"] == [{"kind": "report.weekly", "isOn": False}]
    assert exported["stockWatches"][0]["offerId"] == "memory-small"
    cloud.send("DELETE", f"/api/teams/{team}", pat.session).ok()
    cloud.send("DELETE", "/api/me", pat.session, {"confirm": pat.email}).ok()
    with cloud.database.read() as connection:
        for table in (stock_watches, notification_choices):
            assert connection.execute(sa.select(table).where(table.c.user_id == pat.id)).all() == []
