"""Objectives of an experiment: measured in a phase, or taken from the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from rascal.experiment.judge import FlowResult, Verdict
from rascal.experiment.recording import Kept
from rascal.language import Objective, show
from rascal.load.gauges import holds
from rascal.load.measures import objective_states
from rascal.load.measuring import Measured

JUDGED = ("goodput_kept", "time_to_recover")
"""Measures that only the judge knows."""


@attrs.frozen(kw_only=True)
class ObjectiveResult:
    """How one objective came out in its phase."""

    text: str
    phase: str
    flow: str
    kept: bool
    value: float | None
    limit: float
    type: str
    why: str = ""

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return attrs.asdict(self)


def phase_objectives(
    objectives: Sequence[Objective], results: Measured, kept: Kept, verdict: Verdict
) -> tuple[ObjectiveResult, ...]:
    """Every objective, in the order of the file."""
    found: list[ObjectiveResult] = []
    for one in objectives:
        phase = str(dict(one.tail).get("in", "fault"))
        if one.measure in JUDGED:
            found += _judged(one, phase, verdict)
            continue
        first, last = _seconds(phase, kept)
        tail = tuple((key, value) for key, value in one.tail if key != "in")
        plain = Objective(one.measure, one.flows, one.op, one.limit, tail)
        for state in objective_states([plain], results, first, last):
            found.append(
                ObjectiveResult(
                    text=f"{state.text} in {phase}",
                    phase=phase,
                    flow=state.flow,
                    kept=state.kept,
                    value=state.value,
                    limit=state.limit,
                    type=state.type,
                    why=state.why,
                )
            )
    return tuple(found)


def _seconds(phase: str, kept: Kept) -> tuple[int, int]:
    """First and last second of a phase; `all` is everything but the warm-up."""
    if phase == "all":
        return math.ceil(kept.phases["baseline"][0]), math.floor(kept.phases["recovery"][1]) - 1
    begin, end = kept.phases[phase]
    return math.ceil(begin), math.floor(end) - 1


def _judged(one: Objective, phase: str, verdict: Verdict) -> Iterator[ObjectiveResult]:
    limit = float(one.limit.value)
    flows = {flow.name: flow for flow in verdict.flows}
    type_ = "percentage" if one.measure == "goodput_kept" else "duration"
    for name in one.flows or ("",):
        text = show(Objective(one.measure, (name,) if name else (), one.op, one.limit, one.tail))
        known = [flows[name]] if name in flows else list(flows.values()) if not name else []
        value = _value(one.measure, known)
        why = "" if value is not None else f"no flow '{name}' was judged alone"
        kept = value is not None and holds(value, one.op, limit)
        yield ObjectiveResult(
            text=text,
            phase=phase,
            flow=name,
            kept=kept,
            value=value,
            limit=limit,
            type=type_,
            why=why,
        )


def _value(measure: str, flows: Sequence[FlowResult]) -> float | None:
    """The worst of them."""
    if not flows:
        return None
    if measure == "goodput_kept":
        return min(flow.kept[0] for flow in flows)
    return float(max(flow.time_to_recover for flow in flows))
