"""What a team is called at the payment processor: made once a team, claimed before it is asked for."""

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay.domain.people.roles import Role
from forebay.errors import NotFound
from forebay.storage.database import upsert_insert
from forebay.storage.tables import customers, memberships, teams, users


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A team as the processor is told of it. Name and address are those of the claim: every retry says the same."""

    team_id: str
    customer_id: str | None
    """None: not known to be made."""
    name: str
    email: str
    claimed_at: datetime

    @property
    def idempotency_key(self) -> str:
        """What the processor knows the request by."""
        return f"customer:{self.team_id}"


def find(connection: Connection, team_id: str) -> Customer | None:
    """The team's customer, claimed or made."""
    row = connection.execute(sa.select(customers).where(customers.c.team_id == team_id)).first()
    if row is None:
        return None
    return Customer(
        team_id=row.team_id,
        customer_id=row.customer_id,
        name=row.request["name"],
        email=row.request["email"],
        claimed_at=row.claimed_at,
    )


def claim(connection: Connection, team_id: str, *, now: datetime) -> Customer:
    """Note that a customer is wanted for the team, or return the one there is. Raises NotFound."""
    found = find(connection, team_id)
    if found is None:
        row = connection.execute(
            sa.select(teams.c.name, users.c.email)
            .join(memberships, memberships.c.team_id == teams.c.id)
            .join(users, users.c.id == memberships.c.user_id)
            .where(teams.c.id == team_id, memberships.c.role == Role.owner.value)
            .order_by(memberships.c.joined_at, users.c.id)
            .limit(1)
        ).first()
        if row is None:
            raise NotFound("Team")
        connection.execute(
            upsert_insert(connection, customers)
            .values(team_id=team_id, request={"name": row.name, "email": row.email}, claimed_at=now)
            .on_conflict_do_nothing()
        )
        found = find(connection, team_id)
    assert found is not None
    return found


def note_made(connection: Connection, team_id: str, customer_id: str, *, now: datetime) -> None:
    """The processor has made it. What was noted first stays."""
    connection.execute(
        sa.update(customers)
        .where(customers.c.team_id == team_id, customers.c.customer_id.is_(None))
        .values(customer_id=customer_id, made_at=now)
    )
