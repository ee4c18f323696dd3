"""SSH keys that people have published elsewhere: whose, then which of them."""

from collections.abc import Sequence
from typing import Any

from litestar.handlers import HTTPRouteHandler

from forebay.domain.machines import ssh_key_sources
from forebay.domain.machines.ssh_key_sources import FoundKey
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Forbidden, ForebayError, NotFound, Unauthenticated
from forebay.ssh_key_sources import SshKeySource
from forebay.web.dashboard import Dashboard
from forebay.web.frame import Page, go
from forebay.web.visits import Visit

MANAGE = Permission.manage_ssh_keys
PICK = "pick-"
"""What the names of the boxes begin with; a fingerprint follows."""


class SshKeySourcePages:
    """The pages of one server."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.frame = dashboard, dashboard.frame

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.dashboard.page
        return [
            page("GET", "/ssh-keys/import", self.ask, needs=MANAGE),
            page("POST", "/ssh-keys/import", self.look, needs=MANAGE, asks_elsewhere=True),
            page("POST", "/ssh-keys/import/add", self.add, needs=MANAGE, asks_elsewhere=True),
        ]

    @property
    def sources(self) -> Sequence[SshKeySource]:
        """Where keys can be taken from. Raises NotFound where there is nothing of the kind."""
        found = self.frame.settings.key_sources
        if not found:
            raise NotFound("Page")
        return found

    def ask(self, visit: Visit, error: ForebayError | None = None, **more: Any) -> Page:
        """Whose keys, and where from."""
        if isinstance(error, Unauthenticated | Forbidden | NotFound):
            raise error
        options = [(source.name, source.name) for source in self.sources]
        given = {name: visit.form.get(name, "")[:120] for name in ("source", "user")}
        with self.dashboard.read() as connection:
            values = {"sources": options, "given": given, **more}
            return self.dashboard.show(visit, connection, "ssh_key_import.html", error=error, **values)

    def fetched(self, visit: Visit) -> tuple[SshKeySource, str, list[FoundKey]]:
        """What the source answers, once it is counted that it was asked; no connection is held meanwhile."""
        source = ssh_key_sources.find(self.sources, visit.form.get("source", ""))
        user = ssh_key_sources.check_user(visit.form.get("user", ""))
        with self.dashboard.begin(visit) as connection:
            secret_key = self.frame.secret_key
            ssh_key_sources.count(connection, visit.person.user_id, secret_key=secret_key, now=visit.now)
        return source, user, ssh_key_sources.fetch(self.frame.fetches, source, user)

    def look(self, visit: Visit) -> Page:
        """The keys that there are, to choose from."""
        try:
            source, user, found = self.fetched(visit)
        except ForebayError as error:
            return self.ask(visit, error)
        return self.choose(visit, source, user, found)

    def choose(
        self,
        visit: Visit,
        source: SshKeySource,
        user: str,
        found: Sequence[FoundKey],
        error: ForebayError | None = None,
    ) -> Page:
        """The keys, each with whether the team can have it."""
        with self.dashboard.read() as connection:
            found = ssh_key_sources.compare(connection, visit.context.team_id, found)
        return self.ask(visit, error, found=found, source=source, user=user, pick=PICK)

    def add(self, visit: Visit) -> Page:
        """Add the chosen ones. Pressed twice, they are there once."""
        wanted = [name.removeprefix(PICK) for name, value in visit.form.items() if name.startswith(PICK) and value]
        try:
            source, user, found = self.fetched(visit)
        except ForebayError as error:
            return self.ask(visit, error)
        try:
            with self.dashboard.begin(visit) as connection:
                result = ssh_key_sources.add_by(connection, visit.context, source, user, found, wanted, now=visit.now)
        except BadRequest as error:
            return self.choose(visit, source, user, found, error)
        self.frame.say(visit, said(len(result.keys), len(result.present), f"{user} at {source.name}"))
        return go(f"/t/{visit.context.slug}/ssh-keys")


def said(added: int, present: int, whose: str) -> str:
    """What came of it, in a sentence."""
    keys = "1 key" if added == 1 else f"{added} keys"
    sentence = f"{keys} of {whose} {'is' if added == 1 else 'are'} added." if added else "Nothing new was added."
    if present:
        sentence += f" {'1 was' if present == 1 else f'{present} were'} there already."
    return sentence
