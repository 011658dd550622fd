"""What an experiment looks like at one moment: phase, faults, flows, the word so far."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import attrs

from rascal.cli.load.look import History, Look
from rascal.experiment.sofar import Now, SoFar

if TYPE_CHECKING:
    from rascal.experiment.conductor import Conductor
    from rascal.experiment.recording import Kept
    from rascal.experiment.specification import Experiment
    from rascal.experiment.timeline import Timeline
    from rascal.load.running import Snapshot


@attrs.frozen(kw_only=True)
class FaultLook:
    """One fault, script, recipe or container fault."""

    name: str
    text: str
    begins: float
    ends: float
    on: float | None
    """When it took effect; None if it has not."""
    off: float | None
    matched: int
    fired: int


@attrs.frozen(kw_only=True)
class PhaseLook:
    """Where it stands."""

    name: str
    text: str
    begins: float | None
    """None if the phase has no planned end."""
    ends: float | None
    follows: str
    """The next phase; "" behind the last one."""
    total: float
    """Seconds of all phases."""


@attrs.frozen(kw_only=True)
class ExperimentLook:
    """All that is shown."""

    phase: PhaseLook
    faults: tuple[FaultLook, ...]
    now: Now
    load: Look
    expect: str

    @property
    def second(self) -> int:
        """Of the run."""
        return self.load.second


class Looking:
    """Takes looks at a running experiment."""

    def __init__(self, experiment: Experiment, timeline: Timeline) -> None:
        self.experiment = experiment
        self.timeline = timeline
        self.conductor: Conductor | None = None
        self.kept: Kept | None = None
        self.state, self.text = "preparing", ""
        self._since = 0
        self._history = History()
        self._so_far = SoFar(experiment.dependencies, experiment.thresholds)

    def entered(self, state: str, text: str, second: int) -> None:
        """Another phase."""
        self.state, self.text, self._since = state, text, second

    def steps(self, snapshot: Snapshot) -> Generator[None, None, ExperimentLook]:
        """A look, in steps of a millisecond."""
        load = yield from self._history.steps(snapshot)
        now = Now()
        if self.kept is not None and snapshot.closed >= 0:
            now = yield from self._so_far.steps(snapshot.results, snapshot.closed, self.kept)
        return ExperimentLook(
            phase=self._phase(),
            faults=tuple(self._faults()),
            now=now,
            load=load,
            expect=str(self.experiment.expect or ""),
        )

    def _phase(self) -> PhaseLook:
        phases: Mapping[str, tuple[float, float]] = (
            self.kept.phases if self.kept is not None else self.timeline.phases
        )
        begins, ends = phases.get(self.state, (None, None))
        names = [name for name, (begin, end) in self.timeline.phases.items() if end > begin]
        at = names.index(self.state) if self.state in names else len(names)
        return PhaseLook(
            name=self.state,
            text=self.text,
            begins=begins,
            ends=ends,
            follows=names[at + 1] if at + 1 < len(names) else "",
            total=max(phases["recovery"][1], self.timeline.ends),
        )

    def _faults(self) -> Generator[FaultLook, None, None]:
        for one in self.conductor.standings if self.conductor is not None else ():
            assert self.conductor is not None
            matched, fired = self.conductor.books(one)
            yield FaultLook(
                name=one.name,
                text=one.window.action.text,
                begins=one.window.begins,
                ends=one.window.ends,
                on=one.on,
                off=one.off,
                matched=matched,
                fired=fired,
            )
