"""From client to server: the handshake response, rounds of authentication, commands, files.

    login       HandshakeResponse41 | SSLRequest, then what the plugin says: LOGIN, AUTH, AUTH …
    commands    one byte and its arguments, sequence id 0
    file        packets of LOCAL INFILE up to an empty one: INFILE

A message is one packet, or several where the first is full; INFILE is all packets of the file.

Source: MySQL Internals, "Connection Phase" and "Command Phase"; MariaDB Knowledge Base,
"connection", "com_stmt_bulk_execute".
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from rascal.errors import ProtocolError
from rascal.wire.mysql_arguments import (
    Handshake,
    behind_attributes,
    bound_types,
    change_user,
    handshake,
)
from rascal.wire.mysql_packets import FULL, QUERY_ATTRIBUTES, SSL, WORD, PacketCodec
from rascal.wire.mysql_session import BLIND, MySQLSession, RequestHead
from rascal.wire.mysql_sql import changes_session, used_database
from rascal.wire.types import HEAD_BYTES, Buffer, Ledger, Piece, skim_requests

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

COMMANDS: dict[int, str] = {
    0x00: "SLEEP",
    0x01: "QUIT",
    0x02: "INIT_DB",
    0x03: "QUERY",
    0x04: "FIELD_LIST",
    0x05: "CREATE_DB",
    0x06: "DROP_DB",
    0x07: "REFRESH",
    0x08: "SHUTDOWN",
    0x09: "STATISTICS",
    0x0A: "PROCESS_INFO",
    0x0B: "COM_CONNECT",
    0x0C: "PROCESS_KILL",
    0x0D: "DEBUG",
    0x0E: "PING",
    0x0F: "TIME",
    0x10: "DELAYED_INSERT",
    0x11: "CHANGE_USER",
    0x12: "BINLOG_DUMP",
    0x13: "TABLE_DUMP",
    0x14: "CONNECT_OUT",
    0x15: "REGISTER_SLAVE",
    0x16: "STMT_PREPARE",
    0x17: "STMT_EXECUTE",
    0x18: "STMT_SEND_LONG_DATA",
    0x19: "STMT_CLOSE",
    0x1A: "STMT_RESET",
    0x1B: "SET_OPTION",
    0x1C: "STMT_FETCH",
    0x1D: "DAEMON",
    0x1E: "BINLOG_DUMP_GTID",
    0x1F: "RESET_CONNECTION",
    0x20: "CLONE",
    0x21: "SUBSCRIBE_GROUP_REPLICATION",
    0xEF: "SEMI_SYNC_ACK",
    0xFA: "STMT_BULK_EXECUTE",
}
SILENT = frozenset(("QUIT", "STMT_SEND_LONG_DATA", "STMT_CLOSE", "SEMI_SYNC_ACK"))
FRAMINGS: dict[str, Hashable] = {
    "FIELD_LIST": "columns",
    "STATISTICS": "text",
    "STMT_FETCH": "rows",
    "BINLOG_DUMP": "stream",
    "BINLOG_DUMP_GTID": "stream",
    "TABLE_DUMP": "stream",
    "RESET_CONNECTION": ("reset",),
    "CLONE": "tunnel",
    "SUBSCRIBE_GROUP_REPLICATION": "tunnel",
}
"""How the reply is framed where it is not an OK, an error or a result set (None)."""

LAST_PREPARED = 0xFFFFFFFF
"""MariaDB: "the statement that was prepared last", executed before its id is known."""

_QUERY, _LONG_DATA = 0x03, 0x18


class RequestCodec(PacketCodec):
    """The client's direction.

    Attributes:
        head: of the message under way, kept up to date with its last sequence id.
        file: the message under way is a file.
        endless: it is a tunnel's.
        prepared: the text of the last PREPARE that was parsed.
        identity: user and database that the log-in under way asks for.
    """

    def __init__(self, protocol: WireProtocol, session: MySQLSession, ledger: Ledger) -> None:
        super().__init__()
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.head: RequestHead | None = None
        self.file = False
        self.endless = False
        self.prepared = b""
        self.identity: tuple[bytes, bytes] = (b"", b"")
        self._query = RequestHead("QUERY")

    # -- nobody watches ----------------------------------------
    def skim(self, data: Buffer) -> None:
        """Whole plain queries are told by their headers; everything else goes through feed()."""
        at, size = 0, len(data)
        session = self.session
        quick = not (self.open or self.kept or session.infile or session.tunnel)
        if quick and session.phase == "commands" and not (session.changing or session.blind):
            attributes = session.has(QUERY_ATTRIBUTES)
            request = self.ledger.request
            while size - at > 4:
                word: int = WORD.unpack_from(data, at)[0]
                if not 0 < word < FULL or at + 4 + word > size or data[at + 4] != _QUERY:
                    break
                begin = at + 5
                if attributes:
                    if word < 4 or data[begin]:
                        break
                    begin += 2
                if changes_session(data, begin, min(begin + HEAD_BYTES, at + 4 + word)):
                    break
                request(self._query)
                session.progress = 0
                at += 4 + word
        if at < size:
            skim_requests(self, self.protocol, session, self.ledger, memoryview(data)[at:])

    # -- a packet ----------------------------------------
    def _next(self, view: Any, size: int) -> Piece | None:
        if self.endless:
            at, self.at = self.at, size
            return Piece(view[at:])
        return super()._next(view, size)

    def _expect(self, seq: int) -> None:
        super()._expect(seq)
        if self.head is not None:
            self.head.seq = seq

    def _packet(self, view: Any, at: int, size: int, length: int, seq: int) -> Piece | None:
        session = self.session
        if self.open:  # the next packet of a file
            self._expect(seq)
            return self._file(view, at, size, length, seq)
        if session.tunnel:
            self.open = self.endless = True
            self.at = size
            head = RequestHead("TUNNEL", replies=False, asked=False)
            return Piece(view[at:], head, False, False, seq)
        if session.infile:
            self.head = self._session_head("INFILE", None, length, seq)
            self.seq = (seq + 1) & 255
            self.open = self.file = True
            piece = self._file(view, at, size, length, seq)
            piece.start = self.head
            return piece
        if session.blind:
            raise ProtocolError(BLIND)
        logs_in = session.phase != "commands" or (session.changing and seq != 0)
        most = HEAD_BYTES
        if not logs_in and size - at > 4 and view[at + 4] == _LONG_DATA:
            most = 7
        payload = self._peek(view, at, size, length, most)
        if payload is None:
            return None
        if logs_in:
            head = self._log_in(payload, length, seq)
        else:
            head = self._command(payload, length, seq)
        self.head = head
        self.seq = (seq + 1) & 255
        self.more = length == FULL
        self.open = self.last = True
        piece = self._piece(view, at, size, length, seq)
        piece.start = head
        return piece

    def _file(self, view: Any, at: int, size: int, length: int, seq: int) -> Piece:
        """A packet of a file: the empty one is the last."""
        self.last = length == 0
        if self.last:
            self.file = False
            self.session.infile = False
        self.more = length == FULL
        return self._piece(view, at, size, length, seq)

    def _session_head(self, command: str, framing: Hashable, length: int, seq: int) -> RequestHead:
        session = self.session
        head = RequestHead(command, asked=False, framing=framing, seq=seq)
        head.user, head.database = session.user, session.database
        head.size = length
        head.in_transaction = session.in_transaction
        return head

    # -- logging in ----------------------------------------
    def _log_in(self, payload: bytes, length: int, seq: int) -> RequestHead:
        session = self.session
        if session.phase == "greeting":
            if not session.offered:
                raise ProtocolError("the client speaks before the server has greeted")
            said: Handshake = handshake(payload)
            if said.capabilities & SSL and not said.user_follows:
                raise ProtocolError(
                    "the client has chosen TLS; its messages cannot be seen: only faults on"
                    " connections and bytes strike"
                )
            self.identity = (said.user, said.database)
            head = self._session_head("LOGIN", ("auth", *self.identity), length, seq)
            head.capabilities = said.capabilities & session.offered
        else:
            head = self._session_head("AUTH", ("auth", *self.identity), length, seq)
            head.capabilities = session.capabilities
        head.user, head.database = self.identity
        return head

    # -- commands ----------------------------------------
    def _command(self, payload: bytes, length: int, seq: int) -> RequestHead:
        if seq:
            raise ProtocolError(f"a command with sequence id {seq}")
        session = self.session
        session.progress = 0
        code = payload[0] if payload else 0
        name = COMMANDS.get(code) or f"COM_{code}"
        head = RequestHead(
            name,
            replies=name not in SILENT,
            asked=name != "SEMI_SYNC_ACK",
            framing=FRAMINGS.get(name),
            seq=seq,
            whole=length <= HEAD_BYTES,
            database=session.database,
            user=session.user,
            in_transaction=session.in_transaction,
            size=length,
            capabilities=session.capabilities,
        )
        if name == "QUERY":
            begin = 1
            if session.has(QUERY_ATTRIBUTES):
                begin = behind_attributes(payload)
            head.sql = payload[begin:]
            head.effect = changes_session(payload, begin, len(payload))
            used = used_database(head.sql) if head.effect else None
            if used is not None:
                head.framing = ("database", used)
        elif name == "STMT_PREPARE":
            self.prepared = head.sql = payload[1:]
            head.framing = ("prepare", head.sql)
        elif name.startswith("STMT_"):
            self._of_statement(head, payload)
        elif name == "INIT_DB":
            head.framing = ("database", payload[1:])
        elif name == "CHANGE_USER":
            self.identity = change_user(payload, session.capabilities)
            head.user, head.database = self.identity
            head.framing = ("auth", *self.identity)
        return head

    def _of_statement(self, head: RequestHead, payload: bytes) -> None:
        """What names a prepared statement has its text."""
        number = int.from_bytes(payload[1:5], "little")
        if len(payload) < 5:
            return
        if number == LAST_PREPARED:
            head.sql = self.prepared
            head.plain = False
            return
        head.statement_id = number
        statement = self.session.statements.get(number)
        if statement is None:
            return
        head.sql = statement.sql
        if head.command == "STMT_EXECUTE":
            head.types = statement.types
            types, values = bound_types(payload, statement.parameters, head.capabilities)
            if types is not None:
                head.types = types
            head.payload = values
            head.plain = not (statement.long_data or (payload[5:6] != b"\0" and payload[5] & 7))
