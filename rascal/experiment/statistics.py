"""The judge's instruments. Everything is a share: k of n calls, an interval, a limit, an answer.

Sources: Wilson 1927 (interval of a proportion); Newcombe 2016, MOVER-R, Stat. Methods Med. Res. 25
(ratio of two proportions); McCullagh and Nelder 1989, 4.5 (scatter); Page 1954 and Hinkley 1970
(change points). docs/verdicts.md explains each in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Literal

import attrs

Value = Literal["yes", "no", "unsure"]
YES: Value = "yes"
NO: Value = "no"
UNSURE: Value = "unsure"

_NORMAL = NormalDist()


@attrs.frozen(kw_only=True)
class Finding:
    """One question, its numbers and its answer."""

    question: str
    """In words, with the flow: what was asked, and what was found."""
    answer: Value
    lean: bool
    """What the point estimate says, where the interval is unsure."""
    flow: str = ""
    part: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    calls: int = 0
    scatter: float = 1.0
    first: int | None = None
    """The window, whole seconds of the run; `last` is not in it."""
    last: int | None = None

    def hushed(self) -> Finding:
        """The same, but its unsureness does not count: others speak for it."""
        return attrs.evolve(self, answer=NO, lean=False)


def quantile(sure: float, tests: int = 1) -> float:
    """z of a one-sided confidence, shared among `tests` (Bonferroni)."""
    return _NORMAL.inv_cdf(1 - (1 - sure) / max(1, tests))


def wilson(k: float, n: float, z: float) -> tuple[float, float]:
    """The interval of a proportion; 0..1 without calls."""
    if n <= 0:
        return 0.0, 1.0
    p, zz = k / n, z * z / n
    half = z * math.sqrt(p * (1 - p) / n + zz / (4 * n))
    return max(0.0, (p + zz / 2 - half) / (1 + zz)), min(1.0, (p + zz / 2 + half) / (1 + zz))


def kept(
    k1: float, n1: float, k0: float, n0: float, z: float, scatter: float = 1.0
) -> tuple[float, float, float]:
    """p1 / p0 with its limits: MOVER-R from two Wilson intervals on n / scatter calls."""
    if n1 <= 0 or k0 <= 0:
        return 1.0, 0.0, 2.0
    p1, p0 = k1 / n1, k0 / n0
    l1, u1 = wilson(k1 / scatter, n1 / scatter, z)
    l0, u0 = wilson(k0 / scatter, n0 / scatter, z)
    mid = p1 * p0
    low = mid - math.sqrt(max(0.0, mid * mid - l1 * u0 * (2 * p1 - l1) * (2 * p0 - u0)))
    high = mid + math.sqrt(max(0.0, mid * mid - u1 * l0 * (2 * p1 - u1) * (2 * p0 - l0)))
    lowest, highest = u0 * (2 * p0 - u0), l0 * (2 * p0 - l0)
    return p1 / p0, max(0.0, low / lowest), high / highest if highest > 0 else math.inf


def below(part: float, low: float, high: float, limit: float) -> tuple[Value, bool]:
    """Is it under the limit?"""
    return (YES if high < limit else NO if low >= limit else UNSURE), part < limit


def above(part: float, low: float, high: float, limit: float) -> tuple[Value, bool]:
    """Is it over the limit?"""
    return (YES if low > limit else NO if high <= limit else UNSURE), part > limit


def any_of(found: Iterable[Finding]) -> tuple[Value, bool]:
    """Yes if one is, no if all are."""
    all_ = list(found)
    if any(one.answer == YES for one in all_):
        value: Value = YES
    else:
        value = NO if all(one.answer == NO for one in all_) else UNSURE
    return value, any(one.lean and one.answer != NO for one in all_)


def all_of(found: Iterable[tuple[Value, bool]]) -> tuple[Value, bool]:
    """No if one is, yes if all are."""
    all_ = list(found)
    if any(value == NO for value, _ in all_):
        value = NO
    else:
        value = YES if all(one == YES for one, _ in all_) else UNSURE
    return value, all(lean for _, lean in all_)


def steady(
    bad: Sequence[int], n: Sequence[int], worst: float = 0.25
) -> tuple[list[int], list[int]]:
    """Without the worst quarter of the seconds: a pause is a burst, a slow-down lasts."""
    rows = sorted((b / m, second) for second, (b, m) in enumerate(zip(bad, n, strict=True)) if m)
    keep = sorted(second for _, second in rows[: len(rows) - int(worst * len(rows))])
    return [bad[second] for second in keep], [n[second] for second in keep]


def calmed(bad: Sequence[int], n: Sequence[int], reach: int = 2) -> list[float]:
    """The running median of the share over five seconds: bursts go, edges stay."""
    found: list[float] = []
    for second, calls in enumerate(n):
        near = sorted(
            bad[at] / n[at]
            for at in range(max(0, second - reach), min(len(n), second + reach + 1))
            if n[at]
        )
        found.append(calls * near[len(near) // 2] if near else 0.0)
    return found


def scatter(bad: Sequence[int], n: Sequence[int], most: float = 8.0) -> float:
    """How much more counts scatter than independent calls would (chi² a degree, over pairs)."""
    bads = [sum(bad[at : at + 2]) for at in range(0, len(bad) - 1, 2)]
    calls = [sum(n[at : at + 2]) for at in range(0, len(n) - 1, 2)]
    p = (sum(bads) + 0.5) / (sum(calls) + 1)
    chi = sum((b - m * p) ** 2 / (m * p * (1 - p)) for b, m in zip(bads, calls, strict=True) if m)
    return min(most, max(1.0, chi / max(1, len(calls) - 1)))


def last_bad(
    bad: Sequence[float], n: Sequence[int], p0: float, scattered: float, evidence: float
) -> int:
    """The likeliest change from bad to good: seconds that were bad; 0 unless it is believed."""
    p0 = min(max(p0, 0.005), 0.5)
    p1 = p0 + 0.15
    worse, better = math.log(p1 / p0), math.log((1 - p1) / (1 - p0))
    total = best = 0.0
    found = 0
    for second, (b, m) in enumerate(zip(bad, n, strict=True)):
        total += (b * worse + (m - b) * better) / scattered
        if total > best:
            best, found = total, second + 1
    return found if best >= evidence else 0
