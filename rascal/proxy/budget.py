"""How many bytes the process holds back, and each connection's share of what it may."""

from __future__ import annotations

HOLD_BYTES = 256 * 1024
"""Bytes that one direction of one connection may hold before its source is no longer read."""
PROCESS_BYTES = 256 * 1024 * 1024
"""Bytes that all of them together may hold; from there on every share is SMALL_SHARE."""
SMALL_SHARE = 16 * 1024


class Budget:
    """Counts held bytes. Reading stops at a share, so `held` overshoots by one read at most."""

    __slots__ = ("bound", "held", "peak")

    def __init__(self, bound: int = PROCESS_BYTES) -> None:
        self.bound = bound
        self.held = 0
        self.peak = 0

    def add(self, count: int) -> None:
        """So many bytes more (or less) are held."""
        self.held += count
        if self.held > self.peak:
            self.peak = self.held

    def roomy(self) -> bool:
        """Whether the process is within its bound."""
        return self.held < self.bound

    def share(self, wanted: int) -> int:
        """What a direction may hold now."""
        return wanted if self.held < self.bound else SMALL_SHARE
