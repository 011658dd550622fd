"""Profiles as functions of time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_profiles import profiles

from rascal.language import parse
from rascal.load.schedule import Schedule, counts_users


def schedule(text: str) -> Schedule:
    return Schedule(parse("profile", text))


def test_each_shape_has_its_level() -> None:
    found = schedule(
        "ramp 0..100/s for 10s, hold 100/s for 10s, steps 10..50/s for 10s count 5, "
        "spike 1000/s for 1s, pause 4s, wave 10..30/s for 20s every 10s"
    )
    wanted = {0: 0, 5: 50, 10: 100, 19.9: 100, 20: 10, 21.9: 10, 22: 20, 29: 50, 30: 1000, 31: 0}
    wanted |= {35: 10, 40: 30, 37.5: 20, 45: 10, 54.999999: 10, 55: 0, -1: 0, 99: 0}
    assert {t: pytest.approx(found.level(t), abs=1e-6) for t in wanted} == wanted
    assert found.ends == 55


def test_the_integral_is_exact_at_the_boundaries() -> None:
    found = schedule("hold 200/s for 60s, ramp 200..400/s for 30s, steps 0..10/s for 5s count 5")
    assert found.mass(60) == 12_000
    assert found.mass(90) == 21_000
    assert found.mass(91) == found.mass(90)
    assert found.total == 21_000 + 25 == found.mass(95) == found.mass(1000)
    thirds = schedule(", ".join(["hold 1/s for 333ms"] * 1000))
    assert thirds.total == 333
    assert thirds.mass(333) == 333


def test_planned_tells_how_many_arrivals_a_second_has() -> None:
    found = schedule("ramp 0..10/s for 10s, hold 7/s for 1.5s")
    assert [found.planned(second) for second in (0, 9, 10, 11, 12)] == [0.5, 9.5, 7, 3.5, 0]
    wave = schedule("wave 0..20/s for 10s every 10s")
    assert sum(wave.planned(second) for second in range(10)) == pytest.approx(100, abs=1e-9)


def test_a_ramp_begins_where_the_load_is_and_a_spike_falls_back() -> None:
    found = schedule("hold 50/s for 1s, ramp 100/s for 1s, spike 900/s for 1s, ramp 0/s for 1s")
    assert found.level(1) == 50
    assert found.level(1.5) == 75
    assert found.level(2.5) == 900
    assert found.level(3) == 100
    assert found.level(3.5) == 50


def test_a_hold_without_time_never_ends() -> None:
    found = schedule("ramp 0..10/s for 1s, hold 10/s")
    assert found.ends == found.total == math.inf
    assert found.at(found.mass(1e6)) == pytest.approx(1e6)
    assert schedule("hold 1/s for 1s, hold 0/s").total == 1


def test_a_mass_at_which_the_level_is_0_belongs_to_what_follows() -> None:
    found = schedule("pause 10s, hold 10/s for 1s, pause 1s, hold 1/s for 2s")
    assert found.at(0) == 10
    assert found.at(10) == 12
    assert found.at(11) == 13
    assert found.at(12) == math.inf


def test_a_change_goes_on_from_the_present_level() -> None:
    first = schedule("ramp 0..100/s for 10s, hold 100/s")
    found = first.then(parse("profile", "ramp 200/s for 10s, hold 200/s for 5s"), 5)
    assert found.level(4.9) == first.level(4.9)
    assert found.level(5) == 50
    assert found.level(10) == 125
    assert found.ends == 20
    assert found.mass(5) == first.mass(5) == 125
    assert found.total == 125 + 1250 + 1000
    again = found.then(parse("profile", "hold 1/s for 1s"), 30)
    assert (again.level(25), again.level(30), again.ends, again.total) == (
        0,
        1,
        31,
        found.total + 1,
    )
    assert first.until(3).ends == 3
    assert first.until(3).total == 45


def test_users_come_and_go_where_the_level_passes_whole_numbers() -> None:
    found = schedule("ramp 0..3 users for 3s, hold 3 users for 2s, ramp 1 users for 2s, pause 1s")
    times, t = [], 0.0
    while t < math.inf:
        times.append((round(t, 6), found.count(t)))
        t = found.changes(t)
    assert times == [(0, 1), (1, 2), (2, 3), (3, 3), (5, 3), (6, 2), (7, 0), (8, 0)]
    assert found.users
    assert not counts_users(parse("profile", "pause 1s"))


@given(profiles())
def test_the_integral_is_that_of_the_level_and_at_is_its_inverse(text: str) -> None:
    found = schedule(text)
    steps = 2000
    width = found.ends / steps
    total = sum(found.level((n + 0.5) * width) for n in range(steps)) * width
    assert found.total == pytest.approx(total, abs=found.ends + 1e-6)
    last = -1.0
    for n in range(0, 20):
        mass = found.total * n / 20
        t = found.at(mass)
        if found.total:
            assert found.mass(t) == pytest.approx(mass, abs=1e-6)
            assert last <= t < found.ends
            last = t
    assert found.at(found.total) == math.inf


@given(profiles(5, " users"), st.floats(0, 8))
def test_between_changes_the_number_of_users_is_the_level_rounded_up(text: str, t: float) -> None:
    found = schedule(text)
    now = 0.0
    while (following := found.changes(now)) <= t:
        assert following > now
        now = following
    level = found.level(t)
    if abs(level - round(level)) > 1e-5:
        assert found.count(now) == math.ceil(level)


@given(profiles(), profiles(), st.integers(1, 12))
def test_a_change_alters_nothing_before_its_second(first: str, second: str, at: int) -> None:
    before = schedule(first)
    after = before.then(parse("profile", second), at)
    for n in range(20):
        t = at * n / 20
        assert after.level(t) == before.level(t)
        assert after.mass(t) == before.mass(t)
    assert after.mass(at) == before.mass(at)
