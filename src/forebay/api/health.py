"""`/healthz` and `/metrics`: whether the server works, and in numbers how.

Metrics tell how much a cloud earns, so they are for this machine alone, or for whoever has the token of the settings.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from litestar import Request
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from forebay import __version__
from forebay.api.door import Door
from forebay.api.envelope import encoder
from forebay.domain.machines import alerts, capacity, orphans, provider_states
from forebay.headers import PRIVATE
from forebay.storage.tables import accounts, cycles, deployments, segments


def health(door: Door) -> tuple[int, bytes]:
    """200 if the database answers, else 503; with the alerts that stand and how the reconcilers do."""
    services = door.services
    body: dict[str, Any] = {"version": __version__, "worker": services.status()}
    try:
        with services.database.read() as connection:
            standing = alerts.open_ones(connection)
    except SQLAlchemyError as error:
        return 503, encoder.encode({"status": "database unavailable", "reason": type(error).__name__, **body})
    kinds = sorted({alert.kind for alert in standing})
    return 200, encoder.encode({"status": "attention" if kinds else "ok", "alerts": kinds, **body})


class Figures:
    """What Prometheus collects, read when it asks."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def collect(self) -> Iterator[Any]:
        """All families of metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        requests = SummaryMetricFamily(
            "forebay_request_seconds", "Requests and their time", labels=["method", "path", "status"]
        )
        for (method, path, status), tally in list(self.door.tallies.items()):
            requests.add_metric([method, path, str(status)], count_value=tally.count, sum_value=tally.seconds)
        yield requests
        with self.door.services.database.read() as connection:
            for name, text, label, rows in figures(connection, self.door.services.clock.now()):
                family = GaugeMetricFamily(f"forebay_{name}", text, labels=[label] if label else [])
                for key, value in rows:
                    family.add_metric([key] if label else [], value)
                yield family
        failures = CounterMetricFamily("forebay_reconciler_failures", "Rounds that failed", labels=["reconciler"])
        ages = GaugeMetricFamily("forebay_reconciler_age_seconds", "Since the last good round", labels=["reconciler"])
        for name, state in self.door.services.status().items():
            failures.add_metric([name], state["failures"])
            if state["secondsSince"] is not None:
                ages.add_metric([name], state["secondsSince"])
        yield failures
        yield ages


def figures(connection: Connection, now: datetime) -> Iterable[tuple[str, str, str, list[tuple[str, float]]]]:
    """Name, meaning, label and values of what the database knows."""
    count = sa.func.count()
    by_status = connection.execute(
        sa.select(deployments.c.status, count).where(deployments.c.gone_at.is_(None)).group_by(deployments.c.status)
    )
    yield (
        "deployments",
        "Deployments whose capacity is taken",
        "status",
        [(str(key), value) for key, value in by_status.all()],
    )
    burn = connection.execute(
        sa.select(sa.func.sum(segments.c.rate_micros)).where(segments.c.ended_at.is_(None))
    ).scalar()
    yield "burn_dollars_per_hour", "What runs now costs", "", [("", int(burn or 0) / 1_000_000)]
    debt = sa.func.sum(accounts.c.balance_micros)
    for name, text, which in (
        ("credits_dollars", "Credits of all teams that have some", accounts.c.balance_micros > 0),
        ("debt_dollars", "Debt of all teams below zero", accounts.c.balance_micros < 0),
    ):
        total = connection.execute(sa.select(debt).where(which)).scalar()
        yield name, text, "", [("", int(total or 0) / 1_000_000)]
    last = connection.execute(sa.select(sa.func.max(cycles.c.finished_at))).scalar()
    yield "last_cycle_timestamp_seconds", "End of the last deduction cycle", "", [("", last.timestamp() if last else 0)]
    yield from of_providers(connection, now)
    standing: dict[str, float] = {}
    for alert in alerts.open_ones(connection):
        standing[alert.kind] = standing.get(alert.kind, 0) + 1
    yield "alerts", "What an operator must look at", "kind", list(standing.items())


def of_providers(connection: Connection, now: datetime) -> Iterable[tuple[str, str, str, list[tuple[str, float]]]]:
    """Whether providers answer, what runs there without a record, and what of each pool is taken."""
    states = provider_states.listed(connection)
    yield (
        "provider_reachable",
        "Whether the provider answers",
        "provider",
        [(state.name, float(state.is_reachable)) for state in states],
    )
    yield (
        "provider_observed_age_seconds",
        "Since the provider last said what runs",
        "provider",
        [(each.name, (now - each.observed_at).total_seconds()) for each in states if each.observed_at is not None],
    )
    standing = [orphan.provider for orphan in orphans.standing(connection)]
    counts = [(state.name, float(standing.count(state.name))) for state in states]
    yield "orphans", "Instances that have no record", "provider", counts
    for index, name in enumerate(("vcpus", "memory_gb", "storage_gb", "gpus")):
        pools = capacity.figures(connection)
        yield f"pool_{name}", f"What the pool has: {name}", "pool", [(each.id, each.total[index]) for each in pools]
        taken = [(each.id, float(each.taken[index])) for each in pools]
        yield f"pool_taken_{name}", f"What of it is taken: {name}", "pool", taken


def may_read(request: Request[Any, Any, State], token: str) -> bool:
    """Whether the request has the token or, where none is set, comes from this machine directly."""
    if token:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.encode())
    client = request.scope.get("client")
    try:
        is_near = client is not None and ipaddress.ip_address(client[0]).is_loopback
        return is_near and "x-forwarded-for" not in request.headers
    except ValueError:
        return False


def build(door: Door) -> list[HTTPRouteHandler]:
    """The two handlers."""

    async def healthz() -> ASGIResponse:
        status, body = await asyncio.get_running_loop().run_in_executor(door.executor, health, door)
        return ASGIResponse(body=body, status_code=status, media_type="application/json", headers=PRIVATE)

    async def metrics(request: Request[Any, Any, State]) -> ASGIResponse:
        if not may_read(request, door.services.settings.metrics_token):
            return ASGIResponse(body=b"not found\n", status_code=404, media_type="text/plain", headers=PRIVATE)
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Figures(door))
        body = await asyncio.get_running_loop().run_in_executor(door.executor, generate_latest, registry)
        return ASGIResponse(body=body, media_type="text/plain; version=0.0.4; charset=utf-8", headers=PRIVATE)

    return [
        HTTPRouteHandler("/healthz", http_method=["GET", "HEAD"], name="healthz")(healthz),
        HTTPRouteHandler("/metrics", http_method=["GET", "HEAD"], name="metrics")(metrics),
    ]
