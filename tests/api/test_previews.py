"""`POST /api/deployments/preview`: it says what a launch then does, names every refusal, and changes nothing."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from forebay.compute.memory import MINIMUM, POOL, SMALL
from forebay.domain.machines import teams as machine_teams
from forebay.domain.money import auto_top_up_terms, cards
from forebay.domain.money.auto_top_up_terms import Terms
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import metadata
from tests.api.cloud import DOLLAR, Cloud, Person, new_public_key

PATH = "/api/deployments/preview"


def previewed(cloud: Cloud, pat: Person, **more: Any) -> Any:
    """The preview of a good order, or of one that differs so."""
    order = cloud.order(pat.team, more.pop("ssh_key", None) or cloud.ssh_key(pat.team, pat)) | more
    return cloud.post(PATH, pat.key, {name: value for name, value in order.items() if value is not ...}).ok()


def counted(cloud: Cloud) -> dict[str, int]:
    """How many rows each table has."""
    with cloud.database.read() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def test_it_says_what_a_launch_then_does(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=20 * DOLLAR)
    cloud.running(pat)
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat), offerId="memory-minimum")
    found = cloud.post(PATH, pat.key, order).ok()
    assert (found["canLaunch"], found["refusals"]) == (True, [])
    assert found["cost"] == {"perHour": 3.6, "perDay": 86.4, "perMonth": 2628.0}
    assert (found["originalCost"], found["hasDiscount"], found["discountPercentage"]) == (found["cost"], False, 0)
    assert found["storageCost"]["perDay"] == 0.864
    assert (found["hold"], found["balance"], found["available"], found["availableAfter"]) == (3.0, 20.0, 17.0, 14.0)
    assert (found["burnPerHour"], found["burnPerHourAfter"]) == (3.6, 7.2)
    assert (found["runwaySeconds"], found["runway"]) == (10_000, "The credits last about 2 hours at $7.20 an hour.")
    assert (found["minimumRuntimeMinutes"], found["minimumCost"]) == (20, 1.2)
    assert found["inStock"] > 1000
    assert [warning["code"] for warning in found["warnings"]] == ["MINIMUM_RUNTIME", "SHORT_RUNWAY"]
    made = cloud.post("/api/deployments", pat.key, order).ok(201)
    cloud.settle()
    billing = cloud.get(f"/api/teams/{pat.team}/billing", pat.key).ok()
    for ours, theirs in (
        ("availableAfter", "available"), ("burnPerHourAfter", "burnPerHour"), ("runwaySeconds", "runwaySeconds"),
        ("runway", "runway"),
    ):  # fmt: skip
        assert found[ours] == billing[theirs]
    cloud.clock.forward(minutes=19, seconds=59)
    path = f"/api/deployments/{made['id']}"
    cloud.send("DELETE", path, pat.key).refused(400, "MINIMUM_RUNTIME_NOT_MET")
    cloud.clock.forward(seconds=1)
    assert cloud.send("DELETE", path, pat.key).ok()["deployment"]["stoppedAt"] == found["firstTerminableAt"]


def test_all_refusals_at_once_and_a_launch_meets_the_first_of_them(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(rate_limit_creations=1)
    pat = cloud.person(credits_micros=3 * DOLLAR)
    launched = cloud.launch(pat)
    cloud.provider.all_pools = (msgspec.structs.replace(POOL, vcpus=3),)
    cloud.run("offers")
    with cloud.database.begin() as connection:
        machine_teams.freeze(connection, None, pat.team, reason="under inquiry", now=cloud.clock.now())
    order = cloud.order(pat.team, launched["sshKeyId"][::-1], region="there", name=" ", labels={"": ""})
    order["kubernetesAddon"] = {"version": "1.30"}
    before = counted(cloud)
    found = cloud.post(PATH, pat.key, order).ok()
    assert counted(cloud) == before
    assert found["canLaunch"] is False
    assert [refusal["code"] for refusal in found["refusals"]] == [
        "NOT_SUPPORTED", "TEAM_FROZEN", "VALIDATION_ERROR", "VALIDATION_ERROR", "OFFER_MISMATCH",
        "RATE_LIMIT_EXCEEDED", "UNKNOWN_SSH_KEY", "INSUFFICIENT_BALANCE", "NOT_ENOUGH_STOCK",
    ]  # fmt: skip
    by_code = {refusal["code"]: refusal for refusal in found["refusals"]}
    assert by_code["RATE_LIMIT_EXCEEDED"] == {
        "code": "RATE_LIMIT_EXCEEDED", "error": "Too many requests. Try again in 900 seconds.",
        "details": {"retryAfter": 900}, "whoCan": [],
    }  # fmt: skip
    assert by_code["INSUFFICIENT_BALANCE"]["details"] == {"required": 3.0, "available": 0.0}
    assert by_code["INSUFFICIENT_BALANCE"]["whoCan"] == by_code["UNKNOWN_SSH_KEY"]["whoCan"] == ["owner", "admin"]
    assert by_code["TEAM_FROZEN"]["whoCan"] == by_code["NOT_ENOUGH_STOCK"]["whoCan"] == ["operator"]
    assert (found["hold"], found["available"], found["availableAfter"], found["inStock"]) == (3.0, 0.0, -3.0, 0)
    # One after another is put right: each time the launch says what is first on the list.
    steps: list[Any] = [
        {},
        {"kubernetesAddon": None},
        "thaw",
        {"name": None},
        {"labels": {}},
        {"region": "here"},
        "wait",
    ]
    for step in [*steps, {"sshKeyId": None, "ssh_public_key": new_public_key()}, "pay", "room"]:
        if step == "thaw":
            with cloud.database.begin() as connection:
                machine_teams.unfreeze(connection, None, pat.team, reason="settled", now=cloud.clock.now())
        elif step == "wait":
            cloud.clock.forward(seconds=900)
        elif step == "pay":
            cloud.grant(pat.team, 3 * DOLLAR)
        elif step == "room":
            cloud.provider.all_pools = (POOL,)
            cloud.run("offers")
        else:
            order |= step
        found = cloud.post(PATH, pat.key, order).ok()
        answer = cloud.post("/api/deployments", pat.key, order)
        if step == "room":
            break
        [first, *_] = found["refusals"]
        answer.refused(answer.status, first["code"])
        assert (answer.json["error"], answer.json["details"]) == (first["error"], first["details"])
    assert (answer.status, found["refusals"], found["canLaunch"]) == (201, [], True)


def test_volumes_are_priced_and_looked_at(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    body = {"name": "data", "sizeInGb": 10, "provider": "memory", "region": "here", "teamId": pat.team}
    volume = cloud.post("/api/volumes", pat.key, body).ok(201)
    found = previewed(cloud, pat, volumeIds=[volume["id"]])
    assert found["volumesCost"]["perHour"] == volume["hourlyRate"] > 0
    assert found["burnPerHourAfter"] == found["burnPerHour"] + 3.6
    theirs = previewed(cloud, other, volumeIds=[volume["id"]])
    assert (theirs["volumesCost"]["perHour"], theirs["refusals"][0]["code"]) == (0.0, "NOT_FOUND")


def test_without_such_an_offer_the_rest_is_still_said(cloud: Cloud) -> None:
    pat = cloud.person(credits_micros=DOLLAR)
    found = previewed(cloud, pat, offerId="nothing", ssh_public_key="ssh-rsa x", sshKeyId=...)
    assert [refusal["code"] for refusal in found["refusals"]] == ["UNKNOWN_OFFER", "INVALID_SSH_KEY"]
    assert set(found["refusals"][1]["details"]) == {"ssh_public_key"}
    assert (found["offerId"], found["hold"], found["cost"]["perHour"], found["runwaySeconds"]) == (None, 0.0, 0.0, None)
    assert previewed(cloud, pat, sshKeyId=..., teamId=pat.team)["refusals"][0]["code"] == "VALIDATION_ERROR"
    cloud.post(PATH, pat.key, {}).refused(400, "VALIDATION_ERROR")
    cloud.post(PATH, None, {}).refused(401, "UNAUTHORIZED")
    cloud.post(PATH, pat.key, cloud.order("", "x")).refused(400, "TEAM_REQUIRED")


def test_warnings_of_an_offer_and_of_auto_top_up(own_cloud: Cloud) -> None:
    cloud, pat = own_cloud, own_cloud.person(credits_micros=1000 * DOLLAR)
    spot = msgspec.structs.replace(SMALL, offer_id="spot", instance_type="SPOT", is_simulated=True)
    cloud.provider.all_offers = (spot, MINIMUM)
    cloud.provider.capabilities = msgspec.structs.replace(cloud.provider.capabilities, pause=False)
    cloud.run("offers")
    wish = {"offerId": "memory-spot", "instanceType": "SPOT"}
    found = previewed(cloud, pat, **wish)
    assert [warning["code"] for warning in found["warnings"]] == ["SPOT", "SIMULATED", "NO_PAUSE"]
    assert previewed(cloud, pat, maxCost=3.6, **wish)["warnings"][0]["message"] == (
        "It is terminated after about 1 hour, on 2026-03-01T13:00:00Z, when it has cost what it may."
    )
    agree(cloud, pat, day_ceiling_charges=1, month_ceiling_micros=60 * DOLLAR)
    order = cloud.order(pat.team, cloud.ssh_key(pat.team, pat), **wish)
    said = {warning["code"]: warning["message"] for warning in cloud.post(PATH, pat.session, order).ok()["warnings"]}
    assert said["AUTO_TOP_UP"] == (
        "With this machine the team burns $3.60 an hour, and auto top-up would charge $50.00 about every 13 hours."
    )
    assert said["AUTO_TOP_UP_DAY_CEILING"] == "A day at this burn takes 2 charges of auto top-up, and its ceiling is 1."
    assert "$60.00 more this month, and a day costs $86.40" in said["AUTO_TOP_UP_MONTH_CEILING"]
    mia = cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    for credential in (mia.session, pat.key):
        theirs = cloud.post(PATH, credential, order).ok()["warnings"]
        assert [warning["code"] for warning in theirs] == ["SPOT", "SIMULATED", "NO_PAUSE"], "not theirs to know"


def agree(cloud: Cloud, pat: Person, **ceilings: Any) -> None:
    """Auto top-up of $50 below $20, with a card."""
    facts = cards.Facts(
        payment_method_id=f"pm_{pat.team}", brand="visa", last_four="4242", expiry_month=12, expiry_year=2034
    )
    caller = Caller(user_id=pat.id, email="", name="", is_operator=False, api_access="none", current_team_id=None)
    context = TeamContext(
        caller=caller,
        team_id=pat.team,
        team_name="",
        slug="",
        number=1,
        role=Role.owner,
        member_mode=MemberMode.deploy_only,
        is_frozen=False,
    )
    terms = Terms(threshold_micros=20 * DOLLAR, amount_micros=50 * DOLLAR, max_charge_micros=50 * DOLLAR, **ceilings)
    with cloud.database.begin() as connection:
        cards.add(connection, pat.team, facts, created_by=None, now=cloud.clock.now())
        auto_top_up_terms.put(connection, context, terms, is_agreed=True, now=cloud.clock.now())
