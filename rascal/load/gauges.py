"""One measure of some flows, second by second, and over windows of seconds.

A *cell* is what a second adds; a *sum* adds cells up, and can drop them again, so that a window
moves on for two additions a second whatever its length.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from rascal.histogram import Histogram
from rascal.language import Objective
from rascal.load.measuring import (
    LATENESS,
    NOTHING,
    Measured,
    deadline_for,
    merged,
    parts,
    percentile_of,
)
from rascal.load.types import FlowKind, Row

RATES = ("offered", "goodput")
METERED = ("lateness", "in_flight")
"""Measures of agents, not of flows."""


@attrs.frozen
class Group:
    """What an objective asks about at a time: all flows, one of them, or one scenario."""

    label: str
    """The name that the objective gives; "" for all flows."""
    kind: FlowKind = "flow"
    names: tuple[str, ...] = ()


@attrs.define
class Cell:
    """What one second adds to a measure."""

    offered: int = 0
    number: int = 0
    of: float = 0.0
    histogram: Histogram | None = None
    extreme: float = NOTHING


def groups(objective: Objective, results: Measured) -> list[Group]:
    """All flows together, or each that is named. A name that is no flow may be a scenario."""
    if objective.measure in METERED or not objective.flows:
        return [Group("", "flow", results.flows)]
    found: list[Group] = []
    for name in objective.flows:
        if name not in results.flows and name in results.scenarios:
            found.append(Group(name, "scenario", (name,)))
        else:
            found.append(Group(name, "flow", (name,) if name in results.flows else ()))
    return found


class Gauge:
    """A measure of a group of flows in one run."""

    def __init__(self, objective: Objective, group: Group, results: Measured) -> None:
        self.measure = objective.measure
        self.upper = objective.op in ("<", "<=")
        """The limit is from above: the greatest value is the worst."""
        self.group = group
        self.results = results
        self.percentile = percentile_of(self.measure)
        self._deadlines = {
            name: deadline_for(self.measure, results, name, group.kind) for name in group.names
        }

    def cell(self, second: int) -> Cell:
        """What this second adds."""
        if self.measure in METERED:
            return self._metered([second])
        rows = []
        for name in self.group.names:
            row = self.results.rows(self.group.kind, name).get(second)
            if row is not None:
                rows.append((name, row))
        return self._of(rows)

    def whole(self, first: int, last: int) -> Cell:
        """All seconds in one cell; sums that are there already are used."""
        if self.measure in METERED:
            return self._metered(range(first, last + 1))
        rows = []
        for name in self.group.names:
            series = self.results.series(self.group.kind, name)
            if first <= min(series, default=0) and last >= max(series, default=0):
                rows.append((name, series.total))
            else:
                rows.append((name, self.results.total(self.group.kind, (name,), first, last)))
        return self._of(rows)

    def _of(self, rows: Iterable[tuple[str, Row]]) -> Cell:
        cell = Cell()
        served: list[Histogram] = []
        for name, row in rows:
            cell.offered += row.planned
            if self.percentile is not None or self.measure == "max":
                served.append(row.served)
            else:
                number, of = parts(self.measure, row, self._deadlines[name])
                cell.number += number
                cell.of += of
        if self.percentile is not None:
            cell.histogram = merged(served)
        elif self.measure == "max":
            cell.extreme = max((one.most / 1e6 for one in served if one.count > 0), default=NOTHING)
        return cell

    def _metered(self, seconds: Iterable[int]) -> Cell:
        late: list[Histogram] = []
        in_flight: list[float] = []
        for second in seconds:
            there = [one[second] for one in self.results.meters.values() if second in one]
            if self.measure == "lateness":
                late += [one.lateness for one in there]
            elif there:
                in_flight.append(sum(one.in_flight for one in there))
        if self.measure == "lateness":
            return Cell(histogram=merged(late))
        return Cell(extreme=self.outermost(in_flight))

    def outermost(self, values: Iterable[float]) -> float:
        """The worst value there is, seen from the limit; NaN if there is none."""
        there = [value for value in values if not math.isnan(value)]
        if self.measure == "max" or self.upper:
            return max(there, default=NOTHING)
        return min(there, default=NOTHING)

    def value(self, cell: Cell, seconds: int) -> float:
        """The measure's value; inf for a latency where calls were offered and none was served."""
        if self.percentile is not None or self.measure == "lateness":
            found = cell.histogram
            if found is not None and found.count > 0:
                return found.percentile(self.percentile or LATENESS)
            return math.inf if cell.offered else NOTHING
        if self.measure in ("max", "in_flight"):
            unserved = math.isnan(cell.extreme) and cell.offered
            return math.inf if unserved else cell.extreme
        if self.measure in RATES:
            return cell.number / seconds
        return cell.number / cell.of if cell.of > 0 else NOTHING

    def sum(self, cells: Sequence[Cell]) -> Cell:
        """Several cells in one."""
        if len(cells) == 1:
            return cells[0]
        total = Cell(histogram=Histogram())
        for cell in cells:
            _add(total, cell, 1)
        total.extreme = self.outermost(cell.extreme for cell in cells)
        return total

    def windows(self, cells: Sequence[Cell], size: int) -> Iterator[float]:
        """The value of each window of `size` cells, one a cell on."""
        size = min(size, len(cells))
        total = Cell(histogram=Histogram())
        inside: deque[Cell] = deque()
        for cell in cells:
            inside.append(cell)
            _add(total, cell, 1)
            if len(inside) > size:
                _add(total, inside.popleft(), -1)
            if len(inside) == size:
                total.extreme = self.outermost(one.extreme for one in inside)
                yield self.value(total, size)


def _add(total: Cell, cell: Cell, times: int) -> None:
    total.offered += times * cell.offered
    total.number += times * cell.number
    total.of += times * cell.of
    if cell.histogram is not None and total.histogram is not None:
        if times > 0:
            total.histogram.add(cell.histogram)
        else:
            total.histogram.subtract(cell.histogram)


def holds(value: float, op: str, limit: float) -> bool:
    """Whether `value op limit`; nothing measured holds nothing."""
    if op == "<":
        return value < limit
    if op == "<=":
        return value <= limit
    return value > limit if op == ">" else value >= limit


def seconds_of(span: Any) -> int:
    """Whole seconds of an `over` or `for`; 1 without one."""
    return 1 if span is None else max(1, math.ceil(span.value))
