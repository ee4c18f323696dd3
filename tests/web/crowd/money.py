"""What the crowd used and paid: segments and their lines, transfers, cards, payments, holds."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from tests.web.crowd.filling import DAY, LINE_MICROS, MINUTE, RATE_MICROS, Filling


def write_use(it: Filling) -> None:
    """A segment of each machine, and its lines: a fifth of them of ten machines that ran all the time."""
    lasting = [each for each in it.running if each["created_at"] < it.begin + DAY][:10]
    many, each_has = {one["id"] for one in lasting}, 4 * it.size.lines // 5 // it.size.machines
    segments: list[dict[str, Any]] = []
    lines: list[tuple[Any, ...]] = []
    paid: dict[tuple[str, int], int] = {}
    for machine in it.machines:
        count = it.size.lines // 5 // len(lasting) if machine["id"] in many else each_has
        started = machine["created_at"] // MINUTE * MINUTE
        count = min(count, (it.end - started) // MINUTE)
        segment_id, through = it.id(started), started + count * MINUTE
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
    for volume in it.volumes:
        segments.append(
            {"id": it.id(it.begin), "team_id": volume["team_id"], "resource_type": "storage",
             "resource_id": volume["id"], "rate_micros": 19_200, "started_at": it.begin, "ended_at": None,
             "charged_through": it.begin, "sighted_at": it.begin, "charged_micros": 0}
        )  # fmt: skip
    it.pen.write("segments", segments)
    transfers = write_transfers(it, paid)
    it.pen.raw.executemany(
        "INSERT INTO usage_lines (segment_id, from_at, to_at, team_id, amount_micros, transfer_id)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        ((*line[:5], transfers[line[5]]) for line in lines),
    )


def write_transfers(it: Filling, paid: dict[tuple[str, int], int]) -> dict[tuple[str, int], str]:
    """A grant of each team, then what its machines were charged, minute by minute; the ids of the charges."""
    sequence: dict[str, int] = defaultdict(int)
    balance: dict[str, int] = defaultdict(int)
    grant = (1 + sum(paid.values())) * 2
    found: dict[tuple[str, int], str] = {}
    transfers: list[tuple[Any, ...]] = []
    entries: list[tuple[Any, ...]] = []

    def post(team_id: str, kind: str, at: int, amount_micros: int, other: str) -> str:
        sequence[team_id] += 1
        balance[team_id] += amount_micros
        transfer_id = it.id(at)
        transfers.append((transfer_id, kind, transfer_id, team_id, sequence[team_id], at, "", "", ""))
        entries.append((transfer_id, f"team:{team_id}", amount_micros, balance[team_id], sequence[team_id]))
        entries.append((transfer_id, other, -amount_micros, None, None))
        return transfer_id

    for team_id in it.team_ids:
        granted = post(team_id, "grant", it.begin, grant, "grants")
        for number in range(it.number(team_id, it.size.things)):
            post(team_id, "deposit", it.spread(number, it.size.things), 50_000_000, "processor")
        if team_id == it.large:
            it.names["transfer_id"] = granted
    for key, amount_micros in sorted(paid.items(), key=lambda one: one[0][1]):
        found[key] = post(key[0], "usage", key[1], -amount_micros, "compute_revenue")
    it.pen.write(
        "accounts",
        ({"id": f"team:{team_id}", "kind": "team_credits", "team_id": team_id,
          "balance_micros": balance[team_id], "version": sequence[team_id], "last_hash": ""}
         for team_id in it.team_ids),
    )  # fmt: skip
    it.pen.raw.executemany(
        "INSERT INTO transfers (id, kind, idempotency_key, team_id, sequence, created_at, previous_hash, hash,"
        " reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        transfers,
    )
    it.pen.raw.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", entries)
    return found


def write_money(it: Filling) -> None:
    """Cards, payments, auto top-up, and a hold on each machine."""
    cards: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    payments: list[dict[str, Any]] = []
    for team_id in it.team_ids:
        owner = it.people[team_id][0]
        mine = [it.id(it.begin) for _ in range(it.number(team_id, 5))]
        cards += [
            {"id": each, "team_id": team_id, "payment_method_id": f"pm_{each}", "brand": "visa",
             "last_four": "4242", "expiry_month": 12, "expiry_year": 2099, "is_default": each == mine[0],
             "created_at": it.begin, "created_by": owner}
            for each in mine
        ]  # fmt: skip
        for number in range(it.number(team_id, it.size.things)):
            at = it.spread(number, it.size.things)
            each = it.id(at)
            attempts.append(
                {"id": each, "team_id": team_id, "path": "auto" if number % 2 else "manual", "state": "succeeded",
                 "amount_micros": 50_000_000, "card_id": mine[0], "request": "{}", "idempotency_key": each,
                 "payment_intent_id": f"pi_{each}", "requested_by": owner, "created_at": at, "closed_at": at}
            )  # fmt: skip
            payments.append(
                {"payment_intent_id": f"pi_{each}", "team_id": team_id, "attempt_id": each,
                 "card_words": "visa ending in 4242", "credited_micros": 50_000_000, "created_at": at}
            )  # fmt: skip
    it.pen.write("cards", cards)
    it.pen.write("payment_attempts", attempts)
    it.pen.write("payments", payments)
    set_ups: list[dict[str, Any]] = [
        {"id": it.id(it.end), "team_id": team_id, "path": "page", "state": "open", "created_at": it.end,
         "requested_by": it.people[team_id][0]}
        for team_id in it.team_ids
    ]  # fmt: skip
    it.pen.write("card_set_ups", set_ups)
    it.pen.write(
        "auto_top_ups",
        ({"team_id": team_id, "is_on": True, "threshold_micros": 20_000_000, "amount_micros": 50_000_000,
          "max_charge_micros": 50_000_000, "consented_by": it.people[team_id][0], "consented_at": it.begin,
          "consent_text": "Charge it.", "updated_at": it.begin} for team_id in it.team_ids),
    )  # fmt: skip
    it.pen.write(
        "holds",
        ({"id": it.id(each["created_at"]), "team_id": each["team_id"], "resource_id": each["id"],
          "amount_micros": RATE_MICROS, "remaining_micros": 0, "available_micros": 10**12,
          "created_at": each["created_at"],
          "released_at": None if each["status"] == "running" else each["created_at"] + 60,
          "charged_after_micros": None if each["status"] == "running" else RATE_MICROS} for each in it.machines),
    )  # fmt: skip
    it.pen.write(
        "cycles",
        ({"id": it.id(at), "started_at": at, "finished_at": at + 1}
         for at in range(it.end - it.size.things * 100 * MINUTE, it.end, MINUTE)),
    )  # fmt: skip
    it.names |= {
        "card_id": cards[0]["id"],
        "top_up_id": attempts[0]["id"],
        "set_up_id": set_ups[0]["id"],
        "month": f"{datetime.fromtimestamp(it.end - 20 * DAY, it.now.tzinfo):%Y-%m}",
    }


def write_budgets(it: Filling) -> None:
    """One of each team, and of some of its people."""
    rows: list[dict[str, Any]] = [
        {"id": it.id(it.begin), "team_id": team_id, "scope": "member" if user_id else "team", "subject": user_id,
         "amount_micros": 10**12, "shares": "[50,80,100]", "at_limit": "notify", "created_by": it.people[team_id][0],
         "created_at": it.begin, "changed_at": it.begin, "month": "2026-01"}
        for team_id in it.team_ids
        for user_id in ["", *it.people[team_id][: it.number(team_id, 20)]]
    ]  # fmt: skip
    it.pen.write("budgets", rows)
    it.names["budget_id"] = rows[0]["id"]
