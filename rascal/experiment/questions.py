"""Checks as they are written: `{name: …, get: URL, json: $.path, equals: 0}` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from rascal.errors import did_you_mean
from rascal.experiment.specification import Check
from rascal.load.wishes import kind_of
from rascal.load.yamltext import Block
from rascal.options import Option

if TYPE_CHECKING:
    from rascal.experiment.reading import _Reader

Way = Literal["get", "sql", "redis", "command"]
Test = Literal["equals", "at_most", "at_least", "contains", "unchanged"]
WAYS: tuple[Way, ...] = get_args(Way)
TESTS: tuple[Test, ...] = get_args(Test)
DURATIONS = ("within", "timeout", "for")
NAMES = ("name", "at", "json", *WAYS, *TESTS, *DURATIONS)
SERVERS = {"sql": ("mysql://", "postgresql://"), "redis": ("redis://", "rediss://", "unix://")}


def read_check(one: Block, reader: _Reader, where: str) -> Check | None:
    """A Check, or None with findings."""
    before = len(reader.findings)
    reader.unknown(one, NAMES, f"a check in {where}")
    for name, value in one.items():
        if not isinstance(value, str):
            reader.finding(f"{name} is a text, found {kind_of(value)}", name, name)
            return None
    ways = [way for way in WAYS if way in one]
    tests = [test for test in TESTS if test in one]
    if len(ways) != 1:
        reader.finding(f"one of {', '.join(WAYS)} says how to ask", "get", one)
        return None
    if len(tests) > 1:
        reader.finding(f"one of {', '.join(TESTS)} says what must be", tests[1], one)
    way = ways[0]
    test: Any = tests[0] if tests else "answers"
    _servers(one, way, reader)
    if test in ("at_most", "at_least") and not _number(one[test]):
        reader.finding(f"{test} is a number, found '{one[test]}'", test, one[test])
    if "json" in one and not str(one["json"]).startswith("$"):
        reader.finding("json is a path that begins with $, such as $.count", "json", one["json"])
    times = {
        name: reader.option(Option(name, "duration", "", default), one)
        for name, default in (("within", 0.0), ("timeout", 5.0), ("for", 0.0))
        if name in one
    }
    if len(reader.findings) > before:
        return None
    return Check(
        name=str(one.get("name", one[way])),
        way=way,
        ask=str(one[way]),
        at=str(one.get("at", "")),
        json=str(one.get("json", "")),
        test=test,
        value=str(one[test]) if tests else "",
        within=times.get("within", 0.0),
        timeout=times.get("timeout", 5.0),
        lasts=times.get("for", 0.0),
        line=one.line,
    )


def _servers(one: Block, way: Way, reader: _Reader) -> None:
    if way == "get" and not str(one[way]).startswith(("http://", "https://", "/")):
        reader.finding("get is a URL, or a path on the target", "get", one[way])
    schemes = SERVERS.get(way)
    if schemes is None:
        if "at" in one:
            reader.finding(f"{way} has no 'at': it belongs to sql and redis", "at", one["at"])
        return
    if not str(one.get("at", "")).startswith(schemes):
        given = one.get("at", "")
        reader.finding(
            f"{way} needs 'at', the server's URL ({' or '.join(schemes)}…)"
            f"{did_you_mean(str(given), schemes)}",
            "at",
            given if given else one,
        )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
