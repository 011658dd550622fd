"""A redis-server, a rascal-proxy in front of it, and redis-py without retries.

Tests ask for the fixture `place` (conftest.py): known keys, nothing installed, nobody connected.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from harness import Case, Node, running
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_servers import redis_server

INI = """\
[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
"""
SHORT = 0.3
"""Seconds that a client waits for what never comes."""


class Place:
    """A redis-server and a rascal-proxy in front of it."""

    def __init__(self, node: Node, upstream: int) -> None:
        self.node = node
        self.upstream = upstream
        self.port = node.port("cache")
        self.clients: list[Any] = []

    def client(self, port: int | None = None, **options: Any) -> Any:
        """redis-py with one connection and without retries."""
        wanted: dict[str, Any] = {
            "port": port or self.port,
            "host": "127.0.0.1",
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "retry": Retry(NoBackoff(), 0),
            "max_connections": 1,
            "protocol": 2,
            "driver_info": None,
        }
        made = redis.Redis(**(wanted | options))
        self.clients.append(made)
        return made

    def direct(self) -> Any:
        """Past the proxy."""
        return self.client(self.upstream)

    def raw(self, timeout: float = 5) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


@pytest.fixture(scope="module")
def redis_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("redis")
    with (
        redis_server(folder / "server") as port,
        running(folder, INI.format(port=port)) as node,
    ):
        yield Place(node, port)


@pytest.fixture(name="place")
def clean_place(redis_node: Place) -> Iterator[Place]:
    """The place with a known content, nothing installed and nobody connected."""
    redis_node.node.clear()
    direct = redis_node.direct()
    direct.flushall()
    direct.mset({"a": "1", "b": "2", "big": "x" * 4000})
    direct.rpush("list", *range(20))
    direct.hset("hash", "field", "value")
    redis_node.node.empty("cache")
    yield redis_node
    redis_node.close()
    redis_node.node.clear()


def fresh(client: Any, **options: Any) -> Any:
    """Another client of the same server, which connects anew."""
    found = client.connection_pool.connection_kwargs
    names = ("host", "port", "socket_timeout", "socket_connect_timeout", "retry", "protocol")
    return redis.Redis(**({name: found[name] for name in names} | {"driver_info": None} | options))


def by_fresh(does: Callable[[Any], Any], **options: Any) -> Callable[[Any], Any]:
    """Do it as a client that connects anew."""

    def call(client: Any) -> Any:
        with fresh(client, **options) as other:
            return does(other)

    return call


def get(client: Any) -> Any:
    return client.get("a")


def command(*words: Any) -> Callable[[Any], Any]:
    return lambda client: client.execute_command(*words)


GET = command("GET", "a")
SET = command("SET", "a", "2")
LPUSH = command("LPUSH", "jobs", "1")
LOST = {
    "hang": (redis.TimeoutError, "Timeout reading from"),
    "close": (redis.ConnectionError, "Connection closed by server"),
    "reset": (redis.ConnectionError, "Connection reset by peer"),
}


def took(low: float, high: float = 5.0) -> tuple[float, float]:
    return (low, high)


def impatient(case: Case) -> bool:
    """It waits for what never comes."""
    return case.sees is redis.TimeoutError


def wire(*words: Any) -> bytes:
    coded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in coded)
