"""What is kept of an experiment comes back as it was, and says who uses what."""

from __future__ import annotations

import json

from rascal.experiment.record import FaultRecord, InvariantRecord
from rascal.experiment.recording import Kept, record_of
from rascal.load.results import Results
from rascal.load.types import Meters, Report, Row


def results() -> Results:
    """Two flows in one second."""
    found = Results("1", ["a"])
    rows = {("flow", name, 3): Row() for name in ("orders", "browse")}
    for row in rows.values():
        row.planned = row.started = row.attempts = 1
    found.add(
        Report(run="1", agent="a", sequence=0, second=3, rows=rows, meters=Meters(unsound=("lag",)))
    )
    return found


def kept(dependency: str = "db", **more: object) -> Kept:
    phases = {
        "warm-up": (0.0, 1.0),
        "baseline": (1.0, 21.0),
        "fault": (21.0, 31.0),
        "recovery": (31.0, 61.0),
    }
    fault = FaultRecord(name="x", dependency=dependency, on=21.0, off=31.0, fired=1)
    return Kept(name="it", text="", phases=phases, faults=[fault], uses={"db": ["orders"]}, **more)  # type: ignore[arg-type]


def test_it_comes_back_as_it_was() -> None:
    one = kept(
        invariants=[InvariantRecord(name="i", before=True, after=False, found="2")],
        work={"db": {4: 100}},
        strikes={"db/x": [{"second": 22.5, "command": "GET"}]},
        clocks={"main": (0.001, 0.0001)},
    )
    assert Kept.of(json.loads(json.dumps(one.json()))) == one


def test_flows_use_what_the_map_says() -> None:
    record = record_of(kept(), results())
    assert {flow.name: flow.uses for flow in record.flows} == {
        "orders": frozenset({"db"}),
        "browse": frozenset(),
    }
    assert record.unsound == frozenset({3})


def test_of_a_container_nobody_learned_who_uses_it() -> None:
    learned = record_of(kept("mysql", learned=True), results())
    assert [flow.uses for flow in learned.flows] == [None, None]
    declared = record_of(kept("mysql"), results())
    assert None not in [flow.uses for flow in declared.flows]
