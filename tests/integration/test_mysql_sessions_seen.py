"""MySQL beyond single queries: prepared statements, several results, files, other users, TLS and
compression, match fields, scripts, recipes; PyMySQL, mysql-connector-python, asyncmy, and MariaDB's
client in C."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import identity, look, usable
from mysql_place import ALL, FIRST, INSERT, ITEMS, ONE, SHORT, UPDATE, Place, Shop, cleared
from mysql_servers import PASSWORD
from pymysql.err import OperationalError

from rascal.control.client import Refused

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def place(mysql_node: Place) -> Iterator[Place]:
    with cleared(mysql_node):
        yield mysql_node


@pytest.fixture
def seen(request: pytest.FixtureRequest, place: Place) -> Callable[..., None]:
    return place.keeper(request, "PyMySQL")


# ---- prepared statements -------------------------------------------------------------------------

SELECT = "SELECT id, name FROM items WHERE id <= %s"
ADD = "INSERT INTO orders (item) VALUES (%s)"


class Prepared:
    """mysql-connector-python with prepared statements; as `harness.usable` wants a client."""

    def __init__(self, place: Place) -> None:
        self.connector = pytest.importorskip("mysql.connector")
        self.options = {
            "host": "127.0.0.1",
            "port": place.port,
            "user": "shop",
            "password": PASSWORD,
            "database": "shop",
            "use_pure": True,
            "ssl_disabled": True,
            "compress": False,
            "autocommit": True,
            "connection_timeout": 5,
        }
        self.connection = self.connector.connect(**self.options)
        self.cursor = self.connection.cursor(prepared=True)

    def run(self, sql: str, *args: Any) -> Any:
        self.cursor.execute(sql, args)
        return self.cursor.rowcount if sql.startswith("INSERT") else self.cursor.fetchall()

    def thread_id(self) -> Any:
        return self.connection.connection_id

    def ping(self, reconnect: bool = True) -> None:
        self.connection.ping(reconnect=True)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.connection.close()


@pytest.fixture
def prepared(place: Place) -> Iterator[Prepared]:
    made = Prepared(place)
    assert made.run(SELECT, 2) == list(ITEMS[:2])
    yield made
    made.close()


@pytest.mark.parametrize(
    ("sentence", "code", "state", "after"),
    [
        ("error(deadlock) match statement=INSERT", 1213, "40001", "yes"),
        ("error(lock_wait) match command=STMT_EXECUTE and sql~orders", 1205, "HY000", "yes"),
        ("error(duplicate_key) match statement=INSERT at reply", 1062, "23000", "yes"),
        ("error(table_full, sqlstate=HY123) match sql~orders", 1114, "HY123", "yes"),
        ("error(max_statements) match command=STMT_PREPARE and sql~^insert", 1461, "42000", "yes"),
        ("error(shutdown) match statement=INSERT", 1053, "08S01", "anew"),
        ("close match statement=INSERT", 2013, None, "anew"),
        ("reset match statement=INSERT at reply", 2013, None, "anew"),
        ("lose_reply(then=close) match statement=INSERT", 2013, None, "anew"),
    ],
)
def test_prepared_inserts_fail(
    sentence: str,
    code: int,
    state: str | None,
    after: str,
    place: Place,
    prepared: Prepared,
    request: pytest.FixtureRequest,
) -> None:
    """The text of PREPARE counts for EXECUTE; the number of what has failed and its SQLSTATE."""
    before = identity(prepared)
    with place.node.fault("db", sentence):
        sight = look(prepared.run, ADD, "one")
        assert isinstance(sight.error, prepared.connector.Error), sight
        numbers = (code, 2055) if code == 2013 else (code,)  # as it is met while reading or writing
        assert sight.error.errno in numbers
        if state is not None:
            assert sight.error.sqlstate == state
    done = "at reply" in sentence or "lose_reply" in sentence
    assert place.orders() == (["one"] if done else [])
    found = usable(prepared, before)
    assert found == after
    if found == "yes":
        assert prepared.run(ADD, "two") == 1
    place.keeper(request, "mysql-connector-python")("error", sentence, sight, found)


@pytest.mark.parametrize(
    ("sentence", "sees"),
    [
        ("truncate(rows=2, then=end) match statement=SELECT", list(ITEMS[:2])),
        ("empty match statement=SELECT", []),
        ("replace(42) match command=STMT_EXECUTE and statement=SELECT", [("42",)]),
        ("delay(50ms) match statement=SELECT at request,reply", list(ITEMS[:5])),
        ("stall(rows=2, hold=50ms) match statement=SELECT", list(ITEMS[:5])),
        ("duplicate match statement=SELECT", list(ITEMS[:5])),
    ],
)
def test_prepared_selects_are_changed(
    sentence: str, sees: Any, place: Place, prepared: Prepared, request: pytest.FixtureRequest
) -> None:
    before = identity(prepared)
    with place.node.fault("db", sentence):
        sight = look(prepared.run, SELECT, 5)
        sight.got(sees)
        if sees and sees != [("42",)]:
            assert sight.seconds >= (0.05 if "50ms" in sentence else 0)
    after = usable(prepared, before)
    assert after == "yes"
    assert prepared.run(SELECT, 3) == list(ITEMS[:3])
    kind = sentence.partition(" ")[0].partition("(")[0]
    place.keeper(request, "mysql-connector-python")(kind, sentence, sight, after)


def test_a_prepared_result_breaks_off(
    place: Place, prepared: Prepared, request: pytest.FixtureRequest
) -> None:
    """Before its first row: mysql-connector-python takes an error behind a row for that row once
    more, and then waits for ever; it would do so with a real server."""
    sentence = "truncate(rows=0, error=killed_query) match statement=SELECT"
    before = identity(prepared)
    with place.node.fault("db", sentence):
        sight = look(prepared.run, SELECT, 5)
        assert isinstance(sight.error, prepared.connector.Error), sight
        assert (sight.error.errno, sight.error.sqlstate) == (1317, "70100")
    after = usable(prepared, before)
    assert after == "yes"
    place.keeper(request, "mysql-connector-python")("truncate", sentence, sight, after)


def test_stale_answers_to_prepared_statements(
    place: Place, prepared: Prepared, request: pytest.FixtureRequest
) -> None:
    """The parameters belong to the question."""
    sentence = "stale match statement=SELECT"
    with place.node.fault("db", sentence, fired=2):
        assert prepared.run(SELECT, 1) == [(1, "item 1")]
        UPDATE(place.direct())
        sight = look(prepared.run, SELECT, 1)
        sight.got([(1, "item 1")])
        assert prepared.run(SELECT, 2) == [(1, "new"), (2, "item 2")]
        assert prepared.run(SELECT, 1) == [(1, "item 1")]
    seen = place.keeper(request, "mysql-connector-python")
    seen("stale", sentence, sight, usable(prepared, identity(prepared)))


def test_asyncmy(place: Place, request: pytest.FixtureRequest) -> None:
    asyncmy = pytest.importorskip("asyncmy")

    async def talk(sql: str) -> Any:
        connection = await asyncmy.connect(
            host="127.0.0.1", port=place.port, user="shop", password=PASSWORD, db="shop"
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
                return await cursor.fetchall()
        finally:
            connection.close()

    seen = place.keeper(request, "asyncmy")
    for sentence, number in (
        ("error(lock_wait) match sql~items", 1205),
        ("error(too_many_connections)", 1040),
        ("lose_reply(then=close) match sql~items", 2013),
    ):
        with place.node.fault("db", sentence):
            sight = look(lambda: asyncio.run(talk("SELECT name FROM items WHERE id = 1")))
            assert sight.error is not None
            assert sight.error.args[0] == number
        sees = look(lambda: asyncio.run(talk("SELECT name FROM items WHERE id = 1")))
        sees.got((("item 1",),) if isinstance(sees.value, tuple) else [("item 1",)])
        seen("lose_reply" if number == 2013 else "error", sentence, sight, "anew")


# ---- several results, files, other users ---------------------------------------------------------


def results(shop: Shop, sql: str) -> list[Any]:
    """All of them; an OK is the number of its rows."""
    found = []
    with shop.connection.cursor() as cursor:
        cursor.execute(sql)
        while True:
            found.append(cursor.fetchall() if cursor.description else cursor.rowcount)
            if not cursor.nextset():
                return found


THREE = "SELECT 1; INSERT INTO orders (item) VALUES ('x'); SELECT id FROM items LIMIT 2"


@pytest.mark.parametrize(
    "sentence",
    [
        "delay(20ms) at reply",
        "delay(5ms) match statement=SELECT",
        "slice(7B)",
        "error(1205) at reply match sql~nothing",
    ],
)
def test_several_results_pass(sentence: str, place: Place) -> None:
    shop = place.client()
    with place.node.fault("db", sentence, fired=0 if "nothing" in sentence else None):
        assert results(shop, THREE) == [((1,),), 1, ((1,), (2,))]
        assert results(shop, "CALL two()") == [((1,),), ((1,), (2,), (3,)), 0]
        assert ONE(shop) == FIRST


def test_several_results_are_one_reply(place: Place, seen: Callable[..., None]) -> None:
    """Struck as a whole, at its first statement's keyword; cut in the middle of the second."""
    shop = place.client()
    before = identity(shop)
    sentence = "error(lock_wait) match statement=SELECT"
    with place.node.fault("db", sentence):
        sight = look(results, shop, THREE)
        sight.raised(OperationalError, r"^\(1205, ")
    assert place.orders() == []
    assert usable(shop, before) == "yes"
    seen("error", f"{sentence} (several results)", sight, "yes")
    sentence = "truncate(rows=2, then=close) match statement=CALL"
    with place.node.fault("db", sentence):
        sight = look(results, shop, "CALL two()")
        sight.raised(OperationalError, r"^\(2013, ")
    after = usable(shop, before)
    assert after == "anew"
    seen("truncate", f"{sentence} (several results)", sight, after)
    before = identity(shop)
    sentence = "truncate(rows=2, then=end) match statement=CALL"
    with place.node.fault("db", sentence):
        sight = look(results, shop, "CALL two()")
        sight.got([((1,),), ((1,),)])
    after = usable(shop, before)
    assert after == "yes"
    seen("truncate", f"{sentence} (several results)", sight, after)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.txt"
    path.write_text("".join(f"order {n}\n" for n in range(5000)))
    return path


def load(shop: Shop, path: Path) -> Any:
    return shop.run(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE orders (item)")


@pytest.mark.parametrize(
    "sentence",
    [
        "delay(1ms)",
        "error(deadlock) match statement=UPDATE",
        "slice(999B)",
        "lose_reply match statement=COMMIT",
    ],
)
def test_a_file_passes_while_faults_are_armed(sentence: str, file: Path, place: Place) -> None:
    place.direct().run("SET GLOBAL local_infile = ON")
    shop = place.client()
    with place.node.fault("db", sentence, fired=None if "match" not in sentence else 0):
        assert load(shop, file) == 5000
        assert ONE(shop) == FIRST
    assert len(place.orders()) == 5000
    assert ONE(shop) == FIRST


@pytest.mark.parametrize(
    ("sentence", "says", "rows", "after"),
    [
        ("error(disk_full) match statement=LOAD", r"^\(1021, ", 0, "yes"),
        ("error(lock_wait) match command=INFILE", r"^\(1205, ", 0, "anew"),
        ("error(lock_wait) match command=INFILE at reply", r"^\(1205, ", 5000, "anew"),
        ("lose_reply(then=close) match command=INFILE", r"^\(2013, ", 5000, "anew"),
        ("close match command=INFILE", r"^\((2013|2006), ", 0, "anew"),
    ],
)
def test_a_file_is_struck(
    sentence: str,
    says: str,
    rows: int,
    after: str,
    file: Path,
    place: Place,
    seen: Callable[..., None],
) -> None:
    place.direct().run("SET GLOBAL local_infile = ON")
    shop = place.client()
    before = identity(shop)
    with place.node.fault("db", sentence):
        sight = look(load, shop, file)
        sight.raised(OperationalError, says)
    found = usable(shop, before)
    assert found == after
    place.node.control.wait_until(lambda: len(place.orders()) == rows)
    seen(sentence.partition("(")[0].partition(" ")[0], sentence, sight, found)


def test_another_user_and_a_reset_of_the_session(place: Place) -> None:
    """COM_CHANGE_USER and COM_RESET_CONNECTION, and what match fields know afterwards."""
    made = Prepared(place)
    with place.node.fault("db", "delay(1ms)", fired=None):
        connection = made.connection
        assert made.run(SELECT, 1) == [(1, "item 1")]
        connection.cmd_reset_connection()
        made.cursor = connection.cursor(prepared=True)
        assert made.run(SELECT, 1) == [(1, "item 1")]
        connection.cmd_change_user("plain", "", "mysql")
        cursor = connection.cursor()
        cursor.execute("SELECT CURRENT_USER(), DATABASE()")
        ((user, database),) = cursor.fetchall()
        assert (user.partition("@")[0], database) == ("plain", "mysql")
        with place.node.fault("db", "error(lock_wait) match user=plain and database=mysql"):
            sight = look(cursor.execute, "SELECT 1")
            assert sight.error is not None
            assert sight.error.errno == 1205
        with place.node.fault("db", "error(lock_wait) match user=shop", fired=0):
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
    made.close()


def test_change_user_refused(place: Place, request: pytest.FixtureRequest) -> None:
    made = Prepared(place)
    sentence = "error(access_denied) match command=CHANGE_USER"
    with place.node.fault("db", sentence):
        sight = look(made.connection.cmd_change_user, "plain", "", "mysql")
        assert sight.error is not None
        assert sight.error.errno == 1045
    made.close()
    place.keeper(request, "mysql-connector-python")("error", sentence, sight, "no")


# ---- TLS and compression -------------------------------------------------------------------------


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def cipher(shop: Shop) -> str:
    return str(shop.run("SHOW STATUS LIKE 'Ssl_cipher'")[0][1])


def counts(place: Place, proxy: str) -> Any:
    return place.node.control.counters()[proxy]


def test_tls_is_negotiated_away(place: Place, seen: Callable[..., None]) -> None:
    """PyMySQL takes TLS where the server offers it and does without where not."""
    assert cipher(place.client(place.server.port))
    shop = place.client()
    before = identity(shop)
    assert cipher(shop) == ""
    sentence = "error(deadlock) match statement=SELECT"
    with place.node.fault("db", sentence):
        sight = look(ONE, shop)
        sight.raised(OperationalError, r"^\(1213, ")
    assert counts(place, "db")["raw"] == 0
    seen("error", f"{sentence} (TLS negotiated away)", sight, usable(shop, before))


def test_who_insists_on_tls_is_told_so(place: Place, seen: Callable[..., None]) -> None:
    sight = look(Shop, place.port, ssl=unverified())
    sight.raised(OperationalError, r"^\(2026, .*SSL is required")
    assert counts(place, "db")["raw"] == 0
    seen("negotiate", "negotiate = yes (TLS demanded)", sight, "no")


def test_tls_left_alone_is_raw(place: Place) -> None:
    """negotiate = no: the client has its TLS, the proxy says that it cannot see a thing."""
    port = place.node.port("open")
    shop = place.client(port, ssl=unverified())
    assert cipher(shop)
    with place.node.fault("open", "error(deadlock) match statement=SELECT", fired=0) as fault:
        assert ONE(shop) == FIRST
        assert fault.state["matched"] == 0
    states = [one["state"] for one in place.node.control.connections("open").values()]
    assert states == ["raw"]
    found = counts(place, "open")
    assert found["raw"] == 1
    (note,) = found["notes"]
    assert "TLS" in note
    assert found["notes"][note] == 1
    assert re.search(r"open: .*chosen TLS", place.node.log)
    with place.node.fault(
        "open", "delay(50ms) per connection direction to_client"
    ):  # bytes can be struck
        sight = look(ONE, shop)
        sight.got(FIRST)
        assert sight.seconds >= 0.05
    with place.node.fault("open", "reset per connection"):
        look(ONE, shop).raised(OperationalError, "Connection reset by peer|gone away|Lost")


def test_no_tls_where_it_is_left_alone(place: Place) -> None:
    shop = place.client(place.node.port("open"), ssl_disabled=True)
    with place.node.fault("open", "error(deadlock) match statement=SELECT"):
        look(ONE, shop).raised(OperationalError, r"^\(1213, ")
    assert counts(place, "open")["raw"] == 0


def c_client(port: int, *options: str) -> str:
    """What MariaDB's client in C says to a SELECT."""
    words = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-ushop", f"-p{PASSWORD}"]
    more = ["-Ne", "SELECT REPEAT('x', 500)"]
    done = subprocess.run([*words, *options, *more], capture_output=True, timeout=30, text=True)
    return done.stdout.strip() or done.stderr.strip()


def test_compression(place: Place, request: pytest.FixtureRequest) -> None:
    seen = place.keeper(request, "libmariadb")
    sentence = "error(lock_wait) match statement=SELECT"
    options = ("--compress", "--skip-ssl")
    with place.node.fault("db", sentence):
        sight = look(c_client, place.port, *options)
        assert "ERROR 1205 (HY000)" in sight.value
    assert c_client(place.port, *options) == "x" * 500
    seen("error", f"{sentence} (--compress)", sight, "anew")
    port = place.node.port("open")
    with place.node.fault("open", sentence, fired=0):
        assert c_client(port, *options) == "x" * 500
    (note,) = counts(place, "open")["notes"]
    assert "compression" in note


# ---- match fields --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "hit", "miss"),
    [
        ("statement=insert", INSERT, ONE),
        ("statement=INSERT,UPDATE", UPDATE, ONE),
        ("not statement=SELECT and command=QUERY", INSERT, ONE),
        ("sql~orders", INSERT, ONE),
        (
            'sql~"^/\\*job 7"',
            lambda s: s.run("/*job 7*/ SELECT 1"),
            lambda s: s.run("/*job 8*/ SELECT 1"),
        ),
        ("statement=SELECT", lambda s: s.run("/* by */ -- x\n (SELECT 1)"), INSERT),
        ("sql^='select name'", ONE, ALL),
        ("database=shop", ONE, None),
        ("database=mysql", lambda s: (s.connection.select_db("mysql"), s.run("SELECT 1")), ONE),
        ("user=shop", ONE, None),
        ("user!=shop", None, ONE),
        ("command=PING", lambda s: s.connection.ping(reconnect=False), ONE),
        ("command=INIT_DB", lambda s: s.connection.select_db("mysql"), ONE),
        ("in_transaction=yes", lambda s: (s.connection.begin(), ONE(s)), ONE),
        ("in_transaction=no", ONE, None),
        ("n=4..5", lambda s: [ONE(s) for _ in range(3)], None),
        ("size>=1KB", lambda s: s.run(f"SELECT 1 /* {'x' * 2000} */"), ONE),
        ("client=127.0.0.1", ONE, None),
        ("client=10.0.0.0/8", None, ONE),
        ("reply=ROWS", ONE, UPDATE),
        ("reply=OK", UPDATE, ONE),
        ("error=1146", lambda s: s.run("SELECT * FROM absent"), ONE),
    ],
)
def test_match_fields(match: str, hit: Any, miss: Any, place: Place) -> None:
    shop = place.client()
    sentence = f"error(4321) match {match}"
    if miss is not None:
        with place.node.fault("db", sentence, fired=0):
            miss(shop)
    if hit is not None:
        with place.node.fault("db", sentence, fired=None):
            look(hit, shop).raised(OperationalError, r"^\(4321, ")
        assert usable(shop, identity(shop)) == "yes"


def test_unknown_fields_are_refused(place: Place) -> None:
    with pytest.raises(Refused) as caught:
        place.node.control.add("db", "error(deadlock) match qury~^select")
    assert caught.value.status == 422
    assert "qury" in str(caught.value)


# ---- scripts, roulettes, recipes -----------------------------------------------------------------


def test_a_script(place: Place) -> None:
    shop = place.client()
    steps = "pass, error(deadlock), pass 2, lose_reply(then=reset)"
    with place.node.script("db", steps, "statement=INSERT"):
        assert INSERT(shop) == 1
        look(INSERT, shop).raised(OperationalError, r"^\(1213, ")
        assert ONE(shop) == FIRST  # not the script's
        assert [INSERT(shop), INSERT(shop)] == [1, 1]
        look(INSERT, shop).raised(OperationalError, r"^\(2013, .*reset by peer")
        shop.ping()
        assert INSERT(shop) == 1
    assert place.orders() == ["one"] * 5


def test_a_script_over_several_connections(place: Place) -> None:
    shops = [place.client() for _ in range(4)]
    with place.node.script("db", "error(deadlock) count 3, pass, error(1114)", "statement=INSERT"):
        seen = [look(INSERT, shops[n % 4]) for n in range(6)]
    numbers = [one.error.args[0] if one.error is not None else 0 for one in seen]
    assert numbers == [1213, 1213, 1213, 0, 1114, 0]


def test_a_roulette(place: Place) -> None:
    shop = place.client()
    control = place.node.control
    made = control.add("db", {"roulette": "40% error(1205), 30% error(1213), 30% error(1114)"})
    numbers = {look(INSERT, shop).error.args[0] for _ in range(60)}  # type: ignore[union-attr]
    gone = control.remove("db", made["name"])
    assert numbers == {1205, 1213, 1114}
    assert (gone["matched"], gone["fired"]) == (60, 60)
    assert place.orders() == []


def test_skip_every_count(place: Place) -> None:
    shop = place.client()
    with place.node.fault(
        "db", "error(1213) match statement=INSERT skip 1 every 3 count 2", fired=2
    ):
        failed = [n for n in range(12) if look(INSERT, shop).error is not None]
    assert failed == [3, 6]


def test_overloaded_database(place: Place, seen: Callable[..., None]) -> None:
    first = place.client()
    sentence = "overloaded-database strength=100% delay=20ms connections=1"
    with place.node.recipe("db", sentence):
        sight = look(INSERT, first)
        sight.raised(OperationalError, r"^\(1205, ")
        assert sight.seconds >= 0.02
        assert ONE(first) == FIRST
        look(Shop, place.port).raised(OperationalError, r"^\(1040, ")
    seen("recipe", f"recipe {sentence}", sight, usable(first))


def test_database_failover(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    sentence = "database-failover outage=300ms read_only=1500ms"
    with place.node.recipe("db", sentence):
        look(ONE, shop).raised(OperationalError, r"^\((2013|2006), ")
        look(Shop, place.port).raised(OperationalError, r"^\(2003, .*refused")
        again = place.node.control.wait_until(lambda: look(Shop, place.port).value)
        sight = look(INSERT, again)
        sight.raised(OperationalError, r"^\(1290, .*--read-only")
        assert ONE(again) == FIRST
        place.node.control.wait_until(lambda: look(INSERT, again).value, every=0.05)
        again.close()
    seen("recipe", f"recipe {sentence}", sight, usable(shop))


@pytest.mark.parametrize(
    ("sentence", "does", "sees", "says"),
    [
        ("queue-full", INSERT, OperationalError, r"^\(1114, "),
        ("slow-peer delay=50ms", ONE, FIRST, ""),
        ("slow-peer delay=1ms rate=100KB/s", ALL, ITEMS, ""),
        ("rate-limited-peer rate=1000/s", ONE, FIRST, ""),
        ("network-partition", ONE, OperationalError, r"^\(2013, .*timed out"),
    ],
)
def test_recipes(
    sentence: str, does: Any, sees: Any, says: str, place: Place, seen: Callable[..., None]
) -> None:
    shop = place.client()
    if "timed out" in says:
        shop.wait(SHORT)
    fired = 0 if "rate=1000/s" in sentence else None
    with place.node.recipe("db", sentence, fired):
        sight = look(does, shop)
        if says:
            sight.raised(sees, says)
        else:
            sight.got(sees)
    seen("recipe", f"recipe {sentence}", sight, usable(shop))


def test_flaky_peer(place: Place) -> None:
    """Each of its ways to fail is met in time, and every failure is an honest exception."""
    with (
        place.node.recipe("db", "flaky-peer strength=30% delay=1ms..5ms"),
        ThreadPoolExecutor(4) as pool,
    ):

        def ask(_: int) -> Any:
            with contextlib.suppress(OperationalError), Shop(place.port) as shop:
                return ONE(shop)
            return None

        found = list(pool.map(ask, range(40)))
    assert set(found) <= {FIRST, None}
    assert ONE(place.client()) == FIRST


def test_pools_recover(place: Place, seen: Callable[..., None]) -> None:
    """Ten connections lose their connections; afterwards all ten work."""
    shops = [place.client() for _ in range(10)]
    sentence = "reset match statement=SELECT"
    with ThreadPoolExecutor(10) as pool:
        with place.node.fault("db", sentence, fired=10):
            sights = list(pool.map(lambda shop: look(ONE, shop), shops))
            for sight in sights:
                sight.raised(OperationalError, r"^\(2013, .*reset by peer")
        assert list(pool.map(usable, shops, [0] * 10)) == ["anew"] * 10
        assert list(pool.map(ONE, shops)) == [FIRST] * 10
    seen("reset", f"{sentence} (ten clients at a time)", sights[0], "anew")
