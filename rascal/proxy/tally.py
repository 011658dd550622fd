"""How long exchanges took, by command: the histograms behind /metrics.

Only exchanges that became objects are counted: those that a fault matched, those that somebody
watches, and a sample of the rest (rascal.proxy.gate). Everything is bounded: a protocol's usual
commands have a series of their own, all others share one; and of all proxies together at most
SERIES have one, later ones share another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol

BOUNDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds of the buckets, seconds; one more has no bound."""
SERIES = 500
"""Series of one process, besides the one that is shared."""
COMMANDS = 24
"""Commands of one proxy with a series of their own."""
OTHER = "other"


class Series:
    """One histogram: how many in each bucket, and the sum of them all."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Shelf:
    """The places for series that all proxies of a process share."""

    def __init__(self, places: int = SERIES) -> None:
        self.free = places
        self.other = Series()

    def take(self) -> Series | None:
        """A new series, if there is a place for it."""
        if not self.free:
            return None
        self.free -= 1
        return Series()


class Tally:
    """The series of one proxy.

    Attributes:
        series: by command; "other" for those without one of their own.
        outcomes: how exchanges ended.
    """

    def __init__(self, protocol: WireProtocol, shelf: Shelf) -> None:
        self.shelf = shelf
        self.series: dict[str, Series] = {}
        self.outcomes: Counter[str] = Counter()
        self.protocol = protocol

    def speak(self, protocol: WireProtocol) -> None:
        """Another protocol: its commands are others; what was counted stays."""
        self.protocol = protocol

    def finished(self, exchange: Any) -> None:
        """An exchange is over (called by the data path)."""
        seconds = exchange.ended - exchange.began
        command = self.protocol.classed(exchange.head)
        series = self.series.get(command)
        if series is None:
            series = self._place(command)
        series.buckets[bisect_left(BOUNDS, seconds)] += 1
        series.sum += seconds
        self.outcomes[exchange.outcome] += 1

    def _place(self, command: str) -> Series:
        usual = self.protocol.usual
        if not command or len(self.series) >= COMMANDS or (usual and command not in usual):
            found = self.series.get(OTHER)
            if found is not None:
                return found
            command = OTHER
        made = self.shelf.take()
        if made is None:
            return self.shelf.other
        self.series[command] = made
        return made

    def close(self) -> None:
        """The proxy goes, and gives its places back."""
        self.shelf.free += len(self.series)
        self.series = {}
