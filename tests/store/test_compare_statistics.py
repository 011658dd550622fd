"""Intervals: that they cover what they say, in simulations where the truth is known."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.histogram import Histogram
from rascal.store.statistics import (
    Span,
    _ranks,
    difference,
    mean_rate,
    percentile,
    ratio,
    scatter,
    student,
    wilson,
    z_of,
)

Z = z_of(0.95)
ROUNDS = 400
LEAST = 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / ROUNDS)
"""What a true coverage of 95 % falls under once in 4,000 times."""


def covered(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


@pytest.mark.parametrize(("p", "n"), [(0.99, 200), (0.5, 60), (0.02, 400), (0.999, 3000)])
def test_a_share_lies_where_wilson_says(p: float, n: int) -> None:
    draw = random.Random(f"{p} {n}")
    hits = []
    for _ in range(ROUNDS):
        k = sum(draw.random() < p for _ in range(n))
        span = wilson(k, n, Z)
        hits.append(span.low <= p <= span.high)
    assert covered(hits) >= LEAST - 0.02  # Wilson covers 95 % on average over p, not at each


@pytest.mark.parametrize(("p", "q"), [(0.99, 0.99), (0.99, 0.95), (0.5, 0.6), (1.0, 0.98)])
def test_a_difference_of_shares_lies_where_newcombe_says(p: float, q: float) -> None:
    draw = random.Random(f"{p} {q}")
    hits = []
    for _ in range(ROUNDS):
        before, after = (
            wilson(sum(draw.random() < share for _ in range(250)), 250, Z) for share in (p, q)
        )
        span = difference(before, after)
        hits.append(span.low <= q - p <= span.high)
    assert covered(hits) >= LEAST


def test_a_ratio_lies_where_mover_says() -> None:
    draw = random.Random(4)
    hits = []
    for _ in range(ROUNDS):
        before, after = (
            wilson(sum(draw.random() < share for _ in range(250)), 250, Z) for share in (0.99, 0.8)
        )
        span = ratio(before, after)
        hits.append(span.low <= 0.8 / 0.99 <= span.high)
    assert covered(hits) >= LEAST
    assert ratio(Span(0, 0, 0.1), Span(0.5, 0.4, 0.6)).high == math.inf


def test_the_published_example_of_newcombe() -> None:
    # 56/70 against 48/80: Newcombe 1998, table II (a), method 10.
    span = difference(wilson(48, 80, Z), wilson(56, 70, Z))
    assert (round(span.low, 4), round(span.high, 4)) == (0.0524, 0.3339)


@pytest.mark.parametrize(("share", "n"), [(50, 40), (95, 300), (99, 2500), (99, 900)])
def test_a_percentile_lies_between_its_ranks(share: float, n: int) -> None:
    draw = random.Random(n)
    truth = math.exp(NormalDist(9, 1).inv_cdf(share / 100)) / 1e6
    hits = []
    for _ in range(ROUNDS):
        one = Histogram()
        for _ in range(n):
            one.record(round(draw.lognormvariate(9, 1)))
        span = percentile(one, share, Z)
        assert span is not None and span.low <= span.value <= span.high
        hits.append(span.low <= truth <= span.high)
    assert covered(hits) >= LEAST


def test_the_difference_of_percentiles_lies_where_mover_says() -> None:
    draw = random.Random(5)
    truth = [math.exp(NormalDist(middle, 0.7).inv_cdf(0.95)) / 1e6 for middle in (9, 9.2)]
    hits = []
    for _ in range(ROUNDS):
        spans = []
        for middle in (9, 9.2):
            one = Histogram()
            for _ in range(400):
                one.record(round(draw.lognormvariate(middle, 0.7)))
            spans.append(percentile(one, 95, Z))
        span = difference(*spans)  # type: ignore[arg-type]
        hits.append(span.low <= truth[1] - truth[0] <= span.high)
    assert covered(hits) >= LEAST


def test_too_few_calls_bound_no_percentile() -> None:
    one = Histogram()
    for value in range(1, 101):
        one.record(value * 1000)
    assert percentile(one, 50, Z) is not None
    assert percentile(one, 99, Z) is None
    assert percentile(one, 50, Z, phi=50) is None
    assert percentile(Histogram(), 50, Z) is None


@given(st.integers(1, 3000), st.floats(0.01, 0.999), st.floats(1.0, 4.0))
def test_ranks_leave_out_at_most_half_the_error_on_either_side(n: int, q: float, z: float) -> None:
    ranks = _ranks(n, q, z)
    error = 1 - NormalDist().cdf(z)
    if ranks is None:
        return
    low, high = ranks
    assert 1 <= low <= high <= n
    if n <= 2000:
        chances = [
            math.exp(
                math.lgamma(n + 1)
                - math.lgamma(k + 1)
                - math.lgamma(n - k + 1)
                + k * math.log(q)
                + (n - k) * math.log1p(-q)
            )
            for k in range(n + 1)
        ]
        # The k-th smallest call lies above the quantile exactly if fewer than k lie below it.
        assert sum(chances[:low]) <= error + 1e-9
        assert sum(chances[:high]) >= 1 - error - 1e-9


def test_seconds_that_share_their_fate_count_for_less() -> None:
    draw = random.Random(6)
    hits, bare, found = [], [], []
    for _ in range(200):
        counts = []
        for _ in range(60):
            p = draw.choice((0.99, 0.99, 0.99, 0.59))  # every fourth second is bad
            counts.append((sum(draw.random() < p for _ in range(40)), 40))
        k, n = sum(k for k, _ in counts), sum(n for _, n in counts)
        phi = scatter(counts)
        found.append(phi)
        span, naive = wilson(k, n, Z, phi), wilson(k, n, Z)
        hits.append(span.low <= 0.89 <= span.high)
        bare.append(naive.low <= 0.89 <= naive.high)
    assert sum(found) / len(found) > 5
    assert covered(hits) >= 0.89
    assert covered(bare) < 0.7  # what one would claim without


def test_chance_alone_is_no_scatter() -> None:
    draw = random.Random(7)
    found = [
        scatter([(sum(draw.random() < 0.9 for _ in range(40)), 40) for _ in range(60)])
        for _ in range(200)
    ]
    assert sum(found) / len(found) < 1.35
    assert scatter([(1, 2)]) == 1.0


def test_a_rate_lies_where_the_batches_say_also_on_a_ramp() -> None:
    draw = random.Random(8)
    hits, widths = [], []
    for _ in range(ROUNDS):
        counts = []
        for second in range(60):
            expected = 20 + 2 * second
            at, arrivals = draw.expovariate(expected), 0
            while at < 1:
                arrivals += 1
                at += draw.expovariate(expected)
            counts.append(arrivals)
        span = mean_rate(counts, Z)
        assert span is not None
        hits.append(span.low <= 79 <= span.high)
        widths.append(span.high - span.low)
    assert covered(hits) >= LEAST
    assert sum(widths) / len(widths) < 12  # and not so wide as the ramp is high
    assert mean_rate([5] * 7, Z) is None


@pytest.mark.parametrize(("degrees", "expected"), [(5, 2.5706), (10, 2.2281), (30, 2.0423)])
def test_student_is_near_the_tables(degrees: int, expected: float) -> None:
    assert student(Z, degrees) == pytest.approx(expected, rel=0.004)


@given(st.integers(0, 500), st.integers(1, 500), st.floats(1, 4), st.floats(1, 8))
def test_wilson_holds_its_value_and_stays_a_share(k: int, n: int, z: float, phi: float) -> None:
    k = min(k, n)
    span = wilson(k, n, z, phi)
    assert 0 <= span.low <= span.value <= span.high <= 1


spans = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(
    lambda three: Span(sorted(three)[1], sorted(three)[0], sorted(three)[2])
)


@given(spans, spans)
def test_a_difference_turns_round_with_its_runs(one: Span, other: Span) -> None:
    there, back = difference(one, other), difference(other, one)
    assert there.low <= there.value <= there.high
    assert there.low == pytest.approx(-back.high) and there.high == pytest.approx(-back.low)


def test_many_questions_ask_for_wider_intervals() -> None:
    assert z_of(0.95) == pytest.approx(1.96, abs=0.001)
    assert z_of(0.95, 25) == pytest.approx(3.09, abs=0.01)
