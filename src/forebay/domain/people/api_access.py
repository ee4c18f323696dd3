"""The whitelist of accounts that may have API keys: asked for by the account, decided by an operator.

An account stands at none, requested, approved or refused, with the operator's reason. Its keys work while it is
approved, and are suspended, not revoked, while it isn't.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people import accounts, activity, mails
from forebay.domain.people.access import Caller
from forebay.domain.people.letters import Letter, plain
from forebay.errors import Conflict, NotFound
from forebay.storage.tables import users

State = Literal["none", "requested", "approved", "refused"]
AGAIN_HOURS = 24
"""After a refusal it can be asked for again when so many hours have passed."""


class RefusedRecently(Conflict):
    """Asked again too soon after a refusal."""

    code = "REFUSED_RECENTLY"

    def __init__(self, may_ask_from: datetime) -> None:
        moment = may_ask_from.strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(
            f"An operator has refused API access. You can ask again after {moment}.", details={"mayAskFrom": moment}
        )


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account stands."""

    state: State
    reason: str | None
    at: datetime | None
    """Since when."""

    @property
    def may_ask_from(self) -> datetime | None:
        """When it can be asked for again after a refusal."""
        return None if self.at is None else self.at + timedelta(hours=AGAIN_HOURS)


STANDING = sa.select(users.c.api_access, users.c.api_access_reason, users.c.api_access_at).where(
    users.c.id == sa.bindparam("user_id")
)


def of(connection: Connection, user_id: str) -> Standing:
    """Where the account stands. Raises NotFound."""
    row = connection.execute(STANDING, {"user_id": user_id}).first()
    if row is None:
        raise NotFound("Account")
    return Standing(state=row[0], reason=row[1], at=row[2])


def request(connection: Connection, caller: Caller, *, public_url: str, now: datetime) -> None:
    """Ask for API access: the operators are told by mail. Nothing happens if it is asked for, or given, already.

    Raises RefusedRecently within a day of a refusal.
    """
    connection.execute(sa.select(users.c.id).where(users.c.id == caller.user_id).with_for_update(key_share=True))
    found = of(connection, caller.user_id)
    if found.state in ("requested", "approved"):
        return
    again = found.may_ask_from
    if found.state == "refused" and again is not None and now < again:
        raise RefusedRecently(again)
    accounts.set_api_access(connection, caller.user_id, "requested", reason=None, now=now)
    letter = Letter(
        subject=f"{plain(caller.name)} asks for API access",
        name="",
        paragraphs=[
            f"{plain(caller.name)} ({caller.email}) asks for API access at {public_url}.",
            f"To approve it: forebay operator approve-api {caller.email}\n"
            f"To refuse it: forebay operator refuse-api {caller.email} --reason '…'",
        ],
        after=["You get this mail because you are an operator of the platform."],
    )
    for email in accounts.operators(connection):
        mails.send(connection, email, letter, now=now)
    activity.record(connection, caller, "api-access.request", now=now, object_type="account", object_id=caller.user_id)
