"""Budgets on the command line."""

import pytest

from forebay.domain.people.roles import Role
from tests.api.cloud import Cloud
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


def test_set_listed_and_deleted(cloud: Cloud, run: Run) -> None:
    pat, mia = cloud.person("Pat"), cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    team = ("--team", pat.team)
    said = run("budgets", "set", "$1,250.50", *team, token=pat.session).out
    assert said.startswith("The budget of the whole team is $1,250.50 a month (notify). $1,250.50 of $1,250.50 is left")
    made = run(
        "budgets", "set", "40", "--member", "Mia", "--alert", "75", "--at-limit", "block", *team, "--json",
        token=pat.session,
    ).json  # fmt: skip
    assert (made["key"], made["alerts"], made["atLimit"]) == (mia.id, [75], "block")
    assert run("budgets", "set", "9", "--label", "project=x", *team, token=pat.session).status == 0
    listed = run("budgets", *team, token=mia.key)
    assert "Month comes to" in listed.out
    assert [each["scope"] for each in run("budgets", "list", "--json", *team, token=mia.key).json["budgets"]] == [
        "team", "member", "label",
    ]  # fmt: skip
    assert run("budgets", "set", "9", "--label", "x", *team, token=pat.session).status == 1
    assert run("budgets", "set", "9", "--label", "a=b", "--member", "Mia", *team, token=pat.session).status == 2
    assert run("budgets", "set", "9", "--at-limit", "explode", *team, token=pat.session).status == 2
    assert run("budgets", "set", "9", "--api-key", "0" * 24, *team, token=pat.session).status == 1
    assert run("budgets", "set", "9", *team, token=mia.session).status == 4
    assert run("budgets", "--json", "list", token=pat.session).status == 2
    assert run("budgets", "delete", "project=x", *team, token=pat.session).status == 2, "there is nobody to ask"
    cloud.send(
        "PUT", f"/api/teams/{pat.team}/budgets", pat.session, {"scope": "team", "amount": 1, "atLimit": "block"}
    ).ok()
    key = cloud.ssh_key(pat.team, pat)
    refused = run("deploy", "memory-small", "--key", key, "--yes", *team, token=pat.session)
    assert (refused.status, "The team's budget doesn't allow this" in refused.err) == (1, True)
    for name in ("project=x", "Mia", "team"):
        assert run("budgets", "delete", name, "--yes", *team, token=pat.session).out.endswith("is deleted.\n")
    assert run("budgets", "list", "--json", *team, token=pat.session).json["budgets"] == []
    assert run("budgets", "delete", "team", "--yes", *team, token=pat.session).status == 4
