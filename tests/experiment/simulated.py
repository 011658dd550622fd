"""Applications whose verdict is known by construction, simulated call by call.

Arrivals are Poisson. Each has log-normal latencies, noise that lasts, pauses as of a collector, a
slow start and 0.3 % of errors. Flows: orders (half of the calls, uses db), browse (45 %) and
export (5 %), which do not.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator
from statistics import NormalDist

from rascal.experiment.record import FaultRecord, FlowRecord, InvariantRecord, Record
from rascal.load.types import Row

WARM, BASE, FAULT, RECOVERY = 10, 20, 15, 45
DOWN, RAMP, BACK = 40, 10, 30
F0 = WARM + BASE
F1 = F0 + FAULT
END = F1 + RECOVERY
TIMEOUT = 10.0
NOTHING: frozenset[str] = frozenset()
FLOWS = (
    ("orders", frozenset({"db"}), 0.020),
    ("browse", NOTHING, 0.012),
    ("export", NOTHING, 0.030),
)
_SPREAD = [math.exp(0.5 * NormalDist().inv_cdf((i + 0.5) / 65536)) for i in range(65536)]


class World:
    """Arrivals, noise and pauses of one run, and what it records."""

    def __init__(
        self, rate: float, seed: int, *, probe: bool = False, errors: float = 0.003
    ) -> None:
        self.rate, self.random, self.errors, self.probe = rate, random.Random(seed), errors, probe
        self.length = END + (DOWN + RAMP + BACK if probe else 0)
        self.rows: list[dict[int, Row]] = [{}, {}, {}]
        chance = random.Random(seed + 10**6)
        self.noise, x = [], 0.0
        for _ in range(2 * self.length + 60):
            x = 0.9 * x + chance.gauss(0, 0.08)
            self.noise.append(math.exp(x))
        self.pauses: list[tuple[float, float]] = []
        t = 0.0
        while t < self.length + 30:
            t += self.random.expovariate(1 / 8)
            lasts = self.random.uniform(0.05, 0.4)
            self.pauses.append((t, t + lasts))
            t += lasts
        self._at = 0

    def _share(self, t: float) -> float:
        if t < END:
            return 1.0
        if t < END + DOWN:
            return 0.1
        return min(1.0, 0.1 + 0.9 * (t - END - DOWN) / RAMP)

    def arrivals(self) -> Iterator[tuple[float, int]]:
        t = 0.0
        while True:
            t += self.random.expovariate(self.rate)
            if t >= self.length:
                return
            if t >= END and self.random.random() > self._share(t):
                continue
            u = self.random.random()
            yield t, 0 if u < 0.5 else 1 if u < 0.95 else 2

    def pause(self, t: float) -> float:
        """What is left of a pause at this moment."""
        while self._at < len(self.pauses) - 1 and self.pauses[self._at][1] < t:
            self._at += 1
        begin, end = self.pauses[self._at]
        return end - t if begin <= t < end else 0.0

    def work(self, t: float, flow: int) -> float:
        """Seconds that one call needs by itself."""
        spread = _SPREAD[int(self.random.random() * 65536)]
        return FLOWS[flow][2] * self.noise[int(2 * t)] * spread * (1 + 2 * math.exp(-t / 2))

    def put(self, t: float, flow: int, outcome: str, took: float = 0.0, attempts: int = 1) -> None:
        """A call with its outcome; "" was planned and never started."""
        rows = self.rows[flow]
        row = rows.get(int(t))
        if row is None:
            row = rows[int(t)] = Row()
        row.planned += 1
        if not outcome:
            return
        if took > TIMEOUT:
            outcome = "timeout"
        row.started += 1
        row.attempts += attempts
        row.outcomes[outcome] = row.outcomes.get(outcome, 0) + 1
        if outcome == "served":
            row.served.record(int(took * 1e6))
        elif outcome == "http_5xx":
            row.explicit.record(int(took * 1e6))

    def plain(self, t: float, flow: int) -> None:
        """A call of an application that is well."""
        if self.random.random() < self.errors:
            outcome = "http_5xx" if self.random.random() < 0.5 else "reset"
            self.put(t, flow, outcome, 0.01)
        else:
            self.put(t, flow, "served", self.work(t, flow) + self.pause(t))

    def record(self, *, fired: int = 1, unsound: range = range(0), after: bool = True) -> Record:
        phases: dict[str, tuple[float, float]] = {
            "baseline": (WARM, F0),
            "fault": (F0, F1),
            "recovery": (F1, END),
        }
        if self.probe:
            phases["down"] = (END, END + DOWN)
            phases["back"] = (END + DOWN + RAMP, self.length)
        on, off = F0 + 0.01, F1 + 0.01
        fault = FaultRecord(name="db/fault", dependency="db", on=on, off=off, fired=fired)
        return Record(
            phases=phases,
            faults=(fault,),
            flows=tuple(
                FlowRecord(name=name, uses=uses, timeout=TIMEOUT, rows=rows)
                for (name, uses, _), rows in zip(FLOWS, self.rows, strict=True)
            ),
            invariants=(InvariantRecord(name="charged once", before=True, after=after),),
            unsound=frozenset(unsound),
        )


def _each(world: World, struck: Callable[[float, int], bool], until: float = F1) -> None:
    """Systems without memory: `struck` takes the calls that the fault changes."""
    for t, flow in world.arrivals():
        if not (F0 <= t < until and struck(t, flow)):
            world.plain(t, flow)


def _orders(
    world: World, act: Callable[[float], None], until: float = F1, share: float = 1.0
) -> Record:
    """Those calls (or a share of them) that use the database meet the fault."""

    def struck(t: float, flow: int) -> bool:
        if flow or (share < 1 and world.random.random() >= share):
            return False
        act(t)
        return True

    _each(world, struck, until)
    return world.record()


def absorbed(w: World) -> Record:
    return _orders(w, lambda t: w.plain(t, 0))


def stale(w: World) -> Record:
    """A cache that serves what is stale; 2 % of the keys were never in it."""

    def act(t: float) -> None:
        if w.random.random() < 0.02:
            w.put(t, 0, "http_5xx", 0.01)
        else:
            w.put(t, 0, "served", w.work(t, 0) * 0.8 + w.pause(t))

    return _orders(w, act)


def slower(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "served", 0.15 + w.work(t, 0) + w.pause(t)))


def shed(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "http_5xx", 0.005 + w.pause(t)))


def breaker(w: World, limit: float = 1.0) -> Record:
    """Five time-outs in a row open it; one trial every two seconds."""
    row, opened = 0, -1e9
    pending: list[tuple[float, bool]] = []
    for t, flow in w.arrivals():
        while pending and pending[0][0] <= t:
            at, good = heapq.heappop(pending)
            row, opened = (0, -1e9) if good else (row + 1, at if row + 1 >= 5 else opened)
        if flow:
            w.plain(t, flow)
            continue
        if row >= 5 and t < opened + 2:
            w.put(t, 0, "http_5xx", 0.003)
            continue
        if row >= 5:
            opened = t
        if F0 <= t < F1:
            heapq.heappush(pending, (t + limit, False))
            w.put(t, 0, "http_5xx", limit + 0.01)
        else:
            heapq.heappush(pending, (t + 0.03, True))
            w.plain(t, 0)
    return w.record()


def hang(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "timeout", 99))


def resets(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "reset", 0.02), share=0.3)


def late(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "http_5xx", 3.0))


def threads(w: World) -> Record:
    """One pool for all routes; a call of a hung database holds its thread."""
    free = [0.0] * max(4, int(w.rate * 0.02 / 0.3) + 1)
    for t, flow in w.arrivals():
        start = max(t, free[0])
        if start - t > 5:
            w.put(t, flow, "timeout", 99)
        elif flow == 0 and F0 <= start < F1:
            heapq.heapreplace(free, start + 5)
            w.put(t, flow, "http_5xx", start - t + 5)
        else:
            took = w.work(t, flow) + w.pause(start)
            heapq.heapreplace(free, start + took)
            w.put(t, flow, "served", start - t + took)
    return w.record()


def shared_lock(w: World) -> Record:
    """The others lose 15 % of their calls."""

    def struck(t: float, flow: int) -> bool:
        if flow and w.random.random() >= 0.15:
            return False
        w.put(t, flow, "http_5xx", 0.01)
        return True

    _each(w, struck)
    return w.record()


def queue(w: World, *, stall: bool, tries: int, after: float = 1.0, load: float = 0.5) -> Record:
    """A database of fixed capacity, first come first served; work that was given up is done."""
    mean = load / (0.5 * w.rate)
    patience = max(1.0, 20 * mean)
    todo: list[tuple[float, int, float, int]] = []
    free, number = 0.0, 0
    source = w.arrivals()
    upcoming = next(source, None)
    while upcoming or todo:
        if upcoming and (not todo or upcoming[0] <= todo[0][0]):
            t, flow = upcoming
            upcoming = next(source, None)
            if flow:
                w.plain(t, flow)
                continue
            first, attempt = t, 1
        else:
            t, _, first, attempt = heapq.heappop(todo)
        start = max(t, free)
        if stall and F0 <= start < F1:
            start = F1
        if start - t < 4 * patience:
            noise = w.noise[min(int(2 * start), len(w.noise) - 1)]
            slow = after if start >= F0 else 1.0
            free = start + mean * slow * noise * w.random.expovariate(1)
            if free - t <= patience:
                w.put(first, 0, "served", free - first + w.pause(first), attempt)
                continue
        number += 1
        if attempt < tries:
            heapq.heappush(todo, (t + patience, number, first, attempt + 1))
        else:
            w.put(first, 0, "http_5xx", t + patience - first, attempt)
    return w.record()


def metastable(w: World) -> Record:
    return queue(w, stall=True, tries=3)


def metastable_cut(w: World) -> Record:
    return queue(w, stall=True, tries=5, load=0.4)


def overloaded(w: World) -> Record:
    return queue(w, stall=False, tries=1, after=3)


def dead(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "refused", 0.001), until=math.inf)


def corrupt(w: World) -> Record:
    _orders(w, lambda t: w.put(t, 0, "http_5xx", 0.02), share=0.1)
    return w.record(after=False)


def lies(w: World) -> Record:
    return _orders(w, lambda t: w.put(t, 0, "wrong_data", 0.02), share=0.02)


def never_fired(w: World) -> Record:
    absorbed(w)
    return w.record(fired=0)


def sick_baseline(w: World) -> Record:
    w.errors = 0.06
    return hang(w)


def growing(w: World) -> Record:
    """Over capacity before the fault: the queue grows."""
    return queue(w, stall=True, tries=1, load=1.25)


def starved(w: World) -> Record:
    """The agent has no CPU, and knows it."""
    _each(w, lambda t, flow: bool(w.put(t, flow, "served", w.work(t, flow) + 0.4)) or True)
    return w.record(unsound=range(F0, F1))


def starved_count(w: World) -> Record:
    """The agent starts too few calls."""

    def struck(t: float, flow: int) -> bool:
        if w.random.random() >= 0.15:
            return False
        w.put(t, flow, "")
        return True

    _each(w, struck)
    return w.record()


SYSTEMS: dict[str, tuple[Callable[[World], Record], str]] = {
    "absorbs it": (absorbed, "resilient"),
    "stale cache": (stale, "resilient"),
    "150 ms more": (slower, "graceful"),
    "fast 503": (shed, "graceful"),
    "breaker": (breaker, "graceful"),
    "hangs": (hang, "degraded"),
    "resets": (resets, "degraded"),
    "503 after 3 s": (late, "degraded"),
    "one thread pool": (threads, "cascading"),
    "shared lock": (shared_lock, "cascading"),
    "queue and 3 attempts": (metastable, "metastable"),
    "queue and 5 attempts": (metastable_cut, "metastable"),
    "two thirds of capacity gone": (overloaded, "overloaded"),
    "dead": (dead, "broken"),
    "charged twice": (corrupt, "corrupt"),
    "wrong data": (lies, "corrupt"),
    "never fired": (never_fired, "invalid"),
    "sick before": (sick_baseline, "invalid"),
    "over capacity before": (growing, "invalid"),
    "agent starved": (starved, "invalid"),
    "too few started": (starved_count, "invalid"),
}
"""Each system and the verdict that it must get."""
