"""What pages cost that are left open: the panel's CPU, the browser's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser_place import Place
from browser_viewers import left_open, viewers_cost
from conftest import opened

VIEWERS = 20
SHARE = 0.10
"""Of a core."""
SPEED, REAL = 400, 18.0
"""Two hours of a stream in so many seconds."""
GROWTH = 12e6
"""Bytes: an hour of seconds in columns is under 1 MB; what grows by more holds something back."""


def test_twenty_open_pages_cost_little(place: Place) -> None:
    run = place.load(**{"for": "40s"})
    paths = [f"/api/v1/runs/{run}/events", "/api/v1/events"] * (VIEWERS // 2)
    alone, watched, sent = viewers_cost(place.port, place.panel.pid, paths, 6.0)
    place.ask("POST", f"/api/v1/runs/{run}/stop", {"now": True})
    place.until_ended(run)
    assert sent > 1000, "nobody was told anything"
    assert watched - alone < SHARE, f"{watched:.1%} of a core, {alone:.1%} without them"


@pytest.fixture
def unguarded(browser: Any, place: Place, watch: Any) -> Iterator[Any]:
    """A page whose stream may be replaced."""
    yield from opened(browser, place, watch, bypass_csp=True)


def test_a_page_left_open_does_not_grow(unguarded: Any, place: Place) -> None:
    run = place.load(**{"for": "3s"})
    place.until_ended(run)
    kind, snapshot = next(place.events(f"/api/v1/runs/{run}/events"))
    assert kind == "snapshot"
    for part in ("state", "run"):
        snapshot[part] = {**snapshot[part], "status": "running", "state": "running"}
    found = left_open(unguarded, f"/runs/{run}/live", snapshot, seconds=REAL, speed=SPEED, looks=3)
    (_, first, before), _, (seconds, last, after) = found
    assert seconds > SPEED * REAL / 4, f"only {seconds} seconds came: {found}"
    assert last - first < GROWTH, found
    assert after < 1.2 * before + 500, found
