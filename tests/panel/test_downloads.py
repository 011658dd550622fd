"""Reports and other files of stored runs, as a browser gets them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from panel_process import PanelProcess
from stored_runs import STRANGE, Browser, filled

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("downloads")
    runs = filled(folder)
    panel = PanelProcess(folder, nodes="main=http://127.0.0.1:9")
    panel.start()
    try:
        yield Browser(panel), runs
    finally:
        panel.stop()


def taken(place: Any, run: str, name: str) -> tuple[dict[str, str], str]:
    browser, runs = place
    status, headers, text = browser.get(f"/runs/{runs[run]}/{name}")
    assert status == 200, (text, browser.panel.log()[-2000:])
    assert headers["x-content-type-options"] == "nosniff"
    return headers, text


@pytest.mark.parametrize("run", ["degraded", "quick", "stopped"])
def test_the_report_brings_its_own_policy(place: Any, run: str) -> None:
    headers, text = taken(place, run, "report.html")
    policy = headers["content-security-policy"]
    inside = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert inside.replace("&#39;", "'")
    assert policy.startswith(inside.replace("&#39;", "'"))
    assert "style-src 'sha256-" in policy
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-disposition"].startswith("inline; ")


def test_a_report_can_be_taken_away(place: Any) -> None:
    browser, runs = place
    run = runs["degraded"]
    headers = browser.get(f"/runs/{run}/report.html?download")[1]
    assert headers["content-disposition"] == f'attachment; filename="run-{run}-shop.html"'


def test_names_of_files_are_plain(place: Any) -> None:
    _, runs = place
    headers, text = taken(place, "strange", "report.html")
    run = runs["strange"]
    name = f"run-{run}-script-alert-run-script.html"
    assert headers["content-disposition"] == f'inline; filename="{name}"'
    assert STRANGE not in text


def test_an_experiment_as_json_junit_and_markdown(place: Any) -> None:
    browser, runs = place
    headers, text = taken(place, "degraded", "report.json")
    assert headers["content-type"] == "application/json"
    assert headers["content-disposition"].startswith("attachment; ")
    assert json.loads(text)["verdict"]["name"] == "degraded"
    headers, text = taken(place, "degraded", "junit.xml")
    assert headers["content-type"] == "application/xml"
    assert ElementTree.fromstring(text).tag == "testsuites"
    headers, text = taken(place, "degraded", "report.md")
    assert headers["content-type"] == "text/markdown; charset=utf-8"
    link = f"http://127.0.0.1:{browser.panel.port}/runs/{runs['degraded']}/report.html"
    assert f"({link})" in text


def test_a_load_run_as_json_csv_and_histogram_log(place: Any) -> None:
    _, text = taken(place, "slow", "report.json")
    found = json.loads(text)
    assert found["schema"] == "rascal-run/1"
    assert found["flows"]["front"]["total"]["started"] == 20 * 50
    headers, text = taken(place, "slow", "report.csv")
    assert headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(text)))
    assert [row["second"] for row in table] == [str(second) for second in range(20)]
    assert {row["http_5xx"] for row in table} == {"5"}
    headers, text = taken(place, "slow", "latency.hlog")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert text.startswith("#[Histogram log format version 1.3]")
    assert text.count("Tag=front,") == 20
    assert "front" in taken(place, "slow", "report.md")[1]


def test_what_there_is_not(place: Any) -> None:
    browser, runs = place
    assert browser.get("/runs/999/report.html")[0] == 404
    assert browser.get("/runs/999/report.json")[0] == 404
    assert browser.get(f"/runs/{runs['quick']}/report.exe")[0] == 404
    status, _, text = browser.get(f"/compare/report.html?runs={runs['quick']},{runs['slow']}")
    assert status == 409
    assert "no experiment" in text


def test_two_experiments_side_by_side(place: Any) -> None:
    browser, runs = place
    pair = f"{runs['degraded']},{runs['resilient']}"
    status, headers, text = browser.get(f"/compare/report.html?runs={pair}")
    assert status == 200
    assert "Degraded before, resilient after" in text
    assert "sandbox allow-scripts" in headers["content-security-policy"]
