"""Whatever is sent: 4xx with a problem, nothing changed, nothing in the log, still alive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asking import INI, Asker, parse
from guard import watching
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from rascal.config import difference, load
from rascal.control._site import make_site
from rascal.language import CLAUSES
from rascal.proxy.node import Node

NAMES = st.sampled_from(
    ["cache", "plain", "slow", "steps", "x", "..", "%00", "%ff", "%2e%2e", "a%2Fb", "", "%C3%A9"]
)
PATHS = st.one_of(
    st.builds("/api/v1/proxies/{}".format, NAMES),
    st.builds("/api/v1/proxies/{}/faults".format, NAMES),
    st.builds("/api/v1/proxies/{}/faults/{}".format, NAMES, NAMES),
    st.builds("/api/v1/proxies/{}/scripts/{}".format, NAMES, NAMES),
    st.builds("/api/v1/proxies/{}/recipes".format, NAMES),
    st.builds("/api/v1/proxies/{}/exchanges?limit={}".format, NAMES, NAMES),
    st.builds("/api/v1/{}".format, NAMES),
    st.sampled_from(
        ["/api/v1/panic", "/api/v1/reload", "/api/v1/counters", "/", "*", "//", "/?&="]
    ),
)
MEMBERS = st.sampled_from(
    [*CLAUSES, "kind", "options", "text", "roulette", "steps", "by", "x"],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["delay", "2s", "20%", "hang", "command=GET", "pass 2", "request", "cache", "1"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(MEMBERS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(MEMBERS, VALUES, max_size=5).map(lambda value: json.dumps(value).encode()),
)


def state(node: Any) -> Any:
    """All that a request could change."""
    proxies = [
        (
            name,
            proxy.enabled,
            list(proxy.installed.items()),
            [
                (fault.spec, fault.armed, fault.number, fault.matched, fault.fired)
                for fault in proxy.gate.faults.values()
            ],
        )
        for name, proxy in node.proxies.items()
    ]
    return proxies, node.panic, node.seed, node.configuration


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One node for all examples: what the examples before did must not matter."""
    path: Path = tmp_path_factory.mktemp("fuzz") / "proxies.ini"
    path.write_text(INI)

    def read() -> Any:
        return load(str(path), {})

    node = Node(read(), Clock(), read=read, compare=difference)
    yield node, Asker(make_site(node, reactor=node.reactor))
    node.hangups.close()


@settings(max_examples=200)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    path=PATHS,
    body=BODIES,
)
def test_requests_are_answered_or_refused(alive: Any, method: str, path: str, body: bytes) -> None:
    node, ask = alive
    if method == "DELETE":
        path += "x"  # it would be right to remove what is there
    before = state(node)
    with watching() as failures:
        found = ask(method, path.encode().decode("latin-1"), body=body)
    assert not failures.found
    assert found.status < 500 or path == "/readyz"
    if found.status >= 400:
        assert state(node) == before
        if method != "HEAD":
            assert found.headers["content-type"] == "application/problem+json"
            assert found.json["status"] == found.status
            assert found.json["title"]
    elif method in ("GET", "HEAD", "OPTIONS"):
        assert state(node) == before


@settings(max_examples=200)
@given(BODIES)
def test_a_body_is_taken_whole_or_not_at_all(alive: Any, body: bytes) -> None:
    node, ask = alive
    path = "/api/v1/proxies/cache/faults"
    before = state(node)
    with watching() as failures:
        found = ask("POST", path, body=body)
    assert not failures.found
    assert found.status in (201, 400, 409, 415, 422)
    if found.status == 201:  # it can be shown, sent again and taken away
        where = found.headers["location"]
        assert ask("GET", where).status == 200
        assert ask("DELETE", where).status == 200
        again = ask("POST", path, found.json["structure"])
        assert again.status == 201
        assert again.json["text"] == found.json["text"]
        assert ask("DELETE", where).status == 200
    assert state(node) == before


@settings(max_examples=100)
@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_on_the_port(alive: Any, data: bytes, pieces: int) -> None:
    ask = alive[1]
    with watching() as failures:
        ask.raw(data, pieces)
        ask.raw(b"GET /api/v1/proxies HTTP/1.1\r\n" + data, pieces)
    assert not failures.found
    assert ask("GET", "/healthz").status == 200
    assert parse(ask.raw(b"GET /healthz HTTP/1.0\r\n\r\n")).status == 200
