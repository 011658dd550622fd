"""Round trips of every value, and damaged texts, with Hypothesis."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rascal.language import (
    CLAUSES,
    Condition,
    Draw,
    LanguageError,
    Objective,
    Phrase,
    Quantity,
    Range,
    Stretch,
    from_json,
    parse,
    parse_option,
    show,
    to_json,
)
from rascal.options import Option, OptionTable
from rascal.units import PER, SECONDS, UNITS

KINDS = {
    "delay": OptionTable(Option("delay", "distribution", "")),
    "error": OptionTable(Option("error", "text", ""), Option("text", "text", "")),
    "lose_reply": OptionTable(Option("then", ("hang", "close", "reset"), "")),
    "throttle": OptionTable(Option("rate", "throughput", "")),
    "hang": OptionTable(),
}
SEEDS = [
    ("duration", "1m30s"),
    ("size", "1.5MB"),
    ("rate", "90/m"),
    ("throughput", "10Mbit/s"),
    ("probability", "12.5%"),
    ("flag", "no"),
    ("distribution", "normal(sd=100ms, mean=0.8s)"),
    ("distribution", "percentiles(p99=1.2s, p50=20ms, min=1ms)"),
    ("match", "command=SET and key^=session: and not sql~x{2,3}"),
    ("match", 'status=500..599,429 and key="say ""hi"" and go"'),
    ("fault", "20% error(deadlock, text='too busy') match n=3 and sql~for for 20s name x"),
    ("fault", "delay normal(80ms, 20ms) at request,reply from fault+5s until fault.end-10s"),
    ("faults", "\n  20% delay 1s\n  10% error 503 match sql~^a and\n  key=b,\n"),
    ("script", "pass 2, error(deadlock) count 3, lose_reply(then=reset), pass"),
    ("roulette", "10% delay(2s), 5% error(500)"),
    ("profile", "ramp 0..200/s 30s, wave 50..150/s for 10m every 1m, hold 200/s"),
    ("objective", 'p99.9("GET /cart", pay) <= 2s over 10s in fault'),
    ("time", "fault.end-10s"),
    ("endpoint", '"tcp:host=a:port=1"'),
    ("address", "[::1]:80"),
]

texts = st.text(st.sampled_from("abz09 ,()\"'=~^*.;:#%\\<>é-_/|andorfor"), max_size=12)
names = st.from_regex(r"\A[a-z][a-z0-9_-]{0,8}\Z").filter(lambda name: name not in CLAUSES)


def quantities(type_: str, units: dict[str, Fraction]) -> st.SearchStrategy[Quantity]:
    return st.builds(
        lambda number, unit: Quantity(type_, Fraction(number) * units[unit], unit == " users"),
        st.integers(1, 10**6),
        st.sampled_from(sorted(units)),
    )


durations = quantities("duration", {k: v for k, v in SECONDS.items() if k in ("us", "ms", "s")})
short = st.integers(1, 10**8).map(lambda n: Quantity("duration", Fraction(n, 10**6)))
ranges = st.tuples(durations, durations).map(lambda p: Range(*sorted(p, key=lambda q: q.value)))
distributions = st.one_of(
    durations,
    ranges,
    st.builds(lambda a, b: Draw("normal", (("mean", a), ("sd", b))), short, short),
    st.lists(durations, min_size=1, max_size=4).map(
        lambda found: Draw("one_of", tuple((str(i), d) for i, d in enumerate(found)))
    ),
)
items = st.one_of(
    texts,
    st.tuples(st.integers(0, 999), st.integers(0, 999)).map(lambda p: Range(str(p[0]), str(p[1]))),
)
fields = st.from_regex(r"\A[a-z][a-zA-Z0-9_.-]{0,8}\Z").filter(
    lambda field: field not in ("and", "or", "not") and field not in CLAUSES
)
conditions = st.one_of(
    st.builds(
        Condition,
        fields,
        st.just("="),
        st.lists(items, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        Condition,
        fields,
        st.just("^="),
        st.lists(texts, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(Condition, fields, st.just("~"), texts.map(lambda t: (re.escape(t),)), st.booleans()),
    st.builds(
        Condition,
        fields,
        st.sampled_from((">", ">=", "<", "<=")),
        texts.map(lambda t: (t,)),
        st.booleans(),
    ),
)
matches = st.lists(conditions, min_size=1, max_size=3).map(tuple)
options = st.one_of(
    st.builds(lambda d: ("delay", (("delay", d),)), distributions),
    st.builds(lambda a, b: ("error", (("error", a), ("text", b))), texts, texts),
    st.builds(
        lambda q: ("throttle", (("rate", q),)), quantities("throughput", UNITS["throughput"])
    ),
    st.just(("lose_reply", (("then", "reset"),))),
    st.just(("hang", ())),
)
clauses = st.fixed_dictionaries(
    {},
    optional={
        "on": names,
        "match": matches,
        "at": st.sampled_from((("request",), ("request", "reply"))),
        "direction": st.sampled_from(("to_upstream", "both")),
        "probability": st.integers(0, 1000).map(
            lambda n: Quantity("percentage", Fraction(n, 1000))
        ),
        "per": st.sampled_from(("exchange", "connection")),
        "skip": st.integers(0, 99),
        "every": st.integers(1, 99),
        "count": st.integers(1, 99),
        "for": durations,
        "enabled": st.booleans(),
        "name": names,
    },
)
faults = st.builds(
    lambda o, c: Phrase(
        o[0], o[1], tuple((k, c[k]) for k in CLAUSES if k in c), KINDS[o[0]].spoken
    ),
    options,
    clauses,
)
levels = st.one_of(
    quantities("level", PER),
    st.integers(1, 999).map(lambda n: Quantity("level", Fraction(n), True)),
)
profiles = st.lists(
    st.builds(
        lambda level, lasts: Stretch("hold", Quantity("level", level), lasts),
        st.integers(1, 10**6).map(Fraction),
        durations,
    ),
    min_size=1,
    max_size=4,
).map(tuple)
objectives = st.builds(
    lambda flows, op, limit, phase: Objective("p95", tuple(flows), op, limit, (("in", phase),)),
    st.lists(texts, max_size=3),
    st.sampled_from(("<", ">=")),
    durations,
    names,
)


def round_trip(type_: str, value: Any) -> None:
    text = show(value)
    assert parse(type_, text, kinds=KINDS) == value
    assert show(parse(type_, text, kinds=KINDS)) == text
    assert from_json(type_, json.loads(json.dumps(to_json(value))), kinds=KINDS) == value


@settings(max_examples=200, deadline=None)
@given(distributions)
def test_distributions(value: Any) -> None:
    round_trip("distribution", value)


@settings(max_examples=200, deadline=None)
@given(matches)
def test_matches(value: Any) -> None:
    round_trip("match", value)


@settings(max_examples=200, deadline=None)
@given(faults)
def test_faults(value: Any) -> None:
    round_trip("fault", value)


@settings(max_examples=100, deadline=None)
@given(st.lists(faults, min_size=1, max_size=3).map(tuple))
def test_lists_of_faults(value: Any) -> None:
    round_trip("faults", value)


@settings(max_examples=100, deadline=None)
@given(profiles)
def test_profiles(value: Any) -> None:
    round_trip("profile", value)


@settings(max_examples=100, deadline=None)
@given(levels)
def test_levels(value: Any) -> None:
    assert parse("level", show(value)) == value


@settings(max_examples=100, deadline=None)
@given(objectives)
def test_objectives(value: Any) -> None:
    round_trip("objective", value)


def attempt(read: Callable[[], Any]) -> tuple[Any, LanguageError | None]:
    """What was read, or the error; any other exception is a failure."""
    try:
        return read(), None
    except LanguageError as error:
        return None, error


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 60), st.integers(0, 60), texts)
def test_a_damaged_text_is_read_or_refused_with_its_place(
    seed: tuple[str, str], first: int, last: int, middle: str
) -> None:
    type_, text = seed
    text = text[:first] + middle + text[last:]
    value, error = attempt(lambda: parse(type_, text, kinds=KINDS))
    if error:
        assert 0 <= error.at <= len(text)
        assert error.picture()
        assert error.message
    else:
        assert parse(type_, show(value), kinds=KINDS) == value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted({type_ for type_, _ in SEEDS})), st.text(max_size=30))
def test_any_text_is_read_or_refused(type_: str, text: str) -> None:
    _, error = attempt(lambda: parse(type_, text, kinds=KINDS))
    assert error is None or error.picture()


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
keys = st.sampled_from(
    ["kind", "options", "match", "field", "op", "value", "not", "delay", "count", "at", "for", "x"]
)
structures = st.recursive(
    scalars | st.sampled_from(["delay", "hang", "pass", "ramp", "=", "2s", "n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted({type_ for type_, _ in SEEDS})), structures)
def test_any_json_is_read_or_refused_with_its_pointer(type_: str, data: Any) -> None:
    value, error = attempt(lambda: from_json(type_, data, kinds=KINDS))
    if error:
        assert error.pointer is not None
    else:
        assert parse(type_, show(value), kinds=KINDS) == value


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["text", "name", "endpoint", "count", "distribution", "size", "flag"]),
    st.text(max_size=20),
)
def test_any_line_is_read_or_refused_with_its_place(type_: Any, text: str) -> None:
    _, error = attempt(lambda: parse_option(Option("x", type_, ""), text))
    assert error is None or (0 <= error.at <= len(text) and error.picture())
