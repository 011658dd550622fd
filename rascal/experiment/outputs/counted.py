"""Second by second: what became of the calls of the flows that use the dependency, and of others.

Each call is counted against its own flow's deadline, as the judge counts it. Seconds are joined
into steps where there are too many to draw, by adding them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from rascal.experiment.counts import Flow
from rascal.experiment.outputs.gathered import Gathered
from rascal.experiment.record import FlowRecord
from rascal.histogram import Histogram
from rascal.load.types import HARD, Row

GOOD, LATE, HONEST, LATE_NO, DROPPED = "good", "served late", "quick no", "late no", "dropped"
CLASSES = (GOOD, HONEST, LATE, LATE_NO, *HARD, DROPPED)
"""From the bottom of the stack: what works, what was refused honestly, what broke."""
DISHONEST = CLASSES[2:]


@attrs.define
class Step:
    """What was planned in a step, and what became of it."""

    offered: int = 0
    classes: dict[str, int] = attrs.Factory(dict)
    served: Histogram = attrs.Factory(Histogram)
    started: int = 0
    attempts: int = 0


@attrs.frozen(kw_only=True)
class Side:
    """The flows that use what was struck, or the others."""

    flows: Sequence[str]
    deadlines: Mapping[str, float]
    steps: Sequence[Step]

    @property
    def there(self) -> list[str]:
        """The classes that occurred."""
        return [name for name in CLASSES if any(one.classes.get(name) for one in self.steps)]

    def total(self, name: str) -> int:
        """Of a class."""
        return sum(one.classes.get(name, 0) for one in self.steps)


def sides(it: Gathered, step: int | None = None) -> tuple[Side, Side]:
    """(those that use it, the others). Where nobody knows, all use it."""
    step = step or it.load.step
    count = max(1, math.ceil(it.end / step))
    struck = {one.dependency for one in it.record.faults}
    using: list[FlowRecord] = []
    others: list[FlowRecord] = []
    for flow in it.record.flows:
        uses = flow.uses is None or bool(struck & flow.uses)
        (using if uses else others).append(flow)
    return _side(it, using, step, count), _side(it, others, step, count)


def _side(it: Gathered, flows: Sequence[FlowRecord], step: int, count: int) -> Side:
    deadlines = {flow.name: deadline(it, flow) for flow in flows}
    steps = [Step() for _ in range(count)]
    for flow in flows:
        limit = deadlines[flow.name]
        for second in sorted(flow.rows):
            at = second // step
            if 0 <= at < count:
                _add(steps[at], flow.rows[second], limit)
    there = [flow.name for flow in flows if flow.rows]
    return Side(flows=there, deadlines=deadlines, steps=steps)


def deadline(it: Gathered, flow: FlowRecord) -> float:
    """The flow's own, or the one that the judge derives; without a baseline half the time-out."""
    if flow.deadline is not None:
        return flow.deadline
    known = {one.name: one.deadline for one in it.verdict.flows} if it.verdict else {}
    told = known.get(flow.name)
    if told is not None:
        return told
    if it.verdict is not None:  # one of a pool of thin flows
        first, last = it.verdict.windows["baseline"]
    else:
        begin, end = it.record.phases.get("baseline", (0.0, 0.0))
        first, last = math.ceil(begin), math.floor(end)
    if not any(second in flow.rows for second in range(first, last)):
        return flow.timeout / 2
    return Flow(flow, last + 1, (first, last), it.thresholds, left_out(it)).deadline


def left_out(it: Gathered) -> frozenset[int]:
    """Seconds in which an agent was late and that the judge therefore does not count: a few."""
    if it.verdict is None:
        return frozenset()
    watched = range(it.verdict.windows["baseline"][0], it.verdict.windows["tail"][1])
    found = it.record.unsound.intersection(watched)
    few = len(found) <= it.thresholds.unsound * len(watched)
    return found if few else frozenset()


def _add(step: Step, row: Row, limit: float) -> None:
    late, late_no = row.served.over(limit), row.explicit.over(limit)
    step.offered += row.planned
    step.started += row.started
    step.attempts += row.attempts
    step.served.add(row.served)
    found = {
        GOOD: row.served.count - late,
        LATE: late,
        HONEST: row.explicit.count - late_no,
        LATE_NO: late_no,
        DROPPED: row.dropped,
        **{name: row.outcomes.get(name, 0) for name in HARD},
    }
    for name, calls in found.items():
        if calls:
            step.classes[name] = step.classes.get(name, 0) + calls
