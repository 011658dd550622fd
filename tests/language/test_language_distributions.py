"""Distributions: their quantiles, their means, and their reproducibility."""

from __future__ import annotations

from statistics import NormalDist, fmean

import pytest

from rascal.language import parse, plain
from rascal.language.distributions import Distribution, normal_quantile

GRID = 20_000


def made(text: str) -> Distribution:
    found: Distribution = plain(parse("distribution", text), "distribution")
    return found


def quantile(text: str, share: float) -> float:
    return made(text).sample(lambda lane: share)


CASES = [
    "2s",
    "1s..3s",
    "uniform(1s, 3s, max=2s)",
    "uniform(2s, 3s, max=1s)",
    "normal(800ms, 100ms)",
    "normal(50ms, 100ms)",
    "normal(100ms, 50ms, max=120ms)",
    "normal(100ms, 0)",
    "exponential(200ms)",
    "exponential(200ms, max=300ms)",
    "pareto(100ms, 1.5, max=30s)",
    "pareto(100ms, 1, max=2s)",
    "lognormal(80ms, 400ms)",
    "lognormal(80ms, 400ms, max=200ms)",
    "lognormal(80ms, 80ms)",
    "one_of(10ms, 10ms, 5s)",
    "one_of(10ms, 5s, max=1s)",
    "percentiles(p50=20ms, p95=180ms, p99=1.2s)",
    "percentiles(min=10ms, p50=20ms, max=2s)",
]


@pytest.mark.parametrize("text", CASES)
def test_the_mean_is_that_of_the_draws(text: str) -> None:
    drawn = made(text)
    shares = [(index + 0.5) / GRID for index in range(GRID)]
    samples = [drawn.sample(lambda lane, share=share: share) for share in shares]
    assert fmean(samples) == pytest.approx(drawn.mean(), rel=0.02)
    assert samples == sorted(samples) or text.startswith("one_of")
    assert min(samples) >= 0


@pytest.mark.parametrize(
    ("text", "share", "seconds"),
    [
        ("2s", 0.3, 2),
        ("1s..3s", 0.5, 2),
        ("normal(800ms, 100ms)", 0.5, 0.8),
        ("normal(800ms, 100ms)", 0.975, 0.995996),
        ("normal(0, 100ms)", 0.0, 0),
        ("exponential(200ms)", 0.5, 0.138629),
        ("pareto(100ms, 1.5)", 0.0, 0.1),
        ("pareto(100ms, 1.5)", 0.9999, 46.4159),
        ("pareto(100ms, 0.01)", 0.99, 600),
        ("exponential(9m)", 0.999, 600),
        ("exponential(9m, max=1h)", 0.9, 1243.3959),
        ("lognormal(80ms, 400ms)", 0.5, 0.08),
        ("lognormal(80ms, 400ms)", 0.95, 0.4),
        ("lognormal(80ms, 400ms)", 0.0, 0),
        ("one_of(10ms, 20ms, 5s)", 0.0, 0.01),
        ("one_of(10ms, 20ms, 5s)", 0.999999, 5),
        ("percentiles(p50=20ms, p95=180ms)", 0.0, 0),
        ("percentiles(p50=20ms, p95=180ms)", 0.5, 0.02),
        ("percentiles(p50=20ms, p95=180ms)", 0.725, 0.1),
        ("percentiles(p50=20ms, p95=180ms)", 0.99, 0.18),
        ("percentiles(p50=20ms, p95=180ms, max=1180ms)", 0.975, 0.68),
        ("percentiles(min=10ms, p50=20ms)", 0.25, 0.015),
        ("11m..20m", 0.5, 930),
    ],
)
def test_quantiles(text: str, share: float, seconds: float) -> None:
    assert quantile(text, share) == pytest.approx(seconds, rel=1e-4, abs=1e-9)


def test_normal_quantile_against_the_standard_library() -> None:
    exact = NormalDist()
    for share in (1e-12, 1e-5, 0.01, 0.02425, 0.3, 0.5, 0.7, 0.97575, 0.999, 1 - 1e-9):
        assert normal_quantile(share) == pytest.approx(exact.inv_cdf(share), rel=1e-9, abs=1e-12)
