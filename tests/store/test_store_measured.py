"""A stored run read flow by flow says the same as all of it rebuilt."""

import random
from pathlib import Path

import pytest

from rascal.language import parse
from rascal.load.measures import objective_states
from rascal.load.recorder import Recorder
from rascal.load.types import Call, Meters
from rascal.store import Store

FLOWS = ("browse", "order")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of two flows, from two agents, some of it failing, some of it late."""
    path = tmp_path_factory.mktemp("measured") / "runs.db"
    chance = random.Random(4)
    with Store(path) as store:
        run = store.create({"timeout": "2s"}, {}, name="both")
        recorders = [Recorder(run, name) for name in ("one", "two")]
        for second in range(10):
            for recorder in recorders:
                for number in range(20):
                    name = FLOWS[number % 2]
                    at = max(0.0, second + number / 20 - chance.choice((0.0, 1.0)))
                    call = Call(recorder.flow(name), at, at + 0.001)
                    call.ended = call.started + chance.lognormvariate(-4.0, 0.7)
                    call.outcome = chance.choice(("served", "served", "http_5xx", "timeout"))
                    recorder.planned("visit", at)
                    recorder.begin()
                    recorder.done(call)
                    recorder.iteration("visit", at, call.started, call.ended, call.outcome)
                store.add(run, recorder.report(second, Meters(in_flight=second), last=second == 9))
        summary = {"status": 0, "deadlines": {"flows": {"order": 0.02}}}
        store.finish(run, "completed", summary)
    return path


def test_rows_totals_and_meters_are_the_same(stored: Path) -> None:
    with Store(stored, readonly=True) as store:
        whole, found = store.results("1"), store.measured("1")
        assert (found.flows, found.scenarios) == (whole.flows, whole.scenarios)
        assert (found.timeout, found.deadlines) == (whole.timeout, whole.deadlines)
        assert found.timeout == 2.0
        assert {name: dict(one) for name, one in found.meters.items()} == {
            name: dict(one) for name, one in whole.meters.items()
        }
        for name in FLOWS:
            assert list(found.rows("flow", name)) == list(whole.rows("flow", name))
            for second, row in whole.rows("flow", name).items():
                mine = found.rows("flow", name)[second]
                assert mine.outcomes == row.outcomes
                assert mine.served == row.served
                assert mine.explicit == row.explicit
            assert found.series("flow", name).total.served_actual == (
                whole.series("flow", name).total.served_actual
            )
        for names, first, last in (((), None, None), (FLOWS[:1], 2, 5), ((), 3, None)):
            mine = found.total("flow", names, first, last)
            assert mine.served == whole.total("flow", names, first, last).served
            assert mine.started == whole.total("flow", names, first, last).started > 0
        assert not dict(found.rows("flow", "nothing"))


@pytest.mark.parametrize(
    "text",
    ["p95 < 10ms", "goodput(order) > 5/s", "failed < 1%", "p99(browse) < 1s over 3s", "max < 1s"],
)
def test_objectives_come_out_the_same(stored: Path, text: str) -> None:
    wanted = [parse("objective", text)]
    with Store(stored, readonly=True) as store:
        whole = objective_states(wanted, store.results("1"), 1, 8)
        found = objective_states(wanted, store.measured("1"), 1, 8)
        assert found == whole
        assert objective_states(wanted, store.measured("1")) == objective_states(
            wanted, store.results("1")
        )
        assert any(one.value for one in found)
