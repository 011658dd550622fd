"""What kinds learned so that every toxic can be said in Rascal's own words."""

from __future__ import annotations

from typing import Any

import pytest
from subjects import PLAIN, TOY, Subject, act, fault, spec

from rascal.errors import ConfigError
from rascal.faults.shapers import LimitShaper, ThrottleShaper
from rascal.faults.types import INF, Discard, Pace, Pass, StreamHold

ACTS = [
    (PLAIN, "noop", Pass()),
    (TOY, "noop direction to_client", Pass()),
    (PLAIN, "blackhole fin=no", Discard("both", INF, fin=False)),
    (PLAIN, "blackhole 3s idle=yes", Discard("both", 3.0, idle=True)),
    (
        PLAIN,
        "reset hold=2s direction to_client",
        Discard("to_client", 2.0, "reset", first=True, fin=False),
    ),
    (TOY, "reset hold=2s", Discard("both", 2.0, "reset", first=True, fin=False)),
]


@pytest.mark.parametrize(("protocol", "text", "expected"), ACTS)
def test_what_a_kind_wants(protocol: Any, text: str, expected: object) -> None:
    found = spec(text, protocol)
    assert act(found) == expected
    assert found.level == "connection"
    assert not found.only_at_start


def test_a_reset_that_waits_strikes_no_moment_and_no_count_of_bytes() -> None:
    with pytest.raises(ConfigError, match="not both"):
        spec("reset hold=2s after=5B", PLAIN)
    with pytest.raises(ConfigError, match="strikes connections"):
        spec("reset hold=2s per exchange", TOY)


@pytest.mark.parametrize(("text", "fin"), [("delay 1s", True), ("delay 1s fin=no", False)])
def test_a_delay_may_leave_the_fin_alone(text: str, fin: bool) -> None:
    found = act(spec(text, PLAIN))
    assert isinstance(found, StreamHold)
    assert found.fin is fin


def test_a_rate_of_nothing_passes_nothing() -> None:
    found = act(spec("throttle 0", PLAIN))
    assert isinstance(found, Pace)
    assert found.make().allow(5.0, 100) == (0, INF)


def test_a_rate_below_a_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1B/s"):
        spec("throttle 0.5B/s", PLAIN)


def test_a_limit_of_nothing_ends_with_the_first_byte_that_wants_to_pass() -> None:
    shaper = LimitShaper(0, "reset")
    assert shaper.ends is None
    assert shaper.allow(0.0, 7) == (0, INF)
    assert shaper.ends == "reset"


def test_another_limit_counts_on() -> None:
    old, new = LimitShaper(10, "close"), LimitShaper(12, "close")
    old.sent(9, 0.0)
    new.follow(old)
    assert new.allow(0.0, 100) == (3, 0.0)
    less = LimitShaper(5, "close")
    less.follow(old)
    assert less.allow(0.0, 1) == (0, INF)
    assert less.ends == "close"
    less.follow(ThrottleShaper(1.0))


# ---- another probability


def test_another_probability_moves_the_line_and_not_the_draws() -> None:
    found = fault(spec("50% throttle 1KB/s", PLAIN))
    struck = [n for n in range(40) if not found.passes(n)]
    assert 8 < len(struck) < 32
    found.replace(spec("80% throttle 1KB/s", PLAIN))
    more = [n for n in range(40) if not found.passes(n)]
    assert set(struck) < set(more)
    found.replace(spec("throttle 1KB/s", PLAIN))
    assert not any(found.passes(n) for n in range(40))


def test_who_is_struck_late_keeps_the_number_and_the_books_add_up() -> None:
    found = fault(spec("0% throttle 1KB/s", PLAIN))
    subjects = [Subject() for _ in range(3)]
    for subject in subjects:
        assert found.pick(subject, True, set(), False) is None
    assert (found.matched, found.skipped["probability"]) == (3, 3)
    found.replace(spec("throttle 1KB/s count 1", PLAIN))
    strike = found.strike_late(subjects[1], 1, True)
    assert strike is not None
    strike.fire()
    assert (strike.n, found.fired, found.skipped["probability"]) == (1, 1, 2)
    assert found.strike_late(subjects[2], 2, True) is None  # its count is used up
    assert found.matched == found.fired + found.reserved + sum(found.skipped.values())


def test_who_is_struck_late_must_be_meant_by_its_number() -> None:
    found = fault(spec("0% throttle 1KB/s", PLAIN))
    assert found.pick(Subject(), True, set(), False) is None
    found.replace(spec("throttle 1KB/s every 3", PLAIN))
    assert found.strike_late(Subject(), 0, True) is None


def test_counters_at_zero_stay_above_it() -> None:
    found = fault(spec("0% throttle 1KB/s", PLAIN))
    assert found.pick(Subject(), True, set(), False) is None
    found.reset_counters()
    found.replace(spec("throttle 1KB/s", PLAIN))
    strike = found.strike_late(Subject(), 0, True)
    assert strike is not None
    assert (found.matched, found.reserved, found.skipped["probability"]) == (1, 1, 0)
