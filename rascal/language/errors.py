"""The one error of the language: what is wrong, what is allowed, and exactly where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rascal.errors import ConfigError


class LanguageError(ConfigError):
    """What is wrong and what is allowed (`message`), and where: `text[at:end]`.

    From JSON the place is `pointer`, and `text` is the scalar it leads to.

    Attributes:
        text: the text that was read.
        at, end: the characters that are meant.
        row, column: the same, from 1.
    """

    def __init__(
        self,
        message: str,
        text: str = "",
        at: int = 0,
        end: int | None = None,
        *,
        pointer: str | None = None,
        allowed: Iterable[str] = (),
        code: str = "not-allowed",
        option: str | None = None,
    ) -> None:
        self.text = text
        self.at = at
        self.end = max(at + 1, end or 0)
        self.row = text.count("\n", 0, at) + 1
        super().__init__(
            message,
            column=at - text.rfind("\n", 0, at),
            option=option,
            value=text[self.at : self.end] or None,
            allowed=allowed,
            pointer=pointer,
            code=code,
        )

    def __str__(self) -> str:
        if self.path:
            return super().__str__()
        if self.pointer is not None:
            return f"{self.pointer or '/'}: {self.message}"
        place = f"line {self.row}, column" if "\n" in self.text.strip("\n") else "column"
        return f"{place} {self.column}: {self.message}"

    def picture(self) -> str:
        """The line that was read, with carets below what is meant; both indented by two."""
        line = self.text.split("\n")[self.row - 1]
        column = self.at - self.text.rfind("\n", 0, self.at)
        width = max(1, min(self.end - self.at, len(line) - column + 1))
        return f"  {line}\n  {' ' * (column - 1)}{'^' * width}"

    def under(self, pointer: str) -> LanguageError:
        """The same error, found in the scalar that `pointer` leads to."""
        self.pointer = pointer + (self.pointer or "")
        return self

    def problem(self) -> dict[str, Any]:
        """The members of a problem object for the control API."""
        known = {
            "type": self.code,
            "title": self.message,
            "pointer": self.pointer,
            "column": self.column,
            "allowed": list(self.allowed) or None,
        }
        return {name: value for name, value in known.items() if value is not None}
