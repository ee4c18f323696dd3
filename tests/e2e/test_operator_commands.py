"""Every command of `forebay operator` as an operator runs it: in a terminal, beside a server that runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from forebay.cli import app
from tests.e2e.cloud import Cloud, cloud, eventually
from tests.e2e.test_command_line import Terminal

WHY = ("--reason", "to try")
SMALL = "local-cpu-small"


@pytest.fixture
def served(base_image: None, tmp_path: Path) -> Iterator[Cloud]:
    """A demo cloud of the test's own."""
    with cloud(tmp_path) as found:
        yield found


class Desk:
    """An operator at a terminal of the machine that the server runs on."""

    def __init__(self, folder: Path, served: Cloud) -> None:
        self.terminal = Terminal(folder, served.url, served.facts["operator"])
        self.data_dir = served.data_dir
        self.run: set[str] = set()

    def types(self, words: str, *more: str, status: int = 0) -> str:
        """What `forebay operator` shows."""
        arguments = ("operator", *words.split(), *more, "--data-dir", str(self.data_dir))
        shown = re.sub("\x1b\\[[0-9;]*m", "", self.terminal.types(*arguments, status=status))
        first, second = [*words.split(), ""][:2]
        self.run |= {first, f"{first} {second}"}
        return shown


def commands() -> set[str]:
    """All of them, as they are typed."""
    found: set[str] = set()
    group: Any = typer.main.get_command(app)
    for name, command in group.commands["operator"].commands.items():
        found |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    return found


def test_every_command_of_an_operator(served: Cloud, tmp_path: Path) -> None:
    desk = Desk(tmp_path / "home", served)
    lab = served.facts["teams"][0]["slug"]
    people(desk, served, lab)
    prices(desk, tmp_path, lab)
    machines(desk, served)
    assert commands() - desk.run == set()
    assert served.violations() == []


def people(desk: Desk, served: Cloud, lab: str) -> None:
    """Accounts, and credits of teams."""
    assert "is an operator" in desk.types("create", "second@example.org", "--password", "a password of an operator")
    assert "second invitation" not in desk.types("invite", "guest@example.org")
    mia = served.facts["people"][2]["email"]
    assert mia in desk.types("refuse-api", mia, *WHY)
    assert mia in desk.types("approve-api", mia)
    granted = re.search(r" as ([0-9a-f]{24})", desk.types("grant", lab, "12.50", *WHY))
    assert granted is not None
    desk.types("take-back", granted[1])
    assert "is frozen" in desk.types("freeze", lab, *WHY)
    desk.types("unfreeze", lab)
    assert "Traceback" not in desk.types("grant", "nobody-s-team", "1", status=1)


def prices(desk: Desk, folder: Path, lab: str) -> None:
    """What is offered, at which price, and how much of it."""
    assert SMALL in desk.types("offers list")
    desk.types(f"offers set {SMALL} --price 0.02 --spot-price 0.01", *WHY)
    size = "--price 0.03 --vcpus 1 --memory 1 --storage 5 --region local"
    desk.types(f"offers create local-own --name Own --provider local --pool local {size}", *WHY)
    desk.types("offers withdraw local-own", *WHY)
    assert "0.02" in desk.types(f"offers history {SMALL}")
    file = folder / "offers.toml"
    file.write_text("[[offer]]\nid = 'local-cpu-small'\nprice = 'free'\n")
    desk.types("offers check", str(file), status=1)
    desk.types("stock cap pool local/local 5", *WHY)
    assert "local/local" in desk.types("maintenance list")
    desk.types("stock uncap pool local/local", *WHY)
    desk.types("maintenance begin region local", *WHY)
    desk.types("maintenance end region local", *WHY)
    given = re.search(r"[0-9a-f]{24}", desk.types(f"discounts give {lab} 12.5", *WHY))
    assert given is not None
    assert "12.5" in desk.types("discounts list")
    desk.types(f"discounts end {given[0]}", *WHY)


def machines(desk: Desk, served: Cloud) -> None:
    """Where they run, and one that is taken back."""
    assert "local" in desk.types("providers")
    assert "local/local" in desk.types("capacity")
    desk.types("orphans list")
    desk.types(f"orphans end local {'0' * 24}", *WHY, status=1)
    client = served.client()
    order = {**served.order(), "instanceType": "SPOT", "name": "spot"}
    made = client.http.post("/api/deployments", json=order)
    assert made.status_code == 201, made.text
    path = f"/api/deployments/{made.json()['id']}"
    eventually(lambda: client.get(path)["status"] == "running", "the spot machine runs")
    assert client.get(path)["hourlyRate"] < 0.02
    desk.types(f"reclaim {made.json()['id']} --notice-seconds 1", *WHY)
    eventually(lambda: client.get(path)["status"] == "terminated-provider", "it is taken back")
