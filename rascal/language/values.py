"""What the language's texts mean, as frozen values. `show` gives their canonical text back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from rascal.language.errors import LanguageError

MOMENTS = ("connect", "greeting", "request", "reply", "during", "idle", "close")
FLAGS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}

CLAUSES: dict[str, Any] = {
    "on": "name",
    "match": "match",
    "at": "moments",
    "direction": ("to_upstream", "to_client", "both"),
    "probability": "probability",
    "per": ("exchange", "connection"),
    "skip": "count",
    "every": "positive",
    "count": "positive",
    "from": "time",
    "until": "time",
    "for": "duration",
    "enabled": "flag",
    "on_remove": ("release", "close"),
    "name": "name",
}
"""The clauses of a fault and their types, in canonical order. A clause is a field of the fault."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit. `value` is exact, in seconds, bytes, per second or share of 1."""

    type: str
    value: Fraction
    users: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included: of quantities, or in a match of two words or None."""

    low: Any
    high: Any


@dataclass(frozen=True, slots=True)
class Draw:
    """A distribution of durations: its name and its parameters in canonical order."""

    name: str
    values: tuple[tuple[str, Quantity], ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a match: `field op value,value`. `op` is one of = ^= ~ > >= < <=.

    The values stand as they were written, checked against the field's type; any of them will do.
    `!=` is = with `negated`.
    """

    field: str
    op: str
    values: tuple[str | Range, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Phrase:
    """A fault, or a step of a script: kind, options and clauses in canonical order.

    `spoken` is the option that `show` writes without its name. `source` and `places` say where it
    stood, for errors that are found later; phrases that mean the same are equal wherever they
    stand.
    """

    kind: str
    options: tuple[tuple[str, Any], ...] = ()
    clauses: tuple[tuple[str, Any], ...] = ()
    spoken: str | None = field(default=None, compare=False, repr=False)
    source: str = field(default="", compare=False, repr=False)
    places: Mapping[str, tuple[int, int] | str] = field(
        default_factory=dict, compare=False, repr=False, hash=False
    )

    def option(self, name: str, default: Any = None) -> Any:
        """The value of an option, as written."""
        return next((value for key, value in self.options if key == name), default)

    def clause(self, name: str, default: Any = None) -> Any:
        """The value of a clause, as written."""
        return next((value for key, value in self.clauses if key == name), default)

    def problem(
        self, message: str, name: str = "kind", *, code: str = "not-allowed", allowed: Any = ()
    ) -> LanguageError:
        """An error about this phrase, at its option or clause `name` (or its kind)."""
        place = self.places.get(name, self.places.get("kind", (0, len(self.kind))))
        if isinstance(place, str):
            return LanguageError(message, pointer=place, code=code, allowed=allowed, option=name)
        return LanguageError(message, self.source, *place, code=code, allowed=allowed, option=name)


@dataclass(frozen=True, slots=True)
class Time:
    """A moment of an experiment: an anchor (start, end, a phase; NAME.end) and seconds after."""

    anchor: str
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of a load profile. A `hold` without time goes on until the load ends."""

    shape: str
    level: Quantity | Range | None = None
    lasts: Quantity | None = None
    every: Quantity | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """`measure(flows) op limit`, then `over`, `for` or `in`."""

    measure: str
    flows: tuple[str, ...]
    op: str
    limit: Quantity
    tail: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to connect: TCP host and port, a UNIX socket, or a Twisted endpoint.

    `path` is the socket's path for "unix", the whole string for "endpoint".
    """

    type: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.type == "unix":
            return f"unix:{self.path}"
        if self.type == "endpoint":
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
