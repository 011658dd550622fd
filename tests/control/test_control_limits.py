"""What clients that are slow, silent, many or wild get; and what is written down of changes."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from asking import Asker, parse

from rascal.config import Token

P = "/api/v1/proxies"
HERE = "192.168.1.1"
"""Where StringTransport comes from."""
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


class Wire:
    """One connection to the site, in memory."""

    def __init__(self, site: Any) -> None:
        from twisted.internet.testing import StringTransport

        self.transport = StringTransport()
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.aborted = False

    def send(self, data: bytes) -> bytes:
        self.transport.clear()
        self.channel.dataReceived(data)
        found: bytes = self.transport.value()
        return found

    @property
    def open(self) -> bool:
        return not (self.transport.disconnecting or self.transport.disconnected)


@pytest.fixture
def site(ask: Asker) -> Any:
    return ask.site


# ---- slow ones


def test_a_request_that_does_not_end(site: Any, node: Any) -> None:
    wire = Wire(site)
    assert b"200 OK" in wire.send(HEAD + b"\r\n")
    for _ in range(14):
        assert wire.send(b"G") == b""
        node.reactor.advance(1)
        assert wire.open
    node.reactor.advance(1.1)
    assert not wire.open
    found = parse(wire.transport.value())
    assert (found.status, found.json["type"]) == (408, "/problems/too-slow")
    assert found.headers["connection"] == "close"


def test_a_body_that_does_not_end(site: Any, node: Any) -> None:
    wire = Wire(site)
    wire.send(b"POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
    for _ in range(14):
        wire.send(b" ")
        node.reactor.advance(1)
        assert wire.open
    node.reactor.advance(1.1)
    assert not wire.open


def test_a_connection_that_says_nothing(site: Any, node: Any) -> None:
    wire = Wire(site)
    node.reactor.advance(59)
    assert b"200 OK" in wire.send(HEAD + b"\r\n")
    node.reactor.advance(59)
    assert wire.open
    node.reactor.advance(1.1)
    assert not wire.open
    assert wire.transport.value().startswith(b"HTTP/1.1 200")


# ---- many


def test_newcomers_take_the_place_of_the_idle(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rascal.control._server.CONNECTIONS", 3)
    first, second, third = Wire(site), Wire(site), Wire(site)
    assert b"200" in first.send(HEAD + b"\r\n")  # now second is idle longest
    fourth = Wire(site)
    assert [wire.open for wire in (first, second, third, fourth)] == [True, False, True, True]
    assert b"200" in fourth.send(HEAD + b"\r\n")
    second.channel.connectionLost(None)
    assert len(site.open) == 3


def test_if_all_are_busy_a_newcomer_is_told(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rascal.control._server.CONNECTIONS", 2)
    wires = [Wire(site), Wire(site)]
    for wire in wires:
        wire.channel._handlingRequest = True
    late = Wire(site)
    found = parse(late.transport.value())
    assert (found.status, found.headers["retry-after"]) == (503, "1")
    assert not late.open
    assert all(wire.open for wire in wires)
    late.channel.connectionLost(None)
    assert len(site.open) == 2


# ---- wild


def test_changes_have_a_rate(ask: Asker, site: Any, node: Any) -> None:
    now = [100.0]
    buckets = site.resource.api.buckets
    buckets.now = lambda: now[0]
    path = f"{P}/cache/faults/slow/restart"
    from rascal.control._limits import BURST, RATE

    for _ in range(int(BURST) - 1):
        buckets.take(HERE)
    assert ask("POST", path, {}).status == 200
    found = ask("POST", path, {})
    assert (found.status, found.headers["retry-after"]) == (429, "1")
    assert ask("GET", P).status == 200
    now[0] += 1.5 / RATE
    assert ask("POST", path, {}).status == 200
    assert ask("POST", path, {}).status == 429
    for n in range(2000):
        buckets.take(f"10.0.{n // 256}.{n % 256}")
    assert len(buckets._left) == 1024


# ---- malformed


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1 x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_http(site: Any, data: bytes) -> None:
    wire = Wire(site)
    found = parse(wire.send(data))
    assert found.status == found.json["status"]
    assert found.status in (400, 431)
    assert found.headers["content-type"] == "application/problem+json"
    assert not wire.open


@pytest.mark.parametrize("path", ["/\xe9", "/api/v1/proxies/\xff\xfe", "/api/v1/proxies/\xc3\xa9"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "\xe9"])
def test_an_address_that_is_not_ascii(site: Any, method: str, path: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    found = parse(Wire(site).send(head.encode("latin-1")))
    assert 400 <= found.status < 500
    assert found.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert json.loads(found.body)["status"] == found.status


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (P, {"GET", "HEAD", "POST", "OPTIONS"}),
        (f"{P}/cache", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("/api/v1/state", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/api/v1/reload", {"POST", "OPTIONS"}),
    ],
)
def test_options(ask: Asker, path: str, allowed: set[str]) -> None:
    found = ask("OPTIONS", path)
    assert (found.status, found.body) == (204, b"")
    assert {*found.headers["allow"].split(", ")} == allowed
    assert not any(name.startswith("access-control") for name in found.headers)
    for method in ("TRACE", "CONNECT", "PUT" if path != P else "PATCH"):
        if method not in allowed:
            refused = ask(method, path)
            assert refused.status in (400, 405), method
    assert ask("OPTIONS", "/nowhere").status == 404


# ---- written down


def test_changes_are_written_down(ask: Asker, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def info(text: str, **values: Any) -> None:
        lines.append(text.format(**values))

    monkeypatch.setattr("rascal.control._site.audit.info", info)
    tokens = (
        Token(role="admin", secret="boss", name="ada"),
        Token(role="operator", secret="hand"),
        Token(role="viewer", secret="look"),
    )
    node.configuration = attrs.evolve(node.configuration, tokens=tokens)

    def by(token: str, *call: Any) -> int:
        status: int = ask(*call, headers={"Authorization": f"Bearer {token}"}).status
        return status

    assert by("boss", "PATCH", f"{P}/cache", {"upstream": "127.0.0.1:9"}) == 200
    assert (
        by("hand", "POST", f"{P}/cache/faults", {"text": "hang\n" + " " * 900 + "count 1"}) == 201
    )
    assert by("hand", "POST", f"{P}/cache/faults", "hag") == 422
    assert by("look", "DELETE", f"{P}/cache/faults/hang") == 403
    assert by("nobody", "DELETE", f"{P}/cache/faults/hang") == 401
    assert by("look", "GET", f"{P}/cache/faults/hang") == 200
    assert by("hand", "DELETE", f"{P}/cache/faults/hang") == 200
    assert len(lines) == 3
    assert lines[0] == (
        f'admin ada at {HERE}: PATCH /api/v1/proxies/cache {{"upstream": "127.0.0.1:9"}}'
    )
    assert lines[1].startswith("operator ")
    assert "\n" not in lines[1]
    assert len(lines[1]) < 700
    assert lines[2].endswith("DELETE /api/v1/proxies/cache/faults/hang ")
    assert not any(secret in line for line in lines for secret in ("boss", "hand ", "look"))
