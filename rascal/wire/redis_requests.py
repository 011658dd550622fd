r"""From client to server: arrays of bulk strings, and inline commands.

    *2\r\n $3\r\nGET\r\n $1\r\nk\r\n        a command of two words
    GET k\r\n                               the same, inline
    \r\n   *0\r\n   *-1\r\n                 nothing; never answered

A command of up to HEAD_BYTES is one piece. Of a longer one the words that end within the first
HEAD_BYTES make the head, and the rest streams. After SYNC and PSYNC the connection is a
replication link: all that follows is one message without end, TUNNEL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.redis_scan import COMMAND, REQUEST, steps
from rascal.wire.redis_session import SPECIAL, Muting, RedisSession, RequestHead, text
from rascal.wire.redis_words import (
    CRLF,
    HEADER_BYTES,
    MOST_BYTES,
    MOST_WORDS,
    UNUSUAL,
    effect_of,
    inline_words,
    number,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

VIEW_BYTES = 4096
"""Pieces from here on are views of the input, not copies."""

PATIENCE = 2048
"""skim() reads a message that came in pieces anew, unless so much of it has been read."""
PLAIN = RequestHead("")
"""What skim() enters for a command that does nothing to the connection."""

_START = frozenset(b"\t\r\n") | frozenset(range(0x20, 0x7F))


class RequestCodec(Codec):
    """The client's direction.

    States: between messages (`words` empty, `size` 0) · in a message whose words are collected
    (`begun`) · streaming the rest of a long one (`rest` words, `body` bytes of one) · tunnel.
    """

    def __init__(self, protocol: WireProtocol, session: RedisSession, ledger: Ledger) -> None:
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.data = b""
        self.at = 0
        self.scan = 0  # offset in `data` up to which the message under way has been read
        self.words: list[bytes] = []
        self.count = -1  # words of the message under way, -1: its first line is not there yet
        self.long = False  # its head is out, the rest streams
        self.rest = 0  # long: words that have not begun
        self.body = 0  # long: payload bytes of the word under way
        self.closing = False  # long: the CRLF behind the payload is due
        self.tunnel = 0  # 1: SYNC has been parsed; 2: the endless message has begun
        self.muting = Muting()  # as parsed; the session's is as forwarded
        self.database = b"0"
        self.effects = 0  # commands with an effect that were queued since MULTI
        self.monitor = False  # MONITOR has been parsed: the server ignores another

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        return "message" if self.long or self.tunnel == 2 else ""

    # -- feed ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        if self.tunnel:
            yield from self._tunnel(data)
            return
        if self.body and self.at == len(self.data):
            size = len(data)
            if size <= self.body:
                self.body -= size
                self.closing = not self.body
                if size:
                    yield Piece(data)
                return
        taken = bytes(data)
        if self.at < len(self.data):
            taken = self.data[self.at :] + taken
        self.scan -= self.at
        self.scan = max(self.scan, 0)
        self.data = taken
        self.at = 0
        yield from self._messages()

    def _messages(self) -> Iterator[Piece]:
        data = self.data
        size = len(data)
        while self.at < size:
            if self.long:
                piece = self._stream(data, size)
            elif self.tunnel:
                rest = data[self.at :]
                self.at = size
                yield from self._tunnel(rest)
                return
            else:
                piece = self._small(data) if self.count < 0 else None
                piece = piece or self._message(data, size)
            if piece is None:
                break
            yield piece
        if self.at:
            self.data = data[self.at :]
            self.scan = max(0, self.scan - self.at)
            self.at = 0

    def _small(self, data: bytes) -> Piece | None:
        """A small ordinary command without line ends in its words; None: go the long way."""
        start = self.at
        found = REQUEST.match(data, start)
        if found is None:
            return None
        whole = found[0]
        lines = whole.split(CRLF)
        if len(lines) != 2 * int(lines[0][1:]) + 2:
            return None
        self.at = self.scan = found.end()
        return Piece(whole, self.head(lines[2::2]), False, True)

    def _message(self, data: bytes, size: int) -> Piece | None:
        """The next message if it is whole, or its beginning if it is long."""
        start = self.at
        count = self.count
        if count < 0:
            if data[start] != 42:
                return self._inline(data, start)
            end = data.find(CRLF, start)
            if end < 0:
                if size - start > HEADER_BYTES:
                    raise ProtocolError("a count without end")
                return None
            line = data[start + 1 : end]
            count = 0 if line.startswith(b"-") else number(line, MOST_WORDS, "multibulk length")
            self.scan = end + 2
            if not count:
                self.at = end + 2
                return Piece(data[start : end + 2], self.head([]), False, True)
            self.count = count
            self.words = []
        scan = self.scan
        words = self.words
        bound = start + HEAD_BYTES
        while len(words) < count:
            end = data.find(CRLF, scan)
            if end < 0:
                if size - scan > HEADER_BYTES:
                    raise ProtocolError("a length without end")
                if scan < size and data[scan] != 36:
                    raise ProtocolError(f"expected '$', found {data[scan : scan + 1]!r}")
                self.scan = scan
                return None
            if data[scan] != 36:
                raise ProtocolError(f"expected '$', found {data[scan : scan + 1]!r}")
            length = data[scan + 1 : end]
            if not length.isdigit() or len(length) > 13:
                raise ProtocolError(f"invalid bulk length {length[:24]!r}")
            begin = end + 2
            stop = begin + int(length)
            if stop + 2 > bound:
                return self._long(data, start, begin, stop - begin)
            if stop + 2 > size:
                self.scan = scan
                return None
            if data[stop : stop + 2] != CRLF:
                raise ProtocolError("no line end behind a bulk string")
            words.append(data[begin:stop])
            scan = stop + 2
        self.at = self.scan = scan
        self.count = -1
        piece = Piece(data[start:scan], self.head(words), False, True)
        self.words = []
        return piece

    def _long(self, data: bytes, start: int, begin: int, length: int) -> Piece:
        """A message longer than HEAD_BYTES: its head and the words that it knows."""
        head = self.head(self.words, whole=False)
        self.rest = self.count - len(self.words) - 1
        self.words = []
        self.count = -1
        self.long = True
        self.body = length
        self.closing = not length
        self.at = self.scan = begin
        return Piece(data[start:begin], head)

    def _stream(self, data: bytes, size: int) -> Piece | None:
        """More of a long message, up to its end; None if that cannot be told yet."""
        start = at = self.at
        while True:
            if self.body:
                step = min(self.body, size - at)
                self.body -= step
                at += step
                if self.body:
                    break
                self.closing = True
            if self.closing:
                if size - at < 2:
                    break
                if data[at : at + 2] != CRLF:
                    raise ProtocolError("no line end behind a bulk string")
                at += 2
                self.closing = False
                if not self.rest:
                    self.long = False
                    break
            end = data.find(CRLF, at)
            if end < 0:
                if size - at > HEADER_BYTES:
                    raise ProtocolError("a length without end")
                break
            if data[at] != 36:
                raise ProtocolError(f"expected '$', found {data[at : at + 1]!r}")
            self.body = number(data[at + 1 : end], MOST_BYTES, "bulk length")
            self.closing = not self.body
            self.rest -= 1
            at = end + 2
        self.at = self.scan = at
        if at == start:
            return None
        return Piece(_cut(data, start, at), None, False, not self.long)

    def _inline(self, data: bytes, start: int) -> Piece | None:
        if data[start] not in _START:
            raise ProtocolError(f"neither a command nor text: {data[start : start + 1]!r}")
        end = data.find(b"\n", max(start, self.scan), start + HEAD_BYTES)
        if end < 0:
            if len(data) - start >= HEAD_BYTES:
                raise LimitError("an inline command without end")
            self.scan = len(data)
            return None
        line = data[start:end].removesuffix(b"\r")
        if b"\0" in line:
            raise ProtocolError("a zero byte in an inline command")
        words = inline_words(line)
        self.at = self.scan = end + 1
        return Piece(data[start : end + 1], self.head(words), False, True)

    def _tunnel(self, data: Buffer) -> Iterator[Piece]:
        if not len(data):
            return
        head = None
        if self.tunnel == 1:
            self.tunnel = 2
            head = RequestHead("TUNNEL", replies=False, asked=False)
        yield Piece(data, head)

    # -- heads ----------------------------------------
    def head(self, words: Sequence[bytes], whole: bool = True) -> RequestHead:
        """The head of a command; from here on the codec knows what it does to the connection."""
        session = self.session
        command = text(words[0]).upper() if words else ""
        opened = session.opened
        head = RequestHead(
            command,
            words=words,
            whole=whole,
            in_transaction=opened is not None,
            database=self.database,
            resp=session.resp,
        )
        if command in UNUSUAL:
            self._unusual(head, command, words)
        if self.muting.mode or head.effect is not None:
            answered = self.muting.replies(head.effect, head.in_transaction)
            head.replies = answered and head.replies
        if not words:
            head.asked = head.replies = False
        return head

    def _unusual(self, head: RequestHead, command: str, words: Sequence[bytes]) -> None:
        session = self.session
        if command in ("AUTH", "HELLO"):
            head.asked = False
        elif command == "CLIENT" and len(words) > 1:
            head.asked = words[1].upper() not in (b"SETINFO", b"SETNAME")
        elif command == "SELECT" and len(words) == 2:
            self.database = words[1]
        effect = head.effect = effect_of(command, words)
        if effect is None:
            return
        what = effect[0]
        if what == "multi":
            if session.opened is None:
                session.opened = head
                self.effects = 0
        elif what == "monitor" and session.opened is None and self.monitor:
            head.effect = None
            head.replies = False
        elif what in ("exec", "discard", "reset"):
            self.monitor = self.monitor and what != "reset"
            if what == "reset" or (what == "exec" and self.effects):
                head.framing = SPECIAL
            session.opened = None
        elif what == "sync":
            if session.opened is None:
                head.asked = head.replies = False
                head.pivot = True
                self.tunnel = 1
            else:
                head.effect = None
        elif what != "reply":
            head.framing = SPECIAL
            self.effects += session.opened is not None
            self.monitor = self.monitor or (what == "monitor" and session.opened is None)

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if self.tunnel == 2:
            return
        if self.body and len(data) <= self.body and self.at == len(self.data):
            self.body -= len(data)
            self.closing = not self.body
            return
        taken = self.data[self.at :] + bytes(data) if self.data else bytes(data)
        self.scan = max(0, self.scan - self.at)
        self.data = taken
        self.at = 0
        size = len(taken)
        while self.at < size:
            if self.tunnel:
                self.at = size
                self._heads(self._tunnel(b" "))
            elif self.long:
                if self._stream(taken, size) is None:
                    break
            elif self.muting.mode or self.scan - self.at > PATIENCE or not self._step(taken, size):
                piece = self._message(taken, size)
                if piece is None:
                    break
                self._heads((piece,))
        self.data = taken[self.at :]
        self.scan = max(0, self.scan - self.at)
        self.at = 0

    def _heads(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if piece.start is not None:
                self.protocol.forwarded(self.session, piece.start)
                self.ledger.request(piece.start)

    def _step(self, data: bytes, size: int) -> bool:
        """Step over small commands that do nothing to the connection, and enter them."""
        at = self.at
        found = REQUEST.match(data, at)
        if found is None:
            end = _ordinary(data, at, size)
            if end < 0:
                return False
            self.ledger.request(PLAIN)
        else:
            request = self.ledger.request
            request(PLAIN)
            end = found.end()
            if end < size:
                for found in steps(REQUEST, data, end):
                    request(PLAIN)
                    end = found.end()
        self.at = self.scan = end
        self.count = -1
        self.words = []
        return True


def _ordinary(data: bytes, at: int, size: int) -> int:
    """The end of a larger command that does nothing to the connection; -1: look closely."""
    begins = COMMAND.match(data, at)
    if begins is None:
        return -1
    count, length, word = begins.groups()
    if int(length) != len(word) or word.decode().upper() in UNUSUAL:
        return -1
    at = begins.end()
    for _ in range(int(count) - 1):
        end = data.find(CRLF, at, at + 16)
        line = data[at + 1 : end]
        if end < 0 or data[at] != 36 or not line.isdigit():
            return -1
        at = end + 4 + int(line)
        if at > size or data[at - 2 : at] != CRLF:
            return -1
    return at


def _cut(data: bytes, start: int, end: int) -> Buffer:
    if end - start < VIEW_BYTES:
        return data[start:end]
    return memoryview(data)[start:end]
