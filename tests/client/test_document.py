"""The client against the OpenAPI document: every call exists, takes and answers what the server does."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from forebay import client
from forebay.api import openapi
from forebay.client import Request, deployments
from tests.api.cloud import ROUTES, URL

DOCUMENT: Any = msgspec.json.decode(msgspec.json.encode(openapi.document(ROUTES, URL)))
NOT_NOUNS = {"errors", "request", "transport"}

EXEMPT = {
    r"/api/operator/.*": "operators work on the pages, and at the machine that holds the books",
    r"/api/kubernetes/.*": "no provider has the add-on: kept for Spheron's clients alone",
    r"/api/auth/(passkeys|passkey-sign-in|oidc|step-up/passkey)(/.*)?": "browsers do this",
    r"/api/auth/(totp|totp/confirm|recovery-codes|factors)": "second factors are set up on the pages",
    r"/api/auth/(sign-up|verify|forgot-password|reset-password|password|change-address)": "follows links in mails",
    r"/api/me/email": "follows links in mails",
    r"DELETE /api/me": "an account is not ended by a script",
    r"/api/stripe/.*": "Stripe's",
}
"""Routes that the client leaves alone, by pattern of path or method and path, and why."""


def dummy(parameter: inspect.Parameter) -> Any:
    """A value of the kind that the parameter takes."""
    kind = str(parameter.annotation)
    if "Request" in kind:
        return call(deployments.launch, inspect.signature(deployments.launch))
    for word, value in (("Mapping", {"a": "b"}), ("Sequence", ["a"]), ("bool", True), ("int", 1)):
        if word in kind:
            return value
    return "a"


def calls() -> dict[str, Request[Any]]:
    """Every call of the client with all it can be given."""
    found = {}
    for module in pkgutil.iter_modules(client.__path__, "forebay.client."):
        if module.name.rpartition(".")[2] in NOT_NOUNS:
            continue
        noun = importlib.import_module(module.name)
        for name, function in inspect.getmembers(noun, inspect.isfunction):
            signature = inspect.signature(function)
            if function.__module__ == noun.__name__ and "Request" in str(signature.return_annotation):
                found[f"{module.name.rpartition('.')[2]}.{name}"] = call(function, signature)
    return found


def call(function: Callable[..., Request[Any]], signature: inspect.Signature) -> Request[Any]:
    """The request of one function."""
    given: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            which = ("user_id", "action", "object_type", "object_id", "outcome", "since", "until")
            named |= dict.fromkeys(which, "a")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = dummy(parameter)
        else:
            given.append(dummy(parameter))
    return function(*given, **named)


CALLS = calls()


def resolved(schema: Any) -> Any:
    """A schema, or what its reference leads to."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def kinds(schema: Any, definitions: Any = None) -> list[Any]:
    """What a value may be: its alternatives, each a schema that is no reference."""
    while "$ref" in schema:
        schema = (definitions or DOCUMENT["components"]["schemas"])[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return [kind for part in schema["anyOf"] for kind in kinds(part, definitions)]
    if isinstance(schema.get("enum"), list):
        words = [{"type": "string"}] if any(isinstance(value, str) for value in schema["enum"]) else []
        return words + ([{"type": "null"}] if None in schema["enum"] else [])
    return [schema]


def differences(mine: Any, definitions: Any, theirs: Any, where: str, *, may_lack: bool = False) -> list[str]:
    """Where the client's type is none that fits the answers of the document."""
    ours, others = kinds(mine, definitions), kinds(theirs)
    names = {str(kind.get("type")) for kind in ours}, {str(kind.get("type")) for kind in others}
    if names[0] - {"null"} != names[1] - {"null"} or ("null" in names[1] and "null" not in names[0]):
        return [f"{where}: {sorted(names[0])} for {sorted(names[1])}"]
    found = []
    for kind in ours:
        other = next((other for other in others if other.get("type") == kind.get("type")), None)
        if other is None:
            continue
        if kind.get("type") == "array" and "items" in kind:
            found += differences(kind["items"], definitions, other["items"], f"{where}[]")
        if kind.get("type") == "object" and "properties" in kind:
            fields, real = kind["properties"], other["properties"]
            found += [f"{where}.{name} is not known" for name in set(real) - set(fields)]
            found += [f"{where}.{name} does not exist" for name in set(fields) - set(real)]
            always = set(other.get("required", []))
            found += [f"{where}.{name} may be missing" for name in set(kind.get("required", [])) - always]
            for name in set(fields) & set(real):
                found += differences(fields[name], definitions, real[name], f"{where}.{name}")
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_as_the_document_says(name: str) -> None:
    asked = CALLS[name]
    operation = DOCUMENT["paths"][asked.path][asked.method.lower()]
    assert set(asked.at) == set(re.findall(r"{(\w+)}", asked.path))
    places = {place: set() for place in ("query", "header", "path")}  # type: dict[str, set[str]]
    for parameter in operation["parameters"]:
        places[parameter["in"]].add(parameter["name"])
    assert set(asked.query) <= places["query"]
    assert asked.takes_retry_key is ("Idempotency-Key" in places["header"])
    assert asked.is_open is (operation["security"] == [])
    assert (asked.body is not None) is ("requestBody" in operation)
    if asked.body is not None:
        schema = resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        assert set(asked.body) <= set(schema["properties"])
        assert set(schema.get("required", [])) <= set(asked.body)
    [good] = [response for status, response in operation["responses"].items() if status < "300"]
    [(kind, content)] = good["content"].items()
    if asked.answers in (str, bytes):
        assert kind == {str: "text/csv", bytes: "application/pdf"}[asked.answers]
        return
    [mine], definitions = msgspec.json.schema_components([asked.answers], ref_template="#/{name}")
    assert differences(mine, definitions, content["schema"], name) == []


def test_the_client_knows_every_route_that_a_program_may_want() -> None:
    known = {(asked.method, asked.path) for asked in CALLS.values()}
    left_out = {
        f"{route.method} {route.path}"
        for route in ROUTES
        if (route.method, route.path) not in known
        and not any(re.fullmatch(rf"(?:\w+ )?{pattern}", f"{route.method} {route.path}") for pattern in EXEMPT)
    }
    assert left_out == set()


def test_the_comparison_finds_what_differs() -> None:
    class Wrong(client.Answer):
        id: int
        name: str | None
        nothing: str

    [mine], definitions = msgspec.json.schema_components([Wrong], ref_template="#/{name}")
    found = differences(mine, definitions, {"$ref": "#/components/schemas/Me"}, "me")
    assert "me.id: ['integer'] for ['string']" in found
    assert "me.nothing does not exist" in found
    assert "me.email is not known" in found
    assert not [line for line in found if "me.name" in line]
