"""`forebay payments reconcile`: books that agree with the processor's list, and every way in which they may not."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.app import Forebay
from forebay.cli import main
from forebay.settings import Settings
from forebay.storage import tables
from forebay.storage.database import Database
from tests import servers
from tests.payments.bank import DECLINED_LATER, SECRET, StripeBank
from tests.worker.stage import DOLLAR
from tests.worker.till import Till

pytestmark = pytest.mark.slow


@pytest.fixture
def account(stripe_world: servers.StripeWorld) -> str:
    return stripe_world.account()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data of a cloud that nobody serves."""
    folder = tmp_path / "data"
    Forebay(Settings(data_dir=folder)).close()
    return folder


@pytest.fixture
def till(folder: Path, account: str) -> Iterator[Till]:
    database, bank = Database(f"sqlite:///{folder / 'forebay.db'}"), StripeBank(account)
    till = Till(database, bank)
    till.clock.wall = datetime.now(UTC)
    yield till
    bank.close()
    database.close()


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path, account: str
) -> Callable[..., tuple[int, str]]:
    """Runs the command; its exit status and what it said."""

    def run(*arguments: str, **settings: str) -> tuple[int, str]:
        given = {"stripe_secret_key": SECRET, "stripe_api_base": account} | settings
        for name, value in given.items():
            monkeypatch.setenv(f"FOREBAY_{name.upper()}", value)
        monkeypatch.setattr("sys.argv", ["forebay", "payments", "reconcile", "--data-dir", str(folder), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out + err

    return run


def pay(till: Till, dollars: int = 50, **more: Any) -> str:
    """The processor's id of a payment that was made and credited."""
    team = till.team(**more)
    attempt = till.ask(team, dollars)
    till.settle()
    return till.find(attempt).payment_intent_id or ""


def test_books_that_agree(till: Till, said: Callable[..., tuple[int, str]]) -> None:
    pay(till)
    pay(till, 100)
    pay(till, number=DECLINED_LATER)
    status, words = said()
    assert (status, words.startswith("Our books and the processor agree on 2 payments from ")) == (0, True)
    # A time in which nothing was paid.
    assert "on 0 payments from 2020-01-01 to 2020-02-01" in said("--from", "2020-01-01", "--to", "2020-02-01")[1]


def test_every_difference_is_said(till: Till, said: Callable[..., tuple[int, str]]) -> None:
    lost, refunded, other, gone = pay(till), pay(till, 60), pay(till, 70), pay(till, 80)
    till.bank.refund(refunded, 10 * DOLLAR)
    rows = tables.payments
    with till.database.begin() as connection:
        connection.execute(sa.delete(rows).where(rows.c.payment_intent_id == lost))
        connection.execute(sa.update(rows).where(rows.c.payment_intent_id == other).values(credited_micros=DOLLAR))
        connection.execute(
            sa.update(rows).where(rows.c.payment_intent_id == gone).values(payment_intent_id="pi_of_nobody")
        )
    status, words = said()
    assert status == 1
    assert sorted(words.splitlines()) == sorted(
        [
            f"payment {lost}: $50.00 were paid, and our books don't have it",
            f"payment {refunded}: $10.00 were refunded, and our books say $0.00",
            f"payment {other}: $70.00 were paid, and our books say $1.00",
            f"payment {gone}: $80.00 were paid, and our books don't have it",
            "payment pi_of_nobody: our books credit $80.00, and it has not succeeded",
        ]
    )


def test_a_payment_at_the_edge_of_the_time_is_looked_up(till: Till, said: Callable[..., tuple[int, str]]) -> None:
    """Made before, credited after: in our books' time, and not on the list of that time."""
    payment_id = pay(till)
    later = datetime.now(UTC) + timedelta(days=40)
    rows = tables.payments
    with till.database.begin() as connection:
        connection.execute(sa.update(rows).where(rows.c.payment_intent_id == payment_id).values(created_at=later))
    day = f"{later:%Y-%m-%d}"
    until = f"{later + timedelta(days=1):%Y-%m-%d}"
    assert "agree on 1 payments" in said("--from", day, "--to", until)[1]


def test_without_a_key_it_says_so(till: Till, said: Callable[..., tuple[int, str]]) -> None:
    status, words = said(stripe_secret_key="")
    assert (status, words) == (1, "forebay: FOREBAY_STRIPE_SECRET_KEY is not set: this cloud takes no cards\n")


def test_a_processor_that_does_not_answer_is_no_traceback(till: Till, said: Callable[..., tuple[int, str]]) -> None:
    status, words = said(stripe_api_base=f"http://127.0.0.1:{servers.free_port()}")
    assert status == 1
    assert words.startswith("forebay: Stripe did not answer")
    assert SECRET not in words
