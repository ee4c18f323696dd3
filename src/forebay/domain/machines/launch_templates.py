"""Launch templates: what a launch was asked for, kept by the team under a name, to be launched again.

A template outlives what it names: offers are withdrawn, keys deleted, volumes attached elsewhere. What has become of
them is said when it is used (`template_standings.py`), never by refusing to show it. Its cloud-init may hold secrets:
like a deployment's it is in no list, no row of the activity and no export, and is shown to those alone who may launch.
"""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from forebay import ids
from forebay.domain.machines import blueprints
from forebay.domain.machines.blueprints import Blueprint
from forebay.domain.money import ledger
from forebay.domain.people import activity, teams
from forebay.domain.people.access import TeamContext
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, NotFound
from forebay.storage.database import lock_rows, upsert_insert
from forebay.storage.prepared import PreparedValues
from forebay.storage.tables import launch_templates

MOST_TEMPLATES = 100
"""Of one team."""
MOST_NAME = 60
"""Characters of a name."""


class TooManyTemplates(Conflict):
    """The team has as many as it may."""

    code = "TOO_MANY_TEMPLATES"


class TemplateExists(Conflict):
    """The team has a template of this name."""

    code = "TEMPLATE_EXISTS"

    def __init__(self, twin_id: str, name: str) -> None:
        super().__init__(f"The team has a template called {name!r} already.", details={"id": twin_id, "name": name})


class LaunchTemplate(Blueprint, frozen=True, kw_only=True):
    """A blueprint with its name."""

    id: str
    team_id: str
    name: str
    created_by: str
    created_at: datetime
    changed_at: datetime
    last_used_at: datetime | None = None

    @property
    def blueprint(self) -> Blueprint:
        """What it launches."""
        return Blueprint(**{name: getattr(self, name) for name in Blueprint.__struct_fields__})


COLUMNS = [launch_templates.c[name] for name in LaunchTemplate.__struct_fields__]
LISTED = PreparedValues(
    LaunchTemplate,
    sa.select(*COLUMNS)
    .where(launch_templates.c.team_id == sa.bindparam("team_id", type_=sa.String()))
    .order_by(
        sa.func.coalesce(launch_templates.c.last_used_at, launch_templates.c.created_at).desc(),
        launch_templates.c.id.desc(),
    ),
)


def check_name(name: str) -> str:
    """A template's name, trimmed. Raises BadRequest."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > MOST_NAME or any(unicodedata.category(letter) in ("Cc", "Cs", "Cf") for letter in name):
        reason = f"1 to {MOST_NAME} characters, no control characters"
        raise BadRequest("The name of the template is not usable.", details={"name": reason})
    return name


def key_of(name: str) -> str:
    """A name as it is compared."""
    return unicodedata.normalize("NFC", name).strip().casefold()


# Looking.


def listed(connection: Connection, team_id: str) -> list[LaunchTemplate]:
    """The team's templates, what was used or made last first."""
    return LISTED(connection, team_id=team_id)


def find(connection: Connection, team_id: str, template_id: str) -> LaunchTemplate:
    """One template of the team. Raises NotFound."""
    found = first(connection, team_id, launch_templates.c.id == template_id)
    if found is None:
        raise NotFound("Template")
    return found


def named(connection: Connection, team_id: str, name: str) -> LaunchTemplate | None:
    """The team's template of this name, whatever its case."""
    return first(connection, team_id, launch_templates.c.name_key == key_of(name))


def first(connection: Connection, team_id: str, which: sa.ColumnElement[bool]) -> LaunchTemplate | None:
    """The one of the team's."""
    row = connection.execute(sa.select(*COLUMNS).where(launch_templates.c.team_id == team_id, which)).first()
    return None if row is None else LaunchTemplate(**row._mapping)


# Changing.


def create(
    connection: Connection,
    context: TeamContext,
    name: str,
    blueprint: Blueprint,
    *,
    now: datetime,
    like: Blueprint | None = None,
) -> LaunchTemplate:
    """Save a launch under a name. What it has in common with `like`, a machine that there was, is not questioned.

    Raises Forbidden, BadRequest, NotFound, TemplateExists, TooManyTemplates.
    """
    context = teams.hold(connection, context, Permission.manage_templates)
    name, blueprint = check_name(name), blueprints.fitted(connection, blueprint)
    if like is not None and like.ssh_key_id is not None and like.ssh_key_id == blueprint.ssh_key_id:
        # The machine may have been launched with a key that was deleted since.
        blueprint = blueprints.without_lost_key(connection, context.team_id, blueprint)
    blueprints.check(connection, context, blueprint, like, now=now)
    # Of several who save in the same moment each sees the others' templates.
    ledger.lock(connection, context.team_id)
    mine = sa.select(sa.func.count()).select_from(launch_templates)
    if connection.execute(mine.where(launch_templates.c.team_id == context.team_id)).scalar_one() >= MOST_TEMPLATES:
        raise TooManyTemplates(f"A team has {MOST_TEMPLATES} templates at most. Delete one that isn't needed.")
    made = LaunchTemplate(
        id=ids.new_id(now),
        team_id=context.team_id,
        name=name,
        created_by=context.caller.user_id,
        created_at=now,
        changed_at=now,
        **msgspec.structs.asdict(blueprint),
    )
    # Not asked first and inserted then: two may save under the same name in the same moment.
    insert = upsert_insert(connection, launch_templates).values(name_key=key_of(name), **blueprints.columns_of(made))
    if connection.execute(insert.on_conflict_do_nothing().returning(launch_templates.c.id)).scalar() is None:
        raise taken(connection, context.team_id, name)
    record(connection, context, "create", made, now=now)
    return made


def change(
    connection: Connection,
    context: TeamContext,
    template_id: str,
    *,
    name: str | None = None,
    changes: Mapping[str, Any] = {},
    now: datetime,
) -> LaunchTemplate:
    """Rename a template, change fields of its blueprint, or both.

    Raises NotFound, Forbidden, BadRequest, TemplateExists.
    """
    before = held(connection, context, template_id)
    values: dict[str, Any] = {}
    if name is not None and check_name(name) != before.name:
        values = {"name": check_name(name), "name_key": key_of(name)}
    if changes:
        blueprint = blueprints.fitted(connection, blueprints.changed(before.blueprint, changes))
        blueprints.check(connection, context, blueprint, before, now=now)
        asked, had = blueprints.columns_of(blueprint), blueprints.columns_of(before)
        values |= {field: value for field, value in asked.items() if value != had[field]}
    if not values:
        return before
    mine = sa.update(launch_templates).where(launch_templates.c.id == template_id)
    try:
        with connection.begin_nested():
            connection.execute(mine.values(**values, changed_at=now))
    except sa.exc.IntegrityError:
        raise taken(connection, context.team_id, str(values.get("name"))) from None
    changed = find(connection, context.team_id, template_id)
    what = sorted(field for field in values if field != "name_key")
    record(connection, context, "change", changed, now=now, changed=what)
    return changed


def delete(connection: Connection, context: TeamContext, template_id: str, *, now: datetime) -> LaunchTemplate:
    """Delete a template; machines launched from it run on. Raises NotFound, Forbidden."""
    found = held(connection, context, template_id)
    connection.execute(sa.delete(launch_templates).where(launch_templates.c.id == template_id))
    record(connection, context, "delete", found, now=now)
    return found


def held(connection: Connection, context: TeamContext, template_id: str) -> LaunchTemplate:
    """The template, locked until the transaction ends, for who may change it. Raises NotFound, Forbidden."""
    context = teams.hold(connection, context, Permission.see)
    lock_rows(connection, launch_templates, [template_id])
    found = find(connection, context.team_id, template_id)
    context.demand(Permission.manage_templates, created_by=found.created_by)
    return found


def taken(connection: Connection, team_id: str, name: str) -> TemplateExists:
    """A 409 that says which template has the name."""
    twin = named(connection, team_id, name)
    return TemplateExists("" if twin is None else twin.id, name if twin is None else twin.name)


def note_use(connection: Connection, team_id: str, template_id: str, *, now: datetime) -> str | None:
    """Remember that a machine is launched from it: its name; None where it was just deleted."""
    mine = sa.update(launch_templates).where(
        launch_templates.c.id == template_id, launch_templates.c.team_id == team_id
    )
    return connection.execute(mine.values(last_used_at=now).returning(launch_templates.c.name)).scalar()


def remove_all(connection: Connection, team_id: str) -> None:
    """With the end of the team."""
    connection.execute(sa.delete(launch_templates).where(launch_templates.c.team_id == team_id))


def record(
    connection: Connection, context: TeamContext, verb: str, found: LaunchTemplate, *, now: datetime, **more: Any
) -> None:
    """A row in the team's activity, without what the template holds."""
    activity.record(
        connection,
        context.caller,
        f"template.{verb}",
        now=now,
        team_id=context.team_id,
        object_type="template",
        object_id=found.id,
        details={"name": found.name, "offer": found.offer_id, **more},
    )
