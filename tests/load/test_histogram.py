"""The histogram against all raw values: exact where it says so, within 1/256 elsewhere."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.histogram import (
    INDICES,
    Histogram,
    bounds,
    bucket,
    put,
    put_signed,
    take,
    take_signed,
)

ERROR = 1 / 256
"""Of a bucket's middle, relative: what the module says as 0.4 %."""

micros = st.one_of(
    st.integers(0, 300),
    st.integers(0, 10**6),
    st.integers(0, 10**11),
    st.integers(0, 40).map(lambda shift: 1 << shift),
)
values = st.lists(micros, max_size=60)
shares = st.one_of(
    st.sampled_from((0, 50, 90, 95, 99, 99.9, 99.99, 100)), st.floats(0, 100, allow_nan=False)
)


def histogram(raw: Sequence[int]) -> Histogram:
    found = Histogram()
    for value in raw:
        found.record(value)
    return found


def at_rank(raw: Sequence[int], share: float) -> int:
    """The value at rank ceil(share / 100 × n) of all raw values, the rank in exact arithmetic."""
    rank = -(-round(share * 10**9) * len(raw) // 10**11)
    return sorted(raw)[max(rank, 1) - 1]


def test_buckets_follow_each_other_without_gaps() -> None:
    expected = 0
    for index in range(4000):
        low, high = bounds(index)
        assert low == expected
        assert bucket(low) == bucket(high) == index
        expected = high + 1
    assert bucket((1 << 63) - 1) < INDICES


@given(micros)
def test_a_bucket_is_narrow(value: int) -> None:
    low, high = bounds(bucket(value))
    assert low <= value <= high
    assert abs((low + high) / 2 - value) <= (value * ERROR if value > 255 else 0)


@given(values)
def test_count_total_least_and_most_are_exact(raw: list[int]) -> None:
    found = histogram(raw)
    assert found.count == len(raw)
    assert found.total == sum(raw)
    assert (found.least, found.most) == ((min(raw), max(raw)) if raw else (0, 0))
    assert found.mean == (sum(raw) / len(raw) / 1e6 if raw else 0)


@given(st.lists(micros, min_size=1, max_size=60), shares)
def test_percentiles_are_those_of_the_raw_values(raw: list[int], share: float) -> None:
    wanted = at_rank(raw, share)
    found = histogram(raw).percentile(share) * 1e6
    assert found == pytest.approx(wanted, rel=ERROR if wanted > 255 else 1e-9, abs=1e-6)


def test_ends_are_exact_and_nothing_is_zero() -> None:
    found = histogram([123_457, 99_999_999, 5_000_003])
    assert found.percentile(0) == 0.123457
    assert found.percentile(100) == 99.999999
    assert Histogram().percentile(99) == 0.0
    assert Histogram().percentiles((1, 2)) == [0.0, 0.0]


def test_ranks_do_not_suffer_from_floats() -> None:
    # 99.9 % of 1,000 is rank 999; 99.9 / 100 * 1000 as floats is a hair above it.
    raw = [*range(1, 200), *[200] * 800, 250]
    assert len(raw) == 1000
    assert histogram(raw).percentile(99.9) == 200 / 1e6


@given(st.lists(values, min_size=4, max_size=4), shares)
def test_four_parts_merged_are_the_whole(parts: list[list[int]], share: float) -> None:
    merged = Histogram()
    for part in parts:
        merged.add(histogram(part))
    whole = histogram([value for part in parts for value in part])
    assert merged == whole
    assert merged.percentile(share) == whole.percentile(share)


@given(values, values)
def test_subtracting_leaves_the_rest(first: list[int], second: list[int]) -> None:
    found = histogram([*first, *second])
    found.subtract(histogram(second))
    rest = histogram(first)
    assert (found.buckets, found.count, found.total) == (rest.buckets, rest.count, rest.total)


@given(values, st.lists(micros, min_size=1, max_size=5))
def test_what_is_taken_back_leaves_no_trace_in_counts(kept: list[int], gone: list[int]) -> None:
    delta = Histogram()
    for value in gone:
        delta.record(value, -1)
    found = histogram([*kept, *gone])
    found.add(Histogram.decode(delta.encode()))
    wanted = histogram(kept)
    assert (found.buckets, found.count, found.total) == (
        wanted.buckets,
        wanted.count,
        wanted.total,
    )
    if kept:  # held within the outermost buckets that are left
        assert bucket(found.most) == bucket(max(kept))
        assert bucket(found.least) == bucket(min(kept))
    else:
        assert (found.least, found.most, found.percentile(50)) == (0, 0, 0.0)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.floats(0, 2000))
def test_over_counts_greater_values(raw: list[int], seconds: float) -> None:
    found = histogram(raw).over(seconds)
    limit = seconds * 1e6
    assert sum(value > limit * (1 + 2 * ERROR) + 1 for value in raw) <= found
    assert found <= sum(value > limit * (1 - 2 * ERROR) - 1 for value in raw)


def test_over_is_exact_below_256_us_and_at_the_ends() -> None:
    found = histogram([100, 200, 200, 250, 3_000_001])
    assert found.over(0.0002) == 2
    assert found.over(0.000199) == 4
    assert found.over(3.0) == 1
    assert found.over(3.000001) == 0
    assert found.over(0.00009) == 5
    assert histogram([300_000]).over(0.3) == 0  # 0.3 s is not greater than 0.3 s


def test_negative_durations_count_as_zero() -> None:
    found = histogram([-5, 5])
    assert (found.least, found.most, found.total) == (0, 5, 5)


counted = st.lists(st.tuples(micros, st.integers(-(10**6), 10**6)), max_size=40)


@given(counted)
def test_bytes_give_the_same_back(raw: list[tuple[int, int]]) -> None:
    found = Histogram()
    for value, times in raw:
        found.record(value, times)
    again = Histogram.decode(found.encode())
    assert again == found
    assert again.count == sum(times for _, times in raw)


@pytest.mark.parametrize("spread", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("count", [1, 10, 1000, 50_000])
def test_bytes_are_few(count: int, spread: float) -> None:
    chance = random.Random(5)
    found = histogram([int(chance.lognormvariate(10, spread)) for _ in range(count)])
    assert len(found.encode()) < 30 + 4 * len(found.buckets)
    assert Histogram.decode(found.encode()) == found


@given(st.binary(max_size=80))
def test_any_bytes_are_a_histogram_or_an_error(data: bytes) -> None:
    try:
        found = Histogram.decode(data)
    except ValueError:
        return
    assert all(0 <= index < INDICES for index in found.buckets)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x07",
        b"\x01\x00\x00\x00\x01",  # one bucket, none there
        b"\x01\x00\x00\x00\x01\xff\xff\xff\x7f\x02",  # beyond the last
        b"\x02\x00\x00\x00\x01\x00\xff\xff\xff\x7f",  # half a gigabyte of pairs
        b"\x01\x00\x00\x00" + b"\xff" * 9 + b"\x01",  # more buckets than there are
        b"\x00\x00",  # something behind
        b"\x01" + b"\xff" * 11,  # a number without end
    ],
)
def test_bad_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"histogram|number"):
        Histogram.decode(data)


@given(st.integers(-(1 << 62), 1 << 62))
def test_numbers_survive(value: int) -> None:
    out = bytearray()
    put_signed(out, value)
    assert take_signed(bytes(out), 0) == (value, len(out))
    out.clear()
    put(out, abs(value))
    assert take(bytes(out), 0) == (abs(value), len(out))


def test_a_copy_is_its_own() -> None:
    first = histogram([1, 2, 3])
    second = first.copy()
    second.record(4)
    assert first.count == 3 and second.count == 4
    assert first != second and not Histogram() and math.isclose(second.mean, 2.5e-6)
