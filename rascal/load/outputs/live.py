"""Telling others while a run goes on: Prometheus scrapes, OpenTelemetry is sent to.

Neither may disturb the load: numbers are gathered in short steps, queues are bounded, and what goes
wrong is said once and counted, while the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rascal.load.outputs.metrics import Gatherer, Metric

if TYPE_CHECKING:
    from rascal.language.values import Address
    from rascal.load.outputs.otlp import Collector, Sender
    from rascal.load.outputs.prometheus import Exporter
    from rascal.load.running import Control, Listener, Snapshot
    from rascal.load.types import Event

log = Logger()

STEP = 0.001
"""Seconds between two steps of gathering."""


class Numbers:
    """The metrics of the newest snapshot, gathered when somebody wants them, once a second."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._gatherer = Gatherer()
        self._snapshot: Snapshot | None = None
        self._gathered: list[Metric] = []
        self._stale = True
        self._steps: Iterator[list[Metric] | None] | None = None
        self._waiting: list[Deferred[list[Metric]]] = []
        self.run = ""

    def put(self, snapshot: Snapshot) -> None:
        """A newer one."""
        self._snapshot = snapshot
        self._stale = True

    def get(self) -> Deferred[list[Metric]]:
        """The metrics; none before the first snapshot. Fails never."""
        found: Deferred[list[Metric]] = Deferred()
        if self._snapshot is None or (not self._stale and self._steps is None):
            found.callback(self._gathered)
            return found
        self._waiting.append(found)
        if self._steps is None:
            self._stale = False
            self._steps = self._gatherer.steps(self._snapshot)
            self._step()
        return found

    def _step(self) -> None:
        assert self._steps is not None
        try:
            gathered = next(self._steps)
        except Exception:
            log.failure("The run's numbers cannot be gathered")
            gathered = self._gathered
        if gathered is None:
            self._clock.callLater(STEP, self._step)
            return
        self._gathered, self._steps = gathered, None
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(gathered)


@attrs.frozen
class Both:
    """Two listeners; what goes wrong in the second is none of the first's business."""

    first: Listener
    second: Any

    def began(self, run: str, control: Control) -> None:
        """The run has its id."""
        self.first.began(run, control)
        self._tell("began", run)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Once a second."""
        self.first.snapshot(snapshot)
        self._tell("snapshot", snapshot)

    def event(self, event: Event) -> None:
        """At once."""
        self.first.event(event)

    def _tell(self, name: str, *args: Any) -> None:
        try:
            getattr(self.second, name)(*args)
        except Exception:
            log.failure("Telling others of the run failed")


class Exports:
    """All that is told to others of one run.

    Args:
        reactor: the reactor.
        tell: says something to the user.
        prometheus: where to listen, or None.
        collector: where to send, or None.
    """

    def __init__(
        self,
        reactor: Any,
        tell: Callable[[str], None],
        prometheus: Address | None = None,
        collector: Collector | None = None,
    ) -> None:
        self._reactor = reactor
        self._tell = tell
        self._where = prometheus
        self._collector = collector
        self._numbers = Numbers(reactor)
        self._exporter: Exporter | None = None
        self._sender: Sender | None = None

    async def open(self) -> None:
        """Listen. Raises LoadError if that cannot be."""
        if self._where is not None:
            from rascal.load.outputs.prometheus import Exporter

            self._exporter = Exporter(self._reactor, self._numbers)
            url = await self._exporter.listen(self._where)
            self._tell(f"numbers for Prometheus: {url}")
        if self._collector is not None:
            from rascal.load.outputs.otlp import Sender

            self._sender = Sender(self._reactor, self._collector, self._numbers, self._tell)

    def beside(self, listener: Listener) -> Listener:
        """A listener that tells this one as well."""
        return Both(listener, self) if self._where or self._collector else listener

    async def close(self) -> None:
        """Send what is left, within a few seconds, and listen no longer."""
        if self._sender is not None:
            await self._sender.close()
        if self._exporter is not None:
            await self._exporter.close()

    def began(self, run: str) -> None:
        """The run has its id."""
        self._numbers.run = run

    def snapshot(self, snapshot: Snapshot) -> None:
        """Once a second."""
        self._numbers.put(snapshot)
        if self._sender is not None:
            self._sender.due()
