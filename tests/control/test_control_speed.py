"""How long the API needs for much: printed, and asserted with room for busy machines."""

from __future__ import annotations

import time
from typing import Any

import pytest

PROXIES, FAULTS = 1000, 10
PROMISED = 300.0
"""Milliseconds, on an idle machine."""


@pytest.fixture
def ini() -> str:
    lines = ["[rascal]", "seed = 1"]
    for n in range(PROXIES):
        lines += [f"[proxy:p{n}]", "protocol = redis", f"listen = 127.0.0.1:{10000 + n}"]
        lines += ["upstream = 127.0.0.1:9", "faults ="]
        lines += [f"    delay {k + 1}s match key^=k{k}: name f{k}" for k in range(FAULTS)]
    return "\n".join(lines) + "\n"


def test_ten_thousand_faults_are_listed(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from asking import Asker

    plain = Asker(ask.site)  # without holding megabytes to the document
    took = {}
    for path in ("proxies", "faults", "counters", "state", "export"):
        began = time.perf_counter()
        found = plain("GET", f"/api/v1/{path}")
        took[path] = (time.perf_counter() - began) * 1000
        assert found.status == 200
    began = time.perf_counter()
    assert plain("POST", "/api/v1/proxies/p0/faults", "hang").status == 201
    took["add"] = (time.perf_counter() - began) * 1000
    with capsys.disabled():
        print(f"\n{PROXIES} proxies with {FAULTS} faults each, ms (promised {PROMISED:g}):")
        for name, milliseconds in took.items():
            print(f"  {name:9} {milliseconds:7.1f}")
    assert max(took[name] for name in ("proxies", "faults", "counters")) < 5 * PROMISED
    assert took["add"] < PROMISED
