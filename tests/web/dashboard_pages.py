"""The pages of teams, and the permission that each needs. A test holds the server to it, with everybody who there is.

`OPERATE` stands for pages that whoever sees the team may ask for, and that look for themselves at whose the machine is.
"""

from forebay.domain.people.roles import Permission

SEE = Permission.see
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
}
