"""A reactor of virtual time: timers, and who wants to read and write. Nothing runs by itself.

The world turns it by hand: `advance()` runs what is due, `readers` and `writers` say who waits.
Everything is kept in order of arrival, so that a seed gives one run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Call:
    """A timer: of `callLater` (active, cancel) and of `call_at` (cancel) alike."""

    __slots__ = ("fn", "what", "when")

    def __init__(self, when: float, fn: Callable[[], None], what: str = "") -> None:
        self.when = when
        self.what = what or str(getattr(fn, "__qualname__", fn))
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None

    def active(self) -> bool:
        return self.fn is not None


class VirtualReactor:
    """Clock and reactor of the data path (`rascal.proxy.clock.Clock` and `.Reactor`)."""

    def __init__(self) -> None:
        self.time = 0.0
        self.readers: dict[Any, None] = {}
        self.writers: dict[Any, None] = {}
        self.failures: list[str] = []
        """Tracebacks of exceptions that the data path let out."""
        self._heap: list[tuple[float, int, Call]] = []
        self._count = 0

    # -- the clock ---------------------------------------------------------------------------------
    def now(self) -> float:
        return self.time

    def call_at(self, when: float, fn: Callable[[], None], what: str = "") -> Call:
        assert when == when and when != float("inf"), f"a timer at {when}"
        self._count += 1
        call = Call(max(when, self.time), fn, what)
        heapq.heappush(self._heap, (call.when, self._count, call))
        return call

    def callLater(self, delay: float, fn: Callable[..., Any], *args: Any) -> Call:
        what = str(getattr(fn, "__qualname__", fn))
        return self.call_at(self.time + delay, lambda: fn(*args), what)

    def advance(self, to: float) -> None:
        """Run what is due until `to`, each call at its own time."""
        heap = self._heap
        while heap and heap[0][0] <= to:
            when, _, call = heapq.heappop(heap)
            fn, call.fn = call.fn, None
            if fn is not None:
                self.time = max(self.time, when)
                fn()
        self.time = max(self.time, to)

    def pending(self) -> list[Call]:
        """Timers that are still to run."""
        return [call for _, _, call in sorted(self._heap, key=lambda one: one[:2]) if call.active()]

    def next_due(self) -> float | None:
        """When the next timer runs."""
        while self._heap and not self._heap[0][2].active():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    # -- the reactor -------------------------------------------------------------------------------
    def addReader(self, reader: Any) -> None:
        self.readers[reader] = None

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = None

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)


class VirtualHangups:
    """The register of open ends and of those that are watched for hang-ups."""

    def __init__(self) -> None:
        self.ends: set[Any] = set()
        self.watched: dict[Any, None] = {}

    def watch(self, end: Any) -> None:
        self.watched[end] = None

    def unwatch(self, end: Any) -> None:
        self.watched.pop(end, None)
