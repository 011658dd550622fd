"""The books of a fault: every match is fired, skipped for one reason, or reserved; draws; seeds."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from subjects import PLAIN, TOY, Subject, fault, roulette, script, spec

from rascal.faults.draw import draw, stream_key
from rascal.faults.fault import Fault


def balanced(found: Fault) -> bool:
    return found.matched == found.fired + sum(found.skipped.values()) + found.reserved


def fire_all(found: Fault, times: int, fire: bool = True) -> list[int]:
    """Ask about so many matches, fire what is chosen: the match numbers that were struck."""
    struck = []
    for _ in range(times):
        if not found.armed:
            break
        strike = found.pick(Subject(), True, set(), False)
        assert balanced(found)
        if strike is not None:
            if fire:
                strike.fire()
                strike.done()
            struck.append(strike.n)
    return struck


# ---- order: skip, every, probability, count


@given(
    skip=st.integers(0, 8),
    every=st.integers(1, 5),
    probability=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    count=st.none() | st.integers(1, 6),
    matches=st.integers(0, 60),
    seed=st.integers(0, 99),
)
def test_skip_then_every_then_probability_then_count(
    skip: int, every: int, probability: float, count: int | None, matches: int, seed: int
) -> None:
    made = attrs.evolve(spec("hang"), skip=skip, every=every, probability=probability, count=count)
    found = fault(made, seed)
    struck = fire_all(found, matches)

    key = stream_key(seed, "proxy", "hang")
    expected: list[int] = []
    reasons: Counter[str] = Counter()
    for n in range(matches):
        if count is not None and len(expected) == count:
            break  # used up: no longer asked, hence not counted
        if n < skip:
            reasons["skip"] += 1
        elif (n - skip + 1) % every:
            reasons["every"] += 1
        elif draw(key, n) >= probability:
            reasons["probability"] += 1
        else:
            expected.append(n)
    assert struck == expected == list(found.hits)
    assert found.skipped == reasons
    assert found.armed is not (count is not None and len(expected) == count)


def test_count_counts_what_is_reserved_too() -> None:
    found = fault(spec("lose_reply count 1"))
    first = found.pick(Subject(), True, set(), False)
    assert first is not None
    assert found.pick(Subject(), True, set(), False) is None
    assert found.skipped["count"] == 1
    assert found.armed
    first.done()  # its exchange died: its place is given back
    assert found.skipped["gone"] == 1
    second = found.pick(Subject(), True, set(), False)
    assert second is not None
    second.fire()
    assert not found.armed
    assert second.live, "what it struck goes on"
    assert balanced(found)


@pytest.mark.parametrize(
    ("text", "taken", "blocked", "replies", "reason"),
    [
        ("error(deadlock)", {"request"}, False, True, "outranked"),
        ("error(deadlock)", {"reply"}, False, True, None),
        ("error(deadlock)", set(), True, True, "outranked"),
        ("delay 1s", {"request"}, False, True, None),
        ("delay 1s", set(), True, True, "outranked"),
        ("error(deadlock)", set(), False, False, "no_reply"),
        ("delay 1s", set(), False, False, None),
    ],
)
def test_why_a_match_is_not_struck(
    text: str, taken: set[Any], blocked: bool, replies: bool, reason: str | None
) -> None:
    found = fault(spec(text))
    strike = found.pick(Subject(), replies, taken, blocked)
    assert (strike is None) is (reason is not None)
    assert dict(found.skipped) == ({reason: 1} if reason else {})
    assert balanced(found)


def test_a_kind_may_give_its_own_reason() -> None:
    found = fault(spec("stale"))
    assert found.pick(Subject(), True, set(), False) is None
    assert found.skipped["nothing"] == 1
    assert balanced(found)


class Books(RuleBasedStateMachine):
    """Any order of asking, firing, ending, disarming, restarting and resetting."""

    def __init__(self) -> None:
        super().__init__()
        self.found = fault(attrs.evolve(spec("50% lose_reply"), skip=1, every=2, count=5))
        self.live: list[Any] = []

    @rule(taken=st.booleans(), blocked=st.booleans(), replies=st.booleans())
    def ask(self, taken: bool, blocked: bool, replies: bool) -> None:
        if self.found.armed:
            moments: set[Any] = {"reply"} if taken else set()
            strike = self.found.pick(Subject(), replies, moments, blocked)
            if strike is not None:
                self.live.append(strike)

    @rule(at=st.integers(0, 9))
    def fire(self, at: int) -> None:
        if self.live:
            self.live[at % len(self.live)].fire()

    @rule(at=st.integers(0, 9))
    def end(self, at: int) -> None:
        if self.live:
            self.live.pop(at % len(self.live)).done()

    @rule()
    def arm(self) -> None:
        self.found.arm()

    @rule()
    def restart(self) -> None:
        self.found.restart()

    @rule()
    def reset_counters(self) -> None:
        self.found.reset_counters()

    @invariant()
    def adds_up(self) -> None:
        assert balanced(self.found)
        assert self.found.reserved == sum(s.state == "chosen" for s in self.live)
        assert set(self.found.live) == {s for s in self.live if s.live}
        assert all(number >= 0 for number in self.found.skipped.values())
        assert self.found.used <= 5


TestBooks = Books.TestCase


# ---- seeds


MATCHES = 10_000
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from subjects import fault, spec
from test_counting import hits
print(hits(fault(spec(sys.argv[2]), int(sys.argv[3]))))
"""


def hits(found: Fault) -> list[tuple[int, float]]:
    """What MATCHES matches come to: numbers and drawn delays."""
    struck = []
    for _ in range(MATCHES):
        strike = found.pick(Subject(), True, set(), False)
        if strike is not None:
            strike.fire()
            strike.done()
            struck.append((strike.n, strike.acts[0].seconds))  # type: ignore[attr-defined]
    return struck


def test_the_same_seed_strikes_the_same_matches_in_two_processes() -> None:
    text = "20% delay(normal(800ms, 100ms)) skip 5 every 2"

    def elsewhere(seed: int) -> str:
        command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), text, str(seed)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    here = hits(fault(spec(text), 7))
    assert len(here) == pytest.approx(MATCHES / 2 * 0.2, rel=0.1)
    assert repr(here) == elsewhere(7)
    assert repr(here) != elsewhere(8)


def test_a_probability_does_not_change_what_is_drawn() -> None:
    rare = dict(hits(fault(spec("10% delay(1s..3s)"))))
    often = dict(hits(fault(spec("60% delay(1s..3s)"))))
    assert rare.items() <= often.items(), "the same draws, a lower bar"


def test_faults_draw_for_themselves() -> None:
    one = {n for n, _ in hits(fault(spec("50% delay(1s) name a")))}
    other = {n for n, _ in hits(fault(spec("50% delay(1s) name b")))}
    assert len(one & other) == pytest.approx(MATCHES / 4, rel=0.1)


def test_shares_are_kept() -> None:
    struck = len(hits(fault(spec("12.5% delay 1s"))))
    assert struck == pytest.approx(MATCHES * 0.125, rel=0.1)


# ---- roulettes and scripts


def test_a_roulette_keeps_its_shares() -> None:
    found = fault(roulette("20% delay(1s), 10% error(deadlock), 5% lose_reply"))
    seen: Counter[str] = Counter()
    for _ in range(MATCHES):
        strike = found.pick(Subject(), True, set(), False)
        seen["none" if strike is None else strike.spec.kind.name] += 1
    assert seen["delay"] == pytest.approx(MATCHES * 0.2, rel=0.1)
    assert seen["error"] == pytest.approx(MATCHES * 0.1, rel=0.1)
    assert seen["lose_reply"] == pytest.approx(MATCHES * 0.05, rel=0.15)
    assert found.skipped == {"probability": seen["none"]}
    assert balanced(found)


def test_a_full_roulette_always_strikes() -> None:
    found = fault(roulette("50% delay(1s), 50% hang"))
    assert all(found.pick(Subject(), True, set(), False) for _ in range(1000))


def test_a_script_takes_its_steps_in_turn() -> None:
    found = fault(script("pass 2, error(deadlock) count 2, lose_reply(then=reset), pass"))
    taken = []
    while found.armed:
        strike = found.pick(Subject(), True, set(), False)
        taken.append(None if strike is None else strike.spec.kind.name)
        if strike is not None:
            strike.fire()
            strike.done()
        assert balanced(found)
    assert taken == [None, None, "error", "error", "lose_reply", None]
    assert found.step_states == ["used"] * 6
    assert found.skipped == {"pass": 3}
    assert found.fired == 3


def test_a_step_whose_exchange_died_is_void() -> None:
    found = fault(script("lose_reply, error(deadlock), lose_reply"))
    first = found.pick(Subject(), True, set(), False)
    assert first is not None
    first.done()
    assert found.pick(Subject(), False, set(), False) is None
    last = found.pick(Subject(), True, set(), False)
    assert last is not None
    last.fire()
    assert found.step_states == ["void (gone)", "void (no_reply)", "used"]
    assert not found.armed
    found.arm()
    assert found.step_states == ["unused"] * 3
    assert found.number == 0


def test_steps_of_connections() -> None:
    found = fault(script("pass, reset count 2", protocol=PLAIN))
    struck = [found.pick(Subject(), True, set(), False) for _ in range(3)]
    assert [s and s.acts[0].then for s in struck] == [None, "reset", "reset"]  # type: ignore[attr-defined]


def test_enabling_starts_the_used_count_anew_and_match_numbers_go_on() -> None:
    found = fault(spec("lose_reply count 2", TOY))
    assert fire_all(found, 5) == [0, 1]
    found.arm()
    assert fire_all(found, 5) == [2, 3]
    found.restart()
    assert fire_all(found, 5) == [0, 1]
    found.reset_counters()
    assert (found.matched, found.fired, len(found.hits)) == (0, 0, 0)
    found.arm()
    assert fire_all(found, 5) == [2, 3], "counters are not match numbers"
