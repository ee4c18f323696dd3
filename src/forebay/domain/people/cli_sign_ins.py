"""Signing in a program through the browser, as OAuth's device flow (RFC 8628) does it.

The program begins, and gets a token that it alone knows and a code for a person to compare. The person, signed in
in a browser, sees which program asks from where and approves or denies. The program asks again and again, and once
gets a session of its own. That session is never more recent than the sign-in it was approved in, nor stronger: else
an old session that was stolen could make itself a fresh one.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import accounts, activity, sessions, sign_in, steps
from forebay.domain.people.access import Caller
from forebay.domain.people.accounts import Account
from forebay.domain.people.sessions import Session
from forebay.domain.people.steps import Purpose, Step
from forebay.errors import BadRequest, NotFound, RateLimitExceeded

GOOD_SECONDS = 600
INTERVAL_SECONDS = 3
"""What programs are asked to wait between two looks: ten minutes of them stay below the limit of an address."""
SHORTEST_SECONDS = 1
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; nothing that looks like a digit."""


class Begun(msgspec.Struct, frozen=True):
    """What the program gets."""

    device_token: str
    user_code: str
    """As it is shown: `BCDF-GHJK`."""


class Asking(msgspec.Struct, frozen=True):
    """What the person is shown before they decide."""

    code: str
    name: str
    address: str
    begun_at: int


class Approved(msgspec.Struct, frozen=True):
    """What the program gets in the end."""

    token: str
    session: Session
    account: Account


def begin(connection: Connection, name: str, secret_key: bytes, *, now: datetime, address: str) -> Begun:
    """A program called `name`, at `address`, wants in. Raises BadRequest for a name that can't be shown."""
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise BadRequest("The name is not usable.", details={"name": "1 to 120 visible characters"})
    code = new_code()
    document = {"name": name, "address": address[:64], "state": "asked", "begun_at": int(now.timestamp())}
    token = steps.begin(connection, Purpose.cli, document, secret_key, now=now, seconds=GOOD_SECONDS, code=code)
    return Begun(token, f"{code[:4]}-{code[4:]}")


def new_code() -> str:
    """Eight letters of 20: 35 bits, good for ten minutes and only together with a signed-in person."""
    number = int.from_bytes(ids.new_secret(8))
    letters = []
    for _ in range(8):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "".join(letters)


def folded(code: str) -> str:
    """The code without what people type between and around its letters."""
    return "".join(letter for letter in code.upper() if letter in LETTERS)


def waiting(connection: Connection, code: str, secret_key: bytes, *, now: datetime) -> tuple[Step, Asking]:
    """The step of a code and what to show of it. Raises NotFound for one that is unknown, over or decided."""
    letters = folded(code)
    step = steps.by_code(connection, Purpose.cli, letters, secret_key, now=now)
    if step is None or step.document["state"] != "asked":
        raise NotFound("Code")
    found = step.document
    return step, Asking(f"{letters[:4]}-{letters[4:]}", found["name"], found["address"], found["begun_at"])


def approve(connection: Connection, caller: Caller, code: str, secret_key: bytes, *, now: datetime) -> Asking:
    """The person lets the program in. Raises NotFound."""
    step, asking = waiting(connection, code, secret_key, now=now)
    document = {**step.document, "state": "approved", "session_id": caller.session_id}
    steps.change(connection, step, document, user_id=caller.user_id)
    activity.record(connection, caller, "cli.approve", now=now, object_type="session", details=seen(asking))
    return asking


def deny(connection: Connection, caller: Caller, code: str, secret_key: bytes, *, now: datetime) -> Asking:
    """The person does not know the program. Raises NotFound."""
    step, asking = waiting(connection, code, secret_key, now=now)
    steps.change(connection, step, {**step.document, "state": "denied"}, user_id=caller.user_id)
    activity.record(connection, caller, "cli.deny", now=now, object_type="session", details=seen(asking))
    return asking


def seen(asking: Asking) -> dict[str, str]:
    """What the activity keeps: never the code."""
    return {"program": asking.name, "from": asking.address}


def finish(
    connection: Connection, device_token: str, secret_key: bytes, *, now: datetime, days: int
) -> Approved | None:
    """The program's session, once; None while nobody has decided.

    Raises BadRequest if it was denied, took too long or was given already; RateLimitExceeded if asked too often.
    """
    step = steps.peek(connection, Purpose.cli, device_token, secret_key, now=now)
    if step is None:
        raise BadRequest("This took too long, or was done already. Begin again.", code="STEP_EXPIRED")
    found = step.document
    if found["state"] == "denied":
        raise BadRequest("The sign-in was denied in the browser.", code="SIGN_IN_DENIED")
    if found["state"] == "asked":
        at = now.timestamp()
        if at - found.get("polled_at", 0.0) < SHORTEST_SECONDS:
            raise RateLimitExceeded(SHORTEST_SECONDS)
        steps.change(connection, step, {**found, "polled_at": at})
        return None
    step = steps.take(connection, Purpose.cli, device_token, secret_key, now=now)
    proof = sessions.proof_of(connection, found["session_id"], now=now)
    if proof is None or step.user_id is None:
        raise BadRequest("The session that approved this has ended. Begin again.", code="SIGN_IN_DENIED")
    methods, proved_at = proof
    token, session = sessions.begin(
        connection,
        step.user_id,
        secret_key,
        now=now,
        days=days,
        address=found["address"],
        user_agent=found["name"],
        kind="cli",
        methods=methods,
        proved_at=proved_at,
    )
    account = accounts.by_id(connection, step.user_id)
    if account is None:
        raise BadRequest("The account is gone.", code="SIGN_IN_DENIED")
    activity.record(
        connection,
        sign_in.as_caller(account, found["address"]),
        "account.sign-in",
        now=now,
        object_type="session",
        object_id=session.id,
        details={"methods": methods, "kind": "cli"},
    )
    return Approved(token, session, account)
