"""Accounts: sign-up, the address and its proof, the current team, and the flag that makes an operator.

Nothing here tells a stranger whether an address has an account: signing up answers the same either way, and the mail
says which.
"""

import unicodedata
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import credentials, teams
from forebay.errors import BadRequest, Conflict, Forbidden
from forebay.storage.database import lock_name, upsert_insert
from forebay.storage.tables import invitations, mail_tokens, sign_up_invitations, users
from forebay.storage.tables import teams as team_rows

VERIFY_HOURS = 24
MOST_CHARACTERS = 320
"""Of an address, and of what it is folded into: that can make one letter into many."""
INVITATION_DAYS = 7


class AddressTaken(Conflict):
    """Two sign up with one address in the same moment."""

    code = "ADDRESS_TAKEN"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person."""

    id: str
    email: str
    name: str
    verified_at: datetime | None
    is_operator: bool
    current_team_id: str | None
    api_access: str
    password_hash: str | None


def email_key(email: str) -> str:
    """The address folded for comparing: the same mailbox, however it was typed."""
    return unicodedata.normalize("NFKC", email).strip().casefold()


def check_email(email: str) -> str:
    """The address as it will be written to. Raises BadRequest."""
    # With the DNS library that it brings it takes long to load, which a server's start shouldn't wait for.
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(email.strip(), check_deliverability=False, test_environment=True, strict=True).normalized
    except EmailNotValidError as reason:
        raise BadRequest("This is not an e-mail address.", details={"email": str(reason)}) from None
    if len(email_key(found)) > MOST_CHARACTERS:
        raise BadRequest("This is not an e-mail address.", details={"email": "too long"})
    return found


def check_name(name: str) -> str:
    """A person's name, trimmed.

    Raises BadRequest for an empty one, one over 120 characters, or one with control characters.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > 120 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise BadRequest("The name is not usable.", details={"name": "1 to 120 characters, no control characters"})
    return name


def by_email(connection: Connection, email: str) -> Account | None:
    """The account with this address, verified or not."""
    there = users.c.email_key == email_key(email), users.c.deleted_at.is_(None)
    row = connection.execute(sa.select(users).where(*there)).first()
    return None if row is None else to_account(row)


def lock_way_in(connection: Connection, user_id: str) -> None:
    """Be the only one who changes the password or the address of this account, until the transaction ends."""
    lock_name(connection, f"way in:{user_id}")


def by_id(connection: Connection, user_id: str) -> Account | None:
    """The account with this id."""
    row = connection.execute(sa.select(users).where(users.c.id == user_id)).first()
    return None if row is None else to_account(row)


NAMES = sa.select(users.c.id, users.c.name).where(users.c.id.in_(sa.bindparam("user_ids", expanding=True)))


def names_of(connection: Connection, user_ids: Collection[str]) -> dict[str, str]:
    """What people are called, by id."""
    rows = connection.execute(NAMES, {"user_ids": list(user_ids)})
    return {str(user_id): str(name) for user_id, name in rows.all()}


def to_account(row: sa.Row[tuple[object, ...]]) -> Account:
    """A row as a value."""
    found = row._mapping
    return Account(**{name: found[name] for name in Account.__struct_fields__})


def create(
    connection: Connection,
    *,
    email: str,
    name: str,
    password_hash: str | None,
    now: datetime,
    is_verified: bool = False,
    is_operator: bool = False,
) -> tuple[Account, str]:
    """Make an account with a team of its own; the account and the team's id.

    The caller opens the team's ledger account. Raises AddressTaken if there is an account with this address by now;
    nothing is written then.
    """
    user_id = ids.new_id(now)
    insert = upsert_insert(connection, users).values(
        id=user_id,
        email=email,
        email_key=email_key(email),
        name=name,
        password_hash=password_hash,
        verified_at=now if is_verified else None,
        is_operator=is_operator,
        api_access="none",
        created_at=now,
    )
    insert = insert.on_conflict_do_nothing(index_elements=[users.c.email_key]).returning(users.c.id)
    if connection.execute(insert).scalar() is None:
        raise AddressTaken("There is an account with this address already.")
    team_id = teams.create(connection, name=f"{name[:60]}'s team", slug=name, owner_id=user_id, now=now)
    set_current_team(connection, user_id, team_id)
    account = by_id(connection, user_id)
    assert account is not None
    return account, team_id


def replace_unverified(connection: Connection, account: Account, *, name: str, password_hash: str) -> None:
    """Someone signs up again with an address nobody has proved yet: the last one counts, and older links die.

    An account that was proved in this very moment stays as it is.
    """
    connection.execute(
        sa.delete(mail_tokens).where(mail_tokens.c.user_id == account.id, mail_tokens.c.used_at.is_(None))
    )
    unproved = sa.and_(users.c.id == account.id, users.c.verified_at.is_(None))
    connection.execute(sa.update(users).where(unproved).values(name=name, password_hash=password_hash))


def rename(connection: Connection, user_id: str, name: str) -> None:
    """What the person is called, as `check_name` returned it."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(name=name))


def take_over_unverified(connection: Connection, account: Account, *, name: str, now: datetime) -> Account | None:
    """The address was proved in another way by now: whoever proved it has the account, without the password that
    somebody had chosen and without the links that were sent. None if it was proved in this very moment.
    """
    unproved = sa.and_(users.c.id == account.id, users.c.verified_at.is_(None))
    changed = connection.execute(
        sa.update(users).where(unproved).values(name=name, password_hash=None, verified_at=now)
    )
    if changed.rowcount != 1:
        return None
    own_team = team_rows.c.id == account.current_team_id
    connection.execute(sa.update(team_rows).where(own_team).values(name=f"{name[:60]}'s team"))
    connection.execute(
        sa.delete(mail_tokens).where(mail_tokens.c.user_id == account.id, mail_tokens.c.used_at.is_(None))
    )
    return by_id(connection, account.id)


def set_current_team(connection: Connection, user_id: str, team_id: str) -> None:
    """The team the person looks at; it never moves a key."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(current_team_id=team_id))


def new_verification(connection: Connection, account: Account, secret_key: bytes, *, now: datetime) -> str:
    """A token, good for a day and once, that proves the address; only its hash is kept."""
    token = credentials.new_token("fby_vf_")
    connection.execute(
        sa.insert(mail_tokens).values(
            id=ids.new_id(now),
            user_id=account.id,
            purpose="verify",
            token_hash=credentials.hash_token(token, secret_key),
            email_key=email_key(account.email),
            created_at=now,
            expires_at=now + timedelta(hours=VERIFY_HOURS),
        )
    )
    return token


def verify(connection: Connection, token: str, secret_key: bytes, *, now: datetime, address: str = "") -> Account:
    """Use a token up and mark the mailbox as proved; `address` is where the link was opened.

    Raises BadRequest for one that is unknown, used or too old.
    """
    refusal = BadRequest("This link is not good any more. Ask for a new one by signing up again.", code="LINK_EXPIRED")
    found = connection.execute(
        sa.update(mail_tokens)
        .where(
            mail_tokens.c.token_hash == credentials.hash_token(token, secret_key),
            mail_tokens.c.purpose == "verify",
            mail_tokens.c.used_at.is_(None),
            mail_tokens.c.expires_at > now,
        )
        .values(used_at=now, used_from=address[:64] or None)
        .returning(mail_tokens.c.user_id, mail_tokens.c.email_key)
    ).first()
    if found is None:
        raise refusal
    changed = connection.execute(
        sa.update(users)
        .where(users.c.id == found.user_id, users.c.email_key == found.email_key)
        .values(verified_at=sa.func.coalesce(users.c.verified_at, sa.cast(int(now.timestamp()), sa.BigInteger)))
    )
    account = by_id(connection, found.user_id)
    if changed.rowcount != 1 or account is None:
        raise refusal
    return account


def invite_to_sign_up(connection: Connection, email: str, *, now: datetime) -> None:
    """Let this address make an account while sign-up is by invitation; good for a week."""
    connection.execute(sa.delete(sign_up_invitations).where(sign_up_invitations.c.email_key == email_key(email)))
    connection.execute(
        sa.insert(sign_up_invitations).values(
            email_key=email_key(email), created_at=now, expires_at=now + timedelta(days=INVITATION_DAYS)
        )
    )


def refuse_uninvited(connection: Connection, email: str, *, now: datetime) -> None:
    """Raise Forbidden unless the address was invited: to sign up, or into a team that there still is."""
    by_operator = sa.exists().where(
        sign_up_invitations.c.email_key == email_key(email), sign_up_invitations.c.expires_at > now
    )
    by_team = sa.exists().where(
        invitations.c.email_key == email_key(email),
        invitations.c.state == "pending",
        invitations.c.expires_at > now,
        invitations.c.team_id == team_rows.c.id,
        team_rows.c.deleted_at.is_(None),
    )
    if not connection.execute(sa.select(sa.or_(by_operator, by_team))).scalar_one():
        raise Forbidden(
            "Accounts are made by invitation here. Ask whoever runs this cloud for one.", code="INVITATION_NEEDED"
        )


def set_api_access(connection: Connection, user_id: str, state: str, *, reason: str | None, now: datetime) -> None:
    """The state on the API whitelist: requested, approved or refused."""
    connection.execute(
        sa.update(users)
        .where(users.c.id == user_id)
        .values(api_access=state, api_access_reason=reason, api_access_at=now)
    )


def operators(connection: Connection) -> list[str]:
    """The addresses of the operators."""
    rows = connection.execute(sa.select(users.c.email).where(users.c.is_operator, users.c.verified_at.is_not(None)))
    return [str(row.email) for row in rows]


def make_operator(connection: Connection, user_id: str) -> None:
    """Set the flag that makes an operator of the platform."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(is_operator=True))
