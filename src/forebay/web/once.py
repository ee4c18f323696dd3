"""Forms that must not be carried out twice, whoever presses the button how often: a launch, a deposit.

Such a form carries a word of its own, made with the page. What it brought about is kept in the same transaction, under
the rules of `Idempotency-Key`; sent again, it leads to where it led the first time.
"""

import hashlib
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.people import retries
from forebay.domain.people.retries import Answer, RetryKey
from forebay.web.visits import Visit

FIELD = "once"


def new_word() -> str:
    """A word for a new form."""
    return ids.new_secret(16).hex()


def once(connection: Connection, visit: Visit, act: Callable[[], str]) -> str:
    """Where the form leads: to what `act` brings about and names, now or before. Raises Conflict, and as `act` does."""
    word = visit.form.get(FIELD, "")[:64]
    if not word:
        return act()
    given = {name: value for name, value in visit.form.items() if name != "csrf"}
    body = hashlib.sha256(msgspec.json.encode(sorted(given.items()))).hexdigest()
    # With what was sent in the key: whoever goes back and changes something wants another one.
    retry = RetryKey(visit.person.user_id, visit.method, visit.path[:200], f"{word}:{body[:32]}", body)
    claim = retries.begin(connection, retry, now=visit.now)
    if isinstance(claim, Answer):
        return claim.body.decode()
    location = act()
    retries.keep(connection, retry, claim, Answer(303, location.encode()))
    return location
