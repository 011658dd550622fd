"""One report a second, by the agent's own clock, also when there is nothing or too much to do.

The report of second n comes when it has ended. Where the process was held up for longer, all
seconds that have passed meanwhile are reported at once, and are unsound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from rascal.load.types import Report
from rascal.load.watch import Watch

log = Logger()


class Reporter:
    """Takes reports from the recorder and emits them.

    Args:
        world: whose recorder and client are asked.
        watch: gives the meters; started and stopped here.
        clock: the reactor, or a Clock.
        seconds: the clock of second 0.
        emit: gets the reports.
        users: how many there are.
    """

    def __init__(
        self,
        world: Any,
        watch: Watch,
        clock: Any,
        seconds: Callable[[], float],
        emit: Callable[[Report], None],
        users: Callable[[], int],
    ) -> None:
        self._recorder = world.recorder
        self._client = world.client
        self._watch = watch
        self._clock = clock
        self._seconds = seconds
        self._emit = emit
        self._users = users
        self._base = 0.0
        self._second = 0
        self._timer: Any = None
        self._counted = (0, 0)

    def start(self, base: float) -> None:
        """Second 0 begins at `base`."""
        self._base = base
        self._recorder.start = base
        self._counted = self._counters()
        self._watch.start()
        self._plan()

    def stop(self, last: bool = True) -> None:
        """Report what is left, as the last; not if the engine failed."""
        self._timer.cancel()
        if last:
            self._ended()
            self._report(last=True)
        self._watch.stop()

    def _plan(self) -> None:
        delay = self._base + self._second + 1 - self._seconds()
        self._timer = self._clock.callLater(max(0.0, delay), self._on_second)

    def _on_second(self) -> None:
        self._ended()
        self._plan()

    def _ended(self) -> None:
        """Report all seconds that have ended."""
        while self._seconds() - self._base >= self._second + 1:
            self._report()

    def _counters(self) -> tuple[int, int]:
        return getattr(self._client, "opened", 0), getattr(self._client, "resent", 0)

    def _report(self, last: bool = False) -> None:
        before, now = self._counted, self._counters()
        self._counted = now
        meters = self._watch.meters(
            0.0 if last else self._seconds() - self._base - self._second - 1,
            users=self._users(),
            connections=now[0] - before[0],
            reused_lost=now[1] - before[1],
        )
        report = self._recorder.report(self._second, meters, last)
        self._second += 1
        try:
            self._emit(report)
        except Exception:
            log.failure("the report of second {second} got lost", second=report.second)
