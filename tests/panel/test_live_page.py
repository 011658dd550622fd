"""The page of a run as the server draws it, before there are numbers; and of one that is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_process import PanelProcess
from stored_runs import STRANGE, Browser, filled

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, dict[str, str]]]:
    """A panel whose store has some runs."""
    folder: Path = tmp_path_factory.mktemp("live")
    runs = filled(folder)
    panel = PanelProcess(folder)
    panel.start()
    try:
        yield Browser(panel), runs
    finally:
        panel.stop()


def about(page: str) -> Any:
    """The data that the page brings for its scripts."""
    found = re.search(r'<script type="application/json" id="about">(.*?)</script>', page, re.S)
    assert found, page[:2000]
    return json.loads(found[1])


def test_an_experiment_has_phases_and_its_verdict_at_once(place: Any) -> None:
    browser, runs = place
    page = browser.page(f"/runs/{runs['degraded']}")
    assert 'aria-label="Verdict"' in page
    assert "<h2>Degraded</h2>" in page
    assert 'class="row phases"' in page
    found = about(page)
    assert found["run"]["id"] == runs["degraded"]
    assert found["signs"]["degraded"]["tone"] == "warn"
    assert "report.html" in page, "those without JavaScript have the report"


def test_while_it_goes_on_and_afterwards_it_is_the_same_page(place: Any) -> None:
    browser, runs = place
    run = runs["quick"]
    assert browser.page(f"/runs/{run}/live") == browser.page(f"/runs/{run}")


def test_a_load_run_has_neither_phases_nor_a_verdict(place: Any) -> None:
    browser, runs = place
    page = browser.page(f"/runs/{runs['quick']}")
    assert 'class="row phases"' not in page
    assert 'aria-label="Verdict"' not in page


def test_a_run_is_compared_with_the_one_before_it_of_its_name(place: Any) -> None:
    browser, runs = place
    assert about(browser.page(f"/runs/{runs['resilient']}"))["compare"] == runs["degraded"]
    assert about(browser.page(f"/runs/{runs['degraded']}"))["compare"] == ""


def test_a_pinned_run_is_what_others_are_compared_with(place: Any) -> None:
    browser, runs = place
    browser.panel.call("PUT", f"/api/v1/runs/{runs['slow']}/baseline", {"on": True})
    try:
        assert about(browser.page(f"/runs/{runs['quick']}"))["compare"] == runs["slow"]
    finally:
        browser.panel.call("PUT", f"/api/v1/runs/{runs['slow']}/baseline", {"on": False})


def test_a_name_is_never_markup(place: Any) -> None:
    browser, runs = place
    page = browser.page(f"/runs/{runs['strange']}")
    assert STRANGE not in page
    assert about(page)["run"]["name"] == STRANGE


def test_a_run_that_is_gone_says_so_and_shows_a_way_back(place: Any) -> None:
    browser, _ = place
    for path in ("/runs/4711", "/runs/4711/live", "/runs/%3Cb%3Enone"):
        status, _, text = browser.get(path)
        assert status == 404
        assert "There is no run" in text
        assert 'action="/runs"' in text
        assert 'href="/runs"' in text
        assert "<b>" not in text


@pytest.mark.parametrize("planned", [None, [1], ["1", "2"], [True, 2], [-1, 5], [1, 1e9], "1:30"])
def test_a_plan_is_two_times(place: Any, planned: Any) -> None:
    browser, runs = place
    path = f"/api/v1/runs/{runs['degraded']}/faults/A"
    status, found = browser.panel.call("PATCH", path, {"planned": planned})
    assert status == 422
    assert "two times" in found["title"]


def test_the_plan_of_a_run_that_has_ended_is_what_it_was(place: Any) -> None:
    browser, runs = place
    path = f"/api/v1/runs/{runs['degraded']}/faults/A"
    for method, body in (("PATCH", {"planned": [1, 2]}), ("DELETE", None)):
        status, found = browser.panel.call(method, path, body)
        assert status == 409, found
        assert "has ended" in found["title"]
