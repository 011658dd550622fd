"""An experiment as JSON, for programs: schema rascal-experiment/1.

Names stay, and mean what they mean; new ones may come. `schema()` is the JSON Schema; docs/ci.md
lists what is in it. The same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import attrs

from rascal.experiment.judge import FlowResult, Rule
from rascal.experiment.outputs.counted import Side, sides
from rascal.experiment.outputs.gathered import Fault, Gathered
from rascal.experiment.outputs.headline import certainty
from rascal.experiment.outputs.soundness import checks
from rascal.experiment.outputs.timeline import phases
from rascal.experiment.statistics import Finding
from rascal.load.masking import mask_data, mask_url

SCHEMA = "rascal-experiment/1"
DIGITS = 6


def schema() -> dict[str, Any]:
    """The JSON Schema of it."""
    text = (files("rascal.experiment.outputs") / "experiment-report.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def as_json(it: Gathered) -> str:
    """The document."""
    return json.dumps(data(it), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def data(it: Gathered) -> dict[str, Any]:
    """As plain data."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "name": it.name,
        "verdict": _verdict(it),
        "status": it.status,
        "ended_early": it.why or None if it.verdict is None else None,
        "run": _run(it),
        "phases": [{"name": name, "from": a, "to": b} for name, a, b in phases(it)],
        "faults": [_fault(one) for one in it.faults],
        "flows": [_flow(one) for one in it.verdict.flows] if it.verdict else [],
        "rules": [_rule(one) for one in it.verdict.rules] if it.verdict else [],
        "objectives": [one.json() for one in it.objectives],
        "invariants": [attrs.asdict(one) for one in it.kept.invariants],
        "checks": [attrs.asdict(one) for one in checks(it)],
        "timeline": _timeline(it),
        "setup": {
            "file": it.kept.text,
            "uses": it.kept.uses,
            "learned": it.kept.learned,
            "thresholds": attrs.asdict(it.thresholds),
            "looks": it.record.looks,
            "clocks": {
                node: {"ahead": ahead, "error": error}
                for node, (ahead, error) in sorted(it.kept.clocks.items())
            },
        },
    }
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _verdict(it: Gathered) -> dict[str, Any]:
    verdict = it.verdict
    return {
        "word": verdict.word if verdict else None,
        "kind": verdict.kind or None if verdict else None,
        "name": it.word if verdict else None,
        "sure": verdict.sure if verdict else None,
        "between": list(verdict.between) if verdict else [],
        "certainty": certainty(it),
        "sentence": it.told,
        "doubt": it.doubt,
        "reasons": list(verdict.reasons) if verdict else [],
        "expected": it.kept.expect or None,
        "met": it.met,
        "mapped": verdict.mapped if verdict else None,
        "amplification": verdict.amplification if verdict else None,
        "carries": verdict.carries if verdict else None,
        "windows": (
            {name: list(window) for name, window in verdict.windows.items()} if verdict else {}
        ),
    }


def _run(it: Gathered) -> dict[str, Any]:
    run = it.load.run
    return {
        "id": run.id,
        "target": mask_url(str(run.plan.get("target") or "")),
        "seed": run.seed,
        "started": run.started,
        "ended": run.ended,
        "seconds": it.end,
        "outcome": run.outcome,
        "host": run.host,
        "versions": dict(run.versions),
        "labels": list(run.labels),
        "files": dict(it.load.digests),
        "plan": mask_data(run.plan),
    }


def _fault(one: Fault) -> dict[str, Any]:
    record = attrs.asdict(one.record)
    return {
        "letter": one.letter,
        "text": one.text,
        "planned": {"from": one.planned[0], "to": one.planned[1]},
        **record,
        "strikes": [dict(strike) for strike in one.strikes],
    }


def _span(found: tuple[float, float, float]) -> dict[str, Any]:
    part, low, high = found
    return {"value": part, "low": low, "high": high}


def _flow(one: FlowResult) -> dict[str, Any]:
    return {
        **attrs.asdict(one),
        "kept": _span(one.kept),
        "residual": _span(one.residual),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.verdict,
        "answer": rule.answer,
        "lean": rule.lean,
        "findings": [_finding(one) for one in rule.findings],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return attrs.asdict(one)


def _timeline(it: Gathered) -> dict[str, Any]:
    """By second of intended start."""
    using, others = sides(it, step=1)
    return {
        "step": 1,
        "using": _side(using),
        "others": _side(others),
        "work": {
            name: {str(second): count for second, count in sorted(seconds.items())}
            for name, seconds in sorted(it.kept.work.items())
        },
        "unsound": sorted(it.record.unsound),
    }


def _side(side: Side) -> dict[str, Any]:
    steps = side.steps

    def percentile(share: float) -> list[float | None]:
        return [one.served.percentile(share) if one.served.count > 0 else None for one in steps]

    return {
        "flows": list(side.flows),
        "deadlines": {name: side.deadlines[name] for name in side.flows},
        "offered": [one.offered for one in steps],
        "classes": {name: [one.classes.get(name, 0) for one in steps] for name in side.there},
        "attempts": [one.attempts for one in steps],
        "p50": percentile(50),
        "p95": percentile(95),
        "p99": percentile(99),
    }


def _rounded(value: Any) -> Any:
    """Floats as short as they are true; an interval without an upper end is null."""
    if isinstance(value, float):
        return None if value != value or abs(value) == float("inf") else round(value, DIGITS)
    if isinstance(value, Mapping):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
