"""Time-outs of many requests for little: one ordered table for each length, swept now and then.

Entries with the same time-out run out in the order in which they came, so a sweep looks at those
that are due and one more. Adding and removing are a dictionary's; nothing is kept for what has
ended, and no timer runs while nothing waits.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

EVERY = 0.1
"""Seconds between sweeps, or a tenth of the shortest time-out there is."""
FINEST = 0.005


class Waiting(Protocol):
    """What the wheel holds. It takes itself out: `del table[entry]`."""

    deadline: float

    def expire(self) -> None:
        """The time is over."""

    def abandon(self) -> None:
        """The client closes."""


Table = dict[Any, None]
"""Entries (Waiting) in the order of their deadlines."""


class Wheel:
    """The time-outs of one client."""

    def __init__(self, reactor: Any, now: Any) -> None:
        self._reactor = reactor
        self._now = now
        self._tables: dict[float, Table] = {}
        self._sweep: IDelayedCall | None = None
        self._every = EVERY
        self.closed = False

    def table(self, seconds: float) -> Table:
        """Where an entry with this time-out goes now: `table[entry] = None`."""
        table = self._tables.get(seconds)
        if table is None:
            table = self._tables[seconds] = {}
        if self._sweep is None or seconds < self._every * 9:
            self._watch(seconds)
        return table

    def _watch(self, seconds: float) -> None:
        if self.closed:
            return
        every = max(FINEST, min(EVERY, seconds / 10))
        if self._sweep is not None:
            if every >= self._every:
                return
            self._sweep.cancel()
        self._every = every
        self._sweep = self._reactor.callLater(every, self._run)

    def _run(self) -> None:
        self._sweep = None
        now = self._now()
        due: list[Any] = []
        shortest = 0.0
        for seconds, table in list(self._tables.items()):
            for entry in table:
                if entry.deadline > now:
                    break
                due.append(entry)
            if not table:
                del self._tables[seconds]
            elif not shortest or seconds < shortest:
                shortest = seconds
        if shortest:
            self._every = EVERY
            self._watch(shortest)
        for entry in due:
            entry.expire()

    def close(self) -> None:
        """Forget all; entries are not told."""
        self.closed = True
        self._tables.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def entries(self) -> list[Any]:
        """All that waits."""
        return [entry for table in self._tables.values() for entry in table]
