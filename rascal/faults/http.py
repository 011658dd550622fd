"""Kinds that only HTTP has: wrong framing, wrong bodies, redirects, swollen heads, no keep-alive.

All but redirect change the upstream's own reply, which is gathered for that: up to 64 KiB, larger
ones pass and count as skipped (too_large). A change that makes no sense (a body where there is
none) lets the reply pass: skipped (nothing).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.types import Act, Draw, Edit, Kind, Reply
from rascal.options import Option, Options, OptionTable
from rascal.wire.http_answers import REDIRECTS, chunks
from rascal.wire.http_heads import HEAD, REPLY, facts_of, fields_named
from rascal.wire.http_pages import page_of
from rascal.wire.types import HEAD_BYTES, Answer, ErrorCall, Moment, WireProtocol

_FRAMING = re.compile(
    rb"\n(?i:content-length|transfer-encoding|trailer):[^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+\r?(?=\n)"
)


@dataclass(slots=True)
class Whole:
    """A whole reply in its parts: start line and fields without those of framing, and payload."""

    lines: bytes
    payload: bytes

    def drop(self, name: str) -> None:
        """Take all header fields of that name out."""
        pattern = rb"\n(?i:%b):[^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+\r?(?=\n)" % name.encode()
        self.lines = re.sub(pattern, b"", self.lines)

    def set(self, name: str, value: str) -> None:
        """Put a header field in place of all of that name."""
        self.drop(name)
        self.lines += f"{name}: {value}\r\n".encode()

    def sent(self, *framing: str, body: bytes | None = None) -> bytes:
        """The reply with these framing fields; without any, with its Content-Length."""
        fields = framing or (f"Content-Length: {len(self.payload)}",)
        ends = "".join(f"{line}\r\n" for line in fields).encode()
        return self.lines + ends + b"\r\n" + (self.payload if body is None else body)


def whole(head: Any, reply: bytes) -> Whole | None:
    """Take a reply apart; None: it has no body to speak of."""
    found = REPLY.match(reply)
    if found is None or head.framing == HEAD or found[2] in (b"204", b"304") or found[2] < b"200":
        return None
    raw, body = found[0], reply[found.end() :]
    facts = facts_of(raw, found[1])
    if facts.chunked:
        pieces = chunks(body)
        if pieces is None:
            return None
        body = b"".join(pieces)
    elif facts.coded:
        return None
    ends = b"\r\n" if raw.endswith(b"\r\n") else b"\n"
    return Whole(_FRAMING.sub(b"", raw[: -len(ends)]), body)


def _coded(payload: bytes) -> bytes:
    """Two chunks, so that there is a boundary between them, and no last one."""
    middle = (len(payload) + 1) // 2
    parts = [part for part in (payload[:middle], payload[middle:]) if part]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


class _Change(Kind):
    """The upstream's reply is changed."""

    moments: ClassVar[tuple[Moment, ...]] = ("reply",)
    protocols: ClassVar[tuple[str, ...]] = ("http",)

    def change(self, options: Options, head: Any, reply: bytes) -> bytes | None:
        """The changed reply to the request `head`; None: it passes."""
        raise NotImplementedError

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Edit(lambda x, reply: self.change(options, x.head, reply), HEAD_BYTES)


class BadFraming(_Change):
    """A reply whose end is not where it says."""

    name = "bad_framing"
    summary = "The reply says wrongly where it ends: lengths, chunks."
    faithful = (
        "As a broken application, a proxy that re-encodes, or response splitting. The bytes are "
        "the upstream's; only what frames them is wrong. The connection stays open: a client "
        "that believes the reply waits for what never comes, or reads the rest as the next "
        "reply. Where the server also closes, use truncate."
    )
    options = OptionTable(
        Option(
            "how",
            ("too_long", "too_short", "two_lengths", "both", "chunk_size", "no_last_chunk"),
            "too_long, too_short: Content-Length is wrong; two_lengths: there are two of them; "
            "both: Content-Length and chunked; chunk_size: garbage in place of a chunk's size; "
            "no_last_chunk: the last chunk never comes",
            "too_long",
        ),
        Option("bytes", "size", "by how much a length is wrong", 10, minimum=1),
    )

    def change(self, options: Options, head: Any, reply: bytes) -> bytes | None:
        found = whole(head, reply)
        if found is None:
            return None
        size, wrong, how = len(found.payload), int(options.bytes), options.how
        if how == "too_long":
            return found.sent(f"Content-Length: {size + wrong}")
        if how == "too_short":
            return found.sent(f"Content-Length: {max(0, size - wrong)}") if size else None
        if how == "two_lengths":
            return found.sent(f"Content-Length: {size}", f"Content-Length: {size + wrong}")
        body = _coded(found.payload)
        chunked = "Transfer-Encoding: chunked"
        if how == "both":
            return found.sent(f"Content-Length: {size}", chunked, body=body + b"0\r\n\r\n")
        if not size:
            return None
        if how == "chunk_size":
            return found.sent(chunked, body=b"xyz" + body[body.index(b"\r\n") :] + b"0\r\n\r\n")
        return found.sent(chunked, body=body)


def _half(found: Whole) -> bool:
    found.payload = found.payload[: len(found.payload) // 2]
    return True


def _null(found: Whole) -> bool:
    found.payload = b"null"
    found.set("Content-Type", "application/json")
    return True


def _html(found: Whole) -> bool:
    page = page_of("login", 200, "OK", None)
    found.payload = page.body
    found.set("Content-Type", str(page.type))
    return True


def _gzip(found: Whole) -> bool:
    packed = gzip.compress(found.payload, mtime=0)
    found.payload = packed[: len(packed) // 2]
    found.set("Content-Encoding", "gzip")
    return True


def _charset(found: Whole) -> bool:
    kinds = fields_named(found.lines, "content-type")
    kind = kinds[0].partition(";")[0] if kinds else "text/plain"
    found.set("Content-Type", f"{kind}; charset=utf-16")
    return True


def _type(found: Whole) -> bool:
    found.set("Content-Type", "application/octet-stream")
    return True


BODIES: dict[str, Callable[[Whole], bool]] = {
    "half": _half,
    "null": _null,
    "html": _html,
    "gzip": _gzip,
    "charset": _charset,
    "type": _type,
}


def without(payload: bytes, path: str) -> bytes | None:
    """JSON without one member (`a.b`; of every element, where there is a list); None: not there."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    *way, last = path.split(".")
    owners = [value]
    for step in (*way, None):
        owners = [one for owner in owners for one in (owner if type(owner) is list else [owner])]
        owners = [owner for owner in owners if isinstance(owner, dict)]
        if step is not None:
            owners = [owner[step] for owner in owners if step in owner]
    gone = [owner.pop(last) for owner in owners if last in owner]
    return json.dumps(value, separators=(",", ":")).encode() if gone else None


class BadBody(_Change):
    """A reply that is well framed and makes no sense."""

    name = "bad_body"
    summary = "The body is another than it should be: half of it, null, HTML, broken gzip."
    faithful = (
        "What a client finds behind a 200 when something in between has answered, or a "
        "deployment went wrong. Framing is right, so nothing but a look at the body tells."
    )
    options = OptionTable(
        Option(
            "how",
            tuple(BODIES),
            "half: the first half, with its length; null: JSON null; html: a log-in page; gzip: "
            "Content-Encoding of a stream that breaks off; charset, type: a wrong Content-Type",
        ),
        Option("without", "text", "a JSON body without this member: items.id"),
    )

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if (options.how is None) == (options.without is None):
            both = "not both" if options.how is not None else "none is given"
            raise ConfigError(f"bad_body takes how=… or without=…, {both}", option="how")

    def change(self, options: Options, head: Any, reply: bytes) -> bytes | None:
        found = whole(head, reply)
        if found is None or not found.payload:
            return None
        if options.without is not None:
            payload = without(found.payload, options.without)
            if payload is None:
                return None
            found.payload = payload
        else:
            BODIES[options.how](found)
        return found.sent()


class HugeHeaders(_Change):
    """More header than a client takes."""

    name = "huge_headers"
    summary = "The reply's head is swollen by further fields."
    faithful = (
        "As an application that keeps its state in cookies. Many clients stop at 64 KiB of head, "
        "at 100 fields, or at 8 KiB in one line, each with an error of its own."
    )
    options = OptionTable(
        Option("size", "size", "so much more", 64 * 1024, minimum=1, maximum=16 * 1024 * 1024),
        Option("fields", "positive", "in so many fields", 16, maximum=10_000),
    )

    def change(self, options: Options, head: Any, reply: bytes) -> bytes | None:
        found = REPLY.match(reply)
        if found is None:
            return None
        each = max(1, int(options.size) // int(options.fields) - 16)
        more = b"".join(
            b"X-Padding-%d: %b\r\n" % (number, b"x" * each) for number in range(options.fields)
        )
        line = reply.index(b"\n") + 1
        return reply[:line] + more + reply[line:]


class NoKeepalive(_Change):
    """Every reply is the last."""

    name = "no_keepalive"
    summary = "The reply says Connection: close: the client must connect anew."
    faithful = (
        "As a server whose keep-alive was turned off, or that drains before it restarts. Rascal "
        "says so and leaves closing to the client, which every HTTP/1.1 client does at once."
    )

    def change(self, options: Options, head: Any, reply: bytes) -> bytes | None:
        found = REPLY.match(reply)
        if found is None or found[2] == b"101":
            return None
        ends = 2 if found[0].endswith(b"\r\n") else 1
        parts = Whole(reply[: found.end() - ends], b"")
        parts.drop("Keep-Alive")
        parts.set("Connection", "close")
        return parts.lines + b"\r\n" + reply[found.end() :]


class Redirect(Kind):
    """Elsewhere."""

    name = "redirect"
    summary = "The reply is a redirect: to a dead host, to a log-in page, or for ever in a circle."
    faithful = (
        "nginx's reply, compared with the real one. At request the upstream sees nothing; at "
        "reply it has done the work. 301 and 308 are cached by browsers and some clients for good."
    )
    options = OptionTable(
        Option("location", "text", "where to; unset: the request's own URL, a circle"),
        Option("status", "count", "301, 302, 303, 307 or 308", 302),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply")
    protocols: ClassVar[tuple[str, ...]] = ("http",)

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if options.status not in REDIRECTS:
            allowed = tuple(map(str, REDIRECTS))
            raise ConfigError(
                f"{options.status} is no redirect; status: {', '.join(allowed)}",
                option="status",
                value=options.status,
                allowed=allowed,
            )
        spec = protocol.error(str(options.status))
        assert spec is not None  # every redirect is in the catalogue
        options.call = ErrorCall(spec, None, {"location": options.location})

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        def make(x: Any) -> Answer:
            answer: Answer = x.protocol.answer(x.session, x.head, options.call)
            return answer

        return Reply(moment, make)
