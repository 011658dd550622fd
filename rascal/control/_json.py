"""JSON as the control API takes it: strict, bounded, and with a pointer in every error.

The reader is our own, because the standard one cannot say where a duplicate key stands, accepts
NaN, and recurses as deep as a request likes. What it refuses beyond RFC 8259: duplicate names,
nesting beyond DEPTH, numbers beyond DIGITS characters or too large for a float, halves of
surrogate pairs, a byte order mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, NoReturn

from rascal.errors import ConfigError

DEPTH = 32
"""Nesting of lists and objects."""

DIGITS = 40
"""Characters of a number."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = {"true": True, "false": False, "null": None}
_NOT_NUMBERS = ("NaN", "Infinity", "-Infinity", "+Infinity", "undefined")


def loads(data: bytes) -> Any:
    """Read a request's body. Raises ConfigError (code json-…) with a pointer, line and column."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        raise ConfigError(message, pointer="", code="json-encoding") from None
    if text.startswith("\ufeff"):
        raise ConfigError("leave the byte order mark out", pointer="", code="json-encoding")
    try:
        return _fast(text)
    except (_NotPlain, ValueError, RecursionError):
        pass  # the reader of our own says what is wrong, and where
    reader = _Reader(text)
    value = reader.value("", 0)
    reader.space()
    if reader.at < len(text):
        reader.fail("nothing is expected after the value", "")
    return value


class _NotPlain(Exception):
    """There is something in it that must be looked at closely."""


def _fast(text: str) -> Any:
    """What is plain JSON by every rule of ours, many times as fast. Raises if it is not."""
    if "\\ud" in text or "\\uD" in text:  # perhaps half of a surrogate pair
        raise _NotPlain
    value = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_int=_whole,
        parse_float=_broken,
        parse_constant=_refused,
    )
    if text.count("[") + text.count("{") > DEPTH and _too_deep(value):
        raise _NotPlain
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotPlain
    return found


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise _NotPlain
    return int(text)


def _broken(text: str) -> float:
    value = float(text)
    if len(text) > DIGITS or value in (float("inf"), float("-inf")):
        raise _NotPlain
    return value


def _refused(text: str) -> NoReturn:
    raise _NotPlain


def dumps(value: Any) -> bytes:
    """An answer's body: compact, UTF-8, one line end at its end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # \udc80 is JSON's own escape


def escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


class _Reader:
    """Recursive descent over one text; recursion is bounded by DEPTH."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, message: str, pointer: str, code: str = "json-syntax") -> NoReturn:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        raise ConfigError(message, pointer=pointer, line=line, column=column, code=code)

    def space(self) -> str:
        """Skip blanks; the next character, or nothing at the end."""
        found = _SPACE.match(self.text, self.at)
        if found:
            self.at = found.end()
        return self.text[self.at : self.at + 1]

    def value(self, pointer: str, depth: int) -> Any:
        start = self.space()
        if start and start in "{[":
            if depth >= DEPTH:
                self.fail(f"nested deeper than {DEPTH} levels", pointer, "json-depth")
            self.at += 1
            if start == "{":
                return dict(self.members(pointer, depth + 1))
            return list(self.items(pointer, depth + 1))
        if start == '"':
            return self.string(pointer)
        if start and start in "-0123456789":
            return self.number(pointer)
        found = _WORD.match(self.text, self.at)
        word = found[0] if found else ""
        if word in _WORDS:
            self.at += len(word)
            return _WORDS[word]
        if word in _NOT_NUMBERS:
            self.fail(f"JSON has no {word}", pointer, "json-number")
        self.fail(f"expected a value, found {_shown(word or start)}", pointer)

    def members(self, pointer: str, depth: int) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        if self.space() == "}":
            self.at += 1
            return
        while True:
            if self.space() != '"':
                self.fail(f"expected a name in double quotes, found {self.found()}", pointer)
            begin = self.at
            name = self.string(pointer)
            here = f"{pointer}/{escape(name)}"
            if name in seen:
                self.at = begin
                self.fail(f"{_shown(name)} is given twice", here, "json-duplicate")
            seen.add(name)
            if self.space() != ":":
                self.fail(f"expected ':' after the name, found {self.found()}", here)
            self.at += 1
            yield name, self.value(here, depth)
            if self.closed("}", pointer):
                return

    def items(self, pointer: str, depth: int) -> Iterator[Any]:
        if self.space() == "]":
            self.at += 1
            return
        index = 0
        while True:
            yield self.value(f"{pointer}/{index}", depth)
            if self.closed("]", pointer):
                return
            index += 1

    def closed(self, end: str, pointer: str) -> bool:
        """Whether the list or object ends here; else a comma stands here."""
        found = self.space()
        if found != end and found != ",":
            self.fail(f"expected ',' or '{end}', found {self.found()}", pointer)
        self.at += 1
        return found == end

    def string(self, pointer: str) -> str:
        try:
            text, end = scanstring(self.text, self.at + 1, True)
        except json.JSONDecodeError as error:
            self.at = error.pos
            reason = error.msg.rstrip(" at").lower()
            self.fail(f"this string does not end as it should: {reason}", pointer)
        if _SURROGATE.search(text):
            self.fail("half of a surrogate pair is no character", pointer, "json-encoding")
        self.at = end
        return str(text)

    def number(self, pointer: str) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        word = _WORD.match(self.text, self.at)
        written = word[0] if word else ""
        if not found or found[0] != written:
            code = "json-number" if written in _NOT_NUMBERS else "json-syntax"
            self.fail(f"{_shown(written)} is not a number of JSON", pointer, code)
        if len(written) > DIGITS:
            self.fail(f"the number has more than {DIGITS} characters", pointer, "json-number")
        whole = found[1] is None and found[2] is None
        value = int(written) if whole else float(written)
        if not whole and value in (float("inf"), float("-inf")):
            self.fail(f"{written} is too large", pointer, "json-number")
        self.at = found.end()
        return value

    def found(self) -> str:
        return _shown(self.text[self.at : self.at + 1])


def _shown(text: str) -> str:
    if not text:
        return "the end"
    return f"'{text[:40]}'"
