"""Shapers under a virtual clock: exact rates, exact sums, nothing lost."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subjects import act, spec

from rascal.faults.shapers import (
    BURST,
    CorruptShaper,
    LimitShaper,
    SliceShaper,
    StallShaper,
    ThrottleShaper,
)
from rascal.faults.types import INF, Shaper


def run(
    shaper: Shaper, total: int, *, until: float = 1e9, late: float = 0.0, at_most: int = 1 << 30
) -> list[tuple[float, int]]:
    """Let `total` bytes out as fast as the shaper allows; each timer is `late`."""
    now, left, out = 0.0, total, []
    while left and now <= until:
        count, again = shaper.allow(now, left)
        assert 0 <= count <= left
        count = min(count, at_most)
        if count:
            shaper.sent(count, now)
            out.append((now, count))
            left -= count
            if shaper.ends:
                break
        elif again == INF:
            break
        else:
            assert again > now, "it would be asked for ever"
            now = again + late
    return out


@pytest.mark.parametrize("rate", [1, 10, 1000, 65_536, 1_250_000, 1e9])
@pytest.mark.parametrize("late", [0.0, 0.0007, 0.02])
def test_throttle_keeps_its_rate(rate: float, late: float) -> None:
    shaper = act(spec(f"throttle {int(rate)}B/s")).make()
    total = int(max(20, min(rate * 20, 2e7)))
    out = run(shaper, total, late=late)
    assert sum(count for _, count in out) == total
    took = out[-1][0]
    step = max(1, int(rate * 0.01)) / rate
    assert took == pytest.approx(total / rate, abs=2 * step + late)


def test_throttle_makes_up_for_late_timers_but_not_for_long() -> None:
    shaper = ThrottleShaper(1000)
    assert shaper.allow(0.0, 100) == (10, 0.0)
    run(shaper, 100)
    sent = 0
    while (count := shaper.allow(60.0, 1000 - sent)[0]) > 0:  # idle for a minute
        shaper.sent(count, 60.0)
        sent += count
    assert sent <= 10, "a pause earns nothing"
    late = ThrottleShaper(1000)
    out = run(late, 5000, late=BURST * 2)  # each timer later than may be made up for
    assert out[-1][0] >= 5000 / 1000


@given(
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5000)), min_size=1, max_size=30),
)
def test_throttle_never_exceeds_rate_and_burst(rate: float, steps: list[tuple[float, int]]) -> None:
    shaper, now, out = ThrottleShaper(rate), 0.0, []
    for pause, available in steps:
        now += pause
        for _ in range(50):
            count, _again = shaper.allow(now, available)
            if not count:
                break
            shaper.sent(count, now)
            out.append((now, count))
    step = max(1, int(rate * 0.01))
    for first in range(len(out)):
        since = out[first][0]
        total = 0
        for when, count in out[first:]:
            total += count
            assert total <= rate * (when - since + BURST) + step + 1


def test_trickle_is_a_piece_after_each_pause() -> None:
    shaper = act(spec("trickle(100ms, size=3B)")).make()
    out = run(shaper, 31)
    assert [count for _, count in out] == [3] * 10 + [1]
    assert [when for when, _ in out] == pytest.approx([number * 0.1 for number in range(11)])
    drifting = run(act(spec("trickle 100ms")).make(), 1000, late=0.004)
    assert drifting[-1][0] == pytest.approx(99.9, abs=0.01)


def test_slices_have_drawn_sizes() -> None:
    made = act(spec("slice(100B, vary=20B, delay=10ms)"))
    first, second = made.make(), made.make()
    sizes = [count for _, count in run(first, 100_000)]
    assert sum(sizes) == 100_000
    assert set(sizes[:-1]) <= set(range(80, 121))
    assert len(set(sizes)) > 30
    assert sum(sizes) / len(sizes) == pytest.approx(100, rel=0.03)
    assert sizes != [count for _, count in run(second, 100_000)], "each direction for itself"
    again = act(spec("slice(100B, vary=20B, delay=10ms)")).make()
    assert sizes == [count for _, count in run(again, 100_000)]


def test_slices_without_a_pause_leave_at_once() -> None:
    out = run(act(spec("slice 7B")).make(), 30)
    assert out == [(0.0, 7)] * 4 + [(0.0, 2)]


def test_a_slice_that_another_shaper_cuts_goes_on() -> None:
    shaper = SliceShaper(lambda k: 10, 1.0)
    out = run(shaper, 20, at_most=4)
    assert out == [(0.0, 4), (0.0, 4), (0.0, 2), (1.0, 4), (1.0, 4), (1.0, 2)]


@pytest.mark.parametrize("then", ["close", "reset"])
def test_limit_is_exact(then: Any) -> None:
    shaper = act(spec(f"limit(1KB, then={then})")).make()
    out = run(shaper, 5000, at_most=300)
    assert sum(count for _, count in out) == 1000
    assert shaper.ends == then
    assert shaper.allow(9.0, 10) == (0, INF)
    other = LimitShaper(1000, then)
    run(other, 999)
    assert other.ends is None


def test_reset_after_some_bytes_without_messages() -> None:
    from subjects import PLAIN

    shaper = act(spec("reset 10B direction to_client", PLAIN)).make()
    assert run(shaper, 100) == [(0.0, 10)]
    assert shaper.ends == "reset"


def test_stall_stands_still_once() -> None:
    shaper = StallShaper(10, 5.0)
    assert run(shaper, 100) == [(0.0, 10), (5.0, 90)]
    for_ever = StallShaper(0, INF)
    assert run(for_ever, 100) == []


def test_stall_counts_from_the_first_byte_that_waits() -> None:
    shaper = StallShaper(10, 5.0)
    run(shaper, 10)
    assert shaper.allow(100.0, 1) == (0, 105.0)
    assert shaper.allow(105.0, 1) == (1, 105.0)


# ---- corrupt


def edited(shaper: Shaper, data: bytes, cuts: list[int]) -> bytes:
    """The data through `edit`, cut into pieces."""
    places = [0, *sorted(cuts), len(data)]
    out = b""
    for begin, end in itertools.pairwise(places):
        if end > begin:
            out += bytes(shaper.edit(data[begin:end], begin))
    return out


def test_every_so_many_bytes_one_is_wrong() -> None:
    data = bytes(1000)
    out = edited(act(spec("corrupt(gap=10B)")).make(), data, [1, 10, 500])
    wrong = [at for at, byte in enumerate(out) if byte]
    assert wrong == list(range(9, 1000, 10))


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 1.0])
def test_a_share_of_the_bytes_is_wrong(share: float) -> None:
    data = bytes(range(256)) * 800
    out = edited(CorruptShaper(7, share, None), data, [])
    wrong = sum(a != b for a, b in zip(data, out, strict=True))
    assert wrong == pytest.approx(len(data) * share, rel=0.2)
    if share == 1.0:
        assert wrong == len(data)


@given(
    st.binary(max_size=300),
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from(["corrupt 20%", "corrupt 100%", "corrupt gap=3B", "corrupt gap=1B"]),
)
def test_corruption_does_not_depend_on_how_bytes_are_cut(
    data: bytes, cuts: list[int], text: str
) -> None:
    cuts = [min(cut, len(data)) for cut in cuts]
    made = act(spec(text)).make
    whole = edited(act(spec(text)).make(), data, [])
    assert edited(made(), data, cuts) == whole
    assert len(whole) == len(data)


def test_untouched_bytes_are_not_copied() -> None:
    shaper = CorruptShaper(7, None, 1000)
    data = memoryview(bytes(999))
    assert shaper.edit(data, 0) is data
