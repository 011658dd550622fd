"""What is said while an experiment goes on: the judge's word, sooner; and nothing too soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
from simulated import BASE, F0, F1, SYSTEMS, TIMEOUT, WARM, World

from rascal.experiment.record import Record, Thresholds
from rascal.experiment.recording import Kept
from rascal.experiment.sofar import Now, SoFar
from rascal.load.types import Row

RATE = 200


@attrs.define
class Seen:
    """A record as results that are still growing; calls that are open are not in them yet."""

    record: Record
    second: int = 0
    meters: Mapping[str, Any] = attrs.Factory(dict)

    @property
    def flows(self) -> list[str]:
        return [flow.name for flow in self.record.flows]

    @property
    def scenarios(self) -> list[str]:
        return ["visit"]

    def rows(self, kind: str, name: str) -> Mapping[int, Row]:
        if kind == "flow":
            flow = next(one for one in self.record.flows if one.name == name)
            return {at: self.now(at, row) for at, row in flow.rows.items() if at <= self.second}
        found: dict[int, Row] = {}
        for flow in self.record.flows:
            for at, row in flow.rows.items():
                if at > self.second:
                    continue
                known = self.now(at, row)
                one = found.setdefault(at, Row())
                one.planned += row.planned
                one.started += known.started
        return found

    def now(self, at: int, row: Row) -> Row:
        """Time-outs are there when they are over."""
        late = row.outcomes.get("timeout", 0)
        if not late or at + TIMEOUT < self.second:
            return row
        found = Row()
        found.add(row)
        found.started -= late
        found.planned -= late
        found.outcomes["timeout"] = 0
        return found


def kept_of(record: Record) -> Kept:
    struck = sorted(flow.name for flow in record.flows if flow.uses)
    return Kept(
        name="x",
        text="",
        phases={"warm-up": (0.0, float(WARM)), **dict(record.phases)},
        uses={"db": struck},
        timeout=TIMEOUT,
    )


def said(so_far: SoFar, seen: Seen, kept: Kept) -> Now:
    """All steps of one look."""
    steps = so_far.steps(seen, seen.second, kept)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Now = done.value
            return found


def told(name: str, *seconds: int, seed: int = 3) -> Iterator[Now]:
    """What is said at some moments, with a look at every second before."""
    make, _ = SYSTEMS[name]
    record = make(World(RATE, seed))
    seen, so_far, kept = Seen(record), SoFar(("db",), Thresholds()), kept_of(record)
    for second in range(max(seconds) + 1):
        seen.second = second
        now = said(so_far, seen, kept)
        if second in seconds:
            yield now


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("absorbs it", "resilient"),
        ("stale cache", "resilient"),
        ("fast 503", "graceful"),
        ("150 ms more", "graceful"),
        ("hangs", "degraded"),
        ("resets", "degraded"),
        ("503 after 3 s", "degraded"),
        ("shared lock", "cascading"),
    ],
)
def test_the_word_at_the_end_of_the_fault_is_the_verdict(name: str, word: str) -> None:
    (now,) = told(name, F1)
    assert now.word == word


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    before, just = told("fast 503", WARM + BASE // 2, F0 + 1)
    assert (before.word, before.kept) == ("", None)
    assert before.good is not None and before.good > 0.98
    assert [one.usual for one in before.flows] == [None] * 3
    assert (just.word, just.remark) == ("", "the fault has just begun")


def test_calls_that_hang_are_not_good_before_they_time_out() -> None:
    during, after = told("hangs", F0 + 8, F1 + 20)
    orders = next(one for one in during.flows if one.name == "orders")
    assert orders.kept is not None and orders.kept < 0.1
    assert orders.uses is True
    assert during.kept is not None and 0.4 < during.kept < 0.65
    others = next(one for one in during.flows if one.name == "browse")
    assert others.kept is not None and others.kept > 0.95
    assert others.uses is False
    assert (after.word, after.remark) == ("degraded", "back to normal")
    late = next(one for one in after.flows if one.name == "orders")
    # Every call of the fault ended as a time-out: half of 200/s for 15 s.
    assert 1300 < late.dishonest < 1700


def test_stuck_is_said_after_half_a_minute_and_not_before() -> None:
    soon, late = told("dead", F1 + 10, F1 + 40)
    assert soon.word == "degraded"
    assert soon.remark == "orders not back yet"
    assert late.word == "stuck"
    assert "orders not back after" in late.remark


def test_a_fault_that_nobody_uses_is_told() -> None:
    make, _ = SYSTEMS["fast 503"]
    record = make(World(RATE, 3))
    kept = kept_of(record)
    kept.uses = {"db": []}
    now = said(SoFar(("db",), Thresholds()), Seen(record, F1), kept)
    assert now.word == ""
    assert "no flow uses" in now.remark
