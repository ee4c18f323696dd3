"""`/api/teams/{id}/templates`: launches that a team has saved, to launch them again."""

from msgspec import UNSET

from forebay.api.call import Call
from forebay.api.launch_template_shapes import (
    ChangedTemplate,
    NewTemplate,
    Template,
    Templates,
    WholeTemplate,
    given_of,
    to_cloud_init,
    to_launch,
    to_wire,
)
from forebay.api.route import route
from forebay.api.teams import Deleted
from forebay.domain.machines import blueprints, launch_templates, template_standings
from forebay.domain.machines.blueprints import Blueprint
from forebay.domain.machines.launch_templates import LaunchTemplate
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest


def shown(call: Call, found: LaunchTemplate) -> Template:
    """One as it stands, without what it does on first boot: answers of what changes something are kept for a day."""
    standing = template_standings.one(call.connection, call.team.team_id, found, now=call.now)
    template: Template = to_wire(found, standing)
    return template


@route(
    "GET",
    "/api/teams/{team_id}/templates",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=Templates,
)
def list_all(call: Call, team_id: str) -> Templates:
    """The team's templates, with what each costs now, whether it is in stock, and what of it is gone."""
    found = launch_templates.listed(call.connection, call.team.team_id)
    standings = template_standings.of(call.connection, call.team.team_id, found, now=call.now)
    return Templates(templates=[to_wire(each, standing) for each, standing in zip(found, standings, strict=True)])


@route(
    "POST",
    "/api/teams/{team_id}/templates",
    needs=Permission.manage_templates,
    target=Target.team,
    target_from="path:team_id",
    body=NewTemplate,
    answers=Template,
    status=201,
)
def create(call: Call, team_id: str, body: NewTemplate) -> Template:
    """Save a launch under a name: of `offerId` with what is given, or as `deploymentId` was launched.

    A hundred for a team at most: 409 `TOO_MANY_TEMPLATES`; a name that there is already: 409 `TEMPLATE_EXISTS`.
    """
    given, before = given_of(body), None
    if body.deployment_id is not None:
        before = blueprints.of_deployment(call.connection, call.team.team_id, body.deployment_id)
    if body.offer_id is not None:
        given["offer_id"] = body.offer_id
    elif before is None:
        raise BadRequest("Say what it launches.", details={"offerId": "required, or deploymentId"})
    blueprint = Blueprint(**given) if before is None else blueprints.changed(before, given)
    made = launch_templates.create(call.connection, call.team, body.name, blueprint, like=before, now=call.now)
    return shown(call, made)


@route(
    "GET",
    "/api/teams/{team_id}/templates/{template_id}",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=WholeTemplate,
)
def show(call: Call, team_id: str, template_id: str) -> WholeTemplate:
    """One template, with the launch that it makes now.

    `launch` is the body of `POST /api/deployments` that launches it, for those who may: change in it what you like
    before you send it. What the template names and isn't there any more is in `problems`; a launch is refused for it as
    ever.
    """
    found = launch_templates.find(call.connection, call.team.team_id, template_id)
    standing = template_standings.one(call.connection, call.team.team_id, found, now=call.now)
    may_launch = call.team.reach(Permission.launch) is not None
    launch = None
    if may_launch:
        order = template_standings.next_order(call.connection, call.team.team_id, standing, now=call.now)
        launch = to_launch(found, order)
    cloud_init = to_cloud_init(found.cloud_init) if may_launch else None
    whole: WholeTemplate = to_wire(found, standing, WholeTemplate, cloud_init=cloud_init, launch=launch)
    return whole


@route(
    "PATCH",
    "/api/teams/{team_id}/templates/{template_id}",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    body=ChangedTemplate,
    answers=Template,
    raises=(409,),
)
def change(call: Call, team_id: str, template_id: str, body: ChangedTemplate) -> Template:
    """Rename a template, or change what it launches: whoever saved it, owners and admins.

    With another `offerId` the region, system and type are that offer's, unless they are given too.
    """
    given = given_of(body)
    if body.offer_id is not UNSET:
        given["offer_id"] = body.offer_id
    if not given and body.name is UNSET:
        raise BadRequest("Say what is to be different.", details={"body": "name, or what it launches"})
    changed = launch_templates.change(
        call.connection,
        call.team,
        template_id,
        name=None if body.name is UNSET else body.name,
        changes=given,
        now=call.now,
    )
    return shown(call, changed)


@route(
    "DELETE",
    "/api/teams/{team_id}/templates/{template_id}",
    needs=Permission.see,
    target=Target.team,
    target_from="path:team_id",
    answers=Deleted,
)
def delete(call: Call, team_id: str, template_id: str) -> Deleted:
    """Delete a template: whoever saved it, owners and admins. Machines that were launched from it run on."""
    launch_templates.delete(call.connection, call.team, template_id, now=call.now)
    return Deleted(success=True)
