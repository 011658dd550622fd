"""What is asked of the planned faults of a run, and the lanes that its page shows."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import pytest_twisted
from twisted.internet.defer import succeed

from rascal.control._problems import Problem
from rascal.load.types import Event
from rascal.panel.faults import lanes_of
from rascal.panel.lanes import Lanes
from rascal.panel.moving import plan

PHASES = [
    {"kind": "baseline", "name": "Baseline", "from": 0.0, "to": 30.0, "entered": 0.0},
    {"kind": "fault", "name": "Fault", "from": 30.0, "to": 60.0, "entered": None},
]


def lane(letter: str, begins: float, ends: float, **more: Any) -> dict[str, Any]:
    window = [[begins, ends]]
    return {"id": letter, "node": "", "proxy": "db", "name": f"f{letter}", "text": "hang",
            "on": False, "spans": [], "planned": window, "plan": window, **more}  # fmt: skip


class Active:
    """A run that goes on."""

    id = "7"
    over = False

    def __init__(self, own: list[dict[str, Any]], t: float = 10.0, kind: str = "experiment"):
        self.own = own
        self.phases = PHASES
        self.state: dict[str, Any] = {"t": t, "started": 1000.0}
        self.run = {"id": "7", "kind": kind, "state": "running"}


class Runs:
    """Stands in for the panel's runs."""

    def __init__(self, active: Active) -> None:
        self.active = active
        self.asked: list[Any] = []

    async def open(self, which: str) -> Active:
        return self.active

    def ask(self, function: Any, *args: Any) -> Any:
        return succeed(function(Store(self.asked), *args))

    async def taken(self, run: str) -> bool:
        return True


class Store:
    """Remembers what runs are asked."""

    def __init__(self, asked: list[Any]) -> None:
        self.asked = asked

    def ask(self, run: str, kind: str, **content: Any) -> str:
        self.asked.append((run, kind, content))
        return run


@pytest.fixture
def runs() -> Runs:
    """A run with two planned faults, at its tenth second."""
    return Runs(Active([lane("A", 30.0, 50.0), lane("B", 40.0, 45.0)]))


@pytest_twisted.ensureDeferred
async def test_a_planned_fault_is_moved(runs: Runs) -> None:
    found = await plan(runs, "7", "B", (50.0, 55.0), "ann")
    assert found == {"run": "7", "fault": "db/fB", "planned": [50.0, 55.0], "taken": True}
    content = {"fault": "db/fB", "planned": [50.0, 55.0], "by": "ann"}
    assert runs.asked == [("7", "fault", content)]


@pytest_twisted.ensureDeferred
async def test_a_planned_fault_is_taken_out(runs: Runs) -> None:
    found = await plan(runs, "7", "B", None)
    assert found["planned"] is None
    assert runs.asked[0][2]["planned"] is None


@pytest.mark.parametrize(
    ("letter", "wanted", "status", "word"),
    [
        ("C", (40.0, 45.0), 404, "no fault C: A, B"),
        ("B", (20.0, 45.0), 422, "outside of it would spoil"),
        ("B", (40.0, 61.0), 422, "outside of it would spoil"),
        ("B", (40.0, 40.5), 422, "less than 1 s"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be(
    runs: Runs, letter: str, wanted: tuple[float, float], status: int, word: str
) -> None:
    with pytest.raises(Problem, match=word) as caught:
        await plan(runs, "7", letter, wanted)
    assert caught.value.status == status
    assert not runs.asked


@pytest_twisted.ensureDeferred
async def test_what_has_begun_stays_where_it_is(runs: Runs) -> None:
    runs.active.state["t"] = 38.0
    with pytest.raises(Problem, match="begins in a moment"):
        await plan(runs, "7", "B", (50.0, 55.0))


@pytest_twisted.ensureDeferred
async def test_the_only_fault_cannot_be_taken_out(runs: Runs) -> None:
    runs.active.own.pop()
    with pytest.raises(Problem, match="end the run instead"):
        await plan(runs, "7", "A", None)


@pytest_twisted.ensureDeferred
async def test_only_experiments_that_go_on_have_a_plan(runs: Runs) -> None:
    runs.active.run["kind"] = "load"
    with pytest.raises(Problem, match="nothing can be moved"):
        await plan(runs, "7", "A", (40.0, 45.0))
    runs.active.over = True
    with pytest.raises(Problem, match="has ended"):
        await plan(runs, "7", "A", (40.0, 45.0))


# ---- lanes


def test_a_change_of_the_plan_moves_the_lane() -> None:
    lanes = Lanes()
    one = lanes.lane("db/slow", text="delay(1s)")
    one.planned = [[30.0, 60.0]]
    data = {"fault": "db/slow", "planned": [40.0, 50.0], "by": "ann"}
    assert lanes.take(Event(second=5.0, kind="fault_planned", text="…", data=data))
    assert lanes.json(6.0)[0]["planned"] == [[40.0, 50.0]]
    lanes.take(Event(second=7.0, kind="fault_planned", text="…", data={**data, "planned": []}))
    found = lanes.json(8.0)[0]
    assert found["planned"] == []
    assert found["plan"] == [[40.0, 50.0]], "that it was planned is still known"


class Node:
    name = "main"
    state = "away"
    why = "connection refused"
    since = 1012.0
    faults: ClassVar[dict[str, Any]] = {"db": {}}


class Nodes:
    nodes = {"main": Node()}


def test_a_lane_says_that_its_node_is_away() -> None:
    active = Active([lane("A", 30.0, 50.0, by="plan")])
    found = lanes_of(active, Nodes())[0]
    assert found["away"] == {"node": "main", "why": "connection refused", "since": 12.0}
    active.over = True
    assert lanes_of(active, Nodes())[0]["away"] is None
