"""docs/notifications.md: it speaks of every kind, and its checks of a signature work as they are printed."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from forebay.domain.people import webhook_messages
from forebay.domain.people.notification_kinds import MEANINGS, Kind

PAGE = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text()
SECRET = webhook_messages.written_secret(bytes(range(32)))
OTHER = webhook_messages.written_secret(bytes(32))
BODY = '{"text": "größer"}\n'.encode()


def block(language: str) -> str:
    """The one block of the page in this language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(found)


def signed(*secrets: str, at: int = 0) -> dict[str, str]:
    return webhook_messages.headers(secrets, "6a0f", at or int(time.time()), BODY)


def cases() -> list[tuple[dict[str, str], bytes, bool]]:
    """Made when they are needed: the checks go by the clock, and a signature is good for five minutes."""
    return [
        (signed(SECRET), BODY, True),
        (signed(OTHER, SECRET), BODY, True),
        (signed(OTHER), BODY, False),
        (signed(SECRET), BODY.replace(b"{", b"{ "), False),
        (signed(SECRET) | {"webhook-id": "6a10"}, BODY, False),
        (signed(SECRET, at=int(time.time()) - 3600), BODY, False),
        (signed(SECRET) | {"webhook-timestamp": str(int(time.time()) - 10)}, BODY, False),
    ]


@pytest.mark.parametrize("number", range(len(cases())))
def test_the_check_in_python(number: int) -> None:
    headers, body, is_good = cases()[number]
    found: dict[str, Any] = {}
    exec(block("python"), found)
    assert found["is_from_forebay"](SECRET, headers, body) is is_good


@pytest.mark.parametrize("number", range(len(cases())))
def test_the_check_in_a_shell(number: int, tmp_path: Path) -> None:
    headers, body, is_good = cases()[number]
    (tmp_path / "body").write_bytes(body)
    names = {name.upper().replace("-", "_"): value for name, value in headers.items() if name.startswith("webhook-")}
    done = subprocess.run(
        ["/bin/sh", "-c", block("sh")],
        env=names | {"SECRET": SECRET, "BODY_FILE": str(tmp_path / "body"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ((done.returncode, done.stdout) == (0, "good\n")) is is_good, done
    assert not done.stderr


def test_the_page_has_every_kind_and_says_what_stays_on() -> None:
    rows = dict(re.findall(r"^\| `([a-z.-]+)` \| .+ \| (.+) \|$", PAGE, re.M))
    assert set(rows) == set(Kind)
    assert {kind for kind, row in rows.items() if row.endswith("always")} == {
        kind for kind in Kind if MEANINGS[kind].is_required
    }


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = webhook_messages.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
