"""Who gets which answer from every route: one row a route, one column a caller. A test holds the server to it.

Callers, all but nobody and the last two with an API key:

    nobody      no key at all                   looking     the owner, key narrowed to seeing the team
    revoked     the owner's key, revoked        reader      a member of a read-only team
    expired     the owner's key, expired        deployer    a member of a deploy-only team
    stranger    a member of no team here        starter     the same, on a machine or template of their own
    removed     a member until a moment ago     admin       an admin
    operator    of the platform, no member      owner       the owner
    elsewhere   the owner, key narrowed to      person      the owner, signed in: a session
                another team                    operating   an operator, signed in
"""

CALLERS = (
    "nobody", "revoked", "expired", "stranger", "removed", "operator", "elsewhere", "looking", "reader", "deployer",
    "starter", "admin", "owner", "person", "operating",
)  # fmt: skip

ROWS = """
                                          nob rev exp str rem ope els loo rea dep sta adm own per ope
GET /api/providers                        200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
GET /api/gpu-offers                       200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/gpu-offers/{offer_id}/watch     401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
DELETE /api/gpu-offers/{offer_id}/watch   401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
GET /api/kubernetes/versions              200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
GET /api/kubernetes/{cluster_id}/health   401 401 401 404 404 404 404 404 404 404 404 404 404 404 404

POST /api/auth/sign-up                    202 202 202 202 202 202 202 202 202 202 202 202 202 202 202
POST /api/auth/verify                     400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
POST /api/auth/sign-in                    401 401 401 401 401 401 401 401 401 401 401 401 401 401 401
POST /api/auth/step-up                    401 401 401 403 403 403 403 403 403 403 403 403 403 400 400
POST /api/auth/forgot-password            202 202 202 202 202 202 202 202 202 202 202 202 202 202 202
POST /api/auth/reset-password             400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
POST /api/auth/password                   401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
GET /api/auth/factors                     401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/totp                       401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/totp/confirm               401 401 401 403 403 403 403 403 403 403 403 403 403 400 409
DELETE /api/auth/totp                     401 401 401 403 403 403 403 403 403 403 403 403 403 409 409
POST /api/auth/recovery-codes             401 401 401 403 403 403 403 403 403 403 403 403 403 409 409
POST /api/auth/change-address             400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
POST /api/me/email                        401 401 401 403 403 403 403 403 403 403 403 403 403 202 202
DELETE /api/me/email                      401 401 401 403 403 403 403 403 403 403 403 403 403 200 404
PATCH /api/me                             401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/sign-out                   401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/cli                        200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/auth/cli/token                  400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
POST /api/auth/passkeys/options           401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/passkeys                   401 401 401 403 403 403 403 403 403 403 403 403 403 400 400
GET /api/auth/passkeys                    401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
PATCH /api/auth/passkeys/{passkey_id}     401 401 401 403 403 403 403 403 403 403 403 403 403 200 404
DELETE /api/auth/passkeys/{passkey_id}    401 401 401 403 403 403 403 403 403 403 403 403 403 200 404
POST /api/auth/passkey-sign-in/options    200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/auth/passkey-sign-in            400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
POST /api/auth/step-up/passkey            401 401 401 403 403 403 403 403 403 403 403 403 403 400 400
GET /api/auth/sessions                    401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/auth/second-factor              400 400 400 400 400 400 400 400 400 400 400 400 400 400 400
DELETE /api/auth/sessions                 401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
DELETE /api/auth/sessions/{session_id}    401 401 401 403 403 403 403 403 403 403 403 403 403 200 404

GET /api/me                               401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
GET /api/me/activity                      401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
GET /api/me/export                        401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
DELETE /api/me                            401 401 401 403 403 403 403 403 403 403 403 403 403 400 400
GET /api/me/notifications                 401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
PUT /api/me/notifications                 401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
PUT /api/me/current-team                  401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/api-keys                         401 401 401 403 403 403 403 403 403 403 403 403 403 200 200
POST /api/api-keys                        401 401 401 403 403 403 403 403 403 403 403 403 403 201 201
PATCH /api/api-keys/{key_id}              401 401 401 403 403 403 403 403 403 403 403 403 403 200 404
POST /api/api-keys/{key_id}/rotate        401 401 401 403 403 403 403 403 403 403 403 403 403 201 404
DELETE /api/api-keys/{key_id}             401 401 401 403 403 403 403 403 403 403 403 403 403 200 404
GET /api/api-access                       401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/api-access                      401 401 401 403 403 403 403 403 403 403 403 403 403 200 200

GET /api/teams                            401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/teams                           401 401 401 403 403 403 403 403 403 403 403 403 403 201 201
PATCH /api/teams/{team_id}                401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/permissions      401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/teams/{team_id}/leave           401 401 401 404 404 404 404 403 403 403 403 403 403 409 404
POST /api/teams/{team_id}/transfer-ownership       401 401 401 404 404 404 404 403 403 403 403 403 403 400 404
GET /api/teams/{team_id}/members                   401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PATCH /api/teams/{team_id}/members/{user_id}       401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
DELETE /api/teams/{team_id}/members/{user_id}      401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/invitations               401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
POST /api/teams/{team_id}/invitations              401 401 401 404 404 404 404 403 403 403 403 403 403 201 404
POST /api/teams/{team_id}/invitations/{invitation_id}/resend  401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
DELETE /api/teams/{team_id}/invitations/{invitation_id}       401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/invitations/{token}                       200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/invitations/{token}/decline              200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/invitations/{token}/accept               401 401 401 403 403 403 403 403 403 403 403 403 403 200 403
GET /api/teams/{team_id}                  401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/teams/{team_id}/members/{user_id}/off-board 401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
DELETE /api/teams/{team_id}               401 401 401 404 404 404 404 403 403 403 403 403 403 409 404
GET /api/teams/{team_id}/activity         401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
GET /api/teams/{team_id}/activity.csv     401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
GET /api/balance                          401 401 401 200 200 200 200 200 200 200 200 200 200 200 200

GET /api/operator/users  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/users/{user_id}/end-sessions  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/users/{user_id}/remove-second-factor  401 401 401 403 403 403 403 403 403 403 403 403 403 403 409
GET /api/operator/api-access  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/api-access/{user_id}  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/teams  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/teams/{team_id}  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/teams/{team_id}/grants  401 401 401 403 403 403 403 403 403 403 403 403 403 403 201
POST /api/operator/teams/{team_id}/grants/{transfer_id}/take-back 401 401 401 403 403 403 403 403 403 403 403 403 403 403 404
POST /api/operator/teams/{team_id}/freeze  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/teams/{team_id}/unfreeze  401 401 401 403 403 403 403 403 403 403 403 403 403 403 409
DELETE /api/operator/teams/{team_id}  401 401 401 403 403 403 403 403 403 403 403 403 403 403 409
POST /api/operator/deployments/{deployment_id}/terminate  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/offers  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/offers  401 401 401 403 403 403 403 403 403 403 403 403 403 403 201
PATCH /api/operator/offers/{offer_id}  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
DELETE /api/operator/offers/{offer_id}  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/offers/{offer_id}/history  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/restrictions  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
PUT /api/operator/stock  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
DELETE /api/operator/stock  401 401 401 403 403 403 403 403 403 403 403 403 403 403 404
PUT /api/operator/maintenance  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
DELETE /api/operator/maintenance  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/pools  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/capacity  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/discounts  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/teams/{team_id}/discounts  401 401 401 403 403 403 403 403 403 403 403 403 403 403 201
POST /api/operator/discounts/{discount_id}/end  401 401 401 403 403 403 403 403 403 403 403 403 403 403 404
GET /api/operator/providers  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/orphans  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
POST /api/operator/orphans/{provider}/{instance_id}/end  401 401 401 403 403 403 403 403 403 403 403 403 403 403 404
POST /api/operator/deployments/{deployment_id}/reclaim  401 401 401 403 403 403 403 403 403 403 403 403 403 403 409
GET /api/operator/activity  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200
GET /api/operator/alerts  401 401 401 403 403 403 403 403 403 403 403 403 403 403 200

GET /api/ssh-keys                         401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/ssh-keys                        401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
GET /api/ssh-keys/{key_id}                401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
DELETE /api/ssh-keys/{key_id}             401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
GET /api/ssh-key-sources                  401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
POST /api/ssh-keys/lookup                 401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
POST /api/ssh-keys/import                 401 401 401 404 404 404 404 403 403 403 403 200 200 200 404

POST /api/deployments                     401 401 401 404 404 404 404 403 403 201 201 201 201 201 404
POST /api/deployments/preview             401 401 401 404 404 404 404 403 403 200 200 200 200 200 404
GET /api/deployments                      401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
GET /api/deployments/{deployment_id}      401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PATCH /api/deployments/{deployment_id}    401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
DELETE /api/deployments/{deployment_id}   401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
GET /api/deployments/{deployment_id}/can-terminate  401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
GET /api/deployments/{deployment_id}/events         401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
GET /api/deployments/{deployment_id}/ssh-keys       401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PUT /api/deployments/{deployment_id}/ssh-keys       401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
GET /api/deployments/{deployment_id}/logs           401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
POST /api/deployments/{deployment_id}/stop          401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
POST /api/deployments/{deployment_id}/start         401 401 401 404 404 404 404 403 403 403 409 409 409 409 404

GET /api/volumes/pricing                  401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
GET /api/volumes/regions                  401 401 401 200 200 200 200 200 200 200 200 200 200 200 200
GET /api/volumes                          401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/volumes                         401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
GET /api/volumes/{volume_id}              401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PATCH /api/volumes/{volume_id}            401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
DELETE /api/volumes/{volume_id}           401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
POST /api/volumes/{volume_id}/attach      401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
POST /api/volumes/{volume_id}/detach      401 401 401 404 404 404 404 403 403 403 409 409 409 409 404

POST /api/teams/{team_id}/start-again      401 401 401 404 404 404 404 403 403 200 200 200 200 200 404
GET /api/teams/{team_id}/billing           401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/teams/{team_id}/credit-moves       401 401 401 404 404 404 404 403 403 403 403 403 403 201 404
GET /api/teams/{team_id}/budgets                         401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PUT /api/teams/{team_id}/budgets                         401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
DELETE /api/teams/{team_id}/budgets/{budget_id}          401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/webhooks                        401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
POST /api/teams/{team_id}/webhooks                       401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
PATCH /api/teams/{team_id}/webhooks/{webhook_id}         401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
DELETE /api/teams/{team_id}/webhooks/{webhook_id}        401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
POST /api/teams/{team_id}/webhooks/{webhook_id}/test     401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
POST /api/teams/{team_id}/webhooks/{webhook_id}/rotate   401 401 401 404 404 404 404 403 403 403 403 201 201 201 404
GET /api/teams/{team_id}/webhooks/{webhook_id}/deliveries  401 401 401 404 404 404 404 403 403 403 403 200 200 200 404
GET /api/teams/{team_id}/templates                       401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
POST /api/teams/{team_id}/templates                      401 401 401 404 404 404 404 403 403 201 201 201 201 201 404
GET /api/teams/{team_id}/templates/{template_id}         401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
PATCH /api/teams/{team_id}/templates/{template_id}       401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
DELETE /api/teams/{team_id}/templates/{template_id}      401 401 401 404 404 404 404 403 403 403 200 200 200 200 404
POST /api/stripe/webhook                           409 409 409 409 409 409 409 409 409 409 409 409 409 409 409
PUT /api/teams/{team_id}/auto-top-up               401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
POST /api/teams/{team_id}/auto-top-up/try-again    401 401 401 404 404 404 404 403 403 403 403 403 403 409 404
GET /api/teams/{team_id}/cards                     401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
POST /api/teams/{team_id}/cards                    401 401 401 404 404 404 404 403 403 403 403 403 403 409 404
PUT /api/teams/{team_id}/cards/{card_id}/default   401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
DELETE /api/teams/{team_id}/cards/{card_id}        401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/card-set-ups/{set_up_id}  401 401 401 404 404 404 404 403 403 403 403 403 403 404 404
GET /api/teams/{team_id}/top-ups                   401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
POST /api/teams/{team_id}/top-ups                  401 401 401 404 404 404 404 403 403 403 403 403 403 409 404
GET /api/teams/{team_id}/top-ups/{top_up_id}       401 401 401 404 404 404 404 403 403 403 403 403 403 404 404
GET /api/teams/{team_id}/statements          401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/statements/{month}  401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/transactions      401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/transactions.csv  401 401 401 404 404 404 404 403 403 403 403 403 403 200 404
GET /api/teams/{team_id}/usage             401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
GET /api/teams/{team_id}/usage.csv         401 401 401 404 404 404 404 200 200 200 200 200 200 200 404
"""


def read(rows: str) -> dict[tuple[str, str], dict[str, int]]:
    """The table: by method and path, the status each caller gets."""
    table = {}
    for line in rows.splitlines():
        parts = line.split()
        if len(parts) == len(CALLERS) + 2:
            table[parts[0], parts[1]] = dict(zip(CALLERS, map(int, parts[2:]), strict=True))
    return table


TABLE = read(ROWS)

UNDECLARED = {
    ("GET", "/"): "where things are",
    **{
        ("GET", f"/static/{name}"): "what pages are made of"
        for name in (
            "chart.js",
            "chevron.svg",
            "forebay.css",
            "forebay.js",
            "htmx.js",
            "forebay.svg",
            "passkeys.js",
            "terminal.css",
            "terminal.js",
        )
    },
    ("POST", "/theme"): "how pages look in this browser, for whoever uses it",
    ("POST", "/figures"): "whether this browser is shown every digit, for whoever uses it",
    **{
        ("GET", path): "a form or a button; opening the page changes nothing"
        for path in (
            "/sign-in",
            "/second-factor",
            "/sign-up",
            "/verify",
            "/forgot",
            "/reset",
            "/change-address",
            "/invitations",
        )
    },
    **{
        ("POST", path): "how one signs in; as at /api/auth, behind a form of our own"
        for path in (
            "/sign-in",
            "/second-factor",
            "/sign-in/passkey/options",
            "/sign-in/passkey",
            "/sign-in/with/{provider}",
            "/sign-up",
            "/forgot",
        )
    },
    ("GET", "/sign-in/with/{provider}/callback"): "the state that the provider brings back is the permission",
    **{
        ("POST", path): "the token in the form is the permission"
        for path in (
            "/verify",
            "/reset",
            "/change-address",
            "/invitations/decline",
        )
    },
    **{
        ("GET", path): "for whoever is signed in; others are sent to sign in"
        for path in (
            "/account",
            "/account/notifications",
            "/step-up",
            "/cli",
            "/t",
            "/billing/{team_id}",
            "/teams/new",
            "/account/profile",
            "/account/teams",
            "/account/billing",
            "/account/delete",
            "/account/api-keys",
            "/account/api-keys/new",
            "/account/api-keys/{key_id}/change",
            "/account/api-keys/{key_id}/rotate",
            "/account/api-keys/{key_id}/revoke",
        )
    },
    **{
        ("POST", path): "for whoever is signed in, behind a form of our own"
        for path in (
            "/sign-out",
            "/step-up",
            "/step-up/passkey",
            "/cli",
            "/invitations/accept",
            "/account/sessions/end",
            "/account/sessions/end-others",
            "/account/passkeys/options",
            "/account/passkeys",
            "/account/passkeys/remove",
            "/account/totp",
            "/account/totp/confirm",
            "/account/totp/remove",
            "/account/recovery-codes",
            "/account/identities/disconnect",
            "/account/notifications",
            "/teams/new",
            "/account/password",
            "/account/name",
            "/account/email",
            "/account/email/cancel",
            "/account/export",
            "/account/delete",
            "/account/api-access",
            "/account/api-keys/new",
            "/account/api-keys/{key_id}/change",
            "/account/api-keys/{key_id}/rotate",
            "/account/api-keys/{key_id}/revoke",
        )
    },
    ("GET", "/healthz"): "whether the server works; nothing of anyone's",
    ("GET", "/metrics"): "for this machine alone, or with the token of the settings",
    ("GET", "/api/openapi.json"): "the manual",
}
"""Routes that are not of the API, and why anyone may ask for them."""
