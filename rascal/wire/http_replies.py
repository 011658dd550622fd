"""From server to client: replies, interim ones (1xx), and tunnels.

How a reply ends depends on its request, so the ledger is asked whenever one begins: HEAD has no
body, a 2xx to CONNECT and a 101 to Upgrade make a tunnel. A reply to nobody (408 before the
server closes an idle connection, or one that was too early, see http_requests) is an aside.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Literal

from rascal.errors import ProtocolError
from rascal.wire.http_body import CHUNK_LINE, CLOSE, LENGTH, NOWHERE, TUNNEL, BodyCodec
from rascal.wire.http_heads import (
    CONNECT,
    HEAD,
    REPLY,
    REPLY_LINE,
    REPLY_PREFIX,
    UPGRADE,
    HttpSession,
    ReplyHead,
    facts_of,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Ledger, Piece

PATTERNS = (REPLY, REPLY_LINE, REPLY_PREFIX)

_PLAIN_FIELDS = (
    rb"(?:(?![CcTt](?i:ontent-length|ransfer-encoding):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n(?![ \t]))*+"
)
SIMPLE = re.compile(
    rb"HTTP/1\.1 (?!204|304)([2-9][0-9][0-9])(?: [^\r\n\0]*+)?\r\n"
    + _PLAIN_FIELDS
    + rb"[Cc]ontent-[Ll]ength: ?([0-9]{1,15})\r\n"
    + _PLAIN_FIELDS
    + rb"\r\n"
)
"""An ordinary reply head: status, Content-Length. What this does not match is not wrong."""


class ReplyCodec(BodyCodec):
    """The server's direction. `counts`: the message under way answers a request."""

    def __init__(self, session: HttpSession, ledger: Ledger) -> None:
        super().__init__()
        self.session = session
        self.ledger = ledger
        self.counts = False

    def under_way(self) -> Literal["", "message", "aside"]:
        if not self.mode or (self.mode == TUNNEL and self.first):
            return ""
        return "message" if self.counts else "aside"

    def begin(self, data: Buffer, size: int) -> Piece | None:
        start = self.at
        simple = SIMPLE.match(data, start) if not self.scan else None
        if simple is not None and simple.end() - start <= HEAD_BYTES:
            found = simple
        else:
            simple = None
            whole = self.head(data, size, PATTERNS)
            if whole is None:
                return None
            found = whole
        session = self.session
        framing: Hashable = None
        due = True
        try:
            framing = self.ledger.framing()
        except LookupError:
            if session.stalled:
                # It answers a request that was kept back (and had left already) behind the one
                # whose reply this read began with: too early to know it.
                raise ProtocolError("a reply to a request behind an Upgrade") from None
            due = False
            framing = session.awaiting or None
        if simple is not None and framing is None:
            code = simple[1].decode()
            head = ReplyHead(
                code, status=int(code), raw=simple[0], size=int(simple[2]), body="length"
            )
        else:
            head = self._read(found[0], framing)
        if not due:
            head.push = True
            if session.awaiting is not False and not head.interim:
                session.early = True
                session.awaiting = False
        elif framing in (CONNECT, UPGRADE) and not head.interim:
            session.verdict = head.pivot
        self.counts = due and not head.interim
        self.at = found.end()
        self.first = True
        if head.pivot:
            self.mode = TUNNEL
            return Piece(data[start : self.at], head, False, True)
        self.mode, self.rest = NOWHERE, 0
        if head.body == "length":
            if head.size:
                self.mode, self.rest = LENGTH, head.size
        elif head.body == "chunked":
            self.mode, self.first = CHUNK_LINE, False
        elif head.body == "close":
            self.mode = CLOSE
        return Piece(data[start : self.at], head, False, not self.mode)

    def _read(self, raw: bytes, framing: Hashable) -> ReplyHead:
        minor, code = raw[7:8], raw[9:12]
        status = int(code)
        head = ReplyHead(code.decode(), status=status, minor=int(minor), raw=raw)
        if status < 200:
            if status != 101:
                head.interim = True
                return head
            if framing != UPGRADE:
                raise ProtocolError("101 to a request that did not ask for it")
            head.pivot = True
            return head
        if framing == CONNECT and status < 300:
            head.pivot = True
            return head
        facts = facts_of(raw, minor)
        head.size = facts.size
        if framing == HEAD or status in (204, 304):
            return head
        if facts.chunked:
            head.body, head.size = "chunked", -1
        elif facts.coded:
            head.body, head.size = "close", -1
        else:
            head.body = "length" if facts.size >= 0 else "close"
        return head

    def ended(self) -> None:
        self.mode = NOWHERE

    def tunnelled(self, data: Buffer) -> Piece:
        self.counts = False
        return Piece(data, ReplyHead("TUNNEL", push=True))

    def eof(self) -> Iterable[Piece]:
        if self.mode != CLOSE:
            return ()
        self.mode = NOWHERE
        # An aside ends with its connection; nothing waits for its end.
        return (Piece(b"", None, False, True),) if self.counts else ()

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if not self.data:
            size = len(data)
            if size < self.rest:
                self.rest -= size
                self.first = False
                return
            if self.mode >= CLOSE:
                if size:
                    self.counts = self.counts and self.mode != TUNNEL
                    self.first = False
                return
        else:
            data = bytes(self.data) + bytes(data)
            size = len(data)
        self.data = data
        try:
            self._skim(data, size)
        finally:
            self.data = bytes(data[self.at :]) if self.at < size else b""
            self.at = 0

    def _skim(self, data: Buffer, size: int) -> None:
        framing, replied = self.ledger.framing, self.ledger.replied
        while self.at < size:
            if self.mode:
                if self.mode == TUNNEL:
                    self.counts = False
                if not self.skip(data, size):
                    return
                if self.counts:
                    replied()
                continue
            found = SIMPLE.match(data, self.at)
            if found is not None:
                try:
                    plain = framing() is None and found.end() - self.at <= HEAD_BYTES
                except LookupError:
                    plain = False
                if plain:
                    self.scan = self.checked = 0
                    end = found.end() + int(found[2])
                    if end <= size:
                        self.at = end
                        replied()
                        continue
                    self.first = found.end() == size
                    self.counts = True
                    self.mode, self.rest = LENGTH, end - size
                    self.at = size
                    return
            piece = self.begin(data, size)
            if piece is None:
                return
            if piece.end and self.counts:
                replied()
