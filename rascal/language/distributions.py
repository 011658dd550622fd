"""Distributions of durations: how they are written, and how they are drawn from.

    2s                                  always
    1s..3s                              uniform
    normal(800ms, 100ms)                mean and standard deviation, cut off at 0
    exponential(200ms)                  mean
    pareto(100ms, 1.5)                  minimum and shape
    lognormal(80ms, 400ms)              median and 95th percentile
    one_of(10ms, 10ms, 5s)              each equally likely
    percentiles(p50=20ms, p95=180ms)    straight lines between; from `min` (0) to `max` (the last)

Every draw turns one uniform number into a quantile, so it is reproducible and a larger number
never gives a shorter delay. `max=30s` caps any of them; those without an upper end are capped at
ten minutes unless told otherwise.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import erfc, exp, inf, log, pi, sqrt

from rascal.language.reader import NAME, READERS, Reader
from rascal.language.values import Draw, Quantity, Range

CAP = 600.0
"""Seconds at which a distribution without an upper end is cut, unless it says `max`."""

LANE = 1
"""The lane of the uniform number that a draw uses."""

PARAMETERS: dict[str, dict[str, str]] = {
    "uniform": {"from": "duration", "to": "duration"},
    "normal": {"mean": "duration", "sd": "duration"},
    "exponential": {"mean": "duration"},
    "pareto": {"min": "duration", "shape": "number"},
    "lognormal": {"median": "duration", "p95": "duration"},
    "one_of": {},
    "percentiles": {},
}
"""The parameters of each distribution, in the order in which they may stand without a name."""

_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,4})?)")
_Z95 = 1.6448536269514722


# ---- reading


def read_distribution(r: Reader) -> Quantity | Range | Draw:
    """A duration, a range of durations, or NAME(parameters)."""
    start, found = r.at, NAME.match(r.text, r.at)
    if not found:
        value: Quantity | Range = r.quantity("duration", span=True)
        return value
    name = r.known("distribution", tuple(PARAMETERS), found[0], start)
    r.at = found.end()
    table = PARAMETERS[name]
    if not r.take("("):
        raise r.fail(
            f"{name} needs its values in parentheses: {name}({', '.join(table) or '…'})", start
        )
    given: dict[str, Quantity] = {}
    for at, key in r.arguments(closed=True):
        if key is None:
            key = (
                str(len(given))
                if name == "one_of"
                else next((free for free in table if free not in given), "")
            )
        elif name == "one_of" and key != "max":
            key = ""
        if not key or key in given or not _takes(name, key):
            takes = ", ".join(table) or ("p50=…, p95=…, min" if name == "percentiles" else "times")
            raise r.fail(f"{name} takes {takes} and max, each once", at)
        r.space()
        given[key] = r.quantity(table.get(key, "duration"))
    return _checked(r, name, given, start)


READERS["distribution"] = read_distribution


def _takes(name: str, key: str) -> bool:
    if key == "max" or key in PARAMETERS[name] or (name == "one_of" and key.isdigit()):
        return True
    if name != "percentiles":
        return False
    found = _PERCENTILE.fullmatch(key)
    return key == "min" or (found is not None and float(found[1]) > 0)


def _checked(r: Reader, name: str, given: dict[str, Quantity], start: int) -> Range | Draw:
    """The draw with its parameters in canonical order, if they make sense together."""
    table = PARAMETERS[name]
    lacks = [key for key in table if key not in given]
    if not table and not set(given) - {"min", "max"}:
        lacks = ["its values"]
    if lacks:
        raise r.fail(f"{name} lacks {' and '.join(lacks)}", start)
    further = sorted(set(given) - set(table), key=_rank)
    ordered = {key: given[key] for key in (*table, *further)}
    seconds = {key: float(value.value) for key, value in ordered.items()}
    if name == "percentiles":
        if len({_rank(key) for key in ordered}) < len(ordered):
            raise r.fail("each percentile stands once", start)
        values = list(seconds.values())
        if values != sorted(values):
            raise r.fail("percentiles must grow: a higher one cannot be shorter", start)
    if name == "uniform":
        if seconds["from"] > seconds["to"]:
            raise r.fail("the range runs backwards", start)
        if "max" not in given:
            return Range(ordered["from"], ordered["to"])
    if name == "lognormal" and not 0 < seconds["median"] <= seconds["p95"]:
        raise r.fail("lognormal takes a median above 0, then a 95th percentile not below it", start)
    if name == "pareto" and not (seconds["min"] > 0 and seconds["shape"] > 0):
        raise r.fail("pareto takes a minimum and a shape above 0", start)
    draw = Draw(name, tuple(ordered.items()))
    centre = next(iter(seconds.values()))
    if name not in _BOUNDED and centre > seconds.get("max", CAP):
        cap = "its max" if "max" in given else "10m, where draws are cut unless it says max=…"
        raise r.fail(f"every usual draw of this {name} would be above {cap}", start)
    return draw


def _rank(key: str) -> tuple[bool, bool, Fraction]:
    """min, then values or percentiles as they grow, then max."""
    return (key == "max", key != "min", Fraction(key.lstrip("pminax") or 0))


# ---- drawing


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    seconds: float

    def sample(self, uniform: Callable[[int], float]) -> float:
        """The duration; draws nothing."""
        return self.seconds

    def mean(self) -> float:
        """The duration."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything from `low` to `high`, capped."""

    low: float
    high: float
    cap: float = inf

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        return min(self.low + (self.high - self.low) * uniform(LANE), self.cap)

    def mean(self) -> float:
        """The expected duration, cap included."""
        if self.cap >= self.high or self.high == self.low:
            return min((self.low + self.high) / 2, self.cap)
        if self.cap <= self.low:
            return self.cap
        below = (self.cap - self.low) / (self.high - self.low)
        return below * (self.low + self.cap) / 2 + (1 - below) * self.cap


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with `mu` and `sd`, cut off at 0 (the rest shares what is cut), capped."""

    mu: float
    sd: float
    cap: float = CAP

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        if not self.sd:
            return min(self.mu, self.cap)
        below = normal_cdf(-self.mu / self.sd)
        share = below + uniform(LANE) * (1 - below)
        return max(0.0, min(self.mu + self.sd * normal_quantile(share), self.cap))

    def mean(self) -> float:
        """The expected duration, cut and cap included."""
        if not self.sd:
            return min(self.mu, self.cap)
        low, high = -self.mu / self.sd, (self.cap - self.mu) / self.sd
        inside = self.mu * (normal_cdf(high) - normal_cdf(low))
        inside += self.sd * (_density(low) - _density(high))
        return (inside + self.cap * normal_cdf(-high)) / normal_cdf(-low)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential with its mean, capped."""

    average: float
    cap: float = CAP

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        return min(-self.average * log(1 - uniform(LANE)), self.cap)

    def mean(self) -> float:
        """The expected duration, cap included."""
        return self.average * (1 - exp(-self.cap / self.average)) if self.average else 0.0


@dataclass(frozen=True, slots=True)
class Pareto:
    """Pareto from `low` on with `shape`, capped: small shapes have long tails."""

    low: float
    shape: float
    cap: float = CAP

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        exponent = -log(1 - uniform(LANE)) / self.shape
        return self.cap if exponent > 700 else min(self.low * exp(exponent), self.cap)

    def mean(self) -> float:
        """The expected duration, cap included."""
        if self.cap <= self.low:
            return self.cap
        ratio = log(self.cap / self.low)
        if abs(self.shape - 1) < 1e-9:
            return self.low * (1 + ratio)
        return self.low * (1 + (exp(ratio * (1 - self.shape)) - 1) / (1 - self.shape))


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal by its median and 95th percentile, capped."""

    median: float
    p95: float
    cap: float = CAP

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        sigma = log(self.p95 / self.median) / _Z95
        exponent = sigma * normal_quantile(max(uniform(LANE), 1e-300))
        return self.cap if exponent > 700 else min(self.median * exp(exponent), self.cap)

    def mean(self) -> float:
        """The expected duration, cap included."""
        sigma = log(self.p95 / self.median) / _Z95
        if not sigma:
            return min(self.median, self.cap)
        edge = log(self.cap / self.median) / sigma
        return self.median * exp(sigma * sigma / 2) * normal_cdf(
            edge - sigma
        ) + self.cap * normal_cdf(-edge)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some durations, each equally likely, capped."""

    seconds: tuple[float, ...]
    cap: float = inf

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        return min(self.seconds[int(uniform(LANE) * len(self.seconds))], self.cap)

    def mean(self) -> float:
        """The expected duration, cap included."""
        return sum(min(value, self.cap) for value in self.seconds) / len(self.seconds)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Straight lines between (share, seconds) points; the first share is 0, the last 1."""

    shares: tuple[float, ...]
    seconds: tuple[float, ...]

    def sample(self, uniform: Callable[[int], float]) -> float:
        """A duration in seconds."""
        share = uniform(LANE)
        after = min(bisect_right(self.shares, share), len(self.shares) - 1)
        low, high = self.shares[after - 1], self.shares[after]
        first, last = self.seconds[after - 1], self.seconds[after]
        return first + (last - first) * (share - low) / (high - low)

    def mean(self) -> float:
        """The expected duration."""
        points = list(zip(self.shares, self.seconds, strict=True))
        return sum(
            (high - low) * (first + last) / 2
            for (low, first), (high, last) in itertools.pairwise(points)
        )


Distribution = Constant | Uniform | Normal | Exponential | Pareto | Lognormal | OneOf | Percentiles
_BOUNDED = ("uniform", "one_of", "percentiles")


def distribution(value: Quantity | Range | Draw) -> Distribution:
    """What a written distribution draws from."""
    if isinstance(value, Quantity):
        return Constant(float(value.value))
    if isinstance(value, Range):
        return Uniform(float(value.low.value), float(value.high.value))
    given = {key: float(quantity.value) for key, quantity in value.values}
    if value.name == "percentiles":
        low, high = given.pop("min", 0.0), given.pop("max", max(given.values()))
        points = {0.0: low} | {float(key[1:]) / 100: at for key, at in given.items()} | {1.0: high}
        return Percentiles(tuple(points), tuple(points.values()))
    cap = given.pop("max", inf if value.name in _BOUNDED else CAP)
    if value.name == "one_of":
        return OneOf(tuple(given.values()), cap)
    make: Callable[..., Distribution] = {
        "uniform": Uniform,
        "normal": Normal,
        "exponential": Exponential,
        "pareto": Pareto,
        "lognormal": Lognormal,
    }[value.name]
    return make(*given.values(), cap)


def normal_cdf(z: float) -> float:
    """The share of a standard normal distribution below z."""
    return erfc(-z / sqrt(2)) / 2


def _density(z: float) -> float:
    return exp(-z * z / 2) / sqrt(2 * pi)


def normal_quantile(share: float) -> float:
    """The inverse of normal_cdf: Acklam's approximation and one step of Halley's method.

    P. J. Acklam, "An algorithm for computing the inverse normal cumulative distribution
    function" (2003); with the step its relative error is about 1e-15.
    """
    share = min(max(share, 1e-300), 1 - 1e-16)
    if share < 0.02425:
        z = _tail(sqrt(-2 * log(share)))
    elif share > 1 - 0.02425:
        z = -_tail(sqrt(-2 * log(1 - share)))
    else:
        q = share - 0.5
        r = q * q
        top = ((((_A[0] * r + _A[1]) * r + _A[2]) * r + _A[3]) * r + _A[4]) * r + _A[5]
        low = ((((_B[0] * r + _B[1]) * r + _B[2]) * r + _B[3]) * r + _B[4]) * r + 1
        z = top * q / low
    if abs(z) > 8:
        return z
    step = (normal_cdf(z) - share) / _density(z)
    return z - step / (1 + z * step / 2)


def _tail(q: float) -> float:
    top = ((((_C[0] * q + _C[1]) * q + _C[2]) * q + _C[3]) * q + _C[4]) * q + _C[5]
    return top / ((((_D[0] * q + _D[1]) * q + _D[2]) * q + _D[3]) * q + 1)


_A = (
    -39.69683028665376,
    220.9460984245205,
    -275.9285104469687,
    138.357751867269,
    -30.66479806614716,
    2.506628277459239,
)
_B = (
    -54.47609879822406,
    161.5858368580409,
    -155.6989798598866,
    66.80131188771972,
    -13.28068155288572,
)
_C = (
    -0.007784894002430293,
    -0.3223964580411365,
    -2.400758277161838,
    -2.549732539343734,
    4.374664141464968,
    2.938163982698783,
)
_D = (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416)
