"""An invitation as the invited person sees it: who asks, into which team, to do what; the buttons decide.

Whoever is signed out signs in or makes an account and comes back here.
"""

from litestar.handlers import HTTPRouteHandler

from forebay.domain.people import invitations, teams
from forebay.domain.people.invitation_letters import ROLES
from forebay.domain.people.roles import IN_WORDS, standing
from forebay.web.frame import START, Frame, Page
from forebay.web.visits import Visit, with_next


class InvitationPages:
    """The pages of one server."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("GET", "/invitations", self.show),
            page("POST", "/invitations/accept", self.accept),
            page("POST", "/invitations/decline", self.decline),
        ]

    def show(self, visit: Visit) -> Page:
        """The invitation of a link, whatever became of it."""
        token = visit.query.get("token", "")[:200]
        with self.frame.database.read() as connection:
            found = invitations.by_token(connection, token, self.frame.secret_key, now=visit.now)
        is_open = found.state is invitations.State.pending
        here = f"/invitations?token={token}"
        return Page(
            template="invitation.html",
            values={
                "invitation": found,
                "token": token,
                "role": ROLES[found.role],
                "may_do": IN_WORDS[standing(found.role, found.member_mode)],
                "closed": "" if is_open else invitations.InvitationClosed(found.state).sentence,
                "sign_in": with_next("/sign-in", here),
                "sign_up": f"{with_next('/sign-up', here)}",
            },
        )

    def accept(self, visit: Visit) -> Page:
        """Join the team."""
        visit.person.demand_second_factor(self.frame.settings.require_second_factor)
        with self.frame.begin(visit) as connection:
            found = invitations.accept(
                connection, visit.person, visit.form.get("token", "")[:200], self.frame.secret_key, now=visit.now
            )
            mine = teams.of_user(connection, visit.person.user_id)
        self.frame.nudge("mails")
        said = f"You belong to {found.team_name} now, as {ROLES[found.role]}."
        link = next((f"/t/{team.slug}" for team in mine if team.id == found.team_id), START)
        return Page(
            template="message.html",
            values={"title": "Welcome", "message": said, "link": link, "label": f"Go to {found.team_name}"},
        )

    def decline(self, visit: Visit) -> Page:
        """Say no; the link is enough for it."""
        with self.frame.begin(visit) as connection:
            found = invitations.decline(
                connection,
                visit.form.get("token", "")[:200],
                self.frame.secret_key,
                now=visit.now,
                caller=visit.caller,
            )
        self.frame.nudge("mails")
        said = f"You have declined the invitation to {found.team_name}."
        return Page(template="message.html", values={"title": "Declined", "message": said})
