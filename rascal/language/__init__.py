"""The one language of proxies.ini, the command line, tests, experiments, the API and the panel.

    phrase = parse("fault", "20% delay(2s) match key^=session:", kinds=…, fields=…)
    show(phrase)                    the canonical text; parse(…, show(x)) == x
    to_json(phrase), from_json      the canonical JSON and back
    plain(value)                    what the code computes with: seconds, bytes, a Distribution

Hand-written recursive descent over one string: the place decides the type of what is read, never
the text, so a value is read by the option table or match field it belongs to, and an error can
name both. Kinds, match fields and recipes are handed in; nothing here knows a protocol. All
values are frozen; every error is a LanguageError with its column, or its JSON pointer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rascal.language import addresses as _addresses  # noqa: F401  (registers its readers)
from rascal.language.distributions import PARAMETERS as DISTRIBUTIONS
from rascal.language.distributions import Distribution, distribution
from rascal.language.errors import LanguageError
from rascal.language.match import compile_pattern, pattern_problem
from rascal.language.profile import MEASURES, SHAPES
from rascal.language.reader import MatchField, Reader, Tables
from rascal.language.show import quote, show, show_clause, word
from rascal.language.structure import read_json, reader_of, scalar, to_json
from rascal.language.values import (
    CLAUSES,
    FLAGS,
    MOMENTS,
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
from rascal.options import Option, Options, OptionTable

_RAW = ("text", "name", "address", "endpoint")


def parse(
    type_: Any,
    text: str,
    *,
    kinds: Mapping[str, OptionTable] | None = None,
    fields: Sequence[MatchField] | None = None,
    protocol: str | None = None,
    recipes: Mapping[str, OptionTable] | None = None,
    without: Mapping[str, str] | None = None,
) -> Any:
    """Read the whole text as a `type_`.

    Args:
        type_: fault, faults, step, script, roulette, match, profile, stretch, objective, time, or
            a type of option (duration, distribution, …; a tuple of words is a choice).
        text: what was written.
        kinds: the option tables of the kinds that are allowed here.
        fields: the protocol's match fields; None allows any, untyped.
        protocol: its name, for messages.
        recipes: the option tables of recipes; None allows any.
        without: clauses that have no meaning here, each with the reason.

    Raises:
        LanguageError: says what is wrong, what is allowed, and at which column.
    """
    r = Reader(text, Tables(kinds or {}, fields, protocol, recipes, without or {}))
    r.space()
    reader = reader_of(type_) if isinstance(type_, str) else None
    value = reader(r) if reader else r.value(type_, type_ if isinstance(type_, str) else "value")
    r.finish(type_ if isinstance(type_, str) else "value")
    return value


def from_json(
    type_: str,
    data: Any,
    *,
    kinds: Mapping[str, OptionTable] | None = None,
    fields: Sequence[MatchField] | None = None,
    protocol: str | None = None,
    recipes: Mapping[str, OptionTable] | None = None,
    without: Mapping[str, str] | None = None,
    pointer: str = "",
) -> Any:
    """Read JSON data (or the text that may stand in its place); errors carry a JSON pointer."""
    tables = Tables(kinds or {}, fields, protocol, recipes, without or {})
    return read_json(type_, data, tables, pointer)


def parse_option(option: Option, text: str, tables: Tables | None = None) -> Any:
    """An option's value that has a line of its own (INI, --flag): texts need no quotes there."""
    stripped = text.strip()
    quoted = len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "\"'"
    if not quoted and (isinstance(option.type, tuple) or option.type in _RAW):
        if "\n" in stripped:
            raise LanguageError(f"{option.name} is one line", text, text.index("\n"))
        if not stripped:
            raise LanguageError(f"{option.name} has no value", text, code="value-missing")
        if option.type == "text":
            return stripped
        try:
            return option_from_json(option, stripped)
        except LanguageError as error:
            raise LanguageError(
                error.message,
                text,
                len(text) - len(text.lstrip()),
                len(text.rstrip()),
                allowed=error.allowed,
                code=error.code,
            ) from None
    r = Reader(text, tables or Tables())
    value = r.option(option)
    r.finish(option.name)
    return value


def option_from_json(option: Option, data: Any, pointer: str = "") -> Any:
    """An option's value from a JSON scalar."""
    return scalar(option, data, Tables(), pointer)


def from_argv(words: Sequence[str]) -> str:
    """The words that a shell hands over as one text; what its quotes kept together stays so."""
    if len(words) == 1:
        return words[0]
    cuts = [_KEPT_TOGETHER.fullmatch(word) for word in words]
    return " ".join(
        cut[1] + quote(cut[2]) if cut else word for cut, word in zip(cuts, words, strict=True)
    )


_KEPT_TOGETHER = re.compile(
    r"([A-Za-z_][\w.-]*(?:[!^><]?=|[~<>]))(?![\"']|(?:" + "|".join(DISTRIBUTIONS) + r")\()(.*\s.*)",
    re.DOTALL,
)


def plain(value: Any, type_: Any = None) -> Any:
    """What the code computes with: float seconds, int bytes, shares of 1, a Distribution …

    Args:
        value: what `parse` gave.
        type_: the option's type; "distribution" makes a Distribution of a single duration too.
    """
    if isinstance(value, Draw | Range) or type_ == "distribution":
        if isinstance(value, str):
            value = parse("distribution", value)
        return distribution(value)
    if isinstance(value, Quantity):
        return int(value.value) if value.type == "size" else float(value.value)
    return value


def plain_options(table: OptionTable, given: Mapping[str, Any]) -> Options:
    """The plain values of a table: what is given, and the defaults for the rest."""
    values = {name: plain(value, _type(table, name)) for name, value in given.items()}
    for name, option in table.items():
        if option.type == "distribution" and isinstance(option.default, str):
            values.setdefault(name, plain(option.default, "distribution"))
    return table.plain(values)


def _type(table: OptionTable, name: str) -> Any:
    return table[name].type if name in table else None


__all__ = [
    "CLAUSES",
    "DISTRIBUTIONS",
    "FLAGS",
    "MEASURES",
    "MOMENTS",
    "SHAPES",
    "Address",
    "Condition",
    "Distribution",
    "Draw",
    "LanguageError",
    "MatchField",
    "Objective",
    "Phrase",
    "Quantity",
    "Range",
    "Stretch",
    "Tables",
    "Time",
    "compile_pattern",
    "distribution",
    "from_argv",
    "from_json",
    "option_from_json",
    "parse",
    "parse_option",
    "pattern_problem",
    "plain",
    "plain_options",
    "quote",
    "show",
    "show_clause",
    "to_json",
    "word",
]
