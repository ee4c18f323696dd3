"""The demo cloud: an operator, three people, two teams with credits, an SSH key, an API key for each.

A third team of the owner's has a month behind it (`simulation.py`), so that every page has something to show.

Made once, on an empty data folder, in one transaction. `demo.json` is written before the commit under another name
and gets its own after it, so that a crash in between leaves either an empty folder or a demo whose secrets are known.
"""

import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from forebay import ids
from forebay.app import Forebay
from forebay.demo import simulation
from forebay.domain.machines import ssh_keys
from forebay.domain.money import ledger
from forebay.domain.money.amounts import to_dollars
from forebay.domain.money.teams import create as new_team
from forebay.domain.people import accounts, api_keys, credentials, teams
from forebay.domain.people.roles import MemberMode, Role
from forebay.storage.tables import users

FILE = "demo.json"
KEY_FILE = "demo-ssh-key"
PEOPLE = (("Olga Owner", "olga"), ("Adam Admin", "adam"), ("Mia Member", "mia"))
TEAMS = (
    ("Vision Lab", MemberMode.deploy_only, 100_000_000),
    ("Speech Group", MemberMode.read_only, 50_000_000),
)
ROLES = ((Role.owner, Role.owner), (Role.admin, None), (Role.member, Role.member))
"""For each person, their role in each team."""


def prepare(forebay: Forebay, url: str) -> Path | None:
    """Make the demo if there is nobody yet; the path of `demo.json` if there is one."""
    path, partial = forebay.settings.data_dir / FILE, forebay.settings.data_dir / f"{FILE}.partial"
    with forebay.database.begin() as connection:
        is_empty = connection.execute(sa.select(users.c.id).limit(1)).first() is None
        if is_empty:
            facts = make(connection, forebay, url)
            write_private(partial, json.dumps(facts, indent=2) + "\n")
    if partial.exists() and not path.exists():
        partial.rename(path)
        give_to_whoever_called_sudo(forebay.settings.data_dir)
    return path if path.exists() else None


def give_to_whoever_called_sudo(folder: Path) -> None:
    """Under sudo the demo's secrets belong to the person at the terminal: they are told to read them."""
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdigit() and group.isdigit():
        for path in (folder, folder / FILE, folder / KEY_FILE):
            os.chown(path, int(user), int(group))


def make(connection: Connection, forebay: Forebay, url: str) -> dict[str, Any]:
    """Everything in the demo, and what is told of it."""
    now = forebay.clock.now()
    # They were there before the month that is simulated.
    joined_at = now - timedelta(days=simulation.DAYS + 1)
    operator, operator_facts = make_person(
        connection, forebay, "Otto Operator", "operator", joined_at, is_operator=True
    )
    people = [make_person(connection, forebay, name, local, joined_at) for name, local in PEOPLE]
    simulation.make(connection, [account for account, _ in people], operator, now=now)
    made = [make_team(connection, people[0][0].id, operator.id, *team, now=now) for team in TEAMS]
    key = make_ssh_key(connection, forebay, str(made[0]["id"]), people[0][0].id, now)
    for place, ((account, facts), roles) in enumerate(zip(people, ROLES, strict=True)):
        facts["teams"] = join(connection, account.id, made, roles, is_owner=place == 0, now=now)
        accounts.set_current_team(connection, account.id, str(made[0]["id"]))
        facts["apiKey"] = make_api_key(
            connection, forebay, account.id, str(made[0]["id"]), now=now, may_touch_money=place == 0
        )
    return {
        "baseUrl": url,
        "operator": operator_facts,
        "people": [facts for _, facts in people],
        "teams": made,
        "sshKey": key,
    }


def make_person(
    connection: Connection, forebay: Forebay, name: str, local: str, now: datetime, *, is_operator: bool = False
) -> tuple[accounts.Account, dict[str, Any]]:
    """An account that may use the API, with a team of its own; operators get their key at once."""
    password = credentials.base62(int.from_bytes(ids.new_secret(16)), 20)
    account, team_id = accounts.create(
        connection,
        email=f"{local}@demo.test",
        name=name,
        password_hash=credentials.hash_password(password),
        now=now,
        is_verified=True,
        is_operator=is_operator,
    )
    ledger.open_account(connection, team_id)
    accounts.set_api_access(connection, account.id, "approved", reason="demo", now=now)
    facts: dict[str, Any] = {"name": name, "email": account.email, "password": password}
    if is_operator:
        del facts["name"]
        facts["apiKey"] = make_api_key(connection, forebay, account.id, team_id, now=now)
    return account, facts


def make_api_key(
    connection: Connection,
    forebay: Forebay,
    user_id: str,
    team_id: str,
    *,
    now: datetime,
    may_touch_money: bool = False,
) -> str:
    """A key and its secret."""
    secret, _ = api_keys.create(
        connection,
        user_id=user_id,
        name="demo",
        prefix=forebay.settings.api_key_prefix,
        secret_key=forebay.secret_key,
        current_team_id=team_id,
        now=now,
        may_touch_money=may_touch_money,
    )
    return secret


def make_team(
    connection: Connection,
    owner_id: str,
    operator_id: str,
    name: str,
    mode: MemberMode,
    amount_micros: int,
    *,
    now: datetime,
) -> dict[str, Any]:
    """A team with credits that the operator granted."""
    team_id = new_team(connection, name=name, owner_id=owner_id, now=now, member_mode=mode)
    ledger.grant(
        connection,
        team_id=team_id,
        amount_micros=amount_micros,
        reason="credits of the demo",
        created_by=operator_id,
        now=now,
    )
    slug = next(team.slug for team in teams.of_user(connection, owner_id) if team.id == team_id)
    return {
        "id": team_id,
        "slug": slug,
        "name": name,
        "memberMode": mode.value,
        "balance": to_dollars(amount_micros),
    }


def join(
    connection: Connection,
    user_id: str,
    made: Sequence[dict[str, Any]],
    roles: Sequence[Role | None],
    *,
    is_owner: bool,
    now: datetime,
) -> list[dict[str, str]]:
    """The person's roles in the demo's teams."""
    facts = []
    for team, role in zip(made, roles, strict=True):
        if role is not None:
            if not is_owner:
                teams.add_member(connection, team["id"], user_id, role, now=now)
            facts.append({"id": team["id"], "slug": team["slug"], "role": role.value})
    return facts


def make_ssh_key(connection: Connection, forebay: Forebay, team_id: str, user_id: str, now: datetime) -> dict[str, str]:
    """A key pair: the private half in the data folder, the public one in the team."""
    pair = Ed25519PrivateKey.generate()
    public = pair.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path = forebay.settings.data_dir / KEY_FILE
    write_private(path, private.decode())
    key = ssh_keys.add(
        connection,
        team_id=team_id,
        name="demo key",
        public_key=f"{public.decode()} demo",
        created_by=user_id,
        now=now,
    )
    return {"id": key.id, "teamId": team_id, "privateKeyFile": str(path.absolute())}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(path.name + ".writing")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
