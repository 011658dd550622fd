"""Record what real clients and servers say to each other, for tests/wire/test_mysql.py.

    python tests/integration/mysql_captures.py

writes tests/wire/captures/mysql.json: for each session its reads, in order, as (way, base64).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

import pymysql
from mysql_servers import PASSWORD, Server, mariadb, mysql
from mysql_tap import Tap
from mysql_wire import Wire

from rascal.wire import mysql_packets as wire

CAPTURES = pathlib.Path(__file__).parents[1] / "wire" / "captures" / "mysql.json"
CALL = "CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2, 'b'; END"


def _arguments(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "user": "shop", "password": PASSWORD, **more}


def pymysql_basics(port: int) -> None:
    """Transactions, errors, several results, a streamed result, a file."""
    arguments = _arguments(port, database="shop", local_infile=True)
    connection = pymysql.connect(**arguments, client_flag=1 << 16)
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS p")
    cursor.execute("CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(300), big MEDIUMBLOB)")
    cursor.execute("/* by */ INSERT INTO p VALUES (1, 'a', NULL), (2, 'ä', ''), (3, NULL, 'x')")
    connection.commit()
    cursor.execute("SELECT * FROM p WHERE id > %s", (1,))
    for sql in ("SELECT * FROM absent", "SELEC 1", "INSERT INTO p VALUES (1, 'a', NULL)"):
        with contextlib.suppress(pymysql.Error):
            cursor.execute(sql)
    cursor.execute("SELECT 1; UPDATE p SET name = 'b'; SELECT id, name FROM p")
    while cursor.nextset():
        pass
    connection.rollback()
    cursor.execute("DROP PROCEDURE IF EXISTS two")
    cursor.execute(CALL)
    cursor.callproc("two")
    while cursor.nextset():
        pass
    with connection.cursor(pymysql.cursors.SSCursor) as streamed:
        streamed.execute("SELECT a.*, REPEAT('r', 200) FROM p a, p b, p c")
        streamed.fetchone()
        streamed.fetchall()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("7\tseven\tx\n8\teight\ty\n")
        file.flush()
        cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE p")
    cursor.execute("SELECT * FROM p WHERE 0")
    connection.ping()
    connection.select_db("mysql")
    cursor.execute("USE `shop`")
    cursor.execute("SELECT DATABASE()")
    connection.close()


def pymysql_refused(port: int) -> None:
    with contextlib.suppress(pymysql.Error):
        pymysql.connect(**_arguments(port) | {"password": "wrong"})


def connector_prepared(port: int) -> None:
    """mysql-connector-python in Python: prepared statements, changes of the session."""
    import mysql.connector

    arguments = _arguments(port, database="shop", use_pure=True)
    connection = mysql.connector.connect(**arguments, autocommit=False)
    cursor = connection.cursor(prepared=True)
    for number in (1, 2):
        cursor.execute("SELECT %s + 1, %s", (number, "text"))
        cursor.fetchall()
    cursor.execute("DO 1")
    cursor.close()
    plain = connection.cursor()
    plain.execute("SELECT 1")
    plain.fetchall()
    with contextlib.suppress(mysql.connector.Error):
        plain.execute("SELECT * FROM absent")
    connection.cmd_statistics()
    connection.cmd_ping()
    connection.cmd_reset_connection()
    with contextlib.suppress(mysql.connector.Error):
        connection.cmd_change_user("shop", PASSWORD, "mysql")
        connection.cmd_init_db("shop")
    connection.commit()
    connection.close()


def connector_attributes(port: int) -> None:
    """Query attributes (MySQL only), through the client library in C."""
    import mysql.connector

    connection = mysql.connector.connect(**_arguments(port, database="shop", use_pure=True))
    cursor = connection.cursor()
    for name, value in (("trace", "abc"), ("n", 5), ("f", 1.5)):
        cursor.add_attribute(name, value)
    cursor.execute("SELECT 'with attributes'")
    cursor.fetchall()
    cursor.execute("UPDATE p SET name = 'q' WHERE id = 1")
    connection.commit()
    connection.close()


def aiomysql_basics(port: int) -> None:
    import aiomysql

    async def talk() -> None:
        arguments = _arguments(port, db="shop")
        connection = await aiomysql.connect(**arguments)
        cursor = await connection.cursor()
        await cursor.execute("SELECT 1, 'a'")
        await cursor.fetchall()
        await connection.begin()
        await cursor.execute("DELETE FROM p WHERE id = 99")
        await connection.commit()
        connection.close()

    asyncio.run(talk())


def asyncmy_basics(port: int) -> None:
    import asyncmy

    async def talk() -> None:
        connection = await asyncmy.connect(**_arguments(port, db="shop"))
        cursor = connection.cursor()
        await cursor.execute("SELECT 1, 'a'")
        await cursor.fetchall()
        await connection.rollback()
        connection.close()

    asyncio.run(talk())


def c_client(port: int) -> None:
    """MariaDB's own client, by way of its library in C: field lists, progress, a file."""
    file = "/tmp/rascal-captures.txt"
    pathlib.Path(file).write_text("71\ta\tb\n")
    script = "SELECT 1; USE shop; SELECT * FROM p; ALTER TABLE p ENGINE=InnoDB, ALGORITHM=COPY;"
    script += f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE p; CALL two(); SELECT * FROM absent"
    words = [
        "mariadb",
        "--no-defaults",
        "-h127.0.0.1",
        f"-P{port}",
        "-ushop",
        "-f",
        "--auto-rehash",
    ]
    words += [f"-p{PASSWORD}", "shop", "--local-infile=1", "-e", script]
    subprocess.run(words, capture_output=True, timeout=60)
    pathlib.Path(file).unlink()


def wire_session(flags: int) -> Callable[[int], None]:
    """Prepared statements with cursors, long data, statistics, fields, a dump."""

    def talk(port: int) -> None:
        client = Wire(port, flags)
        for sql in ("DROP TABLE IF EXISTS w", "CREATE TABLE w (a INT PRIMARY KEY, b TEXT)"):
            assert client.query(sql).payload[:1] == b"\0"
        client.query("INSERT INTO w VALUES (1, 'x'), (2, REPEAT('y', 300)), (3, NULL)")
        client.query("SELECT * FROM w")
        client.query("BEGIN")
        client.query("UPDATE w SET b = 'z' WHERE a = 1")
        client.query("COMMIT")
        client.send(0x16, b"SELECT * FROM w WHERE a > ? AND b <> ?")
        prepared = client.packet()
        number = prepared.payload[1:5]
        for _ in range(4 if flags & wire.DEPRECATE_EOF else 6):
            client.packet()
        client.send(0x18, number + b"\1\0" + b"long" * 50)
        bound = b"\0\1\x03\0\xfc\0" + b"\1\0\0\0"
        for cursor in (b"\0", b"\1"):
            more = b"" if cursor == b"\0" else b"\4none"
            client.send(0x17, number + cursor + b"\1\0\0\0" + bound + more)
            first = client.packet()
            assert first.payload[:1] == b"\2", first
            ends = 0
            wanted = 2 if cursor == b"\0" and not flags & wire.DEPRECATE_EOF else 1
            while ends < wanted:
                got = client.packet()
                ends += got.payload[:1] == b"\xfe"
        client.send(0x1C, number + b"\1\0\0\0")
        while client.packet().payload[:1] != b"\xfe":
            pass
        client.send(0x1A, number)
        client.packet()
        client.send(0x19, number)
        client.send(0x09)
        client.packet()
        client.send(0x04, b"w\0")
        while client.packet().payload[:1] not in (b"\xfe", b"\xff"):
            pass
        client.send(0x1B, b"\0\0")
        client.packet()
        client.send(0x1F)
        client.packet()
        client.send(0x77)
        client.packet()
        client.send(0x01)
        client.close()

    return talk


def mariadb_pipelined(port: int) -> None:
    """An execution of "the last prepared", sent before its id is known; a bulk execution."""
    client = Wire(port, 1 << 34 | wire.DEPRECATE_EOF)
    client.raw(
        wire.packet(0, b"\x16SELECT 42")
        + wire.packet(0, b"\x17\xff\xff\xff\xff\0\1\0\0\0")
        + wire.packet(0, b"\x03SELECT 1")
    )
    for _ in range(1 + 1 + 4 + 4):
        client.packet()
    client.query("DROP TABLE IF EXISTS bulk")
    client.query("CREATE TABLE bulk (a INT)")
    client.send(0x16, b"INSERT INTO bulk VALUES (?)")
    number = client.packet().payload[1:5]
    client.packet()
    client.send(0xFA, number + b"\x80\0" + b"\x03\0" + b"\0\1\0\0\0" + b"\0\2\0\0\0")
    assert client.packet().payload[:1] == b"\0"
    client.send(0x01)
    client.close()


def binlog(port: int) -> None:
    """A dump of the binary log that does not wait for more."""
    client = Wire(port)
    client.query("SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'")
    client.query("SET @mariadb_slave_capability = 4")
    client.send(0x15, b"\x09\0\0\0" + b"\0\0\0" + b"\0\0" + b"\0" * 8)
    client.packet()
    client.send(0x12, b"\4\0\0\0" + b"\1\0" + b"\x09\0\0\0" + b"log.000001")
    while client.packet().payload[:1] == b"\0":
        pass
    client.send(0x01)
    client.close()


SESSIONS: dict[str, tuple[Callable[[int], None], str]] = {
    "pymysql-basics": (pymysql_basics, ""),
    "pymysql-refused": (pymysql_refused, ""),
    "connector-prepared": (connector_prepared, ""),
    "connector-attributes": (connector_attributes, "mysql"),
    "aiomysql": (aiomysql_basics, ""),
    "asyncmy": (asyncmy_basics, ""),
    "c-client": (c_client, ""),
    "wire-plain": (wire_session(0), ""),
    "wire-deprecate-eof": (wire_session(wire.DEPRECATE_EOF | wire.SESSION_TRACK), ""),
    "wire-pipelined": (mariadb_pipelined, "mariadb"),
    "wire-binlog": (binlog, ""),
}


def record(server: Server) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, (talk, only) in SESSIONS.items():
        if only not in ("", server.kind):
            continue
        with Tap(server.port) as tap:
            talk(tap.port)
        for number, session in enumerate(tap.sessions):
            said = [(way, base64.b64encode(data).decode()) for way, data in session.log]
            title = f"{server.kind}-{name}" + (f"-{number}" if number else "")
            found[title] = said
            books = session.books
            print(title, len(said), session.error or "", list(books.outstanding) or "")
    return found


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for start in (mariadb, mysql):
            with start(pathlib.Path(folder), "--log-bin=log", "--server-id=1") as server:
                found |= record(server)
    CAPTURES.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
