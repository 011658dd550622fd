"""Replies that the proxy makes itself: errors, ends of results, OKs, and kept replies anew.

Each carries the sequence id that the client waits for, and the flags that the server's next
status would have.

A result set cannot be made up: its columns are known to the server alone. So `empty` at the
moment of the request says "0 rows affected" to UPDATE and DELETE and nothing to a SELECT; at the
moment of the reply (`emptied`) it takes the rows out of the real one.
"""

from __future__ import annotations

import re
from typing import Any

from rascal.errors import ProtocolError
from rascal.options import Options
from rascal.wire.mysql_errors import MARIADB
from rascal.wire.mysql_packets import (
    CACHE_METADATA,
    CURSOR_EXISTS,
    DEPRECATE_EOF,
    FULL,
    IN_TRANSACTION,
    LAST_ROW_SENT,
    MORE_RESULTS,
    OPTIONAL_METADATA,
    QUERY_ATTRIBUTES,
    SESSION_TRACK,
    STATE_CHANGED,
    WORD,
    as_lenenc,
    as_string,
    lenenc,
    packet,
    text,
)
from rascal.wire.mysql_replies import ReplyCodec
from rascal.wire.mysql_results import DEFS
from rascal.wire.mysql_session import LOGS_IN, RUNS, MySQLSession, RequestHead
from rascal.wire.mysql_sql import first_table
from rascal.wire.types import Answer, ErrorCall, Head, Ledger

_HANDLERS = {  # MariaDB's; MySQL always says mysql_stmt_precheck
    "STMT_EXECUTE": "mysqld_stmt_execute",
    "STMT_BULK_EXECUTE": "mysqld_stmt_bulk_execute",
    "STMT_RESET": "mysqld_stmt_reset",
    "STMT_FETCH": "mysqld_stmt_fetch",
}
_UNREPLACED = frozenset(
    ("BEGIN", "START", "COMMIT", "ROLLBACK", "USE", "SET", "PREPARE", "EXECUTE", "DEALLOCATE")
) | {"LOAD", "LOCK", "UNLOCK", "XA"}
"""Statements whose effect the client relies on: a made-up OK would part the two sides."""
ROWED = RUNS | {"STMT_FETCH", "PROCESS_INFO"}
"""Commands whose replies may have rows."""
_PLACE = re.compile(r"\{(\w+)\}")

# -- errors ----------------------------------------


def error_packet(session: MySQLSession, head: Head, seq: int, call: ErrorCall) -> bytes:
    """0xFF, code, `#` SQLSTATE (not before the client has spoken), text."""
    spec = call.spec
    code, state, words = int(spec.code), spec.sqlstate or "HY000", spec.text
    if session.mariadb and spec.name in MARIADB:
        code, state, words = MARIADB[spec.name]
    given = call.extra.get("sqlstate")
    if given:
        state = str(given)[:5].ljust(5, "0")
    words = _filled(words, session, head, call.extra) if call.text is None else call.text
    body = b"\xff" + code.to_bytes(2, "little")
    if head.command != "CONNECT":
        body += b"#" + state.encode("latin-1", "replace")
    return packet(seq, body + words.encode("utf-8", "surrogateescape")[:512])


def _filled(template: str, session: MySQLSession, head: Head, extra: Any) -> str:
    if "{" not in template:
        return template
    asked = head if isinstance(head, RequestHead) else RequestHead(head.command)
    sql = text(asked.sql)
    database, table = first_table(sql)
    subject = str(extra.get("subject") or "")
    handler = "mysql_stmt_precheck"
    if session.mariadb:
        handler = _HANDLERS.get(head.command, "mysqld_stmt_execute")
    values = {
        "user": text(asked.user or session.user),
        "host": "localhost",
        "database": database or text(asked.database or session.database),
        "table": subject or table,
        "column": subject or "id",
        "key": subject or "PRIMARY",
        "near": subject or sql[:80],
        "id": str(max(asked.statement_id, 0)),
        "handler": handler,
    }
    if "{table}" not in template and subject:
        values["database"] = values["user"] = subject
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)


def reply_seq(session: MySQLSession, head: Head) -> int:
    """The sequence id of the next packet to the client, in reply to `head`."""
    if head.command == "CONNECT":
        return 0
    return head.seq + 1 + session.progress & 255


def error_answer(session: MySQLSession, head: Head, call: ErrorCall) -> Answer:
    """An error, and a ROLLBACK where the server would have rolled back."""
    seq = reply_seq(session, head)
    if (
        call.spec.name == "idle_timeout" and head.command not in LOGS_IN
    ):  # it was sent before the request came
        seq = 0
    reply = error_packet(session, head, seq, call)
    upstream: tuple[tuple[Head, bytes], ...] = ()
    if call.spec.rolls_back and session.in_transaction and head.command not in LOGS_IN:
        upstream = (rollback(session),)
        session.status &= ~IN_TRANSACTION
    # A file that is answered instead leaves the server waiting for the rest of it.
    closes = call.spec.closes or head.command in LOGS_IN or head.command in ("CONNECT", "INFILE")
    return Answer(reply, upstream, closes)


def rollback(session: MySQLSession) -> tuple[Head, bytes]:
    """The proxy's own request."""
    attributes = b"\0\1" if session.has(QUERY_ATTRIBUTES) else b""
    head = RequestHead("QUERY", asked=False, sql=b"ROLLBACK", effect=True)
    return head, packet(0, b"\x03" + attributes + head.sql)


def terminated(
    session: MySQLSession, head: Head, mark: int, call: ErrorCall | None
) -> bytes | None:
    """The end of a result that stands between two rows."""
    if head.command not in ROWED and head.framing != "stream":
        return None
    if call is not None:
        return error_packet(session, head, mark, call)
    status = session.status & ~(MORE_RESULTS | STATE_CHANGED)
    if head.command == "STMT_FETCH":
        status |= LAST_ROW_SENT
    else:
        status &= ~CURSOR_EXISTS
    return packet(mark, _end(session, status))


def _end(session: MySQLSession, status: int) -> bytes:
    """What ends rows: an EOF, or an OK that looks like one."""
    flags = status.to_bytes(2, "little")
    if session.has(DEPRECATE_EOF):
        return b"\xfe\0\0" + flags + b"\0\0"
    return b"\xfe\0\0" + flags


# -- OKs and single values ----------------------------------------


def _ok(session: MySQLSession, affected: int = 0, insert_id: int = 0) -> bytes:
    status = session.status & ~(MORE_RESULTS | STATE_CHANGED | CURSOR_EXISTS | LAST_ROW_SENT)
    body = b"\0" + as_lenenc(affected) + as_lenenc(insert_id) + status.to_bytes(2, "little")
    return body + b"\0\0"


def empty_reply(session: MySQLSession, head: Head) -> bytes | None:
    """Nothing was there to change. A SELECT's columns are not known: None."""
    if isinstance(head, RequestHead) and head.statement() in ("UPDATE", "DELETE"):
        return packet(reply_seq(session, head), _ok(session))
    return None


def replaced(session: MySQLSession, head: Head, options: Options) -> bytes | None:
    """An OK with these counts, or a result of one row with one column."""
    if not isinstance(head, RequestHead) or head.statement() in (*_UNREPLACED, ""):
        return None
    seq = reply_seq(session, head)
    value = getattr(options, "value", None)
    if value is None:
        return packet(seq, _ok(session, int(options.affected), int(options.insert_id)))
    column = str(options.column or "value").encode("utf-8", "surrogateescape")
    cell = as_string(str(value).encode("utf-8", "surrogateescape"))
    flagged = session.has(OPTIONAL_METADATA) or session.has(CACHE_METADATA)
    bodies = [b"\1" + (b"\1" if flagged else b""), _definition(session, column)]
    status = session.status & ~(MORE_RESULTS | STATE_CHANGED | CURSOR_EXISTS | LAST_ROW_SENT)
    if not session.has(DEPRECATE_EOF):
        bodies.append(_end(session, status))
    bodies.append((b"" if head.command == "QUERY" else b"\0\0") + cell)
    bodies.append(_end(session, status))
    return b"".join(packet(seq + at, body) for at, body in enumerate(bodies))


def _definition(session: MySQLSession, name: bytes) -> bytes:
    """def, schema, table, original table, name, original name, [MariaDB: extended types], and
    character set (utf8mb4), length, type (VAR_STRING), flags, decimals."""
    extended = b"\0" if session.capabilities & 1 << 35 else b""
    names = as_string(b"def") + b"\0\0\0" + as_string(name) + b"\0" + extended
    return names + b"\x0c\x2d\x00" + b"\xff\xff\x00\x00" + b"\xfd" + b"\0\0" + b"\x1f" + b"\0\0"


# -- kept and changed replies ----------------------------------------


class _Alone(Ledger):
    """The books of a codec that reads one reply."""

    def __init__(self, framing: Any) -> None:
        self.due = framing

    def framing(self) -> Any:
        return self.due

    def request(self, head: Head) -> None: ...

    def replied(self) -> None: ...


def _packets(session: MySQLSession, head: Head, reply: bytes) -> list[tuple[bytes, str]] | None:
    """The payloads of a whole reply, and what each is: row, status or other. None: it is none."""
    own = MySQLSession(phase="commands", capabilities=session.capabilities)
    own.offered, own.mariadb = 1, session.mariadb
    framing = head.framing if not isinstance(head.framing, tuple) else None
    codec = ReplyCodec(own, _Alone(framing))
    found: list[tuple[bytes, str]] = []
    at = 0
    try:
        while at + 4 <= len(reply):
            word: int = WORD.unpack_from(reply, at)[0]
            length = word & FULL
            if length == FULL:
                return None
            before = codec.state
            whole = reply[at : at + 4 + length]
            pieces = list(codec.feed(whole))
            payload = whole[4:]
            at += 4 + length
            what = "other"
            if payload[:1] == b"\xff":
                what = "error"
            elif any(piece.part for piece in pieces):
                what = "row"
            elif before != DEFS and payload[:1] in (b"\0", b"\xfe"):
                what = "status"
            found.append((payload, what))
            if any(piece.end for piece in pieces) != (at == len(reply)):
                return None
    except ProtocolError:
        return None
    return found if at == len(reply) and found else None


def _numbered(session: MySQLSession, head: Head, bodies: list[bytes]) -> bytes:
    seq = reply_seq(session, head)
    return b"".join(packet(seq + at, body) for at, body in enumerate(bodies))


def emptied(session: MySQLSession, head: Head, reply: bytes) -> bytes | None:
    """The real reply without its rows; None where it has none."""
    if head.command not in ROWED:
        return None
    packets = _packets(session, head, reply)
    if packets is None or not any(what == "row" for _, what in packets):
        return None
    return _numbered(session, head, [body for body, what in packets if what != "row"])


def rerendered(session: MySQLSession, head: Head, kept: bytes) -> bytes | None:
    """A kept reply with this exchange's sequence ids and the transaction as it is now."""
    if not isinstance(head, RequestHead) or head.identity() is None:
        return None
    packets = _packets(session, head, kept)
    if packets is None:
        return None
    now = session.status & IN_TRANSACTION
    bodies = []
    for body, what in packets:
        bodies.append(_with_transaction(session, body, now) if what == "status" else body)
    return _numbered(session, head, bodies)


def _with_transaction(session: MySQLSession, body: bytes, now: int) -> bytes:
    """An OK or EOF with this transaction flag, and without changes of the session."""
    if body[:1] == b"\xfe" and len(body) == 5:
        at = 3
    else:
        _, at = lenenc(body, 1)
        _, at = lenenc(body, at)
    status = int.from_bytes(body[at : at + 2], "little") & ~IN_TRANSACTION | now
    if status & STATE_CHANGED and session.has(SESSION_TRACK):
        status &= ~STATE_CHANGED
        body = body[: at + 4]
    return body[:at] + status.to_bytes(2, "little") + body[at + 2 :]
