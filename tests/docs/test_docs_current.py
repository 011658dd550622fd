"""The reference pages say what the code says, and what the pages show can be written."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from rascal.config import check, installed
from rascal.config.describe import all_kinds
from rascal.faults.build import build_fault
from rascal.language import parse, show

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def load() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load()


def test_nothing_differs_from_what_would_be_written() -> None:
    assert generate.not_current() == [], "run script/docs"


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(DOCS, tmp_path / "docs")
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    generate.write()
    (tmp_path / "docs/kinds/nothing.md").write_text("left over")
    page = tmp_path / "docs/kinds/delay.md"
    page.write_text(page.read_text() + "by hand")
    ini = tmp_path / "docs/proxies-ini.md"
    ini.write_text(ini.read_text().replace("`connect_timeout`", "`connect_time`"))
    assert sorted(generate.not_current()) == [
        "kinds/delay.md",
        "kinds/nothing.md",
        "proxies-ini.md",
    ]
    assert sorted(generate.write()) == ["kinds/delay.md", "kinds/nothing.md", "proxies-ini.md"]
    assert generate.not_current() == []


def examples() -> list[Any]:
    data = generate.examples()
    rows = [("sayings", *row) for row in data["sayings"]]
    rows += [(kind, *row) for kind, shown in data["kinds"].items() for row in shown]
    return [pytest.param(*row, id=f"{row[1]}: {row[2]}") for row in rows]


@pytest.mark.parametrize(("where", "name", "sentence", "says"), examples())
def test_an_example_can_be_installed(where: str, name: str, sentence: str, says: str) -> None:
    registry = installed()
    assert name in registry.protocols
    protocol = registry.protocols[name]
    tables = registry.kinds(protocol)
    phrase = parse("fault", sentence, kinds=tables, fields=protocol.fields, protocol=name)
    assert build_fault(phrase, protocol).text == show(phrase)
    assert says
    if where != "sayings":
        assert phrase.kind == where


def test_every_kind_with_examples_is_there() -> None:
    assert set(generate.examples()["kinds"]) <= set(all_kinds())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_whole_files_in_a_page_are_well(page: Path, tmp_path: Path) -> None:
    for text in re.findall(r"```ini\n(.*?)```", page.read_text(), re.DOTALL):
        if "[proxy:" in text and page.name != "extending.md":  # its protocol comes with the page
            path = tmp_path / "proxies.ini"
            path.write_text(text)
            assert "all well" in check(str(path), {})


def scenario_files() -> list[Any]:
    """Python blocks of pages that are whole scenario files, by their first line."""
    found = []
    for page in PAGES:
        for name, text in re.findall(
            r"```python\n# (\w+\.py)\n(.*?)```", page.read_text(), re.DOTALL
        ):
            if "\n@scenario" in text:
                found.append(pytest.param(text, id=f"{page.relative_to(ROOT)}: {name}"))
    assert len(found) > 5
    return found


@pytest.mark.parametrize("text", scenario_files())
def test_a_scenario_in_a_page_can_be_loaded(text: str, tmp_path: Path) -> None:
    from rascal.load.book import load_book
    from rascal.load.http.response import Response
    from rascal.load.user import User

    (tmp_path / "items.csv").write_text("id,name\n7,apple\n")
    (tmp_path / "one.py").write_text(text)
    book = load_book(str(tmp_path / "one.py"), {})
    assert book.scenarios
    book.unload()
    for thing, kind in (("user", User), ("reply", Response), ("page", Response)):
        for name in re.findall(rf"\b{thing}\.(\w+)\(", text):
            assert callable(getattr(kind, name)), f"{thing}.{name}"


def test_what_the_page_of_scenarios_names_is_there() -> None:
    from rascal.load.http.response import Response
    from rascal.load.user import User

    page = (DOCS / "scenarios.md").read_text()
    for thing, kind in (("user", User), ("reply", Response)):
        names = set(re.findall(rf"`(?:await )?{thing}\.(\w+)", page))
        assert len(names) >= 3
        # attributes that __init__ sets are seen in an instance only
        made = set(kind.__init__.__code__.co_names)
        assert {name for name in names if not hasattr(kind, name)} <= made


def test_the_ini_of_agents_can_be_read(tmp_path: Path) -> None:
    from rascal.load.agent_options import agent_options

    (text,) = re.findall(r"```ini\n(.*?)```", (DOCS / "agents.md").read_text(), re.DOTALL)
    (tmp_path / "token").write_text("correct-horse-battery-staple")
    (tmp_path / "agent.ini").write_text(text.replace("/etc/rascal/token", f"{tmp_path}/token"))
    found = agent_options(str(tmp_path / "agent.ini"), {}, {})
    assert found.targets == ("*.staging.shop.test", "10.20.0.0/16")
    assert found.place.tls


def test_the_load_file_of_a_page_can_be_read(tmp_path: Path) -> None:
    from rascal.load.planning import plan_of, read_load_file

    (text,) = re.findall(
        r"```yaml\n# evening.yml\n(.*?)```", (DOCS / "load.md").read_text(), re.DOTALL
    )
    (tmp_path / "evening.yml").write_text(text)
    values = read_load_file(str(tmp_path / "evening.yml"))
    plan = plan_of(values, scenarios=("browse", "buy"), file="shop.py")
    assert [share.max_in_flight for share in plan.shares] == [10_000, 500]


def experiment_files() -> list[Any]:
    """YAML blocks of pages that are whole experiments, by their first line."""
    found = []
    for page in PAGES:
        for name, text in re.findall(
            r"```yaml\n# ([\w-]+\.yml)\n(.*?)```", page.read_text(), re.DOTALL
        ):
            if "\nload:" in text:
                found.append(pytest.param(text, id=f"{page.relative_to(ROOT)}: {name}"))
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("text", experiment_files())
def test_an_experiment_in_a_page_can_be_read(text: str) -> None:
    from rascal.experiment.reading import experiment_of

    assert experiment_of(text, "one.yml").actions


def test_the_schema_of_experiments_is_published() -> None:
    import json

    from rascal.experiment.schema import schema

    assert "experiment.schema.json" in generate.pages()
    assert json.loads((DOCS / "experiment.schema.json").read_text()) == schema()


def test_every_threshold_is_explained() -> None:
    import attrs

    from rascal.experiment.record import Thresholds

    page = (DOCS / "verdicts.md").read_text().partition("## Thresholds")[2]
    for one in attrs.fields(Thresholds):
        assert f"`{one.name}`" in page, one.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http", "#", "mailto:")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_picture_is_an_image_with_words_for_those_who_cannot_see_it() -> None:
    root = ElementTree.parse(DOCS / "picture.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg"
    assert root.findtext(f"{name}title")
    assert root.findtext(f"{name}desc")


def test_the_navigation_names_what_is_there() -> None:
    listed = re.findall(
        r"- (?:[\w ]+: )?([\w/.-]+(?:\.md|/))$", (ROOT / "mkdocs.yml").read_text(), re.M
    )
    assert listed
    for name in listed:
        assert (DOCS / name).exists(), name
    decisions = {f"decisions/{one.name}" for one in (DOCS / "decisions").glob("*.md")}
    assert decisions <= set(listed)


def test_the_words_of_the_readme_are_those_of_check(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    ini = re.search(r"```ini\n(.*?)```", readme, re.DOTALL)
    assert ini is not None
    path = tmp_path / "proxies.ini"
    path.write_text(ini[1])
    assert check(str(path), {}).replace(str(path), "proxies.ini") in readme
