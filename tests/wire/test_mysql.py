"""The MySQL codecs: framing, phases, heads, answers."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from books import Books, bytewise, cuts
from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.errors import ProtocolError
from rascal.wire import mysql_packets as wire
from rascal.wire.mysql import PROTOCOL
from rascal.wire.mysql_errors import ERRORS
from rascal.wire.mysql_packets import as_lenenc, as_string, packet
from rascal.wire.mysql_session import MOST_STATEMENTS, MOST_TEXT
from rascal.wire.mysql_sql import changes_session, first_table, keyword, used_database
from rascal.wire.types import HEAD_BYTES, ErrorCall, Head

BASE = wire.LONG_PASSWORD | wire.PROTOCOL_41 | wire.SECURE_CONNECTION | wire.PLUGIN_AUTH
ALL = 0xFFFFFFFF | 0x1D << 32


def greeting(flags: int = ALL, version: bytes = b"9.7.4", status: int = 2) -> bytes:
    low, high, own = flags & 0xFFFF, flags >> 16 & 0xFFFF, flags >> 32
    body = b"\x0a" + version + b"\0" + b"\1\0\0\0" + b"12345678" + b"\0"
    body += low.to_bytes(2, "little") + b"\x2d" + status.to_bytes(2, "little")
    body += high.to_bytes(2, "little") + b"\x15" + bytes(6) + own.to_bytes(4, "little")
    return packet(0, body + b"123456789012\0caching_sha2_password\0")


def response(flags: int, user: bytes = b"joe", database: bytes = b"shop", seq: int = 1) -> bytes:
    flags |= wire.CONNECT_WITH_DB
    body = (flags & 0xFFFFFFFF).to_bytes(4, "little") + bytes(5) + bytes(19)
    body += (flags >> 32).to_bytes(4, "little")
    return packet(seq, body + user + b"\0" + b"\x04auth" + database + b"\0plugin\0")


def ok(seq: int = 1, status: int = 2, head: int = 0, more: bytes = b"") -> bytes:
    return packet(seq, bytes((head, 0, 0)) + status.to_bytes(2, "little") + b"\0\0" + more)


def eof(seq: int, status: int = 2) -> bytes:
    return packet(seq, b"\xfe\0\0" + status.to_bytes(2, "little"))


def err(seq: int, code: int, state: bytes = b"#HY000", text: bytes = b"no") -> bytes:
    return packet(seq, b"\xff" + code.to_bytes(2, "little") + state + text)


DEF = b"\x03def\0\0\0\1a\1a\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"


def numbered(*payloads: bytes, seq: int = 1) -> bytes:
    return b"".join(packet(seq + at & 255, payload) for at, payload in enumerate(payloads))


def logged_in(flags: int = 0, skims: bool = False, **options: Any) -> Books:
    """Books of a connection that is ready for commands."""
    these = Books(PROTOCOL, skims=skims, **options)
    server = ALL if flags >> 32 == 0 else ALL & ~wire.LONG_PASSWORD
    client = flags | (BASE & ~wire.LONG_PASSWORD if flags >> 32 else BASE)
    these.down(greeting(server))
    these.up(response(client))
    these.down(ok(2))
    assert these.session.phase == "commands"
    return these


def com(code: int, payload: bytes = b"") -> bytes:
    return packet(0, bytes((code,)) + payload)


def query(sql: str | bytes) -> bytes:
    return com(3, sql.encode() if isinstance(sql, str) else sql)


def last(these: Books) -> Any:
    return these.requests[-1].head


# -- the connection phase ----------------------------------------


def test_the_greeting_and_a_login() -> None:
    these = Books(PROTOCOL)
    these.down(greeting())
    assert these.replies[0].head.command == "GREETING"
    these.up(response(BASE | wire.DEPRECATE_EOF))
    head = last(these)
    assert (head.command, head.asked, head.replies, head.seq) == ("LOGIN", False, True, 1)
    assert (head.value("user"), head.value("database")) == ("joe", "shop")
    assert these.session.user == b""
    these.down(ok(2))
    assert (these.session.user, these.session.database) == (b"joe", b"shop")
    assert these.session.has(wire.DEPRECATE_EOF)
    assert not these.session.has(wire.SESSION_TRACK)
    assert not these.outstanding


FULL_AUTH = [
    ("down", packet(2, b"\x01\x04")),
    ("up", packet(3, b"\x02")),
    ("down", packet(4, b"\x01-----BEGIN PUBLIC KEY-----")),
    ("up", packet(5, b"e" * 256)),
    ("down", ok(6)),
]
SWITCH = [
    ("down", packet(2, b"\xfemysql_native_password\0" + b"n" * 20 + b"\0")),
    ("up", packet(3, b"h" * 20)),
    ("down", ok(4)),
]
FAST = [("down", packet(2, b"\x01\x03") + ok(3))]
DIALOG = [
    ("down", packet(2, b"\xfedialog\0\2Password: ")),
    ("up", packet(3, b"a\0")),
    ("down", packet(4, b"\4PIN")),
    ("up", packet(5, b"b\0")),
    ("down", ok(6)),
]


@pytest.mark.parametrize(("rounds", "auths"), [(FULL_AUTH, 2), (SWITCH, 1), (FAST, 0), (DIALOG, 2)])
@pytest.mark.parametrize("cut", [False, True])
def test_rounds_of_authentication(rounds: Any, auths: int, cut: bool) -> None:
    these = Books(PROTOCOL)
    these.down(greeting())
    these.up(response(BASE))
    for way, data in rounds:
        chunks = bytewise(data) if cut else [data]
        (these.up if way == "up" else these.down)(*chunks)
    assert [m.head.command for m in these.requests[1:]] == ["AUTH"] * auths
    assert these.session.phase == "commands"
    assert not these.outstanding
    these.up(query("SELECT 1"))
    assert last(these).value("user") == "joe"
    assert these.counted == 1


def test_an_error_instead_of_the_greeting() -> None:
    these = Books(PROTOCOL)
    these.down(packet(0, b"\xff\x10\x04Too many connections"))
    head = these.replies[0].head
    assert (head.command, head.value("error"), head.sqlstate) == ("ERR", 1040, "")
    assert not these.outstanding


def test_a_refused_login() -> None:
    these = Books(PROTOCOL)
    these.down(greeting())
    these.up(response(BASE))
    these.down(err(2, 1045, b"#28000"))
    assert these.replies[-1].head.value("error") == 1045
    assert these.session.phase == "login"


def test_tls_goes_raw_where_it_was_chosen() -> None:
    these = Books(PROTOCOL, negotiate=False)
    these.down(greeting())
    request = packet(1, (BASE | wire.SSL).to_bytes(4, "little") + bytes(28))
    with pytest.raises(ProtocolError, match="TLS"):
        these.up(request)
    assert these.to_upstream.codec.undecided() == request
    assert not these.outstanding


@pytest.mark.parametrize("flag", [wire.COMPRESS, wire.ZSTD])
@pytest.mark.parametrize("way", ["up", "down"])
def test_compression_goes_raw_behind_the_login(flag: int, way: str) -> None:
    these = logged_in(flag, negotiate=False)
    assert not these.outstanding
    with pytest.raises(ProtocolError, match="compression"):
        (these.up if way == "up" else these.down)(b"\x05\0\0\0\0\0\0\x01\0\0\0\x0e")


def test_the_greeting_is_rewritten() -> None:
    these = Books(PROTOCOL)
    (message,) = these.down(greeting(version=b"11.4.2-MariaDB"))
    changed = PROTOCOL.rewrite_head(these.session, message.head, message.data)
    assert changed is not None
    other = Books(PROTOCOL)
    other.down(changed)
    assert other.session.offered == these.session.offered & ~(wire.SSL | wire.COMPRESS | wire.ZSTD)
    assert len(changed) == len(message.data)
    assert sum(a != b for a, b in zip(changed, message.data, strict=True)) <= 3
    assert PROTOCOL.rewrites(these.options) == (False, True)
    plain = PROTOCOL.options.plain({"negotiate": False})
    assert PROTOCOL.rewrites(plain) == (False, False)


def test_only_the_greeting_is_rewritten() -> None:
    these = Books(PROTOCOL)
    assert not PROTOCOL.rewritten(these.session)
    these.down(greeting())
    assert not PROTOCOL.rewritten(these.session)
    these.up(response(BASE))
    assert PROTOCOL.rewritten(these.session)
    these.down(ok(2))
    assert PROTOCOL.rewrite_head(these.session, these.replies[-1].head, ok(2)) is None


@pytest.mark.parametrize(
    ("way", "data"),
    [
        ("down", packet(0, b"\x09old")),
        ("down", packet(0, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("up", packet(1, b"x" * 40)),
        ("up", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 70_000),
        ("up", packet(1, b"\1\2")),
    ],
)
def test_what_is_no_handshake(way: str, data: bytes) -> None:
    these = Books(PROTOCOL)
    with pytest.raises(ProtocolError):
        (these.up if way == "up" else these.down)(data)


# -- requests ----------------------------------------


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "SELECT"),
        ("  \n\t(( SELECT 1) UNION (SELECT 2))", "SELECT"),
        ("/* by */ INSERT INTO t VALUES (1)", "INSERT"),
        ("-- note\nUPDATE t SET a=1", "UPDATE"),
        ("--\nCOMMIT", "COMMIT"),
        ("# note\r\n delete from t", "DELETE"),
        ("/*!50110 SET */ NAMES utf8", "SET"),
        ("/*! */ ROLLBACK", "ROLLBACK"),
        ("/*M!100100 BEGIN */", "BEGIN"),
        ("/* a */ /* b **/ -- c\n ; WITH x AS (SELECT 1) SELECT 1", "WITH"),
        ("SELECT/*+ NO_ICP(t) */ 1", "SELECT"),
        ("/* never ends", ""),
        ("", ""),
        ("--1", ""),
        ("{call x}", ""),
        ("'x'", ""),
    ],
)
def test_keywords(sql: str, word: str) -> None:
    assert keyword(sql.encode()) == word
    these = logged_in()
    these.up(query(sql))
    assert last(these).value("statement") == (word or None)
    assert last(these).value("sql") == (sql or None)


def test_keywords_take_time_in_proportion() -> None:
    assert keyword(b"/*" * 30_000) == ""
    assert keyword(b"(" * 60_000 + b"SELECT") == "SELECT"
    assert keyword(b"/* */" * 12_000 + b"x") == "X"


def test_what_changes_a_session() -> None:
    assert used_database(b"/* x */ use `a``b` ;") == b"a`b"
    assert used_database(b"USE shop;") == b"shop"
    assert used_database(b"USER()") is None
    assert changes_session(b" -- x\n begin", 0, 13)
    assert not changes_session(b"SELECT 'use'", 0, 12)
    assert first_table("INSERT IGNORE INTO `shop` . `t` VALUES (1)") == ("shop", "t")
    assert first_table("select * from orders o") == ("", "orders")
    assert first_table("SELECT 1") == ("", "")


def test_fields_of_a_query() -> None:
    these = logged_in()
    these.up(query("UPDATE t SET a = 'ä\x00'"))
    head = last(these)
    assert head.value("command") == "QUERY"
    assert head.value("size") == 1 + len("UPDATE t SET a = 'ä\x00'".encode())
    assert head.value("in_transaction") is False
    assert (head.value("database"), head.value("user")) == ("shop", "joe")
    assert head.value("nonsense") is None
    these.down(ok(1, 3))
    these.up(query(b"SELECT '\xff'"))
    assert last(these).value("in_transaction") is True
    assert last(these).value("sql") == "SELECT '\udcff'"


def test_query_attributes_stand_before_the_sql() -> None:
    these = logged_in(wire.QUERY_ATTRIBUTES)
    these.up(query(b"\0\1SELECT 1"))
    assert last(these).value("sql") == "SELECT 1"
    names = (
        b"\x08\0" + as_string(b"n") + b"\xfe\0" + as_string(b"trace") + b"\x0c\0" + as_string(b"")
    )
    names += b"\x06\0" + as_string(b"nil")
    values = (5).to_bytes(8, "little") + as_string(b"abc") + b"\4\xe8\7\1\2"
    these.up(query(b"\4\1" + b"\x08" + b"\1" + names + values + b"COMMIT"))
    assert last(these).value("statement") == "COMMIT"
    these.up(query(b"\xff\1broken"))
    assert last(these).value("sql") is not None


@pytest.mark.parametrize(
    ("code", "name", "replies"),
    [
        (0x01, "QUIT", False),
        (0x09, "STATISTICS", True),
        (0x0E, "PING", True),
        (0x12, "BINLOG_DUMP", True),
        (0x18, "STMT_SEND_LONG_DATA", False),
        (0x19, "STMT_CLOSE", False),
        (0x1F, "RESET_CONNECTION", True),
        (0xFA, "STMT_BULK_EXECUTE", True),
        (0x77, "COM_119", True),
    ],
)
def test_commands(code: int, name: str, replies: bool) -> None:
    these = logged_in()
    these.up(com(code, b"\1\0\0\0\0\0"))
    assert (last(these).command, last(these).replies) == (name, replies)
    assert last(these).asked
    assert last(these).value("statement") is None


def test_the_database_follows() -> None:
    these = logged_in()
    steps: list[tuple[bytes, bytes, bytes]] = [
        (com(2, b"one"), ok(), b"one"),
        (com(2, b"gone"), err(1, 1049), b"one"),
        (query("/* */ USE `two`"), ok(), b"two"),
        (query("USE gone"), err(1, 1049), b"two"),
    ]
    for request, reply, database in steps:
        these.up(request)
        these.down(reply)
        assert these.session.database == database
    these.up(query("SELECT 1"))
    assert last(these).value("database") == "two"


def test_a_tracked_database() -> None:
    these = logged_in(wire.SESSION_TRACK)
    changes = b"\2" + as_string(b"\1" + b"x") + b"\1" + as_string(as_string(b"there"))
    these.up(query("CALL moves()"))
    these.down(ok(1, 2 | wire.STATE_CHANGED, 0, as_string(b"info") + as_string(changes)))
    assert these.session.database == b"there"


def test_transactions_by_statement_and_status() -> None:
    these = logged_in()
    these.up(query("BEGIN") + query("UPDATE t SET a=1") + query("COMMIT") + query("SELECT 1"))
    assert [m.head.in_transaction for m in these.requests[1:]] == [False, True, True, False]
    these.down(ok(1, 3) + ok(1, 3) + ok(1, 2))
    assert not these.session.in_transaction
    these.down(numbered(b"\1", DEF, b"\xfe\0\0\x03\0", b"\1a", b"\xfe\0\0\x03\0"))
    assert these.session.in_transaction
    these.up(query("ROLLBACK TO SAVEPOINT a"))
    assert these.session.in_transaction


def test_change_user() -> None:
    these = logged_in()
    prepare(these, "SELECT 1", 7)
    these.up(com(0x11, b"ann\0" + b"\4auth" + b"other\0\x2d\0plugin\0"))
    assert last(these).value("user") == "ann"
    assert these.session.user == b"joe"
    these.down(packet(1, b"\xfeplugin\0salt\0"))
    these.up(packet(2, b"scramble"))
    assert (last(these).command, last(these).asked) == ("AUTH", False)
    these.down(ok(3))
    assert (these.session.user, these.session.database) == (b"ann", b"other")
    assert not these.session.statements
    these.up(query("SELECT 1"))
    assert last(these).command == "QUERY"


def test_a_refused_change_of_user() -> None:
    these = logged_in()
    these.up(com(0x11, b"ann\0\0other\0"))
    these.down(err(1, 1045))
    assert these.session.user == b"joe"
    assert not these.session.changing


@pytest.mark.parametrize("data", [packet(3, b"\x03SELECT 1"), packet(255, b"\x0e")])
def test_a_command_has_sequence_id_0(data: bytes) -> None:
    these = logged_in()
    with pytest.raises(ProtocolError):
        these.up(data)
    assert these.to_upstream.codec.undecided() == data


def test_a_long_query_streams() -> None:
    these = logged_in()
    data = query(b"INSERT INTO t VALUES ('" + b"x" * 300_000 + b"')")
    these.up(data[:100])
    assert len(these.requests) == 1
    these.up(data[100:70_000])
    head = last(these)
    assert head.value("statement") == "INSERT"
    assert not head.whole
    assert head.identity() is None
    assert head.size == len(data) - 4
    assert these.to_upstream.codec.undecided() == b""
    assert not these.requests[-1].ended
    these.up(data[70_000:])
    assert these.requests[-1].ended


@pytest.mark.parametrize("extra", [0, 1, 70_000])
@pytest.mark.parametrize("skims", [False, True])
def test_packets_of_16_mib_go_on(extra: int, skims: bool) -> None:
    these = logged_in(skims=skims)
    body = b"\x03SELECT '" + bytes(wire.FULL - 9 + extra)
    data = packet(0, body)
    assert len(data) == len(body) + 8
    step = 1 << 20
    these.up(*(data[at : at + step] for at in range(0, len(data), step)))
    these.up(com(0x0E))
    assert these.counted == 2
    assert these.to_upstream.codec.under_way() == ""
    if not skims:
        assert these.requests[-2].head.seq == 1
        assert PROTOCOL.answers_late(these.requests[-2].head)
        assert len(these.requests[-2].data) == len(data)
    rows = numbered(b"\1", DEF, b"\xfe\0\0\2\0") + packet(4, b"\xfe" + bytes(wire.FULL - 1 + extra))
    rows += eof(6)
    these.down(*(rows[at : at + step] for at in range(0, len(rows), step)))
    assert len(these.outstanding) == 1
    these.down(ok())
    assert not these.outstanding
    if not skims:
        assert len(these.replies[-2].parts) == 1


def test_continuations_count_on() -> None:
    these = logged_in()
    these.up(packet(0, b"\x03" + bytes(wire.FULL))[: wire.FULL + 4])
    with pytest.raises(ProtocolError, match="sequence id"):
        these.up(packet(7, b"x"))


# -- prepared statements ----------------------------------------


def prepare(these: Books, sql: str, number: int, parameters: int = 0, columns: int = 1) -> None:
    these.up(com(0x16, sql.encode()))
    body = b"\0" + number.to_bytes(4, "little") + columns.to_bytes(2, "little")
    bodies = [body + parameters.to_bytes(2, "little") + b"\0\0\0"]
    plain = not these.session.has(wire.DEPRECATE_EOF)
    for count in (parameters, columns):
        bodies += [DEF] * count
        if count and plain:
            bodies.append(b"\xfe\0\0\2\0")
    these.down(numbered(*bodies))


def execute(number: int, *, flags: int = 0, types: bytes = b"", values: bytes = b"") -> bytes:
    body = number.to_bytes(4, "little") + bytes((flags,)) + b"\1\0\0\0"
    if types or values:
        body += b"\0" + (b"\1" + types if types else b"\0") + values
    return com(0x17, body)


@pytest.mark.parametrize("flags", [0, wire.DEPRECATE_EOF])
@pytest.mark.parametrize(("parameters", "columns"), [(0, 0), (0, 1), (2, 0), (2, 3)])
def test_prepare_and_execute(flags: int, parameters: int, columns: int) -> None:
    these = logged_in(flags)
    prepare(these, "UPDATE t SET a=1", 7, parameters, columns)
    assert not these.outstanding
    assert these.replies[-1].ended
    assert these.requests[-1].head.value("statement") is None
    assert these.requests[-1].head.value("sql") == "UPDATE t SET a=1"
    these.up(execute(7))
    assert last(these).value("statement") == "UPDATE"
    assert last(these).value("sql") == "UPDATE t SET a=1"
    these.up(com(0x19, b"\7\0\0\0") + execute(7))
    assert last(these).value("sql") is None


def test_the_last_prepared_of_mariadb() -> None:
    these = logged_in(1 << 34)
    these.up(com(0x16, b"DELETE FROM t") + com(0xFA, b"\xff\xff\xff\xff\x80\0"))
    assert last(these).command == "STMT_BULK_EXECUTE"
    assert last(these).value("statement") == "DELETE"


def test_statements_are_bounded() -> None:
    these = logged_in()
    for number in range(40):
        prepare(these, "SELECT " + "x" * 60_000, number)
    assert sum(len(s.sql) for s in these.session.statements.values()) < MOST_TEXT + 40 * 256
    for number in range(MOST_STATEMENTS + 10):
        these.session.prepared(number, b"x", 0)
    assert len(these.session.statements) == MOST_STATEMENTS
    assert these.session.text == sum(len(s.sql) for s in these.session.statements.values())


def test_long_data_is_never_kept() -> None:
    these = logged_in()
    these.up(com(0x18, b"\7\0\0\0\0\0" + b"x" * 200_000)[:50])
    assert last(these).command == "STMT_SEND_LONG_DATA"
    assert these.to_upstream.codec.undecided() == b""


def test_identity() -> None:
    these = logged_in()
    these.up(query("SELECT 1") + query("SELECT 1") + query("SELECT 2") + query("UPDATE t SET a=1"))
    one, two, three, four = (m.head.identity() for m in these.requests[1:])
    assert one is not None
    assert one == two != three
    assert four is None
    these.down(ok() * 4)
    prepare(these, "SELECT ?", 7, 1)
    same = [
        execute(7, types=b"\3\0", values=b"\1\0\0\0"),
        execute(7, values=b"\1\0\0\0"),
        execute(7, types=b"\3\0", values=b"\1\0\0\0"),
    ]
    for request in same:
        these.up(request)
    assert len({m.head.identity() for m in these.requests[-3:]}) == 1
    assert last(these).identity() is not None
    these.up(execute(7, types=b"\4\0", values=b"\1\0\0\0"))
    assert last(these).identity() not in {m.head.identity() for m in these.requests[-4:-1]}
    these.up(execute(7, flags=1, values=b"\1\0\0\0"))
    assert last(these).identity() is None
    these.up(com(0x18, b"\7\0\0\0\0\0x") + execute(7, values=b""))
    assert last(these).identity() is None


# -- replies ----------------------------------------

EOFS = (b"\xfe\0\0\2\0", b"\xfe\0\0\2\0")
REPLIES: list[tuple[str, int, bytes, bytes, str, int]] = [
    ("ok", 0, com(0x0E), ok(), "OK", 0),
    ("error", 0, query("x"), err(1, 1064), "ERR", 0),
    ("eof", 0, com(0x0D), eof(1), "EOF", 0),
    ("text", 0, com(0x09), packet(1, b"Uptime: 1"), "TEXT", 0),
    (
        "rows",
        0,
        query("x"),
        numbered(b"\2", DEF, DEF, EOFS[0], b"\1a", b"\xfb", EOFS[1]),
        "ROWS",
        2,
    ),
    ("no rows", 0, query("x"), numbered(b"\1", DEF, *EOFS), "ROWS", 0),
    (
        "rows without eof",
        wire.DEPRECATE_EOF,
        query("x"),
        numbered(b"\1", DEF, b"\1a", b"\0", b"\xfe\0\0\2\0\0\0"),
        "ROWS",
        2,
    ),
    (
        "error in rows",
        0,
        query("x"),
        numbered(b"\1", DEF, EOFS[0], b"\1a", b"\xff\x25\5#70100killed"),
        "ROWS",
        1,
    ),
    (
        "two results",
        0,
        query("x"),
        numbered(b"\1", DEF, b"\xfe\0\0\x0a\0", b"\1a", b"\xfe\0\0\x0a\0", b"\0\1\0\2\0\0\0"),
        "ROWS",
        1,
    ),
    (
        "an error behind a result",
        wire.DEPRECATE_EOF,
        query("x"),
        numbered(b"\1", DEF, b"\xfe\0\0\x0a\0\0\0", b"\xff\x25\5#70100killed"),
        "ROWS",
        0,
    ),
    ("cursor", 0, execute(7), numbered(b"\1", DEF, b"\xfe\0\0\x42\0"), "ROWS", 0),
    ("fetch", 0, com(0x1C, b"\7\0\0\0\1\0\0\0"), numbered(b"\0\0\1a", EOFS[0]), "ROWS", 1),
    ("fetch nothing", 0, com(0x1C, b"\7\0\0\0\1\0\0\0"), eof(1, 0x80), "EOF", 0),
    ("fields", 0, com(0x04, b"t\0"), numbered(DEF, DEF, EOFS[0]), "COLUMNS", 0),
    ("dump", 0, com(0x12, bytes(10)), numbered(b"\0" + bytes(19), b"\0x", EOFS[0]), "STREAM", 2),
    ("no dump", 0, com(0x12, bytes(10)), err(1, 1236), "ERR", 0),
    (
        "cached metadata",
        wire.CACHE_METADATA,
        execute(7),
        numbered(b"\2\0", EOFS[0], b"\0\0\1a", EOFS[1]),
        "ROWS",
        1,
    ),
    (
        "metadata to cache",
        wire.CACHE_METADATA | wire.DEPRECATE_EOF,
        execute(7),
        numbered(b"\1\1", DEF, b"\0\0\1a", b"\xfe\0\0\2\0\0\0"),
        "ROWS",
        1,
    ),
    (
        "metadata left out",
        wire.OPTIONAL_METADATA | wire.DEPRECATE_EOF,
        query("x"),
        numbered(b"\2\0", b"\1a\1b", b"\xfe\0\0\2\0\0\0"),
        "ROWS",
        1,
    ),
    (
        "prepared without metadata",
        wire.OPTIONAL_METADATA,
        com(0x16, b"SELECT ?"),
        numbered(b"\0\7\0\0\0\1\0\1\0\0\0\0\0", *EOFS),
        "PREPARED",
        0,
    ),
]


@pytest.mark.parametrize("skims", [False, True])
@pytest.mark.parametrize(
    ("flags", "request_", "reply", "command", "parts"),
    [row[1:] for row in REPLIES],
    ids=[row[0] for row in REPLIES],
)
def test_replies(
    flags: int, request_: bytes, reply: bytes, command: str, parts: int, skims: bool
) -> None:
    for place in range(len(reply)):
        these = logged_in(flags, skims=skims)
        these.up(request_)
        before = these.replied_count
        these.down(reply[:place], reply[place:-1])
        assert these.replied_count == before, "it ended too early"
        assert these.to_client.codec.under_way() in ("message", "")
        these.down(reply[-1:])
        assert not these.outstanding, "it never ended"
        assert these.to_client.codec.under_way() == ""
        these.up(com(0x0E))
        these.down(ok())
        assert not these.outstanding
        if not skims:
            message = these.replies[-2]
            assert (message.head.command, len(message.parts)) == (command, parts)
            assert message.data == reply


def test_marks_are_sequence_ids() -> None:
    these = logged_in()
    these.up(query("x"))
    these.down(numbered(b"\1", DEF, *[EOFS[0]], *[b"\1a"] * 300, EOFS[1]))
    message = these.replies[-1]
    assert message.marks == [at & 255 for at in range(1, 305)]
    assert [message.data[at + 3] for at in message.parts] == [at & 255 for at in range(4, 304)]


def test_progress_of_mariadb_comes_before_the_reply() -> None:
    these = Books(PROTOCOL)
    these.down(greeting(version=b"10.11-MariaDB"))
    these.up(response(BASE))
    these.down(ok(2))
    these.up(query("ALTER TABLE t FORCE"))
    these.down(packet(1, b"\xff\xff\xff\1\1\2\0\0\0\0") + packet(2, b"\xff\xff\xff\1\1\2\0\0\0\0"))
    assert [m.head.interim for m in these.replies[-2:]] == [True, True]
    assert len(these.outstanding) == 1
    assert these.replies[-1].head.value("error") is None
    answer = PROTOCOL.answer(these.session, last(these), call("killed_query"))
    assert answer.reply[3] == 3
    these.down(ok(3))
    assert not these.outstanding
    these.up(query("SELECT 1"))
    assert PROTOCOL.answer(these.session, last(these), call("killed_query")).reply[3] == 1


def test_an_unsolicited_error_is_a_push() -> None:
    these = logged_in()
    these.down(err(0, 4031))
    head = these.replies[-1].head
    assert head.push
    assert head.value("error") == 4031
    with pytest.raises(ProtocolError):
        these.down(ok())


@pytest.mark.parametrize("skims", [False, True])
def test_a_local_file(skims: bool) -> None:
    these = logged_in(skims=skims)
    these.up(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
    these.down(packet(1, b"\xfb/tmp/x"))
    packets = [packet(seq & 255, b"line\n") for seq in range(2, 302)]
    these.up(*packets[:100], b"".join(packets[100:]))
    these.up(packet(302 & 255, b""))
    these.down(ok(303 & 255))
    assert not these.outstanding
    assert these.counted == 1
    these.up(com(0x0E))
    assert these.counted == 2
    if not skims:
        assert these.replies[-2].head.pivot
        head = these.requests[-2].head
        assert (head.command, head.asked, head.seq) == ("INFILE", False, 302 & 255)
        assert these.requests[-2].ended


def test_an_empty_file() -> None:
    these = logged_in()
    these.up(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
    these.down(packet(1, b"\xfb/tmp/x"))
    these.up(packet(2, b""))
    these.down(err(3, 2))
    assert these.requests[-1].ended
    assert not these.outstanding


def test_a_clone_is_a_tunnel() -> None:
    these = logged_in()
    these.up(com(0x20))
    these.down(ok())
    these.up(b"anything at all")
    these.down(b"whatever")
    assert last(these).command == "TUNNEL"
    assert not last(these).replies
    assert these.replies[-1].head.push
    assert these.to_client.codec.under_way() == "aside"


@pytest.mark.parametrize(
    "data",
    [
        ok(),  # nothing was asked
        numbered(b"\1", DEF, EOFS[0]) + packet(9, b"\1a"),
        packet(1, b"\xfd"),
        packet(1, b"\0"),
    ],
)
def test_replies_that_are_none(data: bytes) -> None:
    for skims in (False, True):
        these = logged_in(skims=skims)
        if data != ok():
            these.up(query("x"))
        with pytest.raises(ProtocolError):
            these.down(data)


# -- what the proxy says ----------------------------------------


def call(name: str, text: str | None = None, **extra: Any) -> ErrorCall:
    spec = PROTOCOL.error(name)
    assert spec is not None
    return ErrorCall(spec, text, extra)


@pytest.mark.parametrize("name", [*ERRORS, "9999", "1213", "1000"])
def test_every_error_is_well_formed(name: str) -> None:
    for version in (b"9.7.4", b"10.11-MariaDB"):
        these = Books(PROTOCOL)
        these.down(greeting(version=version))
        these.up(response(BASE))
        these.down(ok(2))
        these.up(query("SELECT a FROM `db`.t"))
        answer = PROTOCOL.answer(these.session, last(these), call(name))
        assert answer.reply[3] == (0 if name == "idle_timeout" else 1)
        assert answer.reply[7:8] == b"#"
        assert b"{" not in answer.reply
        assert not answer.upstream
        these.down(answer.reply)
        assert these.replies[-1].head.command == "ERR"
        assert these.replies[-1].ended


def test_errors_by_name_and_code() -> None:
    found = [PROTOCOL.error(name) for name in ("deadlock", "1213", "1290", "Deadlock", "8888")]
    assert [spec.name for spec in found if spec] == [
        "deadlock",
        "deadlock",
        "read_only",
        "deadlock",
        "8888",
    ]
    assert [PROTOCOL.error(name) for name in ("dedlock", "999", "10000", "")] == [None] * 4


def test_an_error_at_the_greeting_has_no_sqlstate() -> None:
    these = Books(PROTOCOL)
    answer = PROTOCOL.answer(these.session, Head("CONNECT"), call("too_many_connections"))
    assert answer.reply == packet(0, b"\xff\x10\x04Too many connections")
    assert answer.close


def test_errors_at_login_close() -> None:
    these = Books(PROTOCOL)
    these.down(greeting())
    these.up(response(BASE))
    answer = PROTOCOL.answer(these.session, last(these), call("access_denied"))
    assert answer.close
    assert answer.reply[3] == 2
    assert b"#28000Access denied for user 'joe'@'localhost'" in answer.reply


def test_a_file_that_is_answered_closes() -> None:
    these = logged_in()
    these.up(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"))
    these.down(packet(1, b"\xfb/tmp/x"))
    these.up(packet(2, b"line\n"))
    assert PROTOCOL.answer(these.session, last(these), call("killed_query")).close


def test_a_deadlock_rolls_back_upstream() -> None:
    for flags in (0, wire.QUERY_ATTRIBUTES):
        these = logged_in(flags)
        prefix = b"\0\1" if flags else b""
        these.up(query(prefix + b"BEGIN"))
        these.down(ok(1, 3))
        these.up(query(prefix + b"UPDATE t SET a=1"))
        answer = PROTOCOL.answer(these.session, last(these), call("deadlock"))
        ((head, data),) = answer.upstream
        assert data == query(prefix + b"ROLLBACK")
        assert head.framing is None
        assert not answer.close
        assert not these.session.in_transaction
        assert PROTOCOL.answer(these.session, last(these), call("deadlock")).upstream == ()


def test_options_of_an_error() -> None:
    these = logged_in()
    these.up(query("INSERT INTO orders VALUES (1)"))
    reply = PROTOCOL.answer(these.session, last(these), call("table_full")).reply
    assert reply.endswith(b"The table 'orders' is full")
    reply = PROTOCOL.answer(these.session, last(these), call("table_full", subject="x")).reply
    assert reply.endswith(b"The table 'x' is full")
    reply = PROTOCOL.answer(these.session, last(these), call("1999", "gone", sqlstate="42")).reply
    assert reply == packet(1, b"\xff\xcf\x07#42000gone")
    these.down(ok())
    prepare(these, "SELECT 1", 7)
    these.up(com(0x1A, b"\7\0\0\0"))
    reply = PROTOCOL.answer(these.session, last(these), call("unknown_statement")).reply
    assert reply.endswith(b"(7) given to mysql_stmt_precheck")
    these.session.mariadb = True
    reply = PROTOCOL.answer(these.session, last(these), call("unknown_statement")).reply
    assert reply.endswith(b"(7) given to mysqld_stmt_reset")


@pytest.mark.parametrize("flags", [0, wire.DEPRECATE_EOF])
@pytest.mark.parametrize("with_error", [False, True])
def test_a_cut_result_ends_legally(flags: int, with_error: bool) -> None:
    these = logged_in(flags)
    these.up(query("x"))
    bodies = [b"\1", DEF] + ([] if flags else [b"\xfe\0\0\3\0"]) + [b"\1a"] * 3
    whole = numbered(*bodies)
    end = PROTOCOL.terminate(
        these.session, last(these), len(bodies) + 1, call("killed_query") if with_error else None
    )
    assert end is not None
    these.down(whole + end)
    assert not these.outstanding
    assert these.replies[-1].ended
    assert these.replies[-1].parts == [
        whole.index(packet(len(bodies) - 2 + at, b"\1a")) for at in range(3)
    ]
    these.up(com(0x0E))
    assert PROTOCOL.terminate(these.session, last(these), 1, None) is None


@pytest.mark.parametrize("flags", [0, wire.DEPRECATE_EOF])
def test_emptied(flags: int) -> None:
    these = logged_in(flags)
    these.up(query("SELECT a FROM t"))
    end = b"\xfe\0\0\2\0" + (b"\0\0" if flags else b"")
    head = [b"\1", DEF] + ([] if flags else [b"\xfe\0\0\2\0"])
    real = numbered(*head, b"\1a", b"\1b", end)
    assert PROTOCOL.emptied(these.session, last(these), real) == numbered(*head, end)
    nothing = numbered(*head, end)
    assert PROTOCOL.emptied(these.session, last(these), nothing) is None
    assert PROTOCOL.emptied(these.session, last(these), ok()) is None
    assert PROTOCOL.emptied(these.session, last(these), real[:-1]) is None
    assert PROTOCOL.empty(these.session, last(these)) is None
    these.up(query("DELETE FROM t"))
    assert PROTOCOL.empty(these.session, last(these)) == ok()


@pytest.mark.parametrize("flags", [0, wire.DEPRECATE_EOF, wire.CACHE_METADATA])
def test_replacements(flags: int) -> None:
    these = logged_in(flags)
    plain = PROTOCOL.replace_options.plain
    these.up(query("INSERT INTO t VALUES (1)"))
    data = PROTOCOL.replacement(these.session, last(these), plain({"affected": 300}))
    assert data == packet(1, b"\0" + as_lenenc(300) + b"\0\2\0\0\0")
    these.down(ok())
    for request in (query("SELECT 1"), None):
        if request is None:
            prepare(these, "SELECT 1", 7)
        these.up(request or execute(7))
        options = plain({"value": "5", "column": "n"})
        data = PROTOCOL.replacement(these.session, last(these), options)
        assert data is not None
        (message,) = these.down(data)
        assert message.ended
        assert (message.head.command, len(message.parts)) == ("ROWS", 1)
    for sql in ("COMMIT", "SET a=1", ""):
        these.up(query(sql))
        assert PROTOCOL.replacement(these.session, last(these), plain({})) is None


def test_a_kept_reply_is_rendered_anew() -> None:
    these = logged_in(wire.SESSION_TRACK)
    these.up(query("SELECT 1"))
    kept = numbered(b"\1", DEF, b"\xfe\0\0\2\0", b"\1a", b"\xfe\0\0\2\0", seq=5)
    these.session.status |= wire.IN_TRANSACTION
    again = PROTOCOL.rerender(these.session, last(these), kept)
    assert again == numbered(b"\1", DEF, b"\xfe\0\0\3\0", b"\1a", b"\xfe\0\0\3\0")
    assert PROTOCOL.rerender(these.session, last(these), kept[:-2]) is None
    these.up(query("UPDATE t SET a=1"))
    assert PROTOCOL.rerender(these.session, last(these), ok()) is None


# -- properties ----------------------------------------

CAPTURES: dict[str, list[tuple[str, bytes]]] = {
    name: [(way, base64.b64decode(data)) for way, data in log]
    for name, log in json.loads(
        (pathlib.Path(__file__).parent / "captures" / "mysql.json").read_text()
    ).items()
}
"""What clients, MariaDB 10.11 and MySQL 9.7 said to each other, in the order in which it came."""


def replay(these: Books, log: list[tuple[str, bytes]], *at: int) -> Books:
    for way, data in log:
        (these.up if way == "up" else these.down)(*cuts(data, *at))
    return these


@pytest.mark.parametrize("name", CAPTURES)
def test_real_sessions_pair(name: str) -> None:
    these = replay(Books(PROTOCOL), CAPTURES[name])
    assert not these.outstanding
    assert all(m.ended for m in these.requests + these.replies)
    asked = sum(m.head.replies for m in these.requests)
    counted = [m for m in these.replies if not (m.head.push or m.head.interim)]
    assert asked + 1 == len(counted)
    pushes = [m.head.value("error") for m in these.replies if m.head.push]
    assert pushes == ([1158] if name in ("mysql-aiomysql", "mysql-asyncmy") else [])
    wise = Books(PROTOCOL)
    for way, data in CAPTURES[name]:
        (wise.up if way == "up" else wise.down)(*bytewise(data))
    assert [m.head for m in wise.requests] == [m.head for m in these.requests]
    assert [(m.head, m.data, m.parts) for m in wise.replies] == [
        (m.head, m.data, m.parts) for m in these.replies
    ]


@pytest.mark.parametrize("name", CAPTURES)
def test_real_replies_emptied_and_rendered_anew(name: str) -> None:
    these = replay(Books(PROTOCOL), CAPTURES[name])
    asked = [m for m in these.requests if m.head.replies]
    answers = [m for m in these.replies if not (m.head.push or m.head.interim)][1:]
    for request, reply in zip(asked, answers, strict=True):
        head = request.head
        again = PROTOCOL.rerender(these.session, head, reply.data)
        if head.identity() is not None and head.command == "QUERY":
            assert again is not None
            assert len(again) == len(reply.data)
        nothing = PROTOCOL.emptied(these.session, head, reply.data)
        rows = reply.parts and head.command != "BINLOG_DUMP"
        assert (nothing is None) == (not rows)
        for data, parts in ((again, len(reply.parts)), (nothing, 0)):
            if data is None:
                continue
            client = Books(PROTOCOL, greeting=False)
            client.session.phase, client.session.offered = "commands", 1
            client.session.capabilities = these.session.capabilities
            client.request(Head(head.command, framing=head.framing))
            (message,) = client.down(data)
            assert message.ended
            assert len(message.parts) == parts


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CAPTURES)), at=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_chunking_says_the_same(name: str, at: list[int]) -> None:
    whole, cut = (replay(Books(PROTOCOL), CAPTURES[name], *places) for places in ((), at))
    assert [m.head for m in cut.requests] == [m.head for m in whole.requests]
    assert [(m.head, m.data) for m in cut.replies] == [(m.head, m.data) for m in whole.replies]


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    at=st.lists(st.integers(0, 10_000), max_size=8),
    switches=st.lists(st.booleans(), min_size=1, max_size=7),
)
def test_skim_and_feed_agree(name: str, at: list[int], switches: list[bool]) -> None:
    fed, skimmed, mixed = Books(PROTOCOL), Books(PROTOCOL, skims=True), Books(PROTOCOL)
    turn = 0
    for way, data in CAPTURES[name]:
        for chunk in cuts(data, *at):
            for these in (fed, skimmed):
                (these.up if way == "up" else these.down)(chunk)
            drive_mixed(mixed, way, chunk, switches[turn % len(switches)])
            turn += 1
            assert fed.place() == skimmed.place() == mixed.place()
            for one, other in ((fed, skimmed), (fed, mixed)):
                assert one.to_client.codec.under_way() == other.to_client.codec.under_way()
                assert one.to_upstream.codec.under_way() == other.to_upstream.codec.under_way()


def drive_mixed(these: Books, way: str, chunk: bytes, skims: bool) -> None:
    """One chunk by feed or skim, without the checks that need all of it to be one of them."""
    codec: Any = these.to_upstream.codec if way == "up" else these.to_client.codec
    if skims:
        codec.skim(chunk)
        return
    for piece in codec.feed(chunk):
        if way == "up":
            if piece.start is not None:
                PROTOCOL.forwarded(these.session, piece.start)
                these.request(piece.start)
        elif piece.end and codec.counts:
            these.replied()


ROWS = st.lists(st.binary(min_size=1, max_size=300).filter(lambda row: row[0] < 0xFC), max_size=40)


@st.composite
def exchanges(draw: Any, flags: int) -> tuple[bytes, bytes]:
    """A request and a reply to it."""
    plain = not flags & wire.DEPRECATE_EOF
    kind = draw(st.sampled_from(["ok", "error", "rows", "text", "long"]))
    if kind == "ok":
        return draw(
            st.sampled_from([com(0x0E), query("BEGIN"), query("USE b"), com(2, b"c")])
        ), ok()
    if kind == "error":
        return query(draw(st.binary(max_size=200))), err(1, draw(st.integers(1000, 5000)))
    if kind == "text":
        return com(0x09), packet(
            1, draw(st.binary(min_size=1, max_size=99).map(lambda t: b"U" + t))
        )
    rows = draw(ROWS)
    if kind == "long":
        rows.append(b"\xfc" + bytes(70_000))
    bodies: list[bytes] = []
    for more in ([8] * draw(st.integers(0, 2))) + [0]:
        end = b"\xfe\0\0" + bytes((2 | more, 0)) + (b"" if plain else b"\0\0")
        bodies += [b"\1", DEF, *([end] if plain else []), *rows, end]
    sql = b"SELECT '" + bytes(draw(st.sampled_from([0, 10, 66_000]))) + b"'"
    return query(sql), numbered(*bodies)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), flags=st.sampled_from([0, wire.DEPRECATE_EOF]), pipelined=st.booleans())
def test_made_up_traffic(data: Any, flags: int, pipelined: bool) -> None:
    these = data.draw(st.lists(exchanges(flags), min_size=1, max_size=6))
    if pipelined:
        these = [(b"".join(a for a, _ in these), b"".join(b for _, b in these))]
    at = data.draw(st.lists(st.integers(0, 80_000), max_size=6))
    whole, cut, skimmed = logged_in(flags), logged_in(flags), logged_in(flags, skims=True)
    for request, reply in these:
        for some, places in ((whole, ()), (cut, at), (skimmed, at)):
            some.up(*cuts(request, *places))
            some.down(*cuts(reply, *places))
    assert not whole.outstanding
    assert [m.head for m in cut.requests] == [m.head for m in whole.requests]
    assert [(m.head, m.data, m.parts) for m in cut.replies] == [
        (m.head, m.data, m.parts) for m in whole.replies
    ]
    assert whole.place() == cut.place() == skimmed.place()


def attempt(drive: Callable[[], object]) -> None:
    try:
        drive()
    except ProtocolError:
        return


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(CAPTURES)),
    edits=st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 3), st.binary(max_size=3)),
        min_size=1,
        max_size=4,
    ),
    skims=st.booleans(),
)
def test_mutated_sessions_raise_nothing_else(
    name: str, edits: list[tuple[int, int, bytes]], skims: bool
) -> None:
    log = [(way, bytearray(data)) for way, data in CAPTURES[name]]
    size = sum(len(data) for _, data in log)
    for place, gone, new in edits:
        place %= size
        for _, data in log:
            if place < len(data):
                data[place : place + gone] = new
                break
            place -= len(data)
    these = Books(PROTOCOL, skims=skims)
    attempt(lambda: replay(these, [(way, bytes(data)) for way, data in log]))
    assert len(these.to_client.codec.undecided()) < 2 * HEAD_BYTES
    assert len(these.to_upstream.codec.undecided()) < 2 * HEAD_BYTES


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), skims=st.booleans(), at=st.integers(0, 200))
def test_garbage_raises_nothing_else(data: bytes, skims: bool, at: int) -> None:
    for way in ("up", "down"):
        for ready in (False, True):
            these = logged_in(skims=skims) if ready else Books(PROTOCOL, skims=skims)
            drive = these.up if way == "up" else these.down
            attempt(lambda drive=drive: drive(*cuts(data, at)))  # type: ignore[misc]


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_kept_is_bounded(way: str) -> None:
    these = logged_in()
    these.up(query("SELECT 1"))
    flow = these.to_upstream if way == "up" else these.to_client
    drive = these.up if way == "up" else these.down
    length = b"\xfe\xff\xff"
    drive(length + (b"\0\x03" if way == "up" else b"\1\0\0\0\2\0"))
    for _ in range(40):
        drive(bytes(8192))
        assert len(flow.codec.undecided()) <= HEAD_BYTES + 4
