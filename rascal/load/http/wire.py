"""Replies of HTTP/1.1 out of bytes, however they are cut. No sockets, no clock.

`Reader.feed()` takes what was read and says whether a reply is complete; then `head`, `body` and
`keep` describe it. The common reply, a head and all of its Content-Length in one read, costs a
search, a look-up and a slice: heads are parsed once and remembered, as servers repeat theirs for
a second at least. Chunked bodies go through llhttp. Whatever is not HTTP raises ProtocolError,
whatever grows without bound LimitError.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from rascal.errors import LimitError, ProtocolError
from rascal.load.http.errors import TruncatedError

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a head, and of what a chunked body may say besides its content."""
BODY_LIMIT: Final = 64 * 1024 * 1024
HELD_LIMIT: Final = 512 * 1024 * 1024
"""Bytes of all bodies of one client that are still coming."""
LARGE: Final = 1024 * 1024
"""A body that long is given up when that is too much."""
INTERIM_LIMIT: Final = 64
"""Replies 1xx before the real one."""
UNTIL_CLOSE: Final = -1
CHUNKED: Final = -2

_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\r\n)*\r\n"
)
_FIELDS = re.compile(
    rb"\n(con(?:tent-(?:length|encoding)|nection)|transfer-encoding|set-cookie|location|retry-after)"
    rb":[ \t]*([^\r]*)"
)
_BEGINS = b"HTTP/1."
_REMEMBERED = 512
_REMEMBER_BYTES = 4096
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Head:
    """A parsed head: what the client itself needs to know of it."""

    __slots__ = (
        "code",
        "encoding",
        "keep",
        "length",
        "location",
        "raw",
        "retry_after",
        "sets",
        "whole",
    )

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """With the empty line."""
        found = _HEAD.fullmatch(raw)
        if found is None:
            raise ProtocolError("the head of the reply is not HTTP")
        self.code = code = int(found[2])
        self.keep = found[1] == b"1"
        self.length = UNTIL_CLOSE
        self.encoding = self.location = b""
        self.retry_after = self.sets = False
        coding = b""
        for match in _FIELDS.finditer(raw.lower()):
            name, value = match[1], match[2].rstrip()
            if name == b"content-length":
                self._take_length(value)
            elif name == b"connection":
                words = {word.strip() for word in value.split(b",")}
                self.keep = b"close" not in words and (self.keep or b"keep-alive" in words)
            elif name == b"transfer-encoding":
                coding = coding + b"," + value if coding else value
            elif name == b"content-encoding":
                self.encoding = value
            elif name == b"location":
                self.location = raw[match.start(2) : match.end(2)].rstrip()
            elif name == b"set-cookie":
                self.sets = True
            else:
                self.retry_after = True
        if coding and coding != b"identity":
            if coding != b"chunked":
                raise ProtocolError(f"transfer encoding {coding[:40].decode('latin-1')!r}")
            if self.length >= 0:
                raise ProtocolError("both Content-Length and Transfer-Encoding")
            self.length = CHUNKED
        if code < 200 or code == 204 or code == 304:
            self.length = 0
        if self.length == UNTIL_CLOSE:
            self.keep = False
        self.whole = len(raw) + self.length if code >= 200 and self.length >= 0 else 0
        """Bytes of the whole reply to anything but a HEAD, where the head tells."""

    def _take_length(self, value: bytes) -> None:
        lengths = {word.strip() for word in value.split(b",")}
        word = lengths.pop()
        if lengths or not word.isdigit() or len(word) > 18:
            raise ProtocolError(f"Content-Length {value[:40].decode('latin-1')!r}")
        length = int(word)
        if self.length not in (UNTIL_CLOSE, length):
            raise ProtocolError("two Content-Lengths that differ")
        self.length = length


class _Chunks:
    """A chunked body, decoded by llhttp."""

    __slots__ = ("_last", "_parser", "complete", "extra", "on_body", "pieces", "quiet")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.complete = self.extra = False
        self._last: int | None = None
        self.quiet = 0
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)

    def on_message_begin(self) -> None:
        self.extra = self.complete

    def on_message_complete(self) -> None:
        if not self.complete:
            self.complete = True
            self._last = len(self.pieces)  # what comes after is of another reply

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in these bytes."""
        pieces = self.pieces
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise ProtocolError(f"chunked body: {str(error).lower()}") from error
            self.extra = True
        if pieces:
            self.quiet = 0
        else:
            self.quiet += len(data)
            if self.quiet > HEAD_LIMIT and not self.complete:
                raise LimitError("a chunked body with more besides its content than 64KiB")
        found = pieces[: self._last]
        pieces.clear()
        return found


class Held:
    """The bodies of one client that are still coming, together."""

    __slots__ = ("limit", "size")

    def __init__(self, limit: int = HELD_LIMIT) -> None:
        self.size = 0
        self.limit = limit


class Reader:
    """The replies of one connection, one at a time.

    Attributes:
        head, body: of the reply, once feed() or end() has returned True.
        keep: the connection can carry another request.
        begun: a byte of the reply has come.
    """

    __slots__ = (
        "_chunks",
        "_heads",
        "_held",
        "_interim",
        "_left",
        "_pieces",
        "_reading",
        "_tail",
        "_total",
        "begun",
        "body",
        "discard",
        "head",
        "head_only",
        "keep",
        "limit",
    )

    def __init__(
        self,
        heads: dict[bytes, Head],
        limit: int = BODY_LIMIT,
        discard: bool = False,
        held: Held | None = None,
    ) -> None:
        self._heads = heads
        self._held = held or Held()
        self.limit = limit
        self.discard = discard
        self.head: Head
        self.body = b""
        self.keep = self.begun = self.head_only = self._reading = False
        self._tail = b""
        self._chunks: _Chunks | None = None
        self._pieces: list[bytes] = []
        self._left = self._total = self._interim = 0

    def expect(self, head_only: bool) -> None:
        """The next reply is that of a request just sent, a HEAD if `head_only`."""
        self.head_only = head_only
        self.begun = False

    def feed(self, data: bytes) -> bool:
        """Take what was read; True if the reply is complete."""
        self.begun = True
        if self._reading or self._tail or self._interim or self.head_only or self.discard:
            return self._feed(data)
        end = data.find(b"\r\n\r\n") + 4
        head = self._heads.get(data[:end])
        if head is None:
            if end == 3 or end > HEAD_LIMIT:
                return self._incomplete(data)
            head = self._parse(data[:end])
        size = len(data)
        if head.whole != size or size > self.limit:
            return self._begin(head, data[end:])
        self.head = head
        self.body = data[end:]
        self.keep = head.keep
        return True

    def _feed(self, data: bytes) -> bool:
        """The same in the middle of a reply, and for what is not usual."""
        if self._reading:
            return self._take(data)
        if self._tail:
            data = self._tail + data
        end = data.find(b"\r\n\r\n") + 4
        if end == 3 or end > HEAD_LIMIT:
            return self._incomplete(data)
        raw = data[:end]
        head = self._heads.get(raw)
        if head is None:
            head = self._parse(raw)
        return self._begin(head, data[end:])

    def end(self) -> bool:
        """The peer sent FIN. True if that completes the reply, TruncatedError if it cuts it."""
        if not self._reading:
            raise TruncatedError("the connection ended in the head of the reply")
        if self._left != UNTIL_CLOSE:
            came = f"{self._total} bytes of the body came"
            if self._left >= 0:
                came = f"{self._total} of {self._total + self._left} bytes of the body came"
            raise TruncatedError(came)
        return self._complete()

    def _incomplete(self, data: bytes) -> bool:
        if not (data.startswith(_BEGINS) or _BEGINS.startswith(data)):
            raise ProtocolError("the reply is not HTTP")
        if len(data) > HEAD_LIMIT:
            raise LimitError("the head of the reply is longer than 64KiB")
        self._tail = data
        return False

    def _parse(self, raw: bytes) -> Head:
        head = Head(raw)
        if not head.sets and len(raw) <= _REMEMBER_BYTES:
            if len(self._heads) >= _REMEMBERED:
                self._heads.clear()
            self._heads[raw] = head
        return head

    def _begin(self, head: Head, rest: bytes) -> bool:
        """A head that is not followed by just its body."""
        self._tail = b""
        if head.code < 200:
            if head.code == 101:
                raise ProtocolError("101 Switching Protocols, which was not asked for")
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                raise LimitError(f"more than {INTERIM_LIMIT} interim replies")
            return self.feed(rest) if rest else False
        self.head = head
        self.keep = head.keep
        self._reading = True
        self._interim = self._total = 0
        self._left = 0 if self.head_only else head.length
        if self._left > self.limit and not self.discard:
            raise self._too_long()
        if self._left == CHUNKED:
            self._chunks = _Chunks()
        return self._take(rest) if rest or self._left == 0 else False

    def _take(self, data: bytes) -> bool:
        left = self._left
        if left == CHUNKED:
            assert self._chunks is not None
            for piece in self._chunks.feed(data):
                self._keep(piece)
            if not self._chunks.complete:
                return False
            if self._chunks.extra:
                self.keep = False
        elif left == UNTIL_CLOSE:
            self._keep(data)
            return False
        else:
            if len(data) > left:  # bytes behind the reply: this connection is out of step
                self.keep = False
                data = data[:left]
            self._keep(data)
            self._left = left - len(data)
            if self._left:
                return False
        return self._complete()

    def _keep(self, piece: bytes) -> None:
        self._total += len(piece)
        if self.discard:
            return
        if self._total > self.limit:
            raise self._too_long()
        held = self._held
        held.size += len(piece)
        self._pieces.append(piece)
        if held.size > held.limit and self._total > LARGE:
            raise LimitError(
                f"given up after {self._total} bytes of its body: all that are coming hold more "
                f"than {held.limit} bytes"
            )

    def drop(self) -> None:
        """The connection is closed: let go of a body that was coming."""
        if self._pieces:
            self._held.size -= sum(map(len, self._pieces))
            self._pieces = []

    def _complete(self) -> bool:
        self.body = b"".join(self._pieces)
        self._held.size -= len(self.body)
        self._pieces = []
        self._chunks = None
        self._reading = False
        return True

    def _too_long(self) -> LimitError:
        return LimitError(f"the body is longer than {self.limit} bytes")
