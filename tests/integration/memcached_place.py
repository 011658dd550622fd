"""A real memcached with a rascal-proxy in front of it, and pymemcache with one connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Node, running
from memcached_server import memcached
from pymemcache.client.base import Client

INI = """\
[proxy:cache]
protocol = memcached
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}

[proxy:locked]
protocol = memcached
listen = 127.0.0.1:0
upstream = 127.0.0.1:{port}
auth = yes
"""
SHORT = 0.3
"""Seconds that a client waits for what never comes."""
BIG = b"x" * 4000


class Raw:
    """A socket that says lines and reads what comes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            data = self.socket.recv(count - len(taken))
            if not data:
                break
            taken += data
        return taken

    def says(self, data: bytes, reply: bytes) -> None:
        """These bytes get exactly this reply, and nothing but the end mark follows it."""
        self.send(data + b"mn\r\n")
        wanted = reply + b"MN\r\n"
        assert self.read(len(wanted)) == wanted

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Place:
    """The server, the proxies, and the clients of one test."""

    def __init__(self, node: Node, upstream: int) -> None:
        self.node = node
        self.upstream = upstream
        self.port = node.port("cache")
        self.clients: list[Client] = []

    def client(self, port: int | None = None, **options: Any) -> Client:
        """pymemcache; it waits for replies to writes, too."""
        wanted = {"timeout": 5, "connect_timeout": 5, "default_noreply": False, "no_delay": True}
        made = Client(("127.0.0.1", port or self.port), **(wanted | options))
        self.clients.append(made)
        return made

    def direct(self) -> Client:
        """Past the proxy."""
        return self.client(self.upstream)

    def raw(self, proxy: str = "cache") -> Raw:
        return Raw(self.node.port(proxy))

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Place]:
    with memcached() as server, running(folder, INI.format(port=server.port)) as node:
        yield Place(node, server.port)


@contextlib.contextmanager
def cleared(place: Place) -> Iterator[Place]:
    """For one test: a known content, nothing installed and nobody connected."""
    place.node.clear()
    direct = place.direct()
    direct.flush_all()
    items = {"a": "1", "b": "2", "c": "3", "n": "10", "word": "none", "big": BIG}
    assert not direct.set_many(items)
    for proxy in ("cache", "locked"):
        place.node.empty(proxy)
    yield place
    place.close()
    place.node.clear()


def fresh(client: Client, **options: Any) -> Client:
    """Another client of the same server, which connects anew."""
    given = {"timeout": 5, "connect_timeout": 5, "default_noreply": False}
    return Client(client.server, **(given | options))


def by_fresh(does: Callable[[Any], Any], **options: Any) -> Callable[[Any], Any]:
    """Do it as a client that connects anew."""

    def call(client: Any) -> Any:
        with contextlib.closing(fresh(client, **options)) as other:
            return does(other)

    return call
