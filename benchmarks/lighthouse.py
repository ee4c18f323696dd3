"""The heaviest pages as Lighthouse judges them by default: on a phone with a slow line, the median of five visits.

What Lighthouse reckons hangs on how fast this machine ran the page, so figures of a busy one say little.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, note
from tests.api.wire import Loop
from tests.lighthouse.judge import judging
from tests.lighthouse.pages import HEAVIEST, address, session
from tests.web.stage import make_stage

RUNS = 5


def run() -> Iterator[Figure]:
    """The worst page's performance, and the worst of all other scores."""
    performance, others = {}, {}
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
        loop = Loop()
        stage = make_stage(Path(name), loop)
        with stage.cloud.served() as port, judging() as judge:
            for page in HEAVIEST:
                url = f"http://127.0.0.1:{port}{address(stage, page)}"
                scores, lost = judge.look(url, session(stage, page), runs=RUNS)
                note(f"{page}: {', '.join(f'{name} {score:.0f}' for name, score in scores.items())} {'; '.join(lost)}")
                performance[page] = scores.pop("performance")
                others[page] = min(scores.values())
        stage.cloud.close()
        loop.close()
    yield Figure("lighthouse-performance", min(performance.values()), "/100", ">=", 99)
    yield Figure("lighthouse-others", min(others.values()), "/100", ">=", 100)
