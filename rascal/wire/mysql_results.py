"""Where a MySQL reply stands: sections of definitions, rows, results that follow results.

    result set   column count, definitions, [EOF], rows, then EOF or an OK that looks like one
    prepared     OK with id and counts, parameter definitions, [EOF], column definitions, [EOF]

The EOFs in brackets are left out under CLIENT_DEPRECATE_EOF. A reply is all result sets of a
query, to the last whose status has no SERVER_MORE_RESULTS.

Here too is what goes over whole packets by their headers while nobody watches; what packets mean
otherwise is in mysql_replies.

Source: MySQL Internals, "Text Resultset", "COM_STMT_PREPARE Response", "OK_Packet"; MariaDB
Knowledge Base, "result-set-packets".
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
from rascal.wire.mysql_session import MySQLSession
from rascal.wire.types import Buffer, Ledger

IDLE, RESULT, AUTH, DEFS, DEFS_END, ROWS, ENDLESS = range(7)
"""Where a reply stands; from DEFS on most packets need no look inside."""


class ResultCodec(PacketCodec):
    """The server's direction, as far as it is a matter of places and ends.

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

    # -- sections and ends ----------------------------------------
    def _end(self) -> None:
        """The message ends with the packet at hand."""
        self.state = IDLE
        self.last = True
        self.later = []

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
