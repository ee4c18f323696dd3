"""Sessions: how long they live, how many there may be, and what proving oneself again does to one."""

from datetime import UTC, datetime, timedelta

import pytest

from forebay.domain.people import accounts, sessions
from forebay.domain.people.access import Caller, Credential, Target, enter
from forebay.domain.people.credentials import hash_token
from forebay.errors import Forbidden, Unauthenticated
from forebay.storage.database import Database

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = b"a secret of the tests" * 2
IDLE_DAYS, DAYS = 14, 30


@pytest.fixture
def person(database: Database) -> str:
    with database.begin() as connection:
        account, _ = accounts.create(
            connection, email="ann@x.test", name="Ann", password_hash=None, now=NOW, is_verified=True
        )
    return account.id


def begin(database: Database, person: str, now: datetime) -> str:
    with database.begin() as connection:
        token, _ = sessions.begin(
            connection, person, SECRET, now=now, days=IDLE_DAYS, address="192.0.2.1", user_agent="a test"
        )
    return token


def caller(database: Database, token: str, now: datetime) -> Caller:
    credential = Credential(hash_token(token, SECRET), False, "192.0.2.1")
    with database.read() as connection:
        return enter(connection, credential, Target.nothing, None, now=now)[0]


def see(database: Database, token: str, now: datetime) -> None:
    used = caller(database, token, now)
    assert used.session_id is not None
    with database.begin() as connection:
        sessions.note_seen(connection, [(used.session_id, now)], days=DAYS, idle_days=IDLE_DAYS)


def test_a_session_ends_when_it_is_not_used_for_long(database: Database, person: str) -> None:
    token = begin(database, person, NOW)
    caller(database, token, NOW + timedelta(days=IDLE_DAYS, seconds=-1))
    with pytest.raises(Unauthenticated):
        caller(database, token, NOW + timedelta(days=IDLE_DAYS))


def test_use_moves_the_end_up_to_the_limit_of_all_sessions(database: Database, person: str) -> None:
    token = begin(database, person, NOW)
    for days in (10, 20, 29):
        see(database, token, NOW + timedelta(days=days))
    caller(database, token, NOW + timedelta(days=DAYS, seconds=-1))
    with pytest.raises(Unauthenticated):
        caller(database, token, NOW + timedelta(days=DAYS))


def test_a_use_that_is_written_late_brings_no_ended_session_back(database: Database, person: str) -> None:
    token = begin(database, person, NOW)
    used = caller(database, token, NOW)
    with database.begin() as connection:
        sessions.end(connection, person, used.session_id or "", now=NOW)
        sessions.note_seen(connection, [(used.session_id or "", NOW)], days=DAYS, idle_days=IDLE_DAYS)
    with pytest.raises(Unauthenticated):
        caller(database, token, NOW)


def test_proving_oneself_again_gives_a_new_token_and_ends_the_old(database: Database, person: str) -> None:
    token = begin(database, person, NOW)
    later = NOW + timedelta(seconds=sessions.RECENT_SECONDS + 1)
    stale = caller(database, token, later)
    with pytest.raises(Forbidden, match="last 15 minutes"):
        sessions.demand_recent(stale.signed_in_at, later)
    with database.begin() as connection:
        fresh = sessions.renew(connection, stale.session_id or "", SECRET, now=later, methods="password+totp")
    renewed = caller(database, fresh, later)
    sessions.demand_recent(renewed.signed_in_at, later)
    sessions.demand_recent(renewed.signed_in_at, later + timedelta(seconds=sessions.RECENT_SECONDS))
    assert (renewed.session_id, renewed.has_two_factors, stale.has_two_factors) == (stale.session_id, True, False)
    with pytest.raises(Unauthenticated):
        caller(database, token, later)


def test_the_one_used_longest_ago_makes_room_for_a_new_one(database: Database, person: str) -> None:
    tokens = [begin(database, person, NOW + timedelta(seconds=place)) for place in range(sessions.MOST_SESSIONS)]
    see(database, tokens[0], NOW + timedelta(minutes=5))
    last = begin(database, person, NOW + timedelta(minutes=6))
    at = NOW + timedelta(minutes=7)
    with pytest.raises(Unauthenticated):
        caller(database, tokens[1], at)
    for token in (tokens[0], tokens[2], last):
        caller(database, token, at)
    with database.read() as connection:
        assert len(sessions.of_user(connection, person, now=at)) == sessions.MOST_SESSIONS


def test_ending_all_but_one(database: Database, person: str) -> None:
    tokens = [begin(database, person, NOW) for _ in range(3)]
    kept = caller(database, tokens[1], NOW)
    with database.begin() as connection:
        assert sessions.end_all(connection, person, now=NOW, but=kept.session_id) == 2
    caller(database, tokens[1], NOW)
    for token in (tokens[0], tokens[2]):
        with pytest.raises(Unauthenticated):
            caller(database, token, NOW)
