"""The activity in words: what somebody did, or tried in vain, as a sentence that follows their name.

Every action that the code can record is here; a test reads the code and compares.
"""

from forebay.domain.people.activity import DENIED
from forebay.domain.people.activity_log import Row

WORDS = {
    "account.address-changed": "changed their address",
    "account.cancel-address": "took a change of address back",
    "account.change-address": "asked for another address",
    "account.change-password": "changed their password",
    "account.choose-notifications": "chose what to be mailed",
    "account.delete": "deleted their account",
    "account.end-sessions": "ended all sessions of an account",
    "account.export": "exported what is kept about them",
    "account.forgot-password": "asked for a new password",
    "account.invite": "invited somebody to the platform",
    "account.join-team": "joined the team",
    "account.remove-second-factor": "removed the second factor of an account",
    "account.rename": "changed their name",
    "account.reset-password": "set a new password by mail",
    "account.set-current-team": "chose another current team",
    "account.sign-in": "signed in",
    "account.sign-in-refused": "was refused a sign-in",
    "account.sign-out": "signed out",
    "account.sign-up": "made an account",
    "account.step-up": "proved who they are",
    "account.verify": "proved their address",
    "api-access.approved": "approved API access",
    "api-access.refused": "refused API access",
    "api-access.request": "asked for API access",
    "api-key.change": "changed an API key",
    "api-key.create": "made an API key",
    "api-key.revoke": "revoked an API key",
    "api-key.rotate": "replaced an API key by a new one",
    "auto-top-up.claim": "began an auto top-up",
    "auto-top-up.off": "turned auto top-up off",
    "auto-top-up.resume": "turned auto top-up on again",
    "auto-top-up.set": "changed auto top-up",
    "auto-top-up.stop": "stopped auto top-up",
    "auto-top-up.try-again": "let auto top-up try again",
    "budget.delete": "deleted a budget",
    "budget.set": "set a budget",
    "budget.tell": "told of a budget",
    "card.delete": "deleted a card",
    "card.make-default": "chose the card for payments",
    "card.set-up": "began to save a card",
    "cli.approve": "let a program in",
    "cli.deny": "kept a program out",
    "credits.announce-deletion": "announced that disks will be deleted for lack of credits",
    "credits.grant": "granted credits",
    "credits.have-come-back": "saw the team have credits again",
    "credits.keep-disks": "began to keep stopped disks without credits",
    "credits.move": "moved credits",
    "credits.take-back": "took a grant back",
    "credits.tell-runway": "told how long the credits last",
    "credits.wait-for-top-up": "waited for a top-up",
    "deployment.delete-for-credits": "deleted a machine's disk for lack of credits",
    "deployment.launch": "launched a machine",
    "deployment.reclaim": "took a machine back",
    "deployment.reclaim-by-operator": "asked for a machine back",
    "deployment.reclaim-by-provider": "passed on that the provider takes a machine back",
    "deployment.reprice": "changed the price of a machine",
    "deployment.schedule": "decided when a machine ends",
    "deployment.ssh-keys": "changed the SSH keys of a machine",
    "deployment.start": "started a machine",
    "deployment.start-again": "started a machine again after credits had run out",
    "deployment.stop": "stopped a machine",
    "deployment.stop-for-budget": "stopped a machine for a budget that is used up",
    "deployment.stop-for-credits": "stopped a machine for lack of credits",
    "deployment.terminate": "terminated a machine",
    "deployment.terminate-by-operator": "terminated a machine",
    "deployment.terminate-for-credits": "terminated a machine for lack of credits",
    "deployment.update": "changed a machine",
    "discount.end": "ended a discount",
    "discount.give": "gave a discount",
    "identity.connect": "connected a sign-in provider",
    "identity.disconnect": "disconnected a sign-in provider",
    "invitation.accept": "accepted an invitation",
    "invitation.create": "invited somebody",
    "invitation.decline": "declined an invitation",
    "invitation.resend": "sent an invitation again",
    "invitation.revoke": "revoked an invitation",
    "maintenance.begin": "took offers into maintenance",
    "maintenance.end": "ended the maintenance of offers",
    "member.change-role": "changed a role",
    "member.leave": "left the team",
    "member.remove": "removed a member",
    "offer.change": "changed an offer",
    "offer.create": "made an offer",
    "offer.unwatch": "stopped waiting for an offer",
    "offer.watch": "asked to be told when an offer is back",
    "offer.withdraw": "withdrew an offer",
    "operator.create": "made an account an operator",
    "operator.look": "looked at the team",
    "orphan.end": "ended an instance without a record",
    "passkey.add": "added a passkey",
    "passkey.remove": "removed a passkey",
    "passkey.rename": "renamed a passkey",
    "payment.credit": "added credits for a payment",
    "payment.dispute": "took credits back for a disputed payment",
    "payment.refund": "took credits back for a refunded payment",
    "payment.reinstate": "gave credits of a won dispute back",
    "recovery-codes.renew": "made new recovery codes",
    "second-factor.begin": "began to set up a second factor",
    "second-factor.remove": "removed their second factor",
    "second-factor.set-up": "set up a second factor",
    "session.end": "ended a session",
    "session.end-others": "ended all other sessions",
    "ssh-key.add": "added an SSH key",
    "ssh-key.delete": "deleted an SSH key",
    "stock.cap": "limited the stock of an offer",
    "stock.uncap": "lifted a limit of stock",
    "team.create": "created the team",
    "team.delete": "deleted the team",
    "team.freeze": "froze the team",
    "team.rename": "renamed the team",
    "team.set-member-mode": "changed what members may do",
    "team.transfer-ownership": "transferred the ownership",
    "team.unfreeze": "freed the team",
    "template.change": "changed a template",
    "template.create": "saved a launch as a template",
    "template.delete": "deleted a template",
    "terminal.close": "closed the terminal of a machine",
    "terminal.open": "opened a terminal in a machine",
    "top-up.ask": "asked to add credits",
    "volume.attach": "attached a volume",
    "volume.create": "created a volume",
    "volume.delete": "deleted a volume",
    "volume.delete-for-credits": "deleted a volume for lack of credits",
    "volume.detach": "detached a volume",
    "volume.grow": "let a volume grow",
    "volume.rename": "renamed a volume",
    "webhook.change": "changed a webhook",
    "webhook.create": "added a webhook",
    "webhook.delete": "deleted a webhook",
    "webhook.disable": "disabled a webhook that nothing got through to",
    "webhook.rotate": "gave a webhook a new secret",
    "webhook.test": "tested a webhook",
}
LOOK = "operator.look"
NAMES = ("name", "email")
"""In the details of a row: what the thing was called then."""
MORE = ("role", "memberMode", "reason")


def sentence(row: Row) -> str:
    """What was done, without who."""
    details = row.details or {}
    if row.action == DENIED:
        permission = details.get("permission")
        return f"was refused: {permission}" if permission else "was refused: no member"
    if row.action == LOOK and row.team_id is None:
        return f"looked at {(row.object_type or 'something').replace('-', ' ')}"
    noun, _, verb = row.action.partition(".")
    # What an earlier version recorded may have no words any more.
    words = WORDS.get(row.action, f"{noun.replace('-', ' ')}: {verb.replace('-', ' ')}")
    if "source" in details and "user" in details:
        words += f" from {details['user']} at {details['source']}"
    return words if row.outcome == "done" or row.action == "account.sign-in-refused" else f"{words} ({row.outcome})"


def about(row: Row) -> str:
    """What it was done to, by the name it had then or has now, and what tells one time from another."""
    details = row.details or {}
    # The team is where it happened, and who did it stands before the words: both are said beside it.
    is_said = row.object_type == "team" or (row.object_id is not None and row.object_id == row.user_id)
    now = None if is_said else row.object_name
    name = next((details[key] for key in NAMES if isinstance(details.get(key), str)), now)
    more = next((details[key] for key in MORE if isinstance(details.get(key), str)), "")
    return ": ".join(part for part in (name, more) if part)
