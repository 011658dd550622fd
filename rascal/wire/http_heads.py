r"""HTTP/1.x heads: what a request line, a status line and the fields behind it say.

    GET /orders?page=2 HTTP/1.1\r\n          HTTP/1.1 200 OK\r\n
    Host: shop.internal\r\n                  Content-Length: 2\r\n
    \r\n                                     \r\n

What is accepted beyond the letter of RFC 9112, and what is not (`HeadError` is loss of sync: the
bytes then go on unread, both peers see them as they were sent):

- A bare LF ends a line as CRLF does (2.2), also mixed. A bare CR, NUL or any other line is refused.
- Empty lines before a request belong to it (2.2); before a reply they are refused.
- obs-fold (5.2) is relayed and read as a blank, but not in the fields that say where the body ends.
- White space before a colon (5.1) is refused in both directions.
- Content-Length may be repeated if all values are equal (6.3); else it is refused, and so is one
  that is not digits only.
- A request with Content-Length and Transfer-Encoding is refused: the RFC lets servers choose, so
  nobody but the server knows where it ends. In a reply chunked wins (6.3), as in every client.
- Transfer-Encoding in HTTP/1.0, `identity`, and chunked that is not last or not alone of its name
  are refused. A request must end with chunked; a reply without it ends with the connection (6.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from rascal.errors import ProtocolError
from rascal.wire.types import Head, Session

HEAD, CONNECT, UPGRADE = "head", "connect", "upgrade"
"""Framings of requests whose replies are not framed as others are: None."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_FIELDS = rb"(?:%b++:[^\r\n\0]*+(?:\r?\n[ \t][^\r\n\0]*+)*+\r?\n)*+" % _TOKEN
_REQUEST = rb"(%b{1,64}+) ([^\x00-\x20\x7f]++) HTTP/1\.([0-9])\r?\n" % _TOKEN
_REPLY = rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: [^\r\n\0]*+)?\r?\n"

REQUEST = re.compile(rb"(?:\r?\n)*+" + _REQUEST + _FIELDS + rb"\r?\n")
"""A whole request head: method, target, minor version."""
REPLY = re.compile(_REPLY + _FIELDS + rb"\r?\n")
"""A whole reply head: minor version, status."""
REQUEST_LINE = re.compile(rb"(?:\r?\n)*+" + _REQUEST)
REPLY_LINE = re.compile(_REPLY)
REQUEST_PREFIX = re.compile(rb"(?:\r?\n)*+\r?(?:%b{1,64}+(?: [^\r\n\0]*+\r?)?)?\Z" % _TOKEN)
REPLY_PREFIX = re.compile(rb"H(?:T(?:T(?:P(?:/(?:1(?:\.[^\r\n\0]{0,256}+\r?)?)?)?)?)?)?\Z")
"""The beginning of a first line, as far as it is there."""
LINES = re.compile(rb"(?:(?:%b++:|[ \t])[^\r\n\0]*+\r?\n)*+" % _TOKEN)
BLANK = re.compile(rb"\n\r?\n")
TRAILER_LINES = re.compile(rb"(?:%b++:[^\r\n\0]*+\r\n)*+" % _TOKEN)
TRAILER = re.compile(rb"(?:%b++:[^\r\n\0]*+\r\n)*+\r\n" % _TOKEN)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:[ \t]*+;[^\r\n\0]*+)?[ \t]*+\r\n")
"""A chunk's first line. Nothing but CRLF ends it: where peers are lax here, they differ (7.1.1)."""
CHUNK_PREFIX = re.compile(rb"[0-9A-Fa-f]{1,16}+[ \t]*+(?:;[^\r\n\0]*+)?\r?\Z")

_FRAMING = re.compile(
    rb"\n(?:(?i:(content-length)|(transfer-encoding)|(upgrade)|(expect)|(content-type))):"
    rb"[ \t]*+([^\r\n]*+)(\r?\n[ \t])?"
)
_TEXTUAL = re.compile(
    rb"(?i)(?:text/|application/(?:json|xml|graphql|x-www-form-urlencoded|javascript|x-ndjson)"
    rb"|[^;]*\+(?:json|xml))"
)
_DIGITS = re.compile(rb"[0-9]{1,18}")


class HeadError(ProtocolError):
    """A head does not follow the rules above."""


def text(data: bytes) -> str:
    """As people write it; bytes that are not UTF-8 survive as surrogates."""
    return data.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)
def _pattern(name: str) -> re.Pattern[bytes]:
    return re.compile(
        rb"\n(?i:%b):[ \t]*+([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+)" % re.escape(name.encode())
    )


def fields_named(raw: bytes, name: str) -> list[str]:
    """The values of a header field, in order; folded ones unfolded."""
    values = _pattern(name).findall(raw)
    return [text(re.sub(rb"\r?\n[ \t]+", b" ", value).strip(b" \t")) for value in values]


def tokens(values: Sequence[str]) -> set[str]:
    """The elements of a comma-separated field, in small letters."""
    return {word.strip().lower() for value in values for word in value.split(",")}


@dataclass(slots=True)
class Facts:
    """What a head says of its body.

    Attributes:
        size: its Content-Length, -1 if there is none.
        chunked: chunked is the last transfer coding.
        coded: there is a Transfer-Encoding.
        upgrade, expects, textual: Upgrade, Expect: 100-continue, a Content-Type of text.
    """

    size: int = -1
    chunked: bool = False
    coded: bool = False
    upgrade: bool = False
    expects: bool = False
    textual: bool = False


NOTHING = Facts()
"""Of a head without any of these fields. Never changed."""


def facts_of(raw: bytes, minor: bytes) -> Facts:
    """Read the fields that say where a body ends. Raises HeadError."""
    found = _FRAMING.findall(raw)
    if not found:
        return NOTHING
    facts = Facts()
    codings: list[bytes] = []
    for length, coding, upgrade, expect, _type, value, folded in found:
        if length:
            facts.size = _length(value, facts.size)
        elif coding:
            codings += value.lower().split(b",")
            facts.coded = True
        elif upgrade:
            facts.upgrade = minor != b"0"
        elif expect:
            facts.expects = value.strip().lower() == b"100-continue" and minor != b"0"
        else:
            facts.textual = _TEXTUAL.match(value) is not None
        if folded and (length or coding):
            raise HeadError("a folded field that says where the body ends")
    if facts.coded:
        names = [coding.strip(b" \t") for coding in codings]
        facts.chunked = names[-1] == b"chunked"
        if minor == b"0":
            raise HeadError("Transfer-Encoding in HTTP/1.0")
        if names.count(b"chunked") > facts.chunked or b"identity" in names or b"" in names:
            raise HeadError(f"transfer codings {b','.join(names)[:64]!r}")
    return facts


def _length(value: bytes, before: int) -> int:
    for word in value.split(b","):
        digits = word.strip(b" \t")
        if not _DIGITS.fullmatch(digits):
            raise HeadError(f"Content-Length {value[:32]!r}")
        size = int(digits)
        if before not in (-1, size):
            raise HeadError(f"Content-Length {before} and {size}")
        before = size
    return before


# -- heads ----------------------------------------


@dataclass(slots=True)
class RequestHead(Head):
    """A request. `raw` is its head as it came; `size` its Content-Length, 0: no body, -1: chunked.

    `content` is the body, where that is known with the head (http_requests says when).
    """

    target: bytes = b""
    minor: int = 1
    raw: bytes = b""
    size: int = 0
    expects: bool = False
    content: bytes | None = None
    parsed: Any = field(default=None, compare=False, repr=False)

    def value(self, name: str) -> Any:
        if name in ("command", "method"):
            return self.command
        if name == "path":
            return text(self.split()[1])
        if name == "query":
            found = self.split()[2]
            return None if found is None else text(found)
        if name == "host":
            return self.host()
        if name == "size":
            return None if self.size < 0 else self.size
        if name == "body":
            return None if self.content is None else text(self.content)
        family, _, rest = name.partition(".")
        if family == "header":
            return _one_or_all(fields_named(self.raw, rest))
        if family == "query":
            query = text(self.split()[2] or b"")
            return _one_or_all(parse_qs(query, keep_blank_values=True).get(rest, []))
        if family == "json":
            return self.member(rest)
        return None

    def split(self) -> tuple[bytes, bytes, bytes | None]:
        """Authority (only of the absolute form and of CONNECT), path, query of the target."""
        target = self.target
        authority = b""
        if self.framing == CONNECT:
            return target, b"", None
        if not target.startswith(b"/"):
            scheme, found, rest = target.partition(b"://")
            if found and scheme.isalpha():
                cut = re.search(rb"[/?]", rest)
                at = cut.start() if cut else len(rest)
                authority, target = rest[:at], rest[at:]
        path, mark, query = target.partition(b"?")
        return authority, path or b"/", query if mark else None

    def authority(self) -> str:
        """Host and port: of the target, which wins (RFC 9112 3.2.2), else of Host."""
        found = text(self.split()[0])
        if not found:
            hosts = fields_named(self.raw, "host")
            found = hosts[0] if hosts else ""
        return found.rpartition("@")[2]

    def host(self) -> str | None:
        """The host without its port."""
        return re.sub(r":\d*$", "", self.authority()) or None

    def member(self, path: str) -> Any:
        """A member of the JSON body: `a.b.0` is in a, in b, the first."""
        if self.content is None:
            return None
        if self.parsed is None:
            try:
                self.parsed = (json.loads(self.content),)
            except (ValueError, RecursionError):
                self.parsed = (None,)
        at = self.parsed[0]
        for step in path.split("."):
            if isinstance(at, dict):
                at = at.get(step)
            elif isinstance(at, list) and step.isdigit() and int(step) < len(at):
                at = at[int(step)]
            else:
                return None
        if at is None or isinstance(at, str):
            return at
        return json.dumps(at, separators=(",", ":"), ensure_ascii=False)

    def keeps(self) -> bool:
        """Whether the connection stays open after the reply (RFC 9112 9.3)."""
        words = tokens(fields_named(self.raw, "connection"))
        return "close" not in words and (self.minor > 0 or "keep-alive" in words)

    def identity(self) -> Hashable | None:
        """Same method, target and host, and the same in what replies usually vary by."""
        if self.command not in ("GET", "HEAD") or self.size or self.framing == UPGRADE:
            return None
        varies = tuple(tuple(fields_named(self.raw, name)) for name in VARY)
        return (self.command, self.authority().lower(), self.target, varies)


VARY = (
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cookie",
    "range",
    "if-none-match",
    "if-modified-since",
)


def _one_or_all(values: Sequence[str]) -> Any:
    if len(values) > 1:
        return tuple(values)
    return values[0] if values else None


@dataclass(slots=True)
class ReplyHead(Head):
    """A reply. `body`: how it ends: none, length, chunked, close. `size`: -1 if not announced."""

    status: int = 0
    minor: int = 1
    raw: bytes = b""
    size: int = -1
    body: str = "none"

    def value(self, name: str) -> Any:
        if name == "status":
            return self.status or None
        if name == "type":
            found = fields_named(self.raw, "content-type")
            return found[0].partition(";")[0].strip().lower() if found else None
        if name == "reply_size":
            return self.size if self.size >= 0 else None
        family, _, rest = name.partition(".")
        return _one_or_all(fields_named(self.raw, rest)) if family == "reply_header" else None


@dataclass(slots=True)
class HttpSession(Session):
    """Facts of one connection.

    Attributes:
        content_bytes: bodies up to this size are waited for, so that matches can see them; 0
            while no match asks for them, else most_content, the proxy's option.
        host: what to put in place of Host, b"" for nothing.
        awaiting: the framing of a request whose body is being waited for, False: there is none.
        early: the reply to that request has come meanwhile, and gone on as an aside.
        verdict: what the reply to Upgrade or CONNECT has decided: True: a tunnel, False: it was
            refused, None: it has not come.
        stalled: request bytes are kept back until then.
    """

    content_bytes: int = 0
    most_content: int = 0
    host: bytes = b""
    awaiting: Hashable = False
    early: bool = False
    verdict: bool | None = None
    stalled: bool = False
