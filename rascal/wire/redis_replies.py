r"""From server to client: replies and pushes, RESP2 and RESP3.

    +OK\r\n  -ERR text\r\n  :1\r\n  _\r\n  #t\r\n  ,1.5\r\n  (123\r\n         a line
    $5\r\nhello\r\n  =9\r\ntxt:hello\r\n  !5\r\nERR x\r\n  $-1\r\n           a length and bytes
    *2\r\n…  ~2\r\n…  >2\r\n…  %1\r\n key value  *-1\r\n                     a count and values
    |1\r\n key value  and then the value that it is about                   an attribute
    $?\r\n;4\r\nWord\r\n;0\r\n      *?\r\n…values… .\r\n                     streamed

A message is one value, except the reply to SUBSCRIBE a b and its like: one confirmation for each
channel. A part is an element of the outermost array, set or push, an entry of the outermost map.

What is no reply: in RESP3 the type `>`, unless it confirms the SUBSCRIBE that is due; in RESP2,
while subscriptions exist, arrays that begin with message, pmessage or smessage; the lines of
MONITOR; and anything at all while no request is outstanding.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Literal

from rascal.errors import LimitError, ProtocolError
from rascal.wire.redis_scan import REPLY, VALUE, steps
from rascal.wire.redis_session import CONFIRMATIONS, SPECIAL, Effect, RedisSession, ReplyHead
from rascal.wire.redis_values import (
    BLOBS,
    COUNTED,
    DEEPEST,
    LINES,
    MONITOR_LINE,
    MOST_VALUES,
    PUSHES,
    STRING,
    UNLIMITED,
    back,
    behind_attributes,
    blob_error,
    cut,
    ended,
    first_word,
    long_line,
    reply_head,
)
from rascal.wire.redis_words import CRLF, MOST_BYTES, number
from rascal.wire.types import HEAD_BYTES, Buffer, Codec, Ledger, Piece


class ReplyCodec(Codec):
    """The server's direction.

    Attributes of the message under way (`open`):
        items: elements of the outermost aggregate that have not begun; UNLIMITED: streamed.
        width: values an element has (2 in a map).
        todo: values of the element under way that have not begun or ended; 0: between elements.
        stack: `todo` of what streamed and fixed aggregates stand in.
        body: payload bytes to come; closing: the CRLF behind them is due.
        line: a line too long to wait for is passing.
        confirms: the kind of confirmation that its elements are (SUBSCRIBE).
    """

    def __init__(self, session: RedisSession, ledger: Ledger) -> None:
        self.session = session
        self.ledger = ledger
        self.data = b""
        self.at = 0
        self.open = False
        self.counts = False  # the message under way answers a request
        self.items = 0
        self.width = 1
        self.todo = 0
        self.stack: list[int] = []
        self.body = 0
        self.closing = False
        self.line = False
        self.confirms = b""
        self.total = 0  # the last number in a confirmation
        self.endless = False

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        if not self.open:
            return ""
        return "message" if self.counts else "aside"

    # -- feed ----------------------------------------
    def feed(self, data: Buffer) -> Iterator[Piece]:
        if self.at == len(self.data):
            size = len(data)
            if self.endless or (self.body and size <= self.body):
                if not self.endless:
                    self.body -= size
                    self.closing = not self.body
                if size:
                    yield Piece(data)
                return
            taken = bytes(data)
        else:
            taken = self.data[self.at :] + bytes(data)
        self.data = taken
        self.at = 0
        size = len(taken)
        while self.at < size:
            piece = self._more(taken, size) if self.open else self._begin(taken, size)
            if piece is None:
                break
            yield piece
        if self.at:
            self.data = self.data[self.at :]
            self.at = 0

    # -- the beginning of a message ----------------------------------------
    def _begin(self, data: bytes, size: int) -> Piece | None:
        """The first piece of a message; None if it is not yet clear what it is."""
        start = at = self.at
        session = self.session
        framing: Hashable = None
        due = True
        try:
            framing = self.ledger.framing()
        except LookupError:
            due = False
            if session.tunnel:
                self.open = self.endless = True
                self.at = size
                return Piece(data[start:], ReplyHead("TUNNEL", push=True))
        if due and framing is None and not session.monitor:
            found = VALUE.match(data, at)
            if found is not None:
                whole = found[0]
                self.at = found.end()
                self.counts = True
                return Piece(whole, reply_head(whole[0], whole[:-2], b"", False), False, True)
        if data[at] == 124:
            at = behind_attributes(data, at, size)
            if at < 0:
                if size - start >= HEAD_BYTES:
                    raise LimitError("an attribute longer than the bound")
                return None
        kind = data[at]
        end = data.find(CRLF, at, start + HEAD_BYTES)
        if end < 0:
            if not long_line(data, at, kind, size, size - start):
                return None
            end = start + HEAD_BYTES
            self.line = True
        push, first = not due, b""
        if kind == 62 or (kind == 42 and (push or framing is SPECIAL or session.subscribed)):
            word = first_word(data, end + 2, size, data[at + 1 : end])
            if word is None:
                return None
            first = word
            if kind == 62:
                push = push or framing is not SPECIAL or not self._confirms(first)
            elif first in PUSHES and session.subscribed and session.resp == 2:
                push = True
        elif kind == 43 and session.monitor:
            push = push or MONITOR_LINE.match(data, at) is not None
        line = data[at:end]
        if kind == 33:
            known = blob_error(data, end, size, line)
            if known is None:
                return None
            line = known
        head = reply_head(kind, line, first if push else b"", push)
        self.open = True
        self.counts = not push
        self.items, self.width, self.todo, self.confirms = 0, 1, 0, b""
        extra = 0
        if push:
            if first in CONFIRMATIONS:
                self.confirms = first
        elif framing is SPECIAL:
            extra = self._special(head, line, first)
        return self._first_piece(head, start, at, end, extra)

    def _confirms(self, first: bytes) -> bool:
        """Whether what is due are confirmations of this kind."""
        expected = self.session.expected
        return bool(expected) and expected[0][0][:2] == ("sub", first)

    def _special(self, head: ReplyHead, line: bytes, first: bytes) -> int:
        """The reply to a request with an effect. Returns values beyond those announced."""
        session = self.session
        effect = session.next_effect()
        if effect is None or head.error is not None:
            return 0
        if effect[0] == "sub":
            if first != effect[1]:
                return 0
            self.confirms = first
            head.pivot = session.resp == 2
            return session.confirmations(first, effect[2])
        if effect[0] == "exec":
            return 0 if head.command == "NIL" else self._executed(effect[1])
        head.pivot = effect[0] == "monitor" or (effect[0] == "hello" and session.resp != effect[1])
        session.apply(effect)
        return 0

    def _executed(self, effects: tuple[Effect, ...]) -> int:
        """EXEC has run what was queued: SUBSCRIBE a b has put in one value more than announced."""
        session = self.session
        extra = 0
        for effect in effects:
            if effect[0] != "sub":
                session.apply(effect)
                continue
            count = session.confirmations(effect[1], effect[2])
            extra += count - 1
            which = CONFIRMATIONS[effect[1]]
            step = -count if effect[1].find(b"un") >= 0 else count
            setattr(session, which, max(0, getattr(session, which) + step))
        return extra

    def _first_piece(self, head: ReplyHead, start: int, at: int, end: int, extra: int) -> Piece:
        """Up to the first element of an aggregate, or as much of a single value as is there."""
        data, size = self.data, len(self.data)
        kind = data[at]
        if self.confirms and self.counts:
            self.items = extra
            self.at = start
            piece = self._more(data, size)
            assert piece is not None  # its first line is there
            piece.start = head
            return piece
        if self.counts and kind in COUNTED and head.command != "NIL":
            count = data[at + 1 : end]
            if count == b"?":
                self.items = UNLIMITED
            else:
                self.items = number(count, MOST_VALUES, "count") + extra
            self.width = 2 if kind == 37 else 1
            self.at = end + 2
            self.open = bool(self.items)
            return Piece(data[start : end + 2], head, False, not self.open)
        self.todo = 1
        stop = self._walk(data, at, size)
        self.at = stop
        if not self.todo:
            self._ended()
        return Piece(cut(data, start, stop), head, False, not self.open)

    # -- the rest of it ----------------------------------------
    def _more(self, data: bytes, size: int) -> Piece | None:
        """The next element, or more of the one under way."""
        start = self.at
        part = not self.todo
        if part:
            if self.items > 0 and self.width == 1 and not self.confirms:
                found = VALUE.match(data, start)
                if found is not None:
                    self.at = found.end()
                    self.items -= 1
                    self.open = self.items != 0
                    return Piece(found[0], None, True, not self.open)
            if self.items == UNLIMITED:
                if data[start] == 46:
                    return self._dot(data, start, size)
            else:
                self.items -= 1
            self.todo = self.width
        stop = self._walk(data, start, size)
        if stop == start:
            if part:
                self.todo = 0
                self.items += self.items != UNLIMITED
            return None
        self.at = stop
        if not self.todo:
            self._ended()
        return Piece(cut(data, start, stop), None, part, not self.open)

    def _dot(self, data: bytes, start: int, size: int) -> Piece | None:
        """The end of a streamed aggregate."""
        if size - start < 3:
            return None
        if data[start + 1 : start + 3] != CRLF:
            raise ProtocolError("no line end behind the end of a streamed aggregate")
        self.at = start + 3
        self.open = False
        return Piece(data[start : start + 3], None, False, True)

    def _ended(self) -> None:
        """An element has ended, and with the last of them the message."""
        if self.confirms:
            self.session.confirmed(self.confirms, self.total)
        self.open = self.items != 0

    def _walk(self, data: bytes, at: int, size: int) -> int:
        """Go on in the element under way, to its end (`todo` is 0) or as far as the data goes."""
        todo, stack = self.todo, self.stack
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
                    raise ProtocolError("no line end behind a string")
                at += 2
                self.closing = False
                if todo != STRING:
                    todo = ended(todo, stack)
            if not todo or at >= size:
                break
            kind = data[at]
            end = data.find(CRLF, at)
            if self.line:
                at = end + 2 if end >= 0 else size - (data[size - 1] == 13)
                if end < 0:
                    break
                self.line = False
                todo = ended(todo, stack)
            elif end < 0:
                if long_line(data, at, kind, size, size - at):
                    self.line = True
                    continue
                break
            elif kind in LINES and todo != STRING:
                if kind == 58 and self.confirms:
                    self.total = number(data[at + 1 : end], MOST_VALUES, "number")
                at = end + 2
                todo = ended(todo, stack)
            else:
                todo = self._header(kind, data[at + 1 : end], todo)
                at = end + 2
        self.todo = todo
        return at

    def _header(self, kind: int, line: bytes, todo: int) -> int:
        """A line that announces bytes or values. Returns the values to come."""
        stack = self.stack
        if todo == STRING:
            if kind != 59:
                raise ProtocolError("not a chunk of the streamed string")
            self.body = number(line, MOST_BYTES, "chunk length")
            return todo if self.body else back(stack.pop(), stack)
        if kind in BLOBS:
            if line == b"?" or line == b"-1":
                return self._nest(todo, STRING) if line == b"?" else ended(todo, stack)
            self.body = number(line, MOST_BYTES, "length")
            self.closing = not self.body
            return todo
        if kind in COUNTED:
            if line == b"?" or line == b"-1":
                return self._nest(todo, UNLIMITED) if line == b"?" else ended(todo, stack)
            count = number(line, MOST_VALUES, "count")
            if not count:
                return ended(todo, stack)
            count += count if kind == 37 else 0
            return todo + count - 1 if todo > 0 else self._nest(todo, count)
        if kind == 124:
            count = 2 * number(line, MOST_VALUES, "count")
            if not count:
                return todo
            return todo + count if todo > 0 else self._nest(todo, count)
        if kind == 46 and todo == UNLIMITED and not line and stack:
            return back(stack.pop(), stack)
        raise ProtocolError(f"not a RESP type: {bytes((kind,))!r}")

    def _nest(self, todo: int, inner: int) -> int:
        """Begin something that `todo` waits for."""
        if len(self.stack) >= DEEPEST:
            raise LimitError("aggregates too deep")
        self.stack.append(todo - 1 if todo > 0 else todo)
        return inner

    # -- skim ----------------------------------------
    def skim(self, data: Buffer) -> None:
        if self.endless:
            return
        if self.body and len(data) <= self.body and self.at == len(self.data):
            self.body -= len(data)
            self.closing = not self.body
            return
        taken = self.data[self.at :] + bytes(data) if self.data else bytes(data)
        self.data = taken
        self.at = 0
        size = len(taken)
        replied = self.ledger.replied
        while self.at < size:
            if self.open:
                if not self._skip(taken, size):
                    break
            elif not self._step(taken, size):
                piece = self._begin(taken, size)
                if piece is None:
                    break
            else:
                continue
            if not self.open and self.counts:
                replied()
        self.data = taken[self.at :]
        self.at = 0

    def _step(self, data: bytes, size: int) -> bool:
        """Step over small replies to ordinary requests, and enter them in the books."""
        session = self.session
        if session.expected or session.monitor or session.subscribed:
            return False
        at = self.at
        first = REPLY.match(data, at)
        if first is None:
            return self._string(data, at, size)
        framing, replied = self.ledger.framing, self.ledger.replied
        end = first.end()
        try:
            framing()
        except LookupError:
            return False
        replied()
        if end == size:
            self.at = size
            return True
        for found in steps(REPLY, data, end):
            try:
                framing()
            except LookupError:
                break
            replied()
            end = found.end()
        self.at = end
        return True

    def _string(self, data: bytes, at: int, size: int) -> bool:
        """Step over one larger string."""
        if data[at] != 36:
            return False
        end = data.find(CRLF, at, at + 16)
        length = data[at + 1 : end]
        if end < 0 or not length.isdigit():
            return False
        stop = end + 4 + int(length)
        if stop > size or data[stop - 2 : stop] != CRLF:
            return False
        try:
            self.ledger.framing()
        except LookupError:
            return False
        self.ledger.replied()
        self.at = stop
        return True

    def _skip(self, data: bytes, size: int) -> bool:
        """More of the message under way; False: no further without more bytes."""
        if self.items > 0 and not self.todo and not self.confirms:
            width = self.width
            found = list(islice(steps(VALUE, data, self.at), self.items * width))
            whole = len(found) // width
            if whole:
                self.at = found[whole * width - 1].end()
                self.items -= whole
                self.open = self.items != 0
                return True
        return self._more(data, size) is not None
