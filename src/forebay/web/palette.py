"""What the search palette finds: pages, actions, the person's teams, the team's machines and templates."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import launch_templates, overview
from forebay.domain.people import teams
from forebay.domain.people.roles import Permission
from forebay.web.dashboard import NAVIGATION, OPERATOR, Dashboard, asker
from forebay.web.frame import Page
from forebay.web.visits import Visit

MOST_MACHINES = 200
ACTIONS = (
    ("/deploy", "Launch a machine", Permission.launch),
    ("/ssh-keys/add", "Add an SSH key", Permission.manage_ssh_keys),
    ("/team/invite", "Invite somebody", Permission.manage_members),
    ("/billing/add", "Add credits", Permission.manage_billing),
    ("/volumes/create", "Create a volume", Permission.manage_volumes),
)
ID, NAME, STATUS = (overview.OWN.index(name) for name in ("id", "name", "status"))


class PalettePages:
    """One list a team."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard = dashboard

    def handlers(self) -> list[HTTPRouteHandler]:
        """The list."""
        return [self.dashboard.page("GET", "/palette", self.entries)]

    def entries(self, visit: Visit) -> Page:
        """Everything that can be gone to; the browser searches in it."""
        context, base = visit.context, f"/t/{visit.context.slug}"
        may, there = asker(context), self.dashboard.needs
        with self.dashboard.read() as connection:
            mine = teams.of_user(connection, visit.person.user_id)
            machines = overview.listed(connection, context.team_id, most=MOST_MACHINES)
            saved = launch_templates.listed(connection, context.team_id) if may(Permission.launch) else []
        pages = [(path, name) for path, name, _ in NAVIGATION]
        found = [entry("Page", name, f"{base}{path}") for path, name in pages if ("GET", f"/t/{{slug}}{path}") in there]
        if visit.person.is_operator:
            found.append(entry("Page", "Operator", OPERATOR))
        found += [
            entry("Action", name, f"{base}{path}")
            for path, name, needed in ACTIONS
            if ("GET", f"/t/{{slug}}{path}") in there and may(needed)
        ]
        found += [entry("Machine", row[NAME], f"{base}/deployments/{row[ID]}", row[STATUS]) for row in machines]
        found += [
            entry("Template", each.name, f"{base}/deploy/new?template={each.id}", each.offer_id) for each in saved
        ]
        found += [entry("Team", team.name, f"/t/{team.slug}") for team in mine]
        found.append(entry("Action", "Create a team", "/teams/new"))
        wanted = "Show short amounts and times" if visit.is_exact else "Show exact amounts and times"
        found.append(entry("Action", wanted, base) | {"presses": "exactness"})
        return Page(json={"entries": found})


def entry(kind: str, name: str, address: str, more: str = "") -> dict[str, str]:
    """One of them, as our script takes it. Where it `presses` something, that is a button of the frame, by its id."""
    return {"kind": kind, "name": name, "address": address, "more": f"{kind} · {more}" if more else kind}
