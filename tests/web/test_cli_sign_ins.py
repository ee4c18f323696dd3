"""The page where a program is let in: what it asks before that, and what the program gets."""

from typing import Any

from tests.api.cloud import Cloud
from tests.web.browser import with_session


def begin(cloud: Cloud) -> Any:
    return cloud.post("/api/auth/cli", body={"name": "forebay on a laptop"}).ok()


def test_a_program_is_let_in_only_by_who_has_just_proved_who_they_are(cloud: Cloud) -> None:
    pat = cloud.person()
    browser = with_session(cloud, pat)
    cloud.clock.forward(minutes=14)
    begun = begin(cloud)
    assert browser.get(f"/cli?code={begun['userCode']}").status_code == 200
    cloud.clock.forward(minutes=1, seconds=1)
    late = browser.submit("/cli", decision="approve")
    assert (late.status_code, late.headers["location"]) == (303, "/step-up?next=/cli")
    again = browser.get(f"/cli?code={begun['userCode']}")
    assert again.status_code == 303
    assert again.headers["location"].startswith("/step-up?next=/cli%3Fcode%3D")
    assert cloud.post("/api/auth/cli/token", body={"deviceToken": begun["deviceToken"]}).ok() == {"status": "pending"}
    browser = with_session(cloud, pat)
    browser.get(f"/cli?code={begun['userCode']}")
    assert "Approved" in browser.submit("/cli", decision="approve").text
    cloud.clock.forward(seconds=3)
    found = cloud.post("/api/auth/cli/token", body={"deviceToken": begun["deviceToken"]}).ok()
    cloud.post("/api/api-keys", found["token"], {"name": "made by the command line"}).ok(201)


def test_an_unknown_program_is_denied_by_whoever_is_signed_in(cloud: Cloud) -> None:
    browser = with_session(cloud, cloud.person())
    begun = begin(cloud)
    browser.get(f"/cli?code={begun['userCode']}")
    cloud.clock.forward(minutes=9)
    assert "was not let in" in browser.submit("/cli", decision="deny").text
    cloud.post("/api/auth/cli/token", body={"deviceToken": begun["deviceToken"]}).refused(400, "SIGN_IN_DENIED")
