"""Calls, reports and results for the tests of statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rascal.load.recorder import Recorder
from rascal.load.results import Results
from rascal.load.types import Call, Meters, Report, Row


def call(
    recorder: Recorder,
    flow: str,
    intended: float,
    took: float = 0.01,
    outcome: str = "served",
    *,
    late: float = 0.0,
    begin: bool = True,
) -> Call:
    """A call that has ended: `took` counts from its actual start."""
    if begin:
        recorder.begin()
    found = Call(recorder.flow(flow), intended, intended + late)
    found.ended = found.started + took
    found.outcome = outcome
    found.replies = 1
    found.sent, found.received = 100, 300
    return found


def done(
    recorder: Recorder,
    flow: str,
    intended: float,
    took: float = 0.01,
    outcome: str = "served",
    *,
    late: float = 0.0,
) -> Call:
    """The same, recorded."""
    found = call(recorder, flow, intended, took, outcome, late=late)
    recorder.done(found)
    return found


def results_of(
    seconds: Mapping[int, Iterable[tuple[str, float, str]]],
    *,
    last: int | None = None,
    agent: str = "one",
) -> Results:
    """A run of one agent: by second, calls as (flow, seconds taken, outcome)."""
    recorder = Recorder("17", agent)
    results = Results("17")
    end = max(seconds) if last is None else last
    for second in range(end + 1):
        for flow, took, outcome in seconds.get(second, ()):
            done(recorder, flow, second + 0.5, took, outcome)
        results.add(recorder.report(second, Meters(), last=second == end))
    return results


def rows_of(*reports: Report) -> dict[tuple[str, str, int], Row]:
    """The rows of reports, merged by nothing but Row.add."""
    found: dict[tuple[str, str, int], Row] = {}
    for report in reports:
        for key, row in report.rows.items():
            found.setdefault(key, Row()).add(row)
    return found
