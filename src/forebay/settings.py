"""Every setting of Forebay, typed and documented where it is declared.

Each field is the environment variable `FOREBAY_` plus its name in capitals; `docs/settings.md` is printed from this
file and a test holds the two together. Options of `forebay serve` win over the environment. Lists are separated by
commas. Unsafe values are refused at the start, with a sentence, never worked around.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from forebay import ssh_key_sources
from forebay.ssh_key_sources import SshKeySource


class InvalidSetting(ValueError):
    """A setting that can't be used; the text names it and never repeats a secret."""


CLIENT_VARIABLES = frozenset({"FOREBAY_SERVER", "FOREBAY_TOKEN", "FOREBAY_TEAM"})
"""What the command line reads to reach a server: they may stand in the same shell, and are none of the server's."""


def setting(default: Any, says: str, *, secret: bool = False) -> Any:
    """A documented field. `secret` ones are never printed."""
    return field(default=default, metadata={"says": says, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration of one process."""

    data_dir: Path = setting(
        Path("forebay-data"), "Folder for the database, the secret key, the outbox and what the local provider keeps."
    )
    database_url: str = setting(
        "",
        "Where the books are: empty for SQLite in the data folder, or `postgresql://user:password@host/name`.",
        secret=True,
    )
    host: str = setting("127.0.0.1", "Address the server listens on.")
    port: int = setting(8400, "Port the server listens on; 0 takes a free one.")
    public_url: str = setting(
        "", "Address people reach Forebay at, without a path; all links are made from it. Empty: the listening address."
    )
    ssh_host: str = setting(
        "", "Host name or address in SSH commands of local machines. Empty: the host of the public address."
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Addresses or networks of reverse proxies whose X-Forwarded-For is believed."
    )
    secret_key: str = setting(
        "",
        "At least 32 characters that key the hashes of credentials. Empty: made once and kept in the data folder.",
        secret=True,
    )
    demo: bool = setting(False, "On an empty data folder, make a demo cloud; offer simulated GPUs.")

    sign_up: Literal["open", "invited"] = setting(
        "open", "Who may make an account: anyone (`open`), or addresses an operator has invited (`invited`)."
    )
    session_days: int = setting(30, "Days until a session ends, however much it is used.")
    session_idle_days: int = setting(14, "Days until a session ends that is not used.")
    api_key_prefix: str = setting("fby_pk_", "What API keys begin with.")
    require_second_factor: Literal["nobody", "operators", "everyone"] = setting(
        "nobody", "Who must sign in with a passkey, or with a second factor beside the password, to do anything."
    )
    api_access: Literal["approved", "everyone"] = setting(
        "approved", "Who may make API keys: accounts an operator has approved, or everyone."
    )

    oidc_providers: str = setting(
        "",
        "OpenID Connect providers to sign in with, as a JSON list: "
        '`[{"name": "corp", "label": "Corp", "issuer": "https://id.corp.example", "clientId": "…", '
        '"clientSecret": "…"}]`.',
        secret=True,
    )

    smtp_url: str = setting(
        "",
        "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. Empty: mails go to `outbox/` in the data dir.",
        secret=True,
    )
    mail_from: str = setting("Forebay <forebay@localhost>", "Sender of the mails.")

    webhook_open_networks: tuple[str, ...] = setting(
        (), "Private networks that teams' webhooks may lead into; by default none, nor any address of the host."
    )
    webhook_allow_http: bool = setting(False, "Let webhooks have addresses without TLS: for development.")
    ssh_key_sources: tuple[str, ...] = setting(
        (),
        "Servers that people's SSH keys can be taken from, each `name=address` with `{user}` in it, as in "
        "`GitHub=https://github.com/{user}.keys,GitLab=https://gitlab.com/{user}.keys` (both in the demo). Empty: "
        "none, and this server asks nobody.",
    )
    ssh_key_source_open_networks: tuple[str, ...] = setting(
        (), "Private networks that these servers may be in; by default none, nor any address of the host."
    )
    ssh_key_source_allow_http: bool = setting(
        False, "Take SSH keys from addresses without TLS, where anyone on the way can put in theirs: for development."
    )
    weekly_report: bool = setting(True, "Mail owners and admins each Monday what the week cost, and what was idle.")

    cycle_seconds: int = setting(60, "Seconds between two deduction cycles (10 in the demo).")
    idle_look_seconds: int = setting(30, "Seconds between two looks at which machines are in use (10 in the demo).")
    idle_cpu_percent: int = setting(5, "Below so much of one processor a machine is idle, if nobody works in it.")
    idle_gpu_percent: int = setting(5, "Below so much of its busiest GPU a machine is idle, where NVML can say.")
    minimum_launch_micros: int = setting(
        3_000_000,
        "Available credits a launch needs, in micro-dollars ($3), or the price of the minimum runtime if that is more.",
    )
    disk_grace_days: int = setting(
        7, "Days that disks of stopped machines are kept once a team has run out of credits."
    )
    low_balance_early_hours: int = setting(
        24, "A team is told that its credits run out when they last so many hours or less. 0: never."
    )
    low_balance_late_hours: int = setting(1, "The same once more, when they last so many hours or less. 0: never.")
    top_up_wait_seconds: int = setting(
        600, "Longest time that machines run on without credits for a top-up that is about to come. 0: none."
    )
    budget_notice_seconds: int = setting(
        600, "Seconds of notice before machines are stopped because a budget that stops is used up."
    )
    clock_jump_seconds: int = setting(
        30,
        "If the wall clock gains so much on the monotonic one between two looks, charging stops, with an alert.",
    )

    providers: tuple[str, ...] = setting(("local",), "Providers to use: `local`, or none.")
    offers_file: str = setting(
        "", "TOML file with offers and prices, which win over all else; see docs/operating.md. The same on all workers."
    )
    reclaim_notice_seconds: int = setting(
        120, "Seconds of notice that a spot machine gets before it is taken back, if no other are named."
    )
    end_orphans: bool = setting(
        False,
        "End instances that carry this cloud's mark but have no record. Otherwise they are reported to the operator.",
    )
    launch_timeout_seconds: int = setting(300, "A launch that has not answered by SSH after so long has failed.")
    local_region: str = setting("local", "Name of the local provider's region.")
    local_vcpu_micros: int = setting(20_000, "Price of a virtual CPU of a local machine, micro-dollars an hour.")
    local_memory_gb_micros: int = setting(5_000, "Price of a GB of memory of a local machine, micro-dollars an hour.")
    local_gpu_micros: int = setting(1_500_000, "Price of a GPU of a local machine, micro-dollars an hour.")
    local_disk_gb_nanos: int = setting(
        100_000, "Price of a GB of disk of a stopped local machine, nano-dollars an hour (0.0001 dollars)."
    )
    local_volume_gb_nanos: int = setting(
        100_000, "Price of a GB of a volume on this machine, nano-dollars an hour (0.0001 dollars)."
    )
    local_volumes_dir: str = setting(
        "",
        "Folder of the volumes' image files. Empty: `volumes/` in the data dir. Not to be changed while there are any.",
    )
    local_volumes_gb: int = setting(
        0, "What all volumes on this machine may come to, in GB. 0: half of the disk that is free beside them."
    )
    local_cpu_overcommit: int = setting(8, "Virtual CPUs offered for each CPU of the machine.")
    local_memory_reserve_gb: int = setting(2, "Memory of the machine that is not offered.")
    local_resolvers: tuple[str, ...] = setting(
        (), "DNS servers for local machines. Empty: those of the machine that are not on loopback, else none."
    )
    local_open_networks: tuple[str, ...] = setting(
        (), "Private networks that local machines may reach; by default none, nor any address of the host."
    )
    local_image: str = setting(
        "", "Image that local machines run instead of the base image; it must have sshd and tini."
    )
    podman: str = setting("podman", "The Podman program.")

    stripe_secret_key: str = setting(
        "",
        "Secret key of the Stripe account that cards are charged on. Empty: no cards; operators grant credits.",
        secret=True,
    )
    stripe_webhook_secret: str = setting(
        "",
        "Signing secret of Stripe's webhook to `/api/stripe/webhook`. Empty: events are only asked for, once a minute.",
        secret=True,
    )
    stripe_api_base: str = setting(
        "https://api.stripe.com", "Address of Stripe's API. Plain http only on this machine's loopback: for tests."
    )
    company_name: str = setting("", "Who sells the credits, as it stands on receipts and statements.")
    support_contact: str = setting(
        "", "Where people who need an answer turn to, as pages show it: an address, a number."
    )
    company_vat_number: str = setting("", "The VAT number of whoever sells them; on receipts and statements if set.")

    body_limit_bytes: int = setting(1024 * 1024, "Largest request body.")
    rate_limit_anonymous: int = setting(250, "Requests per 15 minutes from one address without a valid key.")
    rate_limit_key: int = setting(6000, "Requests per 15 minutes for one key or session.")
    rate_limit_creations: int = setting(10, "Deployments one user may create in 15 minutes (1,000 in the demo).")
    invitations_per_team: int = setting(50, "Invitation mails one team may send in 24 hours.")
    invitations_per_address: int = setting(10, "Invitation mails one address may get in 24 hours, from all teams.")
    invitations_per_team_and_address: int = setting(3, "Invitation mails one team may send to one address in 24 hours.")
    metrics_token: str = setting(
        "", "Bearer token for /metrics. Empty: they are answered to this machine alone.", secret=True
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "How much is logged.")
    log_format: Literal["json", "text"] = setting("json", "One JSON object a line, or text for people.")

    def __post_init__(self) -> None:
        refuse_unsafe(self)

    @property
    def oidc(self) -> tuple["OidcProvider", ...]:
        """The providers to sign in with. Raises InvalidSetting."""
        return read_oidc_providers(self.oidc_providers)

    @property
    def key_sources(self) -> tuple[SshKeySource, ...]:
        """Where SSH keys can be taken from. Raises InvalidSetting."""
        try:
            return ssh_key_sources.read(self.ssh_key_sources, allows_http=self.ssh_key_source_allow_http)
        except ValueError as reason:
            raise InvalidSetting(f"FOREBAY_SSH_KEY_SOURCES: {reason}") from None

    @property
    def sqlalchemy_url(self) -> str:
        """The database's address with the driver named."""
        if not self.database_url:
            return f"sqlite:///{(self.data_dir / 'forebay.db').absolute()}"
        for scheme in ("postgresql://", "postgres://"):
            if self.database_url.startswith(scheme):
                return "postgresql+psycopg://" + self.database_url.removeprefix(scheme)
        return self.database_url

    @property
    def takes_cards(self) -> bool:
        """Whether cards can be charged."""
        return bool(self.stripe_secret_key)

    @property
    def is_sqlite(self) -> bool:
        """Whether the books are in one file beside the process."""
        return self.sqlalchemy_url.startswith("sqlite")


class OidcProvider(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who lets people in as well. Its redirect address is `{public_url}/sign-in/with/{name}/callback`."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,30}$")]
    """In addresses and in the database: never change it once it is in use."""
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    """On the button."""
    issuer: str
    client_id: Annotated[str, msgspec.Meta(min_length=1)]
    client_secret: str = ""
    """Empty: a public client, by PKCE alone."""
    scope: str = "openid email profile"


def is_safe_address(url: str) -> bool:
    """Whether it is HTTPS, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1"))
    )


def read_oidc_providers(text: str) -> tuple[OidcProvider, ...]:
    """The setting as values. Raises InvalidSetting, which repeats nothing of it."""
    try:
        found = msgspec.json.decode(text or "[]", type=tuple[OidcProvider, ...])
    except msgspec.DecodeError as reason:
        raise InvalidSetting(f"FOREBAY_OIDC_PROVIDERS is not as it must be: {reason}") from None
    if len({provider.name for provider in found}) < len(found):
        raise InvalidSetting("FOREBAY_OIDC_PROVIDERS: two have the same name")
    for provider in found:
        if not is_safe_address(provider.issuer):
            raise InvalidSetting(f"FOREBAY_OIDC_PROVIDERS: the issuer of {provider.name} must begin with https://")
    return found


DEMO_SSH_KEY_SOURCES = ("GitHub=https://github.com/{user}.keys", "GitLab=https://gitlab.com/{user}.keys")
"""Nothing is asked there before somebody in the demo presses the button."""

MOST = {
    "low_balance_early_hours": 24 * 365,
    "low_balance_late_hours": 24 * 365,
    "top_up_wait_seconds": 86400,
    "budget_notice_seconds": 86400 * 7,
    "disk_grace_days": 3650,
    "reclaim_notice_seconds": 86400,
    "local_volume_gb_nanos": 1_000_000_000,
    "local_volumes_gb": 1_000_000,
}
"""Beyond these a number is a slip of the finger, and no date or sum could be reckoned with it."""


def refuse_unsafe(settings: Settings) -> None:
    """Raise InvalidSetting for the first value that can't be used."""
    if settings.secret_key and len(settings.secret_key) < 32:
        raise InvalidSetting("FOREBAY_SECRET_KEY must have at least 32 characters")
    if settings.database_url and not settings.sqlalchemy_url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise InvalidSetting("FOREBAY_DATABASE_URL must begin with postgresql:// or sqlite:///")
    read_oidc_providers(settings.oidc_providers)
    if settings.public_url:
        parts = urlsplit(settings.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise InvalidSetting("FOREBAY_PUBLIC_URL must be http(s)://host[:port] without a path")
    refuse_unsafe_payments(settings)
    _ = settings.key_sources
    open_networks = (
        *settings.local_open_networks,
        *settings.webhook_open_networks,
        *settings.ssh_key_source_open_networks,
    )
    for network in (*settings.trusted_proxies, *open_networks):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise InvalidSetting(f"{network!r} is neither an address nor a network") from None
    if not 0 <= settings.port <= 65535:
        raise InvalidSetting("FOREBAY_PORT must be between 0 and 65535")
    if not settings.api_key_prefix.replace("_", "").isalnum() or len(settings.api_key_prefix) > 20:
        raise InvalidSetting("FOREBAY_API_KEY_PREFIX takes letters, digits and underscores, at most 20")
    refuse_unusable_numbers(settings)


def refuse_unusable_numbers(settings: Settings) -> None:
    """Raise InvalidSetting for a number that is out of its bounds."""
    for name in (
        "cycle_seconds",
        "idle_look_seconds",
        "session_days",
        "session_idle_days",
        "launch_timeout_seconds",
        "body_limit_bytes",
        "local_cpu_overcommit",
    ):
        if getattr(settings, name) < 1:
            raise InvalidSetting(f"FOREBAY_{name.upper()} must be at least 1")
    for entry in fields(Settings):
        value = getattr(settings, entry.name)
        if isinstance(value, int) and value < 0:
            raise InvalidSetting(f"FOREBAY_{entry.name.upper()} must not be negative")
    for name, most in MOST.items():
        if getattr(settings, name) > most:
            raise InvalidSetting(f"FOREBAY_{name.upper()} must be at most {most}")


def refuse_unsafe_payments(settings: Settings) -> None:
    """Raise InvalidSetting for what would send a secret key in the clear, or is no key at all."""
    parts = urlsplit(settings.stripe_api_base)
    is_near = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_near):
        raise InvalidSetting("FOREBAY_STRIPE_API_BASE must be https://host, or http:// on this machine's loopback")
    if not parts.hostname or parts.query or parts.fragment or parts.username or parts.password:
        raise InvalidSetting("FOREBAY_STRIPE_API_BASE must be an address with nothing but a path after it")
    if settings.stripe_secret_key and not settings.stripe_secret_key.startswith(("sk_", "rk_")):
        raise InvalidSetting("FOREBAY_STRIPE_SECRET_KEY must be a secret key (sk_…) or a restricted one (rk_…)")
    if settings.stripe_webhook_secret and not settings.stripe_webhook_secret.startswith("whsec_"):
        raise InvalidSetting("FOREBAY_STRIPE_WEBHOOK_SECRET must be a signing secret (whsec_…)")
    if settings.stripe_webhook_secret and not settings.stripe_secret_key:
        raise InvalidSetting("FOREBAY_STRIPE_WEBHOOK_SECRET is of no use without FOREBAY_STRIPE_SECRET_KEY")


def parse(name: str, text: str, kind: Any) -> Any:
    """The text of an environment variable as `kind`. Raises InvalidSetting."""
    variable = f"FOREBAY_{name.upper()}"
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off", ""):
            return False
        raise InvalidSetting(f"{variable} must be true or false")
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise InvalidSetting(f"{variable} must be a whole number") from None
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise InvalidSetting(f"{variable} must be one of {', '.join(get_args(kind))}")
        return text
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return kind(text)


def read(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment, with `overrides` (those that aren't None) on top.

    An unknown FOREBAY_ variable is refused: a misspelt one would silently mean its default. Raises InvalidSetting.
    """
    environment = os.environ if environment is None else environment
    kinds = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith("FOREBAY_") or variable in CLIENT_VARIABLES:
            continue
        name = variable.removeprefix("FOREBAY_").lower()
        if name not in kinds:
            raise InvalidSetting(f"{variable} is no setting of Forebay")
        values[name] = parse(name, text, kinds[name])
    values |= {name: value for name, value in overrides.items() if value is not None}
    if values.get("demo"):
        values.setdefault("cycle_seconds", 10)
        values.setdefault("idle_look_seconds", 10)
        values.setdefault("rate_limit_creations", 1000)
        values.setdefault("ssh_key_sources", DEMO_SSH_KEY_SOURCES)
    return Settings(**values)


def documentation() -> str:
    """The table of `docs/settings.md`, from the fields above."""
    rows = ["| Variable | Default | What it says |", "|---|---|---|"]
    for entry in fields(Settings):
        default = "" if entry.default is MISSING else entry.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        rows.append(f"| `FOREBAY_{entry.name.upper()}` | {f'`{shown}`' if shown else ''} | {entry.metadata['says']} |")
    return "\n".join(rows) + "\n"
