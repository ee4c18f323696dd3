"""What the team stores beyond the life of its machines: the list, and all that can be done to a volume."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import overview, volume_regions, volumes, volumes_seen
from forebay.domain.machines.volumes_seen import SeenVolume
from forebay.domain.people import accounts
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard, asker
from forebay.web.frame import Page, go
from forebay.web.machines import Machine, machine
from forebay.web.members import page_of
from forebay.web.visits import Visit

MANAGE = Permission.manage_volumes
MOST = 50
MOST_MACHINES = 200
HERE = "/volumes/{volume_id}"
TONES = {"creating": "calm", "available": "idle", "attached": "good", "deleting": "warn", "failed": "bad"}


class VolumePages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them. Whose machine a volume is attached to, the domain looks for itself."""
        page, operate = self.dashboard.page, Permission.operate
        return [
            page("GET", "/volumes", self.show_all),
            page("GET", "/volumes/create", self.ask, needs=MANAGE),
            page("POST", "/volumes/create", self.create, needs=MANAGE),
            page("GET", f"{HERE}/change", self.ask_changes, needs=MANAGE),
            page("POST", f"{HERE}/change", self.change, needs=MANAGE),
            page("GET", f"{HERE}/attach", self.ask_where, needs=operate),
            page("POST", f"{HERE}/attach", self.attach, needs=operate),
            page("GET", f"{HERE}/detach", self.ask_to_detach, needs=operate),
            page("POST", f"{HERE}/detach", self.detach, needs=operate),
            page("GET", f"{HERE}/delete", self.ask_to_delete, needs=MANAGE),
            page("POST", f"{HERE}/delete", self.delete, needs=MANAGE),
        ]

    def show_all(self, visit: Visit) -> Page:
        """The list, newest first, with the machines that have them."""
        number, team_id = page_of(visit), visit.context.team_id
        with self.dashboard.read() as connection:
            found, total = volumes_seen.of_team(connection, team_id, page=number, limit=MOST)
            return self.dashboard.show(
                visit,
                connection,
                "volumes.html",
                volumes=found,
                tones=TONES,
                machines=self.machines(connection, visit),
                people=accounts.names_of(connection, {each.volume.created_by for each in found}),
                has_regions=bool(volume_regions.listed(connection)),
                total=total,
                page=number,
                limit=MOST,
            )

    def machines(self, connection: Connection, visit: Visit) -> dict[str, Machine]:
        """The team's machines that have not ended, by id."""
        rows = overview.listed(connection, visit.context.team_id, status="active", most=MOST_MACHINES)
        return {each.id: each for each in (machine(row, int(visit.now.timestamp())) for row in rows)}

    def find(self, connection: Connection, visit: Visit) -> SeenVolume:
        """The volume of the address. Raises NotFound."""
        volume_id = visit.parameters["volume_id"]
        if not is_id(volume_id):
            raise NotFound("Volume")
        return volumes_seen.one(connection, volume_id, visit.context.team_id)

    def about(self, visit: Visit, template: str, error: ForebayError | None = None, **values: Any) -> Page:
        """A question about one volume."""
        with self.dashboard.read() as connection:
            found = self.find(connection, visit)
            values = {"seen": found, "volume": found.volume, "given": visit.form, **values}
            return self.dashboard.show(
                visit, connection, template, error=error, machines=self.machines(connection, visit), **values
            )

    def done(self, visit: Visit, said: str) -> Page:
        """To the list; the worker brings it about."""
        self.frame.nudge("volumes")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/volumes")

    # Making one.

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Its name, size and place, with what a GB costs there."""
        with self.dashboard.read() as connection:
            regions = volume_regions.listed(connection)
            places = [(f"{each.provider}/{each.region}", place_of(each)) for each in regions]
            given = {"sizeInGb": min([100, *(each.max_size_gb for each in regions)]), **visit.form}
            return self.dashboard.show(visit, connection, "volume_create.html", error=error, places=places, given=given)

    def create(self, visit: Visit) -> Page:
        """Make it."""
        provider, _, region = visit.form.get("region", "")[:200].partition("/")
        try:
            order = volumes.Order(
                name=visit.form.get("name", "").strip()[:240],
                size_gb=size_of(visit.form.get("sizeInGb", "")),
                provider=provider,
                region=region or None,
            )
            with self.dashboard.begin(visit) as connection:
                volumes.create(connection, visit.context, order, now=visit.now)
        except ForebayError as error:
            return self.ask(visit, refused(error))
        return self.done(visit, f"{order.name} is being made. It costs from when it is there.")

    # Changing one.

    def ask_changes(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Its name and size as they are."""
        return self.about(visit, "volume_change.html", error)

    def change(self, visit: Visit) -> Page:
        """Rename it, let it grow, or both."""
        try:
            size_gb = size_of(visit.form.get("sizeInGb", ""))
            with self.dashboard.begin(visit) as connection:
                volume_id = self.find(connection, visit).volume.id
                name = visit.form.get("name", "").strip()[:240]
                volumes.update(connection, visit.context, volume_id, name=name, size_gb=size_gb, now=visit.now)
        except ForebayError as error:
            return self.ask_changes(visit, refused(error))
        return self.done(visit, "The volume is changed. A new price counts once it has grown.")

    def ask_where(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Which machines it can be put on: those of its region that one may operate."""
        may = asker(visit.context)
        with self.dashboard.read() as connection:
            found = self.find(connection, visit)
            on = {each.deployment_id for each in found.attachments}
            choices = [
                (each.id, f"{each.name} ({each.word})")
                for each in self.machines(connection, visit).values()
                if (each.provider, each.region) == (found.volume.provider, found.volume.region)
                and each.id not in on
                and may(Permission.operate, each.created_by)
            ]
        return self.about(visit, "volume_attach.html", error, choices=choices)

    def attach(self, visit: Visit) -> Page:
        """Put it on a machine."""
        try:
            with self.dashboard.begin(visit) as connection:
                volume_id = self.find(connection, visit).volume.id
                volumes.attach(connection, visit.context, volume_id, chosen(visit), now=visit.now)
        except ForebayError as error:
            return self.ask_where(visit, refused(error))
        return self.done(visit, "The volume is being attached.")

    def ask_to_detach(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """From which machine."""
        wanted = visit.query.get("deploymentId") or visit.form.get("deploymentId", "")
        return self.about(visit, "volume_detach.html", error, wanted=wanted)

    def detach(self, visit: Visit) -> Page:
        """Take it off."""
        try:
            with self.dashboard.begin(visit) as connection:
                volume_id = self.find(connection, visit).volume.id
                volumes.detach(connection, visit.context, volume_id, chosen(visit), now=visit.now)
        except ForebayError as error:
            return self.ask_to_detach(visit, refused(error))
        return self.done(visit, "The volume is being detached.")

    def ask_to_delete(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """What will be lost."""
        return self.about(visit, "volume_delete.html", error)

    def delete(self, visit: Visit) -> Page:
        """Delete it with all that is on it."""
        try:
            with self.dashboard.begin(visit) as connection:
                volume = self.find(connection, visit).volume
                if visit.form.get("confirm", "").strip() != volume.name:
                    raise BadRequest("The volume was not deleted.", details={"confirm": "that is not its name"})
                volumes.delete(connection, visit.context, volume.id, now=visit.now)
        except ForebayError as error:
            return self.ask_to_delete(visit, refused(error))
        return self.done(visit, f"{volume.name} is deleted. It costs nothing from this second on.")


def refused(error: ForebayError) -> ForebayError:
    """An error to be shown in the form; who may not do it at all is told so on a page of its own."""
    if error.status in (401, 403, 404) and error.code != "TEAM_FROZEN":
        raise error
    return error


def size_of(text: str) -> int:
    """A size in GB. Raises BadRequest."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 7 and int(text) > 0):
        raise BadRequest("A volume can't have this size.", details={"sizeInGb": "a whole number of GB"})
    return int(text)


def chosen(visit: Visit) -> str:
    """The machine that the form names. Raises BadRequest."""
    found = visit.form.get("deploymentId", "")
    if not is_id(found):
        raise BadRequest("No machine was chosen.", details={"deploymentId": "choose a machine"})
    return found


def place_of(region: volume_regions.Region) -> str:
    """A region with its price and bounds, as an option of a select."""
    price = f"{region.nanos_per_gb * 730 / 1_000_000_000:.3f}"
    where = region.name if region.provider == region.region else f"{region.name} ({region.provider})"
    return f"{where}: ${price} a GB a month, {region.min_size_gb} to {region.max_size_gb:,} GB"
