"""What was done and what was tried in vain can be read by those who may, filtered, page by page, and as a table."""

import csv
import io
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from forebay.domain.people import activity
from forebay.domain.people.roles import Permission, Role
from forebay.worker.housekeeping import HousekeepingReconciler
from tests.api.clock import START
from tests.api.cloud import ABSENT, Cloud, Person, new_public_key


class Scene:
    """A team in which Olga and Adam did things, and whose activity can be asked for."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.olga, self.adam = cloud.person("Olga"), cloud.person("Adam")
        self.team = cloud.team(self.olga, credits_micros=1_000_000_000)
        cloud.join(self.team, self.adam, Role.admin)

    def add_key(self, person: Person, credential: str | None = None) -> str:
        body = {"name": "a laptop", "publicKey": new_public_key(), "teamId": self.team}
        return str(self.cloud.post("/api/ssh-keys", credential or person.session, body).ok(201)["id"])

    def ask(self, person: Any = None, **query: Any) -> Any:
        words = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        return self.cloud.get(f"/api/teams/{self.team}/activity?{words}", (person or self.olga).session)

    def rows(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(**query).ok()["activity"]
        return found

    def housekeep(self) -> None:
        """What the server does every few seconds."""
        cloud = self.cloud
        HousekeepingReconciler(cloud.database, cloud.clock, cloud.settings, cloud.door).run()

    def refuse(self, credential: str, times: int = 1) -> None:
        for _ in range(times):
            self.cloud.send("PATCH", f"/api/teams/{self.team}", credential, {"name": "Ours"}).refused(403, "FORBIDDEN")


@pytest.fixture
def scene(cloud: Cloud) -> Scene:
    return Scene(cloud)


def test_a_row_says_who_what_on_what_when_from_where_and_through_which_key(scene: Scene) -> None:
    cloud = scene.cloud
    made = cloud.post("/api/api-keys", scene.adam.session, {"name": "Adam's script", "teamId": scene.team}).ok(201)
    key = scene.add_key(scene.adam, made["secret"])
    now = (START + timedelta(seconds=int(cloud.clock.seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")
    [row] = scene.rows(action="ssh-key.add")
    assert row == {
        "id": row["id"],
        "at": now,
        "action": "ssh-key.add",
        "outcome": "done",
        "who": {"id": scene.adam.id, "name": "Adam", "email": scene.adam.email},
        "apiKeyId": made["id"],
        "apiKeyName": "Adam's script",
        "address": "192.0.2.7",
        "objectType": "ssh-key",
        "objectId": key,
        "teamId": scene.team,
        "details": row["details"],
    }


def test_filters_narrow_what_is_found(scene: Scene) -> None:
    scene.cloud.clock.forward(minutes=1)
    before = scene.cloud.clock.now()
    first = scene.add_key(scene.olga)
    scene.cloud.clock.forward(minutes=1)
    between = scene.cloud.clock.now()
    second = scene.add_key(scene.adam)
    scene.cloud.send("DELETE", f"/api/ssh-keys/{first}", scene.adam.session).ok()
    scene.cloud.send("PATCH", f"/api/teams/{scene.team}", scene.olga.session, {"name": "Herons"}).ok()

    def found(**query: Any) -> list[tuple[str, str]]:
        return [(row["action"], row["objectId"]) for row in scene.rows(**query)]

    added, deleted = [("ssh-key.add", first), ("ssh-key.add", second)], ("ssh-key.delete", first)
    renamed = ("team.rename", scene.team)
    assert found() == [renamed, deleted, *reversed(added)]
    assert found(userId=scene.adam.id) == [deleted, added[1]]
    assert found(action="ssh-key.add") == list(reversed(added))
    assert found(action="ssh-key.") == [deleted, *reversed(added)]
    assert found(action="ssh-key") == found(action="ssh%.") == []
    assert found(objectType="team") == [renamed]
    assert found(objectId=first, objectType="ssh-key") == [deleted, added[0]]
    assert found(outcome="denied") == []
    # `from` is the first moment, `to` the one before which.
    assert found(**{"from": between.isoformat()}) == [renamed, deleted, added[1]]
    assert found(to=between.isoformat()) == [added[0]]
    assert found(to=before.isoformat()) == []
    assert found(**{"from": before.isoformat(), "to": (before + timedelta(seconds=1)).isoformat()}) == [added[0]]
    assert found(userId=ABSENT) == []


def test_pages_hold_each_row_once(scene: Scene) -> None:
    for _ in range(5):
        scene.add_key(scene.olga)
    pages = [scene.ask(page=page, limit=2).ok() for page in (1, 2, 3, 4)]
    ids = [row["id"] for page in pages for row in page["activity"]]
    assert len(set(ids)) == len(ids) == 5
    assert ids == sorted(ids, reverse=True)
    assert [len(page["activity"]) for page in pages] == [2, 2, 1, 0]
    assert {(page["total"], page["totalPages"]) for page in pages} == {(5, 3)}


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "from=2026-03-01",
        "from=2026-03-01T00:00:00",
        "outcome=maybe",
        "from=0.5",
        "to=1772366400",
        "limit=101",
        "page=0",
        "From=x",
    ],
)
def test_a_filter_that_means_nothing_is_refused(scene: Scene, query: str) -> None:
    path = f"/api/teams/{scene.team}/activity?{query}"
    scene.cloud.get(path, scene.olga.session).refused(400, "VALIDATION_ERROR")


def test_times_at_the_edge_of_time_are_no_fault_of_ours(scene: Scene) -> None:
    for moment in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        scene.ask(to=moment).ok()
        scene.ask(**{"from": moment}).ok()


# Refusals.


def test_ten_refusals_in_a_minute_are_one_row_written_when_it_is_over(scene: Scene) -> None:
    clock = scene.cloud.clock
    clock.forward(seconds=60 - clock.seconds % 60)
    began = clock.now()
    scene.refuse(scene.adam.session, times=10)
    scene.housekeep()
    clock.forward(seconds=59)
    scene.housekeep()
    assert scene.rows(outcome="denied") == []
    clock.forward(seconds=1)
    scene.housekeep()
    [row] = scene.rows(outcome="denied")
    assert row["who"]["id"] == scene.adam.id
    assert row["at"] == began.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["action"] == activity.DENIED
    assert (row["objectType"], row["objectId"]) == ("team", scene.team)
    assert row["details"] == {"request": "PATCH /api/teams/{team_id}", "permission": "team.manage", "count": 10}
    scene.housekeep()
    assert len(scene.rows(outcome="denied")) == 1
    scene.refuse(scene.adam.session)
    clock.forward(seconds=60)
    scene.housekeep()
    assert [row["details"]["count"] for row in scene.rows(outcome="denied")] == [1, 10]


def test_what_is_still_counted_when_the_server_ends_is_written(scene: Scene) -> None:
    scene.refuse(scene.adam.session, times=3)
    cloud = scene.cloud
    HousekeepingReconciler(cloud.database, cloud.clock, cloud.settings, cloud.door).close()
    assert [row["details"]["count"] for row in scene.rows(outcome="denied")] == [3]


def test_a_stranger_s_attempts_are_shown_without_their_address_or_key(scene: Scene) -> None:
    stranger = scene.cloud.person("Strange")
    for credential in (stranger.session, stranger.key):
        scene.cloud.get(f"/api/teams/{scene.team}", credential).refused(404, "NOT_FOUND")
    scene.cloud.clock.forward(minutes=1)
    scene.housekeep()
    rows = scene.rows(outcome="denied")
    assert [row["who"] for row in rows] == [{"id": stranger.id, "name": "Strange", "email": None}] * 2
    assert sorted(row["apiKeyId"] is None for row in rows) == [False, True]
    assert {row["apiKeyName"] for row in rows} == {None}
    assert stranger.email not in str(rows)


def test_who_belonged_to_the_team_keeps_their_name_in_its_activity(scene: Scene) -> None:
    scene.add_key(scene.adam)
    scene.cloud.post(f"/api/teams/{scene.team}/members/{scene.adam.id}/off-board", scene.olga.session, {}).ok()
    [row] = scene.rows(action="ssh-key.add")
    assert row["who"]["email"] == scene.adam.email


def test_what_forebay_did_itself_is_nobody_s(scene: Scene) -> None:
    with scene.cloud.database.begin() as connection:
        activity.record(connection, None, "credits.grant", now=scene.cloud.clock.now(), team_id=scene.team)
    [row] = scene.rows(action="credits.grant")
    assert (row["who"], row["address"]) == (None, None)


# The table.


def test_the_table_has_the_same_rows_and_no_formulas(scene: Scene) -> None:
    cloud = scene.cloud
    evil = cloud.person('=HYPERLINK("http://evil.example","x")')
    cloud.join(scene.team, evil, Role.admin)
    scene.add_key(evil)
    scene.add_key(scene.olga)
    answer = cloud.get(f"/api/teams/{scene.team}/activity.csv?action=ssh-key.", scene.olga.session)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="activity-')
    head, *lines = csv.reader(io.StringIO(answer.body.decode()))
    assert head[:4] == ["time", "who", "email", "action"]
    assert [line[1] for line in lines] == ["Olga", '\'=HYPERLINK("http://evil.example","x")']
    assert [line[6] for line in lines] == [row["objectId"] for row in scene.rows()]
    assert head[-2:] == ["in words", "about"]
    assert {line[-2] for line in lines} == {"added an SSH key"}
    assert all(line[-1] for line in lines), "the name of the key"
    for line in lines:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line)


# Who may.


def test_members_and_narrowed_keys_do_not_read_it_and_admins_do(scene: Scene) -> None:
    cloud = scene.cloud
    mia = cloud.person("Mia")
    cloud.join(scene.team, mia, Role.member)
    refused = scene.ask(mia).refused(403, "FORBIDDEN")
    assert refused["details"]["permission"] == "activity.read"
    scene.ask(scene.adam).ok()
    seeing = cloud.key(scene.olga.id, scene.team, permissions=[Permission.see])
    cloud.get(f"/api/teams/{scene.team}/activity", seeing).refused(403, "FORBIDDEN")
    other = cloud.team(scene.adam)
    assert cloud.get(f"/api/teams/{other}/activity", scene.adam.session).ok()["total"] == 0


def test_my_own_activity_is_mine_alone_in_every_team(scene: Scene) -> None:
    cloud = scene.cloud
    scene.add_key(scene.adam)
    cloud.send("PUT", "/api/me/current-team", scene.adam.session, {"teamId": scene.team}).ok()
    scene.add_key(scene.olga)
    found = cloud.get("/api/me/activity", scene.adam.session).ok()
    assert [row["action"] for row in found["activity"]] == ["account.set-current-team", "ssh-key.add"]
    assert {row["who"]["id"] for row in found["activity"]} == {scene.adam.id}
    cloud.get("/api/me/activity", scene.adam.key).refused(403, "SESSION_NEEDED")
