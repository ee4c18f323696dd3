"""What the crowd can launch and has launched: offers, keys, machines, volumes."""

from collections import defaultdict
from typing import Any

from tests.web.crowd.filling import DAY, GPUS, MINUTE, RATE_MICROS, Filling


def write_offers(it: Filling) -> None:
    """A hundred and twenty in twenty pools of three providers, some prices to come, and where volumes are kept."""
    pools = [f"provider-{number % 3}/pool-{number}" for number in range(20)]
    it.pen.write(
        "pools",
        ({"id": each, "vcpus": 10**6, "memory_gb": 10**6, "storage_gb": 10**7, "gpus": 10**5, "seen_at": it.end}
         for each in pools),
    )  # fmt: skip
    for number in range(120):
        pool = pools[number % 20]
        gpu_type, gpu_model = GPUS[number % len(GPUS)]
        it.offers.append(
            {"id": f"offer-{number}", "provider": pool.partition("/")[0], "pool_id": pool,
                 "name": f"Offer {number}",
             "region": f"region-{number % 4}", "instance_type": "DEDICATED", "vcpus": 12, "memory_gb": 96,
             "storage_gb": 500, "gpu_type": gpu_type, "gpu_model": gpu_model, "gpu_count": 1 << number % 4,
             "gpu_memory_gb": 80, "os_options": '["Debian 12","Ubuntu 24.04"]', "rate_micros": RATE_MICROS,
             "storage_rate_micros": 40_000, "supports_cloud_init": True, "supports_ports": True,
             "supports_live_keys": True, "supports_pause": True, "is_listed": True}
        )  # fmt: skip
    it.pen.write("offers", it.offers)
    it.names["offer_id"] = "offer-0"
    it.pen.write(
        "price_changes",
        ({"id": it.id(it.begin), "offer_id": f"offer-{number % 120}", "kind": "machine",
          "from_micros": RATE_MICROS, "to_micros": RATE_MICROS, "announced_at": it.begin,
          "launches_at": it.begin + DAY, "running_at": it.begin + DAY, "applied_at": it.begin + DAY,
          "source": "api"} for number in range(it.size.things)),
    )  # fmt: skip
    it.pen.write(
        "volume_regions",
        ({"id": f"provider-0/region-{number}", "provider": "provider-0", "region": f"region-{number}",
          "name": f"Region {number}", "nanos_per_gb": 96_000, "min_size_gb": 1, "max_size_gb": 100_000,
          "total_gb": 10**8, "can_grow": True, "is_listed": True} for number in range(4)),
    )  # fmt: skip


def write_keys(it: Filling) -> None:
    """SSH keys of each team."""
    rows = []
    for team_id in it.team_ids:
        mine = [it.id(it.begin) for _ in range(it.number(team_id, it.size.things // 4 + 1))]
        it.keys[team_id] = mine
        rows += [
            {"id": each, "team_id": team_id, "name": f"key {each[-5:]}", "public_key": "ssh-ed25519 AAAA",
             "fingerprint": f"SHA256:{each}", "created_by": it.people[team_id][0], "created_at": it.begin}
            for each in mine
        ]  # fmt: skip
    it.pen.write("ssh_keys", rows)
    it.names["key_id"] = it.keys[it.large][0]


def write_machines(it: Filling) -> None:
    """One in ten runs or is stopped; of those, one in ten since the beginning."""
    for number in range(it.size.machines):
        it.machines.append(machine(it, number))
    it.running = [each for each in it.machines if each["status"] == "running"]
    it.pen.write("deployments", it.machines)
    last = next(each for each in reversed(it.running) if each["team_id"] == it.large)
    it.names["deployment_id"] = last["id"]
    it.pen.write(
        "deployment_ssh_keys",
        ({"deployment_id": each["id"], "ssh_key_id": each["ssh_key_id"], "added_by": each["created_by"],
          "added_at": each["created_at"], "installed_at": each["created_at"]} for each in it.machines),
    )  # fmt: skip
    it.pen.write(
        "deployment_events",
        ({"id": it.id(each["created_at"]), "deployment_id": each["id"], "at": each["created_at"],
          "kind": kind, "message": "Something happened to the machine."}
         for each in it.machines for kind in ("accepted", "launched", "running", "stopped", "terminated")),
    )  # fmt: skip


def machine(it: Filling, number: int) -> dict[str, Any]:
    """One of them."""
    team_id, offer = it.team_of(number), it.offers[number % len(it.offers)]
    people, keys = it.people[team_id], it.keys[team_id]
    at = it.spread(number, it.size.machines)
    # The newest tenth and every hundredth: what runs is not all on one page.
    is_there = number >= it.size.machines * 92 // 100 or number % 50 < 2
    status = ("stopped" if number % 10 == 9 else "running") if is_there else "terminated"
    gone: dict[str, int | None] = {"stopped_at": None, "gone_at": None}
    if status != "running":
        gone["stopped_at"] = at + 100 * MINUTE
    if status == "terminated":
        gone["gone_at"] = at + 100 * MINUTE
    of_offer = ("provider", "pool_id", "instance_type", "region", "gpu_type", "gpu_model", "gpu_count", "vcpus",
                "memory_gb", "storage_gb", "rate_micros", "storage_rate_micros", "supports_pause")  # fmt: skip
    return {
        "id": it.id(at), "team_id": team_id, "created_by": people[number % len(people)],
        "name": f"machine-{number}", "status": status, "desired": status, "offer_id": offer["id"],
        **{name: offer[name] for name in of_offer}, "operating_system": "Debian 12",
        "ssh_key_id": keys[number % len(keys)], "ssh_key_name": "a key", "ssh_key_fingerprint": "SHA256:abc",
        "labels": f'{{"project":"project-{number % 11}"}}', "ip_address": "192.0.2.1", "ssh_user": "root",
        "ssh_port": 20_000 + number, "port_forwards": "[]", "created_at": at, "started_at": at,
        "deploying_since": at, **gone,
    }  # fmt: skip


def write_volumes(it: Filling) -> None:
    """Of each team, a third of them on a machine."""
    rows: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    by_team: dict[str, list[str]] = defaultdict(list)
    for each in it.running:
        by_team[each["team_id"]].append(each["id"])
    for team_id in it.team_ids:
        for number in range(it.number(team_id, it.size.things // 2)):
            volume_id = it.id(it.spread(number, it.size.things))
            rows.append(
                {"id": volume_id, "team_id": team_id, "created_by": it.people[team_id][0],
                 "name": f"volume-{number}", "provider": "provider-0", "region": "region-0",
                 "region_id": "provider-0/region-0", "size_gb": 200, "made_gb": 200, "nanos_per_gb": 96_000,
                 "state": "available", "created_at": it.begin}
            )  # fmt: skip
            if number % 3 == 1 and number < len(by_team[team_id]):
                attached.append(
                    {"id": it.id(it.end), "volume_id": volume_id, "deployment_id": by_team[team_id][number],
                     "name": f"volume-{number}", "state": "attached", "created_at": it.begin}
                )  # fmt: skip
    it.volumes = rows
    it.pen.write("volumes", rows)
    it.pen.write("volume_attachments", attached)
    it.names["volume_id"] = next(
        each["id"] for each in rows if each["id"] not in {one["volume_id"] for one in attached}
    )


def write_templates(it: Filling) -> None:
    """Launches that teams have saved."""
    rows: list[dict[str, Any]] = [
        {"id": it.id(it.begin), "team_id": team_id, "name": f"template {number}", "name_key": f"template {number}",
         "created_by": it.people[team_id][0], "created_at": it.begin, "changed_at": it.begin, "offer_id": "offer-0",
         "instance_type": "DEDICATED", "region": "region-0", "operating_system": "Debian 12",
         "gpu_type": GPUS[0][0], "gpu_count": 1, "ssh_key_id": it.keys[team_id][0], "labels": "{}", "ports": "[]",
         "volume_ids": "[]"}
        for team_id in it.team_ids
        for number in range(it.number(team_id, min(100, it.size.things)))
    ]  # fmt: skip
    it.pen.write("launch_templates", rows)
    it.names["template_id"] = rows[0]["id"]
