"""How late the event loop is: a timer of its own, and how long after its time it was called.

Whatever keeps the loop busy (a burst, a long call, too little CPU) delays everything by as much.
"""

from __future__ import annotations

from typing import Any

from rascal.proxy.tally import Series

PERIOD = 0.5
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Lag:
    """Measures while it is started.

    Attributes:
        series: lateness, seconds.
        latest: the last one.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.series = Series(BOUNDS)
        self.latest = 0.0
        self._worst = 0.0
        self._due = 0.0
        self._timer: Any = None

    def start(self) -> None:
        """Begin."""
        if self._timer is None:
            self._next()

    def stop(self) -> None:
        """No timer is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def worst(self) -> float:
        """The longest since the last time that somebody asked."""
        found, self._worst = max(self._worst, self.latest), 0.0
        return found

    def _next(self) -> None:
        self._due = self.clock.now() + PERIOD
        self._timer = self.clock.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self.latest = max(0.0, self.clock.now() - self._due)
        self._worst = max(self._worst, self.latest)
        self.series.add(self.latest)
        self._next()
