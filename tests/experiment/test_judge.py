"""The judge on systems that are known: each gets its word, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulated import SYSTEMS, World

from rascal.experiment.judge import Verdict, judge
from rascal.experiment.record import Record

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
