"""Keys taken from where people have published them: `/api/ssh-keys/lookup` and `…/import`."""

from typing import Any

import pytest

from forebay.domain.people.roles import MemberMode, Role
from tests.api.cloud import Cloud, Person, new_public_key

URL = "https://github.test/octocat.keys"


def bare() -> str:
    """A key as forges show it: without a comment."""
    return new_public_key().rpartition(" ")[0]


def dsa() -> str:
    return "ssh-dss AAAAB3NzaC1kc3MAAACBAP"


def ask(cloud: Cloud, person: Person, user: str = "octocat", source: str = "github", **more: Any) -> Any:
    body = {"source": source, "user": user, **more}
    return cloud.post("/api/ssh-keys/lookup", person.key, body)


def take(cloud: Cloud, person: Person, fingerprints: list[str] | None = None, **more: Any) -> Any:
    body = {"source": "GitHub", "user": "octocat", "fingerprints": fingerprints, **more}
    return cloud.post("/api/ssh-keys/import", person.key, body)


def test_what_is_found_says_what_is_new_there_and_refused(cloud: Cloud) -> None:
    pat = cloud.person()
    there, new = bare(), bare()
    mine = cloud.post("/api/ssh-keys", pat.key, {"name": "laptop", "publicKey": there}).ok(201)
    cloud.shelf.put(URL, "# of octocat", there, "", new, f"{new} the same", dsa(), "ssh-ed25519 cut")
    found = ask(cloud, pat).ok()
    assert (found["source"], found["user"]) == ("GitHub", "octocat")
    old, fresh, dead, cut = found["keys"]
    assert (old["existingId"], old["refusal"], old["fingerprint"]) == (mine["id"], None, mine["fingerprint"])
    assert (fresh["existingId"], fresh["refusal"], fresh["type"]) == (None, None, "ssh-ed25519")
    assert (fresh["publicKey"], fresh["name"]) == (new, "octocat@GitHub 2")
    assert fresh["fingerprint"].startswith("SHA256:")
    assert (dead["fingerprint"], dead["type"]) == (None, "ssh-dss")
    assert "DSA" in dead["refusal"]
    assert "cut short" in cut["refusal"]
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 1, "nothing is changed by looking"
    assert cloud.get("/api/ssh-key-sources", pat.key).ok()["sources"][1] == {
        "name": "Our Forge",
        "pattern": "https://forge.test/api/keys?of={user}",
    }


def test_the_chosen_keys_are_added_at_once_and_twice_is_once(cloud: Cloud) -> None:
    pat = cloud.person("Pat")
    one, two, three = bare(), new_public_key(), bare()
    cloud.shelf.put(URL, one, two, three, dsa())
    keys = ask(cloud, pat).ok()["keys"]
    wanted = [keys[0]["fingerprint"], keys[1]["fingerprint"]]
    made = take(cloud, pat, wanted).ok()
    assert sorted(key["name"] for key in made["added"]) == ["octocat@GitHub 1", "someone@somewhere"]
    assert made["present"] == []
    again = take(cloud, pat, wanted).ok()
    assert (again["added"], {key["id"] for key in again["present"]}) == ([], {key["id"] for key in made["added"]})
    rest = take(cloud, pat).ok()
    assert [key["publicKey"] for key in rest["added"]] == [three]
    rows = [row for row in cloud.activity(pat.team) if row.action == "ssh-key.add"]
    assert len(rows) == 3
    assert all((row.details["source"], row.details["user"]) == ("GitHub", "octocat") for row in rows)
    assert {row.details["fingerprint"] for row in rows} == {key["fingerprint"] for key in keys[:3]}


def test_many_at_once_add_each_key_once(cloud: Cloud) -> None:
    pat = cloud.person()
    cloud.shelf.put(URL, bare(), bare(), bare())
    body = {"source": "GitHub", "user": "octocat"}
    answers = cloud.at_once([cloud.request("POST", "/api/ssh-keys/import", pat.key, body) for _ in range(6)])
    assert [answer.status for answer in answers] == [200] * 6
    assert sum(len(answer.json["added"]) for answer in answers) == 3
    assert len(cloud.get("/api/ssh-keys", pat.key).ok()) == 3


def test_one_that_is_not_there_means_that_none_is_added(cloud: Cloud) -> None:
    pat = cloud.person()
    cloud.shelf.put(URL, bare())
    [key] = ask(cloud, pat).ok()["keys"]
    refusal = take(cloud, pat, [key["fingerprint"], "SHA256:gone"]).refused(400, "VALIDATION_ERROR")
    assert "SHA256:gone is not among the keys of octocat" in refusal["details"]["fingerprints"]
    assert take(cloud, pat, []).refused(400, "VALIDATION_ERROR")["details"]["fingerprints"] == "choose one at least"
    cloud.shelf.put(URL, dsa())
    assert "None of the keys" in take(cloud, pat).refused(400, "NO_KEYS_FOUND")["error"]
    assert cloud.get("/api/ssh-keys", pat.key).ok() == []


def test_a_user_is_a_name_and_never_a_way_elsewhere(cloud: Cloud) -> None:
    pat = cloud.person()
    before = len(cloud.shelf.asked)
    names = ["..", ".", "../../secret", "a/b", "a b", "a%2fb", "a?x=1", "a#b", "a\\b", "-x", "ö", "@", "a" * 101]
    for user in names:
        ask(cloud, pat, user).refused(400, "VALIDATION_ERROR")
    assert len(cloud.shelf.asked) == before
    cloud.shelf.put("https://forge.test/api/keys?of=~a%40b%2B", bare())
    assert len(ask(cloud, pat, "~a@b+", "our forge").ok()["keys"]) == 1
    refusal = ask(cloud, pat, source="elsewhere").refused(400, "NO_SUCH_SOURCE")
    assert refusal["details"]["source"] == "There is no such source here. Keys can be taken from: GitHub, Our Forge."


def test_no_answer_is_said_in_words(cloud: Cloud) -> None:
    pat = cloud.person()
    assert ask(cloud, pat, "nobody").refused(400, "NO_KEYS_FOUND")["error"] == "GitHub knows no nobody."
    cloud.shelf.put(URL)
    assert ask(cloud, pat).refused(400, "NO_KEYS_FOUND")["error"] == "octocat has no SSH keys at GitHub."
    cloud.shelf.pages[URL] = (302, b"")
    refusal = ask(cloud, pat).refused(503, "SOURCE_UNAVAILABLE")
    assert refusal["error"] == "GitHub can't be asked now: answered 302: redirects are not followed."
    cloud.shelf.pages[URL] = (200, b"<!DOCTYPE html>\n<p>Sign in, ssh-rsa</p>\n")
    assert ask(cloud, pat).refused(503, "SOURCE_UNAVAILABLE")["error"] == "What GitHub answered are no SSH keys."
    cloud.shelf.pages[URL] = (200, b"\xff\xfe\x00ssh-ed25519 \xff\n")
    ask(cloud, pat).refused(503, "SOURCE_UNAVAILABLE")
    cloud.shelf.reason = "no answer within 5 seconds"
    try:
        assert "no answer within 5 seconds" in take(cloud, pat).refused(503, "SOURCE_UNAVAILABLE")["error"]
    finally:
        cloud.shelf.reason = ""


@pytest.mark.parametrize("path", ["lookup", "import"])
def test_who_may_not_add_keys_has_nobody_asked(cloud: Cloud, path: str) -> None:
    olga, mia = cloud.person("Olga"), cloud.person("Mia")
    team = cloud.team(olga, mode=MemberMode.deploy_only)
    cloud.join(team, mia, Role.member)
    before = list(cloud.shelf.asked)
    body = {"source": "GitHub", "user": "octocat", "teamId": team}
    cloud.post(f"/api/ssh-keys/{path}", mia.key, body).refused(403, "FORBIDDEN")
    cloud.post(f"/api/ssh-keys/{path}", cloud.person().key, body).refused(404, "NOT_FOUND")
    assert cloud.shelf.asked == before
    denied = [denial for denial in cloud.door.take_denials(None) if denial.team_id == team]
    assert {denial.request for denial in denied} == {f"POST /api/ssh-keys/{path}"}


def test_nobody_has_a_source_hammered(cloud: Cloud) -> None:
    pat, other = cloud.person(), cloud.person()
    cloud.shelf.put(URL, bare())
    before = len(cloud.shelf.asked)
    for _ in range(30):
        assert ask(cloud, pat).status == 200
    assert ask(cloud, pat).refused(429, "RATE_LIMIT_EXCEEDED")["retryAfter"] >= 1
    take(cloud, pat).refused(429, "RATE_LIMIT_EXCEEDED")
    assert len(cloud.shelf.asked) - before == 30
    ask(cloud, other).ok()
    cloud.clock.forward(minutes=1)
    ask(cloud, pat).ok()
    ask(cloud, pat).refused(429, "RATE_LIMIT_EXCEEDED")


def test_an_import_is_repeated_under_its_key_without_asking_again(cloud: Cloud) -> None:
    pat = cloud.person()
    cloud.shelf.put(URL, bare())
    body = {"source": "GitHub", "user": "octocat"}
    first = cloud.post("/api/ssh-keys/import", pat.key, body, retry="once").ok()
    asked = len(cloud.shelf.asked)
    assert cloud.post("/api/ssh-keys/import", pat.key, body, retry="once").ok() == first
    assert len(cloud.shelf.asked) == asked
    # A source that is away for a moment is not remembered as the answer.
    cloud.shelf.reason = "it can't be connected to"
    cloud.post("/api/ssh-keys/import", pat.key, body, retry="later").refused(503, "SOURCE_UNAVAILABLE")
    cloud.shelf.reason = ""
    assert cloud.post("/api/ssh-keys/import", pat.key, body, retry="later").ok()["added"] == []
