"""`rascal load`: what is said before any load: flags, bad input, help, init."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rascal.cli.app import rascal
from rascal.cli.load.change import profiles_of
from rascal.cli.load.flags import OURS, check_options, pairs, split, values_of, variable
from rascal.cli.load.offering import masked
from rascal.cli.load.reaching import count_of
from rascal.cli.load.run import flag_of
from rascal.errors import ConfigError

Run = Callable[..., Result]

SHOP = """
from rascal.load import Option, scenario
size = Option("catalogue_size", int, 20, "Items on a page")
@scenario("browse", tags=["read"])
async def browse(user):
    await user.get("/")
@scenario("buy", weight=2)
async def buy(user):
    await user.post("/")
"""
TARGET = ("--target", "http://127.0.0.1:9")
LOAD = ("--rate", "5/s", "--for", "1s")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rascal load …` beside shop.py, in this process (so without a reactor of its own)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASCAL_STORE", str(tmp_path / "runs.db"))
    for name in ("RASCAL_TOKEN", "RASCAL_TOKEN_FILE", "RASCAL_REDIS"):
        monkeypatch.delenv(name, raising=False)
    Path("shop.py").write_text(SHOP)

    def call(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "100"}).invoke(
            rascal, ["load", *words], prog_name="rascal"
        )

    return call


# ---- words


def test_words_that_are_no_flags_of_ours() -> None:
    assert split(["shop.py"]) == ("shop.py", [], {})
    words = ["shop.py", "browse", "--catalogue-size", "20", "buy", "--fast", "--mode=a=b"]
    assert split(words) == (
        "shop.py",
        ["browse", "buy"],
        {"catalogue_size": "20", "fast": "yes", "mode": "a=b"},
    )
    assert split(["shop.py", "--offset", "-3"])[2] == {"offset": "-3"}
    for wrong, said in (([], "which scenario"), (["--x", "1"], "which scenario"), (["-x"], "-x")):
        with pytest.raises(ConfigError, match=said):
            split(wrong)


def test_pairs() -> None:
    assert pairs(["Accept: text/html", "X-A:1"], ":", "header", "") == {
        "Accept": "text/html",
        "X-A": "1",
    }
    assert pairs(["a=b=c"], "=", "option", "") == {"a": "b=c"}
    with pytest.raises(ConfigError, match=r"--option: 'a' is no NAME=VALUE, such as x=1"):
        pairs(["a"], "=", "option", "x=1")


def test_values_are_those_of_a_load_file() -> None:
    from rascal.cli.load.flags import PLAIN, REPEATED
    from rascal.load.wishes import NAMES

    assert {*PLAIN, *REPEATED.values()} - {*NAMES} == {"allow"}
    given: dict[str, Any] = {variable(name[2:]): None for name in OURS}
    given |= {variable(name): () for name in REPEATED} | {"no_verify": True, "no_resend": False}
    given |= {"rate": "5/s", "objective": ("p95 < 1s",), "header": ("A: b",)}
    assert values_of(given) == {
        "rate": "5/s",
        "objectives": ["p95 < 1s"],
        "headers": {"A": "b"},
        "verify": "no",
    }


def test_options_that_nobody_has() -> None:
    check_options({"size": "1"}, {"size": 0}, "shop.py")
    with pytest.raises(ConfigError, match=r"no flag --rat; options of shop.py: --size. Did you "):
        check_options({"rat": "1"}, {"size": 0}, "shop.py")
    with pytest.raises(ConfigError, match=r"no flag --zzz, and shop.py has none\."):
        check_options({"zzz": "1"}, {}, "shop.py")


def test_flags_of_option_names() -> None:
    names = ("rate", "objectives", "profiles", "connect_timeout", "headers", "for", "stop", "what")
    flags = ["--rate", "--objective", "--profile", "--connect-timeout", "--header", "--for"]
    assert [flag_of(name) for name in names] == [*flags, "--stop", None]


def test_number_of_agents() -> None:
    assert count_of({"agents": None, "redis": None}) is None
    assert count_of({"agents": "4", "redis": None}) == 4
    for wrong in ("0", "-1", "many", "1.5", "99999"):
        with pytest.raises(ConfigError, match="--agents"):
            count_of({"agents": wrong, "redis": None})


def test_more_agents_than_this_machine_bears_are_for_a_redis() -> None:
    assert count_of({"agents": "5000", "redis": "redis://127.0.0.1"}) == 5000
    with pytest.raises(ConfigError, match=r"--agents: 5000 processes on .* at most .* --redis"):
        count_of({"agents": "5000", "redis": None})


def test_profiles_of_a_change() -> None:
    assert profiles_of(("hold 5/s for 1m",)) == {"": "hold 5/s for 1m"}
    assert profiles_of(("buy=hold 5/s", "browse = pause 1s")) == {
        "buy": "hold 5/s",
        "browse": "pause 1s",
    }
    with pytest.raises(ConfigError, match="'buy' has two profiles"):
        profiles_of(("buy=hold 5/s", "buy=hold 6/s"))


def test_secrets_are_not_kept() -> None:
    words = ["load", "run", "x.py", "--redis", "redis://u:geheim@h:1", "--header", "Auth: geheim"]
    words += ["--header=Auth: geheim", "--rate", "5/s"]
    text = masked(words)
    assert "geheim" not in text
    assert "redis://u:***@h:1" in text and "Auth: ***" in text and text.endswith("--rate 5/s")


# ---- bad input: one line, status 2, nothing begun


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "error: which scenario? rascal load run FILE"),
        (("run", "nowhere.py", *TARGET, *LOAD), "error: nowhere.py: there is no such file"),
        (("run", ".", *TARGET, *LOAD), "error: .: a folder"),
        (("run", "shop.py", *TARGET), "error: how much load? --rate 200/s --for 60s"),
        (("run", "shop.py", *TARGET, "--for", "1s"), "error: how much load?"),
        (("run", "shop.py", *LOAD), "error: which target? --target URL"),
        (("run", "shop.py", *LOAD, "--target", "ftp://x"), "error: --target: the target 'ftp://x'"),
        (("run", "shop.py", *TARGET, "--rate", "5/s"), "error: --rate: how long?"),
        (
            ("run", "shop.py", *TARGET, "--rate", "20", "--for", "1s"),
            "error: --rate: '20' has no unit: write 20/s or 20 users",
        ),
        (
            ("run", "shop.py", *TARGET, "--profile", "hold 5/s for 1s, ram 1..2/s for 3s"),
            "Did you mean 'ramp'?\n  hold 5/s for 1s, ram 1..2/s for 3s\n                   ^^^",
        ),
        (
            ("run", "shop.py", "brows", *TARGET, *LOAD),
            "there is no scenario 'brows'; scenarios: browse, buy. Did you mean 'browse'?",
        ),
        (("run", "shop.py", *TARGET, *LOAD, "--tag", "x"), "no tag 'x'; tags: read"),
        (
            ("run", "shop.py", *TARGET, *LOAD, "--catalogue-siz", "5"),
            "there is no flag --catalogue-siz; options of shop.py: --catalogue-size. Did you",
        ),
        (("run", "shop.py", *TARGET, "--rat", "5/s"), "error: how much load?"),
        (
            ("run", "shop.py", *TARGET, *LOAD, "--catalogue-size", "five"),
            "shop.py:3: option 'catalogue_size': 'five' is not a whole number",
        ),
        (
            ("run", "shop.py", *TARGET, *LOAD, "--objective", "p95(buy) < 300"),
            "error: --objective: '300' has no unit",
        ),
        (("run", "shop.py", *TARGET, *LOAD, "--agents", "0"), "error: --agents: '0' is no number"),
        (("run", "shop.py", *TARGET, *LOAD, "--namespace", "one"), "--namespace is for --redis"),
        (
            (
                "run",
                "shop.py",
                *TARGET,
                *LOAD,
                "--redis",
                "redis://127.0.0.1",
                "--namespace",
                "a b",
            ),
            "error: --namespace: ",
        ),
        (("agents", "--namespace", "a b"), "error: --namespace: "),
        (("run", "shop.py", *TARGET, *LOAD, "--header", "x"), "error: --header: 'x' is no NAME"),
        (("run", "shop.py", *TARGET, *LOAD, "--once", "--check-agents"), "are two things"),
        (("run", "shop.py", *TARGET, *LOAD, "--once", "--detach"), "--detach is for load"),
        (("run", "shop.py", *TARGET, *LOAD, "--no-store", "--detach"), "needs the store"),
        (("run", "syntax.py", *TARGET, *LOAD), "error: syntax.py:2: "),
        (("run", "none.py", *TARGET, *LOAD), "error: none.py: there is no scenario"),
        (("run", "raises.py", *TARGET, *LOAD), "error: raises.py:2: ZeroDivisionError"),
        (("run", "broken.yml"), "error: broken.yml:2"),
        (("run", "other.yml"), "error: other.yml:2:1: 'sceanrios' is not known here"),
        (("run", "shop.py", *TARGET, *LOAD, "--redis", "http://x"), "'http://' is no Redis"),
        (("attach", "7"), "there is no run store yet"),
        (("stop",), "no run goes on"),
        (("change", "7", "hold 5/s"), "error: "),
        (("agents", "--redis", "redis://127.0.0.1:x"), "is no URL of a Redis"),
        (("shop.py",), "To run it: rascal load run shop.py"),
        (("rum",), "Did you mean 'run'?"),
    ],
)
def test_bad_input(run: Run, words: tuple[str, ...], said: str) -> None:
    Path("syntax.py").write_text("x = 1\ndef f(:\n")
    Path("none.py").write_text("x = 1\n")
    Path("raises.py").write_text("x = 1\ny = 1 / 0\n")
    Path("broken.yml").write_text("scenarios: shop.py\n  target: http://127.0.0.1:9\n")
    Path("other.yml").write_text("target: http://127.0.0.1:9\nsceanrios: shop.py\n")
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


# ---- help


def test_help_of_the_group(run: Run) -> None:
    done = run("--help")
    assert done.exit_code == 0
    for word in ("run", "init", "attach", "stop", "change", "agents", "Exit status"):
        assert word in done.output


def test_every_flag_has_its_help(run: Run) -> None:
    text = run("run", "--help").output
    for flag in OURS:
        assert flag in text
    for title in ("Load:", "Bounds:", "Judge:", "Agents:", "Keep:", "Exit status:"):
        assert f"\n{title}\n" in text
    assert "--started-fd" not in text


def test_help_shows_what_the_file_offers(run: Run) -> None:
    text = run("run", "shop.py", "--help").output
    assert "Options of shop.py:" in text
    assert "--catalogue-size COUNT" in text and "Items on a page (20)." in text
    assert "Scenarios of shop.py:" in text and "weight 2" in text
    Path("shop.py").write_text("def f(:")
    assert run("run", "shop.py", "--help").exit_code == 0


@pytest.mark.parametrize("command", ["init", "import", "attach", "stop", "change", "agents"])
def test_help_of_each_command(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 6


def test_the_list_of_commands_imports_nothing_of_load() -> None:
    code = (
        "import sys\nfrom rascal.cli.app import rascal\n"
        "for words in (['--help'], ['load', '--help'], ['load', 'init', '--help']):\n"
        "    rascal.main(words, standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('twisted', 'rascal.load'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# ---- completion


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("load ", ["run", "init", "import", "attach", "stop", "change", "agents"]),
        ("load at", ["attach"]),
        ("load run shop.py ", ["browse", "buy"]),
        ("load run shop.py br", ["browse"]),
        ("load run nowhere.py br", []),
        ("load run shop.py --obj", ["--objective"]),
        ("load attach ", []),
    ],
)
def test_what_a_shell_is_offered(run: Run, line: str, offered: list[str]) -> None:
    from rascal.cli.completion import Bash, words_of

    words, incomplete = words_of(f"rascal {line}")
    found = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE").get_completions(words, incomplete)
    assert [item.value for item in found] == offered


def test_the_first_word_of_a_run_is_a_file(run: Run) -> None:
    from rascal.cli.completion import Bash

    bash = Bash(rascal, {}, "rascal", "_RASCAL_COMPLETE")
    assert [item.type for item in bash.get_completions(["load", "run"], "sh")] == ["file"]


# ---- init


def test_init_writes_a_scenario_that_can_be_read(run: Run) -> None:
    from rascal.load.book import load_book

    done = run("init", "mine.py")
    assert done.exit_code == 0
    assert "rascal load run mine.py --target http://127.0.0.1:8080 --once" in done.stdout
    book = load_book("mine.py", {"page": "/x"})
    assert list(book.scenarios) == ["visit", "impatient"]
    assert str(book.parameters["page"]) == "/x"
    book.unload()


def test_init_overwrites_nothing_unless_it_is_told_to(run: Run) -> None:
    Path("scenario.py").write_text("mine")
    done = run("init")
    assert done.exit_code == 2
    assert "scenario.py is there already" in done.stderr
    assert Path("scenario.py").read_text() == "mine"
    assert run("init", "--force").exit_code == 0
    assert "@scenario" in Path("scenario.py").read_text()
    assert "cannot be written: No such file or directory" in run("init", "no/where.py").stderr
