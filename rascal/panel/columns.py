"""What a page of a run draws, second by second: one short row each.

A row belongs to the second of the calls' *intended* start. It grows until all of them have ended,
so a row that was sent may be sent again. `offered` counts calls that have ended and iterations
that are due and have not; what stands below it and above the outcomes is still open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rascal.load.types import OUTCOMES, Row

CLASSES: Mapping[str, tuple[str, ...]] = {
    "good": ("served",),
    "shed": ("shed",),
    "http": ("http_4xx", "http_5xx"),
    "refused": ("refused", "reset", "tls"),
    "timeout": ("timeout",),
    "wrong": ("truncated", "malformed", "check_failed", "wrong_data"),
    "dropped": ("dropped",),
}
"""Outcomes as they are stacked, kindest first."""
COLUMNS = ("t", "offered", *CLASSES, "p50", "p95", "p99", "in_flight", "attempts", "arrivals",
           "users")  # fmt: skip
UNITS = {
    "t": "s", "offered": "/s", **dict.fromkeys(CLASSES, "/s"), "p50": "ms", "p95": "ms",
    "p99": "ms", "in_flight": "", "attempts": "per call", "arrivals": "/s", "users": "",
}  # fmt: skip
STEPS = (10, 60)
"""Seconds of a coarse row, where single seconds would be too many."""
FINE = 7200
"""Seconds that are sent one by one."""
KEPT_FINE = 1800
"""Of a longer run, the last ones that still are."""
Cells = list[Any]

_CLASS = {outcome: name for name, outcomes in CLASSES.items() for outcome in outcomes}
assert set(_CLASS) == set(OUTCOMES)


def cells(
    t: int,
    row: Row,
    *,
    seconds: int = 1,
    still: float = 0.0,
    in_flight: float = 0.0,
    arrivals: float = 0.0,
    users: float = 0.0,
) -> Cells:
    """One row.

    Args:
        t: its second, or the first one of several.
        row: what the calls of all flows did.
        seconds: how many it covers; rates are a second.
        still: calls that are due and have not ended.
        in_flight, users: at its end, or on the average.
        arrivals: iterations that were due, a second.
    """
    counts = dict.fromkeys(CLASSES, 0)
    for outcome, count in row.outcomes.items():
        counts[_CLASS[outcome]] += count
    counts["dropped"] = row.dropped
    offered = row.started + row.dropped + still
    latencies: list[float | None] = [None, None, None]
    if row.served.count > 0:
        latencies = [round(one * 1000, 2) for one in row.served.percentiles((50, 95, 99))]
    attempts = round(row.attempts / row.started, 3) if row.started else None
    return [
        t,
        _rate(offered, seconds),
        *(_rate(count, seconds) for count in counts.values()),
        *latencies,
        _number(in_flight),
        attempts,
        _number(arrivals),
        _number(users),
    ]


def flow_cells(t: int, row: Row) -> Cells:
    """One row of one flow: only its own calls, as far as they have ended."""
    return cells(t, row)


def step_for(seconds: int) -> int:
    """How coarse the beginning of so long a run is sent; 1: not at all."""
    if seconds <= FINE:
        return 1
    return next((step for step in STEPS if seconds / step <= FINE), STEPS[-1])


def bands(rows: Sequence[Cells], step: int) -> tuple[list[Cells], list[Cells]]:
    """The least and the most of each column over every `step` seconds of rows of a second."""
    least: list[Cells] = []
    most: list[Cells] = []
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        low, high = [part[0][0]], [part[0][0]]
        for column in range(1, len(COLUMNS)):
            known = [row[column] for row in part if row[column] is not None]
            low.append(min(known) if known else None)
            high.append(max(known) if known else None)
        least.append(low)
        most.append(high)
    return least, most


def mean(values: Iterable[float]) -> float:
    """Of a column; 0 of nothing."""
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _rate(count: float, seconds: int) -> float:
    return _number(count / seconds)


def _number(value: float) -> float:
    """Short: whole where it is whole."""
    if not math.isfinite(value):
        return 0
    short = round(value, 2)
    return int(short) if short == int(short) else short
