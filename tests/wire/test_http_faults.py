"""The answers, replacements and kinds that only HTTP has, as bytes."""

from __future__ import annotations

import gzip
import http.client
import io
import json
from typing import Any

import pytest
from books import Books

from rascal.errors import ConfigError, ProtocolError
from rascal.faults.build import build_fault, tables
from rascal.faults.http import BODIES, without
from rascal.faults.types import Edit, Reply
from rascal.language import parse
from rascal.options import Options
from rascal.wire.http import PROTOCOL
from rascal.wire.http_answers import DROP_BYTES
from rascal.wire.types import Answer, ErrorCall, Head

GET = b"GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: application/json;q=0.9, */*\r\n\r\n"
JSON = b'{"items":[{"id":1,"n":2},{"id":2}],"ok":true}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(JSON),
    JSON,
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    b"5\r\n%b\r\n%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (JSON[:5], len(JSON) - 5, JSON[5:])
)
CLOSED = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + JSON


def head_of(data: bytes = GET) -> Any:
    these = Books(PROTOCOL)
    these.up(data)
    return these.requests[0].head


class Asked:
    """What a kind sees of an exchange."""

    protocol = PROTOCOL

    def __init__(self, data: bytes = GET) -> None:
        self.head = head_of(data)
        self.session = PROTOCOL.session(PROTOCOL.options.plain({}))


def fault(sentence: str) -> Any:
    known = parse("fault", sentence, kinds=tables(PROTOCOL), fields=PROTOCOL.fields)
    return build_fault(known, PROTOCOL)


def struck(sentence: str, reply: bytes = OK, request: bytes = GET) -> bytes | None:
    """What becomes of a reply."""
    spec = fault(sentence)
    act = spec.kind.act(spec.options, None, spec.at[0], None, None)
    asked = Asked(request)
    if isinstance(act, Reply):
        answer = act.make(asked)
        return None if answer is None else answer.reply
    assert isinstance(act, Edit)
    return act.change(asked, reply)


class Wire:
    """Bytes as a socket, for http.client."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


def read(data: bytes | None, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """As Python's own client reads it."""
    assert data is not None
    reply = http.client.HTTPResponse(Wire(data), method=method)  # type: ignore[arg-type]
    reply.begin()
    return reply, reply.read()


# -- answers ----------------------------------------


def answer(name: str, head: Any = None, text: str | None = None, **extra: Any) -> Answer:
    spec = PROTOCOL.error(name)
    assert spec is not None
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    return PROTOCOL.answer(session, head or head_of(), ErrorCall(spec, text, extra))


def test_error_options() -> None:
    found = answer(
        "service_unavailable", retry_after=1.2, style="json", header="X-A: b | X-C: d: e", text="no"
    )
    reply, body = read(found.reply)
    assert (reply.status, reply.reason) == (503, "Service Unavailable")
    assert json.loads(body) == {"status": 503, "error": "Service Unavailable", "message": "no"}
    assert [reply.headers[name] for name in ("Retry-After", "X-A", "X-C", "Content-Type")] == [
        "2",
        "b",
        "d: e",
        "application/json",
    ]
    reply, body = read(answer("429", retry_after_text="Fri, 31 Dec 9999 23:59:59 GMT").reply)
    assert reply.headers["Retry-After"] == "Fri, 31 Dec 9999 23:59:59 GMT"
    reply, body = read(answer("502", body='{"x": 1}').reply)
    assert (reply.headers["Content-Type"], body) == ("application/json", b'{"x": 1}')
    reply, body = read(answer("502", body="<p>", type="text/plain").reply)
    assert (reply.headers["Content-Type"], body) == ("text/plain", b"<p>")
    reply, _ = read(answer("401", header="WWW-Authenticate: Bearer").reply)
    assert reply.headers.get_all("WWW-Authenticate") == ["Bearer"]
    reply, _ = read(answer("found").reply)
    assert reply.headers["Location"] == "/a?b"
    with pytest.raises(ConfigError):
        answer("502", header="nonsense")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("unavailable", "503", "Service Temporarily Unavailable"),
        ("418", "418", "I'm a Teapot"),
        ("599", "599", ""),
        ("payload_too_large", "413", "Request Entity Too Large"),
    ],
)
def test_errors_by_other_names(name: str, code: str, words: str) -> None:
    spec = PROTOCOL.error(name)
    assert spec is not None
    assert (spec.code, spec.text.lower()) == (code, words.lower())


@pytest.mark.parametrize("name", ["200", "299", "600", "99", "5 3", "nonsense", "٤٠٤"])
def test_no_errors(name: str) -> None:
    assert PROTOCOL.error(name) is None


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (GET, False),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: TE, Close\r\n\r\n", True),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n", False),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", True),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n", True),
    ],
)
def test_when_an_answer_closes(request_: bytes, closes: bool) -> None:
    found = answer("404", head_of(request_))
    assert found.close is closes
    assert (b"Connection: close" in found.reply) is closes
    assert answer("408", head_of(request_)).close


def test_an_answer_to_a_connection() -> None:
    found = answer("503", Head("CONNECT", asked=False))
    assert found.close
    assert read(found.reply)[0].status == 503


def test_bodies_are_dropped_up_to_a_bound() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    assert PROTOCOL.drops_safely(head_of(head % DROP_BYTES))
    assert not PROTOCOL.drops_safely(head_of(head % (DROP_BYTES + 1)))


def options_of(**given: Any) -> Options:
    return PROTOCOL.replace_options.plain(given)


def test_empty_and_replaced() -> None:
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    reply, body = read(PROTOCOL.empty(session, head_of()))
    assert (reply.status, body, reply.headers["Content-Type"]) == (200, b"[]", "application/json")
    for data in (GET.replace(b"application/json", b"text/html"), GET.replace(b"GET", b"PUT")):
        reply, body = read(PROTOCOL.empty(session, head_of(data)))
        assert (reply.status, body, reply.headers["Content-Length"]) == (200, b"", "0")
    reply, body = read(PROTOCOL.replacement(session, head_of(), options_of(body='{"a":1}')))
    assert (reply.status, body, reply.headers["Content-Type"]) == (
        200,
        b'{"a":1}',
        "application/json",
    )
    reply, body = read(PROTOCOL.replacement(session, head_of(), options_of(style="login")))
    assert reply.headers["Content-Type"].startswith("text/html")
    assert b"<form" in body
    found = PROTOCOL.replacement(session, head_of(), options_of(status=204, body="x"))
    assert found == b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
    for data in (b"CONNECT a:1 HTTP/1.1\r\n\r\n", GET.replace(b"Accept", b"Upgrade")):
        assert PROTOCOL.empty(session, head_of(data)) is None
        assert PROTOCOL.replacement(session, head_of(data), options_of()) is None
        assert PROTOCOL.rerender(session, head_of(data), OK) is None
    assert PROTOCOL.empty(session, Head("CONNECT")) is None


@pytest.mark.parametrize("kept", [OK, CHUNKED, CLOSED, OK.replace(b"\r\n", b"\n", 3)])
@pytest.mark.parametrize("close", [True, False])
def test_a_kept_reply_fits_the_connection(kept: bytes, close: bool) -> None:
    kept = kept.replace(b"Content-Type", b"Connection: x\r\nKeep-Alive: y\r\nContent-Type", 1)
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    head = head_of(GET.replace(b"Host", b"Connection: close\r\nHost") if close else GET)
    found = PROTOCOL.rerender(session, head, kept)
    reply, body = read(found)
    assert body == JSON
    assert reply.headers.get_all("Connection") == ["close" if close else "keep-alive"]
    assert reply.headers["Keep-Alive"] is None
    these = Books(PROTOCOL)
    these.up(GET)
    these.down(found or b"")
    assert these.replies[0].ended


def test_what_cannot_be_said_again() -> None:
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    for kept in (b"nonsense", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"):
        assert PROTOCOL.rerender(session, head_of(), kept) is None


def test_identity() -> None:
    assert head_of().identity() == head_of(GET.replace(b"Host: h", b"Host: H")).identity()
    for other in (
        GET.replace(b"/a?b", b"/a?c"),
        GET.replace(b"Host: h", b"Host: g"),
        GET.replace(b"Host", b"Authorization: x\r\nHost"),
        GET.replace(b"json", b"xml"),
    ):
        assert head_of(other).identity() not in (None, head_of().identity())
    assert head_of(GET.replace(b"GET", b"PUT")).identity() is None


# -- kinds ----------------------------------------


@pytest.mark.parametrize("reply", [OK, CHUNKED, CLOSED])
def test_bad_framing(reply: bytes) -> None:
    with pytest.raises(http.client.IncompleteRead):
        read(struck("bad_framing", reply))
    _, body = read(struck("bad_framing(too_short, bytes=7B)", reply))
    assert body == JSON[:-7]
    with pytest.raises(http.client.IncompleteRead):
        read(struck("bad_framing(no_last_chunk)", reply))
    with pytest.raises(http.client.IncompleteRead):
        read(struck("bad_framing(chunk_size)", reply))
    for how in ("two_lengths", "chunk_size"):
        these = Books(PROTOCOL)
        these.up(GET)
        with pytest.raises(ProtocolError):
            these.down(struck(f"bad_framing({how})", reply) or b"")
    both = struck("bad_framing(both)", reply)
    assert both is not None
    assert both.lower().count(b"content-length") == both.lower().count(b"transfer-encoding") == 1
    assert read(both)[1] == JSON


def test_bad_framing_of_nothing() -> None:
    head = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
    none = b"HTTP/1.1 204 No Content\r\n\r\n"
    for how in ("too_long", "too_short", "both", "chunk_size"):
        assert struck(f"bad_framing({how})", OK, head) is None
        assert struck(f"bad_framing({how})", none) is None
        assert struck(f"bad_framing({how})", CHUNKED[:-14]) is None
    assert struck("bad_framing(too_short)", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") is None


@pytest.mark.parametrize("how", BODIES)
@pytest.mark.parametrize("reply", [OK, CHUNKED, CLOSED])
def test_bad_bodies_are_well_framed(how: str, reply: bytes) -> None:
    found, body = read(struck(f"bad_body({how})", reply))
    these = Books(PROTOCOL)
    these.up(GET)
    these.down(struck(f"bad_body({how})", reply) or b"")
    assert these.replies[0].ended
    assert len(found.headers.get_all("Content-Type", [])) == 1
    kind = found.headers["Content-Type"]
    if how == "gzip":
        assert found.headers["Content-Encoding"] == "gzip"
        with pytest.raises(EOFError):
            gzip.decompress(body)
    elif how in ("charset", "type"):
        assert body == JSON
        assert (
            kind == ("application/json; charset=utf-16", "application/octet-stream")[how == "type"]
        )
    else:
        assert body != JSON
        assert ("html" in kind) == (how == "html")


def test_a_member_less() -> None:
    assert struck("bad_body(without=ok)") is not None
    assert json.loads(read(struck("bad_body(without=items.id)"))[1]) == {
        "items": [{"n": 2}, {}],
        "ok": True,
    }
    assert without(b"[]", "a") is without(b"nonsense", "a") is without(JSON, "items.x") is None
    assert struck("bad_body(without=none)") is None
    for sentence in ("bad_body", "bad_body(half, without=a)"):
        with pytest.raises(ConfigError):
            fault(sentence)


def test_huge_headers() -> None:
    found = struck("huge_headers")
    assert found is not None
    assert 60_000 < len(found) - len(OK) <= 66_000
    these = Books(PROTOCOL)
    these.up(GET)
    with pytest.raises(ProtocolError):
        these.down(found + b"x" * 10_000)
    assert len(read(struck("huge_headers(10KB, fields=90)"))[0].headers) == 92


@pytest.mark.parametrize("reply", [OK, CHUNKED])
def test_no_keepalive(reply: bytes) -> None:
    kept = reply.replace(
        b"Content-Type", b"connection: keep-alive\r\nKeep-Alive: 5\r\nContent-Type"
    )
    found, body = read(struck("no_keepalive", kept))
    assert body == JSON
    assert found.headers.get_all("Connection") == ["close"]
    assert found.headers["Keep-Alive"] is None
    assert found.will_close


def test_redirects() -> None:
    found, _ = read(struck("redirect"))
    assert (found.status, found.headers["Location"]) == (302, "/a?b")
    found, _ = read(struck('redirect("http://127.0.0.1:1/", status=308)'))
    assert (found.status, found.headers["Location"]) == (308, "http://127.0.0.1:1/")
    with pytest.raises(ConfigError):
        fault("redirect(status=304)")
