"""All that a report shows of an experiment, read once from the run store and judged again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import attrs

from rascal.errors import ConfigErrors, RascalError
from rascal.experiment.errors import ExperimentError
from rascal.experiment.expectation import Expectation, Met, read_expectation
from rascal.experiment.judge import Verdict, judge
from rascal.experiment.objectives import ObjectiveResult, phase_objectives
from rascal.experiment.record import FaultRecord, Record, Thresholds
from rascal.experiment.recording import KEY, Kept, record_of
from rascal.experiment.specification import Experiment
from rascal.experiment.words import doubt, sentence
from rascal.load.outputs.gathered import Gathered as Load
from rascal.load.outputs.gathered import gather as gather_load
from rascal.load.outputs.source import Source
from rascal.load.results import Results

FILE = "experiment.yml"
"""What the experiment's file is called among those of a run."""


class Kin(Source, Protocol):
    """Reads experiments: the run store's Reader."""

    def data(self, run: str) -> Mapping[str, Any]:
        """What an experiment kept with its run."""

    def results(self, run: str) -> Results:
        """Its reports, merged."""


@attrs.frozen(kw_only=True)
class Fault:
    """A fault as it was planned and as it went."""

    letter: str
    record: FaultRecord
    text: str
    """The sentence in the file; empty if the file cannot be read."""
    planned: tuple[float, float]
    strikes: Sequence[Mapping[str, Any]]
    """The first exchanges that it struck."""


@attrs.frozen(kw_only=True)
class Gathered:
    """An experiment, ready to be shown."""

    load: Load
    """Its load run: agents, events, samples."""
    results: Results
    kept: Kept
    experiment: Experiment | None
    """None if its file cannot be read by this version."""
    record: Record
    verdict: Verdict | None
    """None if it was ended before it could be judged."""
    why: str
    """It was ended early: why."""
    told: str
    """The verdict in a sentence."""
    doubt: str
    """What else is possible, and what would settle it; empty if it is sure."""
    status: int | None
    objectives: Sequence[ObjectiveResult]
    faults: Sequence[Fault]
    thresholds: Thresholds
    expect: Expectation | None
    met: Met | None
    """None: nothing was expected, or nothing was judged."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.kept.name

    @property
    def word(self) -> str:
        """The verdict: one of the seven words or a kind of stuck; `ended early` without one."""
        return self.verdict.name if self.verdict is not None else "ended early"

    @property
    def end(self) -> float:
        """Where the last phase ends."""
        return max((last for _, last in self.kept.phases.values()), default=0.0)


def gather(source: Kin, run: str, thresholds: Thresholds | None = None) -> Gathered:
    """Read an experiment.

    Args:
        source: the run store.
        run: the run's number, name, or "last".
        thresholds: judge with these instead of its own.

    Raises:
        StoreError: there is no such run.
        ExperimentError: it is no experiment, or is not over.
    """
    told = source.run(run)
    data = source.data(told.id)
    if KEY not in data:
        raise ExperimentError(_nothing(told))
    kept = Kept.of(data[KEY])
    results = source.results(told.id)
    experiment = _experiment(kept)
    used = thresholds or (experiment.thresholds if experiment else Thresholds())
    record = record_of(kept, results)
    stored = data.get("verdict") or {}
    ended_early = bool(stored) and not stored.get("word")
    verdict = None if ended_early else _judged(record, used)
    text = str(stored.get("sentence") or "")
    unsure = ""
    if verdict is not None:
        unsure = doubt(verdict)
        text = sentence(verdict, record).removesuffix(unsure).strip()
    expect = read_expectation(kept.expect) if kept.expect else None
    asked = experiment.objectives if experiment and verdict else ()
    objectives = phase_objectives(asked, results, kept, verdict) if verdict else ()
    return Gathered(
        load=gather_load(_Merged(source, results), told.id),
        results=results,
        kept=kept,
        experiment=experiment,
        record=record,
        verdict=verdict,
        why=str(told.summary.get("why") or "") if verdict is None else "",
        told=text,
        doubt=unsure,
        status=_status(stored.get("status", told.status), verdict, expect, objectives),
        objectives=objectives,
        faults=list(_faults(kept, experiment)),
        thresholds=used,
        expect=expect,
        met=expect.met_by(verdict) if expect and verdict else None,
    )


def _status(
    stored: int | None,
    verdict: Verdict | None,
    expect: Expectation | None,
    objectives: Sequence[ObjectiveResult],
) -> int | None:
    """The one that was kept, unless it belongs to another verdict (other thresholds)."""
    from rascal.experiment.running import status_of

    if verdict is None:
        return stored
    found = [status_of(verdict, expect, objectives, lenient=one) for one in (False, True)]
    return stored if stored in found else found[0]


def _nothing(told: Any) -> str:
    if told.kind != "experiment" and told.about.get("kind") != "experiment":
        return f"run {told.id} ({told.name}) is no experiment, but a load run: rascal runs show"
    if told.state == "running":
        return f"run {told.id} ({told.name}) goes on: it is judged at its end"
    return f"run {told.id} ({told.name}) ended without a word of what became of its faults"


def _experiment(kept: Kept) -> Experiment | None:
    from rascal.experiment.reading import experiment_of

    try:
        return experiment_of(kept.text, FILE, kept.variables) if kept.text else None
    except ConfigErrors:  # of another version, or with kinds that are not installed here
        return None


def _judged(record: Record, thresholds: Thresholds) -> Verdict | None:
    with suppress(ValueError):
        return judge(record, thresholds)
    return None


class _Merged:
    """A source whose rows are merged already."""

    def __init__(self, source: Kin, results: Results) -> None:
        self.source, self.merged = source, results

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def flows(self, run: str, kind: str = "flow") -> Sequence[str]:
        return self.merged.scenarios if kind == "scenario" else self.merged.flows

    def series(self, run: str, kind: Any, flow: str) -> Mapping[int, Any]:
        return self.merged.rows(kind, flow)

    def total(self, run: str, kind: Any, flow: str) -> Any:
        return self.merged.total(kind, (flow,))

    def meters(self, run: str) -> Mapping[str, Mapping[int, Any]]:
        return dict(sorted(self.merged.meters.items()))


def _faults(kept: Kept, experiment: Experiment | None) -> Iterator[Fault]:
    planned: dict[str, tuple[str, tuple[float, float]]] = {}
    if experiment is not None:
        from rascal.experiment.timeline import timeline_of

        with suppress(RascalError):
            for one in timeline_of(experiment).windows:
                action = one.action
                where = action.service or action.on
                head, match, tail = action.text.partition(" match ")
                text = f"{head} on {action.on}{match}{tail}"
                if action.match:
                    text += f" match {action.match}"
                planned[f"{where}/{action.name}"] = text, (one.begins, one.ends)
    records = sorted(kept.faults, key=lambda one: one.on)
    for at, record in enumerate(records):
        text, window = planned.get(record.name, ("", (record.on - record.late, record.off)))
        yield Fault(
            letter=_letter(at),
            record=record,
            text=text,
            planned=window,
            strikes=kept.strikes.get(record.name, ()),
        )


def _letter(at: int) -> str:
    """A … Z, A2 … Z2."""
    return chr(65 + at % 26) + (str(at // 26 + 1) if at >= 26 else "")
