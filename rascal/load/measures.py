"""Objectives of a load run: what was measured against its limit. And stop rules, for a live run.

`p95(checkout) < 300ms` looks at the whole run; `… over 10s` at every window of ten whole seconds,
one a second on; `… for 10s` wants ten seconds on end in each of which it holds. A latency objective
is not kept where calls were offered and none was served: silence is not speed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import attrs

from rascal.errors import did_you_mean, listed
from rascal.language import Objective, show
from rascal.language.profile import measure_type
from rascal.load.gauges import METERED, Gauge, Group, groups, holds, seconds_of
from rascal.load.measuring import (
    Measured,
    MeasureError,
    check_measure,
    dishonest,
    good,
    histogram_data,
    honest,
    meters_data,
    row_data,
    value,
)
from rascal.load.stops import StopRules

ALL = "all"
"""The only phase of a load run."""
MAX_WINDOWS = 20
"""Stretches that a state shows."""


@attrs.frozen
class Window:
    """A stretch of seconds, both included, and its worst value (None: nobody was served)."""

    first: int
    last: int
    value: float | None


@attrs.frozen(kw_only=True)
class ObjectiveState:
    """How one objective came out, for one flow if it names several."""

    objective: Objective
    text: str
    """As it would be written for this flow alone."""
    flow: str
    """"" for all flows together."""
    kept: bool
    value: float | None
    """The worst window's, or the whole run's; None if nothing was measured, or nobody served."""
    limit: float
    type: str
    """Of value and limit: duration (seconds), rate (a second), percentage (share of 1), number."""
    why: str = ""
    """Why it was not kept, if numbers alone do not say it."""
    windows: tuple[Window, ...] = ()
    """Where it was not kept."""
    of: int = 1
    """How many windows there were; `failed` of them did not keep it."""
    failed: int = 0

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "text": self.text,
            "measure": self.objective.measure,
            "flow": self.flow,
            "kept": self.kept,
            "value": self.value,
            "op": self.objective.op,
            "limit": self.limit,
            "type": self.type,
            "why": self.why,
            "windows": [attrs.asdict(window) for window in self.windows],
            "of": self.of,
            "failed": self.failed,
        }


def objective_problem(objective: Objective) -> str:
    """What a load run cannot do with an objective or stop rule; "" if it can be asked."""
    try:
        check_measure(objective.measure)
    except MeasureError as error:
        return str(error)
    tail = dict(objective.tail)
    phase = tail.get("in")
    if phase not in (None, ALL):
        return f"in {phase}: a load run has no phases but '{ALL}'; phases belong to experiments"
    for word in ("over", "for"):
        span = tail.get(word)
        if span is not None and (span.value < 1 or Fraction(span.value).denominator != 1):
            return f"'{word} {show(span)}': results are kept by the second; write whole seconds"
    if objective.measure in METERED and objective.flows:
        return f"{objective.measure} is of the whole client, not of a flow: leave the names out"
    return ""


def objective_states(
    objectives: Iterable[Objective], results: Measured, first: int = 0, last: int | None = None
) -> list[ObjectiveState]:
    """How objectives came out.

    Args:
        objectives: those of the plan.
        results: a run that has drained (while it goes on, the last seconds look too good).
        first: the first second that counts.
        last: the last, included; None is the last that was offered anything.
    """
    end = _last(results) if last is None else last
    return [
        _state(objective, group, results, first, end)
        for objective in objectives
        for group in groups(objective, results)
    ]


def _last(results: Measured) -> int:
    series = [results.series("flow", name) for name in results.flows]
    return max((second for one in series for second in one), default=0)


def _state(
    objective: Objective, group: Group, results: Measured, first: int, last: int
) -> ObjectiveState:
    about: dict[str, Any] = {
        "objective": objective,
        "text": _text(objective, group),
        "flow": group.label,
        "limit": float(objective.limit.value),
        "type": measure_type(objective.measure),
    }
    problem = objective_problem(objective)
    if not problem and group.label and not group.names:
        there = (*results.flows, *results.scenarios)
        problem = f"there were no calls of '{group.label}'; flows: {listed(there)}."
        problem += did_you_mean(group.label, there)
    if problem:
        return ObjectiveState(kept=False, value=None, why=problem, **about)
    gauge = Gauge(objective, group, results)
    tail = dict(objective.tail)
    if "over" not in tail and "for" not in tail:
        return _whole(gauge, objective, first, last, about)
    cells = [gauge.cell(second) for second in range(first, last + 1)]
    size = min(seconds_of(tail.get("over")), len(cells)) or 1
    values = list(gauge.windows(cells, size))
    if "for" in tail:
        return _on_end(gauge, values, seconds_of(tail["for"]), about)
    return _every(gauge, values, size, first, about)


def _whole(
    gauge: Gauge, objective: Objective, first: int, last: int, about: dict[str, Any]
) -> ObjectiveState:
    found = gauge.value(gauge.whole(first, last), max(last - first + 1, 1))
    kept = holds(found, objective.op, about["limit"]) and not _unserved(found)
    return ObjectiveState(
        kept=kept, value=_plain(found), why=_why(found), failed=int(not kept), **about
    )


def _every(
    gauge: Gauge, values: Sequence[float], size: int, first: int, about: dict[str, Any]
) -> ObjectiveState:
    """Every window has to hold; what overlaps is shown as one stretch."""
    objective: Objective = about["objective"]
    stretches: list[tuple[int, int, list[float]]] = []
    failed = 0
    for start, found in enumerate(values, first):
        if math.isnan(found):
            continue
        if holds(found, objective.op, about["limit"]) and not _unserved(found):
            continue
        failed += 1
        if stretches and start <= stretches[-1][1] + 1:
            before, _, all_of_it = stretches.pop()
            stretches.append((before, start + size - 1, [*all_of_it, found]))
        else:
            stretches.append((start, start + size - 1, [found]))
    measured = [found for found in values if not math.isnan(found)]
    worst = _worst(gauge, measured)
    return ObjectiveState(
        kept=bool(measured) and not failed,
        value=_plain(worst),
        why=_why(worst),
        windows=tuple(
            Window(begin, end, _plain(_worst(gauge, there)))
            for begin, end, there in stretches[:MAX_WINDOWS]
        ),
        of=len(measured),
        failed=failed,
        **about,
    )


def _on_end(
    gauge: Gauge, values: Sequence[float], wanted: int, about: dict[str, Any]
) -> ObjectiveState:
    """It has to hold in so many seconds on end, once."""
    objective: Objective = about["objective"]
    longest: Sequence[float] = ()
    begin = 0
    for at in range(len(values) + 1):
        if at < len(values):
            found = values[at]
            if holds(found, objective.op, about["limit"]) and not _unserved(found):
                continue
        if at - begin > len(longest):
            longest = values[begin:at]
        begin = at + 1
    kept = len(longest) >= wanted
    worst = _worst(gauge, longest or [one for one in values if not math.isnan(one)])
    why = "" if kept else f"it held in {len(longest)} seconds on end, wanted {wanted}"
    return ObjectiveState(
        kept=kept, value=_plain(worst), why=why, of=len(values), failed=int(not kept), **about
    )


def _worst(gauge: Gauge, values: Sequence[float]) -> float:
    if any(_unserved(one) for one in values):
        return math.inf
    return gauge.outermost(values)


def _unserved(found: float) -> bool:
    return math.isinf(found)


def _plain(found: float) -> float | None:
    return found if math.isfinite(found) else None


def _why(found: float) -> str:
    if math.isnan(found):
        return "nothing was measured"
    return "calls were offered and none was served" if _unserved(found) else ""


def _text(objective: Objective, group: Group) -> str:
    alone = (group.label,) if group.label else objective.flows
    return show(dataclasses.replace(objective, flows=alone))


__all__ = [
    "MeasureError",
    "ObjectiveState",
    "StopRules",
    "Window",
    "check_measure",
    "dishonest",
    "good",
    "histogram_data",
    "honest",
    "meters_data",
    "objective_problem",
    "objective_states",
    "row_data",
    "value",
]
