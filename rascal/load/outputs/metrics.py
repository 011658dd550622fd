"""The numbers of a run that goes on, as monitoring systems take them: gauges, counters, histograms.

Counters and histograms are sums since the run began, by flow; they never fall. (A check after a
reply may move a call from one outcome to another: then the first counter stays where it was.)
Gathering goes in steps of a flow each, so that the process that sends the load is not held up.

    rascal_load_calls_total{flow="checkout",outcome="served"}       Prometheus
    rascal.load.calls {flow: checkout, outcome: served}             OpenTelemetry
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import attrs

from rascal.histogram import Histogram, bounds
from rascal.load.types import Meters, Row

if TYPE_CHECKING:
    from rascal.load.running import Snapshot

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of latencies, seconds."""
PATIENCE = 30
"""Seconds for which a report that is missing may come late."""
FLOWS = 500
"""Flows that are told apart; more are left out (the files at the end have all)."""

Kind = Literal["gauge", "counter", "histogram"]
Labels = tuple[tuple[str, str], ...]


@attrs.frozen
class Spread:
    """Values of a histogram: how many up to each bound and beyond the last, their sum."""

    counts: Sequence[int]
    sum: float


@attrs.frozen
class Point:
    """One series of a metric."""

    labels: Labels
    value: float | Spread


@attrs.define
class Metric:
    """One metric with all its series."""

    name: str
    """Parts with dots: `load.calls`."""
    kind: Kind
    unit: str
    """As UCUM has it: s, By, 1; {call} and the like for what is counted."""
    help: str
    points: list[Point] = attrs.Factory(list)

    def add(self, value: float | Spread, **labels: str) -> None:
        """Another series."""
        self.points.append(Point(tuple(labels.items()), value))


Made = dict[str, Metric]
METRICS: dict[str, tuple[Kind, str, str]] = {
    "time": ("gauge", "s", "How long the load has been on"),
    "arrivals.wanted": ("gauge", "{arrival}/s", "Arrivals a second that the profiles ask for"),
    "users.wanted": ("gauge", "{user}", "Users that the profiles ask for"),
    "in_flight": ("gauge", "{call}", "Calls under way"),
    "users": ("gauge", "{user}", "Users, or iterations, under way"),
    "agents": ("gauge", "{agent}", "Agents that are there"),
    "calls.planned": ("counter", "{call}", "Calls that ended or were dropped"),
    "calls": ("counter", "{call}", "Calls that ended, by outcome"),
    "attempts": ("counter", "{attempt}", "Attempts of these calls"),
    "calls.reduced": ("counter", "{call}", "Calls that got reduced service"),
    "sent": ("counter", "By", "Bytes sent"),
    "received": ("counter", "By", "Bytes received"),
    "latency": ("histogram", "s", "Latency from the intended start (corrected)"),
    "latency.uncorrected": ("histogram", "s", "Latency from the actual start"),
    "iterations.planned": ("counter", "{iteration}", "Arrivals that were due by now"),
    "iterations": ("counter", "{iteration}", "Iterations that ended, by outcome"),
    "agent.cpu": ("gauge", "1", "Share of one core that the agent uses"),
    "agent.busy": ("gauge", "1", "Share of time that the agent does not wait"),
    "agent.lag": ("gauge", "s", "Greatest lag of the agent's reactor"),
    "agent.late": ("gauge", "s", "99th percentile of how late arrivals began"),
    "agent.connections": ("counter", "{connection}", "Connections opened"),
    "agent.unsound": ("counter", "s", "Seconds that are not to be trusted, by reason"),
}
"""All there are, in this order."""


class Gatherer:
    """Takes the numbers out of snapshots. One a run."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, Labels], float] = {}
        self._spreads: dict[tuple[str, Labels], Spread] = {}
        self._next: dict[str, int] = {}
        """Of each agent the first second whose counts are not in these."""
        self._unsound: dict[tuple[str, str], int] = {}
        self._connections: dict[str, int] = {}

    def steps(self, snapshot: Snapshot) -> Iterator[list[Metric] | None]:
        """None while there is more to do, at last the metrics."""
        found = {name: Metric(f"load.{name}", *about) for name, about in METRICS.items()}
        self._whole(found, snapshot)
        self._agents(found, snapshot)
        yield None
        results = snapshot.results
        for name in results.flows[:FLOWS]:
            self._flow(found, name, results.series("flow", name).total)
            yield None
        for name in results.scenarios[:FLOWS]:
            row = results.series("scenario", name).total
            found["iterations.planned"].add(row.planned, scenario=name)
            for outcome, times in _outcomes(row):
                found["iterations"].add(times, scenario=name, outcome=outcome)
            yield None
        metrics = [one for one in found.values() if one.points]
        for metric in metrics:
            metric.points = [self._risen(metric, point) for point in metric.points]
        yield metrics

    def _whole(self, found: Made, snapshot: Snapshot) -> None:
        there = [one.get(snapshot.closed) for one in snapshot.results.meters.values()]
        found["time"].add(max(0, snapshot.second))
        found["arrivals.wanted"].add(snapshot.planned)
        found["users.wanted"].add(snapshot.users)
        found["in_flight"].add(sum(one.in_flight for one in there if one is not None))
        found["users"].add(sum(one.users for one in there if one is not None))
        found["agents"].add(len(snapshot.agents) - len(snapshot.lost))

    def _agents(self, found: Made, snapshot: Snapshot) -> None:
        closed = snapshot.closed
        for name, meters in snapshot.results.meters.items():
            for one in self._new(name, meters, closed):
                self._connections[name] = self._connections.get(name, 0) + one.connections
                for reason in one.unsound:
                    self._unsound[name, reason] = self._unsound.get((name, reason), 0) + 1
            last = meters.get(closed)
            if last is None:
                continue
            found["agent.cpu"].add(last.cpu, agent=name)
            found["agent.busy"].add(last.busy, agent=name)
            found["agent.lag"].add(last.lag, agent=name)
            if last.lateness.count > 0:
                found["agent.late"].add(last.lateness.percentile(99), agent=name)
        for name, count in self._connections.items():
            found["agent.connections"].add(count, agent=name)
        for (name, reason), count in self._unsound.items():
            found["agent.unsound"].add(count, agent=name, reason=reason)

    def _new(self, name: str, meters: Mapping[int, Meters], closed: int) -> Iterator[Meters]:
        """Seconds of an agent that were not there before; one that is missing is waited for."""
        at = self._next.get(name, 0)
        while at <= closed:
            one = meters.get(at)
            if one is not None:
                yield one
            elif at > closed - PATIENCE:
                break
            at += 1
        self._next[name] = at

    def _flow(self, found: Made, name: str, row: Row) -> None:
        found["calls.planned"].add(row.planned, flow=name)
        for outcome, times in _outcomes(row):
            found["calls"].add(times, flow=name, outcome=outcome)
        found["attempts"].add(row.attempts, flow=name)
        found["calls.reduced"].add(row.reduced, flow=name)
        found["sent"].add(row.sent, flow=name)
        found["received"].add(row.received, flow=name)
        for kind, corrected, naive in (
            ("served", row.served, row.served_actual),
            ("explicit", row.explicit, row.explicit_actual),
        ):
            if corrected.count > 0:
                found["latency"].add(spread(corrected), flow=name, reply=kind)
            if naive.count > 0:
                found["latency.uncorrected"].add(spread(naive), flow=name, reply=kind)

    def _risen(self, metric: Metric, point: Point) -> Point:
        """A point that is not below what it was."""
        if metric.kind == "gauge":
            return point
        key = (metric.name, point.labels)
        if isinstance(point.value, Spread):
            before = self._spreads.get(key)
            value = point.value if before is None else _higher(before, point.value)
            self._spreads[key] = value
            return Point(point.labels, value)
        most = self._highest[key] = max(point.value, self._highest.get(key, 0))
        return Point(point.labels, most)


def _outcomes(row: Row) -> Iterator[tuple[str, int]]:
    yield from ((name, times) for name, times in row.outcomes.items() if times)
    if row.dropped:
        yield "dropped", row.dropped


def spread(histogram: Histogram) -> Spread:
    """A histogram in the coarse buckets of monitoring systems."""
    counts = [0] * (len(BOUNDS) + 1)
    for index, times in histogram.buckets.items():
        counts[_slot(index)] += times
    return Spread(counts, histogram.total / 1e6)


@lru_cache(maxsize=8192)
def _slot(index: int) -> int:
    low, high = bounds(index)
    return bisect_left(BOUNDS, (low + high) / 2e6)


def _higher(one: Spread, other: Spread) -> Spread:
    """Of two, what is higher up to each bound."""
    counts: list[int] = []
    mine = theirs = reached = 0
    for a, b in zip(one.counts, other.counts, strict=True):
        mine, theirs = mine + a, theirs + b
        counts.append(max(mine, theirs) - reached)
        reached = max(mine, theirs)
    return Spread(counts, max(one.sum, other.sum))
