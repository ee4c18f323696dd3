"""Identities: accounts at OpenID Connect providers that let a person in.

An identity is a provider's name and the subject that it uses for the person, never an address: that may be given to
somebody else one day. An account that exists is connected by whoever is signed in to it, never by its address alone.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import activity, notices, second_factors
from forebay.domain.people.access import Caller
from forebay.domain.people.passkeys import LastWayIn, lock
from forebay.errors import Conflict, NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import identities


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An account elsewhere."""

    provider: str
    email: str
    """As the provider said it when they were connected."""
    created_at: datetime
    last_used_at: datetime | None


class IdentityTaken(Conflict):
    """It lets somebody into another account here."""

    code = "IDENTITY_TAKEN"

    def __init__(self, label: str) -> None:
        super().__init__(f"This account at {label} is connected to another account here.")


OF_USER = PreparedValues(
    Identity,
    sa.select(*(identities.c[name] for name in Identity.__struct_fields__))
    .where(identities.c.user_id == sa.bindparam("user_id", type_=sa.String()))
    .order_by(identities.c.provider, identities.c.email),
)


def of_user(connection: Connection, user_id: str) -> Sequence[Identity]:
    """What lets a person in, by provider."""
    return OF_USER(connection, user_id=user_id)


def owner_of(connection: Connection, provider: str, subject: str, *, now: datetime) -> str | None:
    """Whom an identity lets in; it is used by this."""
    return connection.execute(
        sa.update(identities)
        .where(identities.c.provider == provider, identities.c.subject == subject)
        .values(last_used_at=now)
        .returning(identities.c.user_id)
    ).scalar()


def add(connection: Connection, user_id: str, provider: str, subject: str, email: str, *, now: datetime) -> str:
    """Let an identity in; whom it lets in now, which is somebody else if it was known already."""
    insert = upsert_insert(connection, identities).values(
        provider=provider, subject=subject, user_id=user_id, email=email[:320], created_at=now
    )
    connection.execute(insert.on_conflict_do_nothing())
    return str(
        connection.execute(
            sa.select(identities.c.user_id).where(identities.c.provider == provider, identities.c.subject == subject)
        ).scalar_one()
    )


def connect(
    connection: Connection,
    caller: Caller,
    provider: str,
    subject: str,
    email: str,
    *,
    label: str,
    public_url: str,
    now: datetime,
) -> None:
    """Whoever is signed in lets this identity in as well. Raises IdentityTaken. Afterwards nudge `mails`."""
    if add(connection, caller.user_id, provider, subject, email, now=now) != caller.user_id:
        raise IdentityTaken(label)
    tell(connection, caller, "connect", provider, f"the provider {label} lets you in", public_url, now=now)


def disconnect(connection: Connection, caller: Caller, provider: str, *, public_url: str, now: datetime) -> None:
    """A provider lets nobody into this account any more. Raises NotFound, LastWayIn. Afterwards nudge `mails`."""
    lock(connection, caller.user_id)
    factors = second_factors.of_user(connection, caller.user_id)
    if provider not in factors.identities:
        raise NotFound("Provider")
    if not factors.has_password and not factors.passkeys and set(factors.identities) == {provider}:
        raise LastWayIn
    connection.execute(
        sa.delete(identities).where(identities.c.provider == provider, identities.c.user_id == caller.user_id)
    )
    said = f"the provider {provider} does not let you in any more"
    tell(connection, caller, "disconnect", provider, said, public_url, now=now)


def tell(
    connection: Connection, caller: Caller, verb: str, provider: str, what: str, public_url: str, *, now: datetime
) -> None:
    """A row that says so, and a mail to the owner."""
    activity.record(connection, caller, f"identity.{verb}", now=now, object_type="identity", object_id=provider)
    notices.send(
        connection,
        caller.email,
        name=caller.name,
        subject="Your ways to sign in were changed",
        sentences=[f"{what}."],
        public_url=public_url,
        now=now,
        address=caller.address,
    )
