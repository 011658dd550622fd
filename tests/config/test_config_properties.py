"""Damaged files raise nothing but ConfigErrors; the dialect is configparser's; round trips."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rascal.config import Configuration, Registry, export, load
from rascal.config.ini import read_ini
from rascal.errors import ConfigErrors

SEED = """\
[rascal]
control = 127.0.0.1:8474
seed = 42
tokens = admin x

[proxy:db]
protocol = mysql
listen = 127.0.0.1:3307, unix:/tmp/s
upstream = ${HOST}:3306
# a comment
faults =
    20% delay(normal(800ms, 100ms)) match statement=SELECT name slow
    lose_reply(then=reset) match sql~^a and
      n=3 count 1 enabled no
    recipe cold-cache strength=20% for 1m
roulette = 10% delay(2s), 5% error(503, retry_after=2s)

[fault:db/cold]
kind = error
error = deadlock
match = n=1..3
enabled = no

[script:db/trouble]
match = statement=UPDATE
steps =
    pass 2
    error(deadlock)
"""
pieces = st.text(st.sampled_from("\n =[]:/,;#$\"'(){}%~^.ab1${HOST}é\t\r\x00\\-"), max_size=8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "proxies.ini"


Attempt = Callable[[str], Configuration | ConfigErrors]


@pytest.fixture(scope="module")
def attempt(file: Path, registry: Registry) -> Attempt:
    """What is read, or the findings; any other exception is a failure."""

    def run(text: str) -> Configuration | ConfigErrors:
        file.write_text(text, encoding="utf-8", newline="")
        try:
            return load(str(file), {"HOST": "h"}, registry=registry)
        except ConfigErrors as errors:
            return errors

    return run


def holds(attempt: Attempt, text: str) -> None:
    found = attempt(text)
    lines = text.split("\n")
    if isinstance(found, ConfigErrors):
        assert found.findings
        for finding in found.findings:
            assert finding.line is None or 1 <= finding.line <= len(lines)
            if finding.line and finding.column:
                assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
    else:
        again = attempt(export(found))
        assert again == found


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(SEED)), st.integers(0, 12), pieces)
def test_a_damaged_file_is_read_or_refused(attempt: Attempt, at: int, cut: int, piece: str) -> None:
    holds(attempt, SEED[:at] + piece + SEED[at + cut :])


@settings(max_examples=200, deadline=None)
@given(st.permutations(SEED.split("\n")), st.integers(1, 30))
def test_a_shuffled_file_is_read_or_refused(attempt: Attempt, lines: list[str], count: int) -> None:
    holds(attempt, "\n".join(lines[:count]))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(attempt: Attempt, text: str) -> None:
    holds(attempt, text.encode("utf-8", "ignore").decode())


words = st.text(st.sampled_from("ab=#;,[]: \"'$%"), min_size=1, max_size=10)
lines = st.one_of(
    words,
    words.map(lambda text: f"key{len(text)} = {text}"),
    words.map(lambda text: f"    {text}"),
    words.map(lambda text: f"[s{len(text)}]"),
    st.just(""),
    st.just("  # comment"),
)


def parsed(text: str) -> dict[str, dict[str, str]] | None:
    parser = configparser.RawConfigParser(
        strict=True, delimiters=("=",), default_section="none of ours"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return {
        name: {
            key: "\n".join(line for line in value.split("\n") if line)
            for key, value in parser[name].items()
        }
        for name in parser.sections()
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=12))
def test_what_is_accepted_means_what_configparser_reads(text: list[str]) -> None:
    joined = "[s]\n" + "\n".join(text)
    sections, findings = read_ini(joined, "x", {})
    if not findings:
        ours: dict[str, Any] = {
            section.name: {
                entry.name: "\n".join(line for line in entry.text.split("\n") if line)
                for entry in section.entries.values()
            }
            for section in sections
        }
        assert ours == parsed(joined)
