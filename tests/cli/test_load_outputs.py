"""The flags of files and of what is told to others: read, checked before any load, written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from store.made_runs import a_run

from rascal.cli.app import rascal
from rascal.cli.load.flags import json_apart
from rascal.cli.load.leaving import with_outputs
from rascal.cli.outputs import FLAGS, OutputError, Outputs, is_folder, opened, put
from rascal.errors import RascalError
from rascal.store import Store

SHOP = """
from rascal.load import scenario
@scenario("browse")
async def browse(user):
    await user.get("/")
"""
LOAD = ("--target", "http://127.0.0.1:9", "--rate", "5/s", "--for", "1s")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rascal …` in a folder with shop.py, in this process (so without a reactor of its own)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "runs.db"))
    Path("shop.py").write_text(SHOP)

    def call(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "100"}).invoke(rascal, [*words], prog_name="rascal")

    return call


# ---- words


@pytest.mark.parametrize(
    ("words", "apart"),
    [
        (["shop.py", "--json"], ["shop.py", "--json=-"]),
        (["--json", "shop.py"], ["--json=-", "shop.py"]),
        (["--json", "evening.yml"], ["--json=-", "evening.yml"]),
        (["--json", "load/shop.py"], ["--json=-", "load/shop.py"]),
        (["shop.py", "--json", "browse"], ["shop.py", "--json=-", "browse"]),
        (["--json", "--rate", "5/s"], ["--json=-", "--rate", "5/s"]),
        (["--json", "out.json", "shop.py"], ["--json=out.json", "shop.py"]),
        (["--json", "out/all"], ["--json=out/all"]),
        (["--json", "-"], ["--json=-"]),
        (["--json=x", "--rate", "5/s"], ["--json=x", "--rate", "5/s"]),
    ],
)
def test_json_takes_a_file_only_if_it_is_one(words: list[str], apart: list[str]) -> None:
    assert json_apart(words) == apart


def test_tables_go_into_folders(tmp_path: Path) -> None:
    assert is_folder(str(tmp_path)) and is_folder("new") and is_folder("new.d/")
    assert not is_folder("one.csv") and not is_folder("-") and not is_folder("/dev/null")


def given(**more: Any) -> dict[str, Any]:
    names = ("json_", *FLAGS, "prometheus", "otlp", "once", "check_agents")
    return {**dict.fromkeys(names), **more}


def test_the_summary_on_the_terminal_is_no_file(tmp_path: Path) -> None:
    found = with_outputs(given(json_="-", html=str(tmp_path / "a.html")))
    assert found["json_"] is True and dict(found["outputs"].paths) == {
        "html": str(tmp_path / "a.html")
    }
    found = with_outputs(given(json_=str(tmp_path / "a.json")))
    assert found["json_"] is False and list(found["outputs"].paths) == ["json"]
    assert not with_outputs(given())["outputs"]


# ---- before any load: one line, status 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--html", "nowhere/x.html"), "error: --html: nowhere/x.html: cannot be written (No such"),
        (("--junit", "."), "error: --junit: .: cannot be written (it is a folder)"),
        (("--csv", "no/where"), "error: --csv: no/where: cannot be written"),
        (("--json", "nowhere/x.json"), "error: --json: nowhere/x.json: cannot be written"),
        (("--hdr", ""), "error: --hdr: into which file?"),
        (("--html", "-"), "error: --html: the report is on the terminal: name a file"),
        (("--html", "a", "--hdr", "./a"), "error: --hdr and --html are both './a'"),
        (("--html", "a", "--once"), "error: --html is for load: leave it out, or --once"),
        (("--otlp", "http://h", "--check-agents"), "error: --otlp is for load: leave it out"),
        (("--prometheus", "9100"), "'9100' has no host: write 127.0.0.1:9100"),
        (("--otlp", "h:4318"), "error: --otlp: 'h:4318' is no URL of a collector"),
    ],
)
def test_what_cannot_be_written_is_said_before_load(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    done = run("load", "run", "shop.py", *LOAD, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert sorted(os.listdir()) == ["shop.py"]  # and nothing is left behind


def test_files_that_are_there_may_be_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("before")
    outputs = Outputs(
        paths={"html": str(path), "csv": str(tmp_path / "tables"), "hdr": "/dev/null"}
    )
    outputs.check()
    assert path.read_text() == "before" and (tmp_path / "tables").is_dir()
    assert sorted(os.listdir(tmp_path)) == ["tables", "x.html"]


# ---- writing


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("before")

    def pieces() -> Iterator[str]:
        yield "half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put(str(path), pieces(), True)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["x"]
    with pytest.raises(OutputError, match="is there already"), opened(str(path), False):
        pass
    link = tmp_path / "link"
    link.symlink_to(path)
    with opened(str(link), True) as file:
        file.write("after")
    assert path.read_text() == "after" and link.is_symlink()


def test_what_is_no_file_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        Outputs(paths={"html": str(pipe)}).check()
        with opened(str(pipe), True) as file:
            file.write("hello")
        assert os.read(reader, 100) == b"hello" and pipe.is_fifo()
    finally:
        os.close(reader)


def test_one_that_fails_does_not_keep_the_others(tmp_path: Path, run: Run) -> None:
    with Store(tmp_path / "runs.db") as store:
        number = a_run(store)
        paths = {"html": str(tmp_path / "no/x.html"), "junit": str(tmp_path / "x.xml")}
        written, problems = Outputs(paths=paths).write(store, number)
    assert written == [paths["junit"]] and Path(paths["junit"]).read_text().startswith("<?xml")
    assert len(problems) == 1 and problems[0].startswith(f"--html: {paths['html']}: cannot be")


def test_export_writes_pages_and_junit(tmp_path: Path, run: Run) -> None:
    with Store(tmp_path / "runs.db") as store:
        a_run(store)
    done = run("runs", "export", "1", "--html", "a.html", "--junit", "a.xml", "--csv", "tables")
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert "wrote a.html\n" in done.stderr
    assert Path("a.html").read_text().startswith("<!doctype html>")
    assert "<testsuites" in Path("a.xml").read_text() and Path("tables/totals.csv").is_file()
    done = run("runs", "export", "1", "--html", "a.html")
    assert (done.exit_code, "--force" in done.stderr) == (2, True)
    assert run("runs", "export", "1", "--html", "a.html", "--force").exit_code == 0
    assert run("runs", "export", "1", "--junit", "-").stdout == Path("a.xml").read_text()
    assert json.loads(run("runs", "export", "1", "--json", "-").stdout)["schema"] == "rascal-run/1"


def test_help_names_every_output(run: Run) -> None:
    for words in (("load", "run", "--help"), ("runs", "export", "--help")):
        done = run(*words)
        assert done.exit_code == 0
        assert all(f"--{name}" in done.stdout for name in FLAGS)


def test_output_errors_are_ours() -> None:
    assert issubclass(OutputError, RascalError)
