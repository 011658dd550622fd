"""What came out of an experiment, of a run that has just ended or of a stored one, and as JSON.

Both are judged from the same record by the same function: `run --json`, `show --json` and
`judge --json` give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from rascal.experiment.expectation import Expectation
    from rascal.experiment.judge import Verdict
    from rascal.experiment.objectives import ObjectiveResult
    from rascal.experiment.record import Thresholds
    from rascal.experiment.recording import Kept
    from rascal.experiment.running import Concluded
    from rascal.experiment.specification import Experiment


@attrs.frozen(kw_only=True)
class Outcome:
    """One experiment that has ended."""

    run: str
    name: str
    verdict: Verdict | None
    """None if it was ended before it could be judged."""
    sentence: str
    status: int
    expect: Expectation | None
    objectives: Sequence[ObjectiveResult]
    kept: Kept
    thresholds: Thresholds
    seed: int
    target: str
    why: str = ""
    stored: bool = True
    lenient: bool = False

    @property
    def word(self) -> str:
        """The verdict's word, or what kind of stuck it is; "" without one."""
        return self.verdict.name if self.verdict is not None else ""

    @property
    def met(self) -> str:
        """Whether the verdict is as expected: yes, no, unsure; "" if nothing is expected."""
        if self.verdict is None or self.expect is None:
            return ""
        return self.expect.met_by(self.verdict, lenient=self.lenient)

    def json(self) -> dict[str, Any]:
        """Plain data."""
        kept = self.kept.json()
        verdict = self.verdict
        found = {
            "run": self.run,
            "name": self.name,
            "target": self.target,
            "seed": self.seed,
            "status": self.status,
            "verdict": verdict_json(verdict) if verdict is not None else None,
            "sentence": self.sentence,
            "expect": str(self.expect or ""),
            "met": self.met,
            "why": self.why,
            "objectives": [one.json() for one in self.objectives],
            **{name: kept[name] for name in KEPT},
            "thresholds": attrs.asdict(self.thresholds),
        }
        plain: dict[str, Any] = json.loads(json.dumps(found, default=list))
        return plain


KEPT = ("phases", "faults", "invariants", "uses", "learned", "clocks", "troubles", "looks")
"""What the JSON has of an experiment besides its verdict."""


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data."""
    return {"name": verdict.name, "sure": verdict.sure, **attrs.asdict(verdict)}


def of_concluded(
    done: Concluded, experiment: Experiment, *, stored: bool, lenient: bool
) -> Outcome:
    """What has just ended."""
    return Outcome(
        run=done.run,
        name=experiment.name,
        verdict=done.verdict,
        sentence=done.sentence,
        status=done.status,
        expect=experiment.expect,
        objectives=done.objectives,
        kept=done.kept,
        thresholds=experiment.thresholds,
        seed=done.plan.seed,
        target=done.plan.target,
        why=done.why,
        stored=stored and bool(done.run),
        lenient=lenient,
    )


def of_stored(
    store: Any,
    which: str,
    *,
    changes: Mapping[str, str] | None = None,
    expect: Expectation | None = None,
    lenient: bool = False,
) -> Outcome:
    """A stored run, judged (again) from its record.

    Args:
        store: the run store, open.
        which: the run.
        changes: thresholds as texts, over those of the experiment's file.
        expect: instead of what the file expects.
        lenient: the named verdict alone decides the status.

    Raises:
        ConfigError, ConfigErrors, StoreError: it is no experiment, or a threshold is none.
    """
    from rascal.errors import ConfigError, RascalError
    from rascal.experiment.judge import judge
    from rascal.experiment.objectives import phase_objectives
    from rascal.experiment.reading import experiment_of, thresholds_of
    from rascal.experiment.record import Thresholds
    from rascal.experiment.recording import KEY, Kept, record_of
    from rascal.experiment.running import status_of
    from rascal.experiment.words import sentence

    run = store.run(which)
    data = store.data(run.id)
    if KEY not in data:
        state = "goes on" if run.state == "running" else "left no record to be judged"
        raise ConfigError(
            f"run {run.id} is no experiment: rascal runs show {run.id}"
            if run.kind != "experiment"
            else f"run {run.id} {state}: rascal runs show {run.id}"
        )
    kept = Kept.of(data[KEY])
    said = data.get("verdict") or {}
    try:
        written: Experiment | None = experiment_of(kept.text, "experiment.yml", kept.variables)
    except RascalError:  # its file could not be kept, or is of another version
        written = None
    thresholds = thresholds_of(changes or {}, written.thresholds if written else Thresholds())
    expect = expect or _expected(kept)
    found: dict[str, Any] = {
        "run": run.id,
        "name": kept.name,
        "expect": expect,
        "kept": kept,
        "thresholds": thresholds,
        "seed": run.seed or 0,
        "target": str(run.plan.get("target", "")),
        "why": str(run.summary.get("why") or ""),
        "lenient": lenient,
    }
    if not said.get("word"):
        return Outcome(
            verdict=None,
            sentence=str(said.get("sentence") or "It was ended before it could be judged."),
            status=int(said.get("status") or 0),
            objectives=(),
            **found,
        )
    results = store.measured(run.id)
    record = record_of(kept, results)
    verdict = judge(record, thresholds)
    objectives = phase_objectives(written.objectives if written else (), results, kept, verdict)
    return Outcome(
        verdict=verdict,
        sentence=sentence(verdict, record),
        status=status_of(verdict, expect, objectives, lenient=lenient),
        objectives=objectives,
        **found,
    )


def _expected(kept: Kept) -> Expectation | None:
    from rascal.experiment.expectation import read_expectation

    return read_expectation(kept.expect) if kept.expect else None
