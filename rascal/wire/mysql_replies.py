"""From server to client: the greeting, authentication, OK and ERR, result sets.

A part is a row; in the stream of a binary log it is an event. How the sections of a reply follow
each other is in mysql_results.

Source: MySQL Internals, "Connection Phase", "COM_QUERY Response", "ERR_Packet"; MariaDB Knowledge
Base, "connection", "err_packet" (progress).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from rascal.errors import ProtocolError
from rascal.wire.mysql_packets import (
    CACHE_METADATA,
    CURSOR_EXISTS,
    DEPRECATE_EOF,
    FULL,
    LONG_PASSWORD,
    OPTIONAL_METADATA,
    SHORT,
    lenenc,
)
from rascal.wire.mysql_results import (
    AUTH,
    DEFS,
    DEFS_END,
    ENDLESS,
    IDLE,
    RESULT,
    ROWS,
    ResultCodec,
)
from rascal.wire.mysql_session import BLIND, ReplyHead
from rascal.wire.types import HEAD_BYTES, Piece

PROGRESS = 0xFFFF
"""The code of an ERR that is none: MariaDB tells how far a long statement has come."""


class ReplyCodec(ResultCodec):
    """The server's direction."""

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


def error_code(payload: bytes) -> int:
    """The code of an ERR."""
    return int.from_bytes(payload[1:3], "little")


def error_head(payload: bytes) -> ReplyHead:
    """An ERR: 0xFF, code, and where the client has said what it speaks `#` and SQLSTATE."""
    state = payload[4:9].decode("latin-1") if payload[3:4] == b"#" else ""
    return ReplyHead("ERR", error=error_code(payload), sqlstate=state)
