"""Codes of an authenticator app, recovery codes, and how the app's secret is kept."""

import string

import pyotp
import pytest
import sqlalchemy as sa

from forebay.domain.people import accounts, sealed, second_factors
from forebay.errors import Conflict
from forebay.storage.database import Database
from forebay.storage.tables import recovery_codes, users
from tests.api.clock import Clock

KEY = b"a key for tests, of no use elsewhere"


class Person:
    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, Clock()
        with database.begin() as connection:
            account, _ = accounts.create(
                connection, email="ann@example.org", name="Ann", password_hash=None, now=self.clock.now()
            )
            self.id = account.id
            found = second_factors.begin_totp(connection, self.id, "ann@example.org", "Forebay", KEY)
        self.secret, self.uri = found.secret, found.uri
        self.app = pyotp.TOTP(found.secret)

    def code(self, *, steps: int = 0) -> str:
        return self.app.generate_otp(int(self.clock.now().timestamp()) // 30 + steps)

    def confirm(self) -> list[str]:
        with self.database.begin() as connection:
            codes = second_factors.confirm_totp(connection, self.id, self.code(), KEY, now=self.clock.now())
        self.clock.forward(seconds=60)
        return codes

    def use(self, code: str) -> str | None:
        with self.database.begin() as connection:
            return second_factors.use_code(connection, self.id, code, KEY, now=self.clock.now())


@pytest.fixture
def ann(database: Database) -> Person:
    return Person(database)


def test_rfc_6238s_own_codes(ann: Person) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert [pyotp.TOTP(secret).at(at) for at in (59, 1111111109, 2000000000)] == ["287082", "081804", "279037"]
    assert pyotp.parse_uri(ann.uri).secret == ann.secret
    assert "ann%40example.org" in ann.uri
    assert "issuer=Forebay" in ann.uri


def test_nothing_counts_before_the_app_is_confirmed(ann: Person) -> None:
    assert ann.use(ann.code()) is None
    with ann.database.begin() as connection:
        assert not second_factors.has_totp(connection, ann.id)
        with pytest.raises(second_factors.WrongNewCode):
            second_factors.confirm_totp(connection, ann.id, "000000", KEY, now=ann.clock.now())
    ann.confirm()
    with ann.database.begin() as connection:
        assert second_factors.has_totp(connection, ann.id)
        with pytest.raises(Conflict):
            second_factors.begin_totp(connection, ann.id, "x", "Forebay", KEY)
        with pytest.raises(Conflict):
            second_factors.confirm_totp(connection, ann.id, ann.code(), KEY, now=ann.clock.now())


def test_a_code_is_good_once_and_half_a_minute_to_either_side(ann: Person) -> None:
    ann.confirm()
    for steps in (-3, -2, 2, 3):
        assert ann.use(ann.code(steps=steps)) is None
    assert ann.use(ann.code(steps=-1)) == "totp"
    assert ann.use(ann.code(steps=-1)) is None
    first, last = ann.code(), ann.code(steps=1)
    assert ann.use(f" {last[:3]} {last[3:]} ") == "totp"
    assert ann.use(last) is None
    assert ann.use(first) is None, "older than one that was used"
    for junk in ("", "abcdef", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666", "-12345", "0" * 40):
        assert ann.use(junk) is None


def test_a_code_lives_to_the_exact_second(ann: Person) -> None:
    ann.confirm()
    ann.clock.forward(seconds=30 - int(ann.clock.now().timestamp()) % 30)
    code = ann.code()
    ann.clock.forward(seconds=59)
    with ann.database.begin() as connection:
        assert second_factors.is_right_totp(connection, ann.id, code, KEY, now=ann.clock.now())
        connection.execute(sa.update(users).values(totp_last_step=None))
    ann.clock.forward(seconds=1)
    assert ann.use(code) is None


def test_the_code_that_confirmed_is_used_up(ann: Person) -> None:
    code = ann.code()
    with ann.database.begin() as connection:
        second_factors.confirm_totp(connection, ann.id, code, KEY, now=ann.clock.now())
    assert ann.use(code) is None


def test_recovery_codes_are_good_once_however_they_are_typed(ann: Person) -> None:
    codes = ann.confirm()
    assert len(set(codes)) == 10
    assert all(len(code) == 29 and set(code) <= set(string.ascii_lowercase + string.digits + "-") for code in codes)
    assert ann.use(f" {codes[0].upper().replace('-', ' ')}") == "recovery-code"
    assert ann.use(codes[0]) is None
    assert ann.use(codes[1].replace("-", "")) == "recovery-code"
    with ann.database.begin() as connection:
        assert second_factors.of_user(connection, ann.id).recovery_codes_left == 8
        fresh = second_factors.new_recovery_codes(connection, ann.id, KEY, now=ann.clock.now())
    assert ann.use(codes[2]) is None
    assert ann.use(fresh[0]) == "recovery-code"
    with ann.database.begin() as connection:
        second_factors.remove_totp(connection, ann.id)
    assert ann.use(fresh[1]) is None
    assert ann.use(ann.code()) is None


def test_the_database_keeps_no_secret_of_it(ann: Person) -> None:
    codes = ann.confirm()
    with ann.database.read() as connection:
        text = str(connection.execute(sa.select(users)).all()) + str(
            connection.execute(sa.select(recovery_codes)).all()
        )
    for secret in (ann.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert secret not in text


def test_what_is_sealed_opens_with_the_same_key_for_the_same_owner_alone() -> None:
    box = sealed.seal(b"secret", KEY, purpose="totp", owner="a")
    assert box != sealed.seal(b"secret", KEY, purpose="totp", owner="a")
    assert sealed.unseal(box, KEY, purpose="totp", owner="a") == b"secret"
    flipped = ("B" if box[0] == "A" else "A") + box[1:]
    for bad, key, purpose, owner in (
        (box, KEY + b"x", "totp", "a"),
        (box, KEY, "other", "a"),
        (box, KEY, "totp", "b"),
        (flipped, KEY, "totp", "a"),
        (box[:-4], KEY, "totp", "a"),
        ("", KEY, "totp", "a"),
        ("\u00e4", KEY, "totp", "a"),
    ):
        with pytest.raises(sealed.NotOpened):
            sealed.unseal(bad, key, purpose=purpose, owner=owner)
