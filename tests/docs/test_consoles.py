"""The tutorial and the recorded session, run block by block; every incident can be installed."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from rascal.config import installed
from rascal.config.installing import make_installed
from rascal.config.proxying import make_proxy

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("docs_consoles", DOCS / "consoles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


consoles = load()


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A folder with the commands that the pages call, of this interpreter and these sources."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here")
    begin = f"#!{sys.executable}\nimport sys; sys.path.insert(0, {str(ROOT)!r})\n"
    for name, text in {
        "rascal": "from rascal.cli import main\nmain()\n",
        "twistd": "from twisted.scripts.twistd import run\nrun()\n",
    }.items():
        (tmp_path / name).write_text(begin + text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    return str(tmp_path)


real = pytest.mark.integration


def run(text: str, tools: str) -> str:
    with consoles.shell(tools) as shell:
        return str(consoles.difference(text, consoles.said(text, shell)))


@real
def test_the_tutorial_says_what_happens(tools: str) -> None:
    text = (DOCS / "tutorial.md").read_text()
    assert text.count("\n$ ") > 25
    assert run(text, tools) == "", "docs/consoles.py record docs/tutorial.md"


@real
def test_the_page_of_the_client_says_what_happens(tools: str) -> None:
    text = (DOCS / "client.md").read_text()
    assert "fired: 1" in text
    assert run(text, tools) == "", "docs/consoles.py record docs/client.md"


@real
def test_the_tutorial_of_load_says_what_happens(tools: str) -> None:
    text = (DOCS / "load.md").read_text()
    assert text.count("\n$ ") > 20
    # Beside other tests a machine may be too busy for a sound run: once is enough.
    assert run(text, tools) == "" or run(text, tools) == "", "docs/consoles.py record docs/load.md"


@real
def test_the_page_of_experiments_says_what_happens(tools: str) -> None:
    text = (DOCS / "experiments.md").read_text()
    assert text.count("\n$ ") > 20
    # Beside other tests more seconds may be unsound than an experiment of the page's own allows.
    hope = "expect: graceful\n```"
    assert hope in text
    text = text.replace(hope, hope.replace("\n", "\nthresholds: {unsound: 60%}\n"), 1)
    wrong = run(text, tools)
    if wrong:  # a machine may be too busy once
        wrong = run(text, tools)
    assert wrong == "", "docs/consoles.py record docs/experiments.md"


@real
def test_the_page_of_scenarios_says_what_happens(tools: str) -> None:
    text = (DOCS / "scenarios.md").read_text()
    assert "load import" in text
    assert run(text, tools) == "", "docs/consoles.py record docs/scenarios.md"


def test_what_a_page_says_is_moving_is_not_compared() -> None:
    page = "<!-- moving: ^! .* -->\n<!-- moving: (?<=pid )\\d+ -->\none\npid 7\n"
    assert consoles.difference(page, page.replace("pid 7", "! late\n\npid 12")) == ""
    assert "-one\n+two" in consoles.difference(page, page.replace("\none", "\ntwo"))
    page = page.replace("<!-- ", "<!- ")  # a page that says nothing of the kind
    assert "+pid 12" in consoles.difference(page, page.replace("pid 7", "pid 12"))


@real
def test_the_recorded_session_still_happens(tools: str) -> None:
    text = (DOCS / "session.md").read_text()
    install = re.search(r"## Install\n.*?(?=## Run)", text, re.DOTALL)
    assert install is not None  # script/record-session does that for itself
    text = text.replace(install[0], "")
    differs = run(text, tools)
    # How many lines `watch` has seen of the traffic depends on the moment of its look.
    moving = re.compile(r"^[+-](?!\+\+|--).*\bopen \d", re.MULTILINE)
    rest = [line for line in differs.splitlines() if line[:1] in "+-" and not moving.match(line)]
    assert [line for line in rest if line[:3] not in ("+++", "---")] == [], "script/record-session"


@real
def test_a_difference_is_found(tools: str) -> None:
    page = "```console\n$ echo one\none\n$ echo two; sleep 0.01\nthree\n```\n"
    assert "-three\n+two" in run(page, tools)
    assert run(page.replace("three", "two"), tools) == ""


@real
def test_files_ports_and_background(tools: str) -> None:
    page = (
        "```ini\n# my.ini\nlisten = 127.0.0.1:6380\n```\n"
        '```console\n$ redis-server --port 6379 --save "" &\n$ redis-cli -p 6379 ping\nPONG\n'
        "$ grep listen my.ini\nlisten = 127.0.0.1:6380\n$ echo 12:34:56.789 took 3.2s\n"
        "12:00:00 took 4s\n```\n"
    )
    assert run(page, tools) == ""


def incidents() -> list[Any]:
    found = json.loads((DOCS / "incidents.json").read_text())
    return [
        pytest.param(protocol, text, says, id=f"{protocol}: {text}"[:70])
        for one in found.values()
        for protocol, text, says in one["sentences"]
    ]


@pytest.mark.parametrize(("protocol", "text", "says"), incidents())
def test_an_incident_can_be_installed(protocol: str, text: str, says: str) -> None:
    data = {"name": "x", "protocol": protocol, "listen": "127.0.0.1:1", "upstream": "127.0.0.1:2"}
    made = make_installed("fault", text, make_proxy(data, installed()), ())
    assert made.specs
    assert says


def test_every_recipe_is_an_incident_of_the_page() -> None:
    from rascal.faults.recipes import RECIPES

    page = (DOCS / "incidents.md").read_text()
    named = set(re.findall(r"recipe ([\w-]+)", page))
    assert named <= set(RECIPES)
    assert len(named) >= 8
