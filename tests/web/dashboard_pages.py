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
    ("GET", "/t/{slug}/deploy"): SEE,
    ("GET", "/t/{slug}/deploy/new"): Permission.launch,
    ("POST", "/t/{slug}/deploy/preview"): Permission.launch,
    ("POST", "/t/{slug}/deploy/new"): Permission.launch,
    ("GET", "/t/{slug}/deployments"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}"): SEE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/rename"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/stop"): OPERATE,
    ("GET", "/t/{slug}/deployments/{deployment_id}/terminate"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/rename"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/start"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/stop"): OPERATE,
    ("POST", "/t/{slug}/deployments/{deployment_id}/terminate"): OPERATE,
    ("GET", "/t/{slug}/ssh-keys"): SEE,
    ("GET", "/t/{slug}/ssh-keys/add"): Permission.manage_ssh_keys,
    ("POST", "/t/{slug}/ssh-keys/add"): Permission.manage_ssh_keys,
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
