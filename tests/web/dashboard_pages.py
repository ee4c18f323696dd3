"""The pages of teams, and the permission that each needs. A test holds the server to it, with everybody who there is.

`OPERATE` stands for pages that whoever sees the team may ask for, and that look for themselves at whose the machine is.
"""

from forebay.domain.people.roles import Permission

SEE = Permission.see
BILL = Permission.manage_billing
OPERATE = Permission.operate

PAGES: dict[tuple[str, str], Permission] = {
    ("GET", "/t/{slug}"): SEE,
    ("GET", "/t/{slug}/palette"): SEE,
    ("GET", "/t/{slug}/live"): SEE,
    ("GET", "/t/{slug}/deploy"): SEE,
    ("GET", "/t/{slug}/deploy/new"): Permission.launch,
    ("POST", "/t/{slug}/deploy/preview"): Permission.launch,
    ("POST", "/t/{slug}/deploy/new"): Permission.launch,
    ("POST", "/t/{slug}/deploy/keys"): Permission.manage_ssh_keys,
    ("GET", "/t/{slug}/deploy/templates"): SEE,
    ("POST", "/t/{slug}/deploy/templates"): Permission.manage_templates,
    ("GET", "/t/{slug}/deploy/templates/new"): Permission.manage_templates,
    ("POST", "/t/{slug}/deploy/templates/new"): Permission.manage_templates,
    ("GET", "/t/{slug}/deploy/templates/{template_id}/rename"): Permission.manage_templates,
    ("POST", "/t/{slug}/deploy/templates/{template_id}/rename"): Permission.manage_templates,
    ("GET", "/t/{slug}/deploy/templates/{template_id}/delete"): Permission.manage_templates,
    ("POST", "/t/{slug}/deploy/templates/{template_id}/delete"): Permission.manage_templates,
    ("GET", "/t/{slug}/deployments"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/logs"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/ssh-keys"): SEE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/ssh-keys"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/rename"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/terminal"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/stop"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/terminate"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/rename"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/start"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/stop"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/terminate"): OPERATE,
    ("GET", "/t/{slug}/billing"): SEE,
    ("POST", "/t/{slug}/billing/start-again"): Permission.operate,
    ("GET", "/t/{slug}/billing/usage"): SEE,
    ("GET", "/t/{slug}/billing/usage.csv"): SEE,
    ("GET", "/t/{slug}/billing/transactions"): BILL,
    ("GET", "/t/{slug}/billing/transactions.csv"): BILL,
    ("GET", "/t/{slug}/billing/statements"): BILL,
    ("GET", "/t/{slug}/billing/statements/{month}"): BILL,
    ("GET", "/t/{slug}/billing/top-ups"): BILL,
    ("POST", "/t/{slug}/billing/top-ups"): BILL,
    ("GET", "/t/{slug}/billing/top-ups/{top_up_id}"): BILL,
    ("GET", "/t/{slug}/billing/top-ups/{top_up_id}/pay"): BILL,
    ("POST", "/t/{slug}/billing/cards"): BILL,
    ("POST", "/t/{slug}/billing/cards/{card_id}/default"): BILL,
    ("GET", "/t/{slug}/billing/cards/{card_id}/delete"): BILL,
    ("POST", "/t/{slug}/billing/cards/{card_id}/delete"): BILL,
    ("GET", "/t/{slug}/billing/card-set-ups/{set_up_id}"): BILL,
    ("GET", "/t/{slug}/billing/card-set-ups/{set_up_id}/page"): BILL,
    ("GET", "/t/{slug}/billing/auto-top-up"): BILL,
    ("POST", "/t/{slug}/billing/auto-top-up"): BILL,
    ("POST", "/t/{slug}/billing/auto-top-up/off"): BILL,
    ("POST", "/t/{slug}/billing/auto-top-up/try-again"): BILL,
    ("GET", "/t/{slug}/billing/move"): Permission.move_credits,
    ("POST", "/t/{slug}/billing/move"): Permission.move_credits,
    ("GET", "/t/{slug}/billing/budgets"): SEE,
    ("GET", "/t/{slug}/billing/budgets/set"): Permission.set_budgets,
    ("POST", "/t/{slug}/billing/budgets/set"): Permission.set_budgets,
    ("GET", "/t/{slug}/billing/budgets/{budget_id}/delete"): Permission.set_budgets,
    ("POST", "/t/{slug}/billing/budgets/{budget_id}/delete"): Permission.set_budgets,
    ("GET", "/t/{slug}/ssh-keys"): SEE,
    ("GET", "/t/{slug}/ssh-keys/add"): Permission.manage_ssh_keys,
    ("POST", "/t/{slug}/ssh-keys/add"): Permission.manage_ssh_keys,
    ("GET", "/t/{slug}/ssh-keys/import"): Permission.manage_ssh_keys,
    ("POST", "/t/{slug}/ssh-keys/import"): Permission.manage_ssh_keys,
    ("POST", "/t/{slug}/ssh-keys/import/add"): Permission.manage_ssh_keys,
    ("GET", "/t/{slug}/ssh-keys/{key_id}/delete"): Permission.manage_ssh_keys,
    **{
        (method, f"/t/{{slug}}/team/webhooks{path}"): Permission.manage_webhooks
        for method, path in (
            ("GET", ""),
            ("GET", "/add"),
            ("POST", "/add"),
            ("GET", "/{webhook_id}"),
            ("POST", "/{webhook_id}/test"),
            ("POST", "/{webhook_id}/enable"),
            ("POST", "/{webhook_id}/disable"),
            ("POST", "/{webhook_id}/rotate"),
            ("GET", "/{webhook_id}/delete"),
            ("POST", "/{webhook_id}/delete"),
        )
    },
    ("POST", "/t/{slug}/ssh-keys/{key_id}/delete"): Permission.manage_ssh_keys,
    ("GET", "/t/{slug}/settings"): SEE,
    ("GET", "/t/{slug}/team"): SEE,
    ("GET", "/t/{slug}/team/permissions"): SEE,
    ("GET", "/t/{slug}/team/activity"): Permission.read_activity,
    ("GET", "/t/{slug}/team/leave"): Permission.leave,
    ("POST", "/t/{slug}/team/leave"): Permission.leave,
    ("GET", "/t/{slug}/team/invite"): Permission.manage_members,
    ("GET", "/t/{slug}/team/members/{user_id}/role"): Permission.manage_members,
    ("GET", "/t/{slug}/team/members/{user_id}/remove"): Permission.manage_members,
    ("GET", "/t/{slug}/team/rename"): Permission.manage_team,
    ("GET", "/t/{slug}/team/mode"): Permission.manage_team,
    ("GET", "/t/{slug}/team/transfer"): Permission.manage_team,
    ("GET", "/t/{slug}/team/delete"): Permission.manage_team,
    ("POST", "/t/{slug}/team/invite"): Permission.manage_members,
    ("POST", "/t/{slug}/team/members/{user_id}/role"): Permission.manage_members,
    ("POST", "/t/{slug}/team/members/{user_id}/remove"): Permission.manage_members,
    ("POST", "/t/{slug}/team/rename"): Permission.manage_team,
    ("POST", "/t/{slug}/team/mode"): Permission.manage_team,
    ("POST", "/t/{slug}/team/transfer"): Permission.manage_team,
    ("POST", "/t/{slug}/team/delete"): Permission.manage_team,
    ("POST", "/t/{slug}/team/invitations/{invitation_id}/resend"): Permission.manage_members,
    ("POST", "/t/{slug}/team/invitations/{invitation_id}/revoke"): Permission.manage_members,
    ("GET", "/t/{slug}/volumes"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/ends"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/ends"): OPERATE,
    ("GET", "/t/{slug}/volumes/create"): Permission.manage_volumes,
    ("GET", "/t/{slug}/volumes/{volume_id}/change"): Permission.manage_volumes,
    ("GET", "/t/{slug}/volumes/{volume_id}/delete"): Permission.manage_volumes,
    ("GET", "/t/{slug}/volumes/{volume_id}/attach"): OPERATE,
    ("GET", "/t/{slug}/volumes/{volume_id}/detach"): OPERATE,
    ("POST", "/t/{slug}/volumes/create"): Permission.manage_volumes,
    ("POST", "/t/{slug}/volumes/{volume_id}/change"): Permission.manage_volumes,
    ("POST", "/t/{slug}/volumes/{volume_id}/delete"): Permission.manage_volumes,
    ("POST", "/t/{slug}/volumes/{volume_id}/attach"): OPERATE,
    ("POST", "/t/{slug}/volumes/{volume_id}/detach"): OPERATE,
}

SOCKETS = {("WEBSOCKET", "/t/{slug}/deployments/{deployment_id}/terminal/socket"): OPERATE}
"""What is asked for as a WebSocket; `test_terminals.py` holds the server to who may."""

LEADS_ON = {"/t/{slug}/billing/top-ups/{top_up_id}/pay", "/t/{slug}/billing/card-set-ups/{set_up_id}/page"}
"""Not pages but ways on to another one, for whoever may look."""

QUESTIONS = {
    f"/operator{path}"
    for path in (
        "/orphans/{provider}/{instance_id}/end",
        "/accounts/{user_id}/approve",
        "/accounts/{user_id}/refuse",
        "/accounts/{user_id}/end-sessions",
        "/accounts/{user_id}/remove-second-factor",
        "/teams/{team_id}/grant",
        "/teams/{team_id}/grants/{transfer_id}/take-back",
        "/teams/{team_id}/freeze",
        "/teams/{team_id}/unfreeze",
        "/teams/{team_id}/delete",
        "/teams/{team_id}/machines/{deployment_id}/terminate",
        "/teams/{team_id}/discounts/give",
        "/teams/{team_id}/discounts/{discount_id}/end",
        "/new-offer",
        "/offers/{offer_id}/change",
        "/offers/{offer_id}/withdraw",
        "/offers/{offer_id}/offer-again",
        "/capacity/cap",
        "/capacity/maintenance",
        "/capacity/lift",
        "/capacity/machines/{deployment_id}/reclaim",
    )
}
"""What operators are asked before it is done, at the address where it is done."""

OPERATOR_PAGES = {
    *(
        ("GET", f"/operator{path}")
        for path in (
            "",
            "/accounts",
            "/accounts/{user_id}",
            "/teams",
            "/teams/{team_id}",
            "/offers",
            "/offers/{offer_id}",
            "/capacity",
            "/activity",
        )
    ),
    *((method, path) for path in QUESTIONS for method in ("GET", "POST")),
}
"""Pages for operators of the platform alone: `test_operator.py` holds the server to it."""
