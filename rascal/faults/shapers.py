"""The shapers behind the kinds on bytes: how many may leave now, and what they look like.

A shaper owns no bytes and no clock. All keep their books in exact totals, not in steps: a timer
that is late is made up for (by at most BURST), so that rates hold over any time.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log
from typing import Literal

from rascal.faults.draw import draw
from rascal.faults.types import INF, Shaper
from rascal.wire.types import Buffer

TICK = 0.01
"""Seconds of a rate that leave at once: smaller steps cost timers, larger ones show."""

BURST = 0.1
"""Seconds that a shaper may be behind and still make up for."""


class ThrottleShaper(Shaper):
    """A line with a rate: after n bytes it is busy for n / rate seconds. Rate 0: for ever."""

    __slots__ = ("asked", "free", "rate", "step", "woken")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.step = max(1, int(rate * TICK))
        self.free = -INF
        self.asked = False
        self.woken = -INF

    def allow(self, now: float, available: int) -> tuple[int, float]:
        if not self.rate:
            return 0, INF
        if now < self.free:
            self.asked = True
            return 0, self.free
        return min(available, self.step), now

    def sent(self, count: int, now: float) -> None:
        # Bytes that waited for a timer leave on a line that was busy all the time, even if the
        # timer was late (by up to BURST); after a pause the line begins anew.
        if self.asked:
            self.asked, self.woken = False, now
        since = now - BURST if self.woken == now else now
        self.free = max(self.free, since) + count / self.rate


class SliceShaper(Shaper):
    """Pieces of `size(k)` bytes, each followed by a pause."""

    __slots__ = ("k", "left", "next", "pause", "size")

    def __init__(self, size: Callable[[int], int], pause: float) -> None:
        self.size = size
        self.pause = pause
        self.k = 0
        self.left = size(0)
        self.next = -INF

    def allow(self, now: float, available: int) -> tuple[int, float]:
        if now < self.next:
            return 0, self.next
        return min(available, self.left), now

    def sent(self, count: int, now: float) -> None:
        self.left -= count
        if self.left <= 0:
            self.k += 1
            self.left = self.size(self.k)
            late = now - self.next
            self.next = (self.next if late < min(BURST, self.pause) else now) + self.pause


class LimitShaper(Shaper):
    """So many bytes, then the end; of none the end comes with the first that would pass."""

    __slots__ = ("count", "ends", "left", "then")

    def __init__(self, count: int, then: Literal["close", "reset"]) -> None:
        self.count = self.left = count
        self.then: Literal["close", "reset"] = then
        self.ends: Literal["close", "reset"] | None = None

    def allow(self, now: float, available: int) -> tuple[int, float]:
        if self.left > 0:
            return min(available, self.left), now
        self.ends = self.then
        return 0, INF

    def follow(self, other: Shaper) -> None:
        if isinstance(other, LimitShaper):
            self.left -= other.count - other.left

    def sent(self, count: int, now: float) -> None:
        self.left -= count
        if self.left <= 0:
            self.ends = self.then


class StallShaper(Shaper):
    """So many bytes, then nothing for some seconds, then all."""

    __slots__ = ("left", "seconds", "until")

    def __init__(self, count: int, seconds: float) -> None:
        self.left = count
        self.seconds = seconds
        self.until: float | None = None

    def allow(self, now: float, available: int) -> tuple[int, float]:
        if self.left > 0:
            return min(available, self.left), now
        if self.until is None:
            self.until = now + self.seconds
        return (available, now) if now >= self.until else (0, self.until)

    def sent(self, count: int, now: float) -> None:
        self.left -= count


class CorruptShaper(Shaper):
    """Some bytes are others: every `gap`-th, or each with a probability, by draws of its own."""

    __slots__ = ("gap", "k", "key", "next", "share")

    def __init__(self, key: int, share: float | None, gap: int | None) -> None:
        self.key = key
        self.share = share
        self.gap = gap
        self.k = 0
        self.next = -1
        self._forward()

    def _forward(self) -> None:
        """To the next byte that is struck: a fixed or a geometric distance."""
        if self.gap is not None:
            self.next += self.gap
        elif self.share is None or self.share >= 1:
            self.next += 1
        else:
            distance = log(1 - draw(self.key, self.k, 1)) / log(1 - self.share)
            self.next += max(1, ceil(distance))
        self.k += 1

    def edit(self, data: Buffer, offset: int) -> Buffer:
        end = offset + len(data)
        if self.next >= end:
            return data
        edited = bytearray(data)
        while self.next < end:
            if self.next >= offset:
                edited[self.next - offset] ^= 1 + int(draw(self.key, self.k, 2) * 255)
            self._forward()
        return bytes(edited)
