"""From values to places: ticks that people like, linear and logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import attrs

_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds between ticks of a time axis."""


@attrs.frozen(kw_only=True)
class Scale:
    """Places values between 0 and 1."""

    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] = ()

    def place(self, value: float) -> float:
        """Where it lies; what lies outside is put on the edge."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(max(one, 1e-12)) for one in (value, low, high))
        if high <= low:
            return 0.0
        return min(1.0, max(0.0, (value - low) / (high - low)))


def linear(values: Sequence[float], *, least_top: float = 0.0, ticks: int = 4) -> Scale:
    """From 0 to a round number above all values."""
    top = max((*values, least_top))
    if top <= 0:
        top = 1.0
    step = nice(top / ticks)
    count = math.ceil(top / step - 1e-9)
    return Scale(
        low=0.0, high=count * step, ticks=tuple(round(at * step, 12) for at in range(count + 1))
    )


def logarithmic(values: Sequence[float]) -> Scale:
    """Between round numbers around all values above 0."""
    there = [one for one in values if one > 0]
    if not there:
        return Scale(low=0.001, high=1.0, log=True, ticks=(0.001, 0.01, 0.1, 1.0))
    low, high = min(there), max(there)
    decades = math.log10(high / low) if high > low else 0.0
    factors = (1, 2, 5) if decades < 1.7 else (1, 3) if decades < 3 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [
        round(factor * 10.0**power, 12 - power)
        for power in range(first, last + 1)
        for factor in factors
    ]
    below = max((one for one in every if one <= low * 1.0001), default=every[0])
    above = min((one for one in every if one >= high * 0.9999), default=every[-1])
    if above <= below:
        above = next((one for one in every if one > below), below * 10)
    return Scale(
        low=below,
        high=above,
        log=True,
        ticks=tuple(one for one in every if below <= one <= above),
    )


def nice(step: float) -> float:
    """The next number of 1, 2, 2.5, 5 times a power of ten that is not less."""
    power: float = 10.0 ** math.floor(math.log10(step))
    for factor in (1, 2, 2.5, 5):
        if step <= factor * power * 1.0000001:
            return factor * power
    return 10 * power


def time_ticks(first: float, last: float, count: int = 8) -> list[float]:
    """Round times between two, at most `count` and one."""
    span = max(last - first, 1.0)
    step = next((one for one in _TIMES if span / one <= count), 86400 * math.ceil(span / 86400 / 8))
    at = math.ceil(first / step) * step
    found: list[float] = []
    while at <= last:
        found.append(float(at))
        at += step
    return found


def width_of_steps(seconds: float, most: int) -> int:
    """Whole seconds that one point of a plot stands for, so that there are at most so many."""
    for step in _TIMES:
        if seconds / step <= most:
            return step
    return math.ceil(seconds / most)


def spaced(ticks: Sequence[float], scale: Scale, gap: float) -> tuple[float, ...]:
    """Those ticks that lie at least so far apart (a share of the whole)."""
    if len(ticks) < 2 or all(scale.place(b) - scale.place(a) >= gap for a, b in pairwise(ticks)):
        return tuple(ticks)
    found: list[float] = []
    for one in ticks:
        if not found or scale.place(one) - scale.place(found[-1]) >= gap:
            found.append(one)
    return tuple(found)
