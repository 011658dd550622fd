"""The language as JSON: `{"kind": "error", "options": {"error": "deadlock"}, "every": 3}`.

A count is a number, a flag a boolean, a quantity always a string with its unit: a bare number is
refused, because 2000 from a tool that means milliseconds must not become half an hour. Every
string is read by the reader of the type that its place asks for, and nothing else may stand in
it; errors carry the JSON pointer of the member that is wrong. Wherever a structure may stand, its
sentence may stand as well.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

from rascal.errors import did_you_mean
from rascal.language.errors import LanguageError
from rascal.language.match import check_operator, check_value, field_named
from rascal.language.phrase import (
    Fail,
    Sentence,
    check_shares,
    read_fault,
    read_items,
    read_roulette,
    read_step,
)
from rascal.language.profile import (
    SHAPES,
    profile_problem,
    read_objective,
    read_profile,
    read_stretch,
    stretch_problem,
)
from rascal.language.reader import NAME, Reader, Tables
from rascal.language.show import show, word
from rascal.language.values import (
    CLAUSES,
    MOMENTS,
    Address,
    Condition,
    Objective,
    Phrase,
    Quantity,
    Range,
    Stretch,
)
from rascal.options import Option
from rascal.units import EXAMPLES, UNITS, decimal

READ_ONLY = ("text",)
"""Members that our own answers have and that are ignored when they come back."""

OPERATORS = ("=", "!=", "^=", "~", ">", ">=", "<", "<=")


# ---- to JSON


def to_json(value: Any) -> Any:
    """The canonical JSON of a value."""
    match value:
        case bool() | int() | str():
            return value
        case Address():
            return str(value)
        case Quantity(type="number"):
            text = decimal(value.value) or ""
            number = float(text)
            return int(text) if text.isdigit() else number if _same(number, text) else text
        case Range(None | str(), None | str()):
            return {k: v for k, v in (("from", value.low), ("to", value.high)) if v is not None}
        case Condition():
            values = [to_json(item) for item in value.values]
            found = {
                "field": value.field,
                "op": value.op,
                "value": values[0] if len(values) == 1 else values,
            }
            return found | ({"not": True} if value.negated else {})
        case Phrase():
            options = {name: to_json(given) for name, given in value.options}
            clauses = {name: to_json(given) for name, given in value.clauses}
            return {"kind": value.kind} | ({"options": options} if options else {}) | clauses
        case Stretch():
            found = {"shape": value.shape, "level": value.level, "for": value.lasts}
            found |= {"every": value.every, "count": value.count}
            return {name: to_json(given) for name, given in found.items() if given is not None}
        case Objective():
            found = {"measure": value.measure, "flows": list(value.flows), "op": value.op}
            if not value.flows:
                del found["flows"]
            found["limit"] = to_json(value.limit)
            return found | {name: to_json(given) for name, given in value.tail}
        case tuple():
            return [to_json(item) for item in value]
    return show(value)


def _same(number: float, text: str) -> bool:
    return format(Decimal(repr(number)), "f") == text


# ---- from JSON


def read_json(type_: str, data: Any, tables: Tables, pointer: str = "") -> Any:
    """Read JSON as a `type_`; a string is read as the language's text."""
    if type_ in _LISTS:
        if isinstance(data, dict) and type_ in data and type_ == "roulette":
            data, pointer = data["roulette"], f"{pointer}/roulette"
        if isinstance(data, str):
            return _whole(_LISTS[type_][0], type_, data, tables, pointer)
        item = _LISTS[type_][1]
        found = tuple(
            read_json(item, part, tables, f"{pointer}/{index}")
            for index, part in enumerate(_list(data, type_, pointer))
        )
        return _list_rules(type_, found, pointer)
    if isinstance(data, str) and type_ in _SENTENCES:
        return _whole(_SENTENCES[type_], type_, data, tables, pointer)
    if type_ in ("fault", "step"):
        return _phrase(type_, _members(data, type_, pointer), tables, pointer)
    if type_ == "stretch":
        return _stretch(_members(data, type_, pointer), tables, pointer)
    if type_ == "objective":
        return _objective(_members(data, type_, pointer), tables, pointer)
    return scalar(Option(type_, type_, ""), data, tables, pointer)  # type: ignore[arg-type]


def scalar(option: Option, data: Any, tables: Tables, pointer: str) -> Any:
    """The value of one option, clause or plain type."""
    type_: Any = option.type
    if type_ == "match" and isinstance(data, list):
        return _match(data, tables, pointer)
    if type_ == "moments" and isinstance(data, list):
        for index, item in enumerate(data):
            if item not in MOMENTS:
                allowed = f"; allowed: {', '.join(MOMENTS)}"
                _refuse(f"moment {item!r} is not known{allowed}", f"{pointer}/{index}", MOMENTS)
        data = ",".join(data)
    text = _text(option, data, pointer)
    if type_ == "text":
        return text
    r = Reader(text, tables)
    try:
        if isinstance(type_, tuple) or type_ in ("address", "endpoint"):
            r.text = word(text)  # a string needs no quotes of its own here
        value = r.option(option)
        r.finish(option.name)
    except LanguageError as error:
        raise error.under(pointer) from None
    return value


def _text(option: Option, data: Any, pointer: str) -> str:
    """The text of a JSON scalar, if this type may be written so."""
    type_: Any = option.type
    quantity = (type_ in UNITS and type_ != "number") or type_ == "distribution"
    if isinstance(data, str):
        if "\n" in data and type_ == "text":
            _refuse(f"{option.name} is one line: it holds a line end", pointer)
        return data
    if isinstance(data, bool):
        if type_ == "flag":
            return "yes" if data else "no"
        _refuse(f"{option.name} is a {_called(type_)}, found {str(data).lower()}", pointer)
    if isinstance(data, int | float) and abs(data) < 1e15:
        text = str(data) if isinstance(data, int) else format(Decimal(repr(data)), "f")
        if quantity and data:
            like = str(type_) if type_ in EXAMPLES else "duration"
            _refuse(
                f"'{text}' has no unit: write {EXAMPLES[like].format(text)}, as a string",
                pointer,
                [unit.strip() for unit in UNITS[like]],
                "unit-missing",
            )
        if type_ == "flag" or isinstance(type_, tuple):
            _refuse(f"{option.name} is a {_called(type_)}, found {text}", pointer)
        return text
    _refuse(f"{option.name} is a {_called(type_)}, found {_kind_of(data)}", pointer)


def _called(type_: Any) -> str:
    if isinstance(type_, tuple):
        return f"word ({', '.join(type_)})"
    names = {"count": "whole number", "positive": "whole number", "flag": "boolean"}
    return names.get(str(type_), str(type_))


def _kind_of(data: Any) -> str:
    if data is None:
        return "null"
    return (
        "a list"
        if isinstance(data, list)
        else "an object"
        if isinstance(data, dict)
        else str(data)[:20]
    )


def _phrase(what: str, data: dict[str, Any], tables: Tables, pointer: str) -> Phrase:
    sentence = Sentence(what, tables)
    kind = data.get("kind")
    if not isinstance(kind, str):
        example = next(iter(tables.kinds), "delay")
        _refuse(f"a {what} has a kind, such as {example!r}", f"{pointer}/kind", (), "value-missing")
    places: dict[str, Any] = {"kind": f"{pointer}/kind"}
    sentence.begin(kind, _fail_at(f"{pointer}/kind"))
    options = _members(data.get("options", {}), "options", f"{pointer}/options")
    for name in sorted(options, key=lambda name: name != sentence.spoken):
        place = places[name] = f"{pointer}/options/{_escape(name)}"
        fail = _fail_at(place)
        option = sentence.option(name, fail)
        sentence.set(option, scalar(option, options[name], tables, place), fail)
    for name, given in data.items():
        if name in ("kind", "options", *READ_ONLY):
            continue
        place = places[name] = f"{pointer}/{_escape(name)}"
        fail = _fail_at(place)
        if name not in CLAUSES:
            hint = (
                f"; '{name}' is an option: write it in 'options'"
                if name in sentence.table
                else f".{did_you_mean(name, sentence.allowed)}".rstrip(".")
            )
            raise fail(
                f"a {what} has no member '{name}'; allowed: kind, options, "
                f"{', '.join(sentence.allowed)}{hint}",
                code="unknown-name",
                allowed=sentence.allowed,
            )
        clause = Option(name, sentence.clause(name, fail), "")
        sentence.clauses[name] = scalar(clause, given, tables, place)
    return sentence.end(_fail_at(pointer), "", places)


def _match(data: list[Any], tables: Tables, pointer: str) -> tuple[Condition, ...]:
    if not data:
        _refuse("the match is empty: leave it out", pointer, (), "value-missing")
    return tuple(_condition(item, tables, f"{pointer}/{i}") for i, item in enumerate(data))


def _condition(data: Any, tables: Tables, pointer: str) -> Condition:
    members = _members(data, "condition", pointer, ("field", "op", "value", "not"))
    field, op = members.get("field"), members.get("op", "=")
    negated = members.get("not", False)
    if not isinstance(field, str) or not NAME.fullmatch(field):
        _refuse("a condition names its field", f"{pointer}/field", (), "value-missing")
    if op not in OPERATORS:
        allowed = " ".join(OPERATORS)
        _refuse(f"{op!r} is not an operator; operators: {allowed}", f"{pointer}/op", OPERATORS)
    if not isinstance(negated, bool):
        _refuse("'not' is a boolean", f"{pointer}/not")
    if "value" not in members:
        _refuse(f"a value is missing after '{field}{op}'", pointer, (), "value-missing")
    try:
        typed = field_named(field, Reader("", tables))
    except LookupError as error:
        known = [known.name for known in tables.fields or ()]
        _refuse(str(error.args[0]), f"{pointer}/field", known, "unknown-name")
    _at(f"{pointer}/op", lambda: check_operator(Reader(op, tables), field, typed, op, 0))
    if op == "!=":
        negated, op = not negated, "="
    many = isinstance(members["value"], list)
    given = members["value"] if many else [members["value"]]
    if not given or (len(given) > 1 and op not in ("=", "^=")):
        _refuse(f"'{op}' takes one value", f"{pointer}/value")
    values: list[str | Range] = []
    for index, item in enumerate(given):
        place = f"{pointer}/value/{index}" if many else f"{pointer}/value"
        if isinstance(item, dict):
            ends = _members(item, "range", place, ("from", "to"))
            text = f"{ends.get('from') or ''}..{ends.get('to') or ''}"
            if op != "=" or text == "..":
                _refuse('a range is {"from": …, "to": …} after =', place)
        elif isinstance(item, bool) or not isinstance(item, str | int):
            _refuse(f"a value of '{field}' is a string, found {_kind_of(item)}", place)
        else:
            text = str(item)
        if "\n" in text:
            _refuse(f"a value of '{field}' is one line: it holds a line end", place)
        span = isinstance(item, dict)
        try:
            values.append(_value(text, span, field, typed, op, tables))
        except LanguageError as error:
            raise error.under(place) from None
    return Condition(field, op, tuple(values), negated)


def _value(text: str, span: bool, field: str, typed: Any, op: str, tables: Tables) -> str | Range:
    r = Reader(text, tables)
    value = check_value(r, field, typed, op, text, 0, span=span)
    if span and not isinstance(value, Range):
        raise r.fail(f"'{field}' has no ranges: '{text}' would be a text")
    return value


def _stretch(data: dict[str, Any], tables: Tables, pointer: str) -> Stretch:
    types: dict[str, Any] = {"shape": SHAPES, "level": "level", "for": "duration"}
    types |= {"every": "duration", "count": "positive"}
    for name in data:
        if name not in types and name not in READ_ONLY:
            allowed = ", ".join(types)
            _refuse(
                f"a stretch has no member '{name}'; allowed: {allowed}",
                f"{pointer}/{_escape(name)}",
                types,
                "unknown-name",
            )
    given = {
        name: scalar(Option(name, type_, ""), data[name], tables, f"{pointer}/{name}")
        for name, type_ in types.items()
        if name in data
    }
    if "shape" not in given:
        _refuse(f"a stretch has a shape: {', '.join(SHAPES)}", pointer, SHAPES, "value-missing")
    if ("level" in given) == (given["shape"] == "pause"):
        lacks = "has no" if given["shape"] == "pause" else "lacks its"
        _refuse(f"{given['shape']} {lacks} level", pointer)
    stretch = Stretch(*(given.get(name) for name in types))  # type: ignore[arg-type]
    problem = stretch_problem(stretch)
    if problem:
        _refuse(problem, pointer)
    return stretch


def _objective(data: dict[str, Any], tables: Tables, pointer: str) -> Objective:
    allowed = ("measure", "flows", "op", "limit", "over", "for", "in")
    for name in data:
        if name not in allowed and name not in READ_ONLY:
            _refuse(
                f"an objective has no member '{name}'; allowed: {', '.join(allowed)}",
                f"{pointer}/{_escape(name)}",
                allowed,
                "unknown-name",
            )
    for name in ("measure", "op", "limit"):
        if name not in data:
            _refuse(f"an objective has a '{name}'", pointer, (), "value-missing")
    flows = data.get("flows", [])
    if not isinstance(flows, list) or not all(isinstance(flow, str) for flow in flows):
        _refuse("flows is a list of names", f"{pointer}/flows")
    for name in ("measure", "op"):
        if not isinstance(data[name], str) or any(c.isspace() for c in data[name]):
            _refuse(f"{name} is one word", f"{pointer}/{name}")
    head = f"{data['measure']} {data['op']} 0"
    shell = _at(f"{pointer}/measure", lambda: _objective_text(head, tables))
    type_ = shell.limit.type
    limit = scalar(Option("limit", type_, ""), data["limit"], tables, f"{pointer}/limit")
    tail = tuple(
        (n, scalar(Option(n, t, ""), data[n], tables, f"{pointer}/{n}"))  # type: ignore[arg-type]
        for n, t in (("over", "duration"), ("for", "duration"), ("in", "name"))
        if n in data
    )
    return Objective(shell.measure, tuple(flows), shell.op, limit, tail)


def _objective_text(text: str, tables: Tables) -> Objective:
    r = Reader(text, tables)
    found = read_objective(r)
    r.finish("objective")
    return found


# ---- helpers

_SENTENCES: dict[str, Callable[[Reader], Any]] = {
    "fault": read_fault,
    "step": read_step,
    "stretch": read_stretch,
    "objective": read_objective,
}
_LISTS: dict[str, tuple[Callable[[Reader], Any], str]] = {
    "faults": (lambda r: read_items(r, read_fault, "list"), "fault"),
    "script": (lambda r: read_items(r, read_step, "script"), "step"),
    "roulette": (read_roulette, "fault"),
    "profile": (read_profile, "stretch"),
}


def reader_of(type_: str) -> Callable[[Reader], Any] | None:
    """The reader of a sentence or a list of them."""
    return _LISTS[type_][0] if type_ in _LISTS else _SENTENCES.get(type_)


def _whole(
    read: Callable[[Reader], Any], what: str, text: str, tables: Tables, pointer: str
) -> Any:
    def run() -> Any:
        r = Reader(text, tables)
        r.space()
        value = read(r)
        r.finish(what)
        return value

    return _at(pointer, run)


def _at(pointer: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except LanguageError as error:
        raise error.under(pointer) from None


def _list_rules(type_: str, found: tuple[Any, ...], pointer: str) -> Any:
    if not found:
        _refuse(f"the {type_} is empty", pointer, (), "value-missing")
    if type_ == "roulette":
        try:
            check_shares(found)
        except LanguageError as error:
            if error.pointer is not None:
                raise
            place = next(n for n, phrase in enumerate(found) if phrase.source == error.text)
            raise error.under(f"{pointer}/{place}") from None
    if type_ == "profile" and (problem := profile_problem(found)):
        _refuse(problem[0], f"{pointer}/{problem[1]}")
    return found


def _members(
    data: Any, what: str, pointer: str, allowed: tuple[str, ...] | None = None
) -> dict[str, Any]:
    if not isinstance(data, dict):
        _refuse(f"a {what} is an object, found {_kind_of(data)}", pointer)
    for name in data:
        if allowed is not None and name not in allowed:
            _refuse(
                f"a {what} has no member '{name}'; allowed: {', '.join(allowed)}."
                f"{did_you_mean(name, allowed)}".rstrip("."),
                f"{pointer}/{_escape(name)}",
                allowed,
                "unknown-name",
            )
    return data


def _list(data: Any, what: str, pointer: str) -> list[Any]:
    if not isinstance(data, list):
        _refuse(f"a {what} is a list or a text, found {_kind_of(data)}", pointer)
    return data


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _refuse(message: str, pointer: str, allowed: Any = (), code: str = "not-allowed") -> NoReturn:
    raise LanguageError(message, pointer=pointer, allowed=allowed, code=code)


def _fail_at(pointer: str) -> Fail:
    def fail(message: str, *, code: str = "not-allowed", allowed: Any = ()) -> LanguageError:
        return LanguageError(message, pointer=pointer, allowed=allowed, code=code)

    return fail
