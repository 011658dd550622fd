"""The whole data path under random clients, upstreams and faults, and the bugs that it catches.

A failing seed is a test case: `python -m tests.simulation.run SEED` tells what happened.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.simulation import sentences
from tests.simulation.mutants import MUTANTS
from tests.simulation.protocols import PROTOCOLS
from tests.simulation.run import Stats, simulate

CONNECTIONS = 200_000 if os.environ.get("RASCAL_FULL") else 20_000
"""So many are simulated."""
BATCH = 100
SEEDS = 2_000
"""Within so many seeds each mutant is caught."""
ACTS = {
    *("Hold", "Reply", "Lose", "End", "Cut", "Stall", "Repeat", "Edit", "Refuse", "ConnectHold"),
    *("Age", "Idle", "StreamHold", "CloseHold", "Pace", "Discard"),
}


def batch(first: int, protocol: str) -> tuple[list[str], int, Counter[str]]:
    """Some seeds of one protocol: what failed, how many connections, which acts struck."""
    failed: list[str] = []
    connections = 0
    struck: Counter[str] = Counter()
    for seed in range(first, first + BATCH):
        try:
            stats = simulate(seed, protocol)
        except Exception as error:
            failed.append(f"run {seed} 1 --protocol {protocol}: {type(error).__name__}: {error}")
        else:
            connections += stats.connections
            struck += stats.fired
    return failed, connections, struck


def hunt(name: str) -> str:
    """The first seed that catches a mutant, and what it breaks; empty: none."""
    mutant = MUTANTS[name]
    with mutant.on():
        for seed in range(SEEDS):
            try:
                simulate(seed, mutant.protocol)
            except Exception as error:
                return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes of their own: a core each."""
    workers = min(os.cpu_count() or 1, 8)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as made:
        yield made


@pytest.mark.timeout(3600)
def test_the_invariants_hold(pool: ProcessPoolExecutor) -> None:
    names = list(PROTOCOLS)
    rounds = CONNECTIONS // (BATCH * 2 * len(names))  # a seed has more than two connections
    jobs = [pool.submit(batch, round_ * BATCH, name) for round_ in range(rounds) for name in names]
    failed: list[str] = []
    connections = 0
    struck: Counter[str] = Counter()
    for job in jobs:
        lines, count, acts = job.result()
        failed += lines
        connections += count
        struck += acts
    assert not failed, "python -m tests.simulation.\n" + "\n".join(failed[:20])
    assert connections >= CONNECTIONS
    assert set(struck) >= ACTS, ACTS - set(struck)


@pytest.mark.timeout(3600)
def test_each_mutant_is_caught(pool: ProcessPoolExecutor) -> None:
    hunts = {name: pool.submit(hunt, name) for name in MUTANTS}
    found = {name: job.result() for name, job in hunts.items()}
    assert len(found) >= 12
    assert all(found.values()), [name for name, what in found.items() if not what]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_a_seed_is_one_run(protocol: str) -> None:
    def digests() -> list[str]:
        return [simulate(seed, protocol).digest for seed in range(300, 310)]

    assert digests() == digests()


def test_watching_changes_nothing() -> None:
    events: list[str] = []
    for seed in range(20, 25):
        assert simulate(seed, None, events.append).digest == simulate(seed).digest
    assert events


def test_every_sentence_can_be_built_somewhere() -> None:
    import random

    built: set[str] = set()
    for name, spoken in PROTOCOLS.items():
        r, protocol = random.Random(name), spoken.make()
        for _ in range(1500):
            sentences.single(r, "f", protocol, True)
    built = sentences.built
    every = {*sentences.MESSAGES, *sentences.CONNECTIONS}
    assert built >= every, every - built


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_connections_without_faults_are_transparent(name: str) -> None:
    """The world alone, as a check of itself: no fault, no garbage, everything arrives."""
    check: Callable[[int], Any] = lambda seed: simulate(seed, name)  # noqa: E731
    stats: list[Stats] = [check(seed) for seed in range(900, 910)]
    assert sum(one.exchanges for one in stats) > 20
