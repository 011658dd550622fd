"""Contender: stock treq on Twisted's epoll reactor and Agent."""

from __future__ import annotations

from twisted.internet.epollreactor import install

install()

# ruff: noqa: E402
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react
from twisted.web.client import Agent, HTTPConnectionPool
from window import HEADERS, Window, arguments


async def main(reactor) -> None:
    """So many users share a pool."""
    url, users, warm_up, seconds = arguments()
    window = Window()
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = users
    client = HTTPClient(Agent(reactor, pool=pool))

    async def user() -> None:
        while not window.over:
            response = await client.get(url, headers=HEADERS, reactor=reactor)
            body = await response.content()
            if response.code == 200 and body:
                window.completed += 1
            else:
                window.failed += 1

    reactor.callLater(warm_up, window.open)
    reactor.callLater(warm_up + seconds, window.close)
    await gatherResults([Deferred.fromCoroutine(user()) for _ in range(users)])
    await pool.closeCachedConnections()
    window.tell()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)), _reactor=reactor)
