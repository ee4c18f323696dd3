"""The OpenAPI document, written from the declared routes: their types, needs, and every status they can answer."""

import inspect
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from forebay import __version__
from forebay.api.envelope import ErrorBody, File
from forebay.api.route import Needs, Route
from forebay.domain.people.roles import Permission, who_has

ERROR_REF = {"$ref": "#/components/schemas/ErrorBody"}
RETRY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request repeated with the same key within 24 hours gets the first answer, not a second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
INTRODUCTION = """Forebay's REST API. Programs written for Spheron's public API work with this address and a key of \
this cloud.

Send `Authorization: Bearer <key>`. Ids are 24 hex characters, times ISO 8601 in UTC, money in US dollars, exact to \
the micro-dollar."""


def document(routes: Sequence[Route], server: str) -> dict[str, Any]:
    """The whole document for these routes."""
    kinds = collect(routes)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = dict(zip([id(kind) for kind in kinds], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, by_kind, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Forebay",
            "version": __version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a session."}
            },
        },
    }


def collect(routes: Sequence[Route]) -> list[Any]:
    """All types that the routes speak of."""
    kinds: list[Any] = [ErrorBody]
    for route in routes:
        kinds += [kind for kind in (route.answers, route.body) if kind is not None and not is_file(kind)]
        if route.query is not None:
            kinds += [field.type for field in msgspec.structs.fields(route.query)]
    return kinds


def is_file(kind: Any) -> bool:
    """Whether this answer is a file, and no JSON."""
    return isinstance(kind, type) and issubclass(kind, File)


def operation(route: Route, schemas: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    """One method of one path."""
    responses = {str(status): response(route, status, schemas) for status in route.statuses}
    found: dict[str, Any] = {
        "operationId": f"{route.noun}.{route.function.__name__}",
        "tags": [route.noun],
        "summary": route.summary,
        "description": " ".join(part for part in (route.description, needs(route)) if part),
        "parameters": parameters(route, schemas),
        "responses": responses,
    }
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[id(route.body)]}}}
    found["security"] = [] if route.needs is Needs.nothing else [{"bearer": []}]
    return found


def needs(route: Route) -> str:
    """Who may use the route, in words."""
    if isinstance(route.needs, Permission):
        return f"Needs the permission `{route.needs}`: {', '.join(who_has(route.needs))}."
    return {
        Needs.nothing: "",
        Needs.account: "Needs a key or a session.",
        Needs.session: "Needs a session, not a key.",
        Needs.operator: "Needs the session of an operator of the platform.",
    }[route.needs]


def parameters(route: Route, schemas: dict[int, Any]) -> list[dict[str, Any]]:
    """What goes into the path, the query and the headers."""
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        for field in msgspec.structs.fields(route.query):
            schema = without_null(schemas[id(field.type)])
            if schema.get("type") == "string" and "pattern" not in schema:
                schema = {**schema, "pattern": r"^[^\x00]*$"}
            if not field.required and field.default is not None:
                schema = {**schema, "default": field.default}
            parameter = {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
            # As in `?status=`, which programs send for a filter that is not set: it counts as none.
            found.append({**parameter, "allowEmptyValue": True})
    if route.takes_retry_key:
        found.append(RETRY_KEY)
    return found


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out, never null."""
    if "anyOf" in schema:
        kept = [part for part in schema["anyOf"] if part != {"type": "null"}]
        if len(kept) == 1:
            return {**{key: value for key, value in schema.items() if key not in ("anyOf", "default")}, **kept[0]}
    if isinstance(schema.get("enum"), list) and None in schema["enum"]:
        return {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    return schema


def response(route: Route, status: int, schemas: dict[int, Any]) -> dict[str, Any]:
    """What one status means and holds."""
    if status == route.status:
        summary = inspect.getdoc(route.answers) if isinstance(route.answers, type) else None
        text = (summary or "Done").partition("\n")[0]
        if is_file(route.answers):
            schema = {"type": "string", "contentMediaType": route.answers.media_type}
            return {"description": text, "content": {route.answers.media_type: {"schema": schema}}}
        return {"description": text, "content": {"application/json": {"schema": schemas[id(route.answers)]}}}
    found: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": ERROR_REF}},
    }
    if status == 429:
        found["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return found
