"""Intervals: of a share, of a percentile, of a rate, and of the difference of two of them.

A single number of a run is an accident of that run. Every function here gives a `Span`, the value
and the limits within which it lies with the confidence that `z` stands for.

- shares: Wilson; their difference: Newcombe's method 10 (from the two Wilson intervals)
- percentiles: ranks between which the percentile lies by the binomial distribution, so nothing is
  assumed about the latencies; the limits are the outer ends of the histogram's buckets
- rates: the mean of batches of seconds, with the spread between neighbouring batches, so that a
  ramp that both runs follow does not count as noise
- a difference of two such numbers: MOVER (Zou and Donner), which needs only their intervals

Calls of one second share their fate (a pause, a lock). `scatter` measures by how much their counts
vary more than chance alone would make them; a share of n calls is then worth n / scatter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import attrs

from rascal.histogram import Histogram, bounds

BLOCKS = (2, 10)
"""Seconds that are taken together to see whether they vary more than by chance."""
FEWEST = 8
"""Blocks that are needed for it."""
BATCHES = 20
EXACT = 2000
"""Up to so many calls the binomial distribution is added up, beyond it is nearly normal."""

Counts = Sequence[tuple[int, int]]
"""(k, n) of each second."""


@attrs.frozen
class Span:
    """A value, and where it lies."""

    value: float
    low: float
    high: float


def z_of(confidence: float, questions: int = 1) -> float:
    """For two-sided intervals that all hold together (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2 / max(1, questions))


def scatter(counts: Counts) -> float:
    """How much more than by chance the shares of blocks of seconds differ; 1 at least."""
    found = 1.0
    for size in BLOCKS:
        blocks = [
            (sum(k for k, _ in counts[at : at + size]), sum(n for _, n in counts[at : at + size]))
            for at in range(0, len(counts) - size + 1, size)
        ]
        blocks = [(k, n) for k, n in blocks if n]
        if len(blocks) < FEWEST:
            continue
        p = (sum(k for k, _ in blocks) + 0.5) / (sum(n for _, n in blocks) + 1)
        squares = sum((k - n * p) ** 2 / (n * p * (1 - p)) for k, n in blocks)
        found = max(found, squares / (len(blocks) - 1))
    return found


def wilson(k: float, n: float, z: float, phi: float = 1.0) -> Span:
    """The share k of n."""
    if n <= 0:
        return Span(0.0, 0.0, 1.0)
    p, n = k / n, n / phi
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    low = 0.0 if k <= 0 else max(0.0, centre - half)
    return Span(p, low, 1.0 if p >= 1 else min(1.0, centre + half))


def difference(before: Span, after: Span) -> Span:
    """after - before, by MOVER; of two Wilson intervals it is Newcombe's method 10."""
    value = after.value - before.value
    low = math.hypot(after.value - after.low, before.high - before.value)
    high = math.hypot(after.high - after.value, before.value - before.low)
    return Span(value, value - low, value + high)


def ratio(before: Span, after: Span) -> Span:
    """after / before, by MOVER-R; without limit where `before` may be 0."""
    x, y = after.value, before.value
    if y <= 0:
        return Span(math.inf if x > 0 else math.nan, 0.0, math.inf)

    def limit(of_x: float, of_y: float, sign: int) -> float:
        below = of_y * (2 * y - of_y)
        if below <= 0:
            return 0.0 if sign < 0 else math.inf
        root = (x * y) ** 2 - of_x * of_y * (2 * x - of_x) * (2 * y - of_y)
        return (x * y + sign * math.sqrt(max(0.0, root))) / below

    return Span(
        x / y, max(0.0, limit(after.low, before.high, -1)), limit(after.high, before.low, 1)
    )


def percentile(histogram: Histogram, share: float, z: float, phi: float = 1.0) -> Span | None:
    """The percentile in seconds; None if there are too few calls to bound it on both sides."""
    n = histogram.count
    worth = int(n / phi)
    if worth < 1:
        return None
    ranks = _ranks(worth, share / 100, z)
    if ranks is None:
        return None
    # A rank of the few calls that these are worth, as a rank of those that there are.
    low_rank = max(1, math.floor((ranks[0] - 1) * n / worth) + 1)
    high_rank = min(n, math.ceil(ranks[1] * n / worth))
    return Span(
        histogram.percentile(share),
        max(_at(histogram, low_rank)[0], histogram.least) / 1e6,
        min(_at(histogram, high_rank)[1], histogram.most) / 1e6,
    )


def _ranks(n: int, q: float, z: float) -> tuple[int, int] | None:
    """Ranks between which the quantile lies: at most half the error probability on either side."""
    error = 1 - NormalDist().cdf(z)
    if q**n > error or (1 - q) ** n > error:
        return None
    if n > EXACT:
        half = z * math.sqrt(n * q * (1 - q))
        low, high = math.floor(n * q - half - 0.5), math.ceil(n * q + half + 0.5) + 1
        return (low, high) if low >= 1 and high <= n else None
    below, low, high = 0.0, 0, 0
    for k in range(n + 1):
        # `below` is the chance that fewer than k calls lie under the quantile.
        if below <= error:
            low = k
        if below >= 1 - error:
            high = k
            break
        below += _chance(n, q, k)
    return (low, high) if low >= 1 and high else None


def _chance(n: int, q: float, k: int) -> float:
    return math.exp(
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(q)
        + (n - k) * math.log1p(-q)
    )


def _at(histogram: Histogram, rank: int) -> tuple[int, int]:
    """The bounds of the bucket with the call of that rank, microseconds."""
    reached, index = 0, 0
    for index in sorted(histogram.buckets):
        reached += histogram.buckets[index]
        if reached >= rank:
            break
    return bounds(index)


def mean_rate(counts: Sequence[int], z: float) -> Span | None:
    """Events a second, of the counts of seconds; None if there are too few seconds."""
    size = max(1, len(counts) // BATCHES)
    batches = [sum(counts[at : at + size]) / size for at in range(0, len(counts) - size + 1, size)]
    if len(batches) < FEWEST:
        return None
    mean = sum(counts) / len(counts)
    pairs = len(batches) - 1
    spread = sum((b - a) ** 2 for a, b in pairwise(batches)) / (2 * pairs)
    half = student(z, 2 * pairs / 3) * math.sqrt(spread / len(batches))
    return Span(mean, max(0.0, mean - half), mean + half)


def student(z: float, degrees: float) -> float:
    """The quantile of Student's t that belongs to the normal quantile z (Cornish and Fisher)."""
    v = degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
