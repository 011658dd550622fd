"""A real MySQL or MariaDB with a rascal-proxy in front of it, and PyMySQL as applications use it.

`mysql_node` (conftest.py) is started once a run for each server; `place` of the test modules gives
it to a test with known rows, nothing installed and nobody connected. The proxy `db` has all
defaults, `open` leaves TLS and compression alone (negotiate = no).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import trustme
from harness import Node, keep, running
from mysql_servers import PASSWORD, Server, mariadb, mariadb_missing, mysql, mysql_missing
from pymysql.constants import CLIENT, SERVER_STATUS

STARTS: dict[str, Any] = {"mariadb": (mariadb, mariadb_missing), "mysql": (mysql, mysql_missing)}
TITLES = {"mariadb": "MariaDB", "mysql": "MySQL"}
INI = """\
[proxy:db]
protocol = mysql
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}

[proxy:open]
protocol = mysql
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
negotiate = no
"""
SHORT = 0.3
"""Seconds that a client waits for what never comes."""
PATIENCE = 10.0
ITEMS = tuple((n, f"item {n}") for n in range(1, 11))


class Shop:
    """PyMySQL with one connection, which is opened anew when it has been lost."""

    def __init__(self, port: int, patience: float = PATIENCE, **options: Any) -> None:
        wanted: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "user": "shop",
            "password": PASSWORD,
            "database": "shop",
            "connect_timeout": PATIENCE,
            "read_timeout": PATIENCE,
            "autocommit": True,
            "local_infile": True,
            "client_flag": CLIENT.MULTI_STATEMENTS,
        }
        self.options = wanted | options
        self.connection = pymysql.connect(**self.options)
        self.wait(patience)

    def wait(self, seconds: float) -> None:
        """So long for each read, from now on."""
        self.connection._read_timeout = seconds

    def run(self, sql: str, *args: Any) -> Any:
        """Its rows; of what has none the number of rows that it changed."""
        with self.connection.cursor() as cursor:
            count = cursor.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else count

    def stream(self, sql: str, got: list[Any]) -> list[Any]:
        """Row by row, as they come."""
        cursor = self.connection.cursor(pymysql.cursors.SSCursor)
        try:
            cursor.execute(sql)
            while (row := cursor.fetchone()) is not None:
                got.append(row)
        finally:
            result, cursor._result = cursor._result, None
            if result is not None:  # or it reads on when it is collected, whatever has happened
                result.unbuffered_active = False
        return got

    @property
    def in_transaction(self) -> bool:
        """As the server tells this client."""
        self.connection.ping(reconnect=False)  # of what SELECT ends with PyMySQL takes no note
        return bool(self.connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def thread_id(self) -> Any:
        return self.connection.thread_id()

    def ping(self, reconnect: bool = True) -> None:
        """As pools do it before they lend a connection."""
        self.wait(PATIENCE)
        try:
            self.connection.ping(reconnect=False)
        except pymysql.Error:
            self.connection.connect()

    def close(self) -> None:
        if self.connection.open:
            with contextlib.suppress(pymysql.Error):
                self.connection.close()

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run(sql: str, *args: Any) -> Callable[[Shop], Any]:
    return lambda shop: shop.run(sql, *args)


def by_fresh(does: Callable[[Shop], Any], **options: Any) -> Callable[[Shop], Any]:
    """Do it as a client that connects anew."""

    def call(shop: Shop) -> Any:
        with Shop(shop.options["port"], **options) as other:
            return does(other)

    return call


ONE = run("SELECT name FROM items WHERE id = 1")
ALL = run("SELECT * FROM items ORDER BY id")
INSERT = run("INSERT INTO orders (item) VALUES ('one')")
UPDATE = run("UPDATE items SET name = 'new' WHERE id = 1")
BIG = run("SELECT text FROM big")
FIRST = (("item 1",),)
TEXT = b"x" * 4000


class Place:
    """The server, the proxies, and the clients of one test."""

    def __init__(self, node: Node, server: Server) -> None:
        self.node = node
        self.server = server
        self.port = node.port("db")
        self.clients: list[Shop] = []
        self.kept: Shop | None = None

    @property
    def mariadb(self) -> bool:
        return self.server.kind == "mariadb"

    @property
    def title(self) -> str:
        return TITLES[self.server.kind]

    def client(self, port: int | None = None, **options: Any) -> Shop:
        made = Shop(port or self.port, **options)
        self.clients.append(made)
        return made

    def direct(self) -> Shop:
        """Past the proxy; the same one each time, in autocommit."""
        if self.kept is None:
            self.kept = Shop(self.server.port)
            self.kept.run("SET SESSION innodb_lock_wait_timeout = 1")
        return self.kept

    def orders(self) -> list[str]:
        """What has been committed."""
        return [item for (item,) in self.direct().run("SELECT item FROM orders ORDER BY id")]

    def locked(self, number: int = 1) -> bool:
        """Whether a transaction holds this item."""
        try:
            self.direct().run("SELECT id FROM items WHERE id = %s FOR UPDATE NOWAIT", number)
        except pymysql.OperationalError as error:
            if error.args[0] in (1205, 3572):
                return True
            raise
        return False

    def fill(self) -> None:
        direct = self.direct()
        direct.run("DELETE FROM orders")
        direct.run("DELETE FROM items")
        with direct.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO items VALUES (%s, %s)", ITEMS)

    def keeper(self, request: pytest.FixtureRequest, client: str) -> Callable[..., None]:
        """What `seen` is here: the table names the server, too."""

        def add(name: str, sentence: str, saw: Any, after: str) -> None:
            properties = request.node.user_properties
            keep(properties, "mysql", f"{client}, {self.title}", name, sentence, saw, after)

        return add

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


def _certificates(folder: Path) -> list[str]:
    """Options that give MariaDB what MySQL makes itself."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    given = authority.issue_cert("localhost", "127.0.0.1")
    given.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in given.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)
    names = {"ssl-ca": "ca.pem", "ssl-key": "key.pem", "ssl-cert": "cert.pem"}
    return [f"--{option}={folder / name}" for option, name in names.items()]


@pytest.fixture(scope="session", params=STARTS)
def mysql_node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """One place for each server."""
    start, missing = STARTS[request.param]
    if missing():
        pytest.skip(missing())
    folder = tmp_path_factory.mktemp(request.param)
    options = _certificates(folder) if request.param == "mariadb" else []
    with (
        start(folder, *options) as server,
        running(folder / "node", INI.format(port=server.port)) as node,
    ):
        place = Place(node, server)
        direct = place.direct()
        direct.run("CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(100))")
        direct.run("CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(100))")
        direct.run("CREATE TABLE big (id INT PRIMARY KEY, text BLOB)")
        direct.run("INSERT INTO big VALUES (1, REPEAT('x', 4000))")
        direct.run("CREATE PROCEDURE two() BEGIN SELECT 1; SELECT id FROM items LIMIT 3; END")
        yield place
        direct.close()


@contextlib.contextmanager
def cleared(place: Place) -> Iterator[Place]:
    """The place for one test."""
    place.node.clear()
    place.fill()
    for proxy in ("db", "open"):
        place.node.empty(proxy)
    yield place
    place.node.clear()
    place.close()
