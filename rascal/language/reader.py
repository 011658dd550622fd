"""A position in one text, and how words, strings and scalars are read from it.

The place decides the type: `Reader.value(type)` reads what that type allows and nothing else.
Structured types (match, distribution, time) are read by the modules that register themselves in
`READERS`; whole sentences by `phrase` and `profile`. Every error knows its column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from rascal.errors import did_you_mean, listed
from rascal.language.errors import LanguageError
from rascal.language.values import CLAUSES, FLAGS, MOMENTS, Quantity, Range
from rascal.options import Option, OptionTable
from rascal.units import EXAMPLES, SLIPS, UNITS, plain_text

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LONGEST_NAME = 64
"""Characters of the name of a fault or a proxy: it is a label of metrics and a column of tables."""
_BLANKS = re.compile(r"\s*")
_BLANKS_IN_LINE = re.compile(r"[ \t\r]*")
_WORD_AHEAD = re.compile(r"([A-Za-z_]\w*)(?=[\s,]|$)")
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-zµ/%]*)")
_AMOUNT = re.compile(
    r"(?:[0-9]{1,15}(?:\.[0-9]{1,12})?[A-Za-zµ/%]+)*(?:[0-9]{1,15}(?:\.[0-9]{1,12})?[A-Za-zµ/%]*)"
)
_USERS = re.compile(r"\s+users\b")
_STRING = {mark: re.compile(f"{mark}((?:[^{mark}\\n]|{mark}{mark})*){mark}") for mark in "\"'"}
_NAMED = re.compile(r"([A-Za-z_]\w*(?:\.\d+)?)\s*=(?!=)\s*")
_BARE: dict[str, re.Pattern[str]] = {}

STOPS = ",()\"'="
"""Characters that end a bare word, besides blanks."""


class MatchField(Protocol):
    """What the language must know of a match field (`rascal.wire.types.Field` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Tables:
    """What may be said in a place: the kinds, the match fields, and clauses that it lacks.

    `fields` None: any field, not typed. `recipes` None: any recipe, its options not typed.
    `without` maps a clause that has no meaning here to the reason.
    """

    kinds: Mapping[str, OptionTable] = field(default_factory=dict)
    fields: Sequence[MatchField] | None = None
    protocol: str | None = None
    recipes: Mapping[str, OptionTable] | None = None
    without: Mapping[str, str] = field(default_factory=dict)


READERS: dict[str, Callable[[Reader], Any]] = {}
"""Readers of the structured types, by type; each module adds its own."""


class Reader:
    """Reads one text from left to right. `lines`: a line end separates items, like a comma."""

    __slots__ = ("at", "lines", "tables", "text")

    def __init__(self, text: str, tables: Tables) -> None:
        self.text = text
        self.tables = tables
        self.at = 0
        self.lines = False

    # ---- characters and words

    def fail(
        self,
        message: str,
        at: int | None = None,
        end: int | None = None,
        *,
        code: str = "not-allowed",
        allowed: Iterable[str] = (),
    ) -> LanguageError:
        """An error about `text[at:end]`, by default what stands here."""
        start = self.at if at is None else at
        return LanguageError(
            message, self.text, start, self.at if end is None else end, code=code, allowed=allowed
        )

    def space(self, newline: bool = False) -> None:
        """Skip blanks; line ends only where they do not separate."""
        blanks = _BLANKS_IN_LINE if self.lines and not newline else _BLANKS
        self.at = blanks.match(self.text, self.at).end()  # type: ignore[union-attr]

    def next(self, ahead: int = 0) -> str:
        """The character here, or "" at the end."""
        return self.text[self.at + ahead : self.at + ahead + 1]

    def take(self, literal: str) -> bool:
        """Step over `literal` if it stands here."""
        found = self.text.startswith(literal, self.at)
        if found:
            self.at += len(literal)
        return found

    def bare(self, stops: str = STOPS) -> str:
        """The run of characters up to a blank or one of `stops`."""
        pattern = _BARE.get(stops)
        if pattern is None:
            pattern = _BARE[stops] = re.compile(f"[^\\s{re.escape(stops)}]*")
        found = pattern.match(self.text, self.at)
        assert found
        self.at = found.end()
        return found[0]

    def peek_word(self) -> str:
        """The word that stands here, up to a blank or comma, without stepping over it."""
        found = _WORD_AHEAD.match(self.text, self.at)
        return found[1] if found else ""

    def finish(self, what: str) -> None:
        """Nothing may be left."""
        self.space(newline=True)
        if self.at < len(self.text):
            rest = self.text[self.at : self.at + 12]
            raise self.fail(
                f"nothing is expected after the {what}, found '{rest}'", end=len(self.text)
            )

    def known(
        self, what: str, allowed: Collection[str], word: str, start: int, by: str = ""
    ) -> str:
        """`word`, which must be one of `allowed`; `by` is the command that lists them."""
        if word not in allowed:
            raise self.fail(
                f"{what} '{word}' is not known; allowed: {listed(allowed, by)}."
                f"{did_you_mean(word, allowed)}".rstrip("."),
                start,
                start + len(word),
                code="unknown-name",
                allowed=allowed,
            )
        return word

    def string(self) -> str:
        """A quoted string or a bare word."""
        mark = self.next()
        if mark and mark in _STRING:
            found = _STRING[mark].match(self.text, self.at)
            if not found:
                raise self.fail(
                    "the quote that opens here is not closed on its line "
                    f"(a {mark} inside is written twice)",
                    end=self.at + 1,
                )
            self.at = found.end()
            return found[1].replace(mark * 2, mark)
        word = self.bare()
        if not word:
            raise self.fail(
                f"expected a value, found {mark!r}" if mark.strip() else "a value is missing",
                code="value-missing",
            )
        return word

    def arguments(
        self, closed: bool, stops: Collection[str] = ()
    ) -> Iterator[tuple[int, str | None]]:
        """Yield (position, name or None) of each argument; the caller reads its value.

        Args:
            closed: they stand in parentheses, separated by commas; else up to one of `stops`.
            stops: words that end an open list.
        """
        first = True
        while True:
            self.space(newline=closed)
            if closed and self.take(")"):
                return
            if closed and not self.next():
                raise self.fail("a ')' is missing")
            if not closed and (self.next() in ("", ",", "\n") or self.peek_word() in stops):
                return
            if closed and not first:
                if not self.take(","):
                    raise self.fail(f"expected ',' or ')', found '{self.next()}'", end=self.at + 1)
                self.space(newline=True)
                if self.take(")"):
                    return
            first = False
            named, at = _NAMED.match(self.text, self.at), self.at
            if named:
                self.at = named.end()
            yield at, named[1] if named else None

    # ---- quantities

    def amount(self, type_: str, piece: str, at: int, borrowed: str = "") -> Quantity:
        """One number with its unit; durations may have several, the larger first.

        Args:
            type_: a key of UNITS.
            piece: the text, which stands at `at`.
            borrowed: the unit of a number that has none (0..200/s).
        """
        end = at + len(piece)
        units = UNITS[type_]
        parts = _PARTS.findall(piece) if _AMOUNT.fullmatch(piece) else []
        if not parts or (len(parts) > 1 and type_ != "duration"):
            example = EXAMPLES[type_].format(2).split(" or ")[0]
            raise self.fail(
                f"expected a {type_} such as {example}, found '{piece or self.next()}'", at, end
            )
        total, before = Fraction(0), None
        for number, written in parts:
            unit = written or borrowed
            if not unit and not number.strip("0."):
                unit = next(iter(units))
            if unit not in units:
                raise self._unit(type_, piece, number, unit, at)
            factor = units[unit]
            if before is not None and factor >= before:
                raise self.fail(
                    f"in '{piece}' the larger unit comes first, each once, as in 1m30s", at, end
                )
            before = factor
            total += (int(number) if "." not in number else Fraction(number)) * factor
        if type_ == "duration" and (total * 10**6).denominator != 1:
            raise self.fail(f"'{piece}' is finer than a microsecond", at, end)
        if type_ == "size" and total.denominator != 1:
            raise self.fail(f"'{piece}' is finer than a byte", at, end)
        return Quantity(type_, total, unit == " users")

    def _unit(self, type_: str, piece: str, number: str, unit: str, at: int) -> LanguageError:
        units = UNITS[type_]
        allowed = [name.strip() for name in units if name]
        end = at + len(piece)
        if not unit:
            return self.fail(
                f"'{piece}' has no unit: write {EXAMPLES[type_].format(piece)} "
                f"(units: {', '.join(allowed)})",
                at,
                end,
                code="unit-missing",
                allowed=allowed,
            )
        if not allowed:
            return self.fail(f"expected a number without a unit, found '{piece}'", at, end)
        like = SLIPS.get(unit) or next(
            (name for name in units if name and name.lower().startswith(unit.lower())), None
        )
        advice = f". Did you mean {number}{like}?" if like in units else ""
        return self.fail(
            f"'{unit}' is not a unit of {type_}; units: {', '.join(allowed)}{advice}",
            at,
            end,
            code="unit-unknown",
            allowed=allowed,
        )

    def quantity(self, type_: str, span: bool = False) -> Any:
        """A quantity, or where `span` allows it a range of them."""
        start, piece = self.at, self.bare(",()\"'=<>")
        low, dots, high = piece.partition("..")
        users = ""
        if type_ == "level" and (found := _USERS.match(self.text, self.at)):
            self.at, users = found.end(), " users"
        if not dots or not span:
            return self.amount(type_, piece, start, users)
        second = self.amount(type_, high, start + len(low) + 2, users)
        first = self.amount(type_, low, start, users or high.lstrip("0123456789."))
        if first.value > second.value:
            raise self.fail(f"the range {piece} runs backwards", start)
        return Range(Quantity(type_, first.value, second.users), second)

    # ---- scalars

    def value(self, type_: Any, what: str) -> Any:
        """A value of the type that this place asks for."""
        self.space()
        start = self.at
        if isinstance(type_, tuple):
            return self.known(what, type_, self.string(), start)
        if reader := READERS.get(type_):
            return reader(self)
        if type_ in UNITS:
            return self.quantity(type_, span=type_ == "level")
        if type_ == "moments":
            return self._moments()
        word = self.bare()
        if type_ in ("count", "positive"):
            return self.count(word, start, what, 1 if type_ == "positive" else 0)
        if type_ == "flag":
            return FLAGS[self.known(what, tuple(FLAGS), word, start)]
        if type_ == "probability":
            return self._probability(word, start)
        if type_ == "name":
            return self._name(word, start)
        raise AssertionError(type_)

    def option(self, option: Option) -> Any:
        """The value of an option, within its bounds."""
        self.space()
        start = self.at
        value = self.value(option.type, option.name)
        plain = float(value.value) if isinstance(value, Quantity) else value
        if isinstance(plain, int | float):
            type_ = option.type if isinstance(option.type, str) else "text"
            found = self.text[start : self.at]
            if option.minimum is not None and plain < option.minimum:
                bound = plain_text(type_, option.minimum)
                raise self.fail(f"{option.name} is at least {bound}, found {found}", start)
            if option.maximum is not None and plain > option.maximum:
                bound = plain_text(type_, option.maximum)
                raise self.fail(f"{option.name} is at most {bound}, found {found}", start)
        return value

    def count(self, word: str, start: int, what: str, minimum: int) -> int:
        """A whole number; `word` stands at `start`."""
        if not (word.isascii() and word.isdigit() and len(word) <= 15 and int(word) >= minimum):
            least = f" from {minimum}" if minimum else ""
            raise self.fail(f"{what} is a whole number{least}, found '{word}'", start)
        return int(word)

    def _moments(self) -> tuple[str, ...]:
        start = self.at
        words = self.bare("()\"'=")
        if words.endswith(","):  # that one separates the faults of a list
            words, self.at = words[:-1], self.at - 1
        found = tuple(self.known("moment", MOMENTS, word, start) for word in words.split(","))
        if len(set(found)) < len(found):
            raise self.fail("each moment stands once", start)
        return found

    def _name(self, word: str, start: int) -> str:
        if not NAME.fullmatch(word) or word in CLAUSES:
            raise self.fail(
                f"'{word}' cannot be a name: a letter, then letters, digits, '-', '_' or '.', "
                "and not a clause's name",
                start,
            )
        if len(word) > LONGEST_NAME:
            raise self.fail(
                f"a name has at most {LONGEST_NAME} characters, found {len(word)}", start
            )
        return word

    def _probability(self, word: str, start: int) -> Quantity:
        plain = re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,12})?", word)
        if plain and word != "0" and (not plain[1] or Fraction(word) > 1):
            both = " or 100%" if word == "1" else ""
            raise self.fail(
                f"'{word}' could mean {word}% or a share of 1: write {word}%{both}",
                start,
                code="unit-missing",
            )
        if plain:
            return Quantity("percentage", Fraction(word))
        share = self.amount("percentage", word, start)
        if share.value > 1:
            raise self.fail(f"a probability is at most 100%, found {word}", start)
        return share


READERS["text"] = Reader.string
