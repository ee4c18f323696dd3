"""The page on which a signed-in person lets a program in, or does not."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import cli_sign_ins
from forebay.errors import NotFound
from forebay.web.frame import Frame, Page
from forebay.web.visits import Visit


class CliPages:
    """The pages of one server."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [page("GET", "/cli", self.show), page("POST", "/cli", self.decide)]

    def show(self, visit: Visit) -> Page:
        """Which program asks, from where, with which code."""
        person, code = visit.person, visit.query.get("code", "")[:40]
        if not code:
            return Page(template="cli.html", values={"asking": None, "person": person})
        # A program's session is as recent as the one it was approved in, and this is how it becomes recent again.
        self.frame.demand_recent(visit)
        try:
            with self.frame.database.read() as connection:
                _, asking = cli_sign_ins.waiting(connection, code, self.frame.secret_key, now=visit.now)
        except NotFound:
            return unknown()
        return Page(template="cli.html", values={"asking": asking, "person": person})

    def decide(self, visit: Visit) -> Page:
        """Approve or deny."""
        person, code = visit.person, visit.form.get("code", "")[:40]
        is_approved = visit.form.get("decision") == "approve"
        if is_approved:
            person.demand_second_factor(self.frame.settings.require_second_factor)
            self.frame.demand_recent(visit)
        decision = cli_sign_ins.approve if is_approved else cli_sign_ins.deny
        try:
            with self.frame.begin(visit) as connection:
                asking = decision(connection, visit.person, code, self.frame.secret_key, now=visit.now)
        except NotFound:
            return unknown()
        said = f"{asking.name} is signed in as you. Go back to it; you can close this page."
        if not is_approved:
            said = f"{asking.name} was not let in."
        title = "Approved" if is_approved else "Denied"
        return Page(template="message.html", values={"title": title, "message": said})


def unknown() -> Page:
    """A code that nobody waits for."""
    sentence = "This code is not known, was decided already, or is older than ten minutes. Begin again in the program."
    return Page(template="cli.html", status=404, values={"asking": None, "error": sentence})
