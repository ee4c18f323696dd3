"""Keys, tokens and passwords."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.domain.people import credentials
from forebay.errors import BadRequest

TOKEN = credentials.new_token("fby_pk_")


def test_a_token_has_its_prefix_and_passes_its_own_check() -> None:
    assert TOKEN.startswith("fby_pk_")
    assert credentials.is_well_formed(TOKEN, "fby_pk_")
    assert not credentials.is_well_formed(TOKEN, "sai_pk_")
    assert credentials.new_token("fby_pk_") != TOKEN


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_one_changed_character_is_noticed(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assert credentials.is_well_formed(changed, "fby_pk_") is (changed == TOKEN)


@given(st.integers(0, len(TOKEN) - 1))
def test_a_token_that_was_cut_short_is_noticed(length: int) -> None:
    assert not credentials.is_well_formed(TOKEN[:length], "fby_pk_")


@given(st.text())
def test_anything_else_is_no_token(text: str) -> None:
    assert not credentials.is_well_formed(text, "fby_pk_")


def test_the_hash_hangs_on_the_secret_key() -> None:
    assert credentials.hash_token(TOKEN, b"a" * 32) != credentials.hash_token(TOKEN, b"b" * 32)


def test_passwords_are_argon2id_at_19_mib() -> None:
    found = credentials.hash_password("correct horse battery")
    assert found.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert credentials.is_right_password(found, "correct horse battery")
    assert not credentials.is_right_password(found, "correct horse batterz")


def test_an_account_that_does_not_exist_costs_as_much_as_one_that_does() -> None:
    found = credentials.hash_password("correct horse battery")

    def cost(password_hash: str | None) -> float:
        begun = time.thread_time()
        assert not credentials.is_right_password(password_hash, "wrong password")
        return time.thread_time() - begun

    with_account, without = min(cost(found) for _ in range(5)), min(cost(None) for _ in range(5))
    assert 0.5 < without / with_account < 2


def test_what_comes_after_the_longest_password_counts_too() -> None:
    found = credentials.hash_password("ab" * 64)
    assert credentials.is_right_password(found, "ab" * 64)
    assert not credentials.is_right_password(found, "ab" * 64 + "c")


@pytest.mark.parametrize("password", ["", "short", "x" * 9, "x" * 129])
def test_a_password_too_short_or_long_is_refused(password: str) -> None:
    with pytest.raises(BadRequest):
        credentials.hash_password(password)


def test_two_passwords_at_once_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    most, running, gate = 0, 0, threading.Event()
    lock, two_are_in = threading.Lock(), threading.Semaphore(0)

    class Counting:
        def hash(self, password: str) -> str:
            nonlocal most, running
            with lock:
                running += 1
                most = max(most, running)
            two_are_in.release()
            gate.wait(10)
            with lock:
                running -= 1
            return password

    monkeypatch.setattr(credentials, "hasher", Counting())
    threads = [threading.Thread(target=credentials.hash_password, args=("x" * 12,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert two_are_in.acquire(timeout=10)
    assert two_are_in.acquire(timeout=10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert most == 2
