"""From client to server: requests, and what they hold back.

A request is handed out as one piece if it is whole, else its head comes first and the body
streams. Two things are held back:

- What follows an Upgrade or a CONNECT. Whether that is HTTP is for the reply to say; until then
  the codec waits (`waiting`), with at most HEAD_BYTES.
- A head whose body a match may want to see: a body of text, JSON or a form, with a Content-Length
  up to the proxy's option `body`, without Expect: 100-continue. Its end is waited for, so that a
  match finds it however the bytes were cut (only while some fault asks for `body` or `json`,
  where the data path says so: WireProtocol.wants). Should the upstream reply meanwhile (it may
  have the head already, where the data path only watches; nginx says 405 or 413 at once), that
  reply goes on as an aside and the request counts as one that is not answered.

skim() holds back only the first: nobody matches there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rascal.errors import LimitError
from rascal.wire.http_body import CHUNK_LINE, LENGTH, NOWHERE, TUNNEL, BodyCodec
from rascal.wire.http_heads import (
    CONNECT,
    HEAD,
    REQUEST,
    REQUEST_LINE,
    REQUEST_PREFIX,
    UPGRADE,
    HeadError,
    HttpSession,
    RequestHead,
    facts_of,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Ledger, Piece

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

PATTERNS = (REQUEST, REQUEST_LINE, REQUEST_PREFIX)
PLAIN = RequestHead("")
"""What skim() enters for a request whose reply is framed as usual."""

_PLAIN_FIELDS = (
    rb"(?:(?![CcTtUu](?i:ontent-length|ransfer-encoding|pgrade):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n(?![ \t]))*+"
)
SIMPLE = re.compile(
    rb"(?!HEAD |CONNECT )([A-Za-z]{1,64}+) ([^\x00-\x20\x7f]++) HTTP/1\.1\r\n"
    + _PLAIN_FIELDS
    + rb"(?:[Cc]ontent-[Ll]ength: ?([0-9]{1,15})\r\n"
    + _PLAIN_FIELDS
    + rb")?\r\n"
)
"""An ordinary request: method, target, Content-Length. What this does not match is not wrong."""


class RequestCodec(BodyCodec):
    """The client's direction."""

    def __init__(self, protocol: WireProtocol, session: HttpSession, ledger: Ledger) -> None:
        super().__init__()
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.pivot = False  # the message under way is an Upgrade or a CONNECT
        self.need = 0  # bytes of the head and the body that is waited for

    def begin(self, data: Buffer, size: int, patient: bool = True) -> Piece | None:
        """The first piece of a request; `patient`: its body may be waited for."""
        if self.waiting:
            return self._decided(data, size)
        start = self.at
        if patient and self.need > size - start:
            return None
        found = SIMPLE.match(data, start) if not self.scan else None
        if found is None or found[3] is not None or found.end() - start > HEAD_BYTES:
            found = self.head(data, size, PATTERNS)
            if found is None:
                return None
            head = self._read(found)
        else:
            method, target, _ = found.groups()
            head = RequestHead(method.decode().upper(), target=target, raw=found[0])
        end = found.end()
        if patient and self._awaits(head, end - start, size - start):
            return None
        session = self.session
        session.awaiting = False
        self.need = 0
        if session.early:
            session.early = False
            head.replies = False
        if head.framing in (CONNECT, UPGRADE):
            self.pivot = True
            session.verdict = None
        self.mode = LENGTH if head.size > 0 else CHUNK_LINE if head.size else NOWHERE
        if self.mode == LENGTH:
            stop = min(end + head.size, size)
            self.rest = head.size - (stop - end)
            end = stop
        self.first = False
        self.at = end
        if head.size < 0 or self.rest:
            return Piece(data[start:end], head)
        self.ended()
        return Piece(data[start:end], head, False, True)

    def _read(self, found: re.Match[bytes]) -> RequestHead:
        raw = found[0]
        method, target, minor = found.groups()
        facts = facts_of(raw, minor)
        command = method.decode().upper()
        size = facts.size
        if facts.coded:
            if size >= 0:
                raise HeadError("Content-Length and Transfer-Encoding")
            if not facts.chunked:
                raise HeadError("a transfer coding without chunked")
        elif size < 0:
            size = 0
        framing = None
        if method == b"CONNECT":
            framing = CONNECT
        elif facts.upgrade:
            framing = UPGRADE
        elif method == b"HEAD":
            framing = HEAD
        head = RequestHead(command, framing=framing, target=target, minor=int(minor), raw=raw)
        head.size, head.expects = size, facts.expects and size != 0
        if not facts.textual or facts.expects or not 0 < size <= self.session.content_bytes:
            return head
        if len(raw) + size <= HEAD_BYTES:
            head.content = b""  # to be filled
        return head

    def _awaits(self, head: RequestHead, begun: int, there: int) -> bool:
        """Whether to wait for a body that matches may see; if it is there, it is now known."""
        if head.content is None:
            return False
        self.need = begun + head.size
        if self.need > there:
            self.session.awaiting = head.framing
            return True
        at = self.at + begun
        head.content = bytes(self.data[at : at + head.size])
        return False

    def ended(self) -> None:
        self.mode = NOWHERE
        if self.pivot:
            self.pivot = False
            self.waiting = True

    # -- behind an Upgrade or a CONNECT ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        if self.waiting and self.session.verdict is not None:
            self._verdict()
        return super().feed(data)

    def _verdict(self) -> None:
        """The reply has come: what follows is a tunnel or the next request."""
        self.waiting = self.session.stalled = False
        if self.session.verdict:
            self.mode = TUNNEL
            self.first = True

    def _decided(self, data: Buffer, size: int) -> Piece | None:
        if self.session.verdict is None:
            if size - self.at > HEAD_BYTES:
                raise LimitError("too much behind a request that may change the protocol")
            self.session.stalled = True
            return None
        self._verdict()
        return self.more(data, size) if self.mode else self.begin(data, size)

    def tunnelled(self, data: Buffer) -> Piece:
        return Piece(data, RequestHead("TUNNEL", replies=False, asked=False))

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if self.waiting and self.session.verdict is not None:
            self._verdict()
        if not self.data:
            size = len(data)
            if size < self.rest:
                self.rest -= size
                return
            if self.mode == TUNNEL:
                self.first = self.first and not size
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
        request: Callable[[RequestHead], None] = self.ledger.request
        plain = not self.session.early
        while self.at < size:
            if self.mode:
                if not self.skip(data, size):
                    return
                continue
            found = SIMPLE.match(data, self.at) if plain and not self.waiting else None
            if found is None:
                if not self._step(data, size):
                    return
                plain = True
                continue
            end = found.end()
            if end - self.at > HEAD_BYTES:
                raise LimitError(f"a head longer than {HEAD_BYTES} bytes")
            request(PLAIN)
            self.scan = self.checked = self.need = 0
            self.session.awaiting = False
            length = found[3]
            if length is not None:
                end += int(length)
                if end > size:
                    self.rest = end - size
                    self.mode = LENGTH
                    end = size
            self.at = end

    def _step(self, data: Buffer, size: int) -> bool:
        """One request the long way. False: its head is not all there."""
        piece = self.begin(data, size, patient=False)
        if piece is None:
            return False
        head = piece.start
        if head is not None:
            self.protocol.forwarded(self.session, head)
            self.ledger.request(head)
        return True
