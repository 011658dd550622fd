"""Checks of replies: what they find, what becomes of the call, and what they cost."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from worlds import Reply

from rascal.errors import ConfigError
from rascal.load import checks
from rascal.load.checks import check, wrong
from rascal.load.parameters import Option
from rascal.load.paths import MISSING, path
from rascal.load.recorder import Recorder
from rascal.load.types import Call, Meters

BODY = (
    b'{"ok": true, "off": false, "none": null, "price": 5, "zero": 0, "a": {"b": [1, {"c": "x"}]}}'
)


class Session:
    def __init__(self) -> None:
        self.recorder = Recorder("1", "a", 0.0)


def reply(code: int = 200, body: bytes = BODY, took: float = 0.05, **headers: str) -> Reply:
    session = Session()
    call = Call(session.recorder.flow("f"), 1.0, 1.02)
    call.ended = 1.0 + took
    call.outcome = "served" if code < 400 else "http_4xx" if code < 500 else "http_5xx"
    session.recorder.begin()
    return Reply(session, call, code, body, {n.replace("_", "-"): v for n, v in headers.items()})


def named(case: object) -> str:
    """The name of a case: the same in every process, whatever addresses its functions have."""
    return re.sub(r"<function .*? at 0x\w+>", "function", str(case))


RIGHT: list[Mapping[str, Any]] = [
    {"status": 200},
    {"status": "200..299"},
    {"status": "404, 200"},
    {"status": [201, "200..204"]},
    {"json": "$.ok"},
    {"json": "$.zero"},
    {"json": ["$.ok", "$.a.b[1].c"]},
    {"json": {"$.price": 5, "$.off": False, "$.none": None, "$.a.b[-1]['c']": "x"}},
    {"json": {"$.price": lambda price: price > 4}},
    {"json": {"$.price": Option("p", int, 5)}},
    {"json": {"$..c": "x", "$.a.b[?@.c == 'x'].c": "x"}},
    {"contains": "price"},
    {"contains": [b"price", "zero"]},
    {"contains": re.compile(r'"price": \d')},
    {"contains": re.compile(rb"^\{")},
    {"header": "content-type"},
    {"header": {"Content-Type": "text/html", "X-Shop": "one; two"}},
    {"header": {"x-shop": re.compile("^one")}},
    {"header": ["content-type", "x-shop"]},
    {"size": len(BODY)},
    {"size": "10..1KB"},
    {"size": "..1KB"},
    {"within": "50ms"},
    {"status": 200, "json": "$.ok", "contains": "price", "within": "1s"},
]


@pytest.mark.parametrize("wanted", RIGHT, ids=named)
def test_what_is_right_passes(wanted: Mapping[str, Any]) -> None:
    found = reply(Content_Type="text/html; charset=utf-8", X_Shop="one; two")
    result = check(found, wanted)
    assert result and result.problems == () and found.call.outcome == "served"


WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"status": 201}, "status 200"),
    ({"status": "300..399"}, "status 200"),
    ({"status": [201, 202]}, "status 200"),
    ({"json": "$.no"}, "no $.no"),
    ({"json": "$.off"}, "$.off is false"),
    ({"json": "$.none"}, "$.none is null"),
    ({"json": "$.a.b[7]"}, "no $.a.b[7]"),
    ({"json": "$.price.x"}, "no $.price.x"),
    ({"json": {"$.price": 6}}, "$.price is 5, not 6"),
    ({"json": {"$.ok": 1}}, "$.ok is true, not 1"),
    ({"json": {"$.price": lambda price: price > 5}}, "$.price is 5"),
    ({"contains": "cheap"}, 'no "cheap" in the body'),
    ({"contains": re.compile("x{9}")}, 'no match of "x{9}"'),
    ({"header": "ETag"}, "no header ETag"),
    ({"header": {"X-Shop": "two"}}, 'X-Shop is "one"'),
    ({"size": 3}, f"{len(BODY)} bytes"),
    ({"size": "1KB.."}, f"{len(BODY)} bytes"),
    ({"within": "49ms"}, "within 49ms: took 50ms"),
    ({"within": "1ms", "json": "$.no"}, "no $.no; within 1ms: took 50ms"),
]


@pytest.mark.parametrize(("wanted", "says"), WRONG, ids=named)
def test_what_is_wrong_is_counted_and_said(wanted: Mapping[str, Any], says: str) -> None:
    found = reply(X_Shop="one")
    result = check(found, wanted)
    assert not result and "; ".join(result.problems) == says
    assert (found.call.outcome, found.call.detail) == ("check_failed", says)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_fails_the_check(body: bytes) -> None:
    assert check(reply(body=body), {"json": "$.ok"}).problems == ("the body is no JSON",)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"statos": 1}, r"check has no 'statos'; it takes: status, .*Did you mean 'status'\?"),
        ({"status": "ok"}, "status: 'ok' is no status: write 200, a range"),
        ({"status": "299..200"}, "status: '299..200' is no status"),
        ({"status": []}, "a list of none"),
        ({"status": None}, "status: None is no status"),
        ({"json": "ok"}, "json: 'ok' is no JSON path; it begins with"),
        ({"json": "$.a["}, r"json: '\$.a\[' is no JSON path"),
        ({"within": 300}, "within: 300 has no unit"),
        ({"within": "300"}, "within: '300' has no unit"),
        ({"contains": 5}, "contains: 5 is no text"),
        ({"size": "big"}, "size: "),
        ({"size": "2KB..1KB"}, "holds nothing"),
    ],
)
def test_a_check_that_makes_no_sense_is_an_error(wanted: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(reply(), wanted)


def test_a_reply_that_says_no_stays_an_honest_failure() -> None:
    found = reply(503, b"", took=2.0)
    assert not check(found, {"status": 200, "within": "1s"})
    assert found.call.outcome == "http_5xx"


def test_a_status_that_was_asked_for_is_served() -> None:
    found = reply(404, b"")
    assert check(found, {"status": [200, 404]})
    assert (found.call.outcome, found.call.detail) == ("served", "")
    found = reply(404, b"")
    assert not check(found, {"status": 404, "contains": "gone"})
    assert found.call.outcome == "check_failed"
    found = reply(404, b"")
    assert check(found, {"within": "1s"})
    assert found.call.outcome == "http_4xx"


def test_after_it_was_recorded_a_call_is_moved() -> None:
    found = reply()
    recorder = found.session.recorder
    recorder.done(found.call)
    check(found, {"json": "$.no"})
    (row,) = recorder.report(1, Meters()).rows.values()
    assert {name: times for name, times in row.outcomes.items() if times} == {"check_failed": 1}
    assert row.served.count == 0
    assert found.call.detail == "no $.no"


def test_wrong_data_is_an_outcome_of_its_own() -> None:
    found = reply()
    wrong(found, "another user's cart")
    assert (found.call.outcome, found.call.detail) == ("wrong_data", "another user's cart")


def test_arguments_that_are_equal_but_not_the_same_are_told_apart() -> None:
    assert check(reply(), {"json": {"$.ok": True}})
    assert not check(reply(), {"json": {"$.ok": 1}})
    assert check(reply(), {"json": {"$.price": 5}})
    assert not check(reply(), {"json": {"$.zero": False}})


def test_checks_are_compiled_once_and_not_kept_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Mapping[str, Any]] = []

    class Counted(checks.Compiled):
        def __init__(self, wanted: Mapping[str, Any]) -> None:
            made.append(wanted)
            super().__init__(wanted)

    monkeypatch.setattr(checks, "Compiled", Counted)
    monkeypatch.setattr(checks, "_compiled", {})
    for _ in range(10):
        check(reply(), {"status": 200, "within": "777ms"})
        check(reply(), {"json": {"$.price": 5}, "status": [200, 204]})
    assert len(made) == 2
    for number in range(2500):
        check(reply(), {"contains": str(number)})
    assert len(checks._compiled) <= checks.MAX_COMPILED


def test_a_check_of_status_and_time_is_cheap() -> None:
    found = reply()

    def once(**wanted: Any) -> Any:
        return check(found, wanted)

    best = 1.0
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(2000):
            once(status=200, within="300ms")
        best = min(best, (time.perf_counter() - begin) / 2000)
    assert best < 3e-6, f"{best * 1e6:.2f} us"  # about 0.7 us on a quiet machine


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$", {"a": [{"b c": 1}, 2]}),
        ("$.a[0]['b c']", 1),
        ('$.a[0]["b c"]', 1),
        ("$['a'][-1]", 2),
        ("$.a[2]", MISSING),
        ("$.b", MISSING),
        ("$.a.b", MISSING),
        ("$.a[*]", {"b c": 1}),
        ("$.a[1:]", 2),
        ("$.z[*]", MISSING),
    ],
)
def test_paths_lead_to_the_first_value(text: str, value: Any) -> None:
    assert path(text)({"a": [{"b c": 1}, 2]}) == value
