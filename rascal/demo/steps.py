"""The six failures of the demo, each seen by the real client library.

A step arms its faults, lets a client do what an application would, looks behind the proxy at what
really happened there, and reads the counters. STEPS lists them in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from rascal.demo.children import Address
from rascal.demo.node import Node
from rascal.demo.report import Report, Seen, attempt
from rascal.demo.servers import DATABASE, PASSWORD, USER

CHARGES = 40
SHARE = (4, 22)
"""Of 40 charges at 30% so many fail; the seed makes it the same number each time."""
TIMEOUT = 0.4


@attrs.frozen(kw_only=True)
class Stage:
    """Where the steps play.

    Attributes:
        node: the proxies.
        direct: the real servers' addresses, by the name of the proxy in front of them.
        quick: fewer requests.
    """

    node: Node
    direct: Mapping[str, Address]
    quick: bool = False

    def through(self, name: str) -> Address:
        """The proxy's address: what an application is configured with."""
        return self.node.addresses[name]


def prepare(stage: Stage) -> None:
    """Tables and items that the steps expect, made behind the proxies."""
    with shop(stage.direct["db"]) as db, db.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS orders")
        cursor.execute("DROP TABLE IF EXISTS stock")
        cursor.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item VARCHAR(20))")
        cursor.execute("CREATE TABLE stock (item VARCHAR(20) PRIMARY KEY, pieces INTEGER)")
        cursor.execute("INSERT INTO stock VALUES ('kettle', 100)")


def deadlock(stage: Stage) -> Report:
    """MySQL chooses this transaction as the deadlock's victim."""
    report = Report(
        "A deadlock, really rolled back",
        "MySQL picks the checkout as the victim of a deadlock, once. It is the proxy that says "
        "so, and the proxy that makes MySQL roll back, as MySQL would have done itself.",
    )

    def checkout(db: Any, order: int) -> str:
        with db.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO orders VALUES (%s, 'kettle')", (order,))
            cursor.execute("UPDATE stock SET pieces = pieces - 1 WHERE item = 'kettle'")
            cursor.execute("COMMIT")
        return "ordered"

    with (
        stage.node.fault("db", "error(deadlock) match statement=UPDATE count 1") as fault,
        shop(stage.through("db")) as db,
    ):
        report.armed(fault)
        report.did("BEGIN; INSERT INTO orders …; UPDATE stock …; COMMIT")
        first = attempt(lambda: checkout(db, 1))
        report.saw(first)
        report.check("PyMySQL raised its deadlock, error 1213", _code(first) == 1213)
        report.check("MySQL has no order 1: it was rolled back", orders(stage, 1) == 0)
        report.did("the same again on the same connection")
        again = attempt(lambda: checkout(db, 1))
        report.saw(again)
        report.check("MySQL has order 1, once", again.error is None and orders(stage, 1) == 1)
        report.count(fault, fired=1)
    return report


def lost_commit(stage: Stage) -> Report:
    """The COMMIT is carried out, its reply is lost."""
    report = Report(
        "The lost COMMIT",
        "MySQL commits, then the connection dies before the client hears of it. Who now simply "
        "tries again orders twice.",
    )
    with (
        stage.node.fault("db", "lose_reply(then=reset) match statement=COMMIT count 1") as fault,
        shop(stage.through("db")) as db,
    ):
        report.armed(fault)
        report.did("BEGIN; INSERT INTO orders …; COMMIT")
        with db.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO orders VALUES (2, 'teapot')")
            seen = attempt(lambda: cursor.execute("COMMIT"))
        report.saw(seen)
        report.check("PyMySQL lost its connection, error 2013", _code(seen) == 2013)
        report.check("MySQL has order 2 all the same", eventually(lambda: orders(stage, 2) == 1))
        report.count(fault, matched=1, fired=1)
    return report


def cold_cache(stage: Stage) -> Report:
    """The cache forgets the sessions, and only them."""
    from pymemcache.client.base import Client  # type: ignore[import-untyped, unused-ignore]

    report = Report(
        "A cold cache, for sessions only",
        "memcached answers every key of one prefix with a miss, as after a restart or an "
        "eviction; the other keys of the same reply are hits.",
    )
    client = Client(stage.through("cache"), connect_timeout=5, timeout=5)
    try:
        client.set_many({"session:7": b"ann", "cart:7": b"kettle"}, noreply=False)
        keys = ["session:7", "cart:7"]
        with stage.node.fault("cache", "empty match key^=session: for 20s") as fault:
            report.armed(fault)
            report.did("get session:7, then cart:7")
            seen = [attempt(lambda key=key: client.get(key)) for key in keys]  # type: ignore[misc]
            report.saw(" · ".join(str(one) for one in seen))
            report.check("the session is a miss", seen[0].value is None and not seen[0].error)
            report.check("the cart is a hit", seen[1].value == b"kettle")
            report.count(fault, matched=1, fired=1)
        back = attempt(lambda: client.get("session:7"))
        report.did("the fault is removed; get session:7")
        report.saw(back)
        report.check("the session is back: memcached had it all the time", back.value == b"ann")
    finally:
        client.close()
    return report


def lost_push(stage: Stage) -> Report:
    """The queue takes the job, its reply is lost."""
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Lost
    from redis.retry import Retry

    report = Report(
        "The queue takes the job and does not say so",
        "Redis carries out LPUSH, the reply is lost. The application cannot know, tries again, "
        "and the job is there twice: jobs need a key of their own.",
    )
    host, port = stage.through("jobs")
    client = redis.Redis(host, port, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    behind = redis.Redis(*stage.direct["jobs"], socket_timeout=5)
    behind.delete("mails")
    try:
        with stage.node.fault(
            "jobs", "lose_reply(then=close) match command=LPUSH count 1"
        ) as fault:
            report.armed(fault)
            report.did("LPUSH mails welcome:7")
            seen = attempt(lambda: client.lpush("mails", "welcome:7"))
            report.saw(seen)
            report.check("redis-py lost its connection", isinstance(seen.error, Lost))
            report.check(
                "Redis has the job all the same", eventually(lambda: behind.llen("mails") == 1)
            )
            report.did("the same again")
            again = attempt(lambda: client.lpush("mails", "welcome:7"))
            report.saw(again)
            report.check("Redis has the job twice", behind.llen("mails") == 2)
            report.count(fault, matched=1, fired=1)
    finally:
        client.close()
        behind.close()
    return report


def busy_payment(stage: Stage) -> Report:
    """A third of the charges is turned away."""
    import requests

    report = Report(
        "The payment peer is busy, now and then",
        "Three in ten POST /charge get 503 with Retry-After; the peer never sees them. Nothing "
        "else is touched. The same seed strikes the same requests each time.",
    )
    here, there = (f"http://{host}:{port}" for host, port in _both(stage, "payment"))
    with (
        stage.node.fault(
            "payment", "30% error(503, retry_after=2s) match method=POST and path=/charge"
        ) as fault,
        requests.Session() as session,
    ):
        report.armed(fault)
        before = requests.get(f"{there}/charges", timeout=5).json()["charges"]
        report.did(f"POST /charge {CHARGES} times, GET /catalogue after each")
        charges, pages = [], []
        for n in range(CHARGES):
            charges.append(session.post(f"{here}/charge", json={"order": n}, timeout=5))
            pages.append(session.get(f"{here}/catalogue", timeout=5))
        busy = [reply for reply in charges if reply.status_code == 503]
        made = requests.get(f"{there}/charges", timeout=5).json()["charges"] - before
        first = busy[0] if busy else charges[0]
        report.saw(
            f"{len(busy)} × 503, {CHARGES - len(busy)} × 201; the first 503 with Retry-After: "
            f"{first.headers.get('Retry-After')}, {first.headers.get('Content-Type')}"
        )
        low, high = SHARE
        report.check("some were turned away, not all", low <= len(busy) <= high)
        good = all(reply.headers.get("Retry-After") == "2" for reply in busy)
        report.check("each of them said when to come back", good)
        report.check("every page came", all(page.status_code == 200 for page in pages))
        report.check(f"the peer charged {CHARGES - len(busy)} times", made == CHARGES - len(busy))
        report.count(fault, matched=CHARGES, fired=len(busy))
    return report


def slow_then_hang(stage: Stage) -> Report:
    """Slow like production, then no reply at all."""
    report = Report(
        "The database slows down, then hangs",
        "First as slow as on a bad day: half the reads over 40ms, one in twenty over 150ms. Then "
        "it says nothing any more, until the fault is lifted.",
    )
    each = 8 if stage.quick else 20

    def reads(_: int) -> list[float]:
        with shop(stage.through("db")) as db:
            return [attempt(lambda: pieces(db)).seconds for _ in range(each)]

    with stage.node.fault("db", "delay(lognormal(40ms, 150ms)) match statement=SELECT") as slow:
        report.armed(slow)
        report.did(f"4 connections, {each} SELECTs each")
        with ThreadPoolExecutor(4) as pool:
            times = sorted(took for some in pool.map(reads, range(4)) for took in some)
        p50, p95 = times[len(times) // 2], times[int(len(times) * 0.95)]
        report.saw(f"p50 {p50 * 1000:.0f}ms, p95 {p95 * 1000:.0f}ms, max {times[-1] * 1000:.0f}ms")
        report.check("half of them took about 40ms or more", 0.02 <= p50 <= 0.15)
        report.check("the slow ones are much slower", p95 >= 2 * p50)
        report.count(slow, matched=4 * each, fired=4 * each)
    with (
        stage.node.fault("db", "hang match statement=SELECT") as hang,
        shop(stage.through("db"), TIMEOUT) as hasty,
        shop(stage.through("db")) as patient,
        ThreadPoolExecutor(1) as pool,
    ):
        report.armed(hang)
        report.did(f"SELECT, with a time-out of {TIMEOUT}s; another client waits")
        waiting = pool.submit(attempt, lambda: pieces(patient))
        seen = attempt(lambda: pieces(hasty))
        report.saw(seen)
        timely = _code(seen) == 2013 and TIMEOUT <= seen.seconds < TIMEOUT + 2
        report.check("the hasty client gave up in time, error 2013", timely)
        report.check("the other one still waits", not waiting.done())
        counters = report.count(hang, matched=2, fired=2)
        report.check("the counters know who waits", counters.waiting >= 1)
        began = time.perf_counter()
        hang.remove()
        released = waiting.result()
        report.did("the hang is removed")
        report.saw(released)
        prompt = released.error is None and time.perf_counter() - began < 1
        report.check("the patient client got its row at once", prompt)
    return report


STEPS: tuple[Callable[[Stage], Report], ...] = (
    deadlock,
    lost_commit,
    cold_cache,
    lost_push,
    busy_payment,
    slow_then_hang,
)


def shop(address: Address, read_timeout: float = 10) -> Any:
    """A PyMySQL connection to the shop's database; a block closes it."""
    import pymysql

    return pymysql.connect(
        host=address[0],
        port=address[1],
        user=USER,
        password=PASSWORD,
        database=DATABASE,
        autocommit=True,
        connect_timeout=5,
        read_timeout=read_timeout,
        write_timeout=10,
    )


def pieces(db: Any) -> int:
    """How many kettles are left."""
    with db.cursor() as cursor:
        cursor.execute("SELECT pieces FROM stock WHERE item = 'kettle'")
        return int(cursor.fetchone()[0])


def orders(stage: Stage, order: int) -> int:
    """How often MySQL has an order, asked behind the proxy."""
    with shop(stage.direct["db"]) as db, db.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM orders WHERE id = %s", (order,))
        return int(cursor.fetchone()[0])


def eventually(condition: Callable[[], bool], seconds: float = 3.0) -> bool:
    """Whether it comes true in time: what is behind the proxy may lag behind the client."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _code(seen: Seen) -> int | None:
    """The error number that PyMySQL gave."""
    if seen.error is None or not seen.error.args:
        return None
    number = seen.error.args[0]
    return number if isinstance(number, int) else None


def _both(stage: Stage, name: str) -> tuple[Address, Address]:
    return stage.through(name), stage.direct[name]
