"""The history of runs: search, filters, pages, labels, baseline, deleting, the form of a replay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_process import PanelProcess
from stored_runs import STRANGE, Browser, filled

pytestmark = pytest.mark.integration
MANY = 52


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, dict[str, str]]]:
    """A panel whose store has some runs."""
    folder: Path = tmp_path_factory.mktemp("history")
    runs = filled(folder, MANY)
    panel = PanelProcess(folder, nodes="main=http://127.0.0.1:9")
    panel.start()
    try:
        yield Browser(panel), runs
    finally:
        panel.stop()


def rows(page: str) -> list[str]:
    """The runs of the list, in its order."""
    return re.findall(r'<tr data-run="(\d+)"', page)


def test_the_newest_come_first_in_pages_of_fifty(place: Any) -> None:
    browser, runs = place
    first, second = browser.page("/runs"), browser.page("/runs?page=2")
    count = len(runs) + MANY
    assert rows(first) == [str(number) for number in range(count, count - 50, -1)]
    assert rows(second) == [str(number) for number in range(count - 50, 0, -1)]
    assert f"{count} runs, page 1 of 2" in first
    assert 'rel="next" href="/runs?page=2"' in first
    assert 'rel="prev" href="/runs"' in second
    assert rows(browser.page("/runs?page=99")) == rows(second)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("experiment=shop", ["resilient", "degraded"]),
        ("verdict=degraded", ["degraded"]),
        ("verdict=stopped", ["stopped"]),
        ("label=nightly", ["quick"]),
        ("kind=experiment", ["stopped", "resilient", "degraded"]),
        ("kind=load&q=front", ["slow", "quick"]),
        ("q=degr", ["degraded"]),
        ("q=ann", ["quick"]),
        ("q=nightly", ["quick"]),
        ("q=%231", ["degraded"]),
        ("q=%25", []),
        ("q=' OR 1=1 --", []),
        ("experiment=shop&verdict=resilient&kind=experiment", ["resilient"]),
    ],
)
def test_a_search_finds_what_matches_and_nothing_else(
    place: Any, query: str, names: list[str]
) -> None:
    browser, runs = place
    page = browser.page(f"/runs?{query.replace(' ', '%20')}")
    assert rows(page) == [runs[name] for name in names]
    assert ("No run is like that" in page) == (not names)


def test_a_row_tells_verdict_kept_recovery_time_and_who(place: Any) -> None:
    browser, runs = place
    page = browser.page("/runs?experiment=shop")
    row = page.partition(f'<tr data-run="{runs["degraded"]}"')[2].partition("</tr>")[0]
    assert '<span class="word warn">Degraded</span>' in row
    assert '<path class="m" d="M4 10H14L17 26' in row
    assert re.search(r'<td class="r">\d+ %</td>', row)
    assert re.search(r'<td class="r opt">\d+ s</td>', row)
    assert 'data-at="1700000000.0">2023-11-14 22:13 UTC</time>' in row
    assert "on machine" in row
    front = browser.page("/runs?q=front")
    assert ">ann</td>" in front
    assert "Objective missed" in front


def test_the_last_runs_of_an_experiment_stand_in_a_strip(place: Any) -> None:
    browser, _ = place
    page = browser.page("/runs?experiment=shop")
    strip = page.partition('class="card trend"')[2].partition("</section>")[0]
    assert re.search(r"Run 1: degraded, kept \d+ %", strip)
    assert re.search(r"Run 2: resilient, kept \d+ %", strip)
    assert "card trend" not in browser.page("/runs")


def test_markup_in_a_name_stays_text(place: Any) -> None:
    browser, runs = place
    for path in (
        f"/runs?q=%23{runs['strange']}",
        f"/runs/{runs['strange']}/replay",
        f"/compare?runs={runs['quick']},{runs['strange']}",
    ):
        page = browser.page(path)
        assert STRANGE not in page
        assert "&lt;script&gt;alert(&#39;run&#39;)" in page


def test_labels_and_baseline(place: Any) -> None:
    browser, runs = place
    panel: PanelProcess = browser.panel
    one, other = runs["degraded"], runs["resilient"]
    assert panel.call("PUT", f"/api/v1/runs/{one}/baseline", {"on": True})[0] == 200
    assert panel.call("PUT", f"/api/v1/runs/{other}/baseline", {"on": True})[0] == 200
    page = browser.page("/runs?experiment=shop")
    assert page.count(">Baseline<") == 1  # one of a name
    assert f'<tr data-run="{other}"' in page.partition(">Baseline<")[0]
    assert f'<tr data-run="{one}"' not in page.partition(">Baseline<")[0]
    assert panel.call("PUT", f"/api/v1/runs/{other}/baseline", {"on": False})[0] == 200
    assert ">Baseline<" not in browser.page("/runs?experiment=shop")
    assert panel.call("PUT", f"/api/v1/runs/{other}/baseline", {"on": "yes"})[0] == 422
    assert panel.call("PATCH", f"/api/v1/runs/{one}", {"add": ["v2"]})[0] == 200
    assert rows(browser.page("/runs?label=v2")) == [one]


def test_a_deleted_run_is_gone(place: Any) -> None:
    browser, _ = place
    newest = rows(browser.page("/runs?q=many"))[0]
    assert browser.get(f"/runs/{newest}/replay")[0] == 200
    assert browser.panel.call("DELETE", f"/api/v1/runs/{newest}")[0] == 204
    assert newest not in rows(browser.page("/runs?q=many"))
    assert browser.get(f"/runs/{newest}/replay")[0] == 404


def test_the_form_of_a_replay_has_what_the_run_was_made_of(place: Any) -> None:
    browser, runs = place
    page = browser.page(f"/runs/{runs['quick']}/replay")
    assert 'value="http://127.0.0.1:8080"' in page
    assert re.search(r'data-profile="" value="hold 50/s for 20s"', page)
    experiment = browser.page(f"/runs/{runs['degraded']}/replay")
    assert "data-profile" not in experiment
    assert "part of its file" in experiment


def test_nothing_has_run_yet(tmp_path: Path) -> None:
    panel = PanelProcess(tmp_path, nodes="main=http://127.0.0.1:9")
    panel.start()
    try:
        page = Browser(panel).page("/runs")
        assert "Nothing has run yet." in page
        assert "Run the demo experiment" in page
        assert "<table" not in page
    finally:
        panel.stop()
