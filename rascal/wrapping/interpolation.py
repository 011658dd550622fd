"""Variables in Compose files: $NAME, ${NAME}, ${NAME:-default} and their like; $$ is a plain $.

The Compose Specification, section "Interpolation": `-` for unset, `:-` for unset or empty; `?` and
`:?` complain, `+` and `:+` put something in place of what is set. What stands behind them may hold
variables again. Whatever is written to a new file keeps its variables; values are needed only to
see what a service is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from rascal.errors import ConfigError
from rascal.wrapping.yamlfile import Block, Items, Text, wrong

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERATORS = (":-", "-", ":?", "?", ":+", "+")
DEPTH = 20


class Unreadable(ValueError):
    """A text whose variables cannot be read."""


@attrs.define
class Variables:
    """The values, and what was said about them on the way."""

    values: Mapping[str, str]
    unset: dict[str, Any] = attrs.field(factory=dict)
    """Names without a value or default, with the first place where each stands."""
    findings: list[ConfigError] = attrs.field(factory=list)

    def text(self, text: str, at: Any = None) -> str:
        """A text with its values in it; what cannot be read stays, and is a finding."""
        if "$" not in text:
            return str(text)
        try:
            return self._text(text, text if at is None else at, DEPTH)
        except Unreadable as error:
            self.findings.append(wrong(str(error), text if at is None else at))
            return str(text)

    def all(self, value: Any) -> Any:
        """The same value with every text in it (names of mappings stay); places are kept."""
        if isinstance(value, dict):
            return Block.of({key: self.all(one) for key, one in value.items()}, value)
        if isinstance(value, list):
            return Items.of((self.all(one) for one in value), value)
        if isinstance(value, Text) and "$" in value:
            return Text.of(self.text(value), value)
        return value

    def _text(self, text: str, at: Any, depth: int) -> str:
        if not depth:
            raise Unreadable(f"'{text}': variables stand in defaults of defaults too deep")
        return "".join(self._pieces(text, at, depth))

    def _pieces(self, text: str, at: Any, depth: int) -> Iterator[str]:
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            yield text[position:dollar]
            rest = dollar + 1
            if text.startswith("$", rest):
                yield "$"
                position = rest + 1
            elif text.startswith("{", rest):
                end = _closing(text, rest)
                yield self._braces(text[rest + 1 : end], at, depth)
                position = end + 1
            elif found := NAME.match(text, rest):
                yield self._value(found[0], at)
                position = found.end()
            else:
                raise Unreadable(
                    f"'{text}': a plain $ is written $$, a variable $NAME or ${{NAME}}"
                )
        yield text[position:]

    def _value(self, name: str, at: Any) -> str:
        if name not in self.values:
            self.unset.setdefault(name, at)
        return self.values.get(name, "")

    def _braces(self, inner: str, at: Any, depth: int) -> str:
        found = NAME.match(inner)
        if not found:
            raise Unreadable(f"'${{{inner}}}' names no variable: write ${{NAME}}")
        name, rest = found[0], inner[found.end() :]
        if not rest:
            return self._value(name, at)
        operator = next((one for one in OPERATORS if rest.startswith(one)), "")
        if not operator:
            raise Unreadable(f"'${{{inner}}}': after the name stands one of {' '.join(OPERATORS)}")
        word = rest[len(operator) :]
        value = self.values.get(name)
        there = bool(value) if operator.startswith(":") else value is not None
        match operator[-1]:
            case "-":
                return str(value) if there else self._text(word, at, depth - 1)
            case "+":
                return self._text(word, at, depth - 1) if there else ""
            case _:
                if not there:
                    said = self._text(word, at, depth - 1)
                    raise Unreadable(f"'{name}' must have a value" + (f": {said}" if said else ""))
                return str(value)


def _closing(text: str, at: int) -> int:
    """Where the brace that opens at `at` is closed."""
    depth = 0
    for index in range(at, len(text)):
        if text[index] == "{" and text[index - 1] == "$":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if not depth:
                return index
    raise Unreadable(f"'{text}': a brace of ${{…}} is not closed")


def escaped(text: str) -> str:
    """A text as it is written where variables are replaced."""
    return text.replace("$", "$$")
