"""People who sign in with all that there is, for the tests of it."""

import re
from typing import Any

import msgspec
import pyotp
import sqlalchemy as sa

from forebay.domain.people import accounts, credentials
from forebay.storage.tables import activity, mails, users
from tests.api.cloud import Cloud, Person, numbers
from tests.api.wire import Answer

PASSWORD = "correct horse battery"
HASH = credentials.hash_password(PASSWORD)


class Phone:
    """An authenticator app that waits for a new code rather than give one twice."""

    def __init__(self, cloud: Cloud, secret: str) -> None:
        self.cloud, self.app = cloud, pyotp.TOTP(secret)

    def code(self) -> str:
        """The next one: half a minute later."""
        self.cloud.clock.forward(seconds=30)
        return self.app.generate_otp(int(self.cloud.clock.now().timestamp()) // 30)


class Owner(msgspec.Struct, kw_only=True):
    """Somebody with a password and an authenticator app."""

    person: Person
    phone: Phone
    codes: list[str]
    session: str


def with_password(cloud: Cloud, name: str = "Pat") -> Person:
    """Somebody with a password; all have the same, as making one takes a while."""
    person = cloud.person(name)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == person.id).values(password_hash=HASH))
    return person


def with_app(cloud: Cloud) -> Owner:
    """Somebody with an authenticator app as well, and a session that began before it."""
    person = with_password(cloud)
    begun = cloud.post("/api/auth/totp", person.session).ok()
    phone = Phone(cloud, begun["secret"])
    codes = cloud.post("/api/auth/totp/confirm", person.session, {"code": phone.code()}).ok()["recoveryCodes"]
    return Owner(person=person, phone=phone, codes=codes, session=person.session)


def sign_in(cloud: Cloud, email: str, password: str = PASSWORD, *, peer: str = "192.0.2.7") -> Answer:
    return cloud.post("/api/auth/sign-in", body={"email": email, "password": password}, peer=peer)


def begin(cloud: Cloud, email: str) -> str:
    """The token of a sign-in whose password was right."""
    return str(sign_in(cloud, email).ok()["secondFactor"]["token"])


def give(cloud: Cloud, token: str, code: str) -> Answer:
    return cloud.post("/api/auth/second-factor", body={"token": token, "code": code})


def mailed(cloud: Cloud, email: str) -> list[Any]:
    """The mails to an address, oldest first."""
    with cloud.database.read() as connection:
        return list(connection.execute(sa.select(mails).where(mails.c.recipient == email).order_by(mails.c.id)).all())


def link_of(text: str, page: str) -> str:
    """The token of the link to a page."""
    found = re.search(rf"http://forebay\.test/{page}\?token=(\S+)", text)
    assert found, text
    return found[1]


def done(cloud: Cloud, user_id: str) -> list[tuple[str, Any]]:
    """What the activity says of somebody: action and details."""
    with cloud.database.read() as connection:
        rows = connection.execute(
            sa.select(activity.c.action, activity.c.details)
            .where(activity.c.user_id == user_id)
            .order_by(activity.c.id)
        )
        return [(row.action, row.details) for row in rows]


def new_email() -> str:
    return f"new-{next(numbers)}@example.org"


def account(cloud: Cloud, email: str) -> accounts.Account:
    with cloud.database.read() as connection:
        found = accounts.by_email(connection, email)
    assert found is not None
    return found
