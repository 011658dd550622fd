"""What the proxy says in a web server's name, held against what nginx and HAProxy say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fidelity import Fidelity
from nginx_server import DENIALS, HAPROXY, NGINX, RETURNS, Client, haproxy, nginx, version

from rascal.wire.http import PROTOCOL
from rascal.wire.http_errors import ERRORS
from rascal.wire.http_pages import STYLES
from rascal.wire.types import Answer, ErrorCall, Head, Ledger

DATE = "left out: a codec knows no clock"
ORDER = "the order of header fields means nothing, and this server has two"
NOT_PROVOKED = {
    "request_timeout": "nginx closes without a word; HAProxy's is compared",
    "gone": "return 410 is compared as nginx's page",
    "length_required": "nginx takes chunked uploads",
    "proxy_authentication_required": "HAProxy's is compared",
    "expectation_failed": "no server here says so",
    "unprocessable_content": "applications say so; nginx has no page of its own",
    "locked": "applications say so",
    "too_early": "HAProxy's is compared",
    "upgrade_required": "applications say so",
    "precondition_required": "applications say so",
    "request_header_fields_too_large": "nginx says 400 with a text, which is compared",
    "unavailable_for_legal_reasons": "applications say so",
    "insufficient_storage": "a full disk cannot be had on purpose",
}


def stable(data: bytes, port: int) -> bytes:
    """A reply without what is another in every run."""
    data = re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate: (now)", data)
    return data.replace(b":%d/" % port, b":8080/")


def fields(data: bytes) -> dict[str, Any]:
    """A reply in its parts: status line, every header field, their order, the body."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    parts: dict[str, Any] = {"status line": line, "body": body}
    for one in lines:
        name, _, value = one.partition(": ")
        parts[name.lower()] = value
    parts["order"] = [one.partition(":")[0].lower() for one in lines]
    parts["order"] = [name for name in parts["order"] if name != "date"]
    return parts


class NoBooks(Ledger):
    def framing(self) -> Any:
        raise LookupError

    def request(self, head: Head) -> None: ...

    def replied(self) -> None: ...


def head_of(data: bytes) -> Head:
    """The request's head; what no codec reads (garbage) is like a connection that begins."""
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    try:
        head = next(iter(PROTOCOL.codecs(session, NoBooks())[0].feed(data))).start
    except Exception:
        return Head("CONNECT")
    assert head is not None
    return head


def ours(name: str, data: bytes, text: str | None = None, **extra: Any) -> Answer:
    """What the proxy would answer to this request."""
    spec = PROTOCOL.error(name)
    assert spec is not None
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    return PROTOCOL.answer(session, head_of(data), ErrorCall(spec, text, extra))


def get(path: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *lines, "", ""]).encode()


# -- nginx ----------------------------------------


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not NGINX:
        pytest.skip("nginx is not installed")
    with nginx(tmp_path_factory.mktemp("nginx")) as one:
        yield one


@pytest.fixture(scope="module")
def table() -> Iterator[Fidelity]:
    made = Fidelity("http", version(NGINX), fields)
    yield made
    made.write()


def hold(
    table: Fidelity,
    port: int,
    name: str,
    provoked: str,
    data: bytes,
    text: str | None = None,
    differs: dict[str, str] | None = None,
    **extra: Any,
) -> None:
    """Provoke an error with one request, and compare the reply and whether that closes."""
    with Client(port) as client:
        real = stable(client(data, head_only=data.startswith(b"HEAD")), port)
        closes = client.closed()
    answer = ours(name, data, text, **extra)
    reasons = {"date": DATE} | (differs or {})
    also = {"closes": (closes, answer.close)}
    table.hold(name, provoked, real, answer.reply, differs=reasons, also=also)


LINGERS = "nginx first reads on for a while what the client may still send"
CYCLE = "nginx's own failure closes; an application's behind it does not: error(500, close=yes)"
LONG = "x" * 3000
SIMPLE: list[tuple[str, str, bytes, dict[str, Any]]] = [
    ("not_found", "GET of a file that is not there", get("/none"), {}),
    ("not_found", "HEAD of it", get("/none", method="HEAD"), {}),
    ("not_found", "HTTP/1.0 GET of it", get("/none", version="1.0"), {}),
    (
        "not_found",
        "HTTP/1.0 GET of it with keep-alive",
        get("/none", "Connection: keep-alive", version="1.0"),
        {},
    ),
    ("not_found", "GET of it with Connection: close", get("/none", "Connection: close"), {}),
    ("method_not_allowed", "POST to a file", get("/", "Content-Length: 0", method="POST"), {}),
    (
        "method_not_allowed",
        "POST to a file, with a body",
        get("/", "Content-Length: 5", method="POST") + b"hello",
        {},
    ),
    ("forbidden", "deny all", get("/hidden"), {}),
    ("unauthorized", "auth_basic", get("/private"), {}),
    ("bad_request", "no Host in HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n", {}),
    ("bad_request", "a request line that is none", b"nonsense\r\n\r\n", {}),
    (
        "bad_request",
        "Content-Length and Transfer-Encoding",
        get("/", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST"),
        {"differs": {"closes": LINGERS}},
    ),
    (
        "bad_request",
        "a cookie of 3 KB, large_client_header_buffers 2 1k",
        get("/", f"Cookie: {LONG}"),
        {"text": "Request Header Or Cookie Too Large"},
    ),
    (
        "content_too_large",
        "a body of 100 KB, client_max_body_size 1k",
        get("/down", "Content-Length: 100000", method="POST"),
        {"differs": {"closes": LINGERS}},
    ),
    ("uri_too_long", "a path of 3 KB", get("/" + LONG), {}),
    (
        "range_not_satisfiable",
        "a range behind the end",
        get("/index.html", "Range: bytes=100-200"),
        {"header": "Content-Range: bytes */6"},
    ),
    (
        "precondition_failed",
        "If-Unmodified-Since, long ago",
        get("/index.html", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"),
        {"differs": {"closes": "nginx says keep-alive and closes all the same"}},
    ),
    ("conflict", "MKCOL in a folder that is not there", get("/dav/a/b/", method="MKCOL"), {}),
    (
        "unsupported_media_type",
        "MKCOL with a body",
        get("/dav/new/", "Content-Length: 5", method="MKCOL") + b"hello",
        {},
    ),
    (
        "internal_server_error",
        "a rewrite cycle",
        get("/cycle"),
        {"differs": {"connection": CYCLE, "closes": CYCLE}},
    ),
    ("internal_server_error", "a rewrite cycle, close=yes", get("/cycle"), {"close": True}),
    (
        "internal_server_error",
        "an upstream that says so, with a text",
        get("/failing"),
        {
            "body": "oops\n",
            "type": "text/plain",
            "differs": {"content-type": "the upstream gave none", "order": "one field more"},
        },
    ),
    (
        "not_implemented",
        "a transfer coding that nginx does not know",
        get("/", "Transfer-Encoding: gzip", method="POST"),
        {},
    ),
    ("version_not_supported", "HTTP/3.0", get("/", version="3.0"), {}),
    ("bad_gateway", "an upstream that refuses", get("/down"), {}),
    ("gateway_timeout", "an upstream that is silent, proxy_read_timeout 100ms", get("/silent"), {}),
    ("moved_permanently", "a folder without /", get("/dir"), {"location": "http://x:8080/dir/"}),
    (
        "not_modified",
        "If-None-Match",
        get("/index.html", 'If-None-Match: "6553f100-6"'),
        {
            "differs": {
                "last-modified": "the proxy does not know it; add it with header=",
                "order": "one field less",
            }
        },
    ),
    ("payment_required", "return 402", get("/402"), {}),
    ("not_acceptable", "return 406", get("/406"), {}),
    ("gone", "return 410", get("/410"), {}),
    ("misdirected_request", "return 421", get("/421"), {}),
    ("see_other", "return 303", get("/303"), {"location": "http://x:8080/else"}),
    ("temporary_redirect", "return 307", get("/307"), {"location": "http://x:8080/else"}),
    ("permanent_redirect", "return 308", get("/308"), {"location": "http://x:8080/else"}),
]


@pytest.mark.parametrize(
    ("name", "provoked", "data", "more"), SIMPLE, ids=[f"{row[0]}: {row[1]}" for row in SIMPLE]
)
def test_errors_of_nginx(
    table: Fidelity, port: int, name: str, provoked: str, data: bytes, more: dict[str, Any]
) -> None:
    hold(table, port, name, provoked, data, **more)


@pytest.mark.parametrize(
    ("name", "path"), [("service_unavailable", "/busy"), ("too_many_requests", "/often")]
)
def test_a_rate_limit_of_nginx(table: Fidelity, port: int, name: str, path: str) -> None:
    with Client(port) as client:
        client(get(path))
    hold(table, port, name, "limit_req rate=1r/m", get(path))


def test_found(table: Fidelity, port: int) -> None:
    """nginx has no 302 of its own without `return`; its words differ from those of its page."""
    with Client(port) as client:
        real = client(get("/302"))
    answer = ours("found", get("/302"), location="http://x:8080/else")
    table.hold("found", "return 302", stable(real, port), answer.reply, differs={"date": DATE})


def test_one_that_closes_says_so(port: int) -> None:
    """A second request behind an answer that does not close is served, by both."""
    for status in RETURNS:
        with Client(port) as client:
            client(get(f"/{status}"))
            assert client(get("/none")).startswith(b"HTTP/1.1 404")
        assert status < 300 or not ours(str(status), get(f"/{status}")).close


# -- replies that are no errors ----------------------------------------


def replaced(data: bytes, **given: Any) -> bytes:
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    options = PROTOCOL.replace_options.plain({"style": "nginx", **given})
    reply = PROTOCOL.replacement(session, head_of(data), options)
    assert reply is not None
    return reply


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_replaced_replies(table: Fidelity, port: int, method: str) -> None:
    with Client(port) as client:
        for provoked, path, given in (
            ("return 204", "/204", {"status": 204}),
            ("return 200 hello", "/hello", {"body": "hello", "type": "text/plain"}),
        ):
            data = get(path, method=method)
            real = stable(client(data, head_only=method == "HEAD"), port)
            injected = replaced(data, **given)
            table.hold("(replace)", f"{method}, {provoked}", real, injected, differs={"date": DATE})


def test_a_kept_reply_is_what_was_kept(port: int) -> None:
    """Adapted to a client that wants to close, and to one that does not."""
    data = get("/items.json")
    closing = get("/items.json", "Connection: close")
    session = PROTOCOL.session(PROTOCOL.options.plain({}))
    with Client(port) as client:
        kept = client(data)
        last = client(closing)

    def same(one: bytes) -> dict[str, Any]:
        parts = fields(stable(one, port))
        parts.pop("order")
        return parts

    for head, stored, real in (
        (data, kept, kept),
        (closing, kept, last),
        (data, last, kept),
        (closing, last, last),
    ):
        found = PROTOCOL.rerender(session, head_of(head), stored)
        assert found is not None
        assert same(found) == same(real)


# -- HAProxy ----------------------------------------


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if not HAPROXY:
        pytest.skip("HAProxy is not installed")
    with haproxy(tmp_path_factory.mktemp("haproxy")) as one:
        yield one


@pytest.fixture(scope="module")
def balanced() -> Iterator[Fidelity]:
    made = Fidelity("http", version(HAPROXY), fields)
    yield made
    made.write()


@pytest.mark.parametrize("status", DENIALS)
def test_denials_of_haproxy(balanced: Fidelity, balancer: int, status: int) -> None:
    with Client(balancer) as client:
        real = client(get(f"/{status}"))
        closes = client.closed()
    name = next(spec.name for spec in ERRORS.values() if spec.code == str(status))
    extra = {"header": ""}
    answer = ours(name, get(f"/{status}"), style="haproxy", **extra)
    differs = {}
    if status in (401, 407):
        differs = dict.fromkeys(
            ("www-authenticate", "proxy-authenticate", "order"),
            "deny_status has none, though RFC 9110 wants it; http-request auth has",
        )
    if closes != answer.close:
        differs |= dict.fromkeys(
            ("closes", "connection", "order"), "a denial: HAProxy knows where the request ends"
        )
    balanced.hold(
        name,
        f"http-request deny deny_status {status} (style=haproxy)",
        real,
        answer.reply,
        differs=differs,
        also={"closes": (closes, answer.close)},
    )


TROUBLE = [
    ("service_unavailable", "a server that is down", get("/x")),
    ("service_unavailable", "no server", get("/nobody")),
    ("bad_gateway", "a server that talks garbage", get("/garbage")),
    ("gateway_timeout", "a server that is silent", get("/silent")),
    ("service_unavailable", "the same, HTTP/1.0", get("/503", version="1.0")),
    ("service_unavailable", "the same, HEAD", get("/503", method="HEAD")),
    (
        "service_unavailable",
        "a denial of a request that expects 100-continue",
        get("/503", "Expect: 100-continue", "Content-Length: 10", method="POST"),
    ),
    ("request_timeout", "half a request", b"GET / HTTP/1.1\r\n"),
    ("bad_request", "garbage", b"nonsense\r\n\r\n"),
]


@pytest.mark.parametrize(("name", "provoked", "data"), TROUBLE, ids=[row[1] for row in TROUBLE])
def test_trouble_of_haproxy(
    balanced: Fidelity, balancer: int, name: str, provoked: str, data: bytes
) -> None:
    with Client(balancer) as client:
        real = client(data, head_only=data.startswith(b"HEAD"))
        closes = client.closed(0.1)
    answer = ours(name, data, style="haproxy")
    differs = {}
    if b"\r\nContent-length" in real:
        differs["order"] = ORDER
    if closes and not answer.close:
        # It has said nothing of it: whether it closes here depends on its time-outs.
        assert b"connection: close" not in real.lower()
        closes = False
    balanced.hold(
        name,
        f"{provoked} (style=haproxy)",
        real,
        answer.reply,
        differs=differs,
        also={"closes": (closes, answer.close)},
    )


@pytest.mark.parametrize("status", [301, 302])
def test_redirects_of_haproxy(balanced: Fidelity, balancer: int, status: int) -> None:
    with Client(balancer) as client:
        real = client(get(f"/{status}"))
    name = "moved_permanently" if status == 301 else "found"
    answer = ours(name, get(f"/{status}"), style="haproxy", location="/else", body="")
    differs = {"order": ORDER}
    balanced.hold(name, "redirect (style=haproxy)", real, answer.reply, differs=differs)


# -- all of them ----------------------------------------


def test_every_error_was_provoked_or_cannot_be() -> None:
    provoked = {row[0] for row in SIMPLE} | {"service_unavailable", "too_many_requests", "found"}
    assert provoked | set(NOT_PROVOKED) == set(ERRORS)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ERRORS)
def test_every_error_in_every_style_is_whole(style: str, name: str) -> None:
    """Its Content-Length is that of its body, and a HEAD gets the same without it."""
    full = ours(name, get("/"), style=style, text="<b>é</b>").reply
    bare = ours(name, get("/", method="HEAD"), style=style, text="<b>é</b>").reply
    head, _, body = full.partition(b"\r\n\r\n")
    assert bare == head + b"\r\n\r\n"
    length = re.search(rb"(?i)\ncontent-length: (\d+)", head)
    assert length is None if ERRORS[name].code == "304" else length is not None
    assert int(length[1] if length else 0) == len(body)
    assert b"<b>" not in body or style in ("json", "problem", "text")
