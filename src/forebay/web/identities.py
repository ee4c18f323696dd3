"""Signing in with an OpenID Connect provider, and connecting one to one's account.

The state that goes to the provider and back is a step: good once and for ten minutes, for one provider, and in the
browser alone that began, which holds a cookie for it. What the provider is asked happens outside any transaction.
"""

import hmac
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
from litestar.handlers import HTTPRouteHandler

from forebay import ids
from forebay.domain.money import identities as arrivals
from forebay.domain.money.identities import Arrival
from forebay.domain.people import identities, steps
from forebay.domain.people.steps import Purpose
from forebay.errors import ForebayError, NotFound
from forebay.oidc import Asked, Claims, Provider, SignInFailed, new_request
from forebay.web.frame import HOME, Frame, Page, go, refusal
from forebay.web.sign_in import finish, welcome
from forebay.web.visits import Visit, path_of_ours

GOOD_SECONDS = 600
MOST_TEXT = 4096
MOST_AT_ONCE = 4


class IdentityPages:
    """The pages of one server."""

    def __init__(self, frame: Frame, providers: Mapping[str, Provider]) -> None:
        self.frame, self.providers = frame, providers
        # A provider that does not answer keeps nobody waiting but those who want in by it.
        self.executor = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="forebay-oidc")
        frame.form_targets = lambda: [provider.origin for provider in providers.values()]

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        page = self.frame.page
        return [
            page("POST", "/sign-in/with/{provider}", self.begin, executor=self.executor),
            page("GET", "/sign-in/with/{provider}/callback", self.finish, executor=self.executor),
        ]

    def provider(self, visit: Visit) -> Provider:
        """The provider that the address names. Raises NotFound."""
        found = self.providers.get(visit.parameters.get("provider", ""))
        if found is None:
            raise NotFound("Provider")
        return found

    def begin(self, visit: Visit) -> Page:
        """On to the provider, to sign in or to connect it."""
        frame, provider = self.frame, self.provider(visit)
        connects = visit.form.get("connect") == "yes"
        if connects:
            frame.demand_recent(visit)
        try:
            provider.metadata()
        except ForebayError as error:
            return self.failed(visit, error, connects=connects)
        asked, browser = new_request(), ids.new_secret(24).hex()
        document = {
            "provider": provider.config.name,
            "nonce": asked.nonce,
            "verifier": asked.verifier,
            "browser": frame.sign("oidc", browser),
            "next": visit.next,
            "connects": connects,
        }
        with frame.begin(visit) as connection:
            state = steps.begin(
                connection,
                Purpose.oidc,
                document,
                frame.secret_key,
                now=visit.now,
                seconds=GOOD_SECONDS,
                user_id=visit.person.user_id if connects else None,
            )
        visit.new_cookies.append(frame.bake("oidc", browser, seconds=GOOD_SECONDS))
        address = provider.begin(state, asked, is_again=visit.caller is not None)
        if address.startswith(f"{provider.origin}/"):
            return go(address)
        # The provider's page is at another origin than its name, where browsers let no form of ours lead to.
        return Page(template="onward.html", values={"address": address, "label": provider.config.label})

    def finish(self, visit: Visit) -> Page:
        """Back from the provider."""
        frame, provider = self.frame, self.provider(visit)
        connects = False
        try:
            with frame.begin(visit) as connection:
                step = steps.peek(
                    connection, Purpose.oidc, visit.query.get("state", "")[:200], frame.secret_key, now=visit.now
                )
                if step is None or not self.is_ours(visit, step.document, provider):
                    raise SignInFailed(provider.config.label)
                steps.take(connection, Purpose.oidc, visit.query["state"], frame.secret_key, now=visit.now)
            visit.new_cookies.append(frame.bake("oidc", "", seconds=0))
            connects = bool(step.document["connects"])
            visit.form["next"] = str(step.document["next"])
            if "code" not in visit.query:
                raise SignInFailed(provider.config.label)
            asked = Asked(step.document["nonce"], step.document["verifier"])
            claims = provider.finish(visit.query["code"][:MOST_TEXT], visit.query.get("iss", "")[:MOST_TEXT], asked)
            if connects:
                return self.connect(visit, claims, step.user_id)
            return self.arrive(visit, claims)
        except ForebayError as error:
            return self.failed(visit, error, connects=connects)

    def is_ours(self, visit: Visit, document: Mapping[str, object], provider: Provider) -> bool:
        """Whether the state was made for this provider and in this browser."""
        browser = self.frame.sign("oidc", visit.cookies.get(self.frame.cookie("oidc"), ""))
        is_same = hmac.compare_digest(browser, str(document["browser"]))
        return is_same and document["provider"] == provider.config.name

    def connect(self, visit: Visit, claims: Claims, user_id: str | None) -> Page:
        """The identity lets in whoever began."""
        frame = self.frame
        if visit.person.user_id != user_id:
            raise SignInFailed(claims.label)
        with frame.begin(visit) as connection:
            identities.connect(
                connection,
                visit.person,
                claims.provider,
                claims.subject,
                claims.email,
                label=claims.label,
                public_url=frame.public_url,
                now=visit.now,
            )
        frame.nudge("mails")
        return go(f"{HOME}#providers")

    def arrive(self, visit: Visit, claims: Claims) -> Page:
        """Sign in, with a new account if there is none."""
        frame = self.frame
        with frame.database.begin() as connection:
            account = arrivals.arrive(
                connection,
                Arrival(**msgspec.structs.asdict(claims)),
                sign_up=frame.settings.sign_up,
                now=visit.now,
                address=visit.address,
            )
            found = finish(frame, visit, connection, account, f"oidc:{claims.provider}")
        return welcome(frame, visit, found)

    def failed(self, visit: Visit, error: ForebayError, *, connects: bool) -> Page:
        """Back to where it began, with the reason."""
        if connects or visit.caller is not None:
            return refusal("error.html", error, code=error.code)
        labels = {name: provider.config.label for name, provider in self.providers.items()}
        values = {"next": path_of_ours(visit.form.get("next", "")), "email": "", "providers": labels}
        return refusal("sign_in.html", error, **values)

    def close(self) -> None:
        """Let what is under way end."""
        self.executor.shutdown(wait=False, cancel_futures=True)
