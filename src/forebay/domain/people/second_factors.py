"""Second factors beside the password: an authenticator app's codes (TOTP, RFC 6238), and recovery codes for its loss.

The app's secret is sealed, a code is good once and for its own half minute and the ones beside it. Recovery codes have
118 bits, are kept as hashes and are good once each. Whoever calls counts guesses (`slow_down.py`) before asking here.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials, sealed
from forebay.errors import BadRequest, Conflict
from forebay.storage.prepared import Prepared
from forebay.storage.tables import identities, passkeys, recovery_codes, users

if TYPE_CHECKING:
    from pyotp import TOTP

STEP_SECONDS = 30
SECRET_BYTES = 20
CODES = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""31 that nobody mistakes for one another."""
CODE_LENGTH = 24


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator app is given, once."""

    secret: str
    """Base32."""
    uri: str
    """`otpauth://totp/…`, as a QR code holds it."""


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """What a person can sign in with."""

    has_password: bool
    has_totp: bool
    passkeys: int
    identities: Sequence[str]
    """The providers' names."""
    recovery_codes_left: int


USER = sa.bindparam("user_id", type_=sa.String())
OWN = Prepared(sa.select(users.c.password_hash, users.c.totp_confirmed_at).where(users.c.id == USER))
PASSKEYS = Prepared(sa.select(sa.func.count()).select_from(passkeys).where(passkeys.c.user_id == USER))
PROVIDERS = Prepared(
    sa.select(identities.c.provider).where(identities.c.user_id == USER).order_by(identities.c.provider)
)
CODES_LEFT = Prepared(
    sa.select(sa.func.count())
    .select_from(recovery_codes)
    .where(recovery_codes.c.user_id == USER, recovery_codes.c.used_at.is_(None))
)


def of_user(connection: Connection, user_id: str) -> Factors:
    """What is set up."""
    [(password_hash, totp_confirmed_at)] = OWN(connection, user_id=user_id)
    [(keys,)], [(codes,)] = PASSKEYS(connection, user_id=user_id), CODES_LEFT(connection, user_id=user_id)
    return Factors(
        has_password=password_hash is not None,
        has_totp=totp_confirmed_at is not None,
        passkeys=int(keys),
        identities=[str(provider) for (provider,) in PROVIDERS(connection, user_id=user_id)],
        recovery_codes_left=int(codes),
    )


def begin_totp(connection: Connection, user_id: str, email: str, issuer: str, secret_key: bytes) -> Enrolment:
    """A new secret for an authenticator app; it counts once a code of it was given.

    Raises Conflict if one is in use: it is taken away first.
    """
    secret = base64.b32encode(ids.new_secret(SECRET_BYTES)).decode()
    box = sealed.seal(secret.encode(), secret_key, purpose="totp", owner=user_id)
    changed = connection.execute(
        sa.update(users)
        .where(users.c.id == user_id, users.c.totp_confirmed_at.is_(None))
        .values(totp_secret=box, totp_last_step=None)
    )
    if changed.rowcount != 1:
        raise Conflict("An authenticator app is set up already: take it away first.", code="TOTP_SET_UP")
    return Enrolment(secret=secret, uri=app(secret).provisioning_uri(name=email, issuer_name=issuer))


def confirm_totp(connection: Connection, user_id: str, code: str, secret_key: bytes, *, now: datetime) -> list[str]:
    """Put the app into use with a first code; the recovery codes, shown once.

    Raises Conflict without a new secret, BadRequest for a wrong code.
    """
    row = connection.execute(
        sa.select(users.c.totp_secret, users.c.totp_confirmed_at).where(users.c.id == user_id)
    ).one()
    if row.totp_secret is None or row.totp_confirmed_at is not None:
        raise Conflict("There is no new authenticator app to confirm: begin again.", code="TOTP_NOT_BEGUN")
    if not is_right_totp(connection, user_id, code, secret_key, now=now):
        raise WrongNewCode
    connection.execute(sa.update(users).where(users.c.id == user_id).values(totp_confirmed_at=now))
    return new_recovery_codes(connection, user_id, secret_key, now=now)


class WrongNewCode(BadRequest):
    """The first code of a new app is wrong: its clock, or the app."""

    code = "WRONG_CODE"

    def __init__(self) -> None:
        sentence = "This code is not right. Check that the clock of your phone is."
        super().__init__(sentence, details={"code": sentence})


def remove_totp(connection: Connection, user_id: str) -> None:
    """Take the app and the recovery codes away."""
    connection.execute(
        sa.update(users)
        .where(users.c.id == user_id)
        .values(totp_secret=None, totp_confirmed_at=None, totp_last_step=None)
    )
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))


def new_recovery_codes(connection: Connection, user_id: str, secret_key: bytes, *, now: datetime) -> list[str]:
    """Ten new ones, shown once; the old ones are worth nothing from now on."""
    codes = [new_code() for _ in range(CODES)]
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    connection.execute(
        sa.insert(recovery_codes),
        [{"user_id": user_id, "code_hash": hash_code(user_id, code, secret_key), "created_at": now} for code in codes],
    )
    return codes


def new_code() -> str:
    """Six groups of four letters and digits: 118 bits."""
    number = int.from_bytes(ids.new_secret(32))
    letters = []
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "-".join("".join(letters[start : start + 4]) for start in range(0, CODE_LENGTH, 4))


def hash_code(user_id: str, code: str, secret_key: bytes) -> str:
    """What is kept of a recovery code, however it was typed."""
    plain = "".join(letter for letter in code.lower() if letter in LETTERS)
    return credentials.hash_token(f"recovery:{user_id}:{plain}", secret_key)


def has_totp(connection: Connection, user_id: str) -> bool:
    """Whether an authenticator app is in use."""
    confirmed_at = connection.execute(sa.select(users.c.totp_confirmed_at).where(users.c.id == user_id)).scalar()
    return confirmed_at is not None


def use_code(connection: Connection, user_id: str, code: str, secret_key: bytes, *, now: datetime) -> str | None:
    """Use a code of the app or a recovery code up: `totp` or `recovery-code`, or None if it is not right.

    Of two who come at once with the same code one gets in.
    """
    if not has_totp(connection, user_id):
        return None
    if is_right_totp(connection, user_id, code, secret_key, now=now):
        return "totp"
    used = connection.execute(
        sa.update(recovery_codes)
        .where(
            recovery_codes.c.user_id == user_id,
            recovery_codes.c.code_hash == hash_code(user_id, code, secret_key),
            recovery_codes.c.used_at.is_(None),
        )
        .values(used_at=now)
    )
    return "recovery-code" if used.rowcount == 1 else None


def is_right_totp(connection: Connection, user_id: str, code: str, secret_key: bytes, *, now: datetime) -> bool:
    """Whether the code is of the app's secret, of now or half a minute beside it, and newer than the last one used."""
    code = code.strip().replace(" ", "")
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return False
    box = connection.execute(sa.select(users.c.totp_secret).where(users.c.id == user_id)).scalar()
    if box is None:
        return False
    totp = app(sealed.unseal(box, secret_key, purpose="totp", owner=user_id).decode())
    present = int(now.timestamp()) // STEP_SECONDS
    for step in (present, present - 1, present + 1):
        if hmac.compare_digest(totp.generate_otp(step), code):
            used = connection.execute(
                sa.update(users)
                .where(
                    users.c.id == user_id,
                    users.c.totp_secret == box,
                    sa.or_(users.c.totp_last_step.is_(None), users.c.totp_last_step < step),
                )
                .values(totp_last_step=step)
            )
            return used.rowcount == 1
    return False


def app(secret: str) -> "TOTP":
    """What the person's app does with the secret. The library is loaded for who has one, not at every start."""
    from pyotp import TOTP

    return TOTP(secret)
