"""MySQL and MariaDB.

The server greets: the connection itself is exchange 0, CONNECT, its reply the greeting or an
error. Logging in is LOGIN, further rounds of it AUTH; neither is numbered, nor are the packets
of a LOCAL INFILE (INFILE). Then commands, by their names without COM_: QUERY, STMT_EXECUTE, PING.

`statement` is the first keyword of the SQL that a command RUNS: QUERY, STMT_EXECUTE and
STMT_BULK_EXECUTE. STMT_PREPARE runs nothing and has `sql` only: match command=STMT_PREPARE.

TLS and compression hide messages. `negotiate` (on unless said otherwise) takes both out of the
greeting, so that clients do without; a client that insists on TLS says so and leaves (MariaDB's
from 11.4 on do unless told not to verify). Passwords are then asked for as on any connection
without TLS: by a scramble, for caching_sha2_password at times through the server's RSA key. Two
clients must be told to use neither: mysql-connector-python compresses whether it was offered or
not, and MariaDB's library then sends a caching_sha2_password in clear.

Where the client chooses TLS or compression all the same, or with `negotiate = no`, the connection
is relayed as bytes from there on, which is noted (the codec raises ProtocolError between two
messages, with nothing owed).

Modules beside this one: mysql_packets (framing), mysql_session (facts and heads), mysql_requests,
mysql_replies and mysql_results (codecs), mysql_arguments, mysql_sql, mysql_errors (catalogue),
mysql_answers (what the proxy says itself).

Source: MySQL Internals Manual, "Client/Server Protocol"; MariaDB Knowledge Base, "clientserver
protocol".
"""

from __future__ import annotations

from rascal.options import Option, Options, OptionTable
from rascal.wire.mysql_answers import (
    emptied,
    empty_reply,
    error_answer,
    replaced,
    rerendered,
    terminated,
)
from rascal.wire.mysql_errors import ERRORS, error_named
from rascal.wire.mysql_packets import COMPRESS, SSL, ZSTD
from rascal.wire.mysql_replies import ReplyCodec
from rascal.wire.mysql_requests import COMMANDS, RequestCodec
from rascal.wire.mysql_session import MySQLSession, ReplyHead, RequestHead
from rascal.wire.types import (
    COMMON_FIELDS,
    Answer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)

_USUAL = """
ALTER BEGIN CALL COMMIT CREATE DELETE DROP INSERT REPLACE ROLLBACK SELECT SET SHOW START UPDATE WITH
"""


class MySQL(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "mysql"
    title = "MySQL and MariaDB"
    greets = True
    part = "rows"
    usual = frozenset((*COMMANDS.values(), *_USUAL.split()))
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "QUERY, STMT_PREPARE, STMT_EXECUTE, PING …", folded=True),
        Field(
            "statement",
            "word",
            "first keyword of the SQL that is run, prepared or not: INSERT, COMMIT",
            folded=True,
        ),
        Field("sql", "text", "the SQL, up to 64 KiB; of prepared statements too", folded=True),
        Field("database", "text", "the database in use"),
        Field("user", "text", "who has logged in"),
        Field("in_transaction", "flag", "a transaction is open before this request"),
        Field("size", "size", "length of the request's (first) packet"),
        Field("reply", "word", "OK, ERR, ROWS, EOF, PREPARED, GREETING …", "reply", True),
        Field("error", "number", "code of the error, such as 1213", "reply"),
    )
    errors = ERRORS
    options = OptionTable(
        Option(
            "negotiate",
            "flag",
            "take TLS and compression out of the greeting, so that messages can be seen",
            True,
        ),
    )
    error_options = OptionTable(
        Option("sqlstate", "text", "SQLSTATE of the error, five characters; unset: the usual one"),
        Option(
            "subject", "text", "what its text names (table, column, key …); unset: from the SQL"
        ),
    )
    replace_options = OptionTable(
        Option("value", "text", "a result of one row with this one value; unset: an OK"),
        Option("column", "text", "name of its column", "value"),
        Option("affected", "count", "rows affected, in the OK", 0),
        Option("insert_id", "count", "last insert id, in the OK", 0),
    )

    def session(self, options: Options) -> MySQLSession:
        return MySQLSession(negotiate=bool(getattr(options, "negotiate", True)))

    def codecs(self, session: MySQLSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return RequestCodec(self, session, ledger), ReplyCodec(session, ledger)

    def forwarded(self, session: MySQLSession, head: Head) -> None:
        if isinstance(head, RequestHead):
            session.forwarded(head)

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        return (False, bool(getattr(options, "negotiate", True)))

    def rewritten(self, session: MySQLSession) -> bool:
        """Only the greeting is changed."""
        return session.phase != "greeting"

    def rewrite_head(self, session: MySQLSession, head: Head, data: bytes) -> bytes | None:
        """The greeting without TLS and compression."""
        if not isinstance(head, ReplyHead) or not head.capabilities_at or not session.negotiate:
            return None
        low, high = head.capabilities_at, head.capabilities_at + 5
        changed = bytearray(data)
        flags = int.from_bytes(data[low : low + 2] + data[high : high + 2], "little")
        flags &= ~(SSL | COMPRESS | ZSTD)
        changed[low : low + 2] = flags.to_bytes(4, "little")[:2]
        changed[high : high + 2] = flags.to_bytes(4, "little")[2:]
        return bytes(changed)

    def classed(self, head: Head) -> str:
        """By the statement rather than QUERY."""
        return head.value("statement") or head.command

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: MySQLSession, head: Head, call: ErrorCall) -> Answer:
        return error_answer(session, head, call)

    def terminate(
        self, session: MySQLSession, head: Head, mark: int, call: ErrorCall | None
    ) -> bytes | None:
        return terminated(session, head, mark, call)

    def empty(self, session: MySQLSession, head: Head) -> bytes | None:
        return empty_reply(session, head)

    def emptied(self, session: MySQLSession, head: Head, reply: bytes) -> bytes | None:
        return emptied(session, head, reply)

    def replacement(self, session: MySQLSession, head: Head, options: Options) -> bytes | None:
        return replaced(session, head, options)

    def rerender(self, session: MySQLSession, head: Head, kept: bytes) -> bytes | None:
        return rerendered(session, head, kept)

    def answers_late(self, head: Head) -> bool:
        """A request of several packets: the reply's sequence id follows that of the last."""
        if not isinstance(head, RequestHead):
            return False
        return head.command == "INFILE" or head.size >= 0xFFFFFF


PROTOCOL: WireProtocol = MySQL()
