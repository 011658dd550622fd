"""Recipes in front of Redis, and of Redis as plain bytes; those of MySQL, memcached and HTTP stand
in test_mysql_sessions_seen.py, test_memcached_seen.py and test_http_paths_seen.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from harness import Node, Sight, identity, look, running, usable
from redis import exceptions
from redis_place import GET, LOST, LPUSH, SET, SHORT, Place, fresh, get
from redis_servers import REDIS

from rascal.faults.recipes import RECIPES

pytestmark = pytest.mark.skipif(not REDIS, reason="redis-server is not installed")
SEEN = ("redis", "redis-py")
# redis-py sees that its connection has ended before it asks, and connects anew
REFUSED = (redis.ConnectionError, "Error 111 .*refused")


def connects(client: Any) -> Sight:
    with fresh(client) as other:
        return look(other.get, "a")


ONE_WAY = [
    ("overloaded-database strength=100% delay=30ms", GET, exceptions.ResponseError, "^BUSY"),
    ("commit-lost", lambda c: c.pipeline().set("a", "2").execute(), *LOST["reset"]),
    ("commit-lost then=close", lambda c: c.pipeline().set("a", "2").execute(), *LOST["close"]),
    ("cold-cache", GET, None, ""),
    ("cold-cache", lambda c: c.hgetall("hash"), {}, ""),
    ("cache-down", GET, *REFUSED),
    ("queue-full", LPUSH, redis.OutOfMemoryError, "maxmemory"),
    ("slow-peer delay=50ms", GET, b"1", ""),
    ("slow-peer delay=1ms rate=20KB/s", lambda c: c.get("big"), b"x" * 4000, ""),
    ("network-partition", GET, *LOST["hang"]),
]


@pytest.mark.parametrize(("sentence", "does", "sees", "text"), ONE_WAY)
def test_recipes(
    sentence: str, does: Any, sees: Any, text: str, place: Place, seen: Callable[..., None]
) -> None:
    client = place.client(socket_timeout=SHORT if sees is redis.TimeoutError else 5)
    get(client)
    with place.node.recipe("cache", sentence):
        sight = look(does, client)
        if isinstance(sees, type):
            sight.raised(sees, text)
        else:
            sight.got(sees)
        if sentence == "cache-down":
            connects(client).raised(*REFUSED)
    if "commit-lost" in sentence:
        assert place.direct().get("a") == b"2"
    seen("recipe", f"recipe {sentence}", sight, usable(client, -1))


def test_database_failover(place: Place, seen: Callable[..., None]) -> None:
    """Cut, refused, then read-only, then as before."""
    client = place.client()
    get(client)
    sentence = "database-failover outage=300ms read_only=1500ms"
    wait = place.node.control.wait_until
    with place.node.recipe("cache", sentence):
        look(get, client).raised(*REFUSED)
        wait(lambda: look(get, client).value)
        sight = look(SET, client)
        sight.raised(exceptions.ReadOnlyError, "read only replica")
        assert get(client) == b"1"
        wait(lambda: look(SET, client).value, every=0.05)
    seen("recipe", f"recipe {sentence}", sight, usable(client, identity(client)))


def test_queue_vanishes(place: Place, seen: Callable[..., None]) -> None:
    """Cut, refused, then empty for its consumers, while producers go on."""
    client, waiting = place.client(), place.client()
    get(client)
    sentence = "queue-vanishes outage=300ms empty=1500ms"
    wait = place.node.control.wait_until
    with place.node.recipe("cache", sentence), ThreadPoolExecutor(1) as pool:
        look(get, client).raised(*REFUSED)
        wait(lambda: look(get, client).value)
        sight = look(client.lpop, "list")
        sight.got(None)
        assert client.llen("list") == 0
        assert client.rpush("list", "one more") == 21
        popping = pool.submit(waiting.blpop, "list", 5)
        assert popping.result(5) == (b"list", b"0")  # when the queue is found again
        assert client.lpop("list") == b"1"
    seen("recipe", f"recipe {sentence}", sight, usable(client, identity(client)))


def test_rate_limited_and_flaky_peers(place: Place) -> None:
    client = place.client()
    with place.node.recipe("cache", "rate-limited-peer rate=20/s") as recipe:
        sight = look(lambda: [get(client) for _ in range(23)])
        sight.got([b"1"] * 23)
        assert sight.seconds >= 0.1
        assert recipe.fired >= 2
    with place.node.recipe("cache", "flaky-peer strength=20% delay=1ms..5ms"):
        kinds = {type(look(get, client).error) for _ in range(80)}
    assert kinds == {type(None), redis.ConnectionError}
    assert get(client) == b"1"


def test_every_recipe_of_redis_is_here() -> None:
    alone = {"database-failover", "queue-vanishes", "rate-limited-peer", "flaky-peer"}
    assert {line[0].split()[0] for line in ONE_WAY} | alone == {
        name for name, recipe in RECIPES.items() if "redis" in recipe.parts
    }


# ---- without messages ----------------------------------------------------------------------------

BYTES = """\
[proxy:bytes]
protocol = tcp
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
"""


@pytest.fixture(scope="module")
def bytes_node(redis_node: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("bytes")
    with running(folder, BYTES.format(port=redis_node.upstream)) as node:
        yield node


BYTE_RECIPES = [
    ("overloaded-database delay=50ms connections=1", b"1", ""),
    ("cache-down", *REFUSED),
    ("database-failover outage=200ms", *REFUSED),
    ("queue-vanishes outage=200ms", *REFUSED),
    ("flaky-peer strength=100% delay=1ms..2ms", *LOST["reset"]),
    ("slow-peer delay=50ms", b"1", ""),
    ("network-partition", *LOST["hang"]),
]


@pytest.mark.parametrize(("sentence", "sees", "text"), BYTE_RECIPES)
def test_recipes_on_bytes(
    sentence: str,
    sees: Any,
    text: str,
    bytes_node: Node,
    place: Place,
    seen: Callable[..., None],
) -> None:
    bytes_node.clear()
    bytes_node.empty("bytes")
    timeout = SHORT if sees is redis.TimeoutError else 5
    client = place.client(bytes_node.port("bytes"), socket_timeout=timeout)
    get(client)
    with bytes_node.recipe("bytes", sentence):
        sight = look(get, client)
        if isinstance(sees, type):
            sight.raised(sees, text)
        else:
            sight.got(sees)
            assert sight.seconds >= 0.05
        if "connections=1" in sentence:
            connects(client).raised(*LOST["reset"])
        if "outage" in sentence:
            connects(client).raised(*REFUSED)
            bytes_node.control.wait_until(lambda: look(get, client).value == b"1")
    seen("recipe", f"recipe {sentence} (protocol = tcp)", sight, usable(client, -1))


def test_every_recipe_of_tcp_is_here() -> None:
    assert {line[0].split()[0] for line in BYTE_RECIPES} == {
        name for name, recipe in RECIPES.items() if "tcp" in recipe.parts
    }
