"""`/api/teams/{id}/billing`: how a team stands, for every member of it."""

from forebay.domain.people.roles import Role
from tests.api.cloud import DOLLAR, Cloud


def test_how_a_team_stands(cloud: Cloud) -> None:
    pat, mia = cloud.person("Pat", credits_micros=10 * DOLLAR), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    path = f"/api/teams/{pat.team}/billing"
    still = cloud.get(path, mia.key).ok()
    assert (still["balance"], still["held"], still["burnPerHour"], still["runwaySeconds"]) == (10.0, 0.0, 0.0, None)
    assert still["runway"] == "Nothing that costs is running."
    machine = cloud.running(pat)
    found = cloud.get(path, mia.key).ok()
    assert found["held"] > 0
    assert found["available"] == round(found["balance"] - found["held"], 6)
    assert found["burnPerHour"] == machine["hourlyRate"]
    assert found["runwaySeconds"] == int(found["balance"] * 3600 / found["burnPerHour"])
    assert found["runway"].startswith("The credits last about ")
    [mine] = [team for team in cloud.get("/api/balance", mia.key).ok()["teams"] if team["teamId"] == pat.team]
    for name in ("balance", "held", "available", "burnPerHour", "runwaySeconds"):
        assert mine[name] == found[name]
