"""Bad requests: each gets its status, names what is wrong and what is allowed, changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import parse

PROXIES = "/api/v1/proxies"
FAULTS = "/api/v1/proxies/cache/faults"
SCRIPTS = "/api/v1/proxies/cache/scripts"
UNITS = ["us", "ms", "s", "m", "h", "d"]


def _proxy(**more: Any) -> bytes:
    plain = {"name": "x", "protocol": "tcp", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    return json.dumps(plain | more).encode()


def _changes(*found: tuple[str, str, Any]) -> bytes:
    changes = [{"method": method, "path": path, "data": data} for method, path, data in found]
    return json.dumps(changes).encode()


# method, path, body, status, pointer, code, something in the title, an allowed value
BAD: list[tuple[str, str, bytes, int, str | None, str, str, str | None]] = [
    # not JSON as we take it
    ("POST", FAULTS, b"", 400, "", "json-syntax", "found the end", None),
    ("POST", FAULTS, b"{", 400, "", "json-syntax", "a name in double quotes", None),
    ("POST", FAULTS, b"{'kind': 1}", 400, "", "json-syntax", "a name in double quotes", None),
    ("POST", FAULTS, b'{"kind": "hang",}', 400, "", "json-syntax", "found '}'", None),
    ("POST", FAULTS, b'{"a": [1, 2', 400, "/a", "json-syntax", "',' or ']'", None),
    ("POST", FAULTS, b'"hang" x', 400, "", "json-syntax", "nothing is expected", None),
    ("POST", FAULTS, b'{"kind": hang}', 400, "/kind", "json-syntax", "'hang'", None),
    ("POST", FAULTS, b'{"a": 012}', 400, "/a", "json-syntax", "'012'", None),
    ("POST", FAULTS, b'{"a": "x\ny"}', 400, "/a", "json-syntax", "string", None),
    ("POST", FAULTS, b'{"a": "x', 400, "/a", "json-syntax", "string", None),
    ("POST", FAULTS, b'{"a": "\xff"}', 400, "", "json-encoding", "byte 7 is not UTF-8", None),
    ("POST", FAULTS, b"\xef\xbb\xbf{}", 400, "", "json-encoding", "byte order mark", None),
    ("POST", FAULTS, b'{"a": "\\ud800"}', 400, "/a", "json-encoding", "surrogate", None),
    ("POST", FAULTS, b'{"a/b": {"c": 1, "c": 2}}', 400, "/a~1b/c", "json-duplicate", "twice", None),
    ("POST", FAULTS, b'{"a": [0, NaN]}', 400, "/a/1", "json-number", "NaN", None),
    ("POST", FAULTS, b'{"a": -Infinity}', 400, "/a", "json-number", "-Infinity", None),
    ("POST", FAULTS, b'{"a": 1e999}', 400, "/a", "json-number", "too large", None),
    ("POST", FAULTS, b'{"a": ' + b"9" * 41 + b"}", 400, "/a", "json-number", "40 char", None),
    ("POST", FAULTS, b"[" * 33 + b"]" * 33, 400, "/0" * 32, "json-depth", "32 levels", None),
    ("POST", FAULTS, b"[" * 60_000, 400, "/0" * 32, "json-depth", "32 levels", None),
    # wrong values
    ("POST", FAULTS, b'"delay 2"', 422, "", "unit-missing", "'2' has no unit", "ms"),
    ("POST", FAULTS, b'{"text": "delay 2"}', 422, "/text", "unit-missing", "no unit", "ms"),
    (
        "POST",
        FAULTS,
        b'{"kind": "delay", "options": {"delay": 2000}}',
        422,
        "/options/delay",
        "unit-missing",
        "'2000' has no unit",
        "ms",
    ),
    ("POST", FAULTS, b'{"kind": "dely"}', 422, "/kind", "unknown-name", "Did you mean 'delay'?",
     "delay"),
    ("POST", FAULTS, b'{"kind": "hang", "cuont": 1}', 422, "/cuont", "unknown-name", "'count'?",
     "count"),
    ("POST", FAULTS, b'"hang at during"', 422, "", "not-allowed", "during", "reply"),
    ("POST", FAULTS, b'"hang match ky=1"', 422, "", "unknown-name", "'ky'", "key"),
    ("POST", FAULTS, b'"hang match key~(?=x)"', 422, "", "", "", None),
    ("POST", FAULTS, b'"hang on cache"', 422, "", "not-allowed", "the address names the proxy",
     None),
    ("POST", FAULTS, b"null", 422, "", "not-allowed", "an object", None),
    ("POST", FAULTS, b"[]", 422, "", "not-allowed", "an object", None),
    ("POST", FAULTS, b"{}", 422, "/kind", "value-missing", "kind", None),
    ("POST", SCRIPTS, b"{}", 422, "/steps", "value-missing", "steps", None),
    ("POST", SCRIPTS, b'"pass 2, dely"', 422, "", "unknown-name", "'dely'", "delay"),
    ("POST", "/api/v1/proxies/cache/recipes", b'"hang"', 422, "", "not-allowed", "recipe", None),
    ("PATCH", FAULTS + "/slow", b"7", 422, "", "not-allowed", "an object", None),
    ("PATCH", FAULTS + "/slow", b'{"count": 0}', 422, "/count", "", "0", None),
    ("PATCH", FAULTS + "/slow", b'{"enabled": 1}', 422, "/enabled", "", "boolean", None),
    ("PATCH", FAULTS + "/slow", b'{"name": "x"}', 422, "/name", "not-allowed", "stays", None),
    ("PATCH", "/api/v1/proxies/cache", b'{"upstrem": ""}', 422, "/upstrem", "unknown-name",
     "enabled", "enabled"),
    ("PATCH", "/api/v1/proxies/cache", b'{"enabled": "yes"}', 422, "/enabled", "not-allowed",
     "boolean", "true"),
    ("PATCH", "/api/v1/proxies/cache", b"3", 422, "", "not-allowed", "an object", None),
    ("PUT", "/api/v1/panic", b"{}", 422, "/on", "value-missing", "'on'", "true"),
    ("PUT", "/api/v1/panic", b'{"on": true, "by": 3}', 422, "/by", "not-allowed", "'by'", None),
    ("PUT", "/api/v1/panic", b'{"on": true, "by": "a\\nb"}', 422, "/by", "not-allowed", "line",
     None),
    ("PUT", "/api/v1/panic", b'{"no": true}', 422, "/no", "unknown-name", "'no'", "on"),
    ("POST", FAULTS + "/slow/restart", b'{"x": 1}', 422, "/x", "unknown-name", "'x'", None),
    # what is not there
    ("GET", "/api/v1/proxies/cahce", b"", 404, None, "unknown-name", "Did you mean 'cache'?",
     "cache"),
    ("GET", FAULTS + "/slo", b"", 404, None, "unknown-name", "Did you mean 'slow'?", "slow"),
    ("DELETE", FAULTS + "/x", b"", 404, None, "unknown-name", "no fault 'x'; faults: slow", "slow"),
    ("PATCH", SCRIPTS + "/slow", b"{}", 404, None, "unknown-name", "is a fault", "steps"),
    ("GET", "/api/v1/proxis", b"", 404, None, "unknown-address", "Did you mean 'proxies'?",
     "proxies"),
    ("GET", "/api/v1/proxies/cache/fault", b"", 404, None, "unknown-address", "'faults'?",
     "faults"),
    ("GET", "/", b"", 404, None, "unknown-address", "nothing at /", "api"),
    ("GET", "*", b"", 404, None, "unknown-address", "nothing at", "api"),
    ("GET", "//api//v1", b"", 404, None, "unknown-address", "nothing at", None),
    ("GET", "/api/v1/kinds/dely", b"", 404, None, "unknown-name", "'delay'?", "delay"),
    ("GET", "/api/v1/protocols/rdis", b"", 404, None, "unknown-name", "'redis'?", "redis"),
    ("GET", "/api/v1/kinds?protocol=rdis", b"", 404, None, "unknown-name", "'redis'?", "redis"),
    ("GET", "/api/v1/proxies/cache/connections/7", b"", 404, None, "unknown-name", "'7'", None),
    ("GET", "/api/v1/proxies/cache/connections/%C2%B2", b"", 404, None, "unknown-name", "", None),
    ("GET", "/api/v1/proxies/%ff", b"", 400, None, "address", "UTF-8", None),
    # parameters
    ("GET", "/api/v1/proxies?x=1", b"", 422, None, "unknown-name", "parameter 'x'", None),
    ("GET", "/api/v1/proxies/cache/exchanges?limt=3", b"", 422, None, "unknown-name", "'limit'?",
     "limit"),
    ("GET", "/api/v1/proxies/cache/exchanges?limit=-3", b"", 422, None, "not-allowed",
     "whole number", None),
    ("GET", "/api/v1/proxies/cache/exchanges?limit=1&limit=2", b"", 422, None, "given-twice",
     "twice", None),
    ("DELETE", "/api/v1/proxies/cache/connections/1?how=x", b"", 422, None, "not-allowed", "reset",
     "close"),
    # methods
    ("PUT", "/api/v1/proxies", b"{}", 405, None, "method", "PUT", "GET"),
    ("POST", "/api/v1/proxies/cache", b"", 405, None, "method", "POST", "PATCH"),
    ("PUT", FAULTS, b"{}", 405, None, "method", "PUT", "POST"),
    ("GET", "/api/v1/reload", b"", 405, None, "method", "GET", "POST"),
    # proxies
    ("POST", PROXIES, b"[]", 422, "", "not-allowed", "object", None),
    ("POST", PROXIES, b"{}", 422, "/name", "value-missing", "has a name", None),
    ("POST", PROXIES, _proxy(name="a b"), 422, "/name", "not-allowed", "cannot be a name", None),
    ("POST", PROXIES, _proxy(name="cache"), 409, "/name", "name-taken", "another proxy", None),
    ("POST", PROXIES, _proxy(protocol="rediss"), 422, "/protocol", "unknown-name", "'redis'",
     "redis"),
    ("POST", PROXIES, _proxy(listen=[]), 422, "/listen", "value-missing", "listens", None),
    ("POST", PROXIES, _proxy(listen=[7]), 422, "/listen/0", "not-allowed", "has no host", None),
    ("POST", PROXIES, _proxy(listen="127.0.0.1:6390"), 409, "/listen/0", "address-taken",
     "the proxy 'cache'", None),
    ("POST", PROXIES, _proxy(listen="127.0.0.1:8474"), 409, "/listen/0", "address-taken",
     "control API", None),
    ("POST", PROXIES, _proxy(listen=["[::1]:1", "[::1]:1"]), 422, "/listen/1", "given-twice",
     "twice", None),
    ("POST", PROXIES, _proxy(upstream="x:0"), 422, "/upstream", "not-allowed", "port from 1", None),
    ("POST", PROXIES, _proxy(enabled="no"), 422, "/enabled", "not-allowed", "boolean", "false"),
    ("POST", PROXIES, _proxy(options={"backlog": 0}), 422, "/options/backlog", "not-allowed",
     "backlog", None),
    ("POST", PROXIES, _proxy(options={"tls": "yes"}), 422, "/options/tls", "unknown-name", "tls",
     "originate"),
    ("POST", PROXIES, _proxy(options={"mirorr": True}), 422, "/options/mirorr", "unknown-name",
     "'mirror'", "mirror"),
    ("PATCH", "/api/v1/proxies/cache", b'{"name": "x"}', 422, "/name", "not-allowed", "stays",
     None),
    ("PATCH", "/api/v1/proxies/cache", b'{"listen": "127.0.0.1:7001"}', 409, "/listen/0",
     "address-taken", "plain", None),
    ("DELETE", "/api/v1/proxies/cach", b"", 404, None, "unknown-name", "'cache'", "cache"),
    # the state
    ("POST", "/api/v1/state", b"{}", 422, "", "not-allowed", "list", None),
    ("POST", "/api/v1/state", b"[1]", 422, "/0", "not-allowed", "object", None),
    ("POST", "/api/v1/state", _changes(("POST", FAULTS, "hang"), ("PUT", FAULTS, "hang")), 422,
     "/1/method", "not-allowed", "PATCH", "DELETE"),
    ("POST", "/api/v1/state", _changes(("POST", FAULTS, "hang"), ("POST", FAULTS, "hag")), 422,
     "/1/data", "unknown-name", "'hang'", "hang"),
    ("POST", "/api/v1/state",
     _changes(("POST", FAULTS, "hang"), ("POST", FAULTS, {"kind": "delay", "every": 0})), 422,
     "/1/data/every", "not-allowed", "from 1", None),
    ("POST", "/api/v1/state", _changes(("POST", FAULTS, "hang"), ("DELETE", f"{FAULTS}/x", None)),
     404, "/1/path", "unknown-name", "there is no fault 'x'", "slow"),
    ("POST", "/api/v1/state", _changes(("PATCH", "/api/v1/panic", {})), 422, "/0/path",
     "not-allowed", "the path is", None),
    ("POST", "/api/v1/state", b'[{"method": "POST", "path": "/api/v1/proxies"}]', 422, "/0/data",
     "value-missing", "no data", None),
    # seed, leases
    ("PUT", "/api/v1/seed", b"{}", 422, "/seed", "value-missing", "whole number", None),
    ("PUT", "/api/v1/seed", b'{"seed": -1}', 422, "/seed", "not-allowed", "whole number", None),
    ("PUT", "/api/v1/seed", b'{"seed": true}', 422, "/seed", "not-allowed", "whole number", None),
    ("PUT", "/api/v1/leases/x", b"{}", 404, None, "unknown-name", "no lease 'x'", None),
    ("POST", FAULTS, b'{"kind": "hang", "lease": {"id": "1"}}', 422, "/lease/id", "not-allowed",
     "name", None),
    ("POST", FAULTS, b'{"kind": "hang", "lease": 15}', 422, "/lease", "not-allowed", "DURATION",
     "for"),
    ("POST", FAULTS, b'{"kind": "hang", "lease": "15"}', 422, "/lease/for", "unit-missing",
     "no unit", None),
    ("POST", FAULTS, b'{"kind": "hang", "enable_in": 2}', 422, "/enable_in", "unit-missing",
     "no unit", "s"),
    ("POST", FAULTS, b'{"kind": "hang", "enable_in": "2s", "enabled": true}', 422, "/enabled",
     "not-allowed", "enable_in", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "pointer", "code", "title", "allowed"),
    BAD,
    ids=[f"{one[0]} {one[1][8:]} {one[2][:30]!r}" for one in BAD],
)
def test_a_bad_request_is_refused(
    ask: Any,
    node: Any,
    method: str,
    path: str,
    body: bytes,
    status: int,
    pointer: str | None,
    code: str,
    title: str,
    allowed: str | None,
) -> None:
    before = everything(ask), node.revision
    found = ask(method, path, body=body)
    problem = found.json
    assert (found.status, problem["status"]) == (status, status), problem
    assert found.headers["content-type"] == "application/problem+json"
    assert problem.get("pointer") == pointer, problem
    assert problem["type"].startswith("/problems/")
    assert code in problem["type"]
    assert title in problem["title"]
    if allowed is not None:
        assert allowed in problem["allowed"]
    if status == 405:
        assert allowed in found.headers["allow"]
    if status in (400, 422) and pointer is not None:
        assert problem["errors"][0]["title"] == problem["title"]
    assert (everything(ask), node.revision) == before


def everything(ask: Any) -> list[Any]:
    """All that a request could change."""
    paths = ["/api/v1/proxies", "/api/v1/counters", "/api/v1/panic", "/api/v1/seed"]
    paths += [
        f"/api/v1/proxies/{proxy}/{what}"
        for proxy in ("cache", "plain")
        for what in ("faults", "scripts", "recipes")
    ]
    return [ask("GET", path).json for path in paths]


def test_all_findings_come_together(ask: Any) -> None:
    body = {"kind": "delay", "options": {"delay": 2, "x": 1}, "cuont": 3, "every": "x"}
    problem = ask("POST", FAULTS, body).json
    assert problem["status"] == 422
    pointers = [one["pointer"] for one in problem["errors"]]
    assert pointers == ["/options/delay", "/options/x", "/cuont", "/every"]
    assert problem["errors"][0]["allowed"] == UNITS
    assert "column" not in problem["errors"][0]


def test_a_sentence_has_columns(ask: Any) -> None:
    problem = ask("POST", FAULTS, {"text": "20% delay(2)"}).json
    assert (problem["pointer"], problem["column"]) == ("/text", 11)


def test_a_recipe_that_is_not_there(ask: Any) -> None:
    problem = ask("POST", "/api/v1/proxies/cache/recipes", "recipe nonsense").json
    assert problem["status"] == 422
    assert "nonsense" in problem["title"]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/merge-patch+json",
        "application/jsonx",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", FAULTS), ("POST", "/api/v1/reload"), ("PUT", "/api/v1/panic")],
)
def test_a_change_is_announced_as_json(ask: Any, method: str, path: str, given: str | None) -> None:
    found = ask(method, path, body=b'"hang"', headers={"Content-Type": given or ""})
    assert found.status == 415
    assert "application/json" in found.json["allowed"]
    assert not ask("GET", "/api/v1/panic").json["on"]
    assert list(ask("GET", FAULTS).json) == ["slow"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(65_536, 422), (65_537, 413), (4_000_000, 413)])
def test_a_body_has_a_bound(ask: Any, size: int, status: int, chunked: bool) -> None:
    body = b'"' + b"x" * (size - 2) + b'"'
    head = f"POST {FAULTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if chunked:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        parts = [body[at : at + 30_000] for at in range(0, len(body), 30_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        head += f"Content-Length: {size}\r\n\r\n"
    found = parse(ask.raw(head.encode() + body, pieces=50_000))
    assert found.status == status
    assert found.headers["content-type"] == "application/problem+json"


def test_a_body_without_end_is_cut_off(ask: Any) -> None:
    head = f"POST {FAULTS} HTTP/1.1\r\nHost: localhost\r\n"
    announced = ask.raw(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
    assert parse(announced).status == 413
    assert ask.closed
    chunk = b"%x\r\n" % 2**20 + b"x" * 2**20 + b"\r\n"
    streamed = ask.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 12, 2**19)
    assert parse(streamed).status == 413
    assert ask.closed


def test_our_own_mistake_is_logged_once_with_an_id(
    ask: Any, node: Any, logged_failures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "set_panic", lambda on, by: 1 / 0)
    found = ask("PUT", "/api/v1/panic", {"on": True})
    assert found.status == 500
    assert found.json["type"] == "/problems/internal"
    assert found.json["id"] in found.json["detail"]
    assert len(logged_failures.flush(ZeroDivisionError)) == 1
    assert not logged_failures.found


def test_head_has_no_body(ask: Any) -> None:
    found = ask("HEAD", "/api/v1/proxies")
    assert (found.status, found.body) == (200, b"")
    assert int(found.headers["content-length"]) > 100
    assert ask("HEAD", "/api/v1/proxies/%ff").body == b""


def test_answers_say_what_they_are(ask: Any) -> None:
    found = ask("GET", "/healthz")
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["server"] == "rascal"
