"""The last stage of a direction: bytes that shapers let go, in order, at their pace.

    relay ──put──► pending ──allow (min), wait (max)──► edit ──► target end

Without a shaper there is no outlet: the relay writes to the target itself.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from rascal.faults.fault import Strike
from rascal.faults.types import INF, Shaper

if TYPE_CHECKING:
    from rascal.proxy.relay import Relay


class Outlet:
    """Shaped output of one relay."""

    __slots__ = ("busy", "offset", "pending", "relay", "shapers", "size", "timer")

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.pending: deque[bytes] = deque()
        self.size = 0
        self.offset = 0
        self.shapers: list[tuple[Strike, Shaper]] = []
        self.timer: Any = None
        self.busy = False

    def put(self, data: bytes) -> None:
        self.pending.append(data)
        self.size += len(data)
        self.relay.connection.budget.add(len(data))

    def remove(self, strike: Strike) -> None:
        self.shapers = [pair for pair in self.shapers if pair[0] is not strike]

    def flow(self) -> None:
        """Let out what may leave now; ask again when the slowest shaper says so."""
        if self.busy:
            return
        self.busy = True
        relay = self.relay
        self.cancel()
        now = relay.connection.clock.now()
        try:
            while self.pending and not relay.target.closed:
                count, again = self._allowed(now)
                if count:
                    self._send(count, now)
                elif any(shaper.ends for _, shaper in self.shapers):
                    self._end()
                    break
                elif again <= now:
                    break
                else:
                    if again < INF:
                        self.timer = relay.connection.clock.call_at(again, self._again)
                    else:
                        relay.connection.check_abandon()
                    break
        finally:
            self.busy = False

    def _again(self) -> None:
        self.timer = None
        self.relay.let_out()

    def _allowed(self, now: float) -> tuple[int, float]:
        """Bytes that every shaper allows; else when the last of them wants to be asked."""
        count, again = self.size, now
        for _, shaper in self.shapers:
            allowed, when = shaper.allow(now, count)
            if allowed <= 0:
                count = 0
                again = max(again, when)
            else:
                count = min(count, allowed)
        return count, again

    def _send(self, count: int, now: float) -> None:
        first = self.pending[0]
        if len(first) <= count:
            data: Any = self.pending.popleft()
        else:
            data = first[:count]
            self.pending[0] = first[count:]
        self.size -= len(data)
        relay = self.relay
        relay.connection.budget.add(-len(data))
        for _, shaper in self.shapers:
            data = shaper.edit(data, self.offset)
            shaper.sent(len(data), now)
        self.offset += len(data)
        relay.target.write(data)
        if any(shaper.ends for _, shaper in self.shapers):
            self._end()

    def _end(self) -> None:
        """A shaper has seen enough."""
        how = next(shaper.ends for _, shaper in self.shapers if shaper.ends)
        self.clear()
        self.relay.connection.end(how, "limit")

    @property
    def stopped(self) -> bool:
        """Bytes wait here, and no time will let them out."""
        return bool(self.pending) and self.timer is None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def clear(self) -> None:
        self.pending.clear()
        self.relay.connection.budget.add(-self.size)
        self.size = 0
        self.cancel()
