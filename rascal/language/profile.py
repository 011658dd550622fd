"""Load profiles, objectives, and times of an experiment.

ramp 0..200/s for 30s, hold 200/s for 5m, spike 1000/s for 5s
p95(checkout) < 300ms in fault
fault.end-10s
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from rascal.language.phrase import read_items
from rascal.language.reader import READERS, Reader
from rascal.language.values import Objective, Quantity, Range, Stretch, Time

SHAPES = ("hold", "ramp", "steps", "spike", "wave", "pause")
STRETCH_CLAUSES = {"for": "duration", "every": "duration", "count": "positive"}
_SPANS = ("steps", "wave")
_TIME = re.compile(r"([A-Za-z_][\w-]*?(?:\.end)?)(?:([+-])([0-9][\w.]*))?")
_COMPARISON = re.compile(r"[<>]=?|[≤≥]")
_PERCENTILE = re.compile(r"p[0-9]{1,2}(\.[0-9]{1,4})?")
_TAIL = ("over", "for", "in")

OUTCOMES = (
    "refused",
    "reset",
    "timeout",
    "tls",
    "truncated",
    "malformed",
    "http_4xx",
    "http_5xx",
    "shed",
    "check_failed",
    "wrong_data",
    "dropped",
)
MEASURES: dict[str, str] = {
    "max": "duration",
    "time_to_recover": "duration",
    "lateness": "duration",
    "offered": "rate",
    "goodput": "rate",
    "attempts": "number",
    "in_flight": "number",
    **dict.fromkeys(("goodput_kept", "failed", "dishonest", *OUTCOMES), "percentage"),
}
"""What an objective can be about, besides p50 … p99.99, and the type of its limit."""


def read_time(r: Reader) -> Time:
    """ANCHOR[.end][+|- duration]."""
    start, word = r.at, r.bare()
    found = _TIME.fullmatch(word)
    if not found:
        raise r.fail(
            f"'{word}' is not a time: write a phase, then + or - and a duration, "
            "as in fault+5s, fault.end-10s, start+90s",
            start,
        )
    offset = Fraction(0)
    if found[3]:
        offset = r.amount("duration", found[3], start + found.start(3)).value
    return Time(found[1], -offset if found[2] == "-" else offset)


READERS["time"] = read_time


def read_profile(r: Reader) -> tuple[Stretch, ...]:
    """Stretches between commas or line ends."""
    begins: list[int] = []

    def read(reader: Reader) -> Stretch:
        reader.space()
        begins.append(reader.at)
        return read_stretch(reader)

    found = read_items(r, read, "profile")
    problem = profile_problem(found)
    if problem:
        raise r.fail(problem[0], begins[problem[1]])
    return found


def profile_problem(found: tuple[Stretch, ...]) -> tuple[str, int] | None:
    """What is wrong with these stretches together, and with which."""
    users = None
    for index, stretch in enumerate(found):
        if stretch.lasts is None and index < len(found) - 1:
            return "only the last hold may go on without end: write hold … for 30s", index
        level = stretch.level.high if isinstance(stretch.level, Range) else stretch.level
        if level is None or (not level.value and not level.users):
            continue
        if users is not None and users != level.users:
            return "one profile is all rates (200/s) or all users (50 users)", index
        users = level.users
    return None


def read_stretch(r: Reader) -> Stretch:
    """SHAPE [level] [for] duration [every duration] [count n]."""
    r.space()
    start, shape = r.at, r.peek_word() or r.bare()
    r.known("shape", SHAPES, shape, start)
    r.at += 0 if r.at > start else len(shape)
    level = None
    if shape != "pause":
        r.space()
        if not r.next() or r.peek_word() in STRETCH_CLAUSES:
            raise r.fail(f"{shape} lacks its level, such as 200/s or 50 users")
        level = r.value("level", "level")
    given: dict[str, Any] = {}
    r.space()
    if "0" <= r.next() <= "9":
        given["for"] = r.value("duration", "for")
    while True:
        back = r.at
        r.space()
        at, word = r.at, r.peek_word()
        if word not in STRETCH_CLAUSES:
            if r.next() not in ("", ",", "\n"):
                rest = word or r.bare("")
                raise r.fail(
                    f"expected ',' or one of {', '.join(STRETCH_CLAUSES)}, found '{rest}'",
                    at,
                    at + len(rest),
                )
            r.at = back
            break
        if word in given:
            raise r.fail(f"'{word}' is given twice", at, at + len(word), code="given-twice")
        r.at += len(word)
        given[word] = r.value(STRETCH_CLAUSES[word], word)
    stretch = Stretch(shape, level, given.get("for"), given.get("every"), given.get("count"))
    problem = stretch_problem(stretch)
    if problem:
        at_end = problem.startswith("how long")
        raise r.fail(problem, r.at if at_end else start)
    return stretch


def stretch_problem(stretch: Stretch) -> str | None:
    """What is wrong with one stretch."""
    shape = stretch.shape
    if shape not in ("pause", "ramp") and isinstance(stretch.level, Range) != (shape in _SPANS):
        example = "a range such as 50..150/s" if shape in _SPANS else "one level such as 200/s"
        return f"{shape} takes {example}"
    if stretch.lasts is None and shape != "hold":
        return f"how long? write {shape} … for 30s"
    for name, given, owner in (
        ("every", stretch.every, "wave"),
        ("count", stretch.count, "steps"),
    ):
        if given is None and shape == owner:
            return f"{shape} lacks '{name}'"
        if given is not None and shape != owner:
            return f"{shape} has no '{name}': it belongs to {owner}"
    return None


def read_objective(r: Reader) -> Objective:
    """MEASURE(flows) < limit in PHASE."""
    r.space()
    start, word = r.at, r.bare(",()\"'=<>≤≥")
    latency = _PERCENTILE.fullmatch(word)
    measure = word if latency else r.known("measure", ("p50", "p95", "p99", *MEASURES), word, start)
    flows: list[str] = []
    if r.take("("):
        for at, name in r.arguments(closed=True):
            if name is not None:
                raise r.fail(f"{measure} takes the names of flows, found '{name}='", at)
            flows.append(r.string())
    r.space()
    at, found = r.at, _COMPARISON.match(r.text, r.at)
    if not found:
        raise r.fail(f"expected < <= > or >= after '{r.text[start:at].strip()}'")
    r.at = found.end()
    limit = r.value(measure_type(measure), "limit")
    tail: dict[str, Any] = {}
    while True:
        r.space()
        word = r.peek_word()
        if word not in _TAIL or word in tail:
            break
        r.at += len(word)
        tail[word] = r.value("name" if word == "in" else "duration", word)
    op = {"≤": "<=", "≥": ">="}.get(found[0], found[0])
    return Objective(
        measure, tuple(flows), op, limit, tuple((k, tail[k]) for k in _TAIL if k in tail)
    )


def measure_type(measure: str) -> str:
    """The type of a measure's limit."""
    return "duration" if _PERCENTILE.fullmatch(measure) else MEASURES[measure]


def level_of(value: Quantity | Range) -> tuple[float, float]:
    """From and to, as plain numbers (per second, or users)."""
    if isinstance(value, Range):
        return float(value.low.value), float(value.high.value)
    return float(value.value), float(value.value)
