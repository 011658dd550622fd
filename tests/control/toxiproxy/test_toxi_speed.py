"""The compatible API is fast enough to be used in every test of a suite.

Bounds are several times those of benchmarks/toxiproxy.py, which measures properly: a busy machine
is no finding, something quadratic is.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "benchmarks" / "toxiproxy.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarks_toxiproxy", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_toxic_and_ten_thousand() -> None:
    benchmark = load()
    with benchmark.servers() as (toxi, bare):
        one = benchmark.single(toxi, bare, 300)
        many = benchmark.many(toxi, 1000)
    for what in ("set up", "removed"):
        assert one[f"{what}, median, ms"] < 8, one
        assert one[f"{what}, p99, ms"] < 100, one
        assert one[f"{what}, in bare routes"] < 4, one
    assert many["1000 proxies populated, s"] < 8, many
    assert many["toxics a second"] > 125, many
    assert many["10000 toxics listed, ms"] < 1200, many
    assert many["all reset, s"] < 4, many
