"""What a scenario file declares while it is loaded: the place where declarations meet.

`scenario`, `Option`, `feeder` and the `once_…` decorators add what they make to the collector of
the book that is being loaded, and mistakes in their arguments to its findings, so that all of a
file are shown at once. Outside a loading (a test that imports a scenario file) there is no
collector: declarations stand for themselves and mistakes are raised.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from rascal.errors import ConfigError
from rascal.language import LanguageError

if TYPE_CHECKING:
    from rascal.load.feeders import Feeder
    from rascal.load.hooks import Hook
    from rascal.load.parameters import Option
    from rascal.load.scenario import Scenario


class Files(Protocol):
    """Where a scenario file's modules and data files come from."""

    def read(self, name: str) -> bytes | None:
        """The file of this name (relative, with slashes), or None if there is none.

        Raises:
            ConfigError: it may not be read: outside the folder, or too large.
        """

    def has(self, name: str) -> bool:
        """Is there such a file? Reads nothing."""

    def names(self, near: str) -> list[str]:
        """Names of the files in the folder of `near`, for suggestions."""


@attrs.define(kw_only=True, eq=False)
class Collector:
    """What one loading has found so far."""

    files: Files
    shown: str = ""
    """What stands before a file's name in messages."""
    values: Mapping[str, Any] = attrs.Factory(dict)
    """Values given to options, by name: texts, or what JSON holds."""
    scenarios: dict[str, Scenario] = attrs.Factory(dict)
    parameters: dict[str, Option] = attrs.Factory(dict)
    feeders: list[Feeder] = attrs.Factory(list)
    hooks: list[Hook] = attrs.Factory(list)
    data: dict[str, bytes] = attrs.Factory(dict)
    """Data files that were named."""
    findings: list[ConfigError] = attrs.Factory(list)


_loading: list[Collector] = []


def collector() -> Collector | None:
    """The collector of the book that is being loaded just now, if any."""
    return _loading[-1] if _loading else None


def collecting(mine: Collector, work: Callable[[], None]) -> None:
    """Do `work`; what is declared meanwhile goes to `mine`."""
    _loading.append(mine)
    try:
        work()
    finally:
        _loading.pop()


@attrs.frozen
class Place:
    """A line of a scenario file."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def problem(self, message: str, **about: Any) -> None:
        """Note a mistake that stands here, or raise it if no book is being loaded."""
        error = ConfigError(message, path=self.path, line=self.line, **about)
        found = collector()
        if found is None:
            raise error
        found.findings.append(error)

    def wrong(self, what: str, error: LanguageError) -> None:
        """The same for a text of the language that does not parse."""
        self.problem(
            f"{what}: {error.message}", value=error.value, allowed=error.allowed, code=error.code
        )


def caller() -> Place:
    """The line of the scenario file that is declaring something."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("rascal.load."):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def place_of(function: Any) -> Place:
    """Where a function is defined: the line of its `def`, or of its first decorator."""
    code = getattr(function, "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else caller()
