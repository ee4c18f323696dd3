"""Invitations: an owner's side by the team, the invited person's by the token of the link."""

from forebay.client.request import Answer, Page, Request, given


class Invitation(Answer):
    """An invitation as the team's owners see it: never its link."""

    id: str
    email: str
    role: str
    state: str
    """`pending`, `accepted`, `declined`, `revoked` or `expired`."""
    invited_by: str
    inviter_name: str
    created_at: str
    sent_at: str
    expires_at: str
    closed_at: str | None


class Invitations(Page):
    """A page of them, newest first."""

    invitations: list[Invitation]


class InvitationToMe(Answer):
    """What a link says."""

    team_name: str
    inviter_name: str
    email: str
    role: str
    may_do: str
    state: str
    expires_at: str


class Joined(Answer):
    """I belong to the team now."""

    team_id: str
    team_name: str
    role: str


class InvitationRevoked(Answer):
    """Its link is good for nothing any more."""

    success: bool


class Declined(Answer):
    """I said no."""

    success: bool


def listed(team_id: str, *, page: int | None = None, limit: int | None = None) -> Request[Invitations]:
    """The team's invitations, open and closed."""
    return Request(
        method="GET",
        path="/api/teams/{team_id}/invitations",
        at={"team_id": team_id},
        query=given(page=page, limit=limit),
        answers=Invitations,
    )


def send(team_id: str, email: str, role: str) -> Request[Invitation]:
    """Invite an address; the link in the mail is good for a week, and once."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/invitations",
        at={"team_id": team_id},
        body={"email": email, "role": role},
        answers=Invitation,
    )


def resend(team_id: str, invitation_id: str) -> Request[Invitation]:
    """Send a new link; the old one ends."""
    return Request(
        method="POST",
        path="/api/teams/{team_id}/invitations/{invitation_id}/resend",
        at={"team_id": team_id, "invitation_id": invitation_id},
        answers=Invitation,
    )


def revoke(team_id: str, invitation_id: str) -> Request[InvitationRevoked]:
    """End an invitation."""
    return Request(
        method="DELETE",
        path="/api/teams/{team_id}/invitations/{invitation_id}",
        at={"team_id": team_id, "invitation_id": invitation_id},
        answers=InvitationRevoked,
    )


def show(token: str) -> Request[InvitationToMe]:
    """What a link says; looking changes nothing."""
    return Request(
        method="GET", path="/api/invitations/{token}", at={"token": token}, answers=InvitationToMe, is_open=True
    )


def accept(token: str) -> Request[Joined]:
    """Accept: only the invited address can."""
    return Request(method="POST", path="/api/invitations/{token}/accept", at={"token": token}, answers=Joined)


def decline(token: str) -> Request[Declined]:
    """Say no."""
    return Request(
        method="POST", path="/api/invitations/{token}/decline", at={"token": token}, answers=Declined, is_open=True
    )
