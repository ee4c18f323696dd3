"""Inviting people to the team, and what becomes of it. What the invited see is in `invitations.py`."""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import invitations
from forebay.domain.people.invitations import Post
from forebay.domain.people.roles import IN_WORDS, Permission, Role, standing
from forebay.domain.people.sent_links import Limits
from forebay.errors import BadRequest, ForebayError, NotFound
from forebay.ids import is_id
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

MANAGE = Permission.manage_members


class SentInvitationPages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/team/invite", self.ask, needs=MANAGE),
            page("POST", "/team/invite", self.invite, needs=MANAGE),
            page("POST", "/team/invitations/{invitation_id}/resend", self.resend, needs=MANAGE),
            page("POST", "/team/invitations/{invitation_id}/revoke", self.revoke, needs=MANAGE),
        ]

    def post(self) -> Post:
        """What an invitation is sent with."""
        settings = self.frame.settings
        limits = Limits(
            team=settings.invitations_per_team,
            address=settings.invitations_per_address,
            address_and_team=settings.invitations_per_team_and_address,
        )
        return Post(secret_key=self.frame.secret_key, public_url=self.frame.public_url, limits=limits)

    def ask(self, visit: Visit, error: ForebayError | None = None) -> Page:
        """Whom, and as what."""
        mode = visit.context.member_mode
        options = [(str(role), f"{role}: may {IN_WORDS[standing(role, mode)]}") for role in reversed(Role)]
        given = {name: visit.form.get(name, "")[:320] for name in ("email", "role")}
        with self.dashboard.read() as connection:
            return self.dashboard.show(visit, connection, "invite.html", error=error, options=options, given=given)

    def invite(self, visit: Visit) -> Page:
        """Send the mail."""
        role = visit.form.get("role", "")
        try:
            if role not in list(Role):
                raise BadRequest("There is no such role.", details={"role": "owner, admin or member"})
            with self.dashboard.begin(visit) as connection:
                email = visit.form.get("email", "")[:320]
                found = invitations.create(connection, visit.context, email, Role(role), self.post(), now=visit.now)
        except ForebayError as error:
            if error.status not in (400, 409, 429):
                raise
            return self.ask(visit, error)
        return self.back(visit, f"{found.email} is invited. The link in the mail is good for 7 days.")

    def resend(self, visit: Visit) -> Page:
        """A new link; the old one is dead."""
        try:
            with self.dashboard.begin(visit) as connection:
                invitations.resend(connection, visit.context, self.id_of(visit), self.post(), now=visit.now)
        except ForebayError as error:
            if error.status not in (409, 429):
                raise
            return self.back(visit, error.sentence)
        return self.back(visit, "The invitation is sent again. The link of the first mail is dead.")

    def revoke(self, visit: Visit) -> Page:
        """The link is dead."""
        try:
            with self.dashboard.begin(visit) as connection:
                invitations.revoke(connection, visit.context, self.id_of(visit), now=visit.now)
        except ForebayError as error:
            if error.status != 409:
                raise
            return self.back(visit, error.sentence)
        return self.back(visit, "The invitation is revoked.")

    def id_of(self, visit: Visit) -> str:
        """The invitation of the address. Raises NotFound."""
        found = visit.parameters["invitation_id"]
        if not is_id(found):
            raise NotFound("Invitation")
        return found

    def back(self, visit: Visit, said: str) -> Page:
        """To the team."""
        self.frame.nudge("mails")
        self.frame.say(visit, said)
        return go(f"/t/{visit.context.slug}/team")
