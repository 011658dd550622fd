"""`rascal experiment report`, and the files of `run`: flags, files, statuses."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from experiment.outputs.stored_experiments import put

from rascal.cli.app import rascal
from rascal.cli.experiment.outputs import leave_reports, with_reports
from rascal.experiment.outputs.json import SCHEMA
from rascal.store import Store

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("report") / "runs.db"
    with Store(found) as store:
        put(store, "hangs", name="before")
        put(store, "fast 503", name="after")
        plain = store.create({"target": "http://127.0.0.1:1"}, {}, name="plain")
        store.finish(plain, "completed", {})
    return found


@pytest.fixture
def run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASCAL_STORE", str(path))

    def call(*words: str) -> Result:
        return CliRunner().invoke(rascal, ["experiment", *words], prog_name="rascal")

    return call


def test_without_a_file_it_is_on_the_terminal_and_the_last_is_an_experiment(run: Run) -> None:
    done = run("report")
    assert done.exit_code == 0 and done.stdout.startswith("### ")
    assert "after: graceful" in done.stdout and "](REPORT_URL)" in done.stdout
    assert "](https://ci/1)" in run("report", "--markdown", "x.md", "--link", "https://ci/1",
                                    "before").stdout + Path("x.md").read_text()  # fmt: skip


def test_every_file_at_once(run: Run) -> None:
    done = run(
        "report", "before", "--html", "x.html", "--junit", "x.xml", "--markdown", "x.md",
        "--json", "x.json",
    )  # fmt: skip
    assert done.exit_code == 0 and done.stdout == ""
    assert done.stderr == "wrote x.html, x.md, x.xml, x.json\n"
    assert "<h1>before</h1>" in Path("x.html").read_text()
    assert ElementTree.parse("x.xml").getroot().get("failures") == "2"
    assert Path("x.md").read_text().startswith("### ❌ before: degraded")
    assert json.loads(Path("x.json").read_text())["schema"] == SCHEMA


def test_json_on_the_terminal(run: Run) -> None:
    found = json.loads(run("report", "--json", "before").stdout)
    assert found["name"] == "before" and found["schema"] == SCHEMA
    found = json.loads(run("report", "after", "--compare", "before", "--json").stdout)
    assert [one["answer"] for one in found["flows"]] == ["no difference seen"] * 3


def test_two_side_by_side(run: Run) -> None:
    done = run("report", "after", "--compare", "before")
    assert done.exit_code == 0 and done.stdout.startswith("Degraded before, graceful after; ")
    done = run("report", "after", "--compare", "before", "--html", "x.html")
    assert done.exit_code == 0 and "before → after" in Path("x.html").read_text()
    done = run("report", "after", "--compare", "before", "--junit", "x.xml")
    assert done.exit_code == 2 and "--junit is of one run" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("plain",), "is no experiment, but a load run"),
        (("nobody",), "there is no run 'nobody'"),
        (("before", "--html", "no/x.html"), "cannot be written"),
        (("before", "--html", "-"), "name a file"),
        (("before", "--html", "x", "--junit", "x"), "are both 'x'"),
        (("before", "--compare", "before"), "are the same run"),
        (("before", "--link", "https://x"), "--link is for --markdown"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    done = run("report", *words)
    assert done.exit_code == 2 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not Path("x").exists()


def test_run_refuses_files_of_runs_that_it_does_not_keep(run: Run) -> None:
    Path("x.yml").write_text("")
    done = run("run", "x.yml", "--no-store", "--html", "x.html")
    assert done.exit_code == 2 and "leave out --no-store" in done.stderr
    done = run("run", "--json", "x.yml", "--html", "x.html", "--repeat", "3")
    assert done.exit_code == 2 and "leave out --repeat" in done.stderr
    assert Path("x.yml").read_text() == ""


def flags(**given: str) -> dict[str, str | None]:
    return {"html": None, "junit": None, "markdown": None, "json_": None, "link": None, **given}


def test_a_file_that_is_missing_at_the_end_fails_what_was_well(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    reports = with_reports(flags(html=str(folder / "x.html"), junit=str(tmp_path / "x.xml")))
    folder.rmdir()
    with click.Context(rascal), Store(path, readonly=True) as store:
        assert leave_reports(reports["reports"], store, "before", 0) == 2
        assert leave_reports(reports["reports"], store, "before", 1) == 1
        assert leave_reports(reports["reports"], store, "nobody", 0) == 2
        assert leave_reports(with_reports(flags())["reports"], store, "nobody", 0) == 0
    told = capsys.readouterr().err
    assert "error: --html: " in told and f"wrote {tmp_path / 'x.xml'}" in told
    assert "no report could be made: there is no run 'nobody'" in told
