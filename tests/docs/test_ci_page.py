"""The page about CI: its workflow is one, its commands can be called, its names are there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from rascal.cli.app import rascal
from rascal.cli.experiment import STATUSES
from rascal.experiment.outputs.json import schema
from rascal.experiment.outputs.markdown import PLACEHOLDER

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def steps() -> list[dict[str, Any]]:
    (text,) = blocks("yaml")
    jobs = yaml.safe_load(text)["jobs"]
    (job,) = jobs.values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def scripts() -> list[str]:
    return [one["run"] for one in steps() if "run" in one]


def commands() -> list[list[str]]:
    """Every `rascal …` of the page, as words."""
    found = []
    for text in (*scripts(), *blocks("shell")):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.partition("||")[0], comments=True)
            if words[:1] == ["rascal"]:
                found.append(words[1:])
    assert len(found) > 7
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_can_be_called(words: list[str]) -> None:
    command: click.Command = rascal
    context = click.Context(rascal, info_name="rascal")
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
        context = click.Context(command, parent=context, info_name=name)
    parser_context = command.make_context(command.name, list(words), parent=context.parent)
    assert parser_context.params


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("text", scripts())
def test_scripts_are_shell(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def run_step(name: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    text = next(one["run"] for one in steps() if one.get("name") == name)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],  # as the runner does
        cwd=folder, text=True, capture_output=True, check=False,
        env={"PATH": f"{folder}:/usr/bin:/bin", **env},
    )  # fmt: skip


def stand_in(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("statuses", "calls"), [("0", 1), ("1", 1), ("3 3", 2), ("3 0", 2)])
def test_the_status_is_handed_on_and_a_3_repeated_once(
    tmp_path: Path, statuses: str, calls: int
) -> None:
    (tmp_path / "left").write_text("\n".join(statuses.split()) + "\n")
    stand_in(
        tmp_path, "rascal",
        'echo "$@" >> called; status=$(head -1 left); sed -i 1d left; exit "$status"',
    )  # fmt: skip
    env = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_SHA": "abc"}
    done = run_step("Run the experiment", tmp_path, env)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "called").read_text().splitlines()) == calls
    assert (tmp_path / "output").read_text() == f"status={statuses.split()[-1]}\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("status", ["", *(status for status, _ in STATUSES)])
def test_the_job_passes_and_fails_as_the_table_says(tmp_path: Path, status: str) -> None:
    done = run_step("Pass or fail", tmp_path, {"STATUS": status})
    passes = status in ("0", "3")
    assert (done.returncode == 0) == passes
    row = re.search(rf"\| {status} \|.*\| (.*) \|", PAGE)
    if status:
        assert row is not None, "every status stands in the table"
        assert (row[1] == "fails") == (not passes)
    assert ("::warning::" in done.stdout) == (status == "3")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_link_takes_the_place_that_is_kept_for_it(tmp_path: Path) -> None:
    stand_in(tmp_path, "gh", 'echo "$@" > called')
    (tmp_path / "summary.md").write_text(f"[The whole report]({PLACEHOLDER}).\n")
    env = {
        "REPORT": "https://github.com/o/r/actions/runs/1/artifacts/2?a=b&c=d".partition("?")[0],
        "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
        "NUMBER": "7",
    }
    done = run_step("Say what came out", tmp_path, env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "step.md").read_text() == f"[The whole report]({env['REPORT']}).\n"
    assert (tmp_path / "called").read_text().startswith("pr comment 7 --body-file summary.md")


def test_what_is_written_is_kept_and_said() -> None:
    by_name = {one.get("name"): one for one in steps()}
    kept = by_name["Keep the report"]["with"]["path"].split()
    words = shlex.split(by_name["Run the experiment"]["run"].replace("\\\n", " "), comments=True)
    for flag in ("--html", "--junit", "--json"):
        assert words[words.index(flag) + 1] in kept
    assert PLACEHOLDER in by_name["Say what came out"]["run"]
    for name in ("Keep the report", "Say what came out", "Pass or fail"):
        assert "always()" in by_name[name]["if"]


def test_names_of_the_json_are_there() -> None:
    table = PAGE.partition("## The JSON")[2]
    properties = schema()["properties"]
    for name, text in re.findall(r"^\| (`[^|]+) \| (.*) \|$", table, re.MULTILINE):
        for top in re.findall(r"`(\w+)`", name):
            assert top in properties, top
            known = str(properties[top])
            for inner in re.findall(r"`(\w+)`", text):
                assert f"'{inner}'" in known or inner in properties, (top, inner)
    assert f'"schema": "{properties["schema"]["const"]}"' in table
