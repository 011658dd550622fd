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

    def rates(self, flow: str | None, row: Row) -> tuple[float | None, float | None]:
        """Calls offered and served per second of the load; those of the summary, which leave out
        what began after its end, if there is one."""
        of = (
            self.summary.get("total")
            if flow is None
            else (self.summary.get("flows") or {}).get(flow)
        )
        if of and "offered" in of and "goodput" in of:
            return of["offered"], of["goodput"]
        if not self.seconds:
            return None, None
        return row.planned / self.seconds, row.outcomes.get(SERVED, 0) / self.seconds

    @property
    def served(self) -> int:
        """Calls that were served."""
        return self.all.outcomes.get(SERVED, 0)


def gather(source: Source, run: str) -> Gathered:
    """Read it, one flow after the other: a long run does not fit well into memory."""
    told = source.run(run)
    meters = source.meters(run)
    # Nothing is reported of a second that lies beyond the agents' clocks.
    last = max((second for seconds in meters.values() for second in seconds), default=0)
    step = width_of_steps(last + 1, STEPS)
    rows = [Row() for _ in range(last // step + 1)]
    flows = {}
    for name in source.flows(run):
        total = flows[name] = Row()
        for second, row in source.series(run, "flow", name).items():
            rows[min(max(second // step, 0), len(rows) - 1)].add(row)
            total.add(row)
    every = Row()
    for row in flows.values():
        every.add(row)
    scenarios = source.flows(run, "scenario")
    return Gathered(
        run=told,
        digests=source.digests(run),
        seconds=_seconds(told, rows, step),
        flows=flows,
        scenarios={name: source.total(run, "scenario", name) for name in scenarios},
        all=every,
        step=step,
        rows=rows,
        agents={name: _stepped(measured, step, len(rows)) for name, measured in meters.items()},
        sums={name: joined(measured.values()) for name, measured in meters.items()},
        unsound=_unsound(meters),
        events=source.events(run),
        samples=source.samples(run),
    )


def _unsound(meters: Mapping[str, Mapping[int, Meters]]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for measured in meters.values():
        for second, one in measured.items():
            if one.unsound:
                found[second] = tuple(dict.fromkeys((*found.get(second, ()), *one.unsound)))
    return dict(sorted(found.items()))


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
