"""`/api/api-access`: asking for API access, what is shown of the decision, and keys of whom it is taken from."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from forebay.domain.people import accounts
from forebay.storage.tables import activity, mails
from tests.api.cloud import Cloud, Person

pytestmark = pytest.mark.slow

PATH = "/api/api-access"


def decide(cloud: Cloud, person: Person, state: str, reason: str | None = None) -> None:
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, person.id, state, reason=reason, now=cloud.clock.now())


def at(cloud: Cloud) -> str:
    return cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def test_it_is_asked_for_and_given_by_an_operator(cloud: Cloud) -> None:
    pat, operator = cloud.person(), cloud.person("Otto", is_operator=True)
    decide(cloud, pat, "none")
    nothing = {"reason": None, "requestedAt": None, "decidedAt": None, "mayAskFrom": None}
    shown = cloud.get(PATH, pat.session).ok()
    assert shown.pop("message")
    assert shown == {"status": "none"} | nothing
    refusal = cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(403, "API_ACCESS_NEEDED")
    assert refusal["details"] == {"status": "none"}
    asked_at = at(cloud)
    for _ in range(2):
        asked = cloud.post(PATH, pat.session).ok()
        assert asked.pop("message")
        assert asked == {"status": "requested"} | nothing | {"requestedAt": asked_at}
        cloud.clock.forward(minutes=1)
    with cloud.database.read() as connection:
        [sent] = connection.execute(sa.select(mails).where(mails.c.recipient == operator.email)).all()
        rows = connection.execute(sa.select(activity).where(activity.c.user_id == pat.id)).all()
    assert pat.email in sent.text
    assert sent.html
    assert [(row.action, row.object_id) for row in rows] == [("api-access.request", pat.id)]
    cloud.post("/api/api-keys", pat.session, {"name": "x"}).refused(403, "API_ACCESS_NEEDED")
    decide(cloud, pat, "approved", "welcome")
    shown = cloud.get(PATH, pat.key).ok()
    assert (shown["status"], shown["reason"], shown["decidedAt"]) == ("approved", "welcome", at(cloud))
    assert cloud.post(PATH, pat.session).ok()["status"] == "approved"
    cloud.post("/api/api-keys", cloud.session(pat.id), {"name": "x"}).ok(201)


def test_after_a_refusal_it_can_be_asked_for_again_a_day_later(cloud: Cloud) -> None:
    pat = cloud.person()
    decide(cloud, pat, "refused", "we don't know you")
    refused_at = at(cloud)
    shown = cloud.get(PATH, pat.session).ok()
    assert (shown["status"], shown["reason"], shown["decidedAt"]) == ("refused", "we don't know you", refused_at)
    cloud.clock.forward(hours=24, seconds=-1)
    refusal = cloud.post(PATH, pat.session).refused(409, "REFUSED_RECENTLY")
    assert refusal["details"] == {"mayAskFrom": shown["mayAskFrom"]}
    assert cloud.get(PATH, pat.session).ok()["status"] == "refused"
    cloud.clock.forward(seconds=1)
    assert at(cloud) == shown["mayAskFrom"]
    asked = cloud.post(PATH, pat.session).ok()
    assert (asked["status"], asked["reason"], asked["requestedAt"]) == ("requested", None, at(cloud))


def test_keys_are_suspended_while_access_is_not_approved(cloud: Cloud) -> None:
    pat = cloud.person()
    for state in ("refused", "requested", "none"):
        decide(cloud, pat, state, "abuse")
        for path in ("/api/me", "/api/teams", "/api/ssh-keys", f"/api/teams/{pat.team}", "/api/balance"):
            refusal = cloud.get(path, pat.key).refused(403, "API_ACCESS_NEEDED")
            assert refusal["details"] == {"status": state}
        body = {"name": "x", "publicKey": "x"}
        cloud.post("/api/ssh-keys", pat.key, body).refused(403, "API_ACCESS_NEEDED")
        assert cloud.get(PATH, pat.key).ok()["status"] == state, "a program may look why"
        assert cloud.get("/api/gpu-offers", pat.key).status == 200
        assert cloud.get("/api/me", pat.session).status == 200, "people are who they are"
        [key] = cloud.get("/api/api-keys", pat.session).ok()["apiKeys"]
        assert key["status"] == "suspended"
        cloud.post(f"/api/api-keys/{key['id']}/rotate", pat.session, {}).refused(403, "API_ACCESS_NEEDED")
    decide(cloud, pat, "approved")
    cloud.get("/api/me", pat.key).ok()


def test_where_everyone_has_access_nobody_is_suspended(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(api_access="everyone")
    pat = cloud.person()
    decide(cloud, pat, "refused", "x")
    cloud.get("/api/me", pat.key).ok()
    assert cloud.get(PATH, pat.key).ok()["status"] == "approved"
    assert cloud.post(PATH, pat.session).ok()["reason"] is None
    assert cloud.get("/api/api-keys", pat.session).ok()["apiKeys"][0]["status"] == "active"
