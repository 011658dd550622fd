"""Variables in Compose files, and files that give them values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rascal.errors import ConfigError
from rascal.wrapping.dotenv import read_env
from rascal.wrapping.interpolation import Variables, escaped

VALUES = {"A": "one", "E": "", "B": "two"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", "plain"),
        ("$A-${B}", "one-two"),
        ("${A}${A}", "oneone"),
        ("$$A $${A}", "$A ${A}"),
        ("${N:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${A:-d}", "one"),
        ("${N-}", ""),
        ("${N:-${A}}", "one"),
        ("${N:-${M:-${B}!}}", "two!"),
        ("${N:-http://x:80/}", "http://x:80/"),
        ("${A:+set}", "set"),
        ("${E:+set}", ""),
        ("${E+set}", "set"),
        ("${N+set}", ""),
        ("${A:?must be}", "one"),
        ("${E?must be}", ""),
        ("${N}", ""),
    ],
)
def test_values_are_put_in(text: str, found: str) -> None:
    variables = Variables(VALUES)
    assert variables.text(text) == found
    assert variables.findings == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${N:?set it in .env}", "'N' must have a value: set it in .env"),
        ("${E:?}", "'E' must have a value"),
        ("${N?}", "'N' must have a value"),
        ("${A", "'${A': a brace of ${…} is not closed"),
        ("${}", "'${}' names no variable: write ${NAME}"),
        ("$1", "'$1': a plain $ is written $$, a variable $NAME or ${NAME}"),
        ("${A!x}", "'${A!x}': after the name stands one of :- - :? ? :+ +"),
    ],
)
def test_what_cannot_be_read_is_a_finding_and_stays(text: str, says: str) -> None:
    variables = Variables(VALUES)
    assert variables.text(text) == text
    assert [one.message for one in variables.findings] == [says]


def test_names_without_a_value_are_remembered() -> None:
    variables = Variables(VALUES)
    variables.text("$N ${M:-x} ${E}")
    assert list(variables.unset) == ["N"]


@given(st.text())
def test_an_escaped_text_is_that_text(text: str) -> None:
    variables = Variables({})
    assert variables.text(escaped(text)) == text
    assert not variables.findings and not variables.unset


@given(st.text("${}:-?+AN_ x", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    variables = Variables(VALUES)
    found = variables.text(text)
    assert isinstance(found, str)
    assert found == text if variables.findings else True


def test_env_files(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n\nA=1\nexport B = two words # a comment\nC='$A is not read'\n"
        'D="${A} and $B\\n"\nE=\nF: yaml\nG="over\ntwo lines"\nH=a#b\nOUTSIDE\nNOBODY\nI=it\'s\n'
    )
    assert read_env(path, ".env", {"OUTSIDE": "in"}) == {
        "A": "1",
        "B": "two words",
        "C": "$A is not read",
        "D": "1 and two words\n",
        "E": "",
        "F": "yaml",
        "G": "over\ntwo lines",
        "H": "a#b",
        "OUTSIDE": "in",
        "I": "it's",
    }


def test_an_env_file_with_a_line_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("A=1\n= 2\n")
    with pytest.raises(ConfigError) as caught:
        read_env(path, "x.env", {})
    assert str(caught.value) == "x.env:2: '= 2' is not 'NAME=value'"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_env(tmp_path / "none", "none", {})
