"""Small shops whose behaviour under faults is known by construction.

    python shops.py SYSTEM PORT [NAME=PORT…]     (names: cache, db, payment)

Each has two routes: /browse needs nothing, /order needs the dependency. A shop is a WSGI
application on a thread for every request, as the everyday framework has it; `cascading` is the one
with a small pool for all. Work is sleep, so that many of them fit into one machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import Any

import pymysql
import redis

THREADS = 800
"""As good as one for every request."""
LOCAL = 0.012
"""Seconds of work of its own in every route."""

Answer = tuple[int, str]
Route = Callable[[str], Answer]
"""What it is asked (the query) to a status and a text."""
Ports = Mapping[str, int]


@dataclass
class Shop:
    """One application: what an order does, and how many requests it works on at a time."""

    order: Route
    browse: Route = field(default_factory=lambda: looked)
    threads: int = THREADS


def looked(query: str) -> Answer:
    """A page of the catalogue."""
    time.sleep(LOCAL)
    return 200, "three kettles"


# ---- with a cache


def cache(ports: Ports, **options: Any) -> redis.Redis:
    """A client without retries of its own."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis(port=ports["cache"], retry=Retry(NoBackoff(), 0), **options)


def resilient(ports: Ports, broken_share: int = 0) -> Shop:
    """Prices come from the cache; if that fails, the last known ones will do."""
    prices, known = cache(ports), {}
    for item in range(20):
        prices.set(f"price:{item}", 3900 + item)
    count = itertools.count(1)

    def order(query: str) -> Answer:
        number = next(count)
        item = number % 20
        with contextlib.suppress(redis.RedisError):  # what we know is good enough
            known[item] = prices.get(f"price:{item}")
        time.sleep(LOCAL)
        if broken_share and number % broken_share == 0:
            return 500, "a bug in every so many orders"
        return (200, f"{known[item]!r}") if item in known else (503, "no price")

    return Shop(order)


def failing(ports: Ports) -> Shop:
    """The same, but every tenth order fails whatever happens."""
    return resilient(ports, broken_share=10)


def broken(ports: Ports) -> Shop:
    """An error that nobody expected ends the process, and nobody starts it again."""
    prices = cache(ports)

    def order(query: str) -> Answer:
        try:
            prices.get("price:1")
        except redis.RedisError as error:
            print(f"giving up: {error}", flush=True)
            os._exit(1)
        time.sleep(LOCAL)
        return 200, "sold"

    return Shop(order)


# ---- with a queue and workers behind it


class Workers:
    """A queue of bounded length and a fixed number of workers, each with a cache of its own.

    Whoever has asked may have hung up long ago: the work is done all the same.
    """

    def __init__(self, ports: Ports, count: int, seconds: float, bound: int, mortal: bool) -> None:
        self.waiting: queue.Queue[Future[None]] = queue.Queue(bound)
        self.seconds = seconds
        self.mortal = mortal
        for _ in range(count):
            threading.Thread(target=self.work, args=(cache(ports),), daemon=True).start()

    def ask(self, patience: float | None = None) -> Answer:
        """Have it done, and wait for that."""
        done: Future[None] = Future()
        try:
            self.waiting.put_nowait(done)
            done.result(patience)
        except queue.Full:
            return 503, "too many before you"
        except Late:
            return 504, "not done in time"
        except redis.RedisError as error:
            return 500, str(error)
        return 200, "sold"

    def work(self, sold: redis.Redis) -> None:
        """One worker, for ever; one that is mortal ends with its first error."""
        while True:
            done = self.waiting.get()
            try:
                sold.incr("sold")
                time.sleep(self.seconds)
            except redis.RedisError as error:
                done.set_exception(error)
                if self.mortal:
                    return
            else:
                done.set_result(None)


def queued(
    count: int,
    seconds: float,
    bound: int,
    *,
    mortal: bool = False,
    patience: float | None = None,
) -> Callable[[Ports], Shop]:
    """A shop whose orders are done by workers."""

    def made(ports: Ports) -> Shop:
        workers = Workers(ports, count, seconds, bound, mortal)
        return Shop(lambda query: workers.ask(patience))

    return made


# ---- with a payment service


class Open(Exception):
    """The breaker does not let anybody through."""


class Breaker:
    """Five failures in a row open it; then one trial every two seconds until that goes well."""

    def __init__(self, failures: int = 5, pause: float = 2.0) -> None:
        self.most, self.pause = failures, pause
        self.row, self.tried = 0, 0.0
        self.lock = threading.Lock()

    def call(self, function: Callable[[], Answer]) -> Answer:
        """Call it, unless it is known not to work."""
        with self.lock:
            if self.row >= self.most:
                if time.monotonic() < self.tried + self.pause:
                    raise Open
                self.tried = time.monotonic()
        try:
            found = function()
        except OSError:
            with self.lock:
                self.row += 1
                self.tried = time.monotonic()
            raise
        self.row = 0
        return found


def pay(ports: Ports, seconds: float) -> Answer:
    """Charge by the payment service; raises OSError."""
    url = f"http://127.0.0.1:{ports['payment']}/charge"
    with urllib.request.urlopen(url, b"39.00", timeout=seconds) as reply:
        return reply.status, "paid"


def graceful(ports: Ports) -> Shop:
    """A short time-out and a circuit breaker: soon it says no at once."""
    breaker = Breaker()

    def order(query: str) -> Answer:
        time.sleep(LOCAL)
        try:
            return breaker.call(lambda: pay(ports, 0.3))
        except (Open, OSError):
            return 503, "no payments at the moment"

    return Shop(order)


def degraded(ports: Ports, threads: int = THREADS) -> Shop:
    """A time-out of five seconds, for every customer again."""

    def order(query: str) -> Answer:
        time.sleep(LOCAL)
        try:
            return pay(ports, 5.0)
        except OSError as error:
            return 500, str(error)

    return Shop(order, threads=threads)


def cascading(ports: Ports) -> Shop:
    """The same with eight threads for everything: orders that wait take them all."""
    return degraded(ports, threads=8)


# ---- with a database


class Pool:
    """Connections to the database, opened as they are needed."""

    def __init__(self, ports: Ports) -> None:
        self.port = ports["db"]
        self.free: queue.LifoQueue[Any] = queue.LifoQueue()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Any]:
        """One of them; it is thrown away if anything goes wrong."""
        try:
            found = self.free.get_nowait()
        except queue.Empty:
            found = pymysql.connect(
                host="127.0.0.1", port=self.port, user="shop", password="kettle", database="shop",
                connect_timeout=5, read_timeout=5, ssl_disabled=True,
            )  # fmt: skip
        try:
            yield found
        except BaseException:
            with contextlib.suppress(pymysql.Error):
                found.close()
            raise
        self.free.put(found)


def database(ports: Ports) -> Pool:
    """The pool, and the tables in it."""
    pool = Pool(ports)
    with pool.connection() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE items (id INT PRIMARY KEY, price INT)")
        cursor.execute("CREATE TABLE charges (id INT AUTO_INCREMENT PRIMARY KEY, what CHAR(40))")
        cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(n, 3900) for n in range(20)])
        connection.commit()
    return pool


def slow(ports: Ports) -> Shop:
    """Asks the database once and waits for it: slower with it, but in time."""
    pool = database(ports)

    def order(query: str) -> Answer:
        with pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT price FROM items WHERE id = %s", (hash(query) % 20,))
            found = cursor.fetchone()
            connection.rollback()
        time.sleep(LOCAL)
        return 200, str(found)

    return Shop(order)


def corrupt(ports: Ports) -> Shop:
    """A charge whose COMMIT was lost is made once more: nothing says that it is the same one."""
    pool = database(ports)

    def order(query: str) -> Answer:
        time.sleep(LOCAL)
        for _ in range(3):
            try:
                with pool.connection() as connection, connection.cursor() as cursor:
                    cursor.execute("INSERT INTO charges (what) VALUES (%s)", (query,))
                    connection.commit()
            except pymysql.Error:
                continue
            return 200, "paid"
        return 503, "no payments at the moment"

    return Shop(order)


SYSTEMS: Mapping[str, Callable[[Ports], Shop]] = {
    "resilient": resilient,
    "graceful": graceful,
    "slow": slow,
    "degraded": degraded,
    "cascading": cascading,
    # 66 a second; customers of the experiment try five times.
    "metastable": queued(1, 0.015, 260),
    # 70 a second as long as all five live, 14 with the last.
    "overloaded": queued(5, 0.07, 100, mortal=True, patience=1.0),
    "broken": broken,
    "corrupt": corrupt,
    "failing": failing,
    # 22 a second.
    "full": queued(1, 0.045, 1000),
}


def application(shop: Shop) -> Callable[..., Iterable[bytes]]:
    """The shop as WSGI."""
    routes = {"/browse": shop.browse, "/order": shop.order}
    reasons = {200: "OK", 201: "Created", 404: "Not Found"}

    def answer(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        route = routes.get(environ["PATH_INFO"])
        status, text = route(environ["QUERY_STRING"]) if route else (404, "no such page")
        data = text.encode()
        status_line = f"{status} {reasons.get(status, 'Error')}"
        start(status_line, [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
        return [data]

    return answer


def main() -> None:
    """Serve on 127.0.0.1 until killed."""
    from twisted.internet import reactor
    from twisted.python.threadpool import ThreadPool
    from twisted.web.server import Site
    from twisted.web.wsgi import WSGIResource

    name, port = sys.argv[1], int(sys.argv[2])
    ports = {place.partition("=")[0]: int(place.partition("=")[2]) for place in sys.argv[3:]}
    loop: Any = reactor
    shop = SYSTEMS[name](ports)
    pool = ThreadPool(0, shop.threads)
    pool.start()
    loop.listenTCP(port, Site(WSGIResource(loop, pool, application(shop))), interface="127.0.0.1")
    loop.run()
    os._exit(0)  # some threads wait for what never comes


if __name__ == "__main__":
    main()
