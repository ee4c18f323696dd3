"""Who may do what: the one table that answers for the API, the pages, the documentation and the tests.

A person stands in a team as owner, admin or member; what a member may do hangs on the team's member mode. An operator
of the platform has no standing in a team: what operators do goes through routes of their own.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a membership says."""

    owner = "owner"
    admin = "admin"
    member = "member"


class MemberMode(StrEnum):
    """What the team lets its members do: launch machines of their own, or look."""

    deploy_only = "deploy-only"
    read_only = "read-only"


class Standing(StrEnum):
    """A role, and for members the team's mode with it: the columns of the table."""

    owner = "owner"
    admin = "admin"
    deploying_member = "member (deploy-only)"
    reading_member = "member (read-only)"


class Reach(StrEnum):
    """How far a permission goes."""

    all = "all"
    own = "own"
    """Only what the person started or made."""


class Permission(StrEnum):
    """The rows of the table."""

    see = "team.see"
    manage_team = "team.manage"
    manage_members = "members.manage"
    launch = "deployments.launch"
    operate = "deployments.operate"
    manage_templates = "templates.manage"
    manage_ssh_keys = "ssh-keys.manage"
    manage_volumes = "volumes.manage"
    manage_billing = "billing.manage"
    manage_webhooks = "webhooks.manage"
    set_team_budget = "budgets.team"
    set_budgets = "budgets.others"
    read_activity = "activity.read"
    move_credits = "credits.move"
    leave = "team.leave"


SENTENCES = {
    Permission.see: "see the team, its members, balance, usage, deployments, volumes and keys",
    Permission.manage_team: "rename the team, set the member mode, transfer ownership, delete the team",
    Permission.manage_members: "invite, revoke, change a role, remove a member",
    Permission.launch: "launch a deployment, attach volumes to it, preview a launch",
    Permission.operate: "rename, label, stop, start and terminate a deployment; its keys, volumes, logs and terminal",
    Permission.manage_templates: "save launches as templates of the team; rename, replace and delete them",
    Permission.manage_ssh_keys: "add and delete SSH keys",
    Permission.manage_volumes: "create, resize and delete volumes",
    Permission.manage_billing: "see and change cards, deposits, auto top-up; see transactions and statements",
    Permission.manage_webhooks: "see, add, change, test and delete the team's webhooks",
    Permission.set_team_budget: "set the budget of the team",
    Permission.set_budgets: "set budgets of members, keys and labels, never one's own",
    Permission.read_activity: "read the team's activity",
    Permission.move_credits: "move credits to another team that one owns",
    Permission.leave: "leave the team (the last owner can't)",
}

OWNER, ADMIN, DEPLOYING, READING = Standing.owner, Standing.admin, Standing.deploying_member, Standing.reading_member

TABLE: dict[Permission, dict[Standing, Reach]] = {
    Permission.see: dict.fromkeys(Standing, Reach.all),
    Permission.manage_team: {OWNER: Reach.all},
    Permission.manage_members: {OWNER: Reach.all},
    Permission.launch: {OWNER: Reach.all, ADMIN: Reach.all, DEPLOYING: Reach.all},
    Permission.operate: {OWNER: Reach.all, ADMIN: Reach.all, DEPLOYING: Reach.own},
    Permission.manage_templates: {OWNER: Reach.all, ADMIN: Reach.all, DEPLOYING: Reach.own},
    Permission.manage_ssh_keys: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.manage_volumes: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.manage_billing: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.manage_webhooks: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.set_team_budget: {OWNER: Reach.all},
    Permission.set_budgets: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.read_activity: {OWNER: Reach.all, ADMIN: Reach.all},
    Permission.move_credits: {OWNER: Reach.all},
    Permission.leave: dict.fromkeys(Standing, Reach.all),
}

IN_WORDS = {
    OWNER: "do everything in the team: machines, credits and cards, members, and the team itself",
    ADMIN: "launch and operate all machines, manage keys, volumes and billing; not members, nor the team itself",
    DEPLOYING: "launch machines and operate those they launched, and see everything else",
    READING: "see the team's machines, members, balance and usage, and change nothing",
}
"""What a person may do, for those who don't know the table."""

MONEY = frozenset(
    {Permission.manage_billing, Permission.move_credits, Permission.set_team_budget, Permission.set_budgets}
)
"""A key may use these only if it was made so."""
NEVER_BY_KEY = frozenset({Permission.manage_team, Permission.manage_members, Permission.leave})
"""Owners, members and the team itself are changed by people who are signed in, never by a key."""


def standing(role: Role, mode: MemberMode) -> Standing:
    """The column that a role has in a team of this mode."""
    if role is Role.owner:
        return Standing.owner
    if role is Role.admin:
        return Standing.admin
    return Standing.deploying_member if mode is MemberMode.deploy_only else Standing.reading_member


def reach(permission: Permission, role: Role, mode: MemberMode) -> Reach | None:
    """How far the permission goes for this role in a team of this mode; None: not at all."""
    return TABLE[permission].get(standing(role, mode))


def who_has(permission: Permission) -> list[str]:
    """The standings that have the permission, for the sentence that refuses it."""
    return [
        f"{column} (own)" if TABLE[permission][column] is Reach.own else str(column)
        for column in Standing
        if column in TABLE[permission]
    ]


def documentation() -> str:
    """The table as Markdown, for `docs/roles.md`."""
    marks = {Reach.all: "yes", Reach.own: "own"}
    rows = [
        f"| Permission | May | {' | '.join(column.capitalize() for column in Standing)} |",
        "|---|---|---|---|---|---|",
    ]
    for permission in Permission:
        cells = [marks[TABLE[permission][column]] if column in TABLE[permission] else "" for column in Standing]
        rows.append(f"| `{permission}` | {SENTENCES[permission]} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
