"""The one histogram: log-linear, exact to 1 us under 256 us, within 0.4 % above; merges by adding.

Values are integer microseconds. A bucket is 1/128 of its power of two; its middle stands for what
is in it.
"""

from __future__ import annotations


class Histogram:
    """Counts of durations. Besides the buckets, count, total, least and most are exact."""

    __slots__ = ("buckets", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.least = 0
        self.most = 0

    def record(self, value: int, times: int = 1) -> None:
        """Count `value` microseconds (negative ones as 0)."""
        if value < 0:
            value = 0
        shift = value.bit_length() - 8
        index = (shift << 7) + (value >> shift) if shift > 0 else value
        self.buckets[index] = self.buckets.get(index, 0) + times
        if not self.count or value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        self.count += times
        self.total += value * times

    def add(self, other: Histogram) -> None:
        """Add what `other` counted."""
        if not other.count:
            return
        mine = self.buckets
        for index, times in other.buckets.items():
            mine[index] = mine.get(index, 0) + times
        self.least = min(self.least, other.least) if self.count else other.least
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total
