"""The one table, held against what was decided."""

from forebay.domain.people.roles import TABLE, MemberMode, Permission, Reach, Role, Standing, reach

# owner, admin, deploying member, reading member: a = all, o = own, - = not at all.
DECIDED = {
    Permission.see: "aaaa",
    Permission.manage_team: "a---",
    Permission.manage_members: "a---",
    Permission.launch: "aaa-",
    Permission.operate: "aao-",
    Permission.manage_templates: "aao-",
    Permission.manage_ssh_keys: "aa--",
    Permission.manage_volumes: "aa--",
    Permission.manage_billing: "aa--",
    Permission.manage_webhooks: "aa--",
    Permission.set_team_budget: "a---",
    Permission.set_budgets: "aa--",
    Permission.read_activity: "aa--",
    Permission.move_credits: "a---",
    Permission.leave: "aaaa",
}


def test_the_table_is_what_was_decided() -> None:
    letters = {None: "-", Reach.all: "a", Reach.own: "o"}
    found = {
        permission: "".join(letters[TABLE[permission].get(column)] for column in Standing) for permission in Permission
    }
    assert found == DECIDED


def test_the_member_mode_changes_members_alone() -> None:
    for permission in Permission:
        for role in (Role.owner, Role.admin):
            assert reach(permission, role, MemberMode.deploy_only) is reach(permission, role, MemberMode.read_only)
    assert reach(Permission.launch, Role.member, MemberMode.deploy_only) is Reach.all
    assert reach(Permission.launch, Role.member, MemberMode.read_only) is None
