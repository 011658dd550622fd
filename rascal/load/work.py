"""What an agent does in a run: load the scenario, set up, run the engine, tear down.

The only module that joins agent and engine; agents' tests put something smaller in its place.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred

from rascal.load.agent_options import AgentOptions
from rascal.load.bundle import Bundle
from rascal.load.environments import Environments
from rascal.load.plan import Plan, Share
from rascal.load.types import Report

Emit = Callable[[Report], None]

GC_THRESHOLDS = (50_000, 50, 100)
NOBODY = (-1,)
"""Members that this agent is not among."""


class Work(Protocol):
    """One run, as the agent drives it; methods in this order."""

    async def load(self, bundle: Bundle, *, check_target: bool) -> None:
        """Make ready. Raises ConfigErrors, LoadError."""

    async def set_up(self, run: bool) -> None:
        """Once-per-agent set-up, and with `run` the run's. Raises LoadError."""

    def start(self, at: float) -> Deferred[None]:
        """Second 0 is at this time of the reactor's clock; fires after the last report."""

    def change(self, shares: Sequence[Share], second: int) -> None:
        """See links.Link."""

    def reshare(self, members: Sequence[int], second: int) -> None:
        """See links.Link."""

    def stop(self, now: bool = False) -> None:
        """See links.Link."""

    def event(self, kind: str, text: str) -> None:
        """Put an event into the next report."""

    async def tear_down(self, run: bool) -> None:
        """Undo the set-ups, let everything go."""


MakeWork = Callable[..., Work]
"""(reactor, clock, options, emit, name, index, members) -> Work"""


class EngineWork:
    """The real one: book, world, client and engine in this process."""

    def __init__(
        self,
        reactor: Any,
        clock: Any,
        options: AgentOptions,
        emit: Emit,
        *,
        name: str,
        index: int,
        members: Sequence[int],
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.options = options
        self.emit = emit
        self.name = name
        self.index = index
        self.members = tuple(members)
        self.folder = ""
        self.before: set[str] = set()
        self.book: Any = None
        self.client: Any = None
        self.world: Any = None
        self.engine: Any = None
        self.recorder: Any = None
        self.thresholds = gc.get_threshold()

    async def load(self, bundle: Bundle, *, check_target: bool) -> None:
        """See Work."""
        from rascal.load.book import load_bundle
        from rascal.load.engine import Engine
        from rascal.load.http.client import Client
        from rascal.load.known_proofs import KnownProofs
        from rascal.load.recorder import Recorder
        from rascal.load.targets import Targets
        from rascal.load.world import World

        plan = self._ours(bundle.plan)
        if plan.dependencies:
            environments = Environments(self.options.cache, self.reactor)
            self.folder = await environments.folder(
                plan.dependencies, allowed=self.options.dependencies
            )
        self.before = set(sys.modules)
        if self.folder:
            sys.path.insert(0, self.folder)
        token = self.options.token or None
        targets = Targets(plan.allow, token, KnownProofs(token) if token else None)
        self.book = load_bundle(bundle.files, plan.file, plan.options)
        if check_target:
            await targets.check(self.reactor, plan)
        self.recorder = Recorder(bundle.run, self.name, clock=self.reactor.seconds)
        self.client = Client(self.reactor, plan, targets)
        self.world = World(
            plan,
            self.book,
            self.recorder,
            self.client,
            self.reactor,
            agent=self.name,
            index=self.index,
            members=self.members,
        )
        self.engine = Engine(
            self.world,
            plan,
            clock=self.clock,
            emit=self.emit,
            index=self.index,
            members=self.members,
        )

    def _ours(self, plan: Plan) -> Plan:
        """The plan with what this agent's operator allows."""
        most = self.options.max_in_flight * len(self.members)
        shares = tuple(
            attrs.evolve(share, max_in_flight=min(share.max_in_flight, most))
            for share in plan.shares
        )
        return attrs.evolve(plan, allow=self.options.targets, shares=shares)

    async def set_up(self, run: bool) -> None:
        """See Work."""
        await self.world.set_up(run=run)
        # What is there now stays until the end; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    def start(self, at: float) -> Deferred[None]:
        """See Work."""
        done: Deferred[None] = self.engine.start(at)
        return done

    def change(self, shares: Sequence[Share], second: int) -> None:
        """See Work."""
        self.engine.change(shares, second)

    def reshare(self, members: Sequence[int], second: int) -> None:
        """See Work."""
        self.engine.reshare(tuple(members), second)

    def stop(self, now: bool = False) -> None:
        """See Work."""
        self.engine.stop(now=now)

    def event(self, kind: str, text: str) -> None:
        """See Work."""
        if self.recorder is not None:
            self.recorder.event(kind, text)

    async def tear_down(self, run: bool) -> None:
        """See Work."""
        gc.set_threshold(*self.thresholds)
        gc.unfreeze()
        if self.world is not None:
            await self.world.tear_down(run=run)
            self.world.close()
        if self.client is not None:
            await self.client.close()
        if self.book is not None:
            self.book.unload()
        if self.folder and self.folder in sys.path:
            sys.path.remove(self.folder)
            self._forget_modules()

    def _forget_modules(self) -> None:
        """What came out of this run's dependencies; the next run may have others."""
        for name in set(sys.modules) - self.before:
            path = getattr(sys.modules.get(name), "__file__", None) or ""
            if path.startswith(self.folder):
                del sys.modules[name]
