"""What both directions of a MySQL connection know, and the heads of its messages.

The phases of a connection: greeting (the server speaks), login (handshake response, then as many
rounds as the plugin wants), commands; COM_CHANGE_USER opens such rounds again, LOCAL INFILE a
stretch of file packets.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from rascal.wire.mysql_packets import (
    COMPRESS,
    IN_TRANSACTION,
    QUERY_ATTRIBUTES,
    ZSTD,
    Capabilities,
    text,
)
from rascal.wire.mysql_sql import keyword
from rascal.wire.types import Head, Session

Phase = Literal["greeting", "login", "commands"]

BLIND = (
    "the client has chosen compression; its messages cannot be seen: only faults on connections"
    " and bytes strike"
)

MOST_STATEMENTS = 20_000
"""Prepared statements that are remembered; servers allow 16,382 in all by default."""
MOST_TEXT = 1 << 20
"""Bytes of their texts; beyond it only the beginning of each further text is kept."""
BEGINNING = 256

RUNS = frozenset(("QUERY", "STMT_EXECUTE", "STMT_BULK_EXECUTE"))
"""Commands that run a statement."""
LOGS_IN = frozenset(("LOGIN", "AUTH", "CHANGE_USER"))


@dataclass(slots=True)
class Statement:
    """A prepared statement, as the server has numbered it."""

    sql: bytes
    parameters: int = 0
    types: int = 0
    """A hash of the parameter types that were bound last."""
    long_data: bool = False


@dataclass(slots=True)
class RequestHead(Head):
    """A command. `sql` holds what fits into HEAD_BYTES; `whole`: that is all of it.

    A prepared statement's text stands in `sql` of everything that names the statement.
    """

    sql: bytes = b""
    whole: bool = True
    database: bytes = b""
    user: bytes = b""
    in_transaction: bool = False
    size: int = 0
    statement_id: int = -1
    payload: bytes = b""
    capabilities: Capabilities = 0
    types: int = 0
    effect: bool = False
    """Its SQL may change the database or the transaction."""
    plain: bool = True
    """Its execution can be told from another by its bytes: no cursor, no long data."""

    def value(self, name: str) -> Any:
        if name == "command":
            return self.command
        if name == "statement":
            return self.statement() or None
        if name == "sql":
            return text(self.sql) if self.sql else None
        if name == "database":
            return text(self.database) or None
        if name == "user":
            return text(self.user) or None
        if name == "in_transaction":
            return self.in_transaction
        if name == "size":
            return self.size
        return None

    def statement(self) -> str:
        """The first keyword of the SQL that this command runs."""
        return keyword(self.sql) if self.command in RUNS else ""

    def identity(self) -> Hashable | None:
        """Reads only: the same statement, parameters, database and dialect of the replies."""
        if not self.whole or not self.plain or self.statement() not in READS:
            return None
        dialect = (self.database, self.user, self.capabilities & ~QUERY_ATTRIBUTES)
        return (*dialect, self.command, self.sql, self.types, self.payload)


READS = frozenset(("SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "WITH", "TABLE", "VALUES"))


@dataclass(slots=True)
class ReplyHead(Head):
    """A reply. `command`: GREETING, OK, ERR, ROWS, EOF, PREPARED, INFILE, SWITCH, MORE, TEXT …"""

    error: int | None = None
    sqlstate: str = ""
    capabilities_at: int = 0
    """In a greeting: where its lower and upper capabilities stand."""

    def value(self, name: str) -> Any:
        if name == "reply":
            return self.command
        if name == "error":
            return self.error
        return None


@dataclass(slots=True)
class MySQLSession(Session):
    """Facts of one connection.

    Attributes:
        negotiate: TLS and compression are taken out of the greeting.
        phase: see above. changing: COM_CHANGE_USER is under way.
        infile: the server has asked for a file and not yet got its end.
        tunnel: what follows is no command (clone, group replication).
        version: of the server, as it greeted; mariadb: it is one.
        offered: capabilities of the server; capabilities: what both have.
        status: flags of the last OK or EOF.
        statements: by the id that the server gave.
        progress: packets of progress before the reply to the last request.
    """

    negotiate: bool = True
    phase: Phase = "greeting"
    changing: bool = False
    infile: bool = False
    tunnel: bool = False
    version: bytes = b""
    mariadb: bool = False
    offered: Capabilities = 0
    capabilities: Capabilities = 0
    status: int = 2
    user: bytes = b""
    database: bytes = b""
    statements: dict[int, Statement] = field(default_factory=dict)
    text: int = 0
    progress: int = 0

    @property
    def in_transaction(self) -> bool:
        """As the server last said, or as the last forwarded statement will make it."""
        return bool(self.status & IN_TRANSACTION)

    @property
    def blind(self) -> bool:
        """What follows the log-in is compressed."""
        return self.phase == "commands" and bool(self.capabilities & (COMPRESS | ZSTD))

    def has(self, capability: Capabilities) -> bool:
        """Whether both sides have agreed on it."""
        return bool(self.capabilities & capability)

    # -- by requests ----------------------------------------
    def forwarded(self, head: RequestHead) -> None:
        """The server will see this request."""
        command = head.command
        if command == "QUERY":
            if not head.effect:
                return
            word = keyword(head.sql)
            if word in ("BEGIN", "START"):
                self.status |= IN_TRANSACTION
            elif word in ("COMMIT", "ROLLBACK") and b"SAVEPOINT" not in head.sql[:256].upper():
                self.status &= ~IN_TRANSACTION
        elif command == "LOGIN":
            self.phase = "login"
            self.capabilities = head.capabilities
        elif command == "CHANGE_USER":
            self.changing = True
        elif command in ("CLONE", "SUBSCRIBE_GROUP_REPLICATION"):
            self.tunnel = True
        elif head.statement_id >= 0:
            self._on_statement(head)

    def _on_statement(self, head: RequestHead) -> None:
        statement = self.statements.get(head.statement_id)
        if statement is None:
            return
        if head.command == "STMT_CLOSE":
            self.text -= len(statement.sql)
            del self.statements[head.statement_id]
        elif head.command == "STMT_SEND_LONG_DATA":
            statement.long_data = True
        elif head.command == "STMT_RESET":
            statement.long_data = False
        elif head.command == "STMT_EXECUTE":
            statement.types = head.types
            statement.long_data = False

    # -- by replies ----------------------------------------
    def prepared(self, number: int, sql: bytes, parameters: int) -> None:
        """The server has numbered a statement."""
        if number in self.statements:
            self.text -= len(self.statements.pop(number).sql)
        while len(self.statements) >= MOST_STATEMENTS:
            self.text -= len(self.statements.pop(next(iter(self.statements))).sql)
        if self.text + len(sql) > MOST_TEXT:
            sql = sql[:BEGINNING]
        self.text += len(sql)
        self.statements[number] = Statement(sql, parameters)

    def applied(self, effect: Hashable) -> None:
        """The server has said OK to a request with this effect."""
        if not isinstance(effect, tuple):
            return
        what = effect[0]
        if what == "database":
            self.database = effect[1]
        elif what == "auth":
            self.user, self.database = effect[1], effect[2]
            self.phase = "commands"
            self.changing = False
            self.forget()
        elif what == "reset":
            self.forget()

    def forget(self) -> None:
        """Statements do not outlive their session."""
        self.statements.clear()
        self.text = 0
