"""A cloud of any size, written by the bare driver of SQLite in seconds: what pages are asked of when there is a lot.

One team is much larger than the others: it has two fifths of everything. Its owner belongs to all teams, and is who
looks. Rows are as the domain writes them as far as pages read them; the chains of the books are not, so no audit of
them passes.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from litestar import Litestar

from forebay import ids
from forebay.domain.people import credentials, invitations, webhooks
from forebay.storage.tables import metadata

DAY, MINUTE = 86400, 60
DAYS = 60
RATE_MICROS = 2_490_000
LINE_MICROS = RATE_MICROS // 60
ACTIONS = ("deployment.launch", "deployment.terminate", "ssh-key.add", "volume.create", "member.change-role")
CHECKED = {"api_access": "approved", "member_mode": "deploy-only", "outcome": "done", "role": "member"}
"""What the tables' own conditions want instead of nothing."""
NOT_LOOKED_AT = {"/t/{slug}/live", "/sign-in/with/{provider}/callback"}
"""A stream, and the way back from another server."""
BEFORE_SIGN_IN = {"/", "/sign-in", "/sign-up", "/second-factor", "/forgot", "/reset", "/verify"}
"""Pages that lead those on who are signed in."""
QUERIES = {
    "/t/{slug}/deploy/new": "?offerId=offer-0",
    "/invitations": "?token={invitation_token}",
    "/operator/capacity/lift": "?kind=stock&scope=offer&subject=offer-0",
}
"""What a page must be asked with to be there."""
GPUS = (("H100_SXM5", "NVIDIA H100 SXM5"), ("A100_80G", "NVIDIA A100"), ("L40S", "NVIDIA L40S"), ("RTX_4090", "RTX 4090"))


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is, in all teams together."""

    machines: int
    lines: int
    doings: int
    teams: int = 50

    @property
    def things(self) -> int:
        """How many there are of what is not so many: keys, volumes, invitations, payments of the large team."""
        return max(2, self.machines // 20)


LARGE = Size(machines=10_000, lines=1_000_000, doings=300_000)


class Crowd(msgspec.Struct, kw_only=True):
    """Who looks, and at what."""

    session: str
    """The token of the owner's session, who is an operator too."""
    team_ids: list[str]
    names: dict[str, str]
    """What addresses of pages name, by the names of their parameters."""


class Pen:
    """Writes rows; what they leave open is 0 or empty where it may not be null."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def write(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """All of one table, each with the same columns."""
        given = list(rows)
        if not given:
            return
        otherwise = {name: value for name, value in needed(table).items() if name not in given[0]}
        names = [*otherwise, *given[0]]
        marks = ", ".join("?" * len(names))
        self.raw.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
            [[*otherwise.values(), *row.values()] for row in given],
        )


def needed(table: str) -> dict[str, Any]:
    """What the columns of a table that take no null hold where nothing is said."""
    found: dict[str, Any] = {}
    for column in metadata.tables[table].columns:
        if not column.nullable and column.server_default is None:
            is_text = isinstance(column.type, sa.String) or "Document" in type(column.type).__name__
            found[column.name] = CHECKED.get(column.name, "" if is_text else 0)
    return found


def fill(path: Path, secret_key: bytes, size: Size, now: datetime) -> Crowd:
    """Write it all into a new database of this server, and say who is there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN")
        crowd = Filling(Pen(raw), secret_key, size, now).crowd()
        raw.execute("COMMIT")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return crowd


class Filling:
    """One cloud while it is written."""

    def __init__(self, pen: Pen, secret_key: bytes, size: Size, now: datetime) -> None:
        self.pen, self.secret_key, self.size, self.now = pen, secret_key, size, now
        self.end = int(now.timestamp()) // MINUTE * MINUTE
        self.begin = self.end - DAYS * DAY
        self.team_ids = [self.id(self.begin) for _ in range(size.teams)]
        self.large = self.team_ids[0]
        self.people: dict[str, list[str]] = {}
        self.keys: dict[str, list[str]] = {}
        self.machines: list[dict[str, Any]] = []
        self.names: dict[str, str] = {"slug": "team-0", "team_id": self.large}
        self.running: list[dict[str, Any]] = []

    def id(self, at: int) -> str:
        """An id of that second."""
        return ids.new_id(datetime.fromtimestamp(at, self.now.tzinfo))

    def crowd(self) -> Crowd:
        """Everything, in the order in which it needs each other."""
        session = self.write_people()
        self.write_offers()
        self.write_keys()
        self.write_machines()
        self.write_volumes()
        self.write_use()
        self.write_money()
        self.write_doings()
        self.write_news()
        self.write_platform()
        return Crowd(session=session, team_ids=self.team_ids, names=self.names)

    def number(self, team_id: str, most: int) -> int:
        """How many of something a team has, if the large one has so many."""
        return most if team_id == self.large else max(1, most // 40)

    def team_of(self, number: int) -> str:
        """Two fifths are the large team's."""
        return self.large if number % 5 < 2 else self.team_ids[1 + number // 5 * 3 % (self.size.teams - 1)]

    def spread(self, number: int, count: int) -> int:
        """The second of one of so many, evenly from the beginning to the end."""
        return self.begin + (self.end - self.begin) * number // max(1, count)

    # People.

    def write_people(self) -> str:
        """Users, teams, memberships, invitations; sessions, API keys and passkeys of the owner."""
        owner = self.id(self.begin)
        rows = [{"id": owner, "name": "Olga Owner", "email": "olga@example.org", "is_operator": True}]
        members = []
        for team_id in self.team_ids:
            mine = [self.id(self.begin) for _ in range(self.number(team_id, 2 * self.size.things // 5 + 10))]
            self.people[team_id] = [owner, *mine]
            rows += [
                {"id": each, "name": f"Person {each[-5:]}", "email": f"{each}@example.org", "is_operator": False}
                for each in mine
            ]
            members += [(team_id, user_id) for user_id in self.people[team_id]]
        more = {"api_access": "approved", "verified_at": self.begin, "created_at": self.begin}
        requested = ["requested" if number % 9 == 5 else "approved" for number in range(len(rows))]
        self.pen.write(
            "users",
            (
                {**row, **more, "email_key": row["email"], "api_access": access, "current_team_id": self.large}
                for row, access in zip(rows, requested, strict=True)
            ),
        )
        self.pen.write(
            "teams",
            (
                {"id": team_id, "number": number, "slug": f"team-{number}", "name": f"Team {number}",
                 "created_by": owner, "created_at": self.begin}
                for number, team_id in enumerate(self.team_ids)
            ),
        )  # fmt: skip
        self.pen.write(
            "memberships",
            (
                {"team_id": team_id, "user_id": user_id, "role": "owner" if user_id == owner else "member"}
                for team_id, user_id in members
            ),
        )
        self.names |= {"user_id": self.people[self.large][1]}
        self.write_invitations()
        return self.write_credentials(owner)

    def write_invitations(self) -> None:
        """A quarter of them open; the first is the owner's own to accept."""
        token = credentials.new_token(invitations.PREFIX)
        rows = [
            {"id": self.id(self.end), "team_id": team_id, "email": f"{number}@example.net",
             "email_key": f"{number}@example.net", "state": "accepted" if number % 4 else "pending",
             "token_hash": f"{team_id}{number}", "invited_by": self.people[team_id][0],
             "created_at": self.end - number, "sent_at": self.end - number, "expires_at": self.end + DAY}
            for team_id in self.team_ids
            for number in range(self.number(team_id, self.size.things // 2))
        ]  # fmt: skip
        rows[0]["token_hash"] = credentials.hash_token(token, self.secret_key)
        self.pen.write("invitations", rows)
        self.names["invitation_token"] = token
        self.names["invitation_id"] = rows[0]["id"]

    def write_credentials(self, owner: str) -> str:
        """Forty sessions and as many keys of the owner's; the token of one."""
        token = credentials.new_token(credentials.SESSION_PREFIX)
        hashed = credentials.hash_token(token, self.secret_key)
        self.pen.write(
            "sessions",
            (
                {"id": self.id(self.end), "user_id": owner, "token_hash": hashed if number == 0 else f"{number}",
                 "created_at": self.end, "expires_at": self.end + 7 * DAY, "authenticated_at": self.end + MINUTE,
                 "last_seen_at": self.end, "kind": "browser"}
                for number in range(40)
            ),
        )  # fmt: skip
        keys = [
            {"id": self.id(self.end), "user_id": owner, "name": f"key {number}", "secret_hash": f"{number}",
             "first_characters": "fb_abc", "last_characters": "wxyz", "created_at": self.begin,
             "current_team_id": self.large}
            for number in range(40)
        ]  # fmt: skip
        self.pen.write("api_keys", keys)
        self.names["api_key_id"] = keys[0]["id"]
        return token

    # Machines.

    def write_offers(self) -> None:
        """A hundred and twenty in twenty pools of three providers, some prices to come, and where volumes are kept."""
        pools = [f"provider-{number % 3}/pool-{number}" for number in range(20)]
        self.pen.write(
            "pools",
            ({"id": each, "vcpus": 10**6, "memory_gb": 10**6, "storage_gb": 10**7, "gpus": 10**5, "seen_at": self.end}
             for each in pools),
        )  # fmt: skip
        self.offers = []
        for number in range(120):
            pool = pools[number % 20]
            gpu_type, gpu_model = GPUS[number % len(GPUS)]
            self.offers.append(
                {"id": f"offer-{number}", "provider": pool.partition("/")[0], "pool_id": pool, "name": f"Offer {number}",
                 "region": f"region-{number % 4}", "instance_type": "DEDICATED", "vcpus": 12, "memory_gb": 96,
                 "storage_gb": 500, "gpu_type": gpu_type, "gpu_model": gpu_model, "gpu_count": 1 << number % 4,
                 "gpu_memory_gb": 80, "os_options": '["Debian 12","Ubuntu 24.04"]', "rate_micros": RATE_MICROS,
                 "storage_rate_micros": 40_000, "supports_cloud_init": True, "supports_ports": True,
                 "supports_live_keys": True, "supports_pause": True, "is_listed": True}
            )  # fmt: skip
        self.pen.write("offers", self.offers)
        self.names["offer_id"] = "offer-0"
        self.pen.write(
            "price_changes",
            ({"id": self.id(self.begin), "offer_id": f"offer-{number % 120}", "kind": "machine",
              "from_micros": RATE_MICROS, "to_micros": RATE_MICROS, "announced_at": self.begin,
              "launches_at": self.begin + DAY, "running_at": self.begin + DAY, "applied_at": self.begin + DAY,
              "source": "api"} for number in range(self.size.things)),
        )  # fmt: skip
        self.pen.write(
            "volume_regions",
            ({"id": f"provider-0/region-{number}", "provider": "provider-0", "region": f"region-{number}",
              "name": f"Region {number}", "nanos_per_gb": 96_000, "min_size_gb": 1, "max_size_gb": 100_000,
              "total_gb": 10**8, "can_grow": True, "is_listed": True} for number in range(4)),
        )  # fmt: skip

    def write_keys(self) -> None:
        """SSH keys of each team."""
        rows = []
        for team_id in self.team_ids:
            mine = [self.id(self.begin) for _ in range(self.number(team_id, self.size.things // 4 + 1))]
            self.keys[team_id] = mine
            rows += [
                {"id": each, "team_id": team_id, "name": f"key {each[-5:]}", "public_key": "ssh-ed25519 AAAA",
                 "fingerprint": f"SHA256:{each}", "created_by": self.people[team_id][0], "created_at": self.begin}
                for each in mine
            ]  # fmt: skip
        self.pen.write("ssh_keys", rows)
        self.names["key_id"] = self.keys[self.large][0]

    def write_machines(self) -> None:
        """One in ten runs or is stopped; of those, one in ten since the beginning."""
        for number in range(self.size.machines):
            self.machines.append(self.machine(number))
        self.running = [each for each in self.machines if each["status"] == "running"]
        self.pen.write("deployments", self.machines)
        last = next(each for each in reversed(self.running) if each["team_id"] == self.large)
        self.names["deployment_id"] = last["id"]
        self.pen.write(
            "deployment_ssh_keys",
            ({"deployment_id": each["id"], "ssh_key_id": each["ssh_key_id"], "added_by": each["created_by"],
              "added_at": each["created_at"], "installed_at": each["created_at"]} for each in self.machines),
        )  # fmt: skip
        self.pen.write(
            "deployment_events",
            ({"id": self.id(each["created_at"]), "deployment_id": each["id"], "at": each["created_at"],
              "kind": kind, "message": "Something happened to the machine."}
             for each in self.machines for kind in ("accepted", "launched", "running", "stopped", "terminated")),
        )  # fmt: skip

    def machine(self, number: int) -> dict[str, Any]:
        """One of them."""
        team_id, offer = self.team_of(number), self.offers[number % len(self.offers)]
        people, keys = self.people[team_id], self.keys[team_id]
        at = self.spread(number, self.size.machines)
        # The newest tenth and every hundredth: what runs is not all on one page.
        is_there = number >= self.size.machines * 92 // 100 or number % 50 < 2
        status = ("stopped" if number % 10 == 9 else "running") if is_there else "terminated"
        gone = {"stopped_at": None, "gone_at": None}
        if status != "running":
            gone["stopped_at"] = at + 100 * MINUTE
        if status == "terminated":
            gone["gone_at"] = at + 100 * MINUTE
        of_offer = ("provider", "pool_id", "instance_type", "region", "gpu_type", "gpu_model", "gpu_count", "vcpus",
                    "memory_gb", "storage_gb", "rate_micros", "storage_rate_micros", "supports_pause")  # fmt: skip
        return {
            "id": self.id(at), "team_id": team_id, "created_by": people[number % len(people)],
            "name": f"machine-{number}", "status": status, "desired": status, "offer_id": offer["id"],
            **{name: offer[name] for name in of_offer}, "operating_system": "Debian 12",
            "ssh_key_id": keys[number % len(keys)], "ssh_key_name": "a key", "ssh_key_fingerprint": "SHA256:abc",
            "labels": f'{{"project":"project-{number % 11}"}}', "ip_address": "192.0.2.1", "ssh_user": "root",
            "ssh_port": 20_000 + number, "port_forwards": "[]", "created_at": at, "started_at": at,
            "deploying_since": at, **gone,
        }  # fmt: skip

    def write_volumes(self) -> None:
        """Of each team, a third of them on a machine."""
        rows, attached = [], []
        by_team: dict[str, list[str]] = defaultdict(list)
        for each in self.running:
            by_team[each["team_id"]].append(each["id"])
        for team_id in self.team_ids:
            for number in range(self.number(team_id, self.size.things // 2)):
                volume_id = self.id(self.spread(number, self.size.things))
                rows.append(
                    {"id": volume_id, "team_id": team_id, "created_by": self.people[team_id][0],
                     "name": f"volume-{number}", "provider": "provider-0", "region": "region-0",
                     "region_id": "provider-0/region-0", "size_gb": 200, "made_gb": 200, "nanos_per_gb": 96_000,
                     "state": "available", "created_at": self.begin}
                )  # fmt: skip
                if number % 3 == 1 and number < len(by_team[team_id]):
                    attached.append(
                        {"id": self.id(self.end), "volume_id": volume_id, "deployment_id": by_team[team_id][number],
                         "name": f"volume-{number}", "state": "attached", "created_at": self.begin}
                    )  # fmt: skip
        self.volumes = rows
        self.pen.write("volumes", rows)
        self.pen.write("volume_attachments", attached)
        self.names["volume_id"] = next(
            each["id"] for each in rows if each["id"] not in {one["volume_id"] for one in attached}
        )

    # Use and money.

    def write_use(self) -> None:
        """A segment of each machine, and its lines: a fifth of them of ten machines that ran all the time."""
        lasting = [each for each in self.running if each["created_at"] < self.begin + DAY][:10]
        many, each_has = {one["id"] for one in lasting}, 4 * self.size.lines // 5 // self.size.machines
        segments, lines, paid = [], [], {}
        for machine in self.machines:
            count = self.size.lines // 5 // len(lasting) if machine["id"] in many else each_has
            started = machine["created_at"] // MINUTE * MINUTE
            count = min(count, (self.end - started) // MINUTE)
            segment_id, through = self.id(started), started + count * MINUTE
            is_open = machine["status"] != "terminated"
            segments.append(
                {"id": segment_id, "team_id": machine["team_id"], "resource_type": "compute",
                 "resource_id": machine["id"], "rate_micros": RATE_MICROS, "started_at": started,
                 "ended_at": None if is_open else through, "charged_through": through, "sighted_at": through,
                 "charged_micros": count * LINE_MICROS}
            )  # fmt: skip
            for at in range(started, through, MINUTE):
                key = machine["team_id"], at + MINUTE
                paid[key] = paid.get(key, 0) + LINE_MICROS
                lines.append((segment_id, at, at + MINUTE, machine["team_id"], LINE_MICROS, key))
        for volume in self.volumes:
            segments.append(
                {"id": self.id(self.begin), "team_id": volume["team_id"], "resource_type": "storage",
                 "resource_id": volume["id"], "rate_micros": 19_200, "started_at": self.begin, "ended_at": None,
                 "charged_through": self.begin, "sighted_at": self.begin, "charged_micros": 0}
            )  # fmt: skip
        self.pen.write("segments", segments)
        transfers = self.write_transfers(paid)
        self.pen.raw.executemany(
            "INSERT INTO usage_lines (segment_id, from_at, to_at, team_id, amount_micros, transfer_id)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            ((*line[:5], transfers[line[5]]) for line in lines),
        )

    def write_transfers(self, paid: dict[tuple[str, int], int]) -> dict[tuple[str, int], str]:
        """A grant of each team, then what its machines were charged, minute by minute; the ids of the charges."""
        sequence: dict[str, int] = defaultdict(int)
        balance: dict[str, int] = defaultdict(int)
        grant = (1 + sum(paid.values())) * 2
        found: dict[tuple[str, int], str] = {}
        transfers, entries = [], []

        def post(team_id: str, kind: str, at: int, amount_micros: int, other: str) -> str:
            sequence[team_id] += 1
            balance[team_id] += amount_micros
            transfer_id = self.id(at)
            transfers.append((transfer_id, kind, transfer_id, team_id, sequence[team_id], at, "", "", ""))
            entries.append((transfer_id, f"team:{team_id}", amount_micros, balance[team_id], sequence[team_id]))
            entries.append((transfer_id, other, -amount_micros, None, None))
            return transfer_id

        for team_id in self.team_ids:
            self.grants = [post(team_id, "grant", self.begin, grant, "grants")]
            for number in range(self.number(team_id, self.size.things)):
                post(team_id, "deposit", self.spread(number, self.size.things), 50_000_000, "processor")
            if team_id == self.large:
                self.names["transfer_id"] = self.grants[0]
        for key, amount_micros in sorted(paid.items(), key=lambda one: one[0][1]):
            found[key] = post(key[0], "usage", key[1], -amount_micros, "compute_revenue")
        self.pen.write(
            "accounts",
            ({"id": f"team:{team_id}", "kind": "team_credits", "team_id": team_id,
              "balance_micros": balance[team_id], "version": sequence[team_id], "last_hash": ""}
             for team_id in self.team_ids),
        )  # fmt: skip
        self.pen.raw.executemany(
            "INSERT INTO transfers (id, kind, idempotency_key, team_id, sequence, created_at, previous_hash, hash,"
            " reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            transfers,
        )
        self.pen.raw.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", entries)
        return found

    def write_money(self) -> None:
        """Cards, payments, auto top-up, and a hold on each machine."""
        cards, attempts, payments = [], [], []
        for team_id in self.team_ids:
            owner = self.people[team_id][0]
            mine = [self.id(self.begin) for _ in range(self.number(team_id, 5))]
            cards += [
                {"id": each, "team_id": team_id, "payment_method_id": f"pm_{each}", "brand": "visa",
                 "last_four": "4242", "expiry_month": 12, "expiry_year": 2099, "is_default": each == mine[0],
                 "created_at": self.begin, "created_by": owner}
                for each in mine
            ]  # fmt: skip
            for number in range(self.number(team_id, self.size.things)):
                at = self.spread(number, self.size.things)
                each = self.id(at)
                attempts.append(
                    {"id": each, "team_id": team_id, "path": "auto" if number % 2 else "manual", "state": "succeeded",
                     "amount_micros": 50_000_000, "card_id": mine[0], "request": "{}", "idempotency_key": each,
                     "payment_intent_id": f"pi_{each}", "requested_by": owner, "created_at": at, "closed_at": at}
                )  # fmt: skip
                payments.append(
                    {"payment_intent_id": f"pi_{each}", "team_id": team_id, "attempt_id": each,
                     "card_words": "visa ending in 4242", "credited_micros": 50_000_000, "created_at": at}
                )  # fmt: skip
        self.pen.write("cards", cards)
        self.pen.write("payment_attempts", attempts)
        self.pen.write("payments", payments)
        set_ups = [
            {"id": self.id(self.end), "team_id": team_id, "path": "page", "state": "open", "created_at": self.end,
             "requested_by": self.people[team_id][0]}
            for team_id in self.team_ids
        ]  # fmt: skip
        self.pen.write("card_set_ups", set_ups)
        self.pen.write(
            "auto_top_ups",
            ({"team_id": team_id, "is_on": True, "threshold_micros": 20_000_000, "amount_micros": 50_000_000,
              "max_charge_micros": 50_000_000, "consented_by": self.people[team_id][0], "consented_at": self.begin,
              "consent_text": "Charge it.", "updated_at": self.begin} for team_id in self.team_ids),
        )  # fmt: skip
        self.pen.write(
            "holds",
            ({"id": self.id(each["created_at"]), "team_id": each["team_id"], "resource_id": each["id"],
              "amount_micros": RATE_MICROS, "remaining_micros": 0, "available_micros": 10**12,
              "created_at": each["created_at"],
              "released_at": None if each["status"] == "running" else each["created_at"] + 60,
              "charged_after_micros": None if each["status"] == "running" else RATE_MICROS} for each in self.machines),
        )  # fmt: skip
        self.pen.write(
            "cycles",
            ({"id": self.id(at), "started_at": at, "finished_at": at + 1}
             for at in range(self.end - self.size.things * 100 * MINUTE, self.end, MINUTE)),
        )  # fmt: skip
        self.names |= {
            "card_id": cards[0]["id"],
            "top_up_id": attempts[0]["id"],
            "set_up_id": set_ups[0]["id"],
            "month": f"{datetime.fromtimestamp(self.end - 20 * DAY, self.now.tzinfo):%Y-%m}",
        }

    # What is told.

    def write_doings(self) -> None:
        """The activity: of teams, and one in twenty of accounts and of the platform."""
        rows = []
        for number in range(self.size.doings):
            at, team_id = self.spread(number, self.size.doings), self.team_of(number)
            people = self.people[team_id]
            machine = self.machines[number % len(self.machines)]
            rows.append(
                {"id": self.id(at), "team_id": None if number % 20 == 19 else team_id, "at": at,
                 "action": ACTIONS[number % len(ACTIONS)], "outcome": "denied" if number % 50 == 7 else "done",
                 "user_id": people[number % len(people)], "address": "192.0.2.7", "object_type": "deployment",
                 "object_id": machine["id"], "details": '{"name":"machine"}'}
            )  # fmt: skip
        self.pen.write("activity", rows)

    def write_news(self) -> None:
        """Webhooks with what they were sent, notifications, mails."""
        hooks, deliveries, attempts = [], [], []
        for team_id in self.team_ids:
            mine = [self.id(self.begin) for _ in range(self.number(team_id, 10))]
            hooks += [
                {"id": each, "team_id": team_id, "name": f"hook {each[-5:]}",
                 "sealed_url": webhooks.sealed("https://hooks.example.org/x", self.secret_key, "webhook-url", each),
                 "created_by": self.people[team_id][0], "created_at": self.begin}
                for each in mine
            ]  # fmt: skip
            for number in range(self.number(team_id, 10 * self.size.things)):
                at = self.spread(number, 10 * self.size.things)
                each = self.id(at)
                deliveries.append(
                    {"id": each, "webhook_id": mine[number % 2 * (len(mine) - 1)], "event_id": each, "body": "{}",
                     "kind": "deployment.running", "state": "delivered", "created_at": at, "ended_at": at}
                )  # fmt: skip
                attempts.append({"delivery_id": each, "number": 1, "at": at, "status_code": 200, "reason": ""})
        self.pen.write("webhooks", hooks)
        self.pen.write("webhook_deliveries", deliveries)
        self.pen.write("webhook_attempts", attempts)
        self.names["webhook_id"] = hooks[0]["id"]
        self.pen.write(
            "notifications",
            ({"id": self.id(self.begin), "team_id": self.team_of(number), "kind": "deployment.running",
              "at": self.begin, "lines": "[]", "details": "{}", "is_mailed": True}
             for number in range(20 * self.size.things)),
        )  # fmt: skip
        self.pen.write(
            "mails",
            ({"id": self.id(self.begin), "recipient": "olga@example.org", "sent_at": self.begin,
              "created_at": self.begin} for _ in range(10 * self.size.things)),
        )  # fmt: skip

    def write_platform(self) -> None:
        """Providers, orphans, alerts, discounts, restrictions."""
        self.pen.write(
            "provider_states",
            ({"name": f"provider-{number}", "is_reachable": True, "since": self.begin, "observed_at": self.end}
             for number in range(3)),
        )  # fmt: skip
        orphans = [
            {"provider": "provider-0", "instance_id": self.id(self.end), "state": "running", "found_at": self.begin}
            for _ in range(max(1, self.size.things // 10))
        ]
        self.pen.write("orphans", orphans)
        self.pen.write(
            "alerts",
            ({"id": self.id(self.end), "kind": "mail", "subject": f"{number}", "text": "A mail was not taken.",
              "raised_at": self.end, "seen_at": self.end, "cleared_at": None if number < 10 else self.end}
             for number in range(self.size.things)),
        )  # fmt: skip
        discounts = [
            {"id": self.id(self.end), "team_id": team_id, "basis_points": 500, "gpu_type": gpu_type,
             "starts_at": self.begin, "ends_at": None, "reason": "A large customer.", "created_at": self.begin}
            for team_id in self.team_ids for gpu_type, _ in GPUS[: self.number(team_id, 4)]
        ]  # fmt: skip
        self.pen.write("discounts", discounts)
        self.pen.write(
            "restrictions",
            ({"kind": "stock", "scope": "offer", "subject": f"offer-{number}", "most": 100, "reason": "Enough.",
              "set_at": self.begin} for number in range(10)),
        )  # fmt: skip
        self.names |= {
            "provider": "provider-0",
            "instance_id": orphans[0]["instance_id"],
            "discount_id": discounts[0]["id"],
        }


def pages_of(application: Litestar, who: Crowd) -> dict[str, str]:
    """Every page of a server by its path, with an address of it. Some are for whoever is not signed in."""
    handlers = [handler for route in application.routes for handler in getattr(route, "route_handlers", ())]
    paths = {name.removeprefix("page GET ") for each in handlers if (name := each.name or "").startswith("page GET ")}
    return {path: address(path, who) for path in sorted(paths - NOT_LOOKED_AT)}


def address(path: str, who: Crowd) -> str:
    """A path with everything in it that it names."""
    own = {"key_id": who.names["api_key_id"]} if path.startswith("/account") else {}
    return (path + QUERIES.get(path, "")).format_map(who.names | own)
