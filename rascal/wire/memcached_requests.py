r"""From client to server: command lines, some of them with data behind.

    get a b\r\n                             a line
    set a 0 0 5 [noreply]\r\nhello\r\n      a line that announces data
    ms a 5 T60 q\r\nhello\r\n               a meta line; q: quiet

A line is at most HEAD_BYTES long; only one that asks for keys may be longer, and its rest streams
(the server closes the connection on other long lines). Data streams. After `watch` was granted
the server listens no more: what the client still says is one message without end, TUNNEL.

A connection whose first byte is 0x80 speaks the binary protocol, which is relayed as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.memcached_heads import GET, META, NOOP, RETRIEVAL, RequestHead, text
from rascal.wire.memcached_lines import KEY_BYTES, read, split
from rascal.wire.memcached_session import MemcachedSession
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

VIEW_BYTES = 4096
"""Pieces from here on are views of the input, not copies."""
BINARY = 0x80

_K = rb"[^\x00-\x20]{1,%d}" % KEY_BYTES
_FLAGS = rb"(?: (?!q)[^\x00-\x20]+)"
_FAST = re.compile(
    rb"(gets? [^\x00-\x20][^\x00-\x1f]*\r\n)"
    rb"|(?:set|add|replace|append|prepend) %(k)b \d{1,9} -?\d{1,9} (\d{1,9})( noreply)?\r\n"
    rb"|(m[gda] %(k)b%(f)b*\r\n)"
    rb"|ms %(k)b (\d{1,9})%(f)b{0,16}\r\n"
    rb"|(?:delete %(k)b|touch %(k)b -?\d{1,9}|(?:incr|decr) %(k)b \d{1,19})( noreply)?\r\n"
    rb"|(mn\r\n)" % {b"k": _K, b"f": _FLAGS}
)
_LINE, _SIZE, _NOREPLY, _META, _META_SIZE, _MUTED, _NOOP = None, 2, 3, 4, 5, 6, 7
"""Which of its groups matched last."""
PLAIN = {
    1: RequestHead("", framing=GET),
    _LINE: RequestHead(""),
    _SIZE: RequestHead(""),
    _NOREPLY: RequestHead("", replies=False),
    _META: RequestHead("", framing=META),
    _META_SIZE: RequestHead("", framing=META),
    _MUTED: RequestHead("", replies=False),
    _NOOP: RequestHead("", framing=NOOP),
}
"""What skim() enters for a request that it steps over."""


class RequestCodec(Codec):
    """The client's direction.

    States: before the first byte (`fresh`) · between messages · in the data of one (`body` bytes
    of it and its line end are to come) · in the rest of a long line (`long`) · tunnel.
    """

    def __init__(self, protocol: WireProtocol, session: MemcachedSession, ledger: Ledger) -> None:
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.data = b""
        self.at = 0
        self.scan = 0  # offset in `data` before which there is no line end
        self.fresh = True
        self.body = 0
        self.long = False
        self.tunnel = False
        self.auth = session.auth  # a log-in is still to come

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        return "message" if self.body or self.long or self.tunnel else ""

    def _take(self, data: Buffer) -> bytes:
        taken = bytes(data)
        if self.at < len(self.data):
            taken = self.data[self.at :] + taken
        self.scan = max(0, self.scan - self.at)
        self.data = taken
        self.at = 0
        return taken

    def _drop(self) -> None:
        if self.at:
            self.data = self.data[self.at :]
            self.scan = max(0, self.scan - self.at)
            self.at = 0

    def _check_guesses(self) -> None:
        """With nothing outstanding, every reply has found its request."""
        try:
            self.ledger.framing()
        except LookupError:
            self.session.guesses = 0

    # -- feed ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        if self.session.guesses:
            self._check_guesses()
        size = len(data)
        if (self.tunnel or 0 < size <= self.body) and self.at == len(self.data):
            if not self.tunnel:
                self.body -= size
            if size:
                yield Piece(data, None, False, not self.body and not self.tunnel)
            return
        taken = self._take(data)
        size = len(taken)
        while self.at < size:
            piece = self._more(taken, size) if self.body or self.long else self._begin(taken, size)
            if piece is None:
                break
            yield piece
        self._drop()

    def _more(self, data: bytes, size: int) -> Piece:
        """More of the message under way."""
        start = self.at
        if self.long:
            end = data.find(b"\n", start) + 1
            self.long = not end
            self.at = end or size
        else:
            step = min(self.body, size - start)
            self.body -= step
            self.at = start + step
        self.scan = self.at
        return Piece(_cut(data, start, self.at), None, False, not (self.body or self.long))

    def _begin(self, data: bytes, size: int) -> Piece | None:
        """The next message, or its beginning; None: its line is not there yet."""
        start = self.at
        if self.session.watching:
            head = None if self.tunnel else RequestHead("TUNNEL", replies=False, asked=False)
            self.tunnel = True
            self.at = size
            return Piece(_cut(data, start, size), head)
        if self.fresh:
            if data[start] == BINARY:
                raise ProtocolError("the binary protocol, which is relayed as bytes")
            self.fresh = False
        end = data.find(b"\n", max(start, self.scan), start + HEAD_BYTES) + 1
        if not end:
            if size - start >= HEAD_BYTES:
                return self._long(data, start)
            self.scan = size
            return None
        head, body = read(split(data[start : end - 1]))
        if self.auth and head.command == "SET" and body:
            self.auth = False
            head.command = "AUTH"
            head.asked = False
        stop = min(size, end + body)
        self.body = end + body - stop
        self.at = self.scan = stop
        return Piece(_cut(data, start, stop), head, False, not self.body)

    def _long(self, data: bytes, start: int) -> Piece:
        """The beginning of a line longer than HEAD_BYTES: the keys up to there are its head's."""
        end = start + HEAD_BYTES
        words = split(data[start:end])
        if not words or words[0] != words[0].lower() or text(words[0]).upper() not in RETRIEVAL:
            raise LimitError("a line longer than 64 KiB")
        head, _ = read(words[:-1] if data[end - 1] != 32 and len(words) > 2 else words)
        head.whole = False
        self.long = True
        self.at = self.scan = end
        return Piece(_cut(data, start, end), head)

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if self.tunnel:
            return
        if self.session.guesses:
            self._check_guesses()
        if 0 < len(data) <= self.body and self.at == len(self.data):
            self.body -= len(data)
            return
        taken = self._take(data)
        size = len(taken)
        while self.at < size and not self.tunnel:
            if self.body or self.long:
                self._more(taken, size)
            elif not self._steps(taken, size):
                piece = self._begin(taken, size)
                if piece is None:
                    break
                if piece.start is not None:
                    self.protocol.forwarded(self.session, piece.start)
                    self.ledger.request(piece.start)
        self._drop()

    def _steps(self, data: bytes, size: int) -> bool:
        """Step over ordinary requests, and enter them in the books."""
        if self.auth or self.session.watching:
            return False
        begin = at = self.at
        request = self.ledger.request
        match = _FAST.match
        while at < size:
            found: Any = match(data, at)
            if found is None:
                break
            what = found.lastindex
            request(PLAIN[what])
            at = found.end()
            if what in (_SIZE, _NOREPLY):
                at += int(found[2]) + 2
            elif what == _META_SIZE:
                at += int(found[5]) + 2
        if at == begin:
            return False
        self.fresh = False
        self.body = max(0, at - size)
        self.at = self.scan = min(at, size)
        return True


def _cut(data: bytes, start: int, end: int) -> Buffer:
    if end - start < VIEW_BYTES:
        return data[start:end]
    return memoryview(data)[start:end]
