"""Reports of a run merged into rows for pages: single seconds, late calls, coarse beginnings."""

from __future__ import annotations

from typing import Any

import attrs

from rascal.load.packing import pack_row, unpack_row
from rascal.load.results import Results, Shelf
from rascal.load.types import Report, Row
from rascal.panel.columns import STEPS, Cells, cells, flow_cells, mean, step_for

REMEMBERED = 300
"""Seconds whose rows are compared with what was given before."""


@attrs.define(kw_only=True)
class News:
    """What has changed. None: it has not."""

    rows: list[Cells] = attrs.Factory(list)
    """New seconds, in order."""
    amended: list[Cells] = attrs.Factory(list)
    flows: dict[int, dict[str, Cells]] = attrs.Factory(dict)
    """Of the new and amended seconds, by second and flow."""
    coarse: dict[int, dict[int, Cells]] = attrs.Factory(dict)
    """By step and number of the row."""
    state: dict[str, Any] = attrs.Factory(dict)
    phases: list[dict[str, Any]] | None = None
    faults: list[dict[str, Any]] | None = None
    agents: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    log: list[dict[str, Any]] = attrs.Factory(list)
    samples: list[dict[str, Any]] = attrs.Factory(list)
    more: bool = False
    """Not all that is there has been read yet."""
    over: bool = False
    """Nothing more will come."""


class Merged:
    """The rows of one run. `results` takes the same reports."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._total: Shelf[Row] = Shelf(pack_row, unpack_row)
        """Calls of all flows, by second; only what pages are shown of them."""
        self._levels: dict[int, list[int]] = {}
        """By second, calls in flight and users, over all agents."""
        self._touched: dict[int, set[int]] = {step: set() for step in STEPS}
        """By step, numbers of coarse rows that have changed."""
        self._due: dict[int, list[int]] = {}
        """By second, iterations that were due, and that have ended."""
        self._open: set[int] = set()
        """Seconds with iterations that have not ended."""
        self._changed: set[int] = set()
        self._rows: dict[int, Cells] = {}
        """Rows of the last seconds, and of those that are still open, as they were given."""
        self.flows: frozenset[str] = frozenset()
        """Flows that are looked at by themselves."""
        self._next = 0
        """The first second that was not given yet."""

    def take(self, report: Report) -> None:
        """Merge a report, once."""
        if not self.results.add(report):
            return
        for (kind, _, second), row in report.rows.items():
            if kind == "scenario":
                due = self._due.setdefault(second, [0, 0])
                due[0] += row.planned
                due[1] += row.started + row.dropped
                (self._open.add if due[0] > due[1] else self._open.discard)(second)
            else:
                self._add(second, row)
            self._changed.add(second)
        levels = self._levels.setdefault(report.second, [0, 0])
        levels[0] += report.meters.in_flight
        levels[1] += report.meters.users

    def _add(self, second: int, row: Row) -> None:
        mine = self._total.taken(second)
        if mine is None:
            mine = Row()
            self._total.put(second, mine)
        _merge(mine, row)

    def give(self, news: News) -> None:
        """Put what is new into the news."""
        closed = self.results.closed
        flight = self._levels.get(closed, _NONE)[0]
        still = sum(due[0] - due[1] for at in self._open if (due := self._due[at]))
        share = min(1.0, flight / still) if still > 0 else 0.0
        # What is open may have been closed by others' calls: those seconds are looked at again.
        changed = {at for at in self._changed | self._open if 0 <= at < self._next}
        touched = {*self._changed, *range(self._next, closed + 1)}
        self._changed = {at for at in self._changed if at > closed}
        for second in sorted(changed):
            row = self._cells(second, share)
            if self._rows.get(second) != row:
                self._rows[second] = row
                news.amended.append(row)
                self._give_flows(second, news)
        for second in range(self._next, closed + 1):
            row = self._rows[second] = self._cells(second, share)
            news.rows.append(row)
            self._give_flows(second, news)
        self._next = max(self._next, closed + 1)
        self._give_coarse(touched, closed, news)
        for second in [
            at for at in self._rows if at < self._next - REMEMBERED and at not in self._open
        ]:
            del self._rows[second]

    def _cells(self, second: int, share: float) -> Cells:
        due, ended = self._due.get(second, _NONE)
        in_flight, users = self._levels.get(second, _NONE)
        return cells(
            second,
            self._total.get(second) or Row(),
            still=max(0, due - ended) * share,
            in_flight=in_flight,
            arrivals=due,
            users=users,
        )

    def _give_flows(self, second: int, news: News) -> None:
        rows = {}
        for name in self.flows:
            row = self.results.rows("flow", name).get(second)
            if row is not None:
                rows[name] = flow_cells(second, row)
        if rows:
            news.flows[second] = rows

    def _give_coarse(self, touched: set[int], closed: int, news: News) -> None:
        """Rows of several seconds, of a run that is so long that it needs them."""
        coarsest = step_for(closed + 1)
        for step, numbers in self._touched.items():
            numbers |= {at // step for at in touched if 0 <= at <= closed}
            if step > coarsest:
                continue
            found = news.coarse.setdefault(step, {})
            for number in sorted(numbers):
                found[number] = self._coarse_cells(number * step, step, closed)
            numbers.clear()

    def _coarse_cells(self, first: int, step: int, closed: int) -> Cells:
        seconds = range(first, min(first + step, closed + 1))
        row = Row()
        for at in seconds:
            one = self._total.get(at)
            if one is not None:
                _merge(row, one)
        levels = [self._levels.get(at, _NONE) for at in seconds]
        return cells(
            first,
            row,
            seconds=len(seconds),
            in_flight=mean(one[0] for one in levels),
            arrivals=mean(self._due.get(at, _NONE)[0] for at in seconds),
            users=mean(one[1] for one in levels),
        )


_NONE = (0, 0)


def _merge(mine: Row, row: Row) -> None:
    """Add what pages are shown."""
    mine.started += row.started
    mine.dropped += row.dropped
    mine.attempts += row.attempts
    for outcome, count in row.outcomes.items():
        mine.outcomes[outcome] = mine.outcomes.get(outcome, 0) + count
    mine.served.add(row.served)
