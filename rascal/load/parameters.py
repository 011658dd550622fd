"""Typed parameters of a scenario file: `Option("catalogue_size", int, 100, "Items on a page")`.

An option reads as its value in texts and in arithmetic's commonest places (f-strings, int(),
float(), if, ==); anything else takes `.value`. Each has a `rascal.options.Option`, from which the
command line and the panel's form are drawn. Types are Python's (int, float, str, bool), a list
of allowed words, or a type of the language such as "duration" or "size", whose value is plain
(float seconds, int bytes) while its text stays as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast, get_args

from rascal.errors import ConfigError, did_you_mean
from rascal.language import LanguageError, option_from_json, parse, parse_option, plain
from rascal.load.collecting import Place, caller, collector
from rascal.options import Option as Declared
from rascal.options import OptionType
from rascal.units import plain_text

PYTHON: dict[type, OptionType] = {int: "count", float: "number", str: "text", bool: "flag"}
LANGUAGE = tuple(type_ for type_ in get_args(OptionType) if type_ not in ("address", "endpoint"))
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Option:
    """A parameter of the scenario file.

    Args:
        name: lower-case letters, digits, `_`; `--catalogue-size` on the command line.
        type: int, float, str, bool, a list of allowed words, or a type of the language.
        default: its value when none is given; of language types as a text ("2s").
        help: one line.
        minimum, maximum: bounds, included; as texts for language types ("1s").
    """

    __slots__ = ("_text", "option", "place", "value")

    def __init__(
        self,
        name: str,
        type: type | str | Iterable[str] = str,
        default: Any = None,
        help: str = "",
        *,
        minimum: Any = None,
        maximum: Any = None,
    ) -> None:
        self.place = caller()
        self.value: Any = None
        self._text = ""
        kind = _kind(type, name, self.place)
        self.option = Declared(name, kind, help)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.place.problem(
                f"'{name}' cannot name an option: use lower-case letters, digits and '_', "
                "a letter first"
            )
            return
        least, most = (self._plain(bound, "bound") for bound in (minimum, maximum))
        self.option = Declared(name, kind, help, minimum=least, maximum=most)
        if default is None:
            default = _NOTHING.get(kind) if isinstance(kind, str) else kind[0] if kind else ""
        if default is not None:
            self.value = self._plain(default, "default")
        self.option = Declared(name, kind, help, self.value, least, most, default is None)
        self._join()

    def set(self, given: Any) -> None:
        """Give it a value: a text as on the command line, or what JSON holds.

        Raises:
            LanguageError: what is wrong with it and what is allowed.
        """
        self.value, self._text = _read(self.option, given)

    def _join(self) -> None:
        found = collector()
        if found is None:
            return
        name = self.option.name
        if name in found.parameters:
            first = found.parameters[name].place
            self.place.problem(f"there are two options '{name}'; the first is at {first}")
            return
        found.parameters[name] = self
        if name in found.values:
            try:
                self.set(found.values[name])
            except LanguageError as error:
                self.place.wrong(f"option '{name}'", error)
        elif self.option.required:
            self.place.problem(f"option '{name}' has no default and needs a value")

    def _plain(self, written: Any, what: str) -> Any:
        if written is None:
            return None
        try:
            value, self._text = _read(self.option, written)
        except LanguageError as error:
            self.place.wrong(f"{what} of option '{self.option.name}'", error)
            return None
        return value

    def __repr__(self) -> str:
        return f"Option({self.option.name!r}, value={self.value!r})"

    def __str__(self) -> str:
        return self._text

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else self._text

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        if not isinstance(self.value, int):
            raise TypeError(f"option '{self.option.name}' is no whole number: {self._text}")
        return self.value

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Option) else other))

    def __hash__(self) -> int:
        return id(self)


_NOTHING: dict[str, Any] = {"text": "", "flag": False}


def _kind(given: Any, name: str, place: Place) -> OptionType | tuple[str, ...]:
    if isinstance(given, type) and given in PYTHON:
        return PYTHON[given]
    if isinstance(given, str) and given in LANGUAGE:
        return cast(OptionType, given)
    if not isinstance(given, str | type) and isinstance(given, Iterable):
        words = tuple(given)
        if words and all(isinstance(word, str) and word for word in words):
            return words
    allowed = (*(known.__name__ for known in PYTHON), *LANGUAGE)
    shown = getattr(given, "__name__", given)
    place.problem(
        f"option '{name}' cannot have the type '{shown}'; types: {', '.join(allowed)}, or a list "
        f"of words.{did_you_mean(str(shown), allowed)}",
        allowed=allowed,
    )
    return "text"


def _read(option: Declared, written: Any) -> tuple[Any, str]:
    """The plain value and the text of what was written."""
    if isinstance(written, Option):
        written = written.value
    if option.type in ("count", "number") and not isinstance(written, bool):
        value: Any = _number(option, written)
    elif option.type == "text":
        if not isinstance(written, str | int | float):
            raise LanguageError(f"{option.name} is a text, found {written!r}", str(written))
        value = str(written)
    else:
        read = parse_option if isinstance(written, str) else option_from_json
        value = plain(read(option, written), option.type)
    return value, _text(option, written, value)


def _text(option: Declared, written: Any, value: Any) -> str:
    if option.type == "flag":
        return "true" if value else "false"
    return written.strip() if isinstance(written, str) else str(written)


def _number(option: Declared, written: Any) -> int | float:
    """Numbers may be negative here, unlike in the language."""
    make: Any = int if option.type == "count" else float
    text = str(written).strip()
    try:
        value = make(text)
    except ValueError:
        called = "a whole number" if make is int else "a number"
        raise LanguageError(f"'{text}' is not {called}", text, code="not-a-number") from None
    for bound, word, out in (
        (option.minimum, "least", option.minimum is not None and not value >= option.minimum),
        (option.maximum, "most", option.maximum is not None and not value <= option.maximum),
    ):
        if out and bound is not None:
            raise LanguageError(
                f"{option.name} must be at {word} {plain_text('number', bound)}", text
            )
    if value != value or value in (float("inf"), float("-inf")):
        raise LanguageError(f"'{text}' is not a number that can be used", text)
    return cast("int | float", value)


def seconds(written: Any, what: str) -> float:
    """A duration as a scenario writes it: "300ms", a timedelta, or an option of that type.

    Raises:
        ConfigError: what is wrong with it.
    """
    if isinstance(written, Option) and written.option.type == "duration":
        return float(written.value)
    if hasattr(written, "total_seconds"):
        return float(written.total_seconds())
    if not isinstance(written, str):
        raise ConfigError(f"{what}: {written!r} has no unit: write a text such as '2s' or '300ms'")
    try:
        return float(plain(parse("duration", written)))
    except LanguageError as error:
        raise ConfigError(f"{what}: {error.message}", value=error.value) from None


def distribution(written: Any, what: str) -> Any:
    """A distribution of durations as a scenario writes it: "1s..3s", "exponential(2s)".

    Raises:
        ConfigError: what is wrong with it.
    """
    if isinstance(written, Option):
        if written.option.type == "distribution":
            return written.value
        written = str(written)
    if hasattr(written, "total_seconds"):
        written = f"{round(written.total_seconds() * 10**6)}us"
    if not isinstance(written, str):
        raise ConfigError(f"{what}: {written!r} has no unit: write a text such as '2s' or '1s..3s'")
    try:
        return plain(parse("distribution", written), "distribution")
    except LanguageError as error:
        raise ConfigError(
            f"{what}: {error.message}", value=error.value, allowed=error.allowed
        ) from None
