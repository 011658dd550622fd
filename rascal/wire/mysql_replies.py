"""From server to client: the greeting, authentication, OK and ERR, result sets.

    result set   column count, definitions, [EOF], rows, then EOF or an OK that looks like one
    prepared     OK with id and counts, parameter definitions, [EOF], column definitions, [EOF]

The EOFs in brackets are left out under CLIENT_DEPRECATE_EOF. A reply is all result sets of a
query, to the last whose status has no SERVER_MORE_RESULTS. A part is a row; in the stream of a
binary log it is an event.

Source: MySQL Internals, "Connection Phase", "Text Resultset", "COM_STMT_PREPARE Response",
"OK_Packet"; MariaDB Knowledge Base, "result-set-packets", "err_packet" (progress).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

from rascal.errors import ProtocolError
from rascal.wire.mysql_packets import (
    CACHE_METADATA,
    CURSOR_EXISTS,
    DEPRECATE_EOF,
    FULL,
    LONG_PASSWORD,
    MORE_RESULTS,
    NOTHING,
    OPTIONAL_METADATA,
    SESSION_TRACK,
    SHORT,
    STATE_CHANGED,
    WORD,
    PacketCodec,
    lenenc,
    lenenc_bytes,
)
from rascal.wire.mysql_session import BLIND, MySQLSession, ReplyHead
from rascal.wire.types import HEAD_BYTES, Buffer, Ledger, Piece

IDLE, RESULT, AUTH, DEFS, DEFS_END, ROWS, ENDLESS = range(7)
"""Where a reply stands; from DEFS on most packets need no look inside."""

PROGRESS = 0xFFFF
"""The code of an ERR that is none: MariaDB tells how far a long statement has come."""


class ReplyCodec(PacketCodec):
    """The server's direction.

    Attributes:
        state: see above.
        counts: the message under way answers a request.
        framing: of the request that it answers.
        defs: definitions to come in this section; later: in the sections behind it.
        prepares: the definitions are those of a prepared statement.
        parts: the packets of ROWS are parts.
    """

    def __init__(self, session: MySQLSession, ledger: Ledger) -> None:
        super().__init__()
        self.session = session
        self.ledger = ledger
        self.state = IDLE
        self.counts = False
        self.framing: Hashable = None
        self.defs = 0
        self.later: list[int] = []
        self.prepares = False
        self.parts = True

    def under_way(self) -> Literal["", "message", "aside"]:
        return "" if not self.open else "message" if self.counts else "aside"

    # -- nobody watches ----------------------------------------
    def skim(self, data: Buffer) -> None:
        kept = self.kept
        if kept:
            kept += data
            if len(kept) < self.need:
                return
            data = bytes(kept)
            kept.clear()
        view = self.view = memoryview(data)
        self.at = 0
        size = len(view)
        try:
            while self.at < size:
                if not (self.left or self.more):
                    if self.state >= DEFS:
                        self._pass_over(view, size)
                        if self.at == size:
                            break
                    if not self.left and self._plain(view, size):
                        continue
                piece = self._next(view, size)
                if piece is None:
                    break
                if piece.end and self.counts:
                    self.ledger.replied()
        finally:
            if self.at < size:
                kept += view[self.at :]
            self.view = NOTHING
            self.at = 0

    def _pass_over(self, view: Any, size: int) -> None:
        """Go over definitions or rows by their headers, as far as they are ordinary."""
        at, seq = self.at, self.seq
        unpack = WORD.unpack_from
        enough = size - 4
        # The last definition is left to _packet: with it the reply may end.
        count = self.defs - 1 if self.state == DEFS else -1 if self.state == ROWS else 0
        left = count
        while left and at < enough:
            (word,) = unpack(view, at)
            if view[at + 4] >= 0xFE or word >> 24 != seq:
                break
            word &= FULL
            if word == FULL or not word:
                break
            at += 4 + word
            seq = (seq + 1) & 255
            left -= 1
        self.seq = seq
        if at > size:
            self.left = at - size
            at = size
        self.at = at
        if count > 0:
            self.defs = left + 1

    def _plain(self, view: Any, size: int) -> bool:
        """Take a whole packet that says nothing new, as _packet would: an OK, a column count, the
        end of rows. False: it is none of these."""
        at = self.at
        if size - at < 5:
            return False
        word: int = WORD.unpack_from(view, at)[0]
        end = at + 4 + (word & FULL)
        if end > size:
            return False
        length, seq, first, state = word & FULL, word >> 24, view[at + 4], self.state
        session = self.session
        if state == IDLE and length == 1 and 0 < first < 0xFB and self._plainly_due():
            if session.capabilities & (OPTIONAL_METADATA | CACHE_METADATA):
                return False
            self.defs, self.state = first, DEFS
            self.framing, self.prepares, self.parts, self.later = None, False, True, []
            self.counts = self.open = True
            self.last = False
        elif length in (5, 7) and (first == 0xFE or not first):
            if length == 7 and (view[at + 5] > 0xFA or view[at + 6] > 0xFA):
                return False
            status = view[at + 7] | view[at + 8] << 8
            if status & (STATE_CHANGED | MORE_RESULTS | CURSOR_EXISTS):
                return False
            if state == IDLE:
                if first or length == 5 or not self._plainly_due():
                    return False
                self.counts = True
            elif not first or seq != self.seq:
                return False
            elif state == DEFS_END and not (self.later or self.prepares):
                self.state = ROWS
            elif state != ROWS:
                return False
            session.status = status
            if state != DEFS_END:
                self._end()
                self.open = False
                if self.counts:
                    self.ledger.replied()
        else:
            return False
        self.at = end
        self.seq = (seq + 1) & 255
        return True

    def _plainly_due(self) -> bool:
        """What comes next is the reply to an ordinary command."""
        session = self.session
        if session.phase != "commands" or session.blind:
            return False
        try:
            return self.ledger.framing() is None
        except LookupError:
            return False

    # -- a packet ----------------------------------------
    def _next(self, view: Any, size: int) -> Piece | None:
        if self.state == ENDLESS:
            at, self.at = self.at, size
            head = None if self.open else ReplyHead("TUNNEL", push=True)
            self.open, self.counts = True, False
            return Piece(view[at:], head)
        return super()._next(view, size)

    def _packet(self, view: Any, at: int, size: int, length: int, seq: int) -> Piece | None:
        state = self.state
        if state == IDLE:
            return self._first(view, at, size, length, seq)
        if length and size - at < 5:
            self.need = 5
            return None
        first = view[at + 4] if length else 0
        head: ReplyHead | None = None
        part = False
        if first == 0xFF and length < FULL:
            payload = self._peek(view, at, size, length)
            if payload is None:
                return None
            self.seq = (seq + 1) & 255  # servers begin anew in some errors
            if error_code(payload) != PROGRESS:
                self._end()
                self.session.changing = False
        elif state == DEFS:
            self._expect(seq)
            self.defs -= 1
            if not self.defs:
                self._section()
        elif state == ROWS and not self._terminates(first, length):
            self._expect(seq)
            part = self.parts
        else:
            payload = self._peek(view, at, size, length)
            if payload is None:
                return None
            self._expect(seq)
            self._middle(state, payload)
        self.more = length == FULL
        piece = self._piece(view, at, size, length, seq, part)
        piece.start = head
        return piece

    def _terminates(self, first: int, length: int) -> bool:
        """Whether this ends the rows: a row that begins so is 16 MiB long."""
        if first != 0xFE or length == FULL:
            return False
        return length < 9 or self.session.has(DEPRECATE_EOF)

    def _middle(self, state: int, payload: bytes) -> None:
        """A packet that is neither the first of its reply nor a definition, a row or an error."""
        if state == RESULT:
            self._result(payload)
        elif state == AUTH:
            self._authenticated(payload)
        elif state == DEFS_END:
            status = self._status(payload)
            if self.later:
                self._section(over=True)
            elif self.prepares:
                self._end()
            elif status & CURSOR_EXISTS:
                self._result_ends(status)
            else:
                self.state = ROWS
        else:
            self._result_ends(self._status(payload))

    # -- the first packet of a reply ----------------------------------------
    def _first(self, view: Any, at: int, size: int, length: int, seq: int) -> Piece | None:
        session = self.session
        if session.blind:
            raise ProtocolError(BLIND)
        push = False
        framing: Hashable = None
        try:
            framing = self.ledger.framing()
        except LookupError:
            push = True
        most = HEAD_BYTES
        if framing in ("rows", "stream", "columns") and length:
            if size - at < 5:
                self.need = 5
                return None
            if view[at + 4] < 0xFE or length == FULL:
                most = 1
        payload = self._peek(view, at, size, length, most)
        if payload is None:
            return None
        self.framing = framing
        self.state = RESULT
        self.last = False
        part = False
        if payload[:1] == b"\xff":
            head = error_head(payload)
            head.push = push
            head.interim = head.error == PROGRESS and session.mariadb
            if head.interim:
                head.command, head.error = "PROGRESS", None
                session.progress += 1
            else:
                session.changing = False
            self._end()
        elif push:
            raise ProtocolError("a reply to no request")
        elif framing is None and session.phase == "greeting" and not session.offered:
            head = self._greeting(payload)
        elif framing in ("rows", "stream", "columns"):
            head, part = self._rows(payload, length)
        elif framing == "text":
            head = ReplyHead("TEXT")
            self._end()
        elif isinstance(framing, tuple) and framing[0] == "auth":
            head = ReplyHead(self._authenticated(payload))
        elif isinstance(framing, tuple) and framing[0] == "prepare":
            head = self._prepared(payload, framing[1])
        else:
            head = ReplyHead(self._result(payload))
            head.pivot = head.command == "INFILE"
            if framing == "tunnel":
                self.state = ENDLESS
        head.seq = seq
        self.counts = not (head.push or head.interim)
        self.seq = (seq + 1) & 255
        self.open = True
        self.more = length == FULL
        piece = self._piece(view, at, size, length, seq, part)
        piece.start = head
        return piece

    def _end(self) -> None:
        """The message ends with the packet at hand."""
        self.state = IDLE
        self.last = True
        self.later = []

    def _greeting(self, payload: bytes) -> ReplyHead:
        """Protocol version 10, server version, thread id, salt, capabilities, …"""
        end = payload.find(b"\0", 1)
        low = end + 1 + 4 + 8 + 1
        if payload[:1] != b"\x0a" or end < 0 or len(payload) < low + 7:
            raise ProtocolError("no greeting of a MySQL server (protocol version 10)")
        session = self.session
        session.version = payload[1:end]
        session.mariadb = b"MariaDB" in session.version
        session.status = SHORT.unpack_from(payload, low + 3)[0]
        offered = SHORT.unpack_from(payload, low)[0] | SHORT.unpack_from(payload, low + 5)[0] << 16
        if not offered & LONG_PASSWORD and len(payload) >= low + 18:
            offered |= int.from_bytes(payload[low + 14 : low + 18], "little") << 32
            session.mariadb = True
        session.offered = offered
        self._end()
        return ReplyHead("GREETING", capabilities_at=4 + low)

    def _authenticated(self, payload: bytes) -> str:
        """OK, another round (the client speaks next), or 0x01 0x03: an OK follows by itself."""
        first = payload[:1]
        if first == b"\0":
            self.session.applied(self.framing)
            self._status(payload)
            self._end()
            return "OK"
        if payload == b"\x01\x03":
            self.state = AUTH
            return "MORE"
        self._end()
        return "SWITCH" if first == b"\xfe" else "MORE"

    def _rows(self, payload: bytes, length: int) -> tuple[ReplyHead, bool]:
        self.parts = self.framing != "columns"
        self.state = ROWS
        if self._terminates(payload[0] if payload else 0, length):
            self._result_ends(self._status(payload))
            return ReplyHead("EOF"), False
        names = {"rows": "ROWS", "stream": "STREAM", "columns": "COLUMNS"}
        return ReplyHead(names[str(self.framing)]), self.parts

    def _prepared(self, payload: bytes, sql: bytes) -> ReplyHead:
        if payload[:1] != b"\0" or len(payload) < 12:
            raise ProtocolError("no reply to a prepare")
        columns, parameters = SHORT.unpack_from(payload, 5)[0], SHORT.unpack_from(payload, 7)[0]
        self.session.prepared(int.from_bytes(payload[1:5], "little"), sql, parameters)
        self.prepares = True
        described = not (self.session.has(OPTIONAL_METADATA) and payload[12:13] == b"\0")
        self.later = [count for count in (parameters, columns) if count]
        if not described:  # the EOFs stay
            ends = 0 if self.session.has(DEPRECATE_EOF) else len(self.later)
            self.later = [0] * ends
        if self.later:
            self._section(over=True)
        else:
            self._end()
        return ReplyHead("PREPARED")

    def _result(self, payload: bytes) -> str:
        """The first packet of one result: OK, EOF, the name of a file, a column count."""
        first = payload[0] if payload else 0
        if first == 0x00:
            self.session.applied(self.framing)
            self._result_ends(self._status(payload))
            return "OK"
        if first == 0xFE and len(payload) < 9:
            self._result_ends(self._status(payload))
            return "EOF"
        if first == 0xFB:
            self.session.infile = True
            self._end()
            return "INFILE"
        self.defs, at = lenenc(payload, 0)
        flags = self.session.capabilities
        described = (
            not flags & (OPTIONAL_METADATA | CACHE_METADATA) or payload[at : at + 1] != b"\0"
        )
        self.prepares = False
        self.parts = True
        self.later = []
        if described:
            self.state = DEFS
        else:
            self.defs = 0
            self._section()
        return "ROWS"

    # -- sections and ends ----------------------------------------
    def _section(self, over: bool = False) -> None:
        """A section of definitions is over, and so may be its EOF (`over`): what comes next."""
        if not over and not self.session.has(DEPRECATE_EOF):
            self.state = DEFS_END
        elif self.later:
            self.defs = self.later.pop(0)
            self.state = DEFS if self.defs else DEFS_END
        elif self.prepares:
            self._end()
        else:
            self.state = ROWS

    def _result_ends(self, status: int) -> None:
        if status & MORE_RESULTS:
            self.state = RESULT
        else:
            self._end()

    def _status(self, payload: bytes) -> int:
        """The status flags of an OK or EOF; remembers them, and a database that is tracked."""
        session = self.session
        if payload[:1] == b"\xfe" and len(payload) <= 5:
            status: int = SHORT.unpack_from(payload, 3)[0] if len(payload) == 5 else 0
            session.status = status
            return status
        _, at = lenenc(payload, 1)
        _, at = lenenc(payload, at)
        if at + 2 > len(payload):
            raise ProtocolError("an OK that is too short")
        session.status = status = SHORT.unpack_from(payload, at)[0]
        if status & STATE_CHANGED and session.has(SESSION_TRACK):
            self._tracked(payload, at + 4)
        return status

    def _tracked(self, payload: bytes, at: int) -> None:
        """Session tracking: of all changes only the database matters here."""
        try:
            _, at = lenenc_bytes(payload, at)
            changes, _ = lenenc_bytes(payload, at)
            at = 0
            while at < len(changes):
                kind = changes[at]
                change, at = lenenc_bytes(changes, at + 1)
                if kind == 1:
                    self.session.database = lenenc_bytes(change, 0)[0]
        except ProtocolError:
            return  # longer than what is kept of it


def error_code(payload: bytes) -> int:
    """The code of an ERR."""
    return int.from_bytes(payload[1:3], "little")


def error_head(payload: bytes) -> ReplyHead:
    """An ERR: 0xFF, code, and where the client has said what it speaks `#` and SQLSTATE."""
    state = payload[4:9].decode("latin-1") if payload[3:4] == b"#" else ""
    return ReplyHead("ERR", error=error_code(payload), sqlstate=state)
