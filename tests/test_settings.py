"""Settings: what is unsafe or misspelt is refused, and secrets are never repeated."""

from pathlib import Path

import pytest

from forebay import settings
from forebay.settings import InvalidSetting, Settings


def test_the_environment_is_read_and_options_win() -> None:
    found = settings.read({"FOREBAY_PORT": "9000", "FOREBAY_SIGN_UP": "invited", "HOME": "/x"}, port=9001, host=None)
    assert (found.port, found.sign_up, found.host) == (9001, "invited", "127.0.0.1")


def test_lists_claims_and_paths() -> None:
    found = settings.read(
        {"FOREBAY_TRUSTED_PROXIES": "10.0.0.1, 192.168.0.0/16", "FOREBAY_DEMO": "yes", "FOREBAY_DATA_DIR": "/d"}
    )
    assert found.trusted_proxies == ("10.0.0.1", "192.168.0.0/16")
    assert (found.demo, found.data_dir) == (True, Path("/d"))


def test_the_demo_cycles_faster_unless_told_otherwise() -> None:
    assert settings.read({}).cycle_seconds == 60
    assert settings.read({}, demo=True).cycle_seconds == 10
    assert settings.read({"FOREBAY_CYCLE_SECONDS": "5"}, demo=True).cycle_seconds == 5
    assert settings.read({}).rate_limit_creations == 10
    assert settings.read({}, demo=True).rate_limit_creations == 1000


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FOREBAY_PROT", "1"),
        ("FOREBAY_PORT", "eighty"),
        ("FOREBAY_PORT", "70000"),
        ("FOREBAY_PORT", "-1"),
        ("FOREBAY_LOW_BALANCE_EARLY_HOURS", "8761"),
        ("FOREBAY_TOP_UP_WAIT_SECONDS", "86401"),
        ("FOREBAY_DISK_GRACE_DAYS", "3651"),
        ("FOREBAY_SIGN_UP", "closed"),
        ("FOREBAY_DEMO", "perhaps"),
        ("FOREBAY_PUBLIC_URL", "cloud.example.org"),
        ("FOREBAY_PUBLIC_URL", "https://cloud.example.org/path"),
        ("FOREBAY_PUBLIC_URL", "javascript://x"),
        ("FOREBAY_SECRET_KEY", "tooshort"),
        ("FOREBAY_DATABASE_URL", "mysql://user:hunter22@host/db"),
        ("FOREBAY_TRUSTED_PROXIES", "everyone"),
        ("FOREBAY_CYCLE_SECONDS", "0"),
        ("FOREBAY_DISK_GRACE_DAYS", "-1"),
        ("FOREBAY_API_KEY_PREFIX", "no spaces "),
    ],
)
def test_what_can_not_be_used_is_refused_by_name(variable: str, text: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        settings.read({variable: text})
    assert "hunter22" not in str(refused.value)
    assert "tooshort" not in str(refused.value)


def test_addresses_of_databases() -> None:
    assert Settings(data_dir=Path("/d")).sqlalchemy_url == "sqlite:////d/forebay.db"
    assert Settings(database_url="postgres://u@h/n").sqlalchemy_url == "postgresql+psycopg://u@h/n"
    assert not Settings(database_url="postgresql://u@h/n").is_sqlite


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FOREBAY_STRIPE_API_BASE", "http://api.stripe.com"),
        ("FOREBAY_STRIPE_API_BASE", "https://user:hunter22@api.stripe.com"),
        ("FOREBAY_STRIPE_API_BASE", "api.stripe.com"),
        ("FOREBAY_STRIPE_SECRET_KEY", "pk_live_hunter22"),
        ("FOREBAY_STRIPE_WEBHOOK_SECRET", "hunter22"),
        ("FOREBAY_STRIPE_WEBHOOK_SECRET", "whsec_hunter22"),
    ],
)
def test_payments_that_would_leak_a_key_or_can_not_work_are_refused(variable: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=variable) as refused:
        settings.read({variable: text})
    assert "hunter22" not in str(refused.value)


def test_cards_are_taken_once_there_is_a_key() -> None:
    assert not settings.read({}).takes_cards
    assert settings.read(
        {"FOREBAY_STRIPE_SECRET_KEY": "sk_test_x", "FOREBAY_STRIPE_API_BASE": "http://127.0.0.1:1/worlds/x"}
    ).takes_cards


def test_what_the_command_line_reads_is_none_of_the_servers_business() -> None:
    client = {"FOREBAY_SERVER": "https://cloud.example.org", "FOREBAY_TOKEN": "fby_pk_x", "FOREBAY_TEAM": "lab"}
    assert settings.read(client) == settings.read({})
    assert not settings.CLIENT_VARIABLES & {f"FOREBAY_{entry.upper()}" for entry in settings.Settings.__annotations__}
    with pytest.raises(settings.InvalidSetting, match="FOREBAY_TEAMS is no setting"):
        settings.read({"FOREBAY_TEAMS": "x"})
