"""The command as people and CI use it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rascal import __version__
from rascal.cli.app import COMMANDS, rascal
from rascal.config import installed
from rascal.config.describe import all_kinds
from rascal.faults.recipes import RECIPES

Run = Callable[..., Result]

GOOD = """
[proxy:cache]
protocol = redis
listen = 127.0.0.1:6380
upstream = 127.0.0.1:6379
faults = delay 2s match key^=session: enabled no
"""

BAD = """
[proxy:cache]
protocol = redis
listen = 127.0.0.1:6380
upstream = 127.0.0.1:6379
faults =
    delay 2
    error loading match kee=5
colour = red
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: str) -> Result:
        return CliRunner().invoke(rascal, list(words), prog_name="rascal")

    return call


def child(
    *words: str, out: int = subprocess.PIPE, **environ: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    code = "from rascal.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


# ---- check


def test_a_good_file(run: Run) -> None:
    Path("proxies.ini").write_text(GOOD)
    done = run("check")
    assert (done.exit_code, done.output) == (
        0,
        "proxies.ini: 1 proxy, 1 fault (0 armed): all well\n",
    )
    assert json.loads(run("check", "--json").output) == {"file": "proxies.ini", "findings": []}


def test_all_findings_at_once_with_their_places(run: Run) -> None:
    Path("my.ini").write_text(BAD)
    done = run("check", "my.ini")
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1] == "my.ini: 3 findings"
    assert lines[0] == "my.ini:7:11: '2' has no unit: write 2s or 2ms (units: us, ms, s, m, h, d)"
    assert lines[1].startswith("my.ini:8:25: redis has no match field 'kee'; fields: ")
    assert lines[1].endswith("Did you mean 'key'?")
    assert lines[2].startswith("my.ini:9:1: [proxy:cache] has no option 'colour'; options: ")

    found = json.loads(run("check", "--json", "my.ini").stdout)["findings"]
    assert [(one["line"], one["column"]) for one in found] == [(7, 11), (8, 25), (9, 1)]
    assert "us" in found[0]["allowed"]
    assert found[2]["code"] == "unknown-name"


def test_a_file_that_cannot_be_read(run: Run) -> None:
    done = run("check", "nowhere.ini")
    assert done.exit_code == 2
    assert "'nowhere.ini' cannot be read: No such file or directory" in done.stderr


def test_a_missing_include_is_a_finding(run: Run) -> None:
    Path("proxies.ini").write_text("[rascal]\ninclude = nowhere.ini\n" + GOOD)
    done = run("check")
    assert done.exit_code == 1
    assert done.stderr.startswith("proxies.ini:2:11: 'nowhere.ini' cannot be read")


# ---- kinds


def test_every_kind_is_listed_and_explained(run: Run) -> None:
    listing = run("kinds")
    assert listing.exit_code == 0
    assert all_kinds()
    for name, kind in all_kinds().items():
        assert f"\n{name} " in listing.output
        one = run("kinds", name)
        assert one.exit_code == 0
        words = " ".join(one.output.split())
        assert " ".join(kind.summary.split()) in words
        assert " ".join(kind.faithful.split()) in words
        for option in kind.options:
            assert f"\n{option} " in one.output


def test_a_kind_on_a_protocol(run: Run) -> None:
    redis = installed().protocols["redis"]
    done = run("kinds", "error", "--protocol", "redis")
    assert done.exit_code == 0
    assert done.output.startswith("error on redis\n")
    assert "moments   request" in done.output
    assert all_kinds()["error"].faithful.split()[0] in done.output
    for name in (*redis.error_options, *redis.errors):
        assert name in done.output


def test_kinds_of_a_protocol_without_messages(run: Run) -> None:
    found = json.loads(run("kinds", "-p", "tcp", "--json").output)
    assert "throttle" in found
    assert "error" not in found
    assert all("message" not in one["strikes"] for one in found.values())
    refused = run("kinds", "error", "-p", "tcp")
    assert refused.exit_code == 2
    assert "tcp has no 'error'; protocols that have it: " in refused.stderr


def test_json_of_a_kind_holds_words_of_the_language(run: Run) -> None:
    facts = json.loads(run("kinds", "delay", "--json").output)
    assert facts["name"] == "delay"
    assert facts["spoken"] == "delay"
    assert facts["options"]["delay"]["type"] == "distribution"
    assert "redis" in facts["protocols"]
    everything = json.loads(run("kinds", "--json").output)
    assert everything["delay"] == facts


# ---- protocols


def test_every_protocol_is_listed_and_explained(run: Run) -> None:
    listing = run("protocols")
    assert listing.exit_code == 0
    for name, protocol in installed().protocols.items():
        assert f"\n{name} " in listing.output
        one = run("protocols", name)
        assert one.exit_code == 0
        for field in protocol.fields:
            assert f"\n{field.name} " in one.output
        for error in protocol.errors:
            assert f"\n{error} " in one.output
        for kind in installed().kinds(protocol):
            assert kind in one.output


def test_json_of_protocols(run: Run) -> None:
    facts = json.loads(run("protocols", "redis", "--json").output)
    assert facts["fields"]["key"]["type"] == "text"
    assert facts["errors"]["loading"]["code"] == "LOADING"
    assert "lose_reply" in facts["kinds"]
    assert json.loads(run("protocols", "--json").output)["redis"] == facts


# ---- recipes


def test_every_recipe_is_listed_and_explained(run: Run) -> None:
    listing = run("recipes")
    assert listing.exit_code == 0
    assert RECIPES
    for name, recipe in RECIPES.items():
        assert f"\n{name} " in listing.output
        one = run("recipes", name)
        assert one.exit_code == 0
        words = " ".join(one.output.split())
        assert recipe.summary in words
        assert recipe.imitates in words
        for protocol in recipe.parts:
            for label, _ in recipe.sentences(protocol):
                assert label in words
        for option in recipe.options:
            assert f"\n{option} " in one.output


def test_json_of_recipes(run: Run) -> None:
    facts = json.loads(run("recipes", "commit-lost", "--json").output)
    assert any("lose_reply" in sentence for sentence in facts["faults"]["mysql"].values())
    assert json.loads(run("recipes", "--json").output)["commit-lost"] == facts


# ---- names that there are not


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["kinds", "dealy"], "there is no kind 'dealy'; kinds: "),
        (["kinds", "-p", "reddis"], "there is no protocol 'reddis'; protocols: tcp, "),
        (["protocols", "reddis"], "Did you mean 'redis'?"),
        (["recipes", "cold-cash"], "there is no recipe 'cold-cash'; recipes: "),
        (["protocls"], "there is no command 'protocls'; commands: status, proxies, "),
        (["check", "--quiet"], "No such option"),
    ],
)
def test_wrong_words_end_with_2(run: Run, words: list[str], says: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


# ---- the demo


@pytest.mark.parametrize("status", [0, 1])
def test_the_demo_gets_its_words_and_gives_its_status(
    run: Run, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    module: Any = pytest.importorskip("rascal.demo.__main__")
    seen: list[Any] = []
    monkeypatch.setattr(module, "main", lambda words: seen.append(list(words)) or status)
    assert run("demo", "--quick", "--only", "2").exit_code == status
    assert seen == [["--quick", "--only", "2"]]


# ---- as a process


def test_version_and_help_are_there_at_once() -> None:
    best = 10.0
    for _ in range(3):
        start = time.perf_counter()
        done = child("--help")
        best = min(best, time.perf_counter() - start)
        assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert best < 0.5  # 0.06 s on a machine that is not busy
    assert child("--version").stdout == f"rascal {__version__}\n"


def test_help_imports_little() -> None:
    code = "import sys; from rascal.cli import main; sys.argv[1:] = ['--help']\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print([m for m in sys.modules if m.split('.')[0] in ('twisted', 're2', 'attr')])\n"
    code += "print([m for m in sys.modules if m.startswith('rascal.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-2:] == ["[]", "['rascal.cli', 'rascal.cli.app']"]


def test_colour_only_on_a_terminal_and_not_with_no_color() -> None:
    def on_a_terminal(**environ: str) -> str:
        ours, theirs = pty.openpty()
        done = child("protocols", out=theirs, **environ)
        os.close(theirs)
        assert done.returncode == 0
        with open(ours, "rb", buffering=0) as shown:
            return shown.read(1 << 16).decode()

    assert "\x1b[1mPROTOCOL" in on_a_terminal(NO_COLOR="")
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in child("protocols", NO_COLOR="").stdout


def test_statuses_of_the_process(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ini", tmp_path / "bad.ini"
    good.write_text(GOOD)
    bad.write_text(BAD)
    assert child("check", str(good)).returncode == 0
    assert child("check", str(bad)).returncode == 1
    assert child("check", str(tmp_path / "none.ini")).returncode == 2
    assert child("kinds", "nothing").returncode == 2
