"""Runs over each other: curves, measures, what differs, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_process import PanelProcess
from stored_runs import Browser, filled

from rascal.panel.columns import COLUMNS
from rascal.panel.comparing import curves, step_for

PLACE = {name: at for at, name in enumerate(COLUMNS)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("compare")
    runs = filled(folder)
    panel = PanelProcess(folder, nodes="main=http://127.0.0.1:9")
    panel.start()
    try:
        yield Browser(panel), runs
    finally:
        panel.stop()


def row(t: int, **given: float) -> list[Any]:
    found: list[Any] = [0.0] * len(COLUMNS)
    found[0] = t
    for name, value in given.items():
        found[PLACE[name]] = value
    return found


def test_points_are_averages_and_the_slowest_second() -> None:
    rows = [
        row(0, offered=10, good=8, shed=2, p95=5.0, in_flight=1, attempts=1),
        row(1, offered=10, good=4, timeout=6, p95=90.0, in_flight=3, attempts=2),
        row(2, offered=10, good=10, p95=7.0, in_flight=1, attempts=1),
        row(3),
    ]
    assert curves(rows, 2) == [
        [0, 6.0, 4.0, 90.0, 2.0, 1.5],
        [2, 10.0, 0.0, 7.0, 1.0, 1.0],  # second 3 had no load any more
    ]
    assert curves([], 1) == []


@pytest.mark.parametrize(
    ("lengths", "step"), [([90, 1200], 1), ([1201], 2), ([3600, 90], 5), ([86_400], 120), ([], 1)]
)
def test_a_long_run_shares_points(lengths: list[int], step: int) -> None:
    assert step_for(lengths) == step


@pytest.mark.integration
def test_curves_are_aligned_at_the_fault(place: Any) -> None:
    browser, runs = place
    pair = f"{runs['degraded']},{runs['resilient']}"
    status, found = browser.panel.call("GET", f"/api/v1/compare?runs={pair}")
    assert status == 200, found
    assert found["order"] == [runs["degraded"], runs["resilient"]]
    one = found["runs"][runs["degraded"]]
    assert one["zero"] == pytest.approx(30, abs=1.5)
    assert [fault["id"] for fault in one["faults"]] == ["A", "B"]
    assert [phase["kind"] for phase in one["phases"]][:3] == ["warm-up", "baseline", "fault"]
    struck = [point for point in one["rows"] if one["zero"] + 1 <= point[0] < one["zero"] + 10]
    before = [point for point in one["rows"] if 10 <= point[0] < 28]
    failed = found["columns"].index("failed")
    assert sum(point[failed] for point in struck) > 10 * sum(point[failed] for point in before)
    kept = next(one for one in found["measures"] if one["name"] == "Goodput kept")
    assert kept["cells"][1]["arrow"] == "up"
    objectives = [one for one in found["measures"] if one.get("objective")]
    assert {cell["change"] for one in objectives for cell in one["cells"] if "change" in cell} == {
        "✗ → ✓"
    }


@pytest.mark.integration
def test_experiments_are_compared_with_their_ranges(place: Any) -> None:
    browser, runs = place
    pair = f"{runs['degraded']},{runs['resilient']}"
    status, found = browser.panel.call("GET", f"/api/v1/compare/differences?runs={pair}")
    assert status == 200, found
    orders = next(one for one in found["rows"] if one["flow"] == "orders")
    assert orders["cells"][1]["change"].startswith("better by ")
    assert orders["cells"][1]["tone"] == "ok"
    differs = found["differs"][runs["resilient"]]
    assert "Degraded before, resilient after" in differs["sentence"]
    assert [one["what"] for one in differs["settings"]] == ["seed"]


@pytest.mark.integration
def test_load_runs_are_compared_flow_by_flow(place: Any) -> None:
    browser, runs = place
    three = f"{runs['quick']},{runs['slow']},{runs['strange']}"
    status, found = browser.panel.call("GET", f"/api/v1/compare/differences?runs={three}")
    assert status == 200, found
    cells = {one["name"]: one["cells"] for one in found["rows"] if one["flow"] == "front"}
    assert cells["served"][0]["text"] == "100 %"
    assert cells["served"][1]["text"] == "90 %"
    assert cells["served"][1]["tone"] == "bad"
    assert cells["p50"][1]["change"].startswith("worse by ")
    assert cells["p50"][2]["change"] == "no difference seen"
    assert set(found["differs"]) == {runs["slow"], runs["strange"]}
    status, found = browser.panel.call("GET", f"/api/v1/compare?runs={three}")
    assert found["runs"][runs["quick"]]["zero"] == 0


@pytest.mark.integration
def test_the_page_says_who_is_held_against_whom(place: Any) -> None:
    browser, runs = place
    one, other = runs["degraded"], runs["resilient"]
    page = browser.page(f"/compare?runs={one},{other}")
    assert f'href="/compare?runs={other},{one}">Swap</a>' in page
    assert f'href="/compare/report.html?runs={one},{other}">Report</a>' in page
    assert f"#{other} is held against #{one}" in " ".join(page.split())
    both = browser.page(f"/compare?runs={runs['quick']},{runs['slow']}")
    assert "/compare/report.html" not in both


@pytest.mark.integration
def test_what_cannot_be_compared(place: Any) -> None:
    browser, runs = place
    one = runs["quick"]
    for query in ("", "?runs=", f"?runs={one}", f"?runs={one},{one}", "?runs=1,2,3,4,5,6"):
        assert "Which runs?" in browser.page(f"/compare{query}")
        assert browser.get(f"/api/v1/compare{query}")[0] == 422
    assert browser.get(f"/compare?runs={one},999")[0] == 404
    assert browser.get(f"/api/v1/compare/differences?runs={one},999")[0] == 404
