"""The account behind the key or session."""

from typing import Any

from forebay.client.request import Answer, Request


class Me(Answer):
    """An account."""

    id: str
    name: str
    email: str
    is_operator: bool
    api_access: str
    current_team_id: str | None
    """Of the key, or of the person for a session."""


class CurrentTeamSet(Answer):
    """It is the current one now."""

    current_team_id: str


class Export(Answer):
    """Everything that is kept about an account, in lists of rows."""

    account: dict[str, Any]
    teams: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    api_keys: list[dict[str, Any]]
    passkeys: list[dict[str, Any]]
    identities: list[dict[str, Any]]
    ssh_keys: list[dict[str, Any]]
    deployments: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    launch_templates: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    notification_choices: list[dict[str, Any]]
    stock_watches: list[dict[str, Any]]
    activity: list[dict[str, Any]]


def show() -> Request[Me]:
    """Who I am."""
    return Request(method="GET", path="/api/me", answers=Me)


def rename(name: str) -> Request[Me]:
    """Change my name. Needs a session."""
    return Request(method="PATCH", path="/api/me", body={"name": name}, answers=Me)


def set_current_team(team_id: str) -> Request[CurrentTeamSet]:
    """Look at another team from now on. Needs a session; a key's team is a setting of the key."""
    return Request(method="PUT", path="/api/me/current-team", body={"teamId": team_id}, answers=CurrentTeamSet)


def export() -> Request[Export]:
    """Everything that is kept about me. Needs a recent sign-in."""
    return Request(method="GET", path="/api/me/export", answers=Export)
