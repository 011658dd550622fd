"""How many changes a client may ask for: a token bucket for each address.

Generous, as tests change faults a thousand times a second and mean it: RATE changes a second in
the long run, BURST at once. It is there so that a loop that has gone wild cannot keep the data
path from its work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rascal.control._problems import Problem

RATE = 2000.0
"""Changes a second."""

BURST = 4000.0
"""Changes at once."""

CLIENTS = 1024
"""Addresses that are remembered; the one that was quiet longest is forgotten."""


class Buckets:
    """One bucket for each address."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> None:
        """One change. Raises Problem (429)."""
        now = self.now()
        left, since = self._left.pop(client, (BURST, now))
        left = min(BURST, left + (now - since) * RATE)
        if left < 1.0:
            self._left[client] = (left, now)
            raise Problem(
                429,
                "too-many-requests",
                f"no more than {RATE:g} changes a second from one address",
                headers={"Retry-After": str(math.ceil((1.0 - left) / RATE))},
            )
        self._left[client] = (left - 1.0, now)
        if len(self._left) > CLIENTS:
            del self._left[next(iter(self._left))]
