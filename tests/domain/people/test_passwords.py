"""What a new password must be like, and the list of stolen ones."""

import time

import pytest

from forebay.domain.people import breached, passwords
from forebay.errors import BadRequest

GOOD = [
    "correct horse battery",
    "dragon8273645519",
    "vv8-Kq2!xTz",
    "\u043f\u0430\u0440\u043e\u043b\u044c \u0438\u0437 \u0441\u043b\u043e\u0432",
    "a\u0308" * 10,
    "annas lovely cat",
    "\N{ROCKET}" * 5 + "moons",
    "x7" * 60 + "q",
]
STOLEN = [
    "qwertyuiop",
    "1q2w3e4r5t",
    "4815162342",
    "1234567890",
    "PASSWORD123",
    "p@ssw0rd2024",
    "passwordpassword",
    "Monkey1234!",
    "letmein!!!",
    "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff11\uff12\uff13",
    "aaaaaaaaaa",
]


@pytest.mark.parametrize("password", GOOD)
def test_long_ones_of_any_kind_are_good(password: str) -> None:
    passwords.refuse_weak(password, email="ann@example.org", name="Ann Example")


@pytest.mark.parametrize("password", STOLEN)
def test_stolen_ones_and_what_is_made_of_them_are_refused(password: str) -> None:
    with pytest.raises(BadRequest) as refused:
        passwords.refuse_weak(password)
    assert "lists of stolen passwords" in refused.value.details["password"]
    assert password not in str(refused.value.details)


@pytest.mark.parametrize(
    "password",
    ["forebay2026", "Forebay!forebay", "zorblatt12", "example.org99", "zorblatt@example.org", "Thibodeaux26"],
)
def test_ones_made_of_the_accounts_own_words_are_refused(password: str) -> None:
    with pytest.raises(BadRequest) as refused:
        passwords.refuse_weak(password, email="zorblatt@example.org", name="M. Thibodeaux")
    assert "your name" in refused.value.details["password"]


@pytest.mark.parametrize("length", [0, 9, 129])
def test_the_length(length: int) -> None:
    with pytest.raises(BadRequest) as refused:
        passwords.refuse_weak("xq7 "[:4] * 40 if length > 128 else "xq7-b z9k"[:length])
    assert "10 to 128" in refused.value.details["password"]


def test_the_list_is_sorted_whole_and_quick() -> None:
    content, size = breached.known(), breached.HASH_BYTES
    hashes = [content[place : place + size] for place in range(0, len(content), size)]
    assert hashes == sorted(set(hashes))
    assert len(hashes) > 50_000
    assert len(content) < 1_000_000
    for place in (0, len(hashes) // 2, len(hashes) - 1):
        assert hashes[place] in hashes
    breached.known.cache_clear()
    began = time.perf_counter()
    assert breached.is_breached("password")
    assert time.perf_counter() - began < 0.02


def test_a_list_is_made_of_what_it_is_given() -> None:
    assert breached.pack(["b", "a", "A", "", "b"]) == b"".join(sorted([breached.hash_of("a"), breached.hash_of("b")]))
