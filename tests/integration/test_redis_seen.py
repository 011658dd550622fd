"""What redis-py sees of every kind that strikes commands, in front of a real redis-server."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from harness import Case, check, identity, look, usable
from redis_place import (
    LOST,
    LPUSH,
    SET,
    SHORT,
    Place,
    command,
    get,
    impatient,
    took,
)
from redis_servers import REDIS

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")


def has(key: str, value: bytes | None) -> Callable[[Any], None]:
    """The upstream has it; asked through the proxy, whose fault is gone."""

    def proves(client: Any) -> None:
        assert client.get(key) == value

    return proves


def has_list(*items: bytes) -> Callable[[Any], None]:
    def proves(client: Any) -> None:
        assert client.lrange("jobs", 0, -1) == list(items)

    return proves


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
MESSAGE_CASES = [
    *(
        Case("delay", f"delay({text}) match command=GET", get, b"1", took=took(low))
        for text, low in DELAYS
    ),
    Case("delay", "delay(60ms) match key=a at request,reply", get, b"1", took=took(0.12)),
    Case("delay", "delay(60ms) match key=a at reply", get, b"1", took=took(0.06)),
    Case(
        "delay",
        "delay(20ms) match key=p",
        lambda client: client.pipeline(transaction=False).incr("p").incr("p").incr("p").execute(),
        [1, 2, 3],
        fired=3,
        took=took(0.02, 1),
    ),
    Case("stall", "stall(2B) match command=GET", get, *LOST["hang"], "anew"),
    Case("stall", "stall(after=4B, hold=80ms) match key=a", get, b"1", took=took(0.08)),
    Case(
        "stall",
        "stall(items=2, hold=80ms) match command=LRANGE",
        lambda client: client.lrange("list", 0, 2),
        [b"0", b"1", b"2"],
        took=took(0.08),
    ),
    Case("reset", "reset match command=SET", SET, *LOST["reset"], "anew", proves=has("a", b"1")),
    Case(
        "reset",
        "reset match command=SET at reply",
        SET,
        *LOST["reset"],
        "anew",
        proves=has("a", b"2"),
    ),
    Case("reset", "reset(3B) match command=GET", get, *LOST["reset"], "anew"),
    Case("close", "close match command=SET", SET, *LOST["close"], "anew", proves=has("a", b"1")),
    Case(
        "close",
        "close match command=SET at reply",
        SET,
        *LOST["close"],
        "anew",
        proves=has("a", b"2"),
    ),
    Case("close", "close(3B) match command=GET", get, *LOST["close"], "anew"),
    *(
        Case(
            "lose_request",
            f"lose_request(then={then}) match command=LPUSH",
            LPUSH,
            *LOST[then],
            "anew",
            proves=has_list(),
        )
        for then in LOST
    ),
    *(
        Case(
            "lose_reply",
            f"lose_reply(then={then}) match command=LPUSH count 1",
            LPUSH,
            *LOST[then],
            "anew",
            proves=has_list(b"1"),
        )
        for then in LOST
    ),
    *(
        Case(
            "truncate",
            f"truncate(bytes=3B, then={then}) match command=GET",
            get,
            *LOST[then],
            "anew",
        )
        for then in LOST
    ),
    Case(
        "truncate",
        "truncate(items=2) match command=LRANGE",
        lambda client: client.lrange("list", 0, -1),
        *LOST["close"],
        "anew",
    ),
    Case(
        "duplicate",
        "duplicate match command=INCRBY",
        lambda client: client.incr("n"),
        1,
        proves=has("n", b"2"),
    ),
    Case("replace", "replace(42) match command=GET", get, b"42", proves=has("a", b"1")),
    Case(
        "replace", "replace(7) match command=INCR", command("INCR", "n"), 7, proves=has("n", b"1")
    ),
    Case(
        "replace",
        "replace(7) match command=INCR at request",
        command("INCR", "n"),
        7,
        proves=has("n", None),
    ),
    Case("empty", "empty match command=GET", get, None),
    Case("empty", "empty match command=MGET", lambda c: c.mget("a", "b"), [None, None]),
    Case("empty", "empty match command=LRANGE", lambda c: c.lrange("list", 0, -1), []),
    Case("empty", "empty match command=HGETALL", lambda c: c.hgetall("hash"), {}),
    Case("empty", "empty match command=TTL at request", lambda c: c.ttl("a"), -2),
    Case(
        "error",
        "error(oom) match command=SET at reply",
        SET,
        redis.OutOfMemoryError,
        "maxmemory",
        proves=has("a", b"2"),
    ),
    Case(
        "error",
        "error(BORED, text='not today') match command=GET",
        get,
        redis.ResponseError,
        "^BORED not today$",
    ),
]


@pytest.mark.parametrize("case", MESSAGE_CASES, ids=str)
def test_kinds_on_messages(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_hang_until_it_is_removed(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    before = identity(client)
    for sentence in ("hang match key=a", "hang match key=a at reply", "hang per connection"):
        with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence) as hang:
            if "per" not in sentence:
                waiting = pool.submit(look, client.get, "a")
                hang.wait(waiting=1)
            else:
                hang.wait(fired=1)
                waiting = pool.submit(look, client.get, "a")
                with pytest.raises(TimeoutError):
                    waiting.result(SHORT)
            assert not waiting.done()
            hang.remove()
            sight = waiting.result(5)
            sight.got(b"1")
        after = usable(client, before)
        assert after == "yes"
        seen("hang", f"{sentence} (removed later)", sight, after)


def test_hang_that_outlasts_the_client(place: Place, seen: Callable[..., None]) -> None:
    case = Case("hang", "hang match command=SET", SET, *LOST["hang"], "anew")
    check(case, place.node, "cache", place.client(socket_timeout=SHORT), seen)
    # what was held is released in order when the hang goes; its client has left behind it
    direct = place.direct()
    place.node.control.wait_until(lambda: direct.get("a") == b"2")


def test_hang_that_closes_on_removal(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    sentence = "hang match command=SET on_remove close"
    with ThreadPoolExecutor(1) as pool, place.node.fault("cache", sentence) as hang:
        waiting = pool.submit(look, SET, client)
        hang.wait(waiting=1)
        hang.remove()
        sight = waiting.result(5)
        sight.raised(*LOST["close"])
    after = usable(client, -1)
    seen("hang", sentence, sight, after)
    assert place.direct().get("a") == b"1"


def test_the_lost_lpush(place: Place) -> None:
    """The job is there, its producer got an error, and the counters say so."""
    client = place.client(socket_timeout=SHORT)
    with place.node.fault("cache", "lose_reply match command=LPUSH count 1") as lost:
        sight = look(client.lpush, "jobs", "one")
        sight.raised(redis.TimeoutError)
        assert place.direct().lrange("jobs", 0, -1) == [b"one"]
        assert client.lpush("jobs", "two") == 2  # by a new connection; the fault is used up
        state = lost.adds_up()
        assert (state["matched"], state["fired"], state["armed"]) == (1, 1, False)
    assert place.direct().lrange("jobs", 0, -1) == [b"two", b"one"]
    struck = place.node.control.exchanges("cache", fault="lose_reply")
    assert (struck[0]["command"], struck[0]["faults"]) == ("LPUSH", ["lose_reply"])
    assert struck[0]["outcome"] == "reply lost"


def test_stale(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    before = identity(client)
    sentence = "stale match command=GET"
    with place.node.fault("cache", sentence, fired=2) as stale:
        assert client.get("a") == b"1"
        direct.set("a", "new")
        sight = look(client.get, "a")
        sight.got(b"1")
        assert client.get("a") == b"1"
        assert client.get("none") is None
        assert stale.skipped == {"nothing": 2}
    after = usable(client, before)
    seen("stale", sentence, sight, after)
    assert client.get("a") == b"new"


def test_stale_by_age(place: Place, seen: Callable[..., None]) -> None:
    client, direct = place.client(), place.direct()
    sentence = "stale(300ms) match command=GET"
    with place.node.fault("cache", sentence, fired=None):
        assert client.get("a") == b"1"
        direct.set("a", "new")
        began = time.monotonic()
        place.node.control.wait_until(lambda: time.monotonic() - began > 0.31)
        sight = look(client.get, "a")  # as it was 300 ms ago
        sight.got(b"1")
        place.node.control.wait_until(lambda: client.get("a") == b"new", seconds=2, every=0.1)
    seen("stale", sentence, sight, usable(client))


def test_rate_limits(place: Place, seen: Callable[..., None]) -> None:
    client = place.client()
    before = identity(client)
    sentence = "rate_limit(1/m, burst=2, error=busy) match command=GET"
    with place.node.fault("cache", sentence, fired=1) as limit:
        assert [get(client), get(client)] == [b"1", b"1"]
        sight = look(get, client)
        sight.raised(redis.ResponseError, "^BUSY")
        assert limit.skipped == {"under": 2}
    seen("rate_limit", sentence, sight, usable(client, before))
    sentence = "rate_limit(10/s, burst=1) match command=GET"
    with place.node.fault("cache", sentence, fired=2):
        sight = look(lambda: [get(client) for _ in range(3)])
        sight.got([b"1"] * 3)
        assert 0.19 <= sight.seconds < 3
    seen("rate_limit", sentence, sight, usable(client, before))
    for mode in ("close", "reset"):
        sentence = f"rate_limit(1/m, burst=1, mode={mode}) match command=GET"
        with place.node.fault("cache", sentence, fired=1):
            assert get(client) == b"1"
            sight = look(get, client)
            sight.raised(*LOST[mode])
        seen("rate_limit", sentence, sight, usable(client, before))


def test_concurrency(place: Place, seen: Callable[..., None]) -> None:
    slow, client = place.client(), place.client()
    for sentence in ("concurrency(1) match command=BLPOP,GET", "concurrency(1, error=busy)"):
        waits = "error" not in sentence
        with ThreadPoolExecutor(2) as pool, place.node.fault("cache", sentence) as limit:
            popping = pool.submit(slow.blpop, "jobs", 5)
            limit.wait(matched=1)
            getting = pool.submit(look, client.get, "a")
            limit.wait(matched=2)
            if waits:
                limit.wait(waiting=1)
                assert not getting.done()
            else:
                getting.result(5).raised(redis.ResponseError, "^BUSY")
            place.direct().lpush("jobs", "x")
            assert popping.result(5) == (b"jobs", b"x")
            sight = getting.result(5)
            if waits:
                sight.got(b"1")
        seen("concurrency", sentence, sight, usable(client))
