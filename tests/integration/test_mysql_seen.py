"""What PyMySQL sees of every kind, in front of MariaDB and MySQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pymysql
import pytest
from harness import Case, Sight, check, identity, look, usable
from mysql_place import (
    ALL,
    BIG,
    FIRST,
    INSERT,
    ITEMS,
    ONE,
    SHORT,
    TEXT,
    UPDATE,
    Place,
    Shop,
    by_fresh,
    cleared,
    run,
)
from pymysql.err import OperationalError

from rascal.faults.build import tables
from rascal.wire.mysql import PROTOCOL

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def place(mysql_node: Place) -> Iterator[Place]:
    with cleared(mysql_node):
        yield mysql_node


@pytest.fixture
def seen(request: pytest.FixtureRequest, place: Place) -> Callable[..., None]:
    return place.keeper(request, "PyMySQL")


# ---- kinds on messages ---------------------------------------------------------------------------


def took(low: float, high: float = 5.0) -> tuple[float, float]:
    return (low, high)


def has(*items: str) -> Callable[[Shop], None]:
    """The upstream has these orders; asked through the proxy, whose fault is gone."""

    def proves(shop: Shop) -> None:
        rows = shop.run("SELECT item FROM orders ORDER BY id")
        assert [item for (item,) in rows] == list(items)

    return proves


def named(name: str) -> Callable[[Shop], None]:
    def proves(shop: Shop) -> None:
        assert ONE(shop) == ((name,),)

    return proves


def stream(shop: Shop) -> Any:
    """All rows; if that fails, it is remembered how many came before."""
    got: list[Any] = []
    try:
        return len(shop.stream("SELECT * FROM items ORDER BY id", got))
    except pymysql.Error as error:
        raise type(error)(*error.args, f"after {len(got)} rows") from error


def headed(shop: Shop) -> Any:
    """Names of the columns, and the rows."""
    with shop.connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM items")
        return [column[0] for column in cursor.description], cursor.fetchall()


def inserted(shop: Shop) -> Any:
    """Rows, and the id."""
    with shop.connection.cursor() as cursor:
        return cursor.execute("INSERT INTO orders (item) VALUES ('one')"), cursor.lastrowid


LOST: dict[str, tuple[type[Exception], str]] = {
    "hang": (OperationalError, r"^\(2013, .*timed out"),
    "close": (OperationalError, r"^\(2013, 'Lost connection to MySQL server during query'"),
    "reset": (OperationalError, r"^\((2003|2013), .*Connection reset by peer"),
}
DELAYS = [
    ("80ms", 0.08),
    ("60ms..90ms", 0.06),
    ("normal(90ms, 5ms)", 0.05),
    ("exponential(40ms, max=1s)", 0.0),
    ("pareto(60ms, 3)", 0.06),
    ("one_of(50ms, 70ms)", 0.05),
    ("lognormal(60ms, 90ms)", 0.01),
    ("percentiles(min=40ms, p50=60ms, p95=90ms)", 0.04),
]
READ, WRITE, CHANGE = "match statement=SELECT", "match statement=INSERT", "match statement=UPDATE"
MESSAGE_CASES = [
    *(Case("delay", f"delay({text}) {READ}", ONE, FIRST, took=took(low)) for text, low in DELAYS),
    Case("delay", f"delay(60ms) {READ} at request,reply", ONE, FIRST, took=took(0.12)),
    Case("delay", f"delay(60ms) {READ} at reply", ONE, FIRST, took=took(0.06)),
    Case("delay", "delay(80ms) at greeting", by_fresh(ONE), FIRST, took=took(0.08)),
    Case("delay", "delay(80ms) match command=LOGIN", by_fresh(ONE), FIRST, took=took(0.08)),
    Case("stall", f"stall {READ}", ONE, *LOST["hang"], "anew"),
    Case("stall", f"stall(20B, hold=80ms) {READ}", ONE, FIRST, took=took(0.08)),
    Case("stall", f"stall(rows=4, hold=80ms) {READ}", ALL, ITEMS, took=took(0.08)),
    Case(
        "stall", f"stall(rows=4) {READ}", stream, LOST["hang"][0], "timed out.*after 4 rows", "anew"
    ),
    *(
        Case(kind, f"{kind} {WRITE}{moment}", INSERT, *LOST[kind], "anew", proves=has(*items))
        for kind in ("reset", "close")
        for moment, items in (("", ()), (" at reply", ("one",)))
    ),
    Case("reset", f"reset(30B) {READ}", ONE, *LOST["reset"], "anew"),
    Case("close", f"close(30B) {READ}", ONE, *LOST["close"], "anew"),
    Case("close", "close at greeting", by_fresh(ONE), *LOST["close"]),
    Case("reset", "reset at greeting", by_fresh(ONE), *LOST["reset"]),
    *(
        Case(
            "lose_request",
            f"lose_request(then={then}) {WRITE}",
            INSERT,
            *LOST[then],
            "anew",
            proves=has(),
        )
        for then in LOST
    ),
    *(
        Case(
            "lose_reply",
            f"lose_reply(then={then}) {WRITE} count 1",
            INSERT,
            *LOST[then],
            "anew",
            proves=has("one"),
        )
        for then in LOST
    ),
    *(
        Case("truncate", f"truncate(bytes=20B, then={then}) {READ}", ONE, *LOST[then], "anew")
        for then in LOST
    ),
    *(
        Case(
            "truncate",
            f"truncate(rows=3, then={then}) {READ}",
            stream,
            LOST[then][0],
            LOST[then][1] + ".*after [0-3] rows"
            if then == "reset"
            else LOST[then][1] + ".*after 3 rows",
            "anew",
        )
        for then in LOST
    ),
    Case("truncate", f"truncate(rows=3, then=end) {READ}", ALL, ITEMS[:3]),
    Case("truncate", f"truncate(rows=0, then=end) {READ}", ALL, ()),
    Case(
        "truncate",
        f"truncate(rows=3, error=killed_query) {READ}",
        stream,
        OperationalError,
        r"^\(1317, 'Query execution was interrupted', 'after 3 rows'",
    ),
    Case("truncate", f"truncate(rows=10) {READ}", ALL, ITEMS, fired=0),
    Case("duplicate", f"duplicate {WRITE}", INSERT, 1, proves=has("one", "one")),
    Case(
        "replace",
        f"replace(42, column=stock) {READ}",
        lambda shop: shop.run("SELECT stock FROM absent"),
        (("42",),),
    ),
    Case("replace", f"replace(42) {READ} at request", ALL, (("42",),)),
    Case("replace", f"replace(affected=7) {CHANGE}", UPDATE, 7, proves=named("new")),
    Case("replace", f"replace(affected=7) {CHANGE} at request", UPDATE, 7, proves=named("item 1")),
    Case(
        "replace",
        f"replace(affected=1, insert_id=99) {WRITE} at request",
        inserted,
        (1, 99),
        proves=has(),
    ),
    Case("empty", f"empty {READ}", headed, (["id", "name"], ())),
    Case("empty", f"empty {CHANGE}", UPDATE, 0, proves=named("new")),
    Case("empty", f"empty {CHANGE} at request", UPDATE, 0, proves=named("item 1")),
    Case(
        "empty",
        "empty match statement=DELETE at request",
        run("DELETE FROM items"),
        0,
        proves=named("item 1"),
    ),
    Case(
        "error",
        f"error(lock_wait) {WRITE} at reply",
        INSERT,
        OperationalError,
        "1205",
        proves=has("one"),
    ),
    Case(
        "error",
        f"error(4242, text='not today', sqlstate=HY999) {WRITE}",
        INSERT,
        OperationalError,
        r"^\(4242, 'not today'",
    ),
]
"""truncate(rows=10) of ten rows cuts nothing: there is no eleventh."""


def impatient(case: Case) -> bool:
    """It waits for what never comes."""
    return "timed out" in case.text


@pytest.mark.parametrize("case", MESSAGE_CASES, ids=str)
def test_kinds_on_messages(case: Case, place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    if impatient(case):
        does = case.does

        def hasty(shop: Shop) -> Any:
            shop.wait(SHORT)
            return does(shop)

        case = replace(case, does=hasty)
    check(case, place.node, "db", shop, seen)


def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    before = identity(shop)
    for sentence in (f"hang {READ}", f"hang {READ} at reply", "hang per connection"):
        with ThreadPoolExecutor(1) as pool, place.node.fault("db", sentence) as hang:
            if "per" not in sentence:
                waiting = pool.submit(look, ONE, shop)
                hang.wait(waiting=1)
            else:
                hang.wait(fired=1)
                waiting = pool.submit(look, ONE, shop)
                with pytest.raises(TimeoutError):
                    waiting.result(SHORT)
            assert not waiting.done()
            hang.remove()
            sight = waiting.result(5)
            sight.got(FIRST)
        after = usable(shop, before)
        assert after == "yes"
        seen("hang", sentence, sight, after)


def test_hang_of_the_greeting(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    sentence = "hang at greeting"
    with ThreadPoolExecutor(1) as pool, place.node.fault("db", sentence) as hang:
        waiting = pool.submit(look, by_fresh(ONE), shop)
        hang.wait(waiting=1)
        assert not waiting.done()
        hang.remove()
        sight = waiting.result(5)
        sight.got(FIRST)
    seen("hang", sentence, sight, "yes")


def test_hang_that_outlasts_the_client(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    before = identity(shop)
    shop.wait(SHORT)
    sentence = f"hang {WRITE}"
    with place.node.fault("db", sentence):
        sight = look(INSERT, shop)
        sight.raised(*LOST["hang"])
        assert place.orders() == []
    after = usable(shop, before)
    assert after == "anew"
    # what was held is released in order when the hang goes; its client has left behind it
    place.node.control.wait_until(lambda: place.orders() == ["one"])
    seen("hang", sentence, sight, after)


def test_hang_that_closes_on_removal(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    before = identity(shop)
    sentence = f"hang {WRITE} on_remove close"
    with ThreadPoolExecutor(1) as pool, place.node.fault("db", sentence) as hang:
        waiting = pool.submit(look, INSERT, shop)
        hang.wait(waiting=1)
        hang.remove()
        sight = waiting.result(5)
        sight.raised(*LOST["close"])
    after = usable(shop, before)
    assert after == "anew"
    seen("hang", sentence, sight, after)
    assert place.orders() == []


def test_stale(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    before = identity(shop)
    sentence = f"stale {READ}"
    with place.node.fault("db", sentence, fired=2) as stale:
        assert ONE(shop) == FIRST
        UPDATE(place.direct())
        sight = look(ONE, shop)
        sight.got(FIRST)
        assert ALL(shop)[0] == (1, "new")  # another question
        assert ONE(shop) == FIRST
        assert stale.skipped == {"nothing": 2}
    after = usable(shop, before)
    assert after == "yes"
    seen("stale", sentence, sight, after)
    assert ONE(shop) == (("new",),)


def test_stale_by_age(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    sentence = f"stale(300ms) {READ} and in_transaction=no"
    with place.node.fault("db", sentence, fired=None) as stale:
        assert ONE(shop) == FIRST
        UPDATE(place.direct())
        began = time.monotonic()
        place.node.control.wait_until(lambda: time.monotonic() - began > 0.31)
        sight = look(ONE, shop)  # as it was 300 ms ago
        sight.got(FIRST)
        place.node.control.wait_until(lambda: ONE(shop) == (("new",),), seconds=2, every=0.1)
        matched = stale.state["matched"]
        shop.connection.begin()
        ONE(shop)
        shop.connection.rollback()
        assert stale.state["matched"] == matched
    seen("stale", sentence, sight, usable(shop))


def test_rate_limits(place: Place, seen: Callable[..., None]) -> None:
    shop = place.client()
    before = identity(shop)
    sentence = f"rate_limit(1/m, burst=2, error=user_limit) {READ}"
    with place.node.fault("db", sentence, fired=1) as limit:
        assert [ONE(shop), ONE(shop)] == [FIRST, FIRST]
        sight = look(ONE, shop)
        sight.raised(OperationalError, r"^\(1226, ")
        assert limit.skipped == {"under": 2}
    seen("rate_limit", sentence, sight, usable(shop, before))
    sentence = f"rate_limit(10/s, burst=1) {READ}"
    with place.node.fault("db", sentence, fired=2):
        sight = look(lambda: [ONE(shop) for _ in range(3)])
        sight.got([FIRST] * 3)
        assert 0.19 <= sight.seconds < 3
    seen("rate_limit", sentence, sight, usable(shop, before))
    for mode in ("close", "reset"):
        sentence = f"rate_limit(1/m, burst=1, mode={mode}) {READ}"
        before = identity(shop)
        with place.node.fault("db", sentence, fired=1):
            assert ONE(shop) == FIRST
            sight = look(ONE, shop)
            sight.raised(*LOST[mode])
        after = usable(shop, before)
        assert after == "anew"
        seen("rate_limit", sentence, sight, after)


def test_concurrency(place: Place, seen: Callable[..., None]) -> None:
    """The slot is taken by who waits for a lock of a third."""
    slow, shop = place.client(), place.client()
    before = identity(shop)
    for sentence in (
        "concurrency(1) match statement=UPDATE,SELECT",
        "concurrency(1, error=user_limit) match statement=UPDATE,SELECT",
    ):
        waits = "error" not in sentence
        holder = place.client(place.server.port)
        holder.connection.begin()
        holder.run("SELECT * FROM items WHERE id = 1 FOR UPDATE")
        with ThreadPoolExecutor(2) as pool, place.node.fault("db", sentence) as limit:
            running = pool.submit(UPDATE, slow)
            limit.wait(matched=1)
            asking = pool.submit(look, ONE, shop)
            limit.wait(matched=2)
            if waits:
                limit.wait(waiting=1)
                assert not asking.done()
            else:
                asking.result(5).raised(OperationalError, r"^\(1226, ")
            holder.connection.rollback()
            assert running.result(5) in (0, 1)
            sight = asking.result(5)
            if waits:
                sight.got((("new",),))
        after = usable(shop, before)
        assert after == "yes"
        seen("concurrency", sentence, sight, after)


# ---- kinds on connections and bytes --------------------------------------------------------------


def silence(seconds: float, then: Callable[[Shop], Any]) -> Callable[[Shop], Any]:
    """Say nothing for a while: what these kinds wait for."""

    def call(shop: Shop) -> Any:
        time.sleep(seconds)
        return then(shop)

    return call


def garbled(sight: Sight) -> None:
    """As long as it was, and not what it was."""
    ((text,),) = sight.value
    assert len(text) == 4000
    assert 2 <= sum(one != ord("x") for one in text) <= 5


ROW = ((TEXT,),)
SAFE = "direction to_client"
# what a kernel says to a write on a connection that is gone
GONE = r"^\((2006|2013), "
BYTE_CASES = [
    Case("noop", "noop", ONE, FIRST),
    Case("delay", "delay(40ms) per connection", ONE, FIRST, took=took(0.08)),
    Case("delay", "delay(80ms) at connect", by_fresh(ONE), FIRST, took=took(0.08)),
    Case("throttle", f"throttle(20KB/s) {SAFE}", BIG, ROW, took=took(0.15, 2)),
    Case("slice", "slice(100B, delay=1ms)", BIG, ROW, took=took(0.03)),
    Case("slice", f"slice(300B, vary=200B) {SAFE}", BIG, ROW),
    Case("trickle", "trickle(2ms, size=100B)", BIG, ROW, took=took(0.08)),
    Case("stall", "stall(500B, hold=100ms) per connection", BIG, ROW, took=took(0.1)),
    Case("limit", f"limit(1000B) {SAFE}", BIG, *LOST["close"], "anew"),
    Case("limit", f"limit(1000B, then=reset) {SAFE}", BIG, *LOST["reset"], "anew"),
    Case("reset", "reset(1000B) per connection", BIG, *LOST["reset"], "anew"),
    Case("close", "close(1000B) per connection", BIG, *LOST["close"], "anew"),
    Case("reset", "reset at connect", by_fresh(ONE), *LOST["reset"]),
    Case("close", "close at connect", by_fresh(ONE), *LOST["close"]),
    Case("corrupt", f"corrupt(gap=1000B) {SAFE}", BIG, garbled),
    Case(
        "corrupt",
        f"corrupt(gap=4B) {SAFE}",
        ONE,
        pymysql.InternalError,
        "Packet sequence number wrong",
        "anew",
    ),
    Case("blackhole", "blackhole", ONE, *LOST["hang"], "anew"),
    Case("blackhole", f"blackhole(50ms) {SAFE}", ONE, *LOST["close"], "anew"),
    Case("hang", "hang per connection", ONE, *LOST["hang"], "anew"),
    Case("hang", "hang at connect", by_fresh(ONE, read_timeout=SHORT), *LOST["hang"]),
    Case("max_age", "max_age(50ms)", silence(0.2, ONE), OperationalError, GONE, "anew", None),
    Case(
        "max_age",
        "max_age(50ms, then=reset) count 1",
        silence(0.2, ONE),
        OperationalError,
        GONE,
        "anew",
    ),
    Case(
        "max_age", "max_age(100ms, then=silent) count 1", silence(0.3, ONE), *LOST["reset"], "anew"
    ),
    Case("idle_kill", "idle_kill(100ms)", silence(0.3, ONE), OperationalError, GONE, "anew", None),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=reset) count 1",
        silence(0.3, ONE),
        OperationalError,
        GONE,
        "anew",
    ),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=silent) count 1",
        silence(0.3, ONE),
        *LOST["reset"],
        "anew",
    ),
    Case(
        "max_connections",
        "max_connections(1)",
        by_fresh(ONE),
        OperationalError,
        r"^\(1040, 'Too many connections'",
    ),
    Case(
        "max_connections",
        "max_connections(1, error=host_blocked)",
        by_fresh(ONE),
        OperationalError,
        r"^\(1129, ",
    ),
    Case("max_connections", "max_connections(1, then=reset)", by_fresh(ONE), *LOST["reset"]),
    Case("max_connections", "max_connections(0, then=close)", by_fresh(ONE), *LOST["close"]),
    Case(
        "max_connections",
        "max_connections(1, then=hang)",
        by_fresh(ONE, read_timeout=SHORT),
        *LOST["hang"],
    ),
    Case("refuse", "refuse", by_fresh(ONE), OperationalError, r"^\(2003, .*Connection refused"),
    Case("refuse", "99.9% refuse match client=127.0.0.0/8", by_fresh(ONE), *LOST["reset"]),
    Case("refuse", "refuse count 2", by_fresh(ONE), *LOST["reset"]),
    Case(
        "unreachable",
        "unreachable",
        by_fresh(ONE, connect_timeout=SHORT),
        OperationalError,
        r"^\(2003, .*timed out",
    ),
]


@pytest.mark.parametrize("case", BYTE_CASES, ids=str)
def test_kinds_on_connections(case: Case, place: Place, seen: Callable[..., None]) -> None:
    test_kinds_on_messages(case, place, seen)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    sentence = "slow_close(200ms) direction to_client"
    shop = place.client()
    with place.node.fault("db", sentence):
        sock = shop.connection._sock
        place.direct().run(f"KILL CONNECTION {shop.thread_id()}")
        sight = look(sock.recv, 1000)
        assert sight.error is None
        assert sight.seconds >= 0.15
    seen("slow_close", sentence, sight, usable(shop, 0))


def test_every_kind_is_here() -> None:
    cases = {case.name for case in (*MESSAGE_CASES, *BYTE_CASES)}
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    assert cases | alone == set(tables(PROTOCOL))
