"""A node while an experiment runs: its clock, what becomes of the faults, how much it forwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from rascal.control.client import AsyncClient, Unreachable

MEASURES = 5
BACK = 0.5
"""Seconds before the stream of events is opened again."""
PATIENCE = 5.0
"""Seconds without a node before it counts as lost."""

STRIKES = 20
"""Exchanges of each fault that are kept to be looked at."""
SHOWN = ("kind", "command", "connection", "n", "match")

Heard = Callable[[str, str, str, str, float | None], None]
"""node, proxy, fault, change, second of the run."""


class NodeClock:
    """A node's time of the day in seconds of the run."""

    def __init__(self, offset: float = 0.0, error: float = 0.0) -> None:
        self.offset = offset
        """Seconds that the node's clock is ahead of ours."""
        self.error = error
        """At most so far off: half the time that the best question took."""
        self._zero: float | None = None
        self._reactor: Any = None

    @classmethod
    async def measured(cls, client: AsyncClient, reactor: Any) -> NodeClock:
        """Ask a few times, and believe the answer that came quickest."""
        best: tuple[float, float] | None = None
        for _ in range(MEASURES):
            asked = time.time()
            async with aclosing(client.events(("snapshot",))) as events:
                async for event in events:
                    took = time.time() - asked
                    found = (took, float(event.data["at"]) - asked - took / 2)
                    best = min(best, found) if best else found
                    break
        took, offset = best or (0.0, 0.0)
        clock = cls(offset, took / 2)
        clock._reactor = reactor
        return clock

    def begin(self, start: float) -> None:
        """`start` is the reactor's time of second 0."""
        self._zero = time.time() - (self._reactor.seconds() - start)

    def second(self, at: float) -> float | None:
        """The node's time as a second of the run; None before it has begun."""
        return None if self._zero is None else at - self.offset - self._zero


class Watch:
    """Reads a node's events until it is cancelled."""

    def __init__(
        self,
        client: AsyncClient,
        node: str,
        clock: NodeClock,
        heard: Heard,
        lost: Callable[[str, str], None],  # node, why
    ) -> None:
        self.client = client
        self.node = node
        self.clock = clock
        self.forwarded: dict[str, dict[int, int]] = {}
        """Bytes to the upstream by proxy and second of the run, as counted so far."""
        self.strikes: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """By proxy and fault, the first exchanges that were struck: second, command, …"""
        self.books: dict[tuple[str, str], tuple[int, int]] = {}
        """By proxy and fault: matched and fired, as last told."""
        self._heard = heard
        self._lost = lost
        self._last: dict[str, int] = {}

    async def run(self, reactor: Any) -> None:
        """Follow the events; a node that stays away is lost."""
        from twisted.internet.task import deferLater

        last, gone = "", None
        while True:
            try:
                events = self.client.events(("faults", "fired", "counters", "lever"), after=last)
                async with aclosing(events):
                    async for event in events:
                        gone = None
                        last = event.id or last
                        self._take(event.kind, event.data)
            except Unreachable as error:
                gone = reactor.seconds() if gone is None else gone
                if reactor.seconds() - gone > PATIENCE:
                    self._lost(self.node, str(error))
                    return
            await deferLater(reactor, BACK, lambda: None)

    def _take(self, kind: str, data: Any) -> None:
        if kind == "faults":
            at = self.clock.second(data["at"]) if "at" in data else None
            self._heard(self.node, data["proxy"], data["name"], data["change"], at)
        elif kind == "fired":
            self._struck(data)
        elif kind == "counters":
            self._count(data)
        elif kind == "lever" and data["on"]:
            self._lost(self.node, f"the panic lever was pulled by {data['by'] or 'somebody'}")

    def _struck(self, data: Any) -> None:
        self.books[data["proxy"], data["fault"]] = int(data["matched"]), int(data["fired"])
        known = self.strikes.setdefault((data["proxy"], data["fault"]), [])
        second = self.clock.second(data["at"])
        for strike in data["strikes"][: STRIKES - len(known)]:
            shown = {name: strike[name] for name in SHOWN if name in strike}
            known.append({"second": None if second is None else round(second, 3), **shown})

    def _count(self, data: Any) -> None:
        second = self.clock.second(data["at"])
        for proxy, counted in data["proxies"].items():
            total = int(counted.get("to_upstream", 0))
            more = max(0, total - self._last.get(proxy, total))
            self._last[proxy] = total
            if second is not None and second >= 0 and more:
                seconds = self.forwarded.setdefault(proxy, {})
                # What is told at second n was forwarded in the second before.
                place = max(0, int(second) - 1)
                seconds[place] = seconds.get(place, 0) + more
