"""The canonical text of every value: `parse(type, show(value)) == value`."""

from __future__ import annotations

from typing import Any

from rascal.language.distributions import PARAMETERS
from rascal.language.match import SPAN
from rascal.language.reader import STOPS
from rascal.language.values import (
    CLAUSES,
    Address,
    Condition,
    Draw,
    Objective,
    Phrase,
    Quantity,
    Range,
    Stretch,
    Time,
)
from rascal.units import quantity_text


def quote(text: str) -> str:
    """The text in double quotes."""
    return '"' + text.replace('"', '""') + '"'


def word(text: str, unsafe: str = STOPS, also: bool = False) -> str:
    """The text, quoted if it would not be read as one word."""
    if not text or also or text in CLAUSES or any(c.isspace() or c in unsafe for c in text):
        return quote(text)
    return text


def show(value: Any) -> str:
    """The canonical text of a value."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Quantity():
            return quantity_text(value.type, value.value, value.users)
        case Range():
            return _range(value)
        case Draw():
            return _draw(value)
        case Condition():
            return _condition(value)
        case Phrase():
            return _phrase(value)
        case Stretch():
            return _stretch(value)
        case Time():
            return _time(value)
        case Objective():
            flows = f"({', '.join(map(word, value.flows))})" if value.flows else ""
            tail = "".join(f" {name} {show(given)}" for name, given in value.tail)
            return f"{value.measure}{flows} {value.op} {show(value.limit)}{tail}"
        case Address():
            return word(str(value))
        case tuple():
            joint = " and " if value and isinstance(value[0], Condition) else ", "
            return joint.join(map(show, value))
        case str():
            return word(value)
    return str(value)


def show_clause(name: str, value: Any) -> str:
    """The text of a clause's value."""
    return ",".join(value) if name == "at" else show(value)


def _range(value: Range) -> str:
    if not isinstance(value.low, Quantity):
        return f"{value.low or ''}..{value.high or ''}"
    low, high = show(value.low), show(value.high)
    if value.low.type == "level":
        unit = high.lstrip("0123456789.")
        if not value.low.value or low.endswith(unit):
            low = low.rstrip(" abcdefghijklmnopqrstuvwxyz/")
    return f"{low}..{high}"


def _draw(value: Draw) -> str:
    bare = PARAMETERS[value.name]
    parts = [
        ("" if name in bare or name.isdigit() else f"{name}=") + show(quantity)
        for name, quantity in value.values
    ]
    return f"{value.name}({', '.join(parts)})"


def _condition(value: Condition) -> str:
    unsafe = "" if value.op == "~" else ",*" if value.op == "=" else ","
    parts = [
        show(item)
        if isinstance(item, Range)
        else word(
            item,
            unsafe,
            item[:1] in tuple("=<>~\"'") or item[-1:] == "," or bool(SPAN.fullmatch(item)),
        )
        for item in value.values
    ]
    op, negated = value.op, value.negated
    if negated and op == "=":
        op, negated = "!=", False
    return f"{'not ' if negated else ''}{value.field}{op}{','.join(parts)}"


def _phrase(value: Phrase) -> str:
    if value.kind == "pass":
        return f"pass {value.clause('count')}" if value.clause("count") else "pass"
    clauses = dict(value.clauses)
    share = clauses.pop("probability", None)
    first = True
    parts = []
    for name, given in value.options:
        bare = first and name == value.spoken
        parts.append(show(given) if bare else f"{name}={show(given)}")
        first = False
    options = f"({', '.join(parts)})" if parts else ""
    rest = "".join(f" {name} {show_clause(name, given)}" for name, given in clauses.items())
    return f"{show(share) + ' ' if share else ''}{value.kind}{options}{rest}"


def _stretch(value: Stretch) -> str:
    parts = [value.shape]
    if value.level is not None:
        parts.append(show(value.level))
    for name, given in (("for", value.lasts), ("every", value.every), ("count", value.count)):
        if given is not None:
            parts.append(f"{name} {show(given)}")
    return " ".join(parts)


def _time(value: Time) -> str:
    if not value.offset:
        return value.anchor
    sign = "+" if value.offset > 0 else "-"
    return f"{value.anchor}{sign}{quantity_text('duration', abs(value.offset))}"
