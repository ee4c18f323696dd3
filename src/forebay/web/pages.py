"""All pages of a server: the first one, and those of the other files here."""

from collections.abc import Awaitable, Callable

from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler

from forebay.domain.machines.terminals import Shells
from forebay.oidc import open_providers
from forebay.web import assets
from forebay.web.account import AccountPages
from forebay.web.activity import ActivityPages
from forebay.web.api_keys import ApiKeyPages
from forebay.web.auto_top_ups import AutoTopUpPages
from forebay.web.billing import BillingPages
from forebay.web.budgets import BudgetPages
from forebay.web.cards import CardPages
from forebay.web.cli_sign_ins import CliPages
from forebay.web.credit_moves import CreditMovePages
from forebay.web.dashboard import Dashboard
from forebay.web.deployment_keys import DeploymentKeyPages
from forebay.web.deployments import DeploymentPages
from forebay.web.frame import Frame, Page
from forebay.web.identities import IdentityPages
from forebay.web.invitations import InvitationPages
from forebay.web.launch_templates import LaunchTemplatePages
from forebay.web.launches import LaunchPages
from forebay.web.live import Live
from forebay.web.logs import LogPages
from forebay.web.members import MemberPages
from forebay.web.notifications import NotificationPages
from forebay.web.offers import OfferPages
from forebay.web.operator import Desk
from forebay.web.operator_accounts import AccountsOfPlatformPages
from forebay.web.operator_activity import ActivityOfPlatformPages
from forebay.web.operator_discounts import DiscountPages
from forebay.web.operator_offers import OfferOfPlatformPages
from forebay.web.operator_providers import ProviderPages
from forebay.web.operator_stock import StockPages
from forebay.web.operator_teams import TeamsOfPlatformPages
from forebay.web.overview import OverviewPages
from forebay.web.palette import PalettePages
from forebay.web.sent_invitations import SentInvitationPages
from forebay.web.settings import SettingsPages
from forebay.web.sign_in import SignInPages
from forebay.web.sign_up import SignUpPages
from forebay.web.ssh_key_sources import SshKeySourcePages
from forebay.web.ssh_keys import SshKeyPages
from forebay.web.statements import StatementPages
from forebay.web.teams import TeamPages
from forebay.web.terminals import TerminalPages
from forebay.web.top_ups import TopUpPages
from forebay.web.transactions import TransactionPages
from forebay.web.usage import UsagePages
from forebay.web.visits import Visit
from forebay.web.volumes import VolumePages
from forebay.web.webhooks import WebhookPages

Handlers = list[HTTPRouteHandler | WebsocketRouteHandler]


def build(frame: Frame, shells: Shells) -> tuple[Handlers, Callable[[], Awaitable[None]]]:
    """The handlers of all pages, and what ends what they hold open."""
    providers = open_providers(frame.settings.oidc, frame.public_url, frame.clock.now)
    labels = {name: provider.config.label for name, provider in providers.items()}
    by_provider = IdentityPages(frame, providers)
    dashboard = Dashboard(frame)
    in_machines = TerminalPages(dashboard, shells)
    live = Live(frame)

    def home(visit: Visit) -> Page:
        """Where things are."""
        return Page(template="home.html")

    async def close() -> None:
        """Let go of all that."""
        await live.close()
        in_machines.close()
        by_provider.close()

    pages = [
        frame.page("GET", "/", home),
        *assets.handlers(),
        *SignInPages(frame, labels).handlers(),
        *SignUpPages(frame, labels).handlers(),
        *InvitationPages(frame).handlers(),
        *CliPages(frame).handlers(),
        *by_provider.handlers(),
        *live.handlers(),
        *dashboard_pages(dashboard, labels),
        *in_machines.handlers(),
    ]
    return pages, close


def dashboard_pages(dashboard: Dashboard, labels: dict[str, str]) -> list[HTTPRouteHandler]:
    """The pages of teams, in the order of the navigation, and those of people in their frame."""
    launching = LaunchPages(dashboard)
    return [
        *dashboard.handlers(),
        *PalettePages(dashboard).handlers(),
        *OverviewPages(dashboard).handlers(),
        *OfferPages(dashboard).handlers(),
        *launching.handlers(),
        *LaunchTemplatePages(dashboard, launching).handlers(),
        *DeploymentPages(dashboard).handlers(),
        *DeploymentKeyPages(dashboard).handlers(),
        *LogPages(dashboard).handlers(),
        *billing_pages(dashboard),
        *VolumePages(dashboard).handlers(),
        *SshKeyPages(dashboard).handlers(),
        *SshKeySourcePages(dashboard).handlers(),
        *MemberPages(dashboard).handlers(),
        *SentInvitationPages(dashboard).handlers(),
        *TeamPages(dashboard).handlers(),
        *WebhookPages(dashboard).handlers(),
        *ActivityPages(dashboard).handlers(),
        *SettingsPages(dashboard).handlers(),
        *AccountPages(dashboard, labels).handlers(),
        *ApiKeyPages(dashboard).handlers(),
        *NotificationPages(dashboard).handlers(),
        *operator_pages(dashboard),
    ]


def operator_pages(dashboard: Dashboard) -> list[HTTPRouteHandler]:
    """What the people who run the cloud see and do."""
    desk = Desk(dashboard)
    return [
        *ProviderPages(desk).handlers(),
        *AccountsOfPlatformPages(desk).handlers(),
        *TeamsOfPlatformPages(desk).handlers(),
        *DiscountPages(desk).handlers(),
        *OfferOfPlatformPages(desk).handlers(),
        *StockPages(desk).handlers(),
        *ActivityOfPlatformPages(desk).handlers(),
    ]


def billing_pages(dashboard: Dashboard) -> list[HTTPRouteHandler]:
    """Everything about a team's money."""
    billing = BillingPages(dashboard)
    return [
        *billing.handlers(),
        *TopUpPages(dashboard, billing.show).handlers(),
        *CardPages(dashboard, billing.show).handlers(),
        *AutoTopUpPages(dashboard, billing.show).handlers(),
        *TransactionPages(dashboard).handlers(),
        *UsagePages(dashboard).handlers(),
        *StatementPages(dashboard).handlers(),
        *CreditMovePages(dashboard).handlers(),
        *BudgetPages(dashboard).handlers(),
    ]
