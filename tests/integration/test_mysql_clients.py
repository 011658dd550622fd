"""Real clients: what they say is understood, and what the proxy says they understand."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from mysql_captures import SESSIONS
from mysql_servers import PASSWORD, Server, mariadb, mariadb_missing, mysql, mysql_missing
from mysql_tap import Books, Tap

from rascal.wire.mysql import PROTOCOL
from rascal.wire.mysql_errors import ERRORS
from rascal.wire.mysql_packets import packet
from rascal.wire.types import ErrorCall, Head

STARTS: dict[str, Any] = {"mariadb": (mariadb, mariadb_missing), "mysql": (mysql, mysql_missing)}
MODULES = {
    "connector-prepared": "mysql.connector",
    "connector-attributes": "mysql.connector",
    "aiomysql": "aiomysql",
    "asyncmy": "asyncmy",
}


@pytest.fixture(scope="module", params=STARTS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    start, missing = STARTS[request.param]
    if missing():
        pytest.skip(missing())
    folder = tmp_path_factory.mktemp("server")
    with start(folder, "--log-bin=log", "--server-id=1") as running:
        yield running


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_are_understood(server: Server, name: str) -> None:
    """In order: some use the tables of those before."""
    talk, only = SESSIONS[name]
    if only not in ("", server.kind):
        pytest.skip(f"{server.kind} does not do this")
    if name in MODULES:
        pytest.importorskip(MODULES[name])
    with Tap(server.port) as tap:
        talk(tap.port)
    assert tap.sessions
    for session in tap.sessions:
        assert session.error is None
        books = session.books
        assert not books.outstanding
        assert books.requests[0].head.command == "LOGIN"
        assert all(message.ended for message in books.requests + books.replies)
        for flow in (books.to_upstream, books.to_client):
            assert flow.taken == flow.handed


def ask(port: int, *options: str) -> bytes:
    """What MariaDB's client in C gets for a long SELECT."""
    words = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-ushop", f"-p{PASSWORD}"]
    more = ["-Ne", "SELECT REPEAT('x', 500)"]
    done = subprocess.run([*words, *options, *more], capture_output=True, timeout=30)
    return done.stdout.strip() or done.stderr


def test_tls_and_compression_are_negotiated_away(server: Server) -> None:
    """A client that would rather have both does without."""
    with Tap(server.port) as tap:
        assert ask(tap.port, "--compress", "--skip-ssl") == b"x" * 500
    (session,) = tap.sessions
    assert session.error is None
    assert "QUERY" in [message.head.command for message in session.books.requests]


def test_a_client_that_insists_on_tls_leaves(server: Server) -> None:
    with Tap(server.port) as tap:
        assert b"SSL" in ask(tap.port, "--ssl", "--ssl-verify-server-cert")
    (session,) = tap.sessions
    assert session.error is None
    assert not session.books.requests


def test_compression_left_alone_is_relayed(server: Server) -> None:
    with Tap(server.port, negotiate=False) as tap:
        assert ask(tap.port, "--compress", "--skip-ssl") == b"x" * 500
    (session,) = tap.sessions
    assert session.error is not None
    assert "compression" in session.error.detail
    assert not session.books.outstanding


def test_tls_left_alone_is_relayed(server: Server) -> None:
    if server.kind == "mariadb":
        pytest.skip("this MariaDB has no certificate")
    with Tap(server.port, negotiate=False) as tap:
        assert ask(tap.port, "--ssl", "--skip-ssl-verify-server-cert") == b"x" * 500
    (session,) = tap.sessions
    assert session.error is not None
    assert "TLS" in session.error.detail
    assert not session.books.outstanding


class Refuser:
    """A server that greets as MySQL, lets anybody in, and answers with one error."""

    def __init__(self, name: str, at: str) -> None:
        self.call = ErrorCall(ERRORS[name])
        self.at = at
        self.client: socket.socket | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        client, _ = self.listener.accept()
        self.client = client
        with client, contextlib.suppress(OSError):
            client.settimeout(10)
            books = Books(PROTOCOL)
            self.talk(client, books)

    def talk(self, client: socket.socket, books: Books) -> None:
        if self.at == "CONNECT":
            client.sendall(PROTOCOL.answer(books.session, Head("CONNECT"), self.call).reply)
            return
        body = b"\x0a8.4.0\0\1\0\0\0saltsalt\0\xff\xf3\x2d\2\0\x8f\x00\x15" + bytes(10)
        greeting = packet(0, body + b"saltsaltsalt\0mysql_native_password\0")
        books.down(greeting)
        client.sendall(greeting)
        while data := client.recv(65536):
            for message in books.up(data):
                head = message.head
                sql = head.value("sql") or ""
                if head.command == "QUIT":
                    return
                if self.at == "LOGIN" or "mark" in sql:
                    answer = PROTOCOL.answer(books.session, head, self.call)
                    books.down(answer.reply)
                    client.sendall(answer.reply)
                    if answer.close:
                        return
                else:
                    fine = packet(head.seq + 1, b"\0\0\0\2\0\0\0")
                    books.down(fine)
                    client.sendall(fine)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self.client is not None:
                self.client.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


PLACES = [
    (name, place)
    for name, spec in ERRORS.items()
    for place in ("CONNECT", "LOGIN", "QUERY")
    if not spec.commands or place in spec.commands
]
KINDS: dict[str, type[Exception]] = {
    "syntax_error": pymysql.err.ProgrammingError,
    "no_such_table": pymysql.err.ProgrammingError,
    "duplicate_key": pymysql.err.IntegrityError,
    "foreign_key": pymysql.err.IntegrityError,
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_pymysql_raises_its_exception(name: str, place: str) -> None:
    refuser = Refuser(name, place)

    def work() -> None:
        connection = pymysql.connect(
            host="127.0.0.1", port=refuser.port, user="a", password="b", autocommit=None
        )
        connection.cursor().execute("UPDATE `mark` SET a = 1")

    with contextlib.closing(refuser), pytest.raises(pymysql.MySQLError) as raised:
        work()
    code = int(ERRORS[name].code)
    if name == "idle_timeout" and place == "QUERY":
        code = 2006 if raised.value.args[0] == 2006 else 2013  # its id is 0: PyMySQL says "lost"
    assert raised.value.args[0] == code
    assert isinstance(raised.value, KINDS.get(name, pymysql.MySQLError))
    if code == int(ERRORS[name].code) and name not in KINDS:
        assert isinstance(
            raised.value,
            (pymysql.err.OperationalError, pymysql.err.InternalError, pymysql.err.ProgrammingError),
        )


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_connector_python_raises_its_exception(name: str, place: str) -> None:
    connector = pytest.importorskip("mysql.connector")
    refuser = Refuser(name, place)

    def work() -> None:
        connection = connector.connect(
            host="127.0.0.1",
            port=refuser.port,
            user="a",
            password="b",
            use_pure=True,
            ssl_disabled=True,
            connection_timeout=5,
        )
        connection.cursor().execute("UPDATE `mark` SET a = 1")

    with contextlib.closing(refuser), pytest.raises(connector.Error) as raised:
        work()
    assert raised.value.errno == int(ERRORS[name].code)
    spec = ERRORS[name]
    assert raised.value.sqlstate == (None if place == "CONNECT" else spec.sqlstate)


def test_folders_are_left_clean() -> None:
    assert not list(pathlib.Path("/tmp").glob("rascal-captures*"))
