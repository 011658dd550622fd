"""Reports of a run merged into rows for pages: single seconds, late calls, coarse beginnings."""

from __future__ import annotations

from typing import Any

import attrs

from rascal.load.results import Results, Series
from rascal.load.types import Report, Row
from rascal.panel.columns import STEPS, Cells, cells, flow_cells, mean

REMEMBERED = 300
"""Seconds whose rows are compared with what was given before."""
SINGLE = 60
"""Seconds for which rows of single flows are given as they come; older ones are asked for."""


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
        self._total = Series()
        """Calls of all flows, by second."""
        self._coarse = {step: Series() for step in STEPS}
        self._due: dict[int, list[int]] = {}
        """By second, iterations that were due, and that have ended."""
        self._open: set[int] = set()
        """Seconds with iterations that have not ended."""
        self._changed: set[int] = set()
        self._rows: dict[int, Cells] = {}
        """Rows of the last seconds, and of those that are still open, as they were given."""
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
                self._total.add(second, row)
                for step, series in self._coarse.items():
                    series.add(second // step, row)
            self._changed.add(second)

    def give(self, news: News) -> None:
        """Put what is new into the news."""
        closed = self.results.closed
        flight = self._in_flight(closed)
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
        due, ended = self._due.get(second, (0, 0))
        return cells(
            second,
            self._total.get(second) or Row(),
            still=max(0, due - ended) * share,
            in_flight=self._in_flight(second),
            arrivals=due,
            users=self._metered(second, "users"),
        )

    def _give_flows(self, second: int, news: News) -> None:
        """Nobody looks at single flows while much is read at once."""
        if second < self.results.closed - SINGLE:
            return
        rows = {}
        for name in self.results.flows:
            row = self.results.rows("flow", name).get(second)
            if row is not None:
                rows[name] = flow_cells(second, row)
        news.flows[second] = rows

    def _give_coarse(self, touched: set[int], closed: int, news: News) -> None:
        for step, series in self._coarse.items():
            for number in sorted({at // step for at in touched if 0 <= at <= closed}):
                seconds = range(number * step, min((number + 1) * step, closed + 1))
                row = series.get(number)
                if row is None or not seconds:
                    continue
                due = [self._due.get(at, (0, 0)) for at in seconds]
                news.coarse.setdefault(step, {})[number] = cells(
                    number * step,
                    row,
                    seconds=len(seconds),
                    in_flight=mean(self._in_flight(at) for at in seconds),
                    arrivals=mean(float(one[0]) for one in due),
                    users=mean(self._metered(at, "users") for at in seconds),
                )

    def _in_flight(self, second: int) -> float:
        return self._metered(second, "in_flight")

    def _metered(self, second: int, name: str) -> float:
        there = (one.get(second) for one in self.results.meters.values())
        return float(sum(getattr(meters, name) for meters in there if meters is not None))
