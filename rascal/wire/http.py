"""HTTP/1.0 and HTTP/1.1 (RFC 9112, RFC 9110): keep-alive, pipelines, chunks, upgrades, tunnels.

The modules beside this one: http_heads (start lines, fields, what is accepted and what is not),
http_body (how bodies end), http_requests and http_replies (the codecs), http_errors, http_pages
and http_answers (what the proxy says itself).

HTTP/2 begins with a preface that is no HTTP/1: such a connection is relayed as bytes, and so is
one after 101 or a 2xx to CONNECT (WebSocket, h2c). There only faults on bytes and connections act.

"100 Continue" is relayed as an aside: a fault at `reply` waits for the final status. To let it
never come, hold the request: `hang match header.Expect=100-continue`.
"""

from __future__ import annotations

import re
from typing import ClassVar

from rascal.errors import ConfigError
from rascal.options import Option, Options, OptionTable
from rascal.wire.http_answers import (
    DROP_BYTES,
    empty_reply,
    error_answer,
    last_chunk,
    replaced,
    rerendered,
)
from rascal.wire.http_errors import ERRORS, error_named
from rascal.wire.http_heads import CONNECT, UPGRADE, HttpSession, RequestHead
from rascal.wire.http_pages import STYLES
from rascal.wire.http_replies import ReplyCodec
from rascal.wire.http_requests import RequestCodec
from rascal.wire.types import (
    COMMON_FIELDS,
    HEAD_BYTES,
    Answer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)

BODY_BYTES = 16 * 1024

_HOST_FIELD = re.compile(rb"\n((?i:host)):[ \t]*+([^\r\n]*+)(?:\r?\n[ \t][^\r\n]*+)*+")
_HOST = re.compile(r"[^\s/@?#\\]+")
_AUTHORITY = re.compile(rb"(?<= )([A-Za-z][A-Za-z0-9+.-]*://)[^/? ]*(?=[/? ])")

_EXTRA = (
    Option("body", "text", "the body; unset: a page in `style`"),
    Option("type", "text", "Content-Type; unset: guessed from the body"),
    Option("location", "text", "Location; unset in a redirect: the request's own URL, a loop"),
    Option("header", "text", "further header fields: Name: value | Name: value"),
    Option("style", STYLES, "what the page looks like: an nginx page where JSON is expected, …"),
    Option("close", "flag", "close the connection behind it", False),
    Option("retry_after", "duration", "Retry-After in seconds, rounded up"),
    Option("retry_after_text", "text", "Retry-After as it stands: a date, or something absurd"),
)


class Http(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "http"
    title = "HTTP/1.1"
    part = "chunks"
    waits = True
    verbatim = ("command", "method", "path", "query", "host")
    usual = frozenset(
        ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
    )
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "the method, as `method`", folded=True),
        Field("method", "word", "the method, such as GET", folded=True),
        Field("path", "text", "the path, as it is written, without the query"),
        Field("query", "text", "what stands behind the first ?"),
        Field("query.NAME", "text", "a parameter of the query, decoded"),
        Field("host", "name", "the host without its port: of the URL, else of Host", folded=True),
        Field("header.NAME", "text", "a header field of the request, any of several"),
        Field("size", "number", "length of the request's body, 0 without; none if chunked"),
        Field("body", "text", "the body, if it is text, JSON or a form up to the option `body`"),
        Field("json.NAME", "text", "a member of such a JSON body: json.items.0.id"),
        Field("status", "number", "the status of the reply", "reply"),
        Field("type", "word", "Content-Type of the reply, without parameters", "reply", True),
        Field("reply_header.NAME", "text", "a header field of the reply", "reply"),
        Field("reply_size", "number", "Content-Length of the reply", "reply"),
    )
    errors = ERRORS
    options = OptionTable(
        Option("host", "text", "put this into Host (and into absolute URLs) of every request"),
        Option(
            "body",
            "size",
            "request bodies of text, JSON and forms up to this size can be matched: where a fault"
            " may strike, their heads wait for them; 0: never",
            BODY_BYTES,
            minimum=0,
            maximum=HEAD_BYTES,
        ),
    )
    error_options = OptionTable(*_EXTRA)
    replace_options = OptionTable(
        *_EXTRA[:1],
        Option("status", "count", "the status", 200, minimum=200, maximum=599),
        *_EXTRA[1:],
        Option("text", "text", "what a page in `style` says"),
    )
    _unanswerable: ClassVar[frozenset[str]] = frozenset((CONNECT, UPGRADE))

    def session(self, options: Options) -> HttpSession:
        body = getattr(options, "body", None)
        most = BODY_BYTES if body is None else int(body)
        return HttpSession(content_bytes=most, most_content=most, host=read_host(options))

    def codecs(self, session: HttpSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return RequestCodec(self, session, ledger), ReplyCodec(session, ledger)

    def wants(self, session: HttpSession, fields: frozenset[str]) -> None:
        asked = any(name == "body" or name.startswith("json.") for name in fields)
        session.content_bytes = session.most_content if asked else 0

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        return (bool(read_host(options)), False)

    def rewrite_head(self, session: HttpSession, head: Head, data: bytes) -> bytes | None:
        """The request with another Host, in the field and in an absolute URL."""
        if not isinstance(head, RequestHead) or not session.host or head.command == "TUNNEL":
            return None
        raw, host = head.raw, session.host
        line_end = raw.index(b"HTTP/1.")
        line = raw[:line_end]
        if head.framing != CONNECT:
            line = _AUTHORITY.sub(rb"\g<1>" + host.replace(b"\\", rb"\\"), line, 1)
        fields, count = _HOST_FIELD.subn(
            lambda found: b"\n%b: %b" % (found[1], host), raw[line_end:]
        )
        if not count:
            first = fields.index(b"\n") + 1
            fields = fields[:first] + b"Host: " + host + b"\r\n" + fields[first:]
        return line + fields + data[len(raw) :]

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: HttpSession, head: Head, call: ErrorCall) -> Answer:
        return error_answer(head, call)

    def terminate(
        self, session: HttpSession, head: Head, mark: int, call: ErrorCall | None
    ) -> bytes | None:
        return last_chunk(mark, call)

    def empty(self, session: HttpSession, head: Head) -> bytes | None:
        return empty_reply(head) if isinstance(head, RequestHead) else None

    def replacement(self, session: HttpSession, head: Head, options: Options) -> bytes | None:
        return replaced(head, options) if isinstance(head, RequestHead) else None

    def rerender(self, session: HttpSession, head: Head, kept: bytes) -> bytes | None:
        return rerendered(head, kept) if isinstance(head, RequestHead) else None

    def drops_safely(self, head: Head) -> bool:
        return not isinstance(head, RequestHead) or head.size <= DROP_BYTES

    def rewinds(self, session: HttpSession, head: Head) -> None:
        """An Upgrade or a CONNECT that the proxy has answered is refused: HTTP goes on."""
        if head.framing in self._unanswerable:
            session.verdict = False


def read_host(options: Options) -> bytes:
    """The option `host`. Raises ConfigError."""
    host = str(getattr(options, "host", None) or "")
    if not host:
        return b""
    if not _HOST.fullmatch(host):
        raise ConfigError(
            f"'{host}' is no host; write name, name:port or [v6]:port", option="host", value=host
        )
    return host.encode("utf-8", "surrogateescape")


PROTOCOL: WireProtocol = Http()
