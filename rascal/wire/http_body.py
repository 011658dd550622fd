r"""Bodies of HTTP/1.x, the same in both directions.

    length   so many bytes
    chunked  SIZE[;extensions]\r\n … \r\n   0\r\n [trailer fields] \r\n
    close    until the end of the stream
    tunnel   no HTTP any more: one message without end

Payload is never copied: a piece of it is a view of what was fed. A part is a chunk; a body that
is not chunked counts as one chunk. So the first part begins behind the head, and "stall after 0
chunks" means: the head arrives, the body does not. The last chunk (0) is no part. `Piece.mark` is
MAY_END where a chunked body could be ended by a last chunk, before the bytes of that piece.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.http_heads import (
    BLANK,
    CHUNK,
    CHUNK_PREFIX,
    LINES,
    TRAILER,
    TRAILER_LINES,
)
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Piece

NOWHERE, LENGTH, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILERS, CLOSE, TUNNEL = range(8)
"""Where the codec stands. NOWHERE: between messages, or in a head."""
CHUNK_LINE_BYTES = 4096
FEW = 512
"""A head that came in pieces is read anew until so much of it is there, then only what is new."""
SMALL = 4096
"""Reads up to this size are copied and not viewed: cheaper to work on."""
MAY_END = 1
CRLF = b"\r\n"
Patterns = tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]
"""Of a whole head, its first line, and the beginning of that."""


class BodyCodec(Codec):
    """Common to both directions: where the message under way ends.

    Attributes:
        data: bytes taken, of which those from `at` on are undecided.
        rest: payload bytes to come, of the body or of the chunk under way.
        first: the next piece begins the body.
        scan, checked: of a head that is not all there, how far it has been read, and found right.
    """

    def __init__(self) -> None:
        self.data: Buffer = b""
        self.at = 0
        self.mode = NOWHERE
        self.rest = 0
        self.first = False
        self.scan = 0
        self.checked = 0

    def undecided(self) -> bytes:
        return bytes(self.data[self.at :])

    def under_way(self) -> Literal["", "message", "aside"]:
        return "message" if self.mode and not (self.mode == TUNNEL and self.first) else ""

    def feed(self, data: Buffer) -> Iterator[Piece]:
        size = len(data)
        if self.data:
            data = bytes(self.data) + bytes(data)
            size = len(data)
        elif size < self.rest or (self.mode >= CLOSE and not (self.mode == TUNNEL and self.first)):
            if size:
                self.rest -= size if self.rest else 0
                first, self.first = self.first, False
                yield Piece(data, None, first)
            return
        if size <= SMALL:
            data = bytes(data)
        elif not isinstance(data, memoryview):
            data = memoryview(data)
        self.data = data
        begun = 0
        try:
            while self.at < size:
                begun = self.at
                piece = self.more(data, size) if self.mode else self.begin(data, size)
                if piece is None:
                    break
                yield piece
        except ProtocolError:
            self.at = begun
            raise
        finally:
            self.data = bytes(data[self.at :]) if self.at < size else b""
            self.at = 0

    @abstractmethod
    def begin(self, data: Buffer, size: int) -> Piece | None:
        """The first piece of a message, None: its head is not all there."""

    @abstractmethod
    def ended(self) -> None:
        """The message under way has been parsed to its end."""

    def tunnelled(self, data: Buffer) -> Piece:
        """The first bytes of a tunnel."""
        raise NotImplementedError

    # -- heads ----------------------------------------
    def head(self, data: Buffer, size: int, patterns: Patterns) -> re.Match[bytes] | None:
        """The head at `at`; None: it is not all there, and can still become one."""
        start, seen = self.at, self.scan
        if seen <= FEW or BLANK.search(data, start + seen - 2):
            found = patterns[0].match(data, start)
            if found is not None:
                if found.end() - start > HEAD_BYTES:
                    raise LimitError(f"a head longer than {HEAD_BYTES} bytes")
                self.scan = self.checked = 0
                return found
        if seen <= FEW or b"\n" in bytes(data[start + seen :]):
            self._possible(data, patterns)
        if size - start > HEAD_BYTES:
            raise LimitError(f"a head longer than {HEAD_BYTES} bytes")
        self.scan = size - start
        return None

    def _possible(self, data: Buffer, patterns: Patterns) -> None:
        """Raise if what is there of a head can no longer become one."""
        start = self.at
        first = patterns[1].match(data, start)
        if first is None:
            if not patterns[2].match(data, start):
                raise ProtocolError(f"not HTTP/1: {bytes(data[start : start + 24])!r}")
            return
        lines = LINES.match(data, max(start + self.checked, first.end()))
        assert lines is not None  # it matches nothing at all, too
        rest = bytes(data[lines.end() :])
        if b"\n" in rest:
            raise ProtocolError(f"not a header field: {rest[:24]!r}")
        self.checked = lines.end() - start

    # -- bodies ----------------------------------------
    def more(self, data: Buffer, size: int) -> Piece | None:
        """The next piece of the message under way, None: it cannot be told yet."""
        mode, start = self.mode, self.at
        if mode == LENGTH:
            stop = min(start + self.rest, size)
            self.rest -= stop - start
            self.at = stop
            first, self.first = self.first, False
            if not self.rest:
                self.ended()
            return Piece(data[start:stop], None, first, not self.rest)
        if mode == CHUNK_LINE:
            found = CHUNK.match(data, start)
            if found is not None:
                stop = found.end() + int(found[1], 16) + 2
                if found.end() + 2 < stop <= size and data[stop - 2 : stop] == CRLF:
                    self.at = stop
                    return Piece(data[start:stop], None, True, False, MAY_END)
            stop, number = self.chunk_line(data, size)
            if stop < 0:
                return None
            if not number:
                self.mode = TRAILERS
                self.at = stop
                end = self.trailers(data, size)
                return Piece(data[start : self.at], None, False, end, MAY_END)
            self.at = stop
            self.rest = number
            self.mode = CHUNK_DATA
            self.payload(data, size)
            return Piece(data[start : self.at], None, True, False, MAY_END)
        if mode == TRAILERS:
            if self.trailers(data, size):
                return Piece(data[start : self.at], None, False, True)
            return None
        if mode == CLOSE:
            self.at = size
            first, self.first = self.first, False
            return Piece(data[start:], None, first)
        if mode == TUNNEL:
            self.at = size
            if self.first:
                self.first = False
                return self.tunnelled(data[start:])
            return Piece(data[start:])
        self.payload(data, size)
        return Piece(data[start : self.at]) if self.at > start else None

    def chunk_line(self, data: Buffer, size: int) -> tuple[int, int]:
        """The end of a chunk's first line and the chunk's size; -1: it is not all there."""
        found = CHUNK.match(data, self.at)
        if found is not None:
            return found.end(), int(found[1], 16)
        if size - self.at > CHUNK_LINE_BYTES or not CHUNK_PREFIX.match(data, self.at):
            raise ProtocolError(f"not a chunk: {bytes(data[self.at : self.at + 24])!r}")
        return -1, 0

    def payload(self, data: Buffer, size: int) -> None:
        """On through a chunk's payload and the line end behind it."""
        at = self.at
        if self.rest:
            step = min(self.rest, size - at)
            self.rest -= step
            at = self.at = at + step
            if self.rest:
                return
            self.mode = CHUNK_END
        if self.mode == CHUNK_END:
            behind = bytes(data[at : at + 2])
            if behind == CRLF:
                self.at = at + 2
                self.mode = CHUNK_LINE
            elif not CRLF.startswith(behind):
                raise ProtocolError(f"no line end behind a chunk: {behind!r}")

    def trailers(self, data: Buffer, size: int) -> bool:
        """On through the fields behind the last chunk. Returns whether that is the end."""
        found = TRAILER.match(data, self.at)
        if found is not None:
            self.at = found.end()
            self.ended()
            return True
        if size - self.at > HEAD_BYTES:
            raise LimitError(f"trailer fields longer than {HEAD_BYTES} bytes")
        lines = TRAILER_LINES.match(data, self.at)
        assert lines is not None  # it matches nothing at all, too
        if b"\n" in bytes(data[lines.end() :]):
            raise ProtocolError("not a trailer field")
        return False

    def whole_chunks(self, data: Buffer, size: int) -> None:
        """Over chunks that are there whole."""
        match, at = CHUNK.match, self.at
        while (found := match(data, at)) is not None:
            begin = found.end()
            stop = begin + int(found[1], 16) + 2
            if stop > size or stop == begin + 2 or data[stop - 2 : stop] != CRLF:
                break
            at = stop
        self.at = at

    def skip(self, data: Buffer, size: int) -> bool:
        """As more(), without pieces: on to the end of the message. False: not yet."""
        while True:
            mode = self.mode
            if mode == CHUNK_LINE:
                self.whole_chunks(data, size)
                if self.at == size:
                    return False
                stop, number = self.chunk_line(data, size)
                if stop < 0:
                    return False
                self.at = stop
                self.rest = number
                self.mode = CHUNK_DATA if number else TRAILERS
                self.first = False
            elif mode == TRAILERS:
                return self.trailers(data, size)
            elif mode == LENGTH:
                step = min(self.rest, size - self.at)
                self.rest -= step
                self.at += step
                self.first = False
                if self.rest:
                    return False
                self.ended()
                return True
            elif mode >= CLOSE:
                self.at = size
                return False
            else:
                before = self.at
                self.payload(data, size)
                if self.at == before or self.mode != CHUNK_LINE:
                    return False
            if self.at == size:
                return False
