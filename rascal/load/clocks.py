"""Redis' clock as the one that all machines share: how far our own monotonic clock is from it.

TIME is asked several times; the answer with the least delay is taken, and half that delay is how
wrong it can be at most. Our clock is the reactor's, whichever that reads.
"""

from __future__ import annotations

from typing import Any

import attrs

TRIPS = 8


@attrs.frozen
class Offset:
    """Redis' time = ours + `seconds`, give or take `error`."""

    seconds: float
    error: float

    def redis(self, ours: float) -> float:
        """Redis' time at a moment of our clock."""
        return ours + self.seconds

    def ours(self, redis: float) -> float:
        """Our clock at a moment of Redis' time."""
        return redis - self.seconds


async def measure(redis: Any, clock: Any, trips: int = TRIPS) -> Offset:
    """The offset, of so many round trips. Raises CoordinationError."""
    best: Offset | None = None
    for _ in range(trips):
        before = clock.seconds()
        seconds, micros = await redis.command("TIME")
        after = clock.seconds()
        then = int(seconds) + int(micros) / 1e6
        found = Offset(then - (before + after) / 2, (after - before) / 2)
        if best is None or found.error < best.error:
            best = found
    assert best is not None
    return best
