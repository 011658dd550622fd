"""Numbers out of rows: every measure of the language, deadlines, and rows as plain JSON.

A *deadline* says until when an answer is in time. A call is good if it is served within it, an
honest failure if a reply within it says no, a dishonest failure otherwise: nobody answered, what
came was wrong, it came late (even a no), or the call was dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from rascal.errors import LoadError
from rascal.histogram import Histogram
from rascal.language.profile import MEASURES
from rascal.load.types import EXPLICIT, SERVED, FlowKind, Meters, Row

NEED_EXPERIMENT: Mapping[str, str] = {
    "goodput_kept": "goodput_kept compares with a baseline without the fault: it needs an "
    "experiment (rascal experiment run); in a load run use goodput or failed",
    "time_to_recover": "time_to_recover counts from the end of a fault: it needs an experiment "
    "(rascal experiment run)",
}
"""Measures that a load run does not have, and why."""
SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
"""Percentiles in `row_data`."""
NOTHING = math.nan
"""The value of a measure when there is nothing to measure."""
LATENESS = 99.0
"""The percentile that `lateness` means."""
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,4})?)")
_HISTOGRAMS = ("served", "explicit", "served_actual", "explicit_actual")
_COUNTS = ("planned", "started", "dropped", "reduced", "attempts", "replies", "sent", "received")


class Summed(Protocol):
    """Rows by second, and their sum."""

    @property
    def total(self) -> Row: ...
    def __iter__(self) -> Iterator[int]: ...


class Measured(Protocol):
    """Where measures are taken: rascal.load.results.Results, or a stored run."""

    timeout: float
    deadlines: dict[str, float]
    scenario_deadlines: dict[str, float]

    @property
    def flows(self) -> tuple[str, ...]: ...
    @property
    def scenarios(self) -> tuple[str, ...]: ...
    @property
    def meters(self) -> Mapping[str, Mapping[int, Meters]]: ...
    def rows(self, kind: FlowKind, name: str) -> Mapping[int, Row]: ...
    def series(self, kind: FlowKind, name: str) -> Summed: ...
    def total(
        self,
        kind: FlowKind = ...,
        names: Iterable[str] = ...,
        first: int | None = ...,
        last: int | None = ...,
    ) -> Row: ...


class MeasureError(LoadError):
    """There is no such measure, or a load run does not have it."""


def percentile_of(measure: str) -> float | None:
    """99.9 for "p99.9"; None if the measure is no percentile."""
    found = _PERCENTILE.fullmatch(measure)
    return float(found[1]) if found else None


def check_measure(measure: str) -> None:
    """Make sure that a load run has this measure.

    Raises:
        MeasureError: it has not.
    """
    if measure in NEED_EXPERIMENT:
        raise MeasureError(NEED_EXPERIMENT[measure])
    if percentile_of(measure) is None and measure not in MEASURES:
        raise MeasureError(f"there is no measure '{measure}'; measures: {', '.join(MEASURES)}")


def value(
    measure: str,
    row: Row,
    seconds: float,
    *,
    deadline: float | None = None,
    meters: Iterable[Meters] = (),
) -> float:
    """What a measure says of a row: seconds, per second, share of 1, or a number.

    Args:
        measure: p50, max, failed, timeout … as in objectives.
        row: calls; of one flow if there is a deadline.
        seconds: how long it took them to come, for rates.
        deadline: seconds; None means that every answer is in time.
        meters: of the same seconds, for lateness and in_flight.

    Returns:
        NaN if there is nothing to measure (no calls, no served ones for a latency).

    Raises:
        MeasureError: a load run does not have this measure.
    """
    check_measure(measure)
    share = percentile_of(measure)
    if share is not None:
        return row.served.percentile(share) if row.served.count > 0 else NOTHING
    if measure == "max":
        return row.served.most / 1e6 if row.served.count > 0 else NOTHING
    if measure == "lateness":
        late = merged(one.lateness for one in meters)
        return late.percentile(LATENESS) if late.count > 0 else NOTHING
    if measure == "in_flight":
        return float(max((one.in_flight for one in meters), default=NOTHING))
    number, of = parts(measure, row, deadline)
    if measure in ("offered", "goodput"):
        of = seconds
    return number / of if of > 0 else NOTHING


def parts(measure: str, row: Row, deadline: float | None) -> tuple[int, float]:
    """Numerator and denominator of a measure that is a ratio; both add up over rows. Those of
    rates have no denominator here: it is the time."""
    if measure == "offered":
        return row.planned, 0
    if measure == "goodput":
        return good(row, deadline), 0
    if measure == "attempts":
        return row.attempts, row.started
    if measure == "failed":
        return row.started - row.outcomes.get(SERVED, 0) + row.dropped, row.planned
    if measure == "dishonest":
        return dishonest(row, deadline), row.planned
    if measure == "dropped":
        return row.dropped, row.planned
    return row.outcomes.get(measure, 0), row.planned


def good(row: Row, deadline: float | None) -> int:
    """Calls served in time."""
    served = row.outcomes.get(SERVED, 0)
    return served if deadline is None else served - row.served.over(deadline)


def honest(row: Row, deadline: float | None) -> int:
    """Calls that were told no in time."""
    told = sum(row.outcomes.get(name, 0) for name in EXPLICIT)
    return told if deadline is None else told - row.explicit.over(deadline)


def dishonest(row: Row, deadline: float | None) -> int:
    """Calls that were neither served nor told no in time, dropped ones among them."""
    return row.started + row.dropped - good(row, deadline) - honest(row, deadline)


def deadline_of(results: Measured, flow: str, kind: FlowKind = "flow") -> tuple[float, bool]:
    """A flow's deadline, and whether it was derived.

    Given ones are in `results`. Else it is five times the run's p95, at least half a
    second, at most half the client's time-out.
    """
    given = _given(results, flow, kind)
    if given is not None:
        return given, False
    served = results.series(kind, flow).total.served
    slow = served.percentile(95.0) if served.count > 0 else 0.0
    return min(max(5 * slow, 0.5), results.timeout / 2), True


def deadline_for(
    measure: str, results: Measured, flow: str, kind: FlowKind = "flow"
) -> float | None:
    """The deadline that a measure goes by: dishonest cannot do without one; goodput counts every
    served call unless somebody has given one."""
    if measure == "dishonest":
        return deadline_of(results, flow, kind)[0]
    return _given(results, flow, kind) if measure == "goodput" else None


def _given(results: Measured, name: str, kind: FlowKind) -> float | None:
    of = results.scenario_deadlines if kind == "scenario" else results.deadlines
    return of.get(name)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Several histograms in one."""
    found = Histogram()
    for one in histograms:
        found.add(one)
    return found


def rates(results: Measured, names: Iterable[str], seconds: float) -> tuple[float, float]:
    """Calls offered, and served in time (each by its flow's own deadline), per second of load.

    Calls that began after the load's end, in iterations that were still under way, do not count.
    """
    planned = served = 0
    last = math.ceil(seconds)
    for name in names:
        deadline = results.deadlines.get(name)
        row, late = results.total("flow", (name,)), results.total("flow", (name,), last, None)
        planned += row.planned - late.planned
        served += good(row, deadline) - good(late, deadline)
    return planned / seconds, served / seconds


def row_data(row: Row, seconds: float | None = None) -> dict[str, Any]:
    """A row as plain JSON: counts, outcomes, percentiles in seconds.

    Args:
        row: what to show.
        seconds: how long it took, for `offered` and `goodput` a second.
    """
    data: dict[str, Any] = {name: getattr(row, name) for name in _COUNTS}
    for name in ("outcomes", "failures", "lanes"):
        data[name] = {key: times for key, times in getattr(row, name).items() if times}
    for name in _HISTOGRAMS:
        data[name] = histogram_data(getattr(row, name))
    data["failed"] = row.started - row.outcomes.get(SERVED, 0) + row.dropped
    if seconds:
        data["seconds"] = seconds
        data["offered"] = row.planned / seconds
        data["goodput"] = good(row, None) / seconds
    return data


def histogram_data(histogram: Histogram) -> dict[str, Any] | None:
    """A histogram as plain JSON, times in seconds; None if it is empty."""
    if histogram.count <= 0:
        return None
    data: dict[str, Any] = {
        "count": histogram.count,
        "mean": histogram.mean,
        "least": histogram.least / 1e6,
        "most": histogram.most / 1e6,
    }
    for share, found in zip(SHOWN, histogram.percentiles(SHOWN), strict=True):
        data[f"p{share:g}"] = found
    return data


def meters_data(meters: Meters) -> dict[str, Any]:
    """Meters as plain JSON."""
    return {
        "in_flight": meters.in_flight,
        "users": meters.users,
        "begun": meters.begun,
        "cpu": meters.cpu,
        "busy": meters.busy,
        "lag": meters.lag,
        "gc": meters.gc,
        "lateness": histogram_data(meters.lateness),
        "connections": meters.connections,
        "reused_lost": meters.reused_lost,
        "unsound": list(meters.unsound),
    }
