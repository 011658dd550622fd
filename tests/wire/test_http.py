"""The HTTP codecs: framing, pairing, heads, tunnels."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import ConfigError, LimitError, ProtocolError
from rascal.wire.http import PROTOCOL
from rascal.wire.http_body import MAY_END
from rascal.wire.types import HEAD_BYTES, Head

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: shop.internal:8080\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=x\r\n world\r\n0\r\nTrailer: y\r\n\r\n"
)


def post(body: bytes, *lines: str, path: str = "/p") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return (
        f"POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def books(**options: Any) -> Books:
    return Books(PROTOCOL, **options)


def strict(**options: Any) -> Books:
    """Heads never wait for bodies, so that feed and skim stand in the same place at every byte."""
    return Books(PROTOCOL, body=0, **options)


def head_of(data: bytes) -> Any:
    these = books()
    these.up(data)
    return these.requests[0].head


# -- requests ----------------------------------------

REQUESTS: list[tuple[bytes, str, int]] = [
    (GET, "GET", 0),
    (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 0),
    (b"GET / HTTP/1.0\n\n", "GET", 0),
    (b"GET / HTTP/1.1\nHost: a\r\nX: y\n\r\n", "GET", 0),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", 0),
    (b"GET http://h:1/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET", 0),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", 0),
    (b"PURGE /\xc3\xa9 HTTP/1.1\r\nhost:a\r\n\r\n", "PURGE", 0),
    (post(b"hello"), "POST", 5),
    (post(b"hello", "Content-Length: 5"), "POST", 5),
    (b"PUT / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", "PUT", 3),
    (b"PUT / HTTP/1.1\r\nContent-Length:\t3 \r\n\r\nabc", "PUT", 3),
    (b"PUT / HTTP/1.0\r\nCONTENT-LENGTH: 03\r\n\r\nabc", "PUT", 3),
    (b"PUT / HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 3\r\n\r\nabc", "PUT", 3),
    (post(b'{"a":1}', "Content-Type: application/json"), "POST", 7),
    (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT", -1),
    (
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b'A ; x="y"\r\n0123456789\r\n00\r\nA: b\r\nC: d\r\n\r\n',
        "PUT",
        -1,
    ),
    (post(b"GET / HTTP/1.1\r\n\r\n"), "POST", 18),
]


@pytest.mark.parametrize(("data", "method", "size"), REQUESTS)
def test_every_request_in_every_chunking(data: bytes, method: str, size: int) -> None:
    for chunks in [[data], bytewise(data), *([data[:at], data[at:]] for at in range(len(data)))]:
        these = books()
        these.up(*chunks, GET)
        first, second = these.requests
        assert (first.head.command, first.head.size, first.data) == (method, size, data)
        assert first.ended
        assert second.ended
        skims = books(skims=True)
        skims.up(*chunks, GET)
        assert skims.place() == these.place()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO here\r\n",
        b"GET /\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\n 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
        b"A" * 65 + b" / HTTP/1.1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("skims", [False, True])
def test_requests_that_are_none(data: bytes, skims: bool) -> None:
    for chunks in ([data], [data[:3], data[3:]], bytewise(data)):
        these = books(skims=skims)
        with pytest.raises(ProtocolError):
            these.up(*chunks)
        assert these.to_upstream.codec.undecided() == bytes(these.to_upstream.taken)


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"1\nx\r\n0\r\n\r\n",
        b"1\r\nxy\r\n",
        b"1;a\nb\r\nx\r\n0\r\n\r\n",
        b"1;\0\r\nx\r\n",
        b"-1\r\n",
        b"11111111111111111\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
    ],
)
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("skims", [False, True])
def test_chunks_that_are_none(body: bytes, way: str, skims: bool) -> None:
    for chunks in ([body], bytewise(body)):
        these = books(skims=skims)
        if way == "up":
            these.up(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            these.up(GET)
            these.down(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ProtocolError):
            (these.up if way == "up" else these.down)(*chunks)


@pytest.mark.parametrize("skims", [False, True])
def test_bounds(skims: bool) -> None:
    field = b"X: %b\r\n" % (b"y" * 1000)
    for way, first in (("up", b"GET / HTTP/1.1\r\n"), ("down", b"HTTP/1.1 200 OK\r\n")):
        for chunks in ([first + field * 70 + b"\r\n"], [first, *[field] * 70]):
            these = books(skims=skims)
            these.up(GET)
            with pytest.raises(LimitError):
                (these.up if way == "up" else these.down)(*chunks)
            left = (these.to_upstream if way == "up" else these.to_client).codec.undecided()
            assert len(left) <= max(len(chunk) for chunk in chunks) + HEAD_BYTES + 2
    for end in (b"GET /" + b"a" * 70_000, b"\r\n" * 40_000):
        these = books(skims=skims)
        with pytest.raises(LimitError):
            these.up(*(end[at : at + 1000] for at in range(0, len(end), 1000)))
    these = books(skims=skims)
    these.up(GET)
    these.down(CHUNKED[:-14])
    with pytest.raises(LimitError):
        these.down(*[field] * 70)
    these = books(skims=skims)
    these.up(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(ProtocolError):
        these.up(b"1;" + b"x" * 5000)


def test_a_head_of_many_small_pieces_costs_no_square() -> None:
    these = books()
    data = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n"
    these.up(*(data[at : at + 7] for at in range(0, len(data), 7)))
    assert these.requests[0].ended


@pytest.mark.parametrize("step", [1 << 20, 65536, 1000])
def test_large_bodies_stream_as_views(step: int) -> None:
    body = bytes(range(256)) * 2000
    data = post(body) + GET
    these = books()
    these.up(*(data[at : at + step] for at in range(0, len(data), step)))
    assert [len(m.data) for m in these.requests] == [len(data) - len(GET), len(GET)]
    codec = books().to_upstream.codec
    view = memoryview(data)
    found = list(codec.feed(view[:200_000])) + list(codec.feed(view[200_000:400_000]))
    assert all(isinstance(piece.data, memoryview) and piece.data.obj is data for piece in found)


# -- fields ----------------------------------------


def test_fields() -> None:
    head = head_of(
        b"PUT /a%20b/c?x=1&y=%41&x=2&z HTTP/1.1\r\nHost: Shop.internal:8080\r\nX-A: one\r\n"
        b"x-a:  two\r\n \t three \r\nCookie: \xff\r\nX-Ab: no\r\nContent-Length: 0\r\n\r\n"
    )
    expected = {
        "command": "PUT",
        "method": "PUT",
        "path": "/a%20b/c",
        "query": "x=1&y=%41&x=2&z",
        "query.x": ("1", "2"),
        "query.y": "A",
        "query.z": "",
        "query.w": None,
        "host": "Shop.internal",
        "header.X-A": ("one", "two three"),
        "header.cookie": "\udcff",
        "header.none": None,
        "size": 0,
        "body": None,
        "json.a": None,
        "status": None,
        "reply_size": None,
    }
    assert {name: head.value(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://user:pw@Other:99/a/b?c?d", "/a/b", "c?d", "Other"),
        ("http://other", "/", None, "other"),
        ("http://[::1]:80?q", "/", "q", "[::1]"),
        ("/http://x/", "/http://x/", None, "h"),
        ("*", "*", None, "h"),
    ],
)
def test_targets(target: str, path: str, query: str | None, host: str) -> None:
    head = head_of(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert [head.value(name) for name in ("path", "query", "host")] == [path, query, host]


def test_a_connect_has_a_host_and_no_path() -> None:
    head = head_of(b"CONNECT db.internal:3306 HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (head.value("host"), head.value("path")) == ("db.internal", "")


def test_reply_fields() -> None:
    these = books()
    these.up(GET)
    these.down(
        b"HTTP/1.1 404 Nope\r\nContent-Type: Text/HTML; charset=utf-8\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi"
    )
    head = these.replies[0].head
    names = ("status", "type", "reply_size", "reply_header.set-cookie", "reply_header.x", "size")
    assert [head.value(name) for name in names] == [404, "text/html", 2, ("a=1", "b=2"), None, None]
    assert head.command == "404"


JSON = b'{"method": "pay", "items": [{"id": 7}], "on": true, "none": null, "name": "\xc3\xa9"}'


def test_a_json_body_is_known_with_the_head_however_it_is_cut() -> None:
    data = post(JSON, "Content-Type: application/json; charset=utf-8")
    for at in range(len(data) + 1):
        these = books()
        these.up(data[:at], data[at:], GET)
        head = these.requests[0].head
        assert head.value("body") == JSON.decode()
        assert (head.value("json.method"), head.value("json.items.0.id")) == ("pay", "7")
        assert (head.value("json.on"), head.value("json.items")) == ("true", '[{"id":7}]')
        assert head.value("json.name") == "é"
        assert [head.value(f"json.{x}") for x in ("none", "x", "items.9", "on.y")] == [None] * 4
        assert len(these.outstanding) == 2


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (post(b"a=b", "Content-Type: application/x-www-form-urlencoded"), "a=b"),
        (post(b"<a/>", "Content-Type: application/soap+xml"), "<a/>"),
        (post(b"\xff", "content-type:text/plain"), "\udcff"),
        (post(b"abc", "Content-Type: application/octet-stream"), None),
        (post(b"abc"), None),
        (post(b"abc", "Content-Type: text/plain", "Expect: 100-continue"), None),
        (post(b"a" * 17_000, "Content-Type: text/plain"), None),
        (b"PUT / HTTP/1.1\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    ],
)
def test_which_bodies_are_known(data: bytes, known: str | None) -> None:
    for chunks in ([data], [data[:-1], data[-1:]]):
        these = books()
        these.up(*chunks)
        head = these.requests[0].head
        assert head.value("body") == known
        assert head.value("json.a") is None


def test_bodies_are_waited_for_only_if_a_match_asks() -> None:
    data = post(JSON, "Content-Type: application/json")
    these = books()
    PROTOCOL.wants(these.session, frozenset(("method", "path")))
    these.up(data[:-1])
    assert these.requests[0].head.value("body") is None
    these.up(data[-1:])
    PROTOCOL.wants(these.session, frozenset(("json.method",)))
    these.up(data[:-1])
    assert len(these.requests) == 1
    these.up(data[-1:])
    assert these.requests[1].head.value("json.method") == "pay"


def test_an_early_reply_to_a_request_whose_body_is_awaited_goes_aside() -> None:
    data = post(JSON, "Content-Type: application/json")
    for skims in (False, True):
        these = books()
        these.up(data[:-1])
        assert (these.requests, these.to_upstream.codec.under_way()) == ([], "")
        these.down(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        these.down(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        assert [m.head.push for m in these.replies] == [True, True]
        if skims:
            these.skims = True
            these.to_upstream.codec.skim(data[-1:])
        else:
            these.up(data[-1:])
            assert not these.requests[0].head.replies
        assert not these.outstanding
        these.skims = False
        these.to_upstream.taken, these.to_upstream.handed = bytearray(), bytearray()
        these.up(GET)
        these.down(OK)
        assert not these.outstanding
        assert not these.replies[-1].head.push


# -- replies ----------------------------------------

REPLIES: list[tuple[bytes, bytes, str, list[int]]] = [
    (GET, OK, "200", [38]),
    (GET, b"HTTP/1.1 200\nContent-Length: 2\n\nhi", "200", [32]),
    (GET, b"HTTP/1.0 200 OK\r\nContent-Length:0\r\n\r\n", "200", []),
    (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204", []),
    (GET, b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304", []),
    (GET, b"HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\n!", "205", [41]),
    (
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
        "200",
        [],
    ),
    (GET, CHUNKED, "200", [47, 57]),
    (GET, b"HTTP/1.1 599 \r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "599", []),
    (
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\n\r\n",
        "200",
        [67],
    ),
    (
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\n!",
        "403",
        [38],
    ),
]


@pytest.mark.parametrize(("request_", "data", "status", "parts"), REPLIES)
def test_every_reply_in_every_chunking(
    request_: bytes, data: bytes, status: str, parts: list[int]
) -> None:
    for chunks in [[data], bytewise(data), *([data[:at], data[at:]] for at in range(len(data)))]:
        these, skims = strict(), strict(skims=True)
        for one in (these, skims):
            one.up(request_ + GET)
            one.down(*chunks, OK)
        first, second = these.replies
        assert (first.head.command, first.data, first.parts) == (status, data, parts)
        assert first.ended
        assert second.ended
        assert not these.outstanding
        assert skims.place() == these.place()


def test_interim_replies() -> None:
    for skims in (False, True):
        these = books(skims=skims)
        these.up(post(b"x" * 9, "Expect: 100-continue")[:-9])
        these.down(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        assert len(these.outstanding) == 1
        these.up(b"x" * 9)
        these.down(OK)
        assert not these.outstanding
        if not skims:
            assert [m.head.interim for m in these.replies] == [True, True, False]
            assert all(m.ended for m in these.replies)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_a_body_that_ends_with_the_connection(head: bytes) -> None:
    for step in (1, 7, 1000):
        these = strict()
        these.up(GET)
        data = head + b"until the end"
        these.down(*(data[at : at + step] for at in range(0, len(data), step)))
        assert not these.replies[0].ended
        assert these.to_client.codec.under_way() == "message"
        these.eof()
        assert these.replies[0].ended
        assert these.replies[0].parts == [len(head)]
        assert not these.outstanding
        these.eof()
    skims = strict(skims=True)
    skims.up(GET)
    skims.down(data)
    assert len(list(skims.to_client.codec.eof())) == 1


def test_a_reply_to_nobody_is_an_aside() -> None:
    late = b"HTTP/1.1 408 Request Time-out\r\nConnection: close\r\n\r\nbye"
    these, skims = books(), books(skims=True)
    for one in (these, skims):
        one.up(GET)
        one.down(OK + late)
        assert one.to_client.codec.under_way() == "aside"
        assert list(one.to_client.codec.eof()) == []
    assert [m.head.push for m in these.replies] == [False, True]


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HELLO",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 300,
    ],
)
@pytest.mark.parametrize("skims", [False, True])
def test_replies_that_are_none(data: bytes, skims: bool) -> None:
    for chunks in ([data], bytewise(data)):
        these = books(skims=skims)
        these.up(GET)
        with pytest.raises(ProtocolError):
            these.down(*chunks)
        assert len(these.outstanding) == 1


def test_chunks_may_end_where_they_begin() -> None:
    these = books()
    these.up(GET)
    found = list(these.to_client.codec.feed(CHUNKED))
    assert [piece.mark for piece in found] == [0, MAY_END, MAY_END, MAY_END]
    assert [piece.part for piece in found] == [False, True, True, False]
    head = these.requests[0].head
    assert PROTOCOL.terminate(these.session, head, MAY_END, None) == b"0\r\n\r\n"
    assert PROTOCOL.terminate(these.session, head, 0, None) is None


def test_skimming_a_large_reply_costs_nothing_but_its_length() -> None:
    these = books(skims=True)
    these.up(GET)
    these.down(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")

    class Sized(bytes):
        """Anything but len() is an error."""

        def __len__(self) -> int:
            return 99_999_999

    for _ in range(10):
        these.to_client.codec.skim(Sized())
    these.to_client.codec.skim(b"x" * 10)
    assert not these.outstanding


# -- upgrades and tunnels ----------------------------------------

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: x\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    ("asks", "says"),
    [
        (UPGRADE, SWITCH),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_a_tunnel(asks: bytes, says: bytes) -> None:
    for step in (1, 3, 1000):
        these, skims = books(), books(skims=True)
        for one in (these, skims):
            up, down = GET + asks + b"\x81\x05early", OK + says + b"\x81\x02hi"
            one.up(*(up[at : at + step] for at in range(0, len(up), step)))
            assert one.to_upstream.codec.waiting
            assert one.to_upstream.codec.undecided() == b"\x81\x05early"
            one.down(*(down[at : at + step] for at in range(0, len(down), step)))
            assert not one.to_upstream.codec.waiting
            one.up(b"GET / HTTP/1.1\r\n\r\n", b"\xff")
            one.down(b"\x00" * 9)
            assert not one.outstanding
            assert not one.to_upstream.codec.undecided()
        assert skims.place() == these.place()
        assert [m.head.command for m in these.requests][-1] == "TUNNEL"
        assert these.requests[-1].data == b"\x81\x05earlyGET / HTTP/1.1\r\n\r\n\xff"
        assert these.replies[-1].data == b"\x81\x02hi" + b"\x00" * 9
        assert these.replies[1].head.pivot
        assert these.replies[1].ended
        assert these.replies[-1].head.push
        assert not these.requests[-1].head.replies
        assert these.to_client.codec.under_way() == "aside"


@pytest.mark.parametrize("skims", [False, True])
def test_an_upgrade_that_is_refused(skims: bool) -> None:
    these = books(skims=skims)
    these.up(UPGRADE + GET)
    assert these.counted == 1
    these.down(b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n")
    assert these.counted == 2
    these.down(OK)
    these.up(UPGRADE)
    these.down(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert these.to_upstream.codec.waiting
    these.down(OK)
    these.up(GET)
    assert (these.counted, len(these.outstanding)) == (4, 1)


def test_requests_behind_an_upgrade_whose_replies_come_in_one_read() -> None:
    """Nobody could say what the second reply answers: sync is lost rather than mispaired."""
    refused = b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n"
    for skims in (False, True):
        these = books(skims=skims)
        these.up(UPGRADE + GET)
        with pytest.raises(ProtocolError):
            these.down(refused + OK)


def test_an_upgrade_that_the_proxy_answers_is_refused() -> None:
    these = books()
    head = next(iter(these.to_upstream.codec.feed(UPGRADE + GET))).start
    assert head is not None
    PROTOCOL.rewinds(these.session, head)
    assert [p.start.command for p in these.to_upstream.codec.feed(b"") if p.start] == ["GET"]


def test_http_1_0_does_not_upgrade() -> None:
    these = books()
    these.up(UPGRADE.replace(b"/1.1", b"/1.0") + GET)
    assert len(these.requests) == 2


@pytest.mark.parametrize("skims", [False, True])
def test_what_waits_is_bounded(skims: bool) -> None:
    these = books(skims=skims)
    with pytest.raises(LimitError):
        these.up(UPGRADE, *[b"x" * 10_000] * 8)


# -- Host ----------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GET, GET.replace(b"shop.internal:8080", b"new:1")),
        (
            post(b"Host: h\r\n\r\n"),
            post(b"Host: h\r\n\r\n").replace(b"Host: h\r\n", b"Host: new:1\r\n", 1),
        ),
        (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nHost: new:1\r\n\r\n"),
        (
            b"GET http://a.b:1/c?http://d HTTP/1.1\r\nX-Host: a\r\nhost:a\r\n b\r\n\r\n",
            b"GET http://new:1/c?http://d HTTP/1.1\r\nX-Host: a\r\nhost: new:1\r\n\r\n",
        ),
        (
            b"GET /?u=http://a/ HTTP/1.1\nHost: x\n\n",
            b"GET /?u=http://a/ HTTP/1.1\nHost: new:1\n\n",
        ),
        (
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nHost: new:1\r\n\r\n",
        ),
    ],
)
def test_host_rewriting(data: bytes, expected: bytes) -> None:
    these = books(host="new:1")
    assert PROTOCOL.rewrites(these.options) == (True, False)
    assert PROTOCOL.rewrites(books().options) == (False, False)
    these.up(data)
    assert PROTOCOL.rewrite_head(these.session, these.requests[0].head, data) == expected


def test_a_host_that_is_none() -> None:
    for host in ("a b", "http://a", "a/b", "a\r\nb"):
        with pytest.raises(ConfigError):
            books(host=host)


def test_tunnels_and_other_heads_are_not_rewritten() -> None:
    these = books(host="new")
    assert PROTOCOL.rewrite_head(these.session, Head("CONNECT"), b"x") is None


# -- real sessions ----------------------------------------

CAPTURES: dict[str, list[tuple[str, bytes]]] = {
    name: [(way, data.encode("latin-1")) for way, data in log]
    for name, log in json.loads(
        (pathlib.Path(__file__).parent / "captures" / "http.json").read_text()
    ).items()
}
"""What treq, requests, urllib3, curl and websockets said to nginx, and it to them."""


def replay(these: Books, log: list[tuple[str, bytes]], *at: int) -> Books:
    for way, data in log:
        if way in ("up", "down"):
            (these.up if way == "up" else these.down)(*cuts(data, *at))
        elif way == "end" and not these.skims:
            these.eof()
    return these


@pytest.mark.parametrize("name", CAPTURES)
def test_real_sessions_pair(name: str) -> None:
    these = replay(books(), CAPTURES[name])
    assert not these.outstanding
    for message in these.requests + these.replies:
        # curl does not send the body when the final status comes in place of 100.
        expects = getattr(message.head, "expects", False)
        assert message.ended or message.head.command == "TUNNEL" or expects
    asked = sum(m.head.replies for m in these.requests)
    assert asked == sum(not (m.head.push or m.head.interim) for m in these.replies)
    assert any(m.head.interim for m in these.replies) == any(
        b"100 Continue" in data for _, data in CAPTURES[name]
    )
    assert any(m.head.command == "TUNNEL" for m in these.replies) == ("tunnel" in name)
    wise = books()
    for way, data in CAPTURES[name]:
        if way in ("up", "down"):
            (wise.up if way == "up" else wise.down)(*bytewise(data))
        elif way == "end":
            wise.eof()
    assert [m.head for m in wise.requests] == [m.head for m in these.requests]
    assert [(m.head, m.data, m.parts) for m in wise.replies] == [
        (m.head, m.data, m.parts) for m in these.replies
    ]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CAPTURES)), at=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_says_the_same(name: str, at: list[int]) -> None:
    whole, cut = replay(books(), CAPTURES[name]), replay(books(), CAPTURES[name], *at)
    assert [m.head for m in cut.requests] == [m.head for m in whole.requests]
    assert [(m.head, m.data) for m in cut.replies] == [(m.head, m.data) for m in whole.replies]


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    at=st.lists(st.integers(0, 10_000), max_size=8),
    switches=st.lists(st.booleans(), min_size=1, max_size=7),
)
def test_skim_and_feed_agree(name: str, at: list[int], switches: list[bool]) -> None:
    fed, skimmed, mixed = strict(), strict(skims=True), strict()
    turn = 0
    for way, data in CAPTURES[name]:
        if way == "end":
            break
        for chunk in cuts(data, *at):
            mixed.skims = switches[turn % len(switches)]
            turn += 1
            for these in (fed, skimmed):
                (these.up if way == "up" else these.down)(chunk)
            drive_mixed(mixed, way, chunk)
            assert fed.place() == skimmed.place() == mixed.place()
            ways = [
                [flow.codec.under_way() for flow in (these.to_upstream, these.to_client)]
                for these in (fed, skimmed, mixed)
            ]
            assert ways[0] == ways[1] == ways[2]


def drive_mixed(these: Books, way: str, chunk: bytes) -> None:
    """One chunk by feed or skim, without the checks that need all of it to be one of them."""
    flow = these.to_upstream if way == "up" else these.to_client
    codec: Any = flow.codec
    if these.skims:
        codec.skim(chunk)
    else:
        for piece in codec.feed(chunk):
            if way == "up":
                if piece.start is not None:
                    these.request(piece.start)
            elif piece.end and codec.counts:
                these.replied()
    if way == "down" and these.to_upstream.codec.waiting:
        drive_mixed(these, "up", b"")


FIELDS = st.lists(
    st.sampled_from(
        [
            "Host: a",
            "X-Y: " + "z" * 300,
            "Content-Type: application/json",
            "Content-Type: text/plain",
            "Expect: 100-continue",
            "Connection: close",
            "Upgrade: websocket",
            "Folded: a\r\n  b",
            "Cookie: \xe9",
        ]
    ),
    max_size=4,
).map(lambda lines: "".join(f"{line}\r\n" for line in lines).encode("latin-1"))
BODIES = st.one_of(st.binary(max_size=60), st.just(b"y" * 5000), st.just(b"\r\n\r\n"))


def chunked(payloads: list[bytes]) -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in payloads if p)
    return b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


ENDS = st.one_of(
    st.just(b"\r\n"),
    BODIES.map(lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body)),
    st.lists(BODIES, max_size=5).map(chunked),
)
METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"CONNECT", b"OPTIONS"])
MADE_REQUESTS = st.tuples(METHODS, FIELDS, ENDS).map(
    lambda m: b"%b /x HTTP/1.1\r\n%b%b" % m
) | st.just(b"HEAD / HTTP/1.1\r\n\r\n")
MADE_REPLIES = st.tuples(
    st.sampled_from([b"200 OK", b"404 N", b"204 N", b"100 C", b"304 N", b"101 S", b"503"]),
    FIELDS.map(lambda lines: lines.replace(b"Upgrade", b"Up")),
    st.one_of(
        BODIES.map(lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body)),
        st.lists(BODIES, max_size=5).map(chunked),
    ),
).map(lambda m: b"HTTP/1.1 %b\r\n%b%b" % m)


@settings(max_examples=200, deadline=None)
@given(
    requests=st.lists(MADE_REQUESTS, max_size=6),
    replies=st.lists(MADE_REPLIES, max_size=6),
    at=st.lists(st.integers(0, 80_000), max_size=6),
)
def test_made_up_traffic(requests: list[bytes], replies: list[bytes], at: list[int]) -> None:
    """Whatever is said, feed, feed in pieces and skim agree; also about where sync is lost."""
    ways = []
    pivots = [b"Upgrade" in data or data.startswith(b"CONNECT") for data in requests]
    if any(pivots):  # what follows waits for a reply: see test_requests_behind_an_upgrade
        requests = requests[: pivots.index(True) + 1]
    for these, places in ((strict(), ()), (strict(), at), (strict(skims=True), at)):
        lost = []
        for way, data in ((these.up, b"".join(requests)), (these.down, b"".join(replies))):
            try:
                way(*cuts(data, *places))
                lost.append(False)
            except ProtocolError:
                lost.append(True)
        ways.append((these, lost))
    (fed, lost), (cut, cut_lost), (skimmed, skim_lost) = ways
    assert lost == cut_lost == skim_lost
    assert [m.head for m in cut.requests] == [m.head for m in fed.requests]
    assert [(m.head, m.parts) for m in cut.replies] == [(m.head, m.parts) for m in fed.replies]
    assert fed.outstanding == cut.outstanding == skimmed.outstanding
    if not any(lost):
        assert fed.place() == cut.place() == skimmed.place()


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    edits=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 3), st.binary(max_size=3)),
        min_size=1,
        max_size=4,
    ),
    at=st.lists(st.integers(0, 10_000), max_size=3),
    skims=st.booleans(),
)
def test_mutated_sessions_raise_nothing_else(
    name: str, edits: list[tuple[int, int, bytes]], at: list[int], skims: bool
) -> None:
    log = [(way, bytearray(data)) for way, data in CAPTURES[name]]
    size = sum(len(data) for _, data in log)
    for place, gone, new in edits:
        place %= size
        for _, data in log:
            if place < len(data):
                data[place : place + gone] = new
                break
            place -= len(data)
    these = books(skims=skims)
    try:
        replay(these, [(way, bytes(data)) for way, data in log], *at)
    except ProtocolError:
        return


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), skims=st.booleans(), at=st.integers(0, 200))
def test_garbage_raises_nothing_else(data: bytes, skims: bool, at: int) -> None:
    for way in ("up", "down"):
        these = books(skims=skims)
        these.up(GET)
        try:
            (these.up if way == "up" else these.down)(*cuts(data, at))
        except ProtocolError:
            continue
