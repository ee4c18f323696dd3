"""OpenID Connect, the part that speaks to providers: authorization code with PKCE, state and nonce (RFC 9700).

Only an ID token that the provider signed for us, for this very sign-in, counts: issuer, audience, nonce, time and
algorithm are looked at, and `at_hash` where it is there. Nothing that a provider answers is believed to be in shape.
What a provider says about itself is asked for once an hour, its keys also when it signs with one that we don't know.
Calls take seconds at worst: make them outside any transaction.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from forebay import ids
from forebay.errors import BadRequest, Unavailable
from forebay.settings import OidcProvider, is_safe_address

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 5
KEPT_SECONDS = 3600
KEYS_SECONDS = 60
"""Keys are asked for again at most so often."""
LEEWAY_SECONDS = 60
MOST_BYTES = 1_000_000
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key that the provider alone has: never `none`, never HMAC."""


class ProviderDown(Unavailable):
    """The provider does not answer, or not as it should."""

    code = "PROVIDER_DOWN"

    def __init__(self, label: str) -> None:
        super().__init__(f"{label} does not answer as it should at this moment. Try again, or sign in another way.")


class SignInFailed(BadRequest):
    """What came back from the provider can't be believed, or is a second time."""

    code = "PROVIDER_REFUSED"

    def __init__(self, label: str) -> None:
        super().__init__(f"The sign-in with {label} did not succeed. Try again.")


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says about itself (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is, by the word of a provider."""

    provider: str
    label: str
    subject: str
    email: str
    is_email_verified: bool
    name: str


class Asked(msgspec.Struct, frozen=True):
    """What must be remembered of a sign-in until its end."""

    nonce: str
    verifier: str


class Provider:
    """One provider, with what it said about itself."""

    def __init__(self, config: OidcProvider, redirect_uri: str, now: Callable[[], datetime]) -> None:
        self.config, self.redirect_uri, self.now = config, redirect_uri, now
        self.lock = threading.Lock()
        self.known: tuple[float, Metadata] | None = None
        self.keys: tuple[float, Any] | None = None

    @property
    def origin(self) -> str:
        """Where forms may lead to."""
        parts = urlsplit(self.config.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    def metadata(self) -> Metadata:
        """What the provider says about itself. Raises ProviderDown."""
        with self.lock:
            known = self.known
        if known is not None and self.now().timestamp() - known[0] < KEPT_SECONDS:
            return known[1]
        address = self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
        found: Metadata = self.read(self.fetch("GET", address), Metadata)
        places = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        if found.issuer.rstrip("/") != self.config.issuer.rstrip("/") or not all(map(is_safe_address, places)):
            raise ProviderDown(self.config.label)
        with self.lock:
            self.known = (self.now().timestamp(), found)
        return found

    def begin(self, state: str, asked: Asked, *, is_again: bool) -> str:
        """Where to send the browser. `is_again`: the person has to prove there anew who they are."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        more = {"prompt": "login"} if is_again else {}
        address: str = prepare_grant_uri(
            self.metadata().authorization_endpoint,
            self.config.client_id,
            "code",
            redirect_uri=self.redirect_uri,
            scope=self.config.scope,
            state=state,
            nonce=asked.nonce,
            code_challenge=create_s256_code_challenge(asked.verifier),  # type: ignore[no-untyped-call]
            code_challenge_method="S256",
            **more,
        )
        return address

    def finish(self, code: str, issuer: str, asked: Asked) -> Claims:
        """Who it is, for the code that the browser brought. Raises ProviderDown, SignInFailed."""
        metadata = self.metadata()
        # Of two providers one may try to be given the other's code (RFC 9207).
        if issuer != metadata.issuer and (issuer or metadata.authorization_response_iss_parameter_supported):
            raise SignInFailed(self.config.label)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": asked.verifier,
            "client_id": self.config.client_id,
        }
        auth: tuple[str, str] | None = None
        if self.config.client_secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            del form["client_id"]
            auth = (form_encoded(self.config.client_id), form_encoded(self.config.client_secret))
        elif self.config.client_secret:
            form["client_secret"] = self.config.client_secret
        answer = self.fetch("POST", metadata.token_endpoint, data=form, auth=auth)
        tokens = self.read(answer, dict[str, Any])
        return self.believe(str(tokens.get("id_token", "")), str(tokens.get("access_token", "")), asked.nonce)

    def believe(self, id_token: str, access_token: str, nonce: str) -> Claims:
        """The claims of an ID token, if every one of them is as it must be. Raises SignInFailed, ProviderDown."""
        from authlib.oidc.core import CodeIDToken

        config = self.config
        token = self.decode(id_token)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": self.metadata().issuer},
                "aud": {"essential": True, "value": config.client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"nonce": nonce, "client_id": config.client_id, "access_token": access_token},
        )
        try:
            claims.validate(now=int(self.now().timestamp()), leeway=LEEWAY_SECONDS)
        except Exception:
            # Claims of any type: whatever the library raises on them, they can't be believed.
            raise SignInFailed(config.label) from None
        # The library passes over a hash that is empty, or has no token to be compared with.
        if "at_hash" in claims and not (claims["at_hash"] and access_token):
            raise SignInFailed(config.label)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or "\0" in subject:
            raise SignInFailed(config.label)
        return Claims(
            provider=config.name,
            label=config.label,
            subject=subject,
            email=text(claims.get("email")),
            is_email_verified=claims.get("email_verified") is True or claims.get("email_verified") == "true",
            name=text(claims.get("name")),
        )

    def decode(self, id_token: str) -> Any:
        """The token, its signature checked by a key of the provider; keys it has made lately are asked for."""
        from joserfc import errors, jwt

        for is_fresh in (False, True):
            keys = self.key_set(is_fresh=is_fresh)
            try:
                return jwt.decode(id_token, keys, algorithms=list(ALGORITHMS))
            except (errors.BadSignatureError, errors.InvalidKeyIdError, errors.MissingKeyError, ValueError) as reason:
                failure: Exception = reason
            except Exception as reason:
                failure = reason
                break
        raise SignInFailed(self.config.label) from failure

    def key_set(self, *, is_fresh: bool) -> Any:
        """The provider's keys. Raises ProviderDown."""
        from joserfc.jwk import KeySet

        with self.lock:
            known = self.keys
        if known is not None:
            age = self.now().timestamp() - known[0]
            if age < (KEYS_SECONDS if is_fresh else KEPT_SECONDS):
                return known[1]
        answer = self.read(self.fetch("GET", self.metadata().jwks_uri), dict[str, Any])
        try:
            found = KeySet.import_key_set(answer)
        except Exception:
            raise ProviderDown(self.config.label) from None
        with self.lock:
            self.keys = (self.now().timestamp(), found)
        return found

    def fetch(self, method: str, url: str, **more: Any) -> bytes:
        """The body of an answer. Raises ProviderDown; SignInFailed where the provider says no."""
        import httpx

        body = b""
        try:
            with (
                httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, verify=trust()) as http,
                http.stream(method, url, headers={"accept": "application/json"}, **more) as answer,
            ):
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise ProviderDown(self.config.label)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ProviderDown(self.config.label) from None
        if 400 <= answer.status_code < 500 and method == "POST":
            raise SignInFailed(self.config.label)
        if answer.status_code != 200:
            raise ProviderDown(self.config.label)
        return body

    def read(self, body: bytes, kind: Any) -> Any:
        """JSON as a value. Raises ProviderDown."""
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProviderDown(self.config.label) from None


def new_request() -> Asked:
    """A nonce and a verifier for one sign-in."""
    return Asked(ids.new_secret(24).hex(), ids.new_secret(32).hex())


def form_encoded(value: str) -> str:
    """As RFC 6749 wants a client's name and secret in an Authorization header."""
    return urlencode({"": value})[1:]


def text(value: object) -> str:
    """A claim that should be text."""
    return value if isinstance(value, str) and "\0" not in value and value.isprintable() else ""


@cache
def trust() -> "ssl.SSLContext":
    """Whom HTTPS believes; reading it takes a while, so it is done once."""
    import httpx

    return httpx.create_ssl_context()


def open_providers(
    configs: Sequence[OidcProvider], public_url: str, now: Callable[[], datetime]
) -> dict[str, Provider]:
    """All providers of the settings, by name; nothing is asked of them before somebody wants in."""
    return {
        config.name: Provider(config, f"{public_url}/sign-in/with/{config.name}/callback", now) for config in configs
    }
