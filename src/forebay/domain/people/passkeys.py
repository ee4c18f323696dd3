"""Passkeys (WebAuthn): a key pair that a device or a password manager keeps, unlocked by its owner.

What always holds: a challenge is good for five minutes and one answer, a wrong one included; the answer must come
from our own origin; the owner must have been verified by the authenticator, so that a passkey is two factors in one; a
counter that doesn't go up is a copy and is refused. The authenticator knows a person by a handle that says nothing
about them. Attestation isn't asked for: which make of authenticator it is, is its owner's business.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import accounts, activity, notices, second_factors, sign_in, steps
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import Account
from forebay.domain.people.sign_in import WrongCredentials
from forebay.domain.people.steps import Purpose
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import passkeys, users

CHALLENGE_SECONDS = 300
MOST = 20
"""Passkeys of one account."""
MOST_ID = 1023
"""Bytes of a credential's id, as the standard says."""
MOST_KEY = 4096
MOST_NAME = 80


class Site(msgspec.Struct, frozen=True):
    """Who we are to an authenticator: both follow from the public address."""

    origin: str
    host: str


class Challenge(msgspec.Struct, frozen=True):
    """What the browser is given."""

    token: str
    """Names this ceremony."""
    options: dict[str, Any]
    """For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."""


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """One of a person's passkeys."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    is_backed_up: bool
    """Kept by a service that has copies on other devices."""


class PasskeyRefused(BadRequest):
    """What the authenticator answered can't be believed. The challenge is used up."""

    is_kept = True
    code = "PASSKEY_REFUSED"

    def __init__(self) -> None:
        super().__init__("This passkey can't be added. Begin again, perhaps with another.")


class WrongPasskey(WrongCredentials):
    """A passkey that is unknown, or an answer that can't be believed: the answer never says which."""

    code = "WRONG_PASSKEY"

    def __init__(self) -> None:
        super().__init__("This passkey is not known here, or its answer was not right. Try again.")


class LastWayIn(Conflict):
    """Without it nobody could sign in to the account any more."""

    code = "LAST_WAY_IN"

    def __init__(self) -> None:
        super().__init__("This is the only way into your account. Set a password or add another passkey first.")


def site_of(public_url: str) -> Site:
    """Our origin and host."""
    parts = urlsplit(public_url)
    return Site(f"{parts.scheme}://{parts.netloc}".lower(), (parts.hostname or "").lower())


def handle_of(user_id: str, secret_key: bytes) -> bytes:
    """What an authenticator knows a person by: it tells neither the address nor anything else."""
    return hmac.digest(secret_key, b"passkey user:" + user_id.encode(), "sha256")


def begin_registration(
    connection: Connection, caller: Caller, site: Site, secret_key: bytes, *, now: datetime
) -> Challenge:
    """A challenge for a new passkey. Raises Conflict where there are enough."""
    import webauthn
    from webauthn.helpers import structs

    present = connection.execute(sa.select(passkeys.c.credential_id).where(passkeys.c.user_id == caller.user_id)).all()
    refuse_too_many(len(present))
    challenge = ids.new_secret(32)
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name="Forebay",
        user_name=caller.email,
        user_display_name=caller.name,
        user_id=handle_of(caller.user_id, secret_key),
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            require_resident_key=True,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(row.credential_id)) for row in present
        ],
    )
    return remember(connection, Purpose.new_passkey, challenge, options, secret_key, now=now, user_id=caller.user_id)


def begin_sign_in(connection: Connection, site: Site, secret_key: bytes, *, now: datetime) -> Challenge:
    """A challenge for any passkey of this site: the person picks theirs, without saying first who they are."""
    import webauthn
    from webauthn.helpers import structs

    challenge = ids.new_secret(32)
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return remember(connection, Purpose.passkey, challenge, options, secret_key, now=now, user_id=None)


def remember(
    connection: Connection,
    purpose: Purpose,
    challenge: bytes,
    options: Any,
    secret_key: bytes,
    *,
    now: datetime,
    user_id: str | None,
) -> Challenge:
    """The challenge as a step that can be taken once."""
    import webauthn

    document = {"challenge": challenge.hex()}
    token = steps.begin(connection, purpose, document, secret_key, now=now, seconds=CHALLENGE_SECONDS, user_id=user_id)
    return Challenge(token, msgspec.json.decode(webauthn.options_to_json(options)))


def register(
    connection: Connection,
    caller: Caller,
    token: str,
    credential: Mapping[str, Any],
    name: str,
    site: Site,
    *,
    secret_key: bytes,
    public_url: str,
    now: datetime,
) -> Passkey:
    """Keep a new passkey. Afterwards nudge `mails`.

    Raises BadRequest for a challenge that is over, PasskeyRefused for an answer that can't be believed or a passkey
    that is known already, Conflict where there are enough.
    """
    import webauthn

    name = check_name(name)
    step = steps.take(connection, Purpose.new_passkey, token, secret_key, now=now)
    if step.user_id != caller.user_id:
        raise PasskeyRefused
    try:
        found = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=bytes.fromhex(step.document["challenge"]),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except Exception:
        # The library reads bytes that anyone may have made up, and raises whatever its parsers raise on them.
        raise PasskeyRefused from None
    if len(found.credential_id) > MOST_ID or len(found.credential_public_key) > MOST_KEY:
        raise PasskeyRefused
    lock(connection, caller.user_id)
    refuse_too_many(len(of_user(connection, caller.user_id)))
    credential_id = encoded(found.credential_id)
    if connection.execute(sa.select(passkeys.c.id).where(passkeys.c.credential_id == credential_id)).first():
        raise PasskeyRefused
    passkey_id = ids.new_id(now)
    connection.execute(
        sa.insert(passkeys).values(
            id=passkey_id,
            user_id=caller.user_id,
            name=name,
            credential_id=credential_id,
            public_key=encoded(found.credential_public_key),
            sign_count=found.sign_count,
            transports=[],
            is_backed_up=found.credential_backed_up,
            created_at=now,
        )
    )
    tell(connection, caller, "add", passkey_id, f"the passkey “{name}” was added", public_url, now=now)
    return Passkey(id=passkey_id, name=name, created_at=now, last_used_at=None, is_backed_up=found.credential_backed_up)


def recognise(
    connection: Connection,
    token: str,
    credential: Mapping[str, Any],
    site: Site,
    *,
    secret_key: bytes,
    now: datetime,
    address: str,
) -> Account:
    """The account whose passkey answered. Raises WrongPasskey, which is kept; BadRequest for an old challenge."""
    import webauthn

    step = steps.take(connection, Purpose.passkey, token, secret_key, now=now)
    row = connection.execute(
        sa.select(passkeys).where(passkeys.c.credential_id == text_of(credential, "id")).with_for_update()
    ).first()
    account = None if row is None else accounts.by_id(connection, row.user_id)
    try:
        if row is None or account is None:
            raise LookupError
        refuse_other_handle(credential, handle_of(account.id, secret_key))
        found = webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=bytes.fromhex(step.document["challenge"]),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=webauthn.base64url_to_bytes(row.public_key),
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except Exception:
        # As above: whatever a parser raises on bytes that were made up.
        sign_in.refused(connection, account, "passkey", address=address, now=now)
        raise WrongPasskey from None
    connection.execute(
        sa.update(passkeys)
        .where(passkeys.c.id == row.id)
        .values(sign_count=found.new_sign_count, is_backed_up=found.credential_backed_up, last_used_at=now)
    )
    return account


def text_of(credential: Mapping[str, Any], name: str) -> str:
    """A field that must be text; empty if it is not."""
    value = credential.get(name)
    return value if isinstance(value, str) else ""


def refuse_other_handle(credential: Mapping[str, Any], handle: bytes) -> None:
    """Raise LookupError unless the authenticator says whose passkey it is, and says the right person."""
    response = credential.get("response")
    given = text_of(response, "userHandle") if isinstance(response, dict) else ""
    if given.rstrip("=") != encoded(handle):
        raise LookupError


OF_USER = PreparedValues(
    Passkey,
    sa.select(*(passkeys.c[name] for name in Passkey.__struct_fields__))
    .where(passkeys.c.user_id == sa.bindparam("user_id", type_=sa.String()))
    .order_by(passkeys.c.id),
)


def of_user(connection: Connection, user_id: str) -> Sequence[Passkey]:
    """A person's passkeys, oldest first."""
    return OF_USER(connection, user_id=user_id)


def rename(connection: Connection, caller: Caller, passkey_id: str, name: str, *, now: datetime) -> Passkey:
    """Give it another name. Raises NotFound, BadRequest."""
    name = check_name(name)
    changed = connection.execute(
        sa.update(passkeys).where(passkeys.c.id == passkey_id, passkeys.c.user_id == caller.user_id).values(name=name)
    )
    if changed.rowcount != 1:
        raise NotFound("Passkey")
    record(connection, caller, "rename", passkey_id, now=now)
    return next(passkey for passkey in of_user(connection, caller.user_id) if passkey.id == passkey_id)


def remove(connection: Connection, caller: Caller, passkey_id: str, *, public_url: str, now: datetime) -> None:
    """Forget it; it opens nothing any more. Raises NotFound, LastWayIn. Afterwards nudge `mails`."""
    lock(connection, caller.user_id)
    name = next((one.name for one in of_user(connection, caller.user_id) if one.id == passkey_id), None)
    if name is None:
        raise NotFound("Passkey")
    factors = second_factors.of_user(connection, caller.user_id)
    if not factors.has_password and not factors.identities and factors.passkeys == 1:
        raise LastWayIn
    connection.execute(sa.delete(passkeys).where(passkeys.c.id == passkey_id))
    tell(connection, caller, "remove", passkey_id, f"the passkey “{name}” was removed", public_url, now=now)


def lock(connection: Connection, user_id: str) -> None:
    """One change of a person's ways in after the other."""
    connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


def refuse_too_many(present: int) -> None:
    """Raise Conflict where there are enough."""
    if present >= MOST:
        raise Conflict(f"You have {MOST} passkeys already. Remove one first.", code="TOO_MANY_PASSKEYS")


def check_name(name: str) -> str:
    """What its owner calls it. Raises BadRequest."""
    name = " ".join(name.split())
    if not name or len(name) > MOST_NAME or not name.isprintable():
        raise BadRequest("The name is not usable.", details={"name": f"1 to {MOST_NAME} visible characters"})
    return name


def encoded(raw: bytes) -> str:
    """Base64url, as the standard writes bytes."""
    import webauthn

    return str(webauthn.helpers.bytes_to_base64url(raw))


def tell(
    connection: Connection, caller: Caller, verb: str, passkey_id: str, what: str, public_url: str, *, now: datetime
) -> None:
    """A row that says so, and a mail to the owner."""
    record(connection, caller, verb, passkey_id, now=now)
    notices.send(
        connection,
        caller.email,
        name=caller.name,
        subject="Your passkeys were changed",
        sentences=[f"{what}."],
        public_url=public_url,
        now=now,
        address=caller.address,
    )


def record(connection: Connection, caller: Caller, verb: str, passkey_id: str, *, now: datetime) -> None:
    """A row in the activity."""
    activity.record(connection, caller, f"passkey.{verb}", now=now, object_type="passkey", object_id=passkey_id)
