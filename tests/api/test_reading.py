"""Bodies and queries that nobody should send: each is refused in shape, none is a fault of ours."""

import tracemalloc
from typing import Any

import msgspec
import pytest

from forebay.api.route import Needs, Route
from tests.api.cloud import ABSENT, ROUTES, Cloud

WITH_BODY = [route for route in ROUTES if route.body is not None]
MEBIBYTE = 1024 * 1024


def path_of(route: Route) -> str:
    return route.path.replace("{deployment_id}", ABSENT)


def by_method_and_path(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", WITH_BODY, ids=by_method_and_path)
def test_a_body_that_is_no_json_object(cloud: Cloud, route: Route) -> None:
    pat = cloud.person(is_operator=True)
    credential = None if route.needs is Needs.nothing else pat.session
    for raw in (
        b"{", b"}", b"null", b"[]", b'"x"', b"7", b"true", b"[{}]", b"\xff\xfe{\x00}\x00", b"{'name': 'x'}",
        b'{"a":1,}', b'{"a":1} x', b"{}{}", b"\x00", b"name=x", b"<x/>", b"\xef\xbb\xbf{}", b'{"name": "\xff"}',
        b'{"a": NaN}', b'{"a": 1e400', b"[" * 100_000, b'{"a":' * 100_000, b"\x1f\x8b\x08\x00", b"--x\r\ncontent",
    ):  # fmt: skip
        refusal = cloud.send(route.method, path_of(route), credential, raw=raw).refused(400, "MALFORMED_JSON")
        assert set(refusal["details"]) == {"body"}


@pytest.mark.parametrize("route", WITH_BODY, ids=by_method_and_path)
def test_every_field_with_every_wrong_type(cloud: Cloud, route: Route) -> None:
    pat = cloud.person(is_operator=True)
    credential = None if route.needs is Needs.nothing else pat.session
    assert route.body is not None
    names = [field.encode_name for field in msgspec.structs.fields(route.body)]
    values: tuple[Any, ...] = (7, -1, 1.5, True, [], [[]], {}, {"a": {}}, 2**63, -(2**63), 2**64, None, "x" * 40_000)
    for value in values:
        answer = cloud.send(route.method, path_of(route), credential, dict.fromkeys(names, value))
        assert answer.status in (400, 401, 403, 404), (value, answer)
        assert set(answer.json["details"]) <= {*names, "permission", "whoHasIt", "role", "status", "passkey"}, (
            value,
            answer,
        )
    for value in ("1e400", "-1e400", "9" * 5000, "1e-400", "-0", "0.1e1", '"\\u0000"', '"\\ud800"', '{"\\udfff":1}'):
        raw = ("{" + ",".join(f'"{name}":{value}' for name in names) + "}").encode()
        answer = cloud.send(route.method, path_of(route), credential, raw=raw)
        assert answer.status in (400, 401, 403, 404), (value, answer)


def test_nested_as_deep_as_it_goes(cloud: Cloud) -> None:
    """Where the reader's own limit lies is nobody's business: on both sides of it the answer is a 400."""
    pat = cloud.person()
    for depth in (10, 63, 64, 65, 500, *range(900, 1010, 7), 2000, 20_000):
        for start, end in ((b"[", b"]"), (b'{"a":', b"}")):
            raw = b'{"name":' + start * depth + b"1" + end * depth + b',"publicKey":"x"}'
            answer = cloud.post("/api/ssh-keys", pat.key, raw=raw)
            assert answer.status == 400, (depth, answer)


def test_ten_megabytes_are_too_much_however_they_come(cloud: Cloud) -> None:
    pat = cloud.person()
    whole = b'{"name":"' + b"a" * (10 * MEBIBYTE) + b'"}'
    chunks = [whole[start : start + 65_536] for start in range(0, len(whole), 65_536)]
    lengths: list[dict[str, str]] = [
        {"content-length": length} for length in ("0", "5", "-1", "x", "\xb2", "9" * 5000, str(len(whole)), "010485760")
    ]
    tracemalloc.start()
    for route in WITH_BODY:
        credential = None if route.needs is Needs.nothing else pat.session
        answer = cloud.send(route.method, path_of(route), credential, raw=whole)
        assert answer.refused(413, "BODY_TOO_LARGE")["details"] == {"limit": MEBIBYTE}
        cloud.send(route.method, path_of(route), credential, raw=chunks).refused(413, "BODY_TOO_LARGE")
    for headers in lengths:
        cloud.post("/api/ssh-keys", pat.key, raw=chunks, headers=headers).refused(413, "BODY_TOO_LARGE")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MEBIBYTE, "what comes after the limit is not kept"


def test_the_limit_itself(cloud: Cloud) -> None:
    pat = cloud.person()
    for size, status in ((MEBIBYTE, 400), (MEBIBYTE + 1, 413)):
        body = b'{"name":"x","publicKey":"' + b"a" * (size - 27) + b'"}'
        assert len(body) == size
        assert cloud.post("/api/ssh-keys", pat.key, raw=body).status == status
        assert cloud.post("/api/ssh-keys", pat.key, raw=[body[:1000], body[1000:]]).status == status


def test_a_body_that_never_ends(cloud: Cloud) -> None:
    """The connection is gone before the body is whole: nothing is done."""
    pat = cloud.person()
    request = cloud.request("POST", "/api/ssh-keys", pat.key, raw=[b'{"name":"x"'])
    assert cloud.cut_off(request).refused(400, "VALIDATION_ERROR")["error"] == "The request was not sent to its end."


def test_what_the_content_type_says_does_not_matter(cloud: Cloud) -> None:
    """As curl sends it without -H, and as old clients do: the body is JSON or it is refused for not being JSON."""
    pat = cloud.person()
    path = "/api/deployments"
    key = cloud.ssh_key(pat.team, pat)
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", "", "x" * 9000,
                 "multipart/form-data; boundary=x", "application/json; charset=utf-16", "\xff"):  # fmt: skip
        headers = {"content-type": kind}
        cloud.post(path, pat.key, cloud.order(pat.team, key), headers=headers).ok(201)
        cloud.post(path, pat.key, raw=b"teamId=x", headers=headers).refused(400, "MALFORMED_JSON")


@pytest.mark.parametrize("route", WITH_BODY, ids=by_method_and_path)
def test_a_body_is_needed(cloud: Cloud, route: Route) -> None:
    credential = None if route.needs is Needs.nothing else cloud.person(is_operator=True).session
    refusal = cloud.send(route.method, path_of(route), credential, raw=b"").refused(400, "VALIDATION_ERROR")
    assert refusal["details"] == {"body": "required"}


def test_in_an_empty_object_the_fields_are_missing(cloud: Cloud) -> None:
    pat = cloud.person()
    for raw in (b"{}", b"  {}  "):
        refusal = cloud.post("/api/ssh-keys", pat.key, raw=raw).refused(400, "VALIDATION_ERROR")
        assert refusal["details"] == {"name": "required", "publicKey": "required"}


def test_queries_that_are_none(cloud: Cloud) -> None:
    pat = cloud.person()
    for query in ("search=%FF", "search=%C0%80", "search=%ED%A0%80", "\xff", "search=\xe9"):
        refusal = cloud.get(f"/api/gpu-offers?{query}").refused(400, "VALIDATION_ERROR")
        assert set(refusal["details"]) == {"query"}
    assert set(cloud.get("/api/gpu-offers?search=a%00").refused(400, "VALIDATION_ERROR")["details"]) == {"search"}
    for query in (
        "",
        "&",
        "=",
        "?",
        "%zz=1",
        "search=%zz",
        "search=%",
        "a;b",
        "unknown=1",
        "&" * 5000,
        "=1",
        "x" * 60_000,
    ):
        assert cloud.get(f"/api/gpu-offers?{query}").status == 200, query
        assert cloud.get(f"/api/deployments?{query}", pat.key).status == 200, query


def test_of_a_parameter_given_twice_the_last_counts(cloud: Cloud) -> None:
    assert cloud.get("/api/gpu-offers?limit=0&limit=7").ok()["limit"] == 7
    cloud.get("/api/gpu-offers?limit=7&limit=0").refused(400, "VALIDATION_ERROR")
    pat = cloud.person()
    cloud.get(f"/api/deployments?teamId={pat.team}&teamId={ABSENT}", pat.key).refused(404, "NOT_FOUND")


def test_paths_and_methods_that_do_not_exist(cloud: Cloud) -> None:
    for path in ("/api", "/api/", "/api/nothing", "/api/deployments/x/y/z", "/api/../etc/passwd", "/api/%2e%2e",
                 "/api/%00", "/API/providers", "/api/\xff"):  # fmt: skip
        cloud.get(path).refused(404, "NOT_FOUND")
    allowed: dict[str, set[str]] = {}
    for route in ROUTES:
        allowed.setdefault(route.path, set()).add(route.method)
    for path, methods in allowed.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "GETT"):
            if method not in methods:
                answer = cloud.send(method, path.replace("{", "").replace("}", ""))
                answer.refused(405, "METHOD_NOT_ALLOWED")
                assert {name.strip() for name in answer.headers["allow"].split(",")} >= methods
                assert method not in answer.headers["allow"].split(", ")
