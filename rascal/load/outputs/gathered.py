"""All that a report shows of a run, read once: sums, and seconds joined into few enough steps.

A step joins whole seconds by adding their rows, never by averaging: its percentiles are those of
all its calls. Of what agents measured a step shows the highest second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from rascal.load.outputs.source import Source, Told
from rascal.load.types import SERVED, Event, Meters, Row, Sample
from rascal.report.scales import width_of_steps

STEPS = 300
"""Points of a curve, at most."""


@attrs.frozen(kw_only=True)
class Gathered:
    """A run, ready to be shown."""

    run: Told
    digests: Mapping[str, str]
    seconds: float
    """For how long load was offered."""
    flows: Mapping[str, Row]
    scenarios: Mapping[str, Row]
    all: Row
    """All flows together."""
    step: int
    """Seconds in a step."""
    rows: Sequence[Row]
    """All flows, by step of intended start; empty rows where nothing was planned."""
    agents: Mapping[str, Sequence[Meters | None]]
    """By agent and step; None where it did not report."""
    sums: Mapping[str, Meters]
    """The highest of each agent over the run, its lateness and what it counted added up."""
    unsound: Mapping[int, tuple[str, ...]]
    """Second: why it is not to be trusted."""
    events: Sequence[Event]
    samples: Sequence[Sample]

    @property
    def summary(self) -> Mapping[str, Any]:
        """As it was kept at the end; empty while it goes on, and of one that is lost."""
        return self.run.summary

    @property
    def end(self) -> int:
        """Seconds that the plots show."""
        return len(self.rows) * self.step

    @property
    def served(self) -> int:
        """Calls that were served."""
        return self.all.outcomes.get(SERVED, 0)


def gather(source: Source, run: str) -> Gathered:
    """Read it."""
    told = source.run(run)
    every = {name: source.series(run, "flow", name) for name in source.flows(run)}
    meters = source.meters(run)
    scenarios = {
        name: source.total(run, "scenario", name) for name in source.flows(run, "scenario")
    }
    last = max(
        (second for seconds in (*every.values(), *meters.values()) for second in seconds), default=0
    )
    step = width_of_steps(last + 1, STEPS)
    count = last // step + 1
    rows = [Row() for _ in range(count)]
    for seconds in every.values():
        for second, row in seconds.items():
            if second >= 0:
                rows[second // step].add(row)
    total = Row()
    for row in rows:
        total.add(row)
    unsound: dict[int, tuple[str, ...]] = {}
    for measured in meters.values():
        for second, one in measured.items():
            if one.unsound:
                unsound[second] = tuple(dict.fromkeys((*unsound.get(second, ()), *one.unsound)))
    return Gathered(
        run=told,
        digests=source.digests(run),
        seconds=_seconds(told, rows, step),
        flows={name: source.total(run, "flow", name) for name in every},
        scenarios=scenarios,
        all=total,
        step=step,
        rows=rows,
        agents={name: _stepped(measured, step, count) for name, measured in meters.items()},
        sums={name: joined(measured.values()) for name, measured in meters.items()},
        unsound=dict(sorted(unsound.items())),
        events=source.events(run),
        samples=source.samples(run),
    )


def _seconds(told: Told, rows: Sequence[Row], step: int) -> float:
    kept = told.summary.get("seconds")
    if isinstance(kept, int | float):
        return float(kept)
    planned = [at for at, row in enumerate(rows) if row.planned]
    return float((max(planned, default=-1) + 1) * step)


def _stepped(meters: Mapping[int, Meters], step: int, count: int) -> list[Meters | None]:
    groups: list[list[Meters]] = [[] for _ in range(count)]
    for second, one in meters.items():
        if 0 <= second < count * step:
            groups[second // step].append(one)
    return [joined(group) if group else None for group in groups]


def joined(meters: Iterable[Meters]) -> Meters:
    """Several seconds of one agent: the highest of what was measured, the sum of what was
    counted."""
    found = Meters()
    for one in meters:
        for name in ("in_flight", "users", "cpu", "busy", "lag", "gc"):
            setattr(found, name, max(getattr(found, name), getattr(one, name)))
        found.begun += one.begun
        found.connections += one.connections
        found.reused_lost += one.reused_lost
        found.lateness.add(one.lateness)
        found.unsound = tuple(dict.fromkeys((*found.unsound, *one.unsound)))
    return found
