"""The link that needs no Redis: one engine in this process, on this reactor."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rascal import __version__
from rascal.load.links import AgentInfo, Callbacks
from rascal.load.plan import Plan, Share
from rascal.load.targets import Targets
from rascal.load.types import Report

SOON = 0.1
"""Seconds from `start` to second 0."""
NAME = "local"


class LocalLink:
    """One agent: this process.

    Args:
        reactor: the reactor; also the clock.
        targets: whom load may be sent to; None makes one of the plan's `allow`.
        check: whether the target must take a connection before load starts.
        book: the scenarios, if they have been loaded already (by the command).
        make: makes client, world and engine; for tests.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        targets: Targets | None = None,
        check: bool = True,
        book: Any = None,
        make: Callable[..., tuple[Any, Any, Any]] | None = None,
    ) -> None:
        self.calls = Callbacks()
        self.reactor = reactor
        self.targets = targets
        self.check = check
        self.book = book
        self.make = make or make_engine
        self.world: Any = None
        self.engine: Any = None
        self.client: Any = None
        self._set_up = self._loaded = self._over = False
        self._running: Any = None

    async def gather(self, count: int) -> Sequence[AgentInfo]:
        """This process, whatever the count."""
        return [
            AgentInfo(
                name=NAME, index=0, host=platform.node(), pid=os.getpid(), version=__version__
            )
        ]

    async def prepare(self, run: str, plan: Plan, files: Mapping[str, bytes]) -> None:
        """Check the target, load the scenarios, set up."""
        targets = self.targets if self.targets is not None else Targets(plan.allow)
        if self.check:
            await targets.check(self.reactor, plan)
        if self.book is None:
            from rascal.load.book import load_bundle

            self.book = load_bundle(files, plan.file, plan.options)
            self._loaded = True
        self.client, self.world, self.engine = self.make(
            self.reactor, run, plan, self.book, targets, self._emit
        )
        self._set_up = True
        await self.world.set_up(run=True)

    def _emit(self, report: Report) -> None:
        self._over = report.last
        self.calls.on_report(report)

    async def start(self) -> float:
        """Load starts in a moment."""
        at: float = self.reactor.seconds() + SOON
        self._running = self.engine.start(at)
        self._running.addErrback(self._failed)
        return at

    def _failed(self, failure: Any) -> None:
        """An engine that fails is a lost agent: the run ends, and says why."""
        self.calls.on_lost(NAME, f"{failure.type.__name__}: {failure.getErrorMessage()}")

    def change(self, shares: Sequence[Share], second: int) -> None:
        """Other shares."""
        self.engine.change(shares, second)

    def reshare(self, members: Sequence[int], second: int) -> None:
        """There is only one member."""
        self.engine.reshare(members, second)

    def stop(self, now: bool = False) -> None:
        """No more arrivals."""
        self.engine.stop(now=now)

    async def close(self) -> None:
        """Tear down what was set up, and close connections."""
        running, self._running = self._running, None
        if running is not None:
            if not self._over:
                self.engine.stop(now=True)
            await running
        try:
            if self._set_up:
                self._set_up = False
                await self.world.tear_down(run=True)
                self.world.close()
            if self._loaded:
                self.book.unload()
        finally:
            client, self.client = self.client, None
            if client is not None:
                await client.close()


def make_engine(
    reactor: Any,
    run: str,
    plan: Plan,
    book: Any,
    allowed: Callable[[str, str], None],
    emit: Callable[[Report], None],
    *,
    agent: str = NAME,
    index: int = 0,
    members: Sequence[int] = (0,),
) -> tuple[Any, Any, Any]:
    """Client, world and engine of one process for one run; agents behind Redis use it as well."""
    from rascal.load.engine import Engine
    from rascal.load.http.client import Client
    from rascal.load.recorder import Recorder
    from rascal.load.world import World

    recorder = Recorder(run, agent, clock=reactor.seconds)
    client = Client(reactor, plan, allowed)
    world = World(plan, book, recorder, client, reactor, agent, index, members)
    engine = Engine(world, plan, clock=reactor, emit=emit, index=index, members=tuple(members))
    return client, world, engine
