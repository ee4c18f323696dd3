"""What was done in the crowd and told of it: activity, webhooks, mails; and what operators look after."""

from typing import Any

from forebay.domain.people import webhooks
from tests.web.crowd.filling import GPUS, Filling

ACTIONS = ("deployment.launch", "deployment.terminate", "ssh-key.add", "volume.create", "member.change-role")


def write_doings(it: Filling) -> None:
    """The activity: of teams, and one in twenty of accounts and of the platform."""
    rows = []
    for number in range(it.size.doings):
        at, team_id = it.spread(number, it.size.doings), it.team_of(number)
        people = it.people[team_id]
        machine = it.machines[number % len(it.machines)]
        rows.append(
            {"id": it.id(at), "team_id": None if number % 20 == 19 else team_id, "at": at,
             "action": ACTIONS[number % len(ACTIONS)], "outcome": "denied" if number % 50 == 7 else "done",
             "user_id": people[number % len(people)], "address": "192.0.2.7", "object_type": "deployment",
             "object_id": machine["id"], "details": '{"name":"machine"}'}
        )  # fmt: skip
    it.pen.write("activity", rows)


def write_news(it: Filling) -> None:
    """Webhooks with what they were sent, notifications, mails."""
    hooks: list[dict[str, Any]] = []
    deliveries: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for team_id in it.team_ids:
        mine = [it.id(it.begin) for _ in range(it.number(team_id, 10))]
        hooks += [
            {"id": each, "team_id": team_id, "name": f"hook {each[-5:]}",
             "sealed_url": webhooks.sealed("https://hooks.example.org/x", it.secret_key, "webhook-url", each),
             "created_by": it.people[team_id][0], "created_at": it.begin}
            for each in mine
        ]  # fmt: skip
        for number in range(it.number(team_id, 10 * it.size.things)):
            at = it.spread(number, 10 * it.size.things)
            each = it.id(at)
            deliveries.append(
                {"id": each, "webhook_id": mine[number % 2 * (len(mine) - 1)], "event_id": each, "body": "{}",
                 "kind": "deployment.running", "state": "delivered", "created_at": at, "ended_at": at}
            )  # fmt: skip
            attempts.append({"delivery_id": each, "number": 1, "at": at, "status_code": 200, "reason": ""})
    it.pen.write("webhooks", hooks)
    it.pen.write("webhook_deliveries", deliveries)
    it.pen.write("webhook_attempts", attempts)
    it.names["webhook_id"] = hooks[0]["id"]
    it.pen.write(
        "notifications",
        ({"id": it.id(it.begin), "team_id": it.team_of(number), "kind": "deployment.running",
          "at": it.begin, "lines": "[]", "details": "{}", "is_mailed": True}
         for number in range(20 * it.size.things)),
    )  # fmt: skip
    it.pen.write(
        "mails",
        ({"id": it.id(it.begin), "recipient": "olga@example.org", "sent_at": it.begin,
          "created_at": it.begin} for _ in range(10 * it.size.things)),
    )  # fmt: skip


def write_platform(it: Filling) -> None:
    """Providers, orphans, alerts, discounts, restrictions."""
    it.pen.write(
        "provider_states",
        ({"name": f"provider-{number}", "is_reachable": True, "since": it.begin, "observed_at": it.end}
         for number in range(3)),
    )  # fmt: skip
    orphans: list[dict[str, Any]] = [
        {"provider": "provider-0", "instance_id": it.id(it.end), "state": "running", "found_at": it.begin}
        for _ in range(max(1, it.size.things // 10))
    ]
    it.pen.write("orphans", orphans)
    it.pen.write(
        "alerts",
        ({"id": it.id(it.end), "kind": "mail", "subject": f"{number}", "text": "A mail was not taken.",
          "raised_at": it.end, "seen_at": it.end, "cleared_at": None if number < 10 else it.end}
         for number in range(it.size.things)),
    )  # fmt: skip
    discounts: list[dict[str, Any]] = [
        {"id": it.id(it.end), "team_id": team_id, "basis_points": 500, "gpu_type": gpu_type,
         "starts_at": it.begin, "ends_at": None, "reason": "A large customer.", "created_at": it.begin}
        for team_id in it.team_ids for gpu_type, _ in GPUS[: it.number(team_id, 4)]
    ]  # fmt: skip
    it.pen.write("discounts", discounts)
    it.pen.write(
        "restrictions",
        ({"kind": "stock", "scope": "offer", "subject": f"offer-{number}", "most": 100, "reason": "Enough.",
          "set_at": it.begin} for number in range(10)),
    )  # fmt: skip
    it.names |= {
        "provider": "provider-0",
        "instance_id": orphans[0]["instance_id"],
        "discount_id": discounts[0]["id"],
    }
