"""Making an account: the person, a team of their own, its account in the ledger, and the mail that proves the address.

The answer is the same whether the address has an account or not; the mail says which. Until an address is proved the
last sign-up with it counts.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.people import accounts, activity, mails, sent_links
from forebay.domain.people.accounts import Account, AddressTaken
from forebay.domain.people.letters import Letter, plain
from forebay.domain.people.sign_in import as_caller

MAILS_AN_HOUR = 20


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants an account."""

    email: str
    """As `accounts.check_email` returned it."""
    name: str
    """As `accounts.check_name` returned it."""
    password_hash: str


def sign_up(
    connection: Connection, applicant: Applicant, *, public_url: str, secret_key: bytes, now: datetime, address: str
) -> None:
    """Make the account, unless there is one, and send the mail. Afterwards nudge `mails`.

    `address` is where the request came from. Over 20 an hour to one address no mail is sent, and nobody is told. The
    caller has checked that the applicant may sign up, and hashed the password.
    """
    account = accounts.by_email(connection, applicant.email)
    is_within = sent_links.is_within(connection, "sign-up", applicant.email, limit=MAILS_AN_HOUR, now=now)
    if account is not None and account.verified_at is not None:
        if is_within:
            mails.send(connection, account.email, has_one_already(account, public_url), now=now)
        return
    if account is None:
        account = new_account(connection, applicant, now=now, address=address)
    else:
        replace(connection, account, applicant)
    token = accounts.new_verification(connection, account, secret_key, now=now)
    if is_within:
        mails.send(connection, applicant.email, proof(applicant.name, f"{public_url}/verify?token={token}"), now=now)


def new_account(connection: Connection, applicant: Applicant, *, now: datetime, address: str) -> Account:
    """An account with its team, or the one that someone made with the address in this very moment."""
    try:
        account, team_id = accounts.create(
            connection, email=applicant.email, name=applicant.name, password_hash=applicant.password_hash, now=now
        )
    except AddressTaken:
        found = accounts.by_email(connection, applicant.email)
        assert found is not None
        replace(connection, found, applicant)
        return found
    ledger.open_account(connection, team_id)
    record(connection, account, "account.sign-up", now=now, address=address)
    return account


def replace(connection: Connection, account: Account, applicant: Applicant) -> None:
    """The last sign-up with an address that nobody has proved counts."""
    accounts.replace_unverified(connection, account, name=applicant.name, password_hash=applicant.password_hash)


def verify(connection: Connection, token: str, *, secret_key: bytes, now: datetime, address: str) -> Account:
    """Prove the address with the token from the mail; the account. Raises BadRequest."""
    account = accounts.verify(connection, token, secret_key, now=now, address=address)
    record(connection, account, "account.verify", now=now, address=address)
    return account


def record(connection: Connection, account: Account, action: str, *, now: datetime, address: str) -> None:
    """A row about the account."""
    activity.record(
        connection, as_caller(account, address), action, now=now, object_type="account", object_id=account.id
    )


def proof(name: str, link: str) -> Letter:
    """The mail that proves an address."""
    return Letter(
        subject="Prove your address",
        name=plain(name),
        paragraphs=["open this link to prove your address, and your account is ready."],
        label="Prove the address",
        link=link,
        after=["The link is good for a day, and once.", "If you did not ask for an account, ignore this mail."],
    )


def has_one_already(account: Account, public_url: str) -> Letter:
    """The mail to someone who signs up again."""
    return Letter(
        subject="You have an account already",
        name=account.name,
        paragraphs=[
            f"someone, perhaps you, wants to make an account with this address at {public_url}.",
            "You have one already: just sign in, or ask for a new password if you have forgotten yours.",
        ],
        after=["If it wasn't you, there is nothing to do."],
    )
