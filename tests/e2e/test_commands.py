"""The commands of whoever runs a cloud: what they say, what they refuse, and with which status they end."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forebay.cli import main
from forebay.clock import SystemClock
from forebay.compute.memory import MemoryProvider
from forebay.storage.database import Database
from forebay.worker.catalogue import OfferReconciler
from tests.e2e.cloud import forebay
from tests.servers import PostgreSQL

PASSWORD = "a password of an operator"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process, which is faster; its exit status and what it said on each side."""

    def run(*arguments: str | Path, **settings: str) -> tuple[int, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(f"FOREBAY_{name.upper()}", value)
        monkeypatch.setattr("sys.argv", ["forebay", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud that nobody serves, with one operator."""
    folder = tmp_path_factory.mktemp("commands") / "data"
    made = forebay("operator", "create", "ann@example.org", "--password", PASSWORD, "--data-dir", folder)
    assert (made.returncode, made.stdout) == (0, "ann@example.org is an operator.\n"), made.stderr
    return folder


def test_migrating_says_whether_there_was_anything_to_do(tmp_path: Path) -> None:
    said = [forebay("migrate", "--data-dir", tmp_path / "data").stdout for _ in range(2)]
    assert said[0].startswith("migrated: the database is at revision ")
    assert said[1].startswith("nothing to do: the database is at revision ")


def test_settings_are_printed_with_what_they_mean() -> None:
    said = forebay("settings")
    assert said.returncode == 0
    assert "`FOREBAY_DATA_DIR`" in said.stdout
    assert len(re.findall("^\\| `FOREBAY_", said.stdout, re.M)) > 30


def test_the_doctor_looks_at_everything(base_image: None, folder: Path) -> None:
    well = forebay("doctor", "--data-dir", folder)
    assert well.returncode == 0, well.stdout
    for name in ("database", "mail", "podman", "runc", "netavark", "iptables", "base image"):
        assert re.search(rf"^(ok|note) +{name}: ", well.stdout, re.M), name
    ill = forebay("doctor", "--data-dir", folder, podman="/nowhere/podman")
    assert ill.returncode == 1
    assert re.search(r"^LACKS podman: .*\n +apt-get install", ill.stdout, re.M), ill.stdout


def test_an_existing_account_becomes_an_operator(folder: Path) -> None:
    again = forebay("operator", "create", "Ann@example.org", "--password", PASSWORD, "--data-dir", folder)
    assert again.returncode == 0, again.stderr


def test_credits_are_granted_and_taken_back_once(folder: Path) -> None:
    granted = forebay("operator", "grant", "operator", "12.50", "--reason", "to try", "--data-dir", folder)
    found = re.fullmatch(r"granted \$12\.50 as ([0-9a-f]{24}); operator has \$12\.500000\n", granted.stdout)
    assert found, granted
    assert forebay("audit", "--data-dir", folder).returncode == 0
    back = forebay("operator", "take-back", found[1], "--data-dir", folder)
    assert back.returncode == 0, back.stderr
    again = forebay("operator", "take-back", found[1], "--data-dir", folder)
    assert again.returncode in (0, 1)
    assert "Traceback" not in again.stderr
    one_more = forebay("operator", "grant", "operator", "1", "--data-dir", folder)
    assert "operator has $1.000000" in one_more.stdout
    assert forebay("audit", "--data-dir", folder).returncode == 0


def test_people_are_let_in_and_told(folder: Path) -> None:
    for command in (
        ("approve-api", "ann@example.org"),
        ("refuse-api", "ann@example.org", "--reason", "for a test"),
        ("invite", "bea@example.org"),
    ):
        done = forebay("operator", *command, "--data-dir", folder)
        assert done.returncode == 0, done.stderr
        assert command[1] in done.stdout


def test_a_team_is_frozen_with_a_reason_and_freed_again(folder: Path) -> None:
    done = forebay("operator", "freeze", "operator", "--reason", "an inquiry", "--data-dir", folder)
    assert (done.returncode, done.stdout) == (0, "operator is frozen.\n"), done.stderr
    again = forebay("operator", "freeze", "operator", "--reason", "once more", "--data-dir", folder)
    assert (again.returncode, again.stderr) == (1, "forebay: The team is frozen already.\n")
    freed = forebay("operator", "unfreeze", "operator", "--data-dir", folder)
    assert freed.returncode == 0, freed.stderr


REFUSED: list[tuple[str, ...]] = [
    ("operator", "freeze", "operator"),
    ("operator", "freeze", "nobody-s-team", "--reason", "x"),
    ("operator", "unfreeze", "operator"),
    ("operator", "grant", "nobody-s-team", "5"),
    ("operator", "grant", "operator", "five"),
    ("operator", "grant", "operator", "0"),
    ("operator", "grant", "operator", "--", "-5"),
    ("operator", "grant", "operator", "0.0000001"),
    ("operator", "grant", "operator", "1e30"),
    ("operator", "grant", "operator", "nan"),
    ("operator", "take-back", "0" * 24),
    ("operator", "take-back", "nothing"),
    ("operator", "approve-api", "nobody@example.org"),
    ("operator", "refuse-api", "ann@example.org"),
    ("operator", "create", "no address", "--password", PASSWORD),
    ("operator", "create", "cleo@example.org", "--password", "short"),
    ("operator", "create", "cleo@example.org", "--name", "\x07", "--password", PASSWORD),
    ("operator", "invite", "no address"),
    ("operator", "unheard-of"),
    ("operator",),
    ("unheard-of",),
    ("audit", "--unheard-of"),
    ("serve", "--port", "many"),
    ("serve", "--port", "70000"),
    ("serve", "--host", "no.such.host.invalid", "--port", "0"),
    ("backup",),
    ("backup", "/nowhere/at/all"),
    ("restore", "/nowhere/at/all"),
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_what_can_not_be_done_is_said_in_a_sentence(
    folder: Path, command: tuple[str, ...], said: Callable[..., tuple[int, str, str]]
) -> None:
    at = () if command in {("operator",), ("unheard-of",), ("operator", "unheard-of")} else ("--data-dir", str(folder))
    if "--" in command:
        place = command.index("--")
        command, at = (*command[:place], *at, *command[place:]), ()
    status, out, err = said(*command, *at)
    assert status in (1, 2), (out, err)
    assert "Traceback" not in out + err
    if status == 1:
        assert re.fullmatch(r"forebay: .+\n", err), err


@pytest.mark.parametrize("command", ["audit", "backup", "operator", "worker"])
def test_a_folder_without_a_cloud_is_named(
    tmp_path: Path, command: str, said: Callable[..., tuple[int, str, str]]
) -> None:
    more = {"backup": ["file"], "operator": ["grant", "team", "5"]}.get(command, [])
    sentence = f"forebay: there is no cloud in {tmp_path / 'none'}: name its folder with --data-dir\n"
    assert said(command, *more, "--data-dir", tmp_path / "none") == (1, "", sentence)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"prot": "1"}, "FOREBAY_PROT is no setting of Forebay"),
        ({"port": "many"}, "FOREBAY_PORT must be a whole number"),
        ({"secret_key": "short"}, "FOREBAY_SECRET_KEY must have at least 32 characters"),
        ({"secret_key": "x" * 40}, "is not the one this database was made with"),
        ({"database_url": "mysql://here"}, "FOREBAY_DATABASE_URL must begin with"),
        ({"database_url": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"}, "the database does not answer"),
        ({"sign_up": "sometimes"}, "FOREBAY_SIGN_UP must be one of open, invited"),
    ],
    ids=lambda value: "",
)
def test_a_setting_that_can_not_be_used_is_named(
    folder: Path, settings: dict[str, str], named: str, said: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = said("audit", "--data-dir", folder, **settings)
    assert (status, out) == (1, "")
    assert err.startswith("forebay: ")
    assert named in err
    assert err.count("\n") == 1


@pytest.mark.postgresql
def test_backups_of_postgresql_are_its_own(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql_server.create("commands").replace("postgresql+psycopg://", "postgresql://")
    made = forebay("migrate", "--data-dir", tmp_path / "data", database_url=url)
    assert made.returncode == 0, made.stderr
    refused = forebay("backup", tmp_path / "backup", "--data-dir", tmp_path / "data", database_url=url)
    assert refused.returncode == 1
    assert "pg_dump" in refused.stderr
    postgresql_server.drop("commands")


def test_an_operator_sets_offers_and_prices(said: Callable[..., tuple[int, str, str]], folder: Path) -> None:
    with closing(Database(f"sqlite:///{folder / 'forebay.db'}")) as database:
        clock = SystemClock()
        OfferReconciler(database, {"memory": MemoryProvider(clock.now)}, clock).run()

    def does(*arguments: str | Path, status: int = 0) -> str:
        found, out, err = said("operator", *arguments, "--data-dir", folder)
        assert found == status, (arguments, out, err)
        return out + err

    why = ("--reason", "the power bill")
    assert "memory-small  $3.60  free 8" in does("offers", "list")
    assert "changed" in does("offers", "set", "memory-small", "--price", "2", "--spot-price", "0.5", *why)
    assert "memory-small  $2.00, spot $0.50" in does("offers", "list")
    assert "$3.60 → $2.00, since" in does("offers", "history", "memory-small")
    size = ("--vcpus", "1", "--memory", "1", "--storage", "1")
    own = ("--provider", "memory", "--pool", "house", "--name", "Own", "--price", "1", *size)
    assert "is offered" in does("offers", "create", "memory-own", *own, *why)
    assert "There is an offer" in does("offers", "create", "memory-own", *own, *why, status=1)
    assert "--price must be dollars" in does("offers", "set", "memory-own", "--price", "much", *why, status=2)
    assert "withdrawn" in does("offers", "withdraw", "memory-own", *why)
    file = folder / "offers.toml"
    file.write_text('[[offers]]\nid = "memory-small"\nprice = "x"\n')
    assert "line 3: offer memory-small, price: must be" in does("offers", "check", file, status=1)
    file.write_text('[[offers]]\nid = "memory-none"\nprice = 1\n')
    assert "no provider has it" in does("offers", "check", file, status=1)
    file.write_text('[[offers]]\nid = "memory-small"\nprice = 1\n')
    assert "1 offers, nothing wrong" in does("offers", "check", file)
    assert "At most 2" in does("stock", "cap", "offer", "memory-small", "2", *why)
    does("stock", "cap", "region", "here", "2", *why, status=2)
    assert "under maintenance" in does("maintenance", "begin", "region", "here", "--until", "2999-01-01", *why)
    assert "region here: maintenance, until 2999-01-01" in does("maintenance", "list")
    assert "launched again" in does("maintenance", "end", "region", "here")
    assert "As many" in does("stock", "uncap", "offer", "memory-small", *why)
    given = does("discounts", "give", "operator", "12.5", *why)
    assert "operator has 12.5% off all machines" in given
    assert "12.5% off all machines" in does("discounts", "list", "operator")
    assert "It ends on" in does("discounts", "end", given.split()[-1], *why)
    does("discounts", "give", "operator", "zero", *why, status=1)
    assert "memory answers since" in does("providers")
    assert "memory/house: 0 of 16 vCPU" in does("capacity")
    assert does("orphans", "list") == ""
    assert "Orphan not found" in does("orphans", "end", "memory", "stray", *why, status=1)
    assert "Deployment not found" in does("reclaim", "0" * 24, *why, status=1)
