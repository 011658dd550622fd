"""The judge on systems that are known: each gets its word, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import attrs
import pytest
from simulated import F0, SYSTEMS, World

from rascal.experiment.judge import Verdict, judge
from rascal.experiment.record import Record
from rascal.histogram import Histogram
from rascal.load.types import Row

RATE = 50


def verdict_of(make: Callable[[World], Record], seed: int, rate: float = RATE) -> Verdict:
    """The judge's word; only what is stuck is probed."""
    found = judge(make(World(rate, seed)))
    return judge(make(World(rate, seed, probe=True))) if found.word == "stuck" else found


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_known_system_gets_its_word(name: str) -> None:
    make, wanted = SYSTEMS[name]
    seeds = [7919 * number + 17 for number in range(5)]
    found = [verdict_of(make, seed) for seed in seeds]
    right = [one.name == wanted for one in found]
    assert sum(right) >= 4, [(one.name, one.reasons, one.between) for one in found]


def test_the_same_record_gives_the_same_verdict() -> None:
    make, _ = SYSTEMS["breaker"]
    assert verdict_of(make, 3) == verdict_of(make, 3)


def test_what_an_overloaded_system_still_serves_is_told() -> None:
    make, _ = SYSTEMS["two thirds of capacity gone"]
    found = judge(make(World(RATE, 3, probe=True)))
    assert found.name == "overloaded"
    # Half of the capacity was used, a third of it is left; what waits too long is given up.
    assert found.carries is not None and 0 <= found.carries < 0.85


def test_seconds_in_which_the_agent_was_late_do_not_count() -> None:
    make, _ = SYSTEMS["150 ms more"]
    record = make(World(RATE, 5))
    stalled = range(F0 + 6, F0 + 9)
    flows = tuple(
        attrs.evolve(flow, rows={at: stall(row) if at in stalled else row for at, row in
                                 flow.rows.items()})
        for flow in record.flows
    )  # fmt: skip
    record = attrs.evolve(record, flows=flows)
    assert judge(record).name == "cascading"
    assert judge(attrs.evolve(record, unsound=frozenset(stalled))).name == "graceful"
    many = frozenset(range(F0, F0 + 10))
    found = judge(attrs.evolve(record, unsound=many))
    assert (found.name, len(found.reasons)) == ("invalid", 1)
    lies = tuple(attrs.evolve(flow, rows={**flow.rows, F0 + 7: lie()}) for flow in record.flows)
    found = judge(attrs.evolve(record, flows=lies, unsound=frozenset(stalled)))
    assert found.name == "corrupt"


def test_a_phase_without_a_call_that_counts_proves_nothing() -> None:
    make, _ = SYSTEMS["150 ms more"]
    record = make(World(RATE, 5))
    begins, ends = record.faults[0].on, record.faults[0].off
    empty = tuple(
        attrs.evolve(
            flow, rows={at: row for at, row in flow.rows.items() if not begins <= at < ends}
        )
        for flow in record.flows
    )
    found = judge(attrs.evolve(record, flows=empty))
    assert found.name == "invalid"
    assert "not one call of the flows that use it counts (fault)" in found.reasons


def stall(row: Row) -> Row:
    """A second whose served calls all took two seconds."""
    late = Histogram()
    for _ in range(row.served.count):
        late.record(2_000_000)
    found = deepcopy(row)
    found.served = late
    return found


def lie() -> Row:
    """A second with one wrong reply."""
    found = Row()
    found.planned = found.started = found.outcomes["wrong_data"] = 1
    return found
