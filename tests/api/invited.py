"""Invitations as tests need them: made at once, and their link read out of the mail that was written."""

import re
from typing import NamedTuple

import sqlalchemy as sa

from forebay.domain.people import invitations
from forebay.domain.people.access import Credential, Target, TeamContext, enter
from forebay.domain.people.credentials import hash_token
from forebay.domain.people.invitations import Post
from forebay.domain.people.roles import Role
from forebay.domain.people.sent_links import Limits
from forebay.storage.tables import mails
from tests.api.cloud import URL, Cloud, Person


class Written(NamedTuple):
    """A mail that was not sent yet."""

    subject: str
    text: str
    html: str


PLENTY = Limits(team=10_000, address=10_000, address_and_team=10_000)


def context(cloud: Cloud, person: Person, team: str) -> TeamContext:
    """The person, signed in, in this team."""
    credential = Credential(hash_token(cloud.session(person.id), cloud.forebay.secret_key), False, "192.0.2.7")
    with cloud.database.read() as connection:
        _, found = enter(connection, credential, Target.team, team, now=cloud.clock.now())
    assert found is not None
    return found


def invite(cloud: Cloud, owner: Person, team: str, email: str, role: Role = Role.member) -> tuple[str, str]:
    """The id of a new invitation, and the token of its link."""
    where = context(cloud, owner, team)
    post = Post(secret_key=cloud.forebay.secret_key, public_url=URL, limits=PLENTY)
    with cloud.database.begin() as connection:
        made = invitations.create(connection, where, email, role, post, now=cloud.clock.now())
    return made.id, token_for(cloud, email)


def last_mail(cloud: Cloud, recipient: str) -> Written:
    """Subject, text and HTML of the last mail that was written to the address and not sent yet."""
    wanted = sa.select(mails.c.subject, mails.c.text, mails.c.html).where(mails.c.recipient == recipient)
    with cloud.database.read() as connection:
        found = connection.execute(wanted.order_by(mails.c.id.desc()).limit(1)).first()
    assert found is not None, f"no mail to {recipient}"
    return Written(found.subject, found.text, found.html)


def subjects(cloud: Cloud, recipient: str) -> list[str]:
    """The subjects of all mails that were ever written to the address, oldest first."""
    with cloud.database.read() as connection:
        wanted = sa.select(mails.c.subject).where(mails.c.recipient == recipient).order_by(mails.c.id)
        return list(connection.execute(wanted).scalars())


def token_for(cloud: Cloud, recipient: str) -> str:
    """The token of the link in the last mail to the address."""
    [link] = re.findall(r"^http\S+/invitations\?token=(\S+)$", last_mail(cloud, recipient).text, re.MULTILINE)
    return str(link)
