r"""From server to client.

    STORED\r\n  5\r\n  SERVER_ERROR text\r\n  HD k… O…\r\n  MN\r\n     a line
    VALUE a 0 5 [cas]\r\nhello\r\n … END\r\n                            items, then END
    STAT pid 1\r\n … END\r\n                                            lines, then END
    VA 5 f0\r\nhello\r\n                                                a line and a value

Replies say themselves how they are framed, except for the dumps of lru_crawler. A part is an item
or a line of a listing. What comes while no request is outstanding is a push; so are the logs of
`watch`, which are one message without end. How the replies to quiet requests find them is told in
memcached_quiet.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.memcached_heads import (
    DUMP,
    GET,
    KEYS,
    META,
    NOOP,
    QUIET,
    SILENT,
    STATS,
    WATCH,
    ReplyHead,
    text,
)
from rascal.wire.memcached_lines import MOST_BYTES
from rascal.wire.memcached_quiet import COMPLAINTS, answers, contradicts, proves
from rascal.wire.memcached_session import MemcachedSession
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece

VIEW_BYTES = 4096
CRLF = b"\r\n"

_LISTED = frozenset((b"STAT", b"ITEM", b"PREFIX"))
_ONE_LINE = COMPLAINTS | {b"OK", b"RESET", b"END", b"EN", b"BUSY", b"BADCLASS", b"NOTSTARTED"}
"""What answers a request for a listing in one line."""
_QUIETLY = frozenset(QUIET.values())

_ITEM = re.compile(rb"VALUE [^\x00-\x20]+ \d+ (\d{1,10})(?: \d+)? *\r?\n")
_VALUE = re.compile(rb"VA (\d{1,10})(?: [^\r\n]*)?\r?\n")
_FAST_LINE = re.compile(rb"(?!VALUE |VA |STAT |ITEM |PREFIX )[A-Z0-9][^\r\n]*\r\n")


class ReplyCodec(Codec):
    """The server's direction.

    Attributes of the message under way (`open`):
        until: the line that ends a listing or the items of a retrieval, b"": it has but one value.
        items: it is a retrieval.
        body: bytes of a value that are to come, its line end included.
    """

    def __init__(self, session: MemcachedSession, ledger: Ledger) -> None:
        self.session = session
        self.ledger = ledger
        self.data = b""
        self.at = 0
        self.scan = 0
        self.open = False
        self.counts = False  # the message under way answers a request
        self.until = b""
        self.items = False
        self.body = 0
        self.endless = False
        self.skips = False  # quiet requests were passed over for the line at hand

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        if self.endless:
            return "aside"
        return ("message" if self.counts else "aside") if self.open else ""

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

    # -- feed ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        size = len(data)
        if (self.endless or 0 < size <= self.body - 2) and self.at == len(self.data):
            if not self.endless:
                self.body -= size
            if size:
                yield Piece(data)
            return
        taken = self._take(data)
        size = len(taken)
        while self.at < size:
            piece = self._more(taken, size) if self.open else self._begin(taken, size)
            if piece is None:
                break
            yield piece
        self._drop()

    def eof(self) -> Iterator[Piece]:
        """Quiet requests that are still in the books will have no answer; the first of them may
        have begun to get one, if part of a line is there."""
        while not self.open and not self.endless and not self.undecided():
            try:
                framing = self.ledger.framing()
            except LookupError:
                return
            if framing not in _QUIETLY:
                return
            yield self._silent(framing)

    # -- the beginning of a message ----------------------------------------
    def _line(self, data: bytes, size: int) -> bytes | None:
        """The next line without its end, None: it is not there yet."""
        start = self.at
        end = data.find(b"\n", max(start, self.scan), start + HEAD_BYTES)
        if end < 0:
            if size - start >= HEAD_BYTES:
                raise LimitError("a line longer than 64 KiB")
            self.scan = size
            return None
        line = data[start:end]
        return line[:-1] if line[-1:] == b"\r" else line

    def _begin(self, data: bytes, size: int) -> Piece | None:
        """The first piece of a message; None: its first line is not there yet."""
        start = self.at
        if self.session.watching:
            self.endless = True
            self.at = size
            return Piece(data[start:], ReplyHead("WATCH", push=True))
        push = False
        framing: Hashable = None
        try:
            framing = self.ledger.framing()
        except LookupError:
            push = True
        else:
            if (framing is None or framing == GET) and not self.session.guesses:
                piece = self._whole(data, size, framing == GET)
                if piece is not None:
                    return piece
        if not 0x21 <= data[start] < 0x7F:
            raise ProtocolError(f"not a status: {data[start : start + 1]!r}")
        line = self._line(data, size)
        if line is None:
            return None
        status = line.partition(b" ")[0].rstrip(b":")
        if not push:
            left_out = self._left_out(framing, status, line)
            if left_out is not None:
                return left_out
            # `mn` is never refused: the error is that of a quiet request that was passed over.
            push = framing == NOOP and self.skips and status in COMPLAINTS
        return self._message(data, size, framing, push, status, line)

    def _whole(self, data: bytes, size: int, items: bool) -> Piece | None:
        """A reply of one line, or of one item, that is there; None: look closely."""
        start = self.at
        status = "END"
        part = False
        if not items:
            found = _FAST_LINE.match(data, start)
            if found is None or found.end() - start > HEAD_BYTES:
                return None
            stop = found.end()
            word = found[0].partition(b" ")[0].rstrip(b":\r\n")
            status = "NUMBER" if word.isdigit() else text(word[:64])
        elif data.startswith(b"END\r\n", start):
            stop = start + 5
        else:
            found = _ITEM.match(data, start)
            if found is None:
                return None
            stop = found.end() + int(found[1]) + 7
            if stop > size or data[stop - 7 : stop] != b"\r\nEND\r\n":
                return None
            status = "VALUE"
            part = True
        self.at = self.scan = stop
        self.counts = True
        self.skips = False
        return Piece(_cut(data, start, stop), ReplyHead(status), part, True)

    def _left_out(self, framing: Hashable, status: bytes, line: bytes) -> Piece | None:
        """The oldest request has no answer, as this line is not it: its end. None: it is."""
        session = self.session
        if framing in _QUIETLY:
            mark = session.next_mark()
            if not answers(framing, mark, status, line):
                return self._silent(framing)
            session.guesses += status in COMPLAINTS or not proves(mark)
            session.settled()
        elif framing == NOOP:
            session.guesses *= status != b"MN"
        elif session.guesses and contradicts(framing, status):
            # What a quiet request before it was thought to have got must have been its reply.
            session.guesses -= 1
            return self._silent(framing)
        return None

    def _silent(self, framing: Hashable) -> Piece:
        """The end of a request that is not answered."""
        if framing in _QUIETLY:
            self.session.settled()
        self.counts = self.skips = True
        return Piece(b"", ReplyHead(SILENT), False, True)

    def _message(
        self, data: bytes, size: int, framing: Hashable, push: bool, status: bytes, line: bytes
    ) -> Piece:
        start = self.at
        stop = start + len(line)
        stop += 2 if data[stop] == 13 else 1
        name = "NUMBER" if status.isdigit() else text(status[:64])
        head = ReplyHead(name, push=push)
        self.open = self.items = self.skips = False
        self.counts = not push
        self.until = b""
        part = False
        if status == b"VALUE":
            self.open = self.items = part = True
            self.until = b"END"
            self.body = _length(_ITEM, data, start) + 2
        elif status == b"VA":
            self.open = True
            self.body = _length(_VALUE, data, start) + 2
        elif status in _LISTED or (
            framing in (STATS, DUMP, KEYS) and status not in _ONE_LINE and not push
        ):
            self.open = part = True
            self.until = b"EN" if framing == KEYS else b"END"
        elif framing == WATCH and status == b"OK":
            head.pivot = True
            self.session.watching = True
        if self.body:
            stop = self._value(data, size, stop)
        self.at = self.scan = stop
        return Piece(_cut(data, start, stop), head, part, not self.open)

    # -- the rest of it ----------------------------------------
    def _value(self, data: bytes, size: int, at: int) -> int:
        """Take what there is of a value, and END right behind it; returns where that ends.

        Its line end is taken whole, so that it can be looked at.
        """
        left = self.body - (size - at)
        if left > 0:
            self.body = max(left, 2)
            return size - max(0, 2 - left)
        end = at + self.body
        if data[end - 2 : end] != CRLF:
            raise ProtocolError("no line end behind a value")
        self.body = 0
        if not self.until:
            self.open = False
        elif data.startswith(b"END\r\n", end):
            self.open = False
            end += 5
        return end

    def _more(self, data: bytes, size: int) -> Piece | None:
        """More of the value under way, or the next item or line."""
        start = self.at
        if self.body:
            stop = self._value(data, size, start)
            if stop == start:
                return None
            self.at = self.scan = stop
            return Piece(_cut(data, start, stop), None, False, not self.open)
        line = self._line(data, size)
        if line is None:
            return None
        stop = start + len(line)
        stop += 2 if data[stop] == 13 else 1
        status = line.partition(b" ")[0]
        part = True
        if line == self.until or status in COMPLAINTS:
            self.open = part = False
        elif self.items:
            if status != b"VALUE":
                raise ProtocolError(f"neither an item nor END: {status[:24]!r}")
            self.body = _length(_ITEM, data, start) + 2
        if self.body:
            stop = self._value(data, size, stop)
        self.at = self.scan = stop
        return Piece(_cut(data, start, stop), None, part, not self.open)

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if self.endless:
            return
        if 0 < len(data) <= self.body - 2 and self.at == len(self.data):
            self.body -= len(data)
            return
        taken = self._take(data)
        size = len(taken)
        replied = self.ledger.replied
        while self.at < size:
            if not self.open and self._steps(taken, size):
                continue
            piece = self._more(taken, size) if self.open else self._begin(taken, size)
            if piece is None:
                break
            if piece.end and self.counts:
                replied()
        self._drop()

    def _steps(self, data: bytes, size: int) -> bool:
        """Step over ordinary replies, and enter them in the books."""
        session = self.session
        if session.guesses or session.watching:
            return False
        framing, replied = self.ledger.framing, self.ledger.replied
        begin = at = self.at
        while at < size:
            try:
                now = framing()
            except LookupError:
                break
            if now == GET:
                stop = _items(data, at, size)
            elif now is None or now == META:
                stop = _single(data, at, size, now == META)
            elif now == NOOP:
                stop = at + 4 if data.startswith(b"MN\r\n", at) and not self.skips else 0
            else:
                break
            if not stop:
                break
            at = stop
            replied()
        self.at = self.scan = at
        return at > begin


def _items(data: bytes, at: int, size: int) -> int:
    """The end of a retrieval's whole reply, 0: look closely."""
    while True:
        if data.startswith(b"END\r\n", at):
            return at + 5
        found = _ITEM.match(data, at)
        if found is None:
            return 0
        length = int(found[1])
        at = found.end() + length + 2
        if length > MOST_BYTES or at > size or data[at - 2 : at] != CRLF:
            return 0


def _single(data: bytes, at: int, size: int, meta: bool) -> int:
    """The end of a line, or of a line and its value; 0: look closely."""
    found = _FAST_LINE.match(data, at)
    if found is not None:
        return found.end() if found.end() - at < HEAD_BYTES else 0
    found = _VALUE.match(data, at) if meta else None
    if found is None:
        return 0
    length = int(found[1])
    at = found.end() + length + 2
    return at if length <= MOST_BYTES and at <= size and data[at - 2 : at] == CRLF else 0


def _length(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """How long the value is that a line announces. Raises ProtocolError."""
    found = pattern.match(data, at)
    length = int(found[1]) if found else MOST_BYTES + 1
    if length > MOST_BYTES:
        raise ProtocolError(f"neither VALUE KEY FLAGS BYTES nor VA BYTES: {data[at : at + 24]!r}")
    return length


def _cut(data: bytes, start: int, end: int) -> Buffer:
    if end - start < VIEW_BYTES:
        return data[start:end]
    return memoryview(data)[start:end]
