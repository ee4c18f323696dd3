"""The keys that open the team's machines: the list, adding one, deleting one."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import ssh_keys
from forebay.domain.machines.ssh_keys import SshKey
from forebay.domain.people import accounts
from forebay.domain.people.roles import Permission
from forebay.errors import ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard, beside
from forebay.web.frame import Page, go
from forebay.web.key_files import key_of
from forebay.web.visits import Visit

FILE = "publicKeyFile"
MANAGE = Permission.manage_ssh_keys


class SshKeyPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/ssh-keys", self.show_all),
            page("GET", "/ssh-keys/add", self.ask, needs=MANAGE),
            page("POST", "/ssh-keys/add", self.add, needs=MANAGE),
            page("GET", "/ssh-keys/{key_id}/delete", self.ask_to_delete, needs=MANAGE),
            page("POST", "/ssh-keys/{key_id}/delete", self.delete, needs=MANAGE),
        ]

    def show_all(self, visit: Visit) -> Page:
        """The team's keys, with who added them and the machines that hold them."""
        with self.dashboard.read() as connection:
            keys = ssh_keys.of_team(connection, visit.context.team_id)
            return self.dashboard.show(
                visit,
                connection,
                "ssh_keys.html",
                keys=keys,
                machines=ssh_keys.machines_with(connection, visit.context.team_id),
                people=accounts.names_of(connection, {key.created_by for key in keys}),
            )

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form for a new one."""
        given = {name: visit.form.get(name, "")[:20_000] for name in ("name", "publicKey")}
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, "ssh_key_add.html", error=error, given=given)

    def add(self, visit: Visit) -> Page:
        """Add it to the team. Without a name it gets the comment in it, which says whose and where from it is."""
        given = visit.form.get("name", "").strip()
        try:
            text = key_of(visit, "publicKey", FILE)
            name = given or ssh_keys.parse(text)[2] or "key"
            with self.dashboard.begin(visit) as connection:
                key = ssh_keys.add_by(connection, visit.context, name=name[:120], public_key=text, now=visit.now)
        except ForebayError as error:
            if error.status in (403, 404):
                raise
            return self.ask(visit, beside(error, {"publicKey": FILE}) if FILE in visit.files else error)
        self.frame.say(visit, f"{key.name} is added. It can be chosen at the next launch.")
        return self.back(visit)

    def find(self, visit: Visit) -> SshKey:
        """The key of the address. Raises NotFound."""
        key_id = visit.parameters["key_id"]
        if not is_id(key_id):
            raise NotFound("SSH key")
        with self.dashboard.read() as connection:
            return ssh_keys.get(connection, visit.context.team_id, key_id)

    def ask_to_delete(self, visit: Visit) -> Page:
        """Which machines it leaves."""
        key = self.find(visit)
        with self.dashboard.read() as connection:
            machines = ssh_keys.machines_with(connection, visit.context.team_id).get(key.id, [])
            return self.dashboard.show(visit, connection, "ssh_key_delete.html", key=key, machines=machines)

    def delete(self, visit: Visit) -> Page:
        """Take it out of the team."""
        key = self.find(visit)
        with self.dashboard.begin(visit) as connection:
            ssh_keys.delete_by(connection, visit.context, key.id, now=visit.now)
        self.frame.nudge("ssh-keys")
        self.frame.say(visit, f"{key.name} is deleted, and off every machine within a minute.")
        return self.back(visit)

    def back(self, visit: Visit) -> Page:
        """To the list."""
        return go(f"/t/{visit.context.slug}/ssh-keys")
