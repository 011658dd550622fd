"""The example of docs/testing.md: fragile it fails as the page shows, mended it passes.

RASCAL_RECORD=1 writes what is said now into the page.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mysql_servers import mariadb, mariadb_missing
from redis_servers import REDIS, redis_server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/testing.md"
EXAMPLE = ROOT / "docs/examples/checkout"

OPTIONS = ("-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={EXAMPLE}", "--color=no")
"""So that no pytest of ours is the example's."""

CONSOLE = re.compile(r"```console\n\$ ([^\n]*)\n(.*?)```", re.DOTALL)
SAME = (
    (re.compile(r"^ +\d+ +CLIENT .*\n", re.MULTILINE), ""),  # some versions of redis-py say it
    (re.compile(r"\bin \d+\.\d+s"), "in TIME"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s)\b"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+|'127\.0\.0\.1', \d+"), "ADDRESS"),
    (re.compile(r"\bseed \d+"), "seed N"),
    (re.compile(r"0x[0-9a-f]+"), "0xN"),
    (re.compile(r"^( +)\d+(  \w)", re.MULTILINE), r"\1N\2"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"[-_=]{3,}"), "---"),
)


def same(text: str) -> str:
    """What does not change from run to run."""
    for pattern, word in SAME:
        text = pattern.sub(word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of the example."""
    if missing := mariadb_missing() or ("" if REDIS else "redis-server is not installed"):
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("checkout")
    with mariadb(folder) as database, redis_server(folder / "redis") as cache:
        yield {
            "SHOP_MYSQL": f"127.0.0.1:{database.port}",
            "SHOP_REDIS": f"127.0.0.1:{cache}",
        }


def say(command: str, servers: Mapping[str, str]) -> str:
    """What one command of the page says, in a folder that holds the example."""
    words = shlex.split(command)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "RASCAL_"))}
    environ.pop("CI", None)  # pytest shortens its lines otherwise
    environ |= {**servers, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    assert words[0] == "pytest"
    done = subprocess.run(
        [sys.executable, "-m", *words, *OPTIONS],
        cwd=EXAMPLE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.rstrip() + "\n"


def test_the_output_on_the_page_is_real(servers: Mapping[str, str]) -> None:
    page = PAGE.read_text()
    shown = CONSOLE.findall(page)
    assert len(shown) >= 3
    found = {command: say(command, servers) for command, _ in shown}
    if os.environ.get("RASCAL_RECORD"):
        PAGE.write_text(
            CONSOLE.sub(lambda one: f"```console\n$ {one[1]}\n{found[one[1]]}```", page)
        )
        return
    for command, text in shown:
        there, here = same(text).splitlines(), same(found[command]).splitlines()
        difference = "\n".join(difflib.unified_diff(there, here, "page", "now", lineterm=""))
        assert not difference, f"RASCAL_RECORD=1 writes it anew\n{command}\n{difference}"


def test_fragile_fails_where_it_should_and_mended_nowhere(servers: Mapping[str, str]) -> None:
    said = say("SHOP=fragile pytest -q --tb=no", servers)
    assert re.search(r"\b4 failed, 1 passed\b", said), said
    assert "test_a_deadlock_is_retried" not in said
    assert re.search(r"^5 passed", say("SHOP=mended pytest -q", servers), re.MULTILINE)


def test_the_page_shows_the_files_as_they_are() -> None:
    page = PAGE.read_text()
    blocks = re.findall(r"```python\n# ([\w.]+)\n(.*?)```", page, re.DOTALL)
    assert {name for name, _ in blocks} >= {"fragile.py", "test_checkout.py", "mended.py"}
    for name, text in blocks:
        source = (EXAMPLE / name).read_text()
        for part in re.split(r"^ *# …\n", text, flags=re.MULTILINE):
            assert part.strip("\n") in source, f"{name}:\n{part}"
