"""Shells in machines, opened by the provider whose machines they are."""

from collections.abc import Callable, Mapping

from forebay.compute.base import Provider, ProviderError, Rejected
from forebay.compute.base import Shell as ProviderShell
from forebay.domain.machines.looks import Unreadable
from forebay.domain.machines.terminals import NotRunning, Shell


class QuietShell:
    """A provider's shell, whose machine may go at any moment: then nothing is shown or typed any more."""

    def __init__(self, shell: ProviderShell) -> None:
        self.shell = shell
        self.read, self.close = shell.read, shell.close

    def write(self, typed: bytes) -> None:
        """See the protocol."""
        try:
            self.shell.write(typed)
        except ProviderError:
            self.shell.close()

    def resize(self, columns: int, rows: int) -> None:
        """See the protocol."""
        try:
            self.shell.resize(columns, rows)
        except ProviderError:
            return


class ProviderShells:
    """See `domain.machines.terminals.Shells`. `providers` is asked for each time: they may come up later."""

    def __init__(self, providers: Callable[[], Mapping[str, Provider]]) -> None:
        self.providers = providers

    def reason_against(self, provider: str) -> str:
        """See the protocol."""
        found = self.providers().get(provider)
        if found is None:
            return f"The machines of {provider} are out of this server's reach: it opens no terminal in them."
        if not found.capabilities.terminal:
            return f"{provider} opens no terminals in its machines."
        return ""

    def open(self, provider: str, deployment_id: str, columns: int, rows: int) -> Shell:
        """See the protocol."""
        if reason := self.reason_against(provider):
            raise Unreadable(reason)
        try:
            return QuietShell(self.providers()[provider].open_shell(deployment_id, columns, rows))
        except Rejected:
            raise NotRunning from None
        except ProviderError as reason:
            raise Unreadable(f"No terminal can be opened now: {reason}.") from None
