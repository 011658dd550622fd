"""What redis-py sees of every kind on connections and bytes, in front of a real redis-server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from harness import Case, Sight, check, look, usable
from redis import exceptions
from redis_place import (
    LOST,
    SHORT,
    Place,
    by_fresh,
    get,
    impatient,
    took,
    wire,
)
from redis_servers import REDIS
from test_redis_seen import MESSAGE_CASES

from rascal.faults.build import tables
from rascal.wire.redis import PROTOCOL

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")


def big(client: Any) -> Any:
    return client.get("big")


def silence(seconds: float, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say nothing for a while: what these kinds wait for."""

    def call(client: Any) -> Any:
        time.sleep(seconds)
        return then(client)

    return call


BIG = b"x" * 4000
BYTE_CASES = [
    Case("delay", "delay(40ms) per connection", get, b"1", took=took(0.08)),
    Case("delay", "delay(80ms) at connect", by_fresh(get), b"1", took=took(0.08)),
    Case("throttle", "throttle(20KB/s) direction to_client", big, BIG, took=took(0.15, 2)),
    Case("throttle", "throttle(0) direction to_client", get, *LOST["hang"], "anew"),
    Case("noop", "noop", get, b"1"),
    Case("slice", "slice(100B, delay=1ms)", big, BIG, took=took(0.03)),
    Case("slice", "slice(300B, vary=200B) direction to_client", big, BIG),
    Case("trickle", "trickle(2ms, size=100B)", big, BIG, took=took(0.08)),
    Case("stall", "stall(500B, hold=100ms) per connection", big, BIG, took=took(0.1)),
    Case("limit", "limit(1000B) direction to_client", big, *LOST["close"], "anew"),
    Case("limit", "limit(1000B, then=reset) direction to_client", big, *LOST["reset"], "anew"),
    Case("limit", "limit(0) direction to_client", get, *LOST["close"], "anew"),
    Case("reset", "reset(hold=80ms) per connection", get, *LOST["reset"], "anew", took=took(0.08)),
    Case("reset", "reset(1000B) per connection", big, *LOST["reset"], "anew"),
    Case("close", "close(1000B) per connection", big, *LOST["close"], "anew"),
    # redis-py connects a second time if it finds a new connection closed
    Case("reset", "reset at connect", by_fresh(get), *LOST["reset"], fired=None),
    Case("close", "close at connect", by_fresh(get), *LOST["close"], fired=None),
    Case(
        "corrupt",
        "corrupt(gap=6B) direction to_client",
        lambda client: client.lrange("list", 0, -1),  # *20\r\n and then not $
        exceptions.InvalidResponse,
        "Protocol Error",
        "anew",
    ),
    Case(
        "corrupt",
        "corrupt(gap=1000B) direction to_client",
        big,
        lambda sight: garbled(sight),
    ),
    Case("blackhole", "blackhole", get, *LOST["hang"], "anew"),
    Case("blackhole", "blackhole(50ms) direction to_client", get, *LOST["close"], "anew"),
    Case(
        "blackhole",
        "blackhole(50ms, idle=yes) count 1",
        silence(0.3, get),
        b"1",  # by a new connection
        after="anew",
    ),
    Case("hang", "hang per connection", get, *LOST["hang"], "anew"),
    Case("hang", "hang at connect", by_fresh(get, socket_timeout=SHORT), *LOST["hang"]),
    # redis-py looks whether a pooled connection has been closed before it uses it
    Case("max_age", "max_age(50ms)", silence(0.2, get), b"1", after="anew", fired=None),
    Case(
        "max_age",
        "max_age(100ms, then=silent) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case("idle_kill", "idle_kill(100ms)", silence(0.3, get), b"1", after="anew", fired=None),
    Case(
        "idle_kill", "idle_kill(100ms, then=reset) count 1", silence(0.3, get), b"1", after="anew"
    ),
    Case(
        "idle_kill",
        "idle_kill(100ms, then=silent) count 1",
        silence(0.3, get),
        *LOST["reset"],
        "anew",
    ),
    Case(
        "max_connections",
        "max_connections(1)",
        by_fresh(get, client_name="shop"),  # so that it reads something before it asks
        redis.ConnectionError,
        "max number of clients reached",
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(1, then=reset)",
        by_fresh(get),
        *LOST["reset"],
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(0, then=close)",
        by_fresh(get),
        *LOST["close"],
        fired=None,
    ),
    Case(
        "max_connections",
        "max_connections(1, then=hang)",
        by_fresh(get, socket_timeout=SHORT),
        *LOST["hang"],
    ),
    Case("refuse", "refuse", by_fresh(get), redis.ConnectionError, "Error 111 .*refused"),
    Case(
        "refuse",
        "99.9% refuse match client=127.0.0.0/8",
        by_fresh(get),
        *LOST["reset"],
        fired=None,
    ),
    Case("refuse", "refuse count 2", by_fresh(get), *LOST["reset"], fired=None),
    Case(
        "unreachable",
        "unreachable",
        by_fresh(get, socket_connect_timeout=SHORT),
        redis.TimeoutError,
        "Timeout connecting to",
    ),
]


def garbled(sight: Sight) -> None:
    """As long as it was, and not what it was."""
    assert len(sight.value) == len(BIG)
    assert 2 <= sum(one != ord("x") for one in sight.value) <= 5


@pytest.mark.parametrize("case", BYTE_CASES, ids=str)
def test_kinds_on_connections(case: Case, place: Place, seen: Callable[..., None]) -> None:
    client = place.client(socket_timeout=SHORT if impatient(case) else 5)
    check(case, place.node, "cache", client, seen)


def test_slow_close(place: Place, seen: Callable[..., None]) -> None:
    sentence = "slow_close(200ms) direction to_client"
    with place.node.fault("cache", sentence), place.raw() as sock:
        sock.sendall(wire("QUIT"))
        assert sock.recv(100) == b"+OK\r\n"
        sight = look(sock.recv, 100)
        sight.got(b"")
        assert sight.seconds >= 0.15
    seen("slow_close", sentence, sight, usable(place.client()))


def test_every_kind_is_here() -> None:
    cases = {case.name for case in (*MESSAGE_CASES, *BYTE_CASES)}
    alone = {"stale", "rate_limit", "concurrency", "slow_close"}
    assert cases | alone == set(tables(PROTOCOL))
