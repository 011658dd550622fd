"""One direction of what one client and the upstream exchange by datagrams.

    put ─► [shapers: throttle, corrupt] ─► send ─► [those that it overtakes: reorder]

A datagram leaves whole, once the shapers have let all of its bytes go. What does not fit into
LANE_BYTES behind a slow shaper is dropped, as a router's queue does. Pure: `send` and a clock are
handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rascal.faults.fault import Strike
from rascal.faults.types import INF, Shaper, StreamHold

LANE_BYTES = 64 * 1024
"""Bytes that wait for a shaper."""


class Late:
    """A datagram that lets others go first."""

    __slots__ = ("data", "left", "strike", "timer")

    def __init__(self, data: bytes, left: int, strike: Strike) -> None:
        self.data = data
        self.left = left
        self.strike = strike
        self.timer: Any = None


class Lane:
    """One direction.

    Attributes:
        discard: the blackhole that drops what comes.
        lags: delays of every datagram.
        dropped: datagrams that found no room.
    """

    __slots__ = (
        "_send",
        "clock",
        "discard",
        "dropped",
        "lags",
        "late",
        "offset",
        "paid",
        "queue",
        "reads",
        "shapers",
        "size",
        "timer",
    )

    def __init__(self, clock: Any, send: Callable[[bytes], None]) -> None:
        self.clock = clock
        self._send = send
        self.discard: Strike | None = None
        self.lags: list[tuple[Strike, StreamHold]] = []
        self.shapers: list[tuple[Strike, Shaper]] = []
        self.late: list[Late] = []
        self.queue: deque[bytes] = deque()
        self.size = 0
        self.paid = 0
        self.offset = 0
        self.reads = 0
        self.dropped = 0
        self.timer: Any = None

    def lag(self) -> list[tuple[Strike, float]]:
        """What delays this datagram, by faults on bytes."""
        if not self.lags:
            return []
        k = self.reads
        self.reads += 1
        return [(strike, act.sample(k)) for strike, act in self.lags if strike.state == "fired"]

    # -- out ----------------------------------------
    def put(self, data: bytes) -> None:
        """Its turn has come."""
        if not self.shapers and not self.queue:
            self._out(data)
            return
        if self.size + len(data) > LANE_BYTES:
            self.dropped += 1
            return
        self.queue.append(data)
        self.size += len(data)
        self.flow()

    def flow(self) -> None:
        """Let out what may leave now; ask again when the slowest shaper says so."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        now = self.clock.now()
        while self.queue:
            data = self.queue[0]
            count, again = self._allowed(len(data) - self.paid, now)
            self.paid += count
            for _, shaper in self.shapers:
                shaper.sent(count, now)
            if self.paid >= len(data):
                self.queue.popleft()
                self.size -= len(data)
                self.paid = 0
                for _, shaper in self.shapers:
                    data = bytes(shaper.edit(data, self.offset))
                self.offset += len(data)
                self._out(data)
            elif any(shaper.ends for _, shaper in self.shapers):
                self.dropped += len(self.queue)
                self.clear()
            elif not count:
                if again < INF:
                    self.timer = self.clock.call_at(max(again, now), self._again)
                return

    def _again(self) -> None:
        self.timer = None
        self.flow()

    def _allowed(self, wanted: int, now: float) -> tuple[int, float]:
        """Bytes that every shaper allows; else when the last of them wants to be asked."""
        count, again = wanted, now
        for _, shaper in self.shapers:
            allowed, when = shaper.allow(now, max(count, 1))
            if allowed <= 0:
                count = 0
                again = max(again, when)
            else:
                count = min(count, allowed)
        return count, again

    def _out(self, data: bytes) -> None:
        self._send(data)
        if self.late:
            self._passed()

    # -- out of order ----------------------------------------
    def overtaken(self, data: bytes, count: int, seconds: float, strike: Strike) -> None:
        """Let `count` others go before it."""
        late = Late(data, count, strike)
        late.timer = self.clock.call_at(self.clock.now() + seconds, lambda: self._let(late))
        self.late.append(late)

    def _passed(self) -> None:
        """A datagram has left: those that it was the last to overtake follow."""
        for late in self.late:
            late.left -= 1
        for late in [one for one in self.late if one.left <= 0]:
            self._let(late)

    def _let(self, late: Late) -> None:
        if late in self.late:
            self.late.remove(late)
            late.timer.cancel()
            late.strike.done()
            self._send(late.data)

    # -- faults go ----------------------------------------
    def remove(self, strike: Strike) -> None:
        """Nothing of this strike is left here; what it held goes on."""
        if self.discard is strike:
            self.discard = None
        self.lags = [pair for pair in self.lags if pair[0] is not strike]
        self.shapers = [pair for pair in self.shapers if pair[0] is not strike]
        for late in [one for one in self.late if one.strike is strike]:
            self._let(late)
        if self.queue:
            self.flow()

    def clear(self) -> None:
        """Drop what waits."""
        self.queue.clear()
        self.size = self.paid = 0
        for late in self.late:
            late.timer.cancel()
        self.late.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
