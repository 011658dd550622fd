"""Rows to counts: what each flow did per second, against its own deadline and its own baseline.

Every histogram is looked at once: its count, what lies over the deadline, what over the limit of
slow. Thin flows are pooled after that, so each is counted against its own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rascal.experiment.record import FlowRecord, Thresholds
from rascal.experiment.statistics import (
    NO,
    UNSURE,
    Finding,
    above,
    below,
    calmed,
    kept,
    last_bad,
    quantile,
    scatter,
    steady,
    wilson,
)
from rascal.histogram import Histogram
from rascal.load.types import Row

Window = tuple[int, int]
"""Whole seconds of the run; the second is not in it."""

FIELDS = ("calls", "good", "served", "slow", "honest", "dishonest", "reduced", "attempts")

BLOCKS = 5
"""Of the baseline, to see whether it still moves."""


class FlowCounts:
    """Counts per second of one flow, or of several thin ones together."""

    def __init__(
        self,
        name: str,
        uses: frozenset[str] | None,
        series: dict[str, list[int]],
        baseline: Window,
        thresholds: Thresholds,
    ) -> None:
        self.name = name
        self.uses = uses
        self.series = series
        self.baseline = baseline
        self.thresholds = thresholds
        first, last = baseline
        calls, good = series["calls"][first:last], series["good"][first:last]
        self.calls0, self.good0 = sum(calls), sum(good)
        bad = [n - k for n, k in zip(calls, good, strict=True)]
        self.scatter = scatter(bad, calls)
        late, served = steady(series["slow"][first:last], series["served"][first:last])
        self.scatter_slow = scatter(late, served, most=3.0)
        self.z = quantile(thresholds.sure)
        self.waits = False
        """Others of its side have enough calls: where it is thin, its silence does not count."""
        self.recovered = 0

    def total(self, field: str, first: int, last: int) -> int:
        """The sum over a window."""
        return sum(self.series[field][max(0, first) : max(0, last)])

    def share0(self, field: str, of: str = "calls") -> float:
        """The baseline's share."""
        return self.total(field, *self.baseline) / max(1, self.total(of, *self.baseline))

    def kept(self, first: int, last: int, z: float) -> tuple[float, float, float]:
        """Its share of good calls over the baseline's, with limits."""
        good, calls = self.total("good", first, last), self.total("calls", first, last)
        return kept(good, calls, self.good0, self.calls0, z, self.scatter)

    def lost(self, first: int, last: int, when: str, z: float | None = None) -> Finding:
        """Did it keep less goodput than it must?"""
        part, low, high = self.kept(first, last, z or self.z)
        limit = self.thresholds.keep
        answer, lean = below(part, low, high, limit)
        text = f"{self.name} kept {part:.1%} ({low:.1%} to {high:.1%}) of its goodput {when}"
        calls = self.total("calls", first, last)
        found = Finding(
            question=text, answer=answer, lean=lean, flow=self.name, part=part, low=low, high=high,
            limit=limit, calls=calls, scatter=self.scatter, first=first, last=last,
        )  # fmt: skip
        return self._heard(found)

    def slow(self, first: int, last: int, when: str, z: float | None = None) -> Finding:
        """Did served calls take clearly longer than in the baseline?"""
        k, n = self._steady(first, last)
        k0, n0 = self._steady(*self.baseline)
        limit = max(self.thresholds.slow_share, k0 / max(1, n0) + 0.03)
        if n < 10:
            text = f"{self.name}: too few served calls {when} to speak of latency"
            return Finding(
                question=text, answer=NO, lean=False, flow=self.name, calls=n, limit=limit,
                first=first, last=last,
            )  # fmt: skip
        part = k / n
        low, high = wilson(k / self.scatter_slow, n / self.scatter_slow, z or self.z)
        answer, lean = above(part, low, high, limit)
        text = (
            f"{self.name}: {part:.1%} ({low:.1%} to {high:.1%}) of the calls served {when} took "
            f"over {self.thresholds.slow:g} × the usual p95"
        )
        found = Finding(
            question=text, answer=answer, lean=lean, flow=self.name, part=part, low=low, high=high,
            limit=limit, calls=n, scatter=self.scatter_slow, first=first, last=last,
        )  # fmt: skip
        return self._heard(found)

    def _steady(self, first: int, last: int) -> tuple[int, int]:
        """Slow and served calls of a window, without its worst seconds."""
        late, served = steady(self.series["slow"][first:last], self.series["served"][first:last])
        return sum(late), sum(served)

    def _heard(self, found: Finding) -> Finding:
        thin = self.total("calls", found.first or 0, found.last or 0) < self.thresholds.thin
        return found.hushed() if found.answer == UNSURE and self.waits and thin else found

    def time_to_recover(self, fault_end: int, end: int) -> int:
        """Seconds after the fault until failures, and slow calls, were as before."""
        need = self.thresholds.evidence
        calls, good = self.series["calls"][fault_end:end], self.series["good"][fault_end:end]
        bad = [n - k for n, k in zip(calls, good, strict=True)]
        p0 = 1 - self.good0 / max(1, self.calls0)
        failing = last_bad(bad, calls, p0, self.scatter, need)
        served = self.series["served"][fault_end:end]
        late = calmed(self.series["slow"][fault_end:end], served)
        p0 = max(0.01, self.share0("slow", "served"))
        return max(failing, last_bad(late, served, p0, self.scatter_slow, need))

    def time_to_degrade(self, fault: int, fault_end: int) -> int | None:
        """Seconds into the fault until failures began; None if they never did."""
        calls = self.series["calls"][fault:fault_end][::-1]
        good = self.series["good"][fault:fault_end][::-1]
        bad = [n - k for n, k in zip(calls, good, strict=True)]
        p0 = 1 - self.good0 / max(1, self.calls0)
        found = last_bad(bad, calls, p0, self.scatter, self.thresholds.evidence)
        return fault_end - fault - found if found else None


class Flow(FlowCounts):
    """One flow, with what its baseline says: p95, deadline, where slow begins."""

    def __init__(
        self,
        record: FlowRecord,
        length: int,
        baseline: Window,
        thresholds: Thresholds,
        unsound: frozenset[int] = frozenset(),
    ) -> None:
        first, last = baseline
        # The only look at the rows: those of a long run are unpacked, or read, as they are asked
        # for, and no flow's stay in memory.
        every = dict(record.rows)
        self.blocks = [
            together([every[at].served for at in range(a, b) if at in every])
            for a, b in pairwise(first + (last - first) * at // BLOCKS for at in range(BLOCKS + 1))
        ]
        """What was served in the baseline, in five parts of equal length."""
        self.offers = {
            at: (row.planned, row.started + row.dropped, row.dropped) for at, row in every.items()
        }
        """By second, also of those that do not count: as drawn; begun or dropped; dropped."""
        self.failures = {at: found for at, row in every.items() if (found := _failures(row))}
        """By second, outcomes that are not served; also of those that do not count."""
        rows = {at: row for at, row in every.items() if at not in unsound}
        seconds = [rows[at].served for at in range(first, last) if at in rows]
        seconds = [one for one in seconds if one.count > 0]
        self.p95 = _calm_p95(seconds)
        derived = max(thresholds.deadline_factor * self.p95, thresholds.deadline_floor)
        self.derived = record.deadline is None
        self.deadline = min(derived, record.timeout / 2) if self.derived else record.deadline or 0.0
        self.limit = max(thresholds.slow * self.p95, self.p95 + thresholds.slack)
        series = {name: [0] * length for name in FIELDS}
        for second, row in rows.items():
            if not 0 <= second < length:
                continue
            served = row.served.count
            good = served - row.served.over(self.deadline)
            honest = row.explicit.count - row.explicit.over(self.deadline)
            calls = row.started + row.dropped
            values = (calls, good, served, row.served.over(self.limit), honest,
                      calls - good - honest, row.reduced, row.attempts)  # fmt: skip
            for name, value in zip(FIELDS, values, strict=True):
                series[name][second] = value
        super().__init__(record.name, record.uses, series, baseline, thresholds)


def _failures(row: Row) -> dict[str, int]:
    found = {name: count for name, count in row.outcomes.items() if count and name != "served"}
    return found | {"dropped": row.dropped} if row.dropped else found


def _calm_p95(seconds: Sequence[Histogram]) -> float:
    """The p95 over the three quarters of the seconds that were calmest."""
    if not seconds:
        return 0.0
    p95 = together(seconds).percentile(95)
    calm = sorted(seconds, key=lambda one: one.over(p95) / one.count)
    return together(calm[: len(calm) - len(calm) // 4]).percentile(95)


def together(histograms: Sequence[Histogram]) -> Histogram:
    """Their sum."""
    found = Histogram()
    for one in histograms:
        found.add(one)
    return found


def pooled(name: str, flows: Sequence[FlowCounts]) -> FlowCounts:
    """Thin flows as one: each was counted against its own deadline, now the counts are added."""
    series = {
        field: [sum(values) for values in zip(*(one.series[field] for one in flows), strict=True)]
        for field in FIELDS
    }
    first = flows[0]
    return FlowCounts(name, first.uses, series, first.baseline, first.thresholds)


def groups(
    flows: Sequence[FlowCounts], name: str, thresholds: Thresholds, window: Window, sure: float
) -> list[FlowCounts]:
    """Flows with enough calls in a window stand alone, the thin ones are judged together."""
    thin = [one for one in flows if one.total("calls", *window) < thresholds.thin]
    found = [one for one in flows if one not in thin]
    waits = bool(found)
    if len(thin) == 1:
        found += thin
    elif thin:
        found.append(pooled(f"{name} ({', '.join(one.name for one in thin)})", thin))
    for one in found:
        one.waits = waits
        one.z = quantile(sure, len(found))
    return found
