"""What one is mailed, as switches on a page: mails lead here for whoever wants fewer of them."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import stock_watches
from forebay.domain.people import notifications
from forebay.domain.people.notification_kinds import MEANINGS, Kind
from forebay.domain.people.notifications import SETTINGS_PAGE
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit


class NotificationPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [page("GET", SETTINGS_PAGE, self.show), page("POST", SETTINGS_PAGE, self.choose)]

    def show(self, visit: Visit) -> Page:
        """All kinds, and the offers that are waited for."""
        person = visit.person
        with self.frame.database.read() as connection:
            chosen = notifications.choices(connection, person.user_id)
            watches = stock_watches.of_person(connection, person.user_id)
            kinds = [(kind.value, MEANINGS[kind], chosen[kind]) for kind in Kind]
            return self.dashboard.show_own(
                visit, connection, "notifications.html", email=person.email, kinds=kinds, watches=watches
            )

    def choose(self, visit: Visit) -> Page:
        """Keep the switches as they were left: a box that isn't checked isn't sent."""
        wanted = {kind: kind.value in visit.form for kind in Kind if not MEANINGS[kind].is_required}
        with self.frame.begin(visit) as connection:
            notifications.put(connection, visit.person, wanted, now=visit.now)
        self.frame.say(visit, "Saved.")
        return go(SETTINGS_PAGE)
