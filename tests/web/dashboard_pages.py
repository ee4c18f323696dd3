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
    ("GET", "/t/{slug}/deployments"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/rename"): OPERATE,
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
}

LEADS_ON = {"/t/{slug}/billing/top-ups/{top_up_id}/pay", "/t/{slug}/billing/card-set-ups/{set_up_id}/page"}
"""Not pages but ways on to another one, for whoever may look."""
