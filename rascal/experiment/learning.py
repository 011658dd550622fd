"""Learn which flows use which dependency: one user at a time, and what each call sends where.

Before the load starts, every scenario is gone through a few times by a single user. Around each
call the proxies' counters are read: what a flow's calls send to a proxy, it uses. What others send
meanwhile is told apart by measuring how much flows while nobody calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from rascal.control.client import AsyncClient
from rascal.load.book import Book
from rascal.load.http.client import Client
from rascal.load.plan import Plan
from rascal.load.recorder import Recorder
from rascal.load.targets import Targets
from rascal.load.world import World

ROUNDS = 4
"""Iterations of each scenario; the first may fill caches, so all are looked at."""
NAMES = 3
"""Users are numbered from here on down, so that learning takes no user of the load."""
AFTERWARDS = 0.05
"""Seconds after a call in which what it caused still belongs to it."""
LONGEST = 30.0
"""Seconds for one iteration."""


async def learn(
    reactor: Any, plan: Plan, book: Book, clients: Mapping[str, AsyncClient]
) -> dict[str, list[str]]:
    """The flows that use each proxy, by proxy."""
    recorder = Recorder("learning", "learning", clock=reactor.seconds)
    client = Client(reactor, plan, Targets(plan.allow))
    world = World(plan, book, recorder, client, reactor)
    seen = _Seen(reactor, clients)
    try:
        await seen.idle()
        await world.set_up(run=True)
        for name in {one: None for share in plan.shares for one in share.scenarios}:
            for number in range(ROUNDS):
                user = world.user(2**31 + number, name)
                seen.look_at(user)
                iterating = world.book.scenarios[name].iterate(user)
                await iterating.addTimeout(LONGEST, reactor)
                leaving = user.leave()
                if leaving is not None:
                    await leaving
    finally:
        await world.tear_down(run=True)
        world.close()
        await client.close()
    return seen.found()


class _Seen:
    """Bytes that each flow's calls sent through each proxy."""

    def __init__(self, reactor: Any, clients: Mapping[str, AsyncClient]) -> None:
        self.reactor = reactor
        self.clients = clients
        self.calls: dict[str, int] = {}
        self.hits: dict[tuple[str, str], int] = {}
        self.noise: dict[str, int] = {}
        self.proxies: set[str] = set()

    async def counters(self) -> dict[str, int]:
        found = {}
        for client in self.clients.values():
            for proxy, counted in (await client.counters()).items():
                found[proxy] = counted["to_upstream"]
        self.proxies |= set(found)
        return found

    async def idle(self) -> None:
        """What flows while nobody calls, over the time of a call or two."""
        before = await self.counters()
        await deferLater(self.reactor, 4 * AFTERWARDS, lambda: None)
        after = await self.counters()
        self.noise = {proxy: after[proxy] - before.get(proxy, 0) for proxy in after}

    def look_at(self, user: Any) -> None:
        """All requests of a user from now on, also those that have a shorter way of their own."""
        request = self.around(user.request)
        user.request = request
        user.get = lambda url, **given: request("GET", url, **given)

    def around(self, request: Any) -> Any:
        """The request method, with the counters read before and after."""

        async def asked(method: str, url: str, **given: Any) -> Any:
            before = await self.counters()
            flow = given.get("name")
            response = None
            try:
                response = await request(method, url, **given)
                return response
            finally:
                await deferLater(self.reactor, AFTERWARDS, lambda: None)
                after = await self.counters()
                call = getattr(response, "call", None)
                name = call.flow.name if call is not None else str(flow or "")
                self.count(name, before, after)

        def call(method: str, url: str, **given: Any) -> Deferred[Any]:
            return Deferred.fromCoroutine(asked(method, url, **given))

        return call

    def count(self, flow: str, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        if not flow:
            return
        self.calls[flow] = self.calls.get(flow, 0) + 1
        for proxy, total in after.items():
            if total - before.get(proxy, total) > self.noise.get(proxy, 0):
                self.hits[flow, proxy] = self.hits.get((flow, proxy), 0) + 1

    def found(self) -> dict[str, list[str]]:
        """A flow uses what one of its calls sent something to, unless that is always busy."""
        return {
            proxy: sorted(flow for flow in self.calls if self.hits.get((flow, proxy)))
            for proxy in sorted(self.proxies)
        }
