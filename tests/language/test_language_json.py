"""The language as JSON, refusals with their JSON pointer, and options on lines of their own."""

from __future__ import annotations

from typing import Any

import pytest

from rascal.language import (
    LanguageError,
    Quantity,
    from_json,
    parse,
    parse_option,
    plain,
    plain_options,
    show,
    to_json,
)
from rascal.options import Option, OptionTable
from rascal.wire.types import Field

KINDS = {
    "delay": OptionTable(
        Option("delay", "distribution", "how long", default="100ms"),
        Option("buffer", "size", "bound", default=262144),
    ),
    "hang": OptionTable(),
    "error": OptionTable(
        Option("error", "text", "which"),
        Option("text", "text", "what it says"),
        Option("retry_after", "duration", "when", default=1.0),
        Option("factor", "number", "how much"),
    ),
    "lose_reply": OptionTable(Option("then", ("hang", "close", "reset"), "what the client sees")),
}
FIELDS = (
    Field("n", "number", ""),
    Field("status", "number", ""),
    Field("sql", "text", ""),
    Field("statement", "word", ""),
)


def read(type_: str, data: Any) -> Any:
    return from_json(type_, data, kinds=KINDS, fields=FIELDS, protocol="mysql")


def test_the_fault_of_the_reference_page() -> None:
    text = "error(deadlock) on orders match statement=INSERT and sql~orders every 3 count 2"
    data = {
        "kind": "error",
        "options": {"error": "deadlock"},
        "on": "orders",
        "match": [
            {"field": "statement", "op": "=", "value": "INSERT"},
            {"field": "sql", "op": "~", "value": "orders"},
        ],
        "every": 3,
        "count": 2,
    }
    phrase = parse("fault", text, kinds=KINDS, fields=FIELDS)
    assert to_json(phrase) == data
    assert read("fault", data) == phrase
    assert read("fault", text) == phrase
    assert read("fault", data | {"text": text}) == phrase
    assert show(read("fault", data)) == text


def test_the_match_of_the_reference_page() -> None:
    data = [
        {"field": "status", "op": "=", "value": [{"from": "500", "to": "599"}, "429"]},
        {"field": "sql", "op": "~", "value": "^select", "not": True},
    ]
    assert show(read("match", data)) == "status=500..599,429 and not sql~^select"
    assert to_json(read("match", data)) == data
    assert show(read("match", [{"field": "n", "op": "!=", "value": 3}])) == "n!=3"


ACCEPTED = [
    ("fault", {"kind": "error", "options": {"error": 503}}, "error(503)"),
    ("fault", {"kind": "delay", "options": {"delay": "2s"}, "match": "n=3"}, "delay(2s) match n=3"),
    ("fault", {"kind": "hang", "at": ["request", "reply"]}, "hang at request,reply"),
    ("fault", {"kind": "hang", "enabled": False, "probability": 0.2}, "20% hang enabled no"),
    ("fault", {"kind": "error", "options": {"text": "for"}}, 'error(text="for")'),
    ("fault", {"kind": "error", "options": {"text": 'a "b", c'}}, 'error(text="a ""b"", c")'),
    ("fault", {"kind": "error", "options": {"factor": 1.5}}, "error(factor=1.5)"),
    ("faults", ["hang", {"kind": "hang"}], "hang, hang"),
    ("script", [{"kind": "pass", "count": 2}, {"kind": "hang"}], "pass 2, hang"),
    ("roulette", {"roulette": [{"kind": "hang", "probability": "10%"}]}, "10% hang"),
    ("profile", [{"shape": "ramp", "level": "0..9/s", "for": "30s"}], "ramp 0..9/s for 30s"),
    (
        "objective",
        {"measure": "p95", "flows": ["a b"], "op": "<", "limit": "300ms", "in": "fault"},
        'p95("a b") < 300ms in fault',
    ),
    ("duration", 0, "0s"),
]

REJECTED = [
    (
        "fault",
        {"kind": "delay", "options": {"delay": 2000}},
        "/options/delay",
        "'2000' has no unit",
    ),
    ("fault", {"kind": "delay", "options": {"delay": "2"}}, "/options/delay", "'2' has no unit"),
    (
        "fault",
        {"kind": "delay", "options": {"delay": "2s) count 3"}},
        "/options/delay",
        "nothing is expected after the delay",
    ),
    ("fault", {"kind": "hang", "count": "2 name x"}, "/count", "nothing is expected after"),
    ("fault", {"kind": "hang", "for": 20}, "/for", "'20' has no unit: write 20s or 20ms"),
    ("fault", {"kind": "hang", "count": 1.5}, "/count", "count is a whole number from 1, found"),
    ("fault", {"kind": "hang", "count": True}, "/count", "count is a whole number, found true"),
    ("fault", {"kind": "hang", "count": None}, "/count", "count is a whole number, found null"),
    ("fault", {"kind": "hang", "enabled": 1}, "/enabled", "enabled is a boolean, found 1"),
    ("fault", {"kind": "hang", "probability": 1}, "/probability", "'1' could mean 1% or a share"),
    ("fault", {"kind": "hang", "options": {"x/y": 1}}, "/options/x~1y", "hang has no option 'x/y'"),
    ("fault", {"kind": "hang", "buffer": "1KB"}, "/buffer", "a fault has no member 'buffer'"),
    ("fault", {"kind": "delay", "buffer": "1KB"}, "/buffer", "a fault has no member 'buffer'; al"),
    ("fault", {"kind": "dealy"}, "/kind", "kind 'dealy' is not known; allowed: delay, hang, error"),
    ("fault", {"options": {}}, "/kind", "a fault has a kind, such as 'delay'"),
    ("fault", [], "", "a fault is an object, found a list"),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "x", "value": "1"}]},
        "/match/0/field",
        "mysql has",
    ),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "n"}]},
        "/match/0",
        "a value is missing after 'n='",
    ),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "n", "op": "~", "value": "3"}]},
        "/match/0/op",
        "'n' is a number and has no '~'",
    ),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "n", "value": ["1", "x"]}]},
        "/match/0/value/1",
        "'n' is a number, found 'x'",
    ),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "sql", "op": "~", "value": "(?=x)"}]},
        "/match/0/value",
        "the pattern has look-around",
    ),
    (
        "fault",
        {"kind": "hang", "match": [{"field": "sql", "value": {"from": "1", "to": "2"}}]},
        "/match/0/value",
        "'sql' has no ranges",
    ),
    ("fault", {"kind": "hang", "match": []}, "/match", "the match is empty: leave it out"),
    ("fault", {"kind": "hang", "match": "x=1"}, "/match", "mysql has no match field 'x'"),
    ("fault", {"kind": "hang", "at": ["lunch"]}, "/at/0", "moment 'lunch' is not known"),
    ("fault", {"kind": "lose_reply", "options": {"then": "rst"}}, "/options/then", "then 'rst' is"),
    ("fault", {"kind": "error", "options": {"text": "a\nb"}}, "/options/text", "text is one line"),
    ("fault", {"kind": "error", "options": {"error": ["a"]}}, "/options/error", "error is a text"),
    (
        "fault",
        {"kind": "hang", "for": "2s", "until": "end"},
        "/until",
        "'for' and 'until' both say",
    ),
    ("faults", ["hang", {"kind": "x"}], "/1/kind", "kind 'x' is not known"),
    ("faults", ["hang", "delay 2"], "/1", "'2' has no unit"),
    ("faults", [], "", "the faults is empty"),
    ("script", [{"kind": "hang", "for": "2s"}], "/0/for", "a step has no 'for' (only at, count)"),
    ("roulette", [{"kind": "hang"}], "/0/kind", "each fault of a roulette has its share"),
    ("profile", [{"shape": "ramp", "level": 200, "for": "30s"}], "/0/level", "'200' has no unit"),
    ("profile", [{"shape": "ramp", "level": "2/s", "f": 1}], "/0/f", "a stretch has no member 'f'"),
    ("objective", {"measure": "p95", "op": "<", "limit": 300}, "/limit", "'300' has no unit"),
    (
        "objective",
        {"measure": "x", "op": "<", "limit": "1%"},
        "/measure",
        "measure 'x' is not known",
    ),
    ("duration", 2000, "", "'2000' has no unit: write 2000s or 2000ms"),
    ("size", [], "", "size is a size, found a list"),
]


@pytest.mark.parametrize(("type_", "data", "text"), ACCEPTED)
def test_accepted(type_: str, data: Any, text: str) -> None:
    assert show(read(type_, data)) == text


@pytest.mark.parametrize(("type_", "data", "pointer", "message"), REJECTED)
def test_rejected(type_: str, data: Any, pointer: str, message: str) -> None:
    with pytest.raises(LanguageError) as caught:
        read(type_, data)
    assert (caught.value.pointer, caught.value.message[: len(message)]) == (pointer, message)


def test_a_problem_object_names_what_is_allowed() -> None:
    with pytest.raises(LanguageError) as caught:
        read("fault", {"kind": "delay", "options": {"delay": "2"}})
    assert caught.value.problem() == {
        "type": "unit-missing",
        "title": "'2' has no unit: write 2s or 2ms (units: us, ms, s, m, h, d)",
        "pointer": "/options/delay",
        "column": 1,
        "allowed": ["us", "ms", "s", "m", "h", "d"],
    }


def test_options_on_a_line_of_their_own_need_no_quotes() -> None:
    text = Option("text", "text", "")
    assert parse_option(text, " too busy, come (back) ") == "too busy, come (back)"
    assert parse_option(text, "'too busy'") == "too busy"
    assert parse_option(Option("delay", "distribution", ""), "1s..3s") == parse(
        "distribution", "1s..3s"
    )
    assert (
        str(parse_option(Option("to", "endpoint", ""), "tcp:host=a:port=1")) == "tcp:host=a:port=1"
    )
    with pytest.raises(LanguageError, match="allowed: hang, close") as caught:
        parse_option(Option("then", ("hang", "close"), ""), "  rst")
    assert (caught.value.at, caught.value.end) == (2, 5)
    with pytest.raises(LanguageError, match="has no value"):
        parse_option(text, "  ")


def test_plain_values_and_defaults() -> None:
    phrase = parse("fault", "error(deadlock, retry_after=1500ms, factor=2)", kinds=KINDS)
    options = plain_options(KINDS["error"], dict(phrase.options))
    assert vars(options) == {"error": "deadlock", "text": None, "retry_after": 1.5, "factor": 2.0}
    delay = plain_options(KINDS["delay"], {})
    assert (delay.delay.mean(), delay.buffer) == (0.1, 262144)
    size = parse("size", "4MiB")
    assert isinstance(size, Quantity)
    assert plain(size) == 4 * 2**20
    assert isinstance(plain(size), int)
    assert plain(parse("throughput", "10Mbit/s")) == 1_250_000.0
    assert plain(parse("probability", "20%")) == 0.2


def test_a_share_that_is_missing_is_found_in_its_place() -> None:
    with pytest.raises(LanguageError) as caught:
        from_json("roulette", ["10% hang", "hang"], kinds={"hang": OptionTable()}, pointer="/x")
    assert caught.value.pointer == "/x/1"
    assert "each fault of a roulette has its share" in caught.value.message
