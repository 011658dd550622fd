"""Is this process the bottleneck? The reactor's lag, its busy share, CPU, collector, lateness.

A timer of 10 Hz compares when it was due with when it ran. How long the reactor waits for events
is counted around its poll where the reactor has one (epoll), and tells the busy share; elsewhere
the process's CPU time stands in for it. A second is unsound if its numbers may tell more about
this process than about the target: UNSOUND has the rules.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorCore

from rascal import reactor as rascal_reactor
from rascal.histogram import Histogram
from rascal.load.types import Meters

EVERY = 0.1
BUSY = 0.9
CPU = 0.95
LAG = 0.1
LATE = 0.02
LATE_SECONDS = 5
"""Lateness is judged over so many seconds."""
UNSOUND = {
    "late": "arrivals started late: 99th percentile over 5 s above 20 ms and a tenth of the "
    "smallest deadline, and some of this second's",
    "busy": "the reactor was busy for over 90 % of the second",
    "cpu": "the process used over 95 % of a core",
    "lag": "the reactor lagged by over 100 ms",
}


class Watch:
    """Meters one process, second by second.

    Args:
        clock: the reactor, or a Clock.
        deadline: the smallest deadline of what the process runs, seconds; 0: none.
        cpu: seconds of CPU time that the process has used.
        seconds: the clock that lateness and lag are read from.
    """

    def __init__(
        self,
        clock: Any,
        *,
        deadline: float = 0.0,
        cpu: Callable[[], float] = time.process_time,
        seconds: Callable[[], float] | None = None,
    ) -> None:
        self.lateness = Histogram()
        """Of the second under way: the engine records each arrival's."""
        self._clock = clock
        self._seconds = seconds or clock.seconds
        self._cpu_time = cpu
        self._real = IReactorCore.providedBy(clock)
        self._late = max(LATE, deadline / 10)
        self._recent: deque[Histogram] = deque(maxlen=LATE_SECONDS)
        self._lag = self._pause = self._pause_began = 0.0
        self._due = 0.0
        self._timer: Any = None
        self._waited: Callable[[], float] | None = None
        self._before = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begin to look."""
        self._waited = rascal_reactor.count_waiting(self._clock)
        gc.callbacks.append(self._collecting)
        if self._real:
            gc.freeze()  # what is there stays: looking through it again would hold up arrivals
        self._before = self._read()
        self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.callbacks.remove(self._collecting)
            if self._real:
                gc.unfreeze()
            rascal_reactor.count_no_more(self._clock)

    def _arm(self) -> None:
        self._due = self._seconds() + EVERY
        self._timer = self._clock.callLater(EVERY, self._tick)

    def _tick(self) -> None:
        self._lag = max(self._lag, self._seconds() - self._due)
        self._arm()

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._pause_began = now
        else:
            self._pause = max(self._pause, now - self._pause_began)

    def _read(self) -> tuple[float, float, float]:
        waited = self._waited() if self._waited is not None else 0.0
        return self._seconds(), self._cpu_time(), waited

    def meters(self, behind: float = 0.0, **given: Any) -> Meters:
        """How it was since the last call, one second ago or so.

        Args:
            behind: how late this very call comes, seconds: lag as well.
            given: what others know (users, connections, reused_lost).
        """
        before, now = self._before, self._read()
        wall = now[0] - before[0]
        cpu = (now[1] - before[1]) / wall if wall > 1e-3 else 0.0
        busy = cpu
        if self._waited is not None:
            busy = 1 - (now[2] - before[2]) / wall if wall > 1e-3 else 0.0
        # A lag that is not over yet counts as well.
        lag = max(self._lag, now[0] - self._due if self._timer is not None else 0.0, behind, 0.0)
        lateness, self.lateness = self.lateness, Histogram()
        self._recent.append(lateness)
        meters = Meters(
            cpu=max(0.0, cpu),
            busy=min(max(0.0, busy), 1.0),
            lag=lag,
            gc=self._pause,
            lateness=lateness,
            **given,
        )
        meters.unsound = self._unsound(meters)
        self._before, self._lag, self._pause = now, 0.0, 0.0
        return meters

    def _unsound(self, meters: Meters) -> tuple[str, ...]:
        recent = Histogram()
        for one in self._recent:
            recent.add(one)
        found = {
            # One hiccup is in five windows, but spoils only the second in which it was.
            "late": meters.lateness.over(self._late) > 0 and recent.percentile(99) > self._late,
            "busy": meters.busy > BUSY,
            "cpu": meters.cpu > CPU,
            "lag": meters.lag > LAG,
        }
        return tuple(word for word, holds in found.items() if holds)
