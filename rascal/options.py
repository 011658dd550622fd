"""Option tables: what a kind of fault, a protocol or a service lets its user set.

One table is the source of the INI reader, the command line, the API's JSON Schema, the panel's
form and the reference page. The types are the language's (docs/language.md); a tuple of words is
a choice. What the code sees are plain values: a duration is float seconds, a size int bytes, a
rate float per second, a throughput float bytes per second, a percentage float 0..1, a count int,
a flag bool, a distribution a `Distribution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, Protocol

OptionType = Literal[
    "text",
    "name",
    "count",
    "positive",
    "number",
    "flag",
    "duration",
    "size",
    "rate",
    "throughput",
    "percentage",
    "probability",
    "distribution",
    "address",
    "endpoint",
]


class Distribution(Protocol):
    """A distribution of durations, drawn from uniform numbers that are handed in."""

    def sample(self, uniform: Callable[[int], float]) -> float:
        """Draw seconds >= 0; `uniform(lane)` gives a number in [0, 1), the same for one lane."""

    def mean(self) -> float:
        """The expected value in seconds, for texts and estimates."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: name, type with its unit, default, bounds, one line of help.

    Bounds are in plain values (seconds, bytes, per second, share of 1) and inclusive. `default`
    is a plain value too; for a distribution it is None or a text in the language.
    """

    name: str
    type: OptionType | tuple[str, ...]
    help: str
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False


class Options(SimpleNamespace):
    """The plain values of one table's options, as attributes; unset ones hold their default."""

    def given(self) -> dict[str, Any]:
        """The values that are set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


class OptionTable(Mapping[str, Option]):
    """The options of one thing, in the order in which they are shown."""

    def __init__(self, *options: Option) -> None:
        self._options = {option.name: option for option in options}

    def __getitem__(self, name: str) -> Option:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    @property
    def spoken(self) -> str | None:
        """The option that may stand without its name: the first, unless that is `then`."""
        first = next(iter(self._options), None)
        return None if first == "then" else first

    def plain(self, given: Mapping[str, Any]) -> Options:
        """Values for the code: defaults overlaid with plain `given` values."""
        values = {name: option.default for name, option in self._options.items()}
        values.update(given)
        return Options(**values)
