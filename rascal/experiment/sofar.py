"""An experiment while it goes on: how good calls are now, and which verdict it looks like so far.

The judge reads a whole record and may take a second for it; a process that offers load cannot
spare that. Here each second is counted once it has settled, with the judge's own counts and
intervals, and only what can be said already is said: never stored, never an exit code.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence

import attrs

from rascal.experiment.counts import Flow, together
from rascal.experiment.record import FlowRecord, Thresholds
from rascal.experiment.recording import Kept, Rows
from rascal.experiment.statistics import kept, quantile, wilson
from rascal.load.types import SERVED, Row

NOW = 5
"""Seconds that count as now."""
TAIL = 10
FLOOR = 30
"""Seconds of recovery before "stuck" is said."""
SLOW = 0.5
"""While nobody knows a deadline."""
FIELDS = ("calls", "good", "honest", "dishonest", "slow", "served")

Counts = tuple[int, ...]
_NOTHING: Counts = (0,) * len(FIELDS)


@attrs.frozen(kw_only=True)
class FlowNow:
    """One flow in the last seconds that have settled."""

    name: str
    uses: bool | None
    """It uses what is struck; None if nobody knows."""
    rate: float
    """Calls a second."""
    good: float | None
    """Share of good calls; None without calls. What is still open beyond its deadline is not."""
    usual: float | None
    """The baseline's; None before there is one."""
    p95: float | None
    honest: int
    """Failures since the fault began."""
    dishonest: int

    @property
    def kept(self) -> float | None:
        """Of the usual share."""
        return self.good / self.usual if self.good is not None and self.usual else None


@attrs.frozen(kw_only=True)
class Now:
    """All that can be said."""

    flows: tuple[FlowNow, ...] = ()
    good: float | None = None
    """Of all calls."""
    usual: float | None = None
    word: str = ""
    """The verdict that it looks like; "" while there is nothing to say."""
    remark: str = ""

    @property
    def kept(self) -> float | None:
        """Of the usual share."""
        return self.good / self.usual if self.good is not None and self.usual else None


class _Known:
    """What is remembered of a flow: its baseline, and the sums of what has settled."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.next = 0
        self.fault = list(_NOTHING)
        self.open: dict[int, Counts] = {}

    def count(self, row: Row | None) -> Counts:
        if row is None:
            return _NOTHING
        flow, served = self.flow, row.served
        good = served.count - served.over(flow.deadline)
        honest = row.explicit.count - row.explicit.over(flow.deadline)
        calls = row.started + row.dropped
        bad = calls - good - honest
        return calls, good, honest, bad, served.over(flow.limit), served.count

    def take(self, rows: Mapping[int, Row], closed: int, lag: int, fault: tuple[int, int]) -> None:
        """Count what is new; what may still change is counted again next time."""
        begin, end = fault
        self.next = max(self.next, begin - NOW)
        settled = max(self.next, closed - lag)
        for second in range(self.next, settled):
            if begin <= second < end:
                for at, value in enumerate(self.count(rows.get(second))):
                    self.fault[at] += value
        self.next = settled
        self.open = {at: self.count(rows.get(at)) for at in range(settled, closed + 1)}

    def total(self, first: int, last: int) -> Counts:
        """Of a window that has not settled yet."""
        found = [self.open.get(at, _NOTHING) for at in range(first, last)]
        return tuple(map(sum, zip(*found, strict=True))) if found else _NOTHING

    def since(self, begin: int, end: int) -> Counts:
        """Of the fault so far."""
        return tuple(a + b for a, b in zip(self.fault, self.total(begin, end), strict=True))


class SoFar:
    """Follows one experiment.

    Args:
        dependencies: what the faults strike.
        thresholds: the judge's.
    """

    def __init__(self, dependencies: Sequence[str], thresholds: Thresholds) -> None:
        self.struck = frozenset(dependencies)
        self.thresholds = thresholds
        self._known: dict[str, _Known] = {}
        self._fault_word = ""

    def steps(self, results: Rows, closed: int, kept: Kept) -> Generator[None, None, Now]:
        """What can be said, in steps of a millisecond."""
        begin, end = (math.ceil(at) for at in kept.phases["fault"])
        if closed < begin:
            yield from ()
            return self._before(results, closed, kept)
        if not self._known:
            yield from self._learn(results, kept, begin)
        lag = math.ceil(kept.timeout) + TAIL + NOW
        for name in results.flows:
            known = self._known.get(name)
            if known is not None:
                known.take(results.rows("flow", name), closed, lag, (begin, end))
                yield
        return self._now(results, closed, kept, (begin, end))

    # ---- before the fault

    def _before(self, results: Rows, closed: int, kept: Kept) -> Now:
        flows = []
        calls = served = 0
        first = max(0, closed - NOW + 1)
        for name in results.flows:
            rows = results.rows("flow", name)
            there = [rows[at] for at in range(first, closed + 1) if at in rows]
            n = sum(row.started + row.dropped for row in there)
            k = sum(row.outcomes.get(SERVED, 0) for row in there)
            calls, served = calls + n, served + k
            flows.append(
                FlowNow(
                    name=name,
                    uses=self._uses(kept, name),
                    rate=n / max(1, closed - first + 1),
                    good=k / n if n else None,
                    usual=None,
                    p95=_p95(there),
                    honest=0,
                    dishonest=0,
                )
            )
        return Now(flows=tuple(flows), good=served / calls if calls else None)

    def _learn(self, results: Rows, kept: Kept, begin: int) -> Generator[None, None, None]:
        window = math.ceil(kept.phases["baseline"][0]), begin - 1
        for name in sorted(results.flows):
            rows = results.rows("flow", name)
            record = FlowRecord(
                name=name,
                rows={at: rows[at] for at in range(*window) if at in rows},
                timeout=kept.timeout,
                deadline=kept.deadlines.get(name),
            )
            flow = Flow(record, begin, window, self.thresholds)
            if flow.calls0:
                self._known[name] = _Known(flow)
            yield

    def _uses(self, kept: Kept, name: str) -> bool | None:
        if kept.uses is None:
            return None
        return any(name in flows for one, flows in kept.uses.items() if one in self.struck)

    # ---- since then

    def _now(self, results: Rows, closed: int, kept: Kept, fault: tuple[int, int]) -> Now:
        known = self._known
        late = max((one.flow.deadline for one in known.values()), default=SLOW)
        # A call that may still be good is not looked at yet.
        last = closed + 1 - min(math.ceil(late), math.ceil(kept.timeout))
        first = max(fault[0], last - NOW)
        missing = self._missing(results, kept, first, last)
        flows = []
        for name, one in sorted(known.items()):
            calls, good, *_ = one.total(first, last)
            since = one.since(*fault)
            rows = results.rows("flow", name)
            flows.append(
                FlowNow(
                    name=name,
                    uses=self._uses(kept, name),
                    rate=calls / max(1, last - first),
                    good=good / (calls + missing[name]) if calls + missing[name] else None,
                    usual=one.flow.good0 / one.flow.calls0,
                    p95=_p95([rows[at] for at in range(first, last) if at in rows]),
                    honest=since[2],
                    dishonest=since[3],
                )
            )
        totals = [one.total(first, last) for one in known.values()]
        every = sum(one[0] for one in totals) + sum(missing.values())
        well = sum(one[1] for one in totals)
        calls0 = sum(one.flow.calls0 for one in known.values())
        good0 = sum(one.flow.good0 for one in known.values())
        word, remark = self._word(kept, last, fault, missing)
        return Now(
            flows=tuple(flows),
            good=well / every if every else None,
            usual=good0 / calls0 if calls0 else None,
            word=word,
            remark=remark,
        )

    def _missing(self, results: Rows, kept: Kept, first: int, last: int) -> dict[str, float]:
        """Calls that should have ended and are open: of the flows whose calls are missing."""
        planned = still = 0
        for name in results.scenarios:
            rows = results.rows("scenario", name)
            for row in (rows[at] for at in range(first, last) if at in rows):
                planned += row.planned
                still += max(0, row.planned - row.started - row.dropped)
        usual = sum(
            rows[at].planned
            for rows in (results.rows("scenario", name) for name in results.scenarios)
            for at in range(*self._baseline())
            if at in rows
        )
        short = {}
        for name, one in self._known.items():
            expected = one.flow.calls0 * planned / usual if usual else 0.0
            short[name] = max(0.0, expected - one.total(first, last)[0])
        total = sum(short.values())
        share = min(1.0, still / total) if total else 0.0
        return {name: value * share for name, value in short.items()}

    def _baseline(self) -> tuple[int, int]:
        return next((one.flow.baseline for one in self._known.values()), (0, 0))

    # ---- the word

    def _word(
        self, kept: Kept, last: int, fault: tuple[int, int], missing: Mapping[str, float]
    ) -> tuple[str, str]:
        begin, end = fault
        if kept.uses is not None and not any(kept.uses.get(one) for one in self.struck):
            return "", "no flow uses what is struck: this will prove nothing"
        if last < begin + math.ceil(self.thresholds.react) + 1 or not self._known:
            return "", "the fault has just begun"
        if last <= end or not self._fault_word:
            self._fault_word = self._during(kept, (begin, min(last, end)), missing)
        if last <= end + 1:
            return self._fault_word, ""
        lost = [name for name in self._known if self._lost(name, last - NOW, last, missing[name])]
        if not lost:
            return self._fault_word, "back to normal"
        if last >= end + FLOOR:
            return "stuck", f"{', '.join(sorted(lost))} not back after {last - end} s"
        return self._fault_word, f"{', '.join(sorted(lost))} not back yet"

    def _during(self, kept_: Kept, window: tuple[int, int], missing: Mapping[str, float]) -> str:
        limits = self.thresholds
        z = quantile(limits.sure, len(self._known))
        lost: list[str] = []
        slow = False
        lies = honest = 0.0
        for name, one in self._known.items():
            calls, good, told, bad, late, served = one.since(*window)
            flow, more = one.flow, missing[name]
            if kept(good, calls + more, flow.good0, flow.calls0, z, flow.scatter)[2] < limits.keep:
                lost.append(name)
            lies += max(0.0, bad + more - calls * flow.share0("dishonest"))
            honest += max(0.0, told - calls * flow.share0("honest"))
            low = wilson(late, served, z)[0] if served else 0.0
            slow = slow or low > max(limits.slow_share, flow.share0("slow", "served") + 0.03)
        if any(self._uses(kept_, name) is False for name in lost):
            return "cascading"
        if lost and lies > limits.dishonest * (lies + honest):
            return "degraded"
        return "graceful" if lost or slow else "resilient"

    def _lost(self, name: str, first: int, last: int, missing: float) -> bool:
        one = self._known[name]
        calls, good, *_ = one.total(first, last)
        z = quantile(self.thresholds.sure, len(self._known))
        flow = one.flow
        high = kept(good, calls + missing, flow.good0, flow.calls0, z, flow.scatter)[2]
        return high < self.thresholds.keep


def _p95(rows: Sequence[Row]) -> float | None:
    served = together([row.served for row in rows])
    return served.percentile(95) if served.count > 0 else None
