"""The OpenAPI document is the manual: valid, complete, and the same whoever asks."""

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from forebay.api import openapi
from forebay.api.envelope import ErrorBody
from forebay.api.route import Needs, Route, route
from forebay.domain.people.access import Target
from forebay.domain.people.roles import Permission
from tests.api.cloud import ROUTES, URL, Cloud

DOCUMENT: Any = msgspec.json.decode(msgspec.json.encode(openapi.document(ROUTES, URL)))
MEDIA_TYPES = {"application/json", "text/csv", "application/pdf"}
OPERATIONS = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def test_it_is_served_to_anyone(cloud: Cloud) -> None:
    assert cloud.get("/api/openapi.json").ok() == DOCUMENT
    assert cloud.get("/api/openapi.json", "no key").headers["content-type"] == "application/json"


def test_it_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_it_has_the_parts_that_clients_read() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert set(DOCUMENT) == {"openapi", "info", "servers", "paths", "components"}
    assert DOCUMENT["info"]["license"] == {"name": "Apache-2.0"}
    assert DOCUMENT["servers"] == [{"url": URL}]
    for path, method, operation in OPERATIONS:
        assert path.startswith("/api/")
        assert method in ("get", "post", "put", "patch", "delete")
        assert set(operation) <= {
            "operationId", "tags", "summary", "description", "parameters", "responses", "requestBody", "security",
        }  # fmt: skip
        named = [(parameter["in"], parameter["name"]) for parameter in operation["parameters"]]
        assert len(named) == len(set(named))
        assert {name for place, name in named if place == "path"} == set(re.findall(r"{(\w+)}", path))
        for parameter in operation["parameters"]:
            assert set(parameter) <= {"name", "in", "required", "schema", "description", "allowEmptyValue"}
            assert parameter["in"] in ("path", "query", "header")
            assert parameter["required"] or parameter["in"] != "path"
        for status, response in operation["responses"].items():
            assert re.fullmatch("[2-5][0-9][0-9]", status)
            assert response["description"]
            assert set(response["content"]) <= ({"application/json"} if int(status) >= 400 else MEDIA_TYPES)


def schemas(value: Any) -> list[Any]:
    """Every schema in the document."""
    if isinstance(value, list):
        return [found for part in value for found in schemas(part)]
    if not isinstance(value, dict):
        return []
    found = [value["schema"]] if isinstance(value.get("schema"), dict) else []
    return found + [inner for part in value.values() for inner in schemas(part)]


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    components = DOCUMENT["components"]["schemas"]
    for schema in [*schemas(DOCUMENT["paths"]), *components.values()]:
        jsonschema_rs.meta.validate(schema)
    references = set(re.findall(r'"\$ref": *"([^"]+)"', msgspec.json.encode(DOCUMENT).decode().replace('":"', '": "')))
    assert references
    assert references == {f"#/components/schemas/{name}" for name in components}, "none is missing, none is idle"
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in components)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names)) == len(ROUTES)
    for _, _, operation in OPERATIONS:
        assert operation["summary"][0].isupper()
        assert len(operation["summary"]) < 100
        assert len(operation["tags"]) == 1


@pytest.mark.parametrize("declared", ROUTES, ids=lambda declared: f"{declared.method} {declared.path}")
def test_it_says_what_a_route_needs_takes_and_answers(declared: Route) -> None:
    operation = DOCUMENT["paths"][declared.path][declared.method.lower()]
    statuses = {int(status) for status in operation["responses"]}
    assert statuses == set(declared.statuses)
    assert {declared.status, 503} <= statuses
    assert (429 in statuses) == declared.is_counted
    assert [status for status in statuses if status < 400] == [declared.status]
    for status in statuses - {declared.status}:
        [content] = operation["responses"][str(status)]["content"].values()
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
    if declared.is_counted:
        assert "Retry-After" in operation["responses"]["429"]["headers"]
    if declared.needs is Needs.nothing:
        assert operation["security"] == []
    else:
        assert operation["security"] == [{"bearer": []}]
        assert 401 in statuses
    if isinstance(declared.needs, Permission):
        assert f"`{declared.needs}`" in operation["description"]
        assert {403, 404} <= statuses
    takes = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"]
    assert takes == (["Idempotency-Key"] if declared.takes_retry_key else [])
    assert ("requestBody" in operation) is declared.has_body


def test_the_shape_of_refusals() -> None:
    shape = DOCUMENT["components"]["schemas"]["ErrorBody"]
    assert shape["required"] == list(ErrorBody.__struct_fields__) == ["error", "code", "details"]


def test_the_links_in_answers_follow_the_setting_not_the_host_header(cloud: Cloud) -> None:
    answer = cloud.get("/api/openapi.json", headers={"host": "evil.example"})
    assert b"evil.example" not in answer.body


def test_a_route_cannot_be_declared_without_saying_who_may_use_it() -> None:
    with pytest.raises(TypeError, match="needs"):
        route("GET", "/api/everything", answers=str, target=Target.nothing)  # type: ignore[call-arg]
