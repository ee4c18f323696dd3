"""A team's webhooks: where they lead, what they are told of, and what came of every attempt to tell them."""

from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import webhook_deliveries, webhooks
from forebay.domain.people.notification_kinds import FOR_WEBHOOKS, MEANINGS, Kind
from forebay.domain.people.public_addresses import place, walls_of
from forebay.domain.people.roles import Permission
from forebay.domain.people.webhooks import Webhook
from forebay.errors import ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

MANAGE = Permission.manage_webhooks
LIMIT = 20


class WebhookPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame
        self.walls = walls_of(dashboard.frame.settings)

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        one = "/team/webhooks/{webhook_id}"
        pages = (
            ("GET", "/team/webhooks", self.show_all),
            ("GET", "/team/webhooks/add", self.ask),
            ("POST", "/team/webhooks/add", self.add),
            ("GET", one, self.show),
            ("POST", f"{one}/test", self.test),
            ("POST", f"{one}/enable", self.enable),
            ("POST", f"{one}/disable", self.disable),
            ("POST", f"{one}/rotate", self.rotate),
            ("GET", f"{one}/delete", self.ask_to_delete),
            ("POST", f"{one}/delete", self.delete),
        )
        return [self.dashboard.page(method, path, function, needs=MANAGE) for method, path, function in pages]

    def show_all(self, visit: Visit) -> Page:
        """The team's webhooks."""
        with self.dashboard.read() as connection:
            found = webhooks.listed(connection, visit.context.team_id, self.frame.secret_key)
            return self.dashboard.show(visit, connection, "webhooks.html", webhooks=found)

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """The form for a new one."""
        given = {name: visit.form.get(name, "")[:1000] for name in ("name", "url")}
        kinds = [(kind.value, MEANINGS[kind].says, kind.value in visit.form) for kind in FOR_WEBHOOKS]
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, "webhook_add.html", error=error, given=given, kinds=kinds)

    def add(self, visit: Visit) -> Page:
        """Add it; its secret is on the page that answers, and nowhere else."""
        url = visit.form.get("url", "").strip()
        kinds = [kind for kind in FOR_WEBHOOKS if kind.value in visit.form]
        try:
            name = visit.form.get("name", "").strip() or place(url, self.walls).host[:80]
            with self.dashboard.begin(visit) as connection:
                made, secret = webhooks.add(
                    connection,
                    visit.context,
                    name=name,
                    url=url,
                    kinds=[Kind(kind) for kind in kinds] or None,
                    walls=self.walls,
                    secret_key=self.frame.secret_key,
                    now=visit.now,
                )
        except ForebayError as error:
            if error.status in (403, 404):
                raise
            return self.ask(visit, error)
        return self.hand_over(visit, made, secret)

    def hand_over(self, visit: Visit, webhook: Webhook, secret: str) -> Page:
        """The secret, shown this once."""
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, "webhook_secret.html", webhook=webhook, secret=secret)

    def wanted(self, visit: Visit) -> str:
        """The id in the address. Raises NotFound."""
        webhook_id = visit.parameters["webhook_id"]
        if not is_id(webhook_id):
            raise NotFound("Webhook")
        return webhook_id

    def show(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """One of them, with its last deliveries."""
        webhook_id = self.wanted(visit)
        with self.dashboard.read() as connection:
            found = webhooks.look(connection, visit.context.team_id, webhook_id, self.frame.secret_key)
            sent, total = webhook_deliveries.listed(connection, webhook_id, page=1, limit=LIMIT)
            return self.dashboard.show(
                visit, connection, "webhook.html", error=error, webhook=found, deliveries=sent, total=total
            )

    def test(self, visit: Visit) -> Page:
        """Send a message that tells nothing."""
        context = visit.context
        team = {"id": context.team_id, "name": context.team_name, "slug": context.slug}
        try:
            with self.dashboard.begin(visit) as connection:
                found = webhooks.find(connection, context.team_id, self.wanted(visit), self.frame.secret_key)
                webhook_deliveries.test_by(connection, visit.person, found, team, self.frame.public_url, now=visit.now)
        except ForebayError as error:
            if error.status not in (409, 429):
                raise
            return self.show(visit, error)
        self.frame.nudge("webhooks")
        return self.back(visit, "A test is on its way. Look again in a moment.")

    def enable(self, visit: Visit) -> Page:
        """Send there again."""
        return self.change(visit, "What happens from now on is sent there.", is_enabled=True)

    def disable(self, visit: Visit) -> Page:
        """Send nothing there."""
        return self.change(visit, "Nothing is sent there any more.", is_enabled=False)

    def change(self, visit: Visit, said: str, **changes: Any) -> Page:
        """Make it different."""
        with self.dashboard.begin(visit) as connection:
            webhooks.change(
                connection,
                visit.context,
                self.wanted(visit),
                changes,
                walls=self.walls,
                secret_key=self.frame.secret_key,
                now=visit.now,
            )
        return self.back(visit, said)

    def rotate(self, visit: Visit) -> Page:
        """A new secret; for a day messages are signed with both."""
        with self.dashboard.begin(visit) as connection:
            found, secret = webhooks.rotate(
                connection,
                visit.context,
                self.wanted(visit),
                keep_hours=24,
                walls=self.walls,
                secret_key=self.frame.secret_key,
                now=visit.now,
            )
        return self.hand_over(visit, found, secret)

    def ask_to_delete(self, visit: Visit) -> Page:
        """What goes with it."""
        with self.dashboard.read() as connection:
            found = webhooks.look(connection, visit.context.team_id, self.wanted(visit), self.frame.secret_key)
            return self.dashboard.show(visit, connection, "webhook_delete.html", webhook=found)

    def delete(self, visit: Visit) -> Page:
        """Delete it."""
        with self.dashboard.begin(visit) as connection:
            webhooks.delete(
                connection,
                visit.context,
                self.wanted(visit),
                walls=self.walls,
                secret_key=self.frame.secret_key,
                now=visit.now,
            )
        self.frame.say(visit, "The webhook is deleted.")
        return go(f"/t/{visit.context.slug}/team/webhooks")

    def back(self, visit: Visit, said: str) -> Page:
        """To its page, which says what was done."""
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/team/webhooks/{self.wanted(visit)}")
