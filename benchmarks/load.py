"""Load by wrk, in short rounds that take turns between the servers, because a small machine is noisy.

What disturbs one round disturbs at most one: the medians of the rounds are compared, not their sum.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.figures import note
from benchmarks.processes import LOAD_PROCESSORS, Request

CONNECTIONS = 8
SECONDS_IN = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = {}
"""


class BadRound(RuntimeError):
    """A round in which something was refused or broke: its speed means nothing."""


@dataclass(frozen=True)
class Round:
    """What wrk measured."""

    per_second: float
    p99_seconds: float


def run(request: Request, *, seconds: int) -> Round:
    """Ask as fast as the server answers over a few connections. Raises BadRound."""
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["taskset", "-c", ",".join(map(str, LOAD_PROCESSORS)), "wrk", "-t", "1", "-c", str(CONNECTIONS)]
    command += ["-d", str(seconds), "--timeout", "30", "--latency", *headers]
    with tempfile.NamedTemporaryFile("w", prefix="forebay-bench-", suffix=".lua") as script:
        if request.content is not None:
            script.write(POST.format(json.dumps(request.content)))
            script.flush()
            command += ["-s", script.name]
        said = subprocess.run([*command, request.url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", said)
    if rate is None or p99 is None or float(rate[1]) == 0 or "Non-2xx" in said or "Socket errors" in said:
        raise BadRound(f"{request.url}: {said}")
    return Round(float(rate[1]), float(p99[1]) * SECONDS_IN[p99[2]])


def compare(requests: Sequence[tuple[str, Request]], *, rounds: int, seconds: int) -> list[Round]:
    """The median speed of each of the named requests, in rounds that take turns; one before them warms up."""
    found: list[list[Round]] = [[] for _ in requests]
    for turn in range(rounds + 1):
        for place, (_, request) in enumerate(requests):
            measured = run(request, seconds=1 if turn == 0 else seconds)
            if turn > 0:
                found[place].append(measured)
    medians = [Round(median(one.per_second for one in some), median(one.p99_seconds for one in some)) for some in found]
    for (name, _), one, some in zip(requests, medians, found, strict=True):
        all_rates = ", ".join(f"{each.per_second:.0f}" for each in some)
        note(f"{name}: {one.per_second:.0f} requests/s, p99 {one.p99_seconds * 1000:.1f} ms (rounds: {all_rates})")
    return medians
