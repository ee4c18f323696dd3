"""The activity in words: what somebody did, or tried in vain, as a sentence that follows their name."""

from forebay.domain.people.activity import DENIED
from forebay.domain.people.activity_log import Row

FOREBAY = "Forebay"
WORDS = {
    "account.choose-notifications": "chose what to be mailed",
    "account.join-team": "joined the team",
    "api-key.create": "made an API key",
    "api-key.revoke": "revoked an API key",
    "auto-top-up.off": "turned auto top-up off",
    "auto-top-up.resume": "turned auto top-up on again",
    "auto-top-up.set": "changed auto top-up",
    "auto-top-up.try-again": "turned auto top-up on again",
    "budget.delete": "deleted a budget",
    "budget.set": "set a budget",
    "budget.tell": "told of a budget",
    "card.delete": "deleted a card",
    "card.make-default": "chose the card for payments",
    "card.set-up": "began to save a card",
    "credits.announce-deletion": "announced that disks will be deleted for lack of credits",
    "credits.grant": "granted credits",
    "credits.keep-disks": "keeps stopped disks for a while, without credits",
    "credits.move": "moved credits",
    "credits.take-back": "took a grant back",
    "credits.wait-for-top-up": "waited for a top-up",
    "deployment.delete-for-credits": "deleted a machine's disk for lack of credits",
    "deployment.launch": "launched a machine",
    "deployment.schedule": "decided when a machine ends",
    "deployment.start": "started a machine",
    "deployment.stop": "stopped a machine",
    "deployment.stop-for-budget": "stopped a machine for a budget that is used up",
    "deployment.stop-for-credits": "stopped a machine for lack of credits",
    "deployment.terminate": "terminated a machine",
    "deployment.terminate-by-operator": "terminated a machine",
    "deployment.terminate-for-credits": "terminated a machine for lack of credits",
    "deployment.update": "changed a machine",
    "invitation.accept": "accepted an invitation",
    "invitation.create": "invited somebody",
    "invitation.decline": "declined an invitation",
    "invitation.resend": "sent an invitation again",
    "invitation.revoke": "revoked an invitation",
    "member.change-role": "changed a role",
    "member.leave": "left the team",
    "member.remove": "removed a member",
    "offer.unwatch": "waits for an offer no more",
    "offer.watch": "waits for an offer",
    "operator.look": "looked at the team",
    "ssh-key.add": "added an SSH key",
    "ssh-key.delete": "deleted an SSH key",
    "team.create": "created the team",
    "team.delete": "deleted the team",
    "team.freeze": "froze the team",
    "team.leave": "left the team",
    "team.rename": "renamed the team",
    "team.set-member-mode": "changed what members may do",
    "team.transfer-ownership": "transferred the ownership",
    "team.unfreeze": "freed the team",
    "template.change": "changed a template",
    "template.create": "saved a template",
    "template.delete": "deleted a template",
    "terminal.close": "closed the terminal of a machine",
    "terminal.open": "opened a terminal in a machine",
    "volume.attach": "attached a volume",
    "volume.create": "created a volume",
    "top-up.ask": "asked to add credits",
    "volume.delete": "deleted a volume",
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
PLACES = {"deployment": "deployments"}
"""Under which page the objects of activity are found."""


def sentence(row: Row) -> str:
    """What was done, without who."""
    if row.action == DENIED:
        permission = (row.details or {}).get("permission")
        return f"was refused: {permission}" if permission else "was refused: no member"
    if row.action == LOOK and row.team_id is None:
        return f"looked at {(row.object_type or 'something').replace('-', ' ')}"
    noun, _, verb = row.action.partition(".")
    words = WORDS.get(row.action, f"{noun.replace('-', ' ')}: {verb.replace('-', ' ')}")
    details = row.details or {}
    if "source" in details and "user" in details:
        words += f" from {details['user']} at {details['source']}"
    return words if row.outcome == "done" else f"{words} ({row.outcome})"


def about(row: Row) -> str:
    """The one thing in the details that tells one from another, if there is one."""
    details = row.details or {}
    named = next((details[name] for name in ("name", "email", "role", "memberMode", "reason") if name in details), "")
    return named if isinstance(named, str) else ""


def place(row: Row) -> str:
    """The page of what it was done to, behind the team's address; empty if it has none."""
    folder = PLACES.get(row.object_type or "")
    return f"/{folder}/{row.object_id}" if folder and row.object_id else ""
