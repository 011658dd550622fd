"""A process of impatient clients for the soak test.

    python clients.py KIND HOST PORT SECONDS SEED THREADS

Each thread asks, waits a little, gives up, connects again, until the time is over. What any of
them gets back must be an answer to what it asked: every value names its key. One line of JSON
on stdout tells how many requests went well, which exceptions came, and what was wrong.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

TIMEOUT = 0.25
KEYS = 20
ITEMS = 3
WRONG = 20

Step = Callable[[random.Random], None]
Made = tuple[Step, Callable[[], None]]


class WrongAnswer(AssertionError):
    """An answer to another question."""


def redis(host: str, port: int, who: str) -> Made:
    """SET, GET, pipelines and transactions with redis-py."""
    import redis as library
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = library.Redis(
        host,
        port,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )

    def step(rng: random.Random) -> None:
        keys = [f"{who}:{rng.randrange(KEYS)}" for _ in range(3)]
        way = rng.randrange(4)
        if way == 0:
            client.set(keys[0], f"{keys[0]}={'v' * rng.choice((1, 100, 20_000))}")
        elif way == 1:
            same(keys[0], client.get(keys[0]))
        elif way == 2:
            for key, value in zip(keys, client.mget(keys) or (), strict=False):
                same(key, value)
        else:
            pipe = client.pipeline(transaction=rng.random() < 0.5)
            for key in keys:
                pipe.get(key)
            for key, value in zip(keys, pipe.execute(), strict=False):
                same(key, value)

    return step, client.close


def tcp(host: str, port: int, who: str) -> Made:
    """Redis without a codec; bytes may be garbled, so answers are not looked at."""
    state: dict[str, socket.socket] = {}

    def step(rng: random.Random) -> None:
        try:
            if "sock" not in state:
                state["sock"] = socket.create_connection((host, port), TIMEOUT)
            sock = state["sock"]
            sock.settimeout(TIMEOUT)
            sock.sendall(b"ECHO %b\r\n" % (b"x" * rng.choice((1, 100, 20_000))))
            if rng.random() < 0.05:
                sock.shutdown(socket.SHUT_WR)
            if not sock.recv(65536):
                raise ConnectionError("closed")
        except OSError:
            close()
            raise

    def close() -> None:
        if "sock" in state:
            state.pop("sock").close()

    return step, close


def memcached(host: str, port: int, who: str) -> Made:
    """Set, get, get of many, incr with pymemcache."""
    from pymemcache.client.base import Client

    client = Client((host, port), connect_timeout=TIMEOUT, timeout=TIMEOUT)

    def step(rng: random.Random) -> None:
        keys = [f"{who}:{rng.randrange(KEYS)}" for _ in range(4)]
        way = rng.randrange(4)
        if way == 0:
            value = f"{keys[0]}={'v' * rng.choice((1, 100, 20_000))}"
            client.set(keys[0], value, noreply=rng.random() < 0.3)
        elif way == 1:
            same(keys[0], client.get(keys[0]))
        elif way == 2:
            for key, value in client.get_many(keys).items():
                same(key, value)
        else:
            client.incr(f"{who}:count", 1)

    return step, client.close


def http(host: str, port: int, who: str) -> Made:
    """Keep-alive GET and POST with requests."""
    import requests

    session = requests.Session()
    url = f"http://{host}:{port}"

    def step(rng: random.Random) -> None:
        if rng.random() < 0.5:
            reply = session.get(f"{url}/catalogue", timeout=TIMEOUT)
            if reply.status_code == 200 and reply.content:
                items = reply.json()["items"]
                if len(items) != ITEMS:
                    raise WrongAnswer(reply.text)
        else:
            body = {"who": who, "note": "n" * rng.choice((1, 100, 20_000))}
            reply = session.post(f"{url}/charge", json=body, timeout=TIMEOUT)
            if reply.status_code == 201 and reply.content and "charge" not in reply.json():
                raise WrongAnswer(reply.text)

    return step, session.close


def mysql(host: str, port: int, who: str) -> Made:
    """SELECT and transactions with PyMySQL."""
    import pymysql

    from rascal.demo.servers import DATABASE, PASSWORD, USER

    state: dict[str, Any] = {}

    def step(rng: random.Random) -> None:
        if "db" not in state:
            state["db"] = pymysql.connect(
                host=host,
                port=port,
                user=USER,
                password=PASSWORD,
                database=DATABASE,
                connect_timeout=TIMEOUT,
                read_timeout=TIMEOUT,
                write_timeout=TIMEOUT,
                autocommit=True,
            )
        try:
            with state["db"].cursor() as cursor:
                work(cursor, rng)
        except pymysql.err.OperationalError as error:
            if error.args[0] in (2006, 2013):
                close()
            raise
        except Exception:
            close()
            raise

    def work(cursor: Any, rng: random.Random) -> None:
        tag = f"{who}:{rng.randrange(KEYS)}"
        if rng.random() < 0.7:
            cursor.execute(f"SELECT '{tag}', REPEAT('v', {rng.choice((1, 100, 20_000))})")
            row = cursor.fetchone()
            if row is not None and row[0] != tag:
                raise WrongAnswer(f"{tag}: {row[0]}")
        else:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO soak (who) VALUES (%s)", (tag,))
            cursor.execute("COMMIT")

    def close() -> None:
        if "db" in state:
            with suppress(Exception):
                state.pop("db")._force_close()

    return step, close


def same(key: str, value: Any) -> None:
    """A value names its key, or there is none. Raises WrongAnswer."""
    if isinstance(value, Exception):
        raise value
    text = value.decode() if isinstance(value, bytes) else value
    if text is not None and not text.startswith(f"{key}="):
        raise WrongAnswer(f"{key}: {text[:60]}")


KINDS: dict[str, Callable[[str, int, str], Made]] = {
    "redis": redis,
    "tcp": tcp,
    "memcached": memcached,
    "http": http,
    "mysql": mysql,
}


def run(
    kind: str, address: tuple[str, int], end: float, seed: int, n: int, found: Counter[str]
) -> list[str]:
    """One thread's life. What was wrong."""
    rng = random.Random(f"{seed} {kind} {n}")
    step, close = KINDS[kind](*address, f"{kind}{seed}-{n}")
    wrong: list[str] = []
    while time.monotonic() < end:
        try:
            step(rng)
        except WrongAnswer as error:
            found["wrong"] += 1
            wrong.append(str(error))
        except Exception as error:
            found[f"{type(error).__module__}.{type(error).__qualname__}"] += 1
            time.sleep(0.005)
        else:
            found["ok"] += 1
    close()
    return wrong


def main(words: list[str]) -> None:
    """All threads of a process."""
    kind, host, port, seconds, seed, threads = words
    end = time.monotonic() + float(seconds)
    counts: list[Counter[str]] = [Counter() for _ in range(int(threads))]
    wrong: list[str] = []

    def life(n: int) -> None:
        wrong.extend(run(kind, (host, int(port)), end, int(seed), n, counts[n]))

    alive = [threading.Thread(target=life, args=(n,)) for n in range(int(threads))]
    for thread in alive:
        thread.start()
    for thread in alive:
        thread.join()
    print(json.dumps({"counts": dict(sum(counts, Counter())), "wrong": wrong[:WRONG]}))


if __name__ == "__main__":
    main(sys.argv[1:])
