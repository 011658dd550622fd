"""A run as agents reported it, made by hand: for the view and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rascal.load.links import AgentInfo
from rascal.load.results import Results
from rascal.load.running import Snapshot
from rascal.load.types import EXPLICIT, SERVED, Event, Meters, Report, Row, Sample


def row(
    outcomes: Mapping[str, int],
    took: float = 0.01,
    *,
    dropped: int = 0,
    late: float = 0.0,
    **more: Any,
) -> Row:
    """Calls of one second that took so long, and started so late."""
    found = Row()
    found.started = sum(outcomes.values())
    found.planned = found.started + dropped
    found.dropped = dropped
    found.attempts = found.started
    found.outcomes = dict(outcomes)
    for outcome, count in outcomes.items():
        if outcome == SERVED:
            found.served.record(int((took + late) * 1e6), count)
            found.served_actual.record(int(took * 1e6), count)
        elif outcome in EXPLICIT:
            found.explicit.record(int((took + late) * 1e6), count)
            found.explicit_actual.record(int(took * 1e6), count)
    for name, value in more.items():
        setattr(found, name, value)
    return found


def report(
    second: int,
    flows: Mapping[str, Row],
    *,
    agent: str = "local",
    scenario: Row | None = None,
    meters: Meters | None = None,
    samples: list[Sample] | None = None,
    events: list[Event] | None = None,
    last: bool = False,
) -> Report:
    """One second of an agent."""
    rows: dict[Any, Row] = {("flow", name, second): one for name, one in flows.items()}
    if scenario is not None:
        rows["scenario", "visit", second] = scenario
    return Report(
        run="17",
        agent=agent,
        sequence=second,
        second=second,
        rows=rows,
        meters=meters or Meters(cpu=0.25, busy=0.3, lag=0.002, in_flight=3, users=5),
        samples=samples or [],
        events=events or [],
        last=last,
    )


def steady(seconds: int, rate: int = 20, **more: Any) -> Results:
    """Two flows, so many seconds, one in ten checkouts a 503."""
    results = Results()
    for second in range(seconds):
        flows = {
            "checkout": row({SERVED: rate - rate // 10, "http_5xx": rate // 10}, 0.04),
            "page": row({SERVED: rate}, 0.01),
        }
        results.add(report(second, flows, scenario=row({SERVED: rate}, 0.05), **more))
    return results


def snapshot(results: Results, **more: Any) -> Snapshot:
    """A look at it, some seconds before its end."""
    given: dict[str, Any] = {
        "run": "17",
        "second": results.closed + 1,
        "closed": results.closed,
        "results": results,
        "agents": {"local": AgentInfo(name="local", host="here")},
        "planned": 20.0,
        "ends": 60.0,
    }
    return Snapshot(**{**given, **more})
