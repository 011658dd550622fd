"""A planned fault gets other times while its experiment goes on, on a clock in hand."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from rascal.experiment.conductor import Conductor
from rascal.experiment.errors import ExperimentError
from rascal.experiment.reading import experiment_of
from rascal.experiment.replanning import asked
from rascal.experiment.timeline import timeline_of

TEXT = """\
target: http://127.0.0.1:9
load: {scenarios: shop.py, profile: hold 80/s}
nodes: {main: 'http://127.0.0.1:9'}
phases: {warm-up: 0s, baseline: 30s, fault: 30s, recovery: 30s}
faults:
  - hang on db from fault+10s for 5s
  - delay 1s on cache
"""


class Client:
    """A node that does as it is told, and remembers when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.changes: list[tuple[float, str, dict[str, Any]]] = []
        self.removed: list[str] = []

    async def change(self, proxy: str, name: str, changes: Any, *, collection: str) -> None:
        self.changes.append((self.clock.seconds(), f"{proxy}/{name}", dict(changes)))

    async def remove(self, proxy: str, name: str, *, collection: str) -> dict[str, int]:
        self.removed.append(f"{proxy}/{name}")
        return {"fired": 0, "matched": 0}


class Run:
    """A conductor whose load began at second 0 of its clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.client = Client(self.clock)
        self.told: list[tuple[str, str, Any]] = []
        experiment = experiment_of(TEXT, "shop.yml")
        self.conductor = Conductor(
            self.clock,
            experiment,
            timeline_of(experiment),
            run="7",
            tell=lambda kind, text, data: self.told.append((kind, text, data)),
            trouble=lambda why: self.told.append(("trouble", why, {})),
            clients={"main": self.client},  # type: ignore[dict-item]
        )
        for one in self.conductor.standings:
            one.node, one.installed = "main", True
        self.conductor.begin(0.0)

    def until(self, second: float) -> None:
        """Let time pass."""
        while self.clock.seconds() < second:
            self.clock.advance(0.5)

    def ask(self, planned: Any, fault: str = "db/hang") -> None:
        asked(self.conductor, {"kind": "fault", "fault": fault, "planned": planned, "by": "ann"})

    def changed(self, fault: str = "db/hang") -> list[tuple[float, dict[str, Any]]]:
        """When it was told what."""
        return [(at, changes) for at, name, changes in self.client.changes if name == fault]


@pytest.fixture
def run() -> Run:
    return Run()


def test_it_begins_at_its_new_time_and_not_at_its_old(run: Run) -> None:
    run.until(5)
    run.ask([50, 57])
    run.until(70)
    first, *rest = run.changed()
    assert first == (48.0, {"enable_in": "2s", "for": "7s"})
    assert all(at >= 57 for at, _ in rest)
    assert run.conductor.timeline.windows[0].begins == 50


def test_it_is_told_with_who_asked(run: Run) -> None:
    run.ask([50, 57])
    data = {"fault": "db/hang", "planned": [50.0, 57.0], "by": "ann"}
    assert run.told == [("fault_planned", "db/hang is planned for 0:50 to 0:57, by ann", data)]


def test_what_is_taken_out_never_happens(run: Run) -> None:
    run.until(5)
    run.ask(None)
    run.until(70)
    assert run.changed() == []
    assert run.client.removed == ["db/hang"]
    assert [one.name for one in run.conductor.standings] == ["cache/delay"]
    assert run.told[0][0] == "fault_planned"
    assert run.told[0][2]["planned"] == []


@pytest.mark.parametrize(
    ("planned", "word"),
    [
        ([20, 40], "outside of it would spoil"),
        ([50, 61], "outside of it would spoil"),
        ([50, 50.5], "less than 1 s"),
    ],
)
def test_what_would_spoil_the_comparison_is_refused(run: Run, planned: Any, word: str) -> None:
    with pytest.raises(ExperimentError, match=word):
        run.ask(planned)
    run.until(70)
    assert run.changed()[0][0] == 38.0, "it begins when it was planned"


def test_what_has_been_told_of_its_moment_stays(run: Run) -> None:
    run.until(38.5)
    with pytest.raises(ExperimentError, match="begins in a moment"):
        run.ask([50, 57])


def test_the_last_fault_stays(run: Run) -> None:
    run.ask(None)
    with pytest.raises(ExperimentError, match="end the run instead"):
        run.ask(None, "cache/delay")


def test_what_is_not_planned_cannot_be_moved(run: Run) -> None:
    with pytest.raises(ExperimentError, match="no planned fault db/nothing"):
        run.ask([50, 57], "db/nothing")
