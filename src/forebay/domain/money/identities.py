"""Arriving by way of an OpenID Connect provider: into the account that it lets in, or into a new one.

A new account is made only where the provider says that it has proved the address. Where the address has an account
here already, its owner signs in to that and connects the provider there: an address alone opens no account. One that
nobody ever proved goes to whoever proves it now, with nothing of what was set up before.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay.domain.money import ledger
from forebay.domain.people import accounts, activity, identities
from forebay.domain.people.accounts import Account, AddressTaken
from forebay.domain.people.sign_in import as_caller
from forebay.errors import BadRequest, Conflict, Forbidden


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes, by the word of a provider."""

    provider: str
    label: str
    subject: str
    email: str
    is_email_verified: bool
    name: str


class ConnectFirst(Conflict):
    """The address has an account here, which this provider does not let in."""

    code = "CONNECT_FIRST"

    def __init__(self, label: str) -> None:
        super().__init__(
            f"There is an account with this address already. Sign in to it, then connect {label} on the account's page."
        )


class AddressNotProved(Forbidden):
    """The provider does not say that it has proved the address."""

    code = "ADDRESS_NOT_VERIFIED"

    def __init__(self, label: str) -> None:
        super().__init__(f"{label} does not say that it has proved your address. Make an account with a password.")


def arrive(connection: Connection, who: Arrival, *, sign_up: str, now: datetime, address: str) -> Account:
    """The account that the identity lets in, made now if there is none and there may be one.

    `sign_up` is the setting of that name. Raises AddressNotProved, ConnectFirst, and Forbidden for the uninvited.
    """
    owner_id = identities.owner_of(connection, who.provider, who.subject, now=now)
    if owner_id is not None:
        account = accounts.by_id(connection, owner_id)
        assert account is not None
        return account
    if not who.is_email_verified or not who.email:
        raise AddressNotProved(who.label)
    email = accounts.check_email(who.email)
    if sign_up == "invited":
        accounts.refuse_uninvited(connection, email, now=now)
    account = new_account(connection, who, email, now=now, address=address)
    if identities.add(connection, account.id, who.provider, who.subject, email, now=now) != account.id:
        raise ConnectFirst(who.label)
    return account


def new_account(connection: Connection, who: Arrival, email: str, *, now: datetime, address: str) -> Account:
    """An account with a team of its own, its address proved. Raises ConnectFirst if somebody has it."""
    name = usable_name(who.name, email)
    before = accounts.by_email(connection, email)
    if before is not None and before.verified_at is not None:
        raise ConnectFirst(who.label)
    if before is not None:
        account = accounts.take_over_unverified(connection, before, name=name, now=now)
        if account is None:
            raise ConnectFirst(who.label)
        action = "account.verify"
    else:
        try:
            account, team_id = accounts.create(
                connection, email=email, name=name, password_hash=None, now=now, is_verified=True
            )
        except AddressTaken:
            raise ConnectFirst(who.label) from None
        ledger.open_account(connection, team_id)
        action = "account.sign-up"
    activity.record(
        connection,
        as_caller(account, address),
        action,
        now=now,
        object_type="account",
        object_id=account.id,
        details={"provider": who.provider},
    )
    return account


def usable_name(name: str, email: str) -> str:
    """What the provider calls the person, if that can be used here; else the address before its @."""
    try:
        return accounts.check_name(name)
    except BadRequest:
        return accounts.check_name(email.partition("@")[0][:120])
