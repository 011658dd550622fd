"""Stop rules: when a live run has to end.

A call is counted once it has ended, in the second of its intended start, so what is known of a
second grows for up to a time-out. Two mistakes lie there. The quick failures of a second are known
before its slow successes, and a healthy run would be stopped; a system that hangs shows nothing at
all until the time-outs come. So calls that are still open count as the better case: a share of
failures is taken over them too, a rate as if they came out well. Everything else waits until nearly
all calls of a second are known, which is after one time-out at the latest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from rascal.language import Objective
from rascal.load.gauges import METERED, RATES, Cell, Gauge, Group, groups, holds, seconds_of

if TYPE_CHECKING:
    from rascal.load.results import Results

SETTLED = 0.05
"""A second is settled if at most this share of its calls is open."""
_MOVING = (*METERED, "dishonest")
"""Measures of a second that change although no row does: a derived deadline moves on."""
LEAST = 2
"""Seconds with calls that a rule of several seconds needs: one call is no trend."""


@attrs.define
class _Watched:
    """A rule for one group of flows, and what it found so far."""

    rule: Objective
    group: Group
    cells: dict[int, tuple[int, Cell]] = attrs.Factory(dict)
    """By second: the revision that it was made of."""
    values: dict[int, tuple[int, int, float]] = attrs.Factory(dict)
    """By the last second of a window: revisions and open calls that it was made of."""

    def forget(self, before: int) -> None:
        """What is not looked at any more."""
        for kept in (self.cells, self.values):
            for second in [second for second in kept if second < before]:
                del kept[second]


class StopRules:
    """The stop rules of a run, to be asked once a second."""

    def __init__(self, rules: Iterable[Objective], timeout: float = 30.0) -> None:
        self.rules = tuple(rules)
        self.timeout = timeout
        self._watched: dict[tuple[int, str], _Watched] = {}

    def check(self, results: Results, last: int | None = None) -> Objective | None:
        """The first rule that holds for its time, or None.

        Args:
            results: the run so far.
            last: the last second in which load is offered, if that is known: later ones are no
                finding.
        """
        if not self.rules:
            return None
        settling = _Settling(results, self.timeout)
        for number, rule in enumerate(self.rules):
            for group in groups(rule, results):
                key = (number, group.label)
                watched = self._watched.get(key)
                if watched is None or watched.group != group:
                    watched = self._watched[key] = _Watched(rule, group)
                there = group.names or rule.measure in METERED
                if there and self._broken(watched, results, settling, last):
                    return rule
        return None

    def _broken(
        self, watched: _Watched, results: Results, settling: _Settling, last: int | None
    ) -> bool:
        rule = watched.rule
        tail = dict(rule.tail)
        size, wanted = seconds_of(tail.get("over")), seconds_of(tail.get("for"))
        closed = results.closed if last is None else min(results.closed, last)
        first = max(0, closed - size - wanted - math.ceil(self.timeout) - 2)
        watched.forget(first)
        limit = float(rule.limit.value)
        held = known = 0
        for window, value in self._windows(
            watched, results, settling, range(first, closed + 1), size
        ):
            if rule.measure not in METERED and settling.idle(window):  # as it was before
                held += held > 0
            elif holds(value, rule.op, limit) and self._sure(rule, value, settling, window):
                held, known = held + 1, known + 1
            else:
                held = known = 0
            if held >= wanted and known >= min(wanted, LEAST):
                return True
        return False

    def _windows(
        self,
        watched: _Watched,
        results: Results,
        settling: _Settling,
        seconds: range,
        size: int,
    ) -> Iterator[tuple[range, float]]:
        """Each window and its value, worked out anew only where something came."""
        gauge = Gauge(watched.rule, watched.group, results)
        marks = [settling.mark(watched.group, second) for second in seconds]
        for end in range(size, len(marks) + 1):
            inside = marks[end - size : end]
            revision, still = sum(one[0] for one in inside), sum(one[1] for one in inside)
            window = seconds[end - size : end]
            old = watched.values.get(window[-1])
            if old is None or old[:2] != (revision, still) or gauge.measure in _MOVING:
                cells = [
                    self._hopeful(watched, self._cell(watched, gauge, second, mark[0]), mark[1])
                    for second, mark in zip(window, inside, strict=True)
                ]
                value = gauge.value(gauge.sum(cells), size)
                old = watched.values[window[-1]] = (revision, still, value)
            yield window, old[2]

    def _cell(self, watched: _Watched, gauge: Gauge, second: int, revision: int) -> Cell:
        old = watched.cells.get(second)
        if old is None or old[0] != revision or gauge.measure in _MOVING:
            old = watched.cells[second] = (revision, gauge.cell(second))
        return old[1]

    def _hopeful(self, watched: _Watched, cell: Cell, still: int) -> Cell:
        """The cell if all that is still open came out well."""
        rule = watched.rule
        if not still:
            return cell
        if rule.measure in RATES and rule.op in ("<", "<="):
            return attrs.evolve(cell, number=cell.number + still)
        if cell.of and rule.measure != "attempts" and rule.op in (">", ">="):
            return attrs.evolve(cell, of=cell.of + still)
        return cell

    def _sure(self, rule: Objective, value: float, settling: _Settling, window: range) -> bool:
        """What is still open cannot change the answer."""
        if rule.measure in METERED:
            return True
        rising = rule.op in (">", ">=")
        early = not rising if rule.measure in RATES else rising and rule.measure != "attempts"
        if math.isinf(value):  # none was served, so far
            early = False
        return early or all(settling.settled(second) for second in window)


class _Settling:
    """How much of each second is known."""

    def __init__(self, results: Results, timeout: float) -> None:
        self.results = results
        self.sure = results.closed - math.ceil(timeout) - 1
        """Seconds before it are settled whatever the numbers say: a call ends with its time-out,
        and those of a lost agent never come."""

    def mark(self, group: Group, second: int) -> tuple[int, int]:
        """Changes of this group and second so far, and calls of it that are probably open."""
        if not group.label:
            return self.results.revisions.get(second, 0), self.unknown(second)
        series = [self.results.series(group.kind, name) for name in group.names]
        revision = sum(one.revisions.get(second, 0) for one in series)
        return revision, self._open(group, self.unknown(second))

    def unknown(self, second: int) -> int:
        """Calls (attempts) that began in this second and have not ended."""
        if second < self.sure:
            return 0
        results = self.results
        return max(0, results.begun.get(second, 0) - results.attempts.get(second, 0))

    def settled(self, second: int) -> bool:
        """Nearly all calls of this second have ended."""
        return self.unknown(second) <= SETTLED * self.results.begun.get(second, 0)

    def idle(self, window: range) -> bool:
        """Nothing was offered, and nothing is known of calls then."""
        results = self.results
        return not any(
            results.begun.get(second) or second in results.revisions for second in window
        )

    def _open(self, group: Group, unknown: int) -> int:
        """By the group's share of all calls so far."""
        if not unknown or group.kind != "flow":
            return unknown
        results = self.results
        all_of_them = sum(results.series("flow", name).total.started for name in results.flows)
        mine = sum(results.series("flow", name).total.started for name in group.names)
        return math.ceil(unknown * mine / all_of_them) if all_of_them else unknown
