"""ID tokens: one that is not signed by the provider, for us, for this sign-in and now, is worth nothing."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from forebay.oidc import Metadata, Provider, ProviderDown, SignInFailed, new_request
from forebay.settings import InvalidSetting, OidcProvider, Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.corp.example"
KEY = RSAKey.generate_key(2048, {"kid": "a", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "a", "use": "sig"})
GOOD = {"iss": ISSUER, "aud": "forebay", "sub": "pat", "nonce": "n", "iat": AT, "exp": AT + 300, "email": "p@x.test"}


@pytest.fixture(scope="module")
def provider() -> Provider:
    """One that was asked already what it is."""
    config = OidcProvider(name="corp", label="Corp", issuer=ISSUER, client_id="forebay", client_secret="s")
    found = Provider(config, "https://cloud.test/sign-in/with/corp/callback", lambda: NOW)
    found.known = (NOW.timestamp(), Metadata(ISSUER, f"{ISSUER}/a", f"{ISSUER}/t", f"{ISSUER}/k"))
    found.keys = (NOW.timestamp(), KeySet([KEY]))
    return found


def token(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "a"}, claims, key, algorithms=[algorithm])


def test_a_good_one(provider: Provider) -> None:
    found = provider.believe(token({**GOOD, "email_verified": True, "name": "Pat"}), "", "n")
    assert (found.provider, found.subject, found.email, found.is_email_verified) == ("corp", "pat", "p@x.test", True)
    assert provider.believe(token({**GOOD, "aud": ["forebay"]}), "", "n").is_email_verified is False
    shared = {**GOOD, "aud": ["forebay", "another"], "azp": "forebay"}
    assert provider.believe(token(shared), "", "n").subject == "pat"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"}, {"iss": ISSUER + "/"}, {"iss": None}, {"iss": [ISSUER]},
        {"aud": "another"}, {"aud": []}, {"aud": None}, {"aud": ["another"]}, {"aud": ["forebay", "another"]},
        {"azp": "another"}, {"aud": ["forebay", "another"], "azp": "another"}, {"aud": {"forebay": 1}},
        {"sub": ""}, {"sub": None}, {"sub": 7}, {"sub": "a" * 256}, {"sub": "a\0"},
        {"nonce": "m"}, {"nonce": None}, {"nonce": ["n"]},
        {"exp": AT - 61}, {"exp": None}, {"exp": "soon"}, {"iat": None}, {"iat": AT + 61}, {"iat": "now"},
        {"nbf": AT + 61}, {"at_hash": "none"}, {"at_hash": None}, {"at_hash": 7},
    ],
    ids=str,
)  # fmt: skip
def test_one_wrong_claim_is_enough(provider: Provider, change: dict[str, Any]) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None or name == "at_hash"}
    with pytest.raises(SignInFailed):
        provider.believe(token(claims), "an access token", "n")


def test_the_access_token_belongs_to_it(provider: Provider) -> None:
    half = hashlib.sha256(b"an access token").digest()[:16]
    claims = {**GOOD, "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode()}
    provider.believe(token(claims), "an access token", "n")
    with pytest.raises(SignInFailed):
        provider.believe(token(claims), "another", "n")


def unsigned(claims: dict[str, Any]) -> str:
    head, body, _ = token(claims).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"a"}').rstrip(b"=").decode()
    return f"{none}.{body}." if head else ""


def by_public_key(claims: dict[str, Any]) -> str:
    """HMAC under the key that everybody knows."""
    _, body, _ = token(claims).split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"a"}').rstrip(b"=").decode()
    signature = hmac.digest(KEY.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


FORGED: list[Callable[[dict[str, Any]], str]] = [
    lambda claims: token(claims, OTHER),
    by_public_key,
    unsigned,
    lambda claims: token(claims)[:-4] + "AAAA",
    lambda claims: token(claims).rpartition(".")[0],
    lambda claims: "",
    lambda claims: "a.b.c",
    lambda claims: "é",
    lambda claims: "." * 100_000,
]


@pytest.mark.parametrize("forge", FORGED)
def test_signatures_of_others_count_for_nothing(provider: Provider, forge: Callable[[dict[str, Any]], str]) -> None:
    with pytest.raises(SignInFailed):
        provider.believe(forge(GOOD), "", "n")


ENTRY = (
    '{"name": "corp", "label": "Corp", "issuer": "https://id.corp.example", "clientId": "f", "clientSecret": "hush"}'
)


def test_providers_come_from_one_setting() -> None:
    [found] = Settings(oidc_providers=f"[{ENTRY}]").oidc
    assert (found.name, found.client_secret, found.scope) == ("corp", "hush", "openid email profile")
    assert Settings().oidc == ()


@pytest.mark.parametrize(
    "text",
    [
        "corp", "{}", f"[{ENTRY}, {ENTRY}]", f"[{ENTRY.replace('https', 'http')}]",
        f"[{ENTRY.replace('clientId', 'client')}]",
        f"[{ENTRY.replace('corp', 'Corp/')}]", '[{"name": "corp"}]', f"[{ENTRY.replace('https://', '')}]",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidSetting, match="FOREBAY_OIDC_PROVIDERS") as refused:
        Settings(oidc_providers=text)
    assert "hush" not in str(refused.value)


class Liar(Provider):
    """Its own word about itself is what the test says."""

    said: dict[str, Any]

    def fetch(self, method: str, url: str, **more: Any) -> bytes:
        assert (method, url) == ("GET", f"{ISSUER}/.well-known/openid-configuration"), "nothing else is asked of it"
        return msgspec.json.encode(self.said)


@pytest.mark.parametrize(
    "change",
    [{"issuer": "https://other.example"}, {"token_endpoint": "http://id.corp.example/t"}, {"jwks_uri": 7}, {}],
    ids=str,
)
def test_a_provider_that_says_it_is_another_is_refused(change: dict[str, Any]) -> None:
    found = Liar(OidcProvider(name="corp", label="Corp", issuer=ISSUER, client_id="c"), "https://x.test", lambda: NOW)
    found.said = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/a",
        "token_endpoint": f"{ISSUER}/t",
        "jwks_uri": f"{ISSUER}/k",
    } | change
    if not change:
        assert found.begin("s", new_request(), is_again=False).startswith(f"{ISSUER}/a?")
        return
    with pytest.raises(ProviderDown):
        found.begin("s", new_request(), is_again=False)
