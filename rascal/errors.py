"""Every exception that Rascal raises on purpose, and how a finding is worded.

The messages follow one style: where, what is wrong, what is allowed, and the nearest valid name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class RascalError(Exception):
    """Base of all errors that Rascal raises on purpose."""


class ConfigError(RascalError):
    """Something a user wrote is wrong: one finding.

    Args:
        message: what is wrong and what is allowed, one line.
        path: the file, if it was one.
        line: line in the file, from 1.
        column: column in the line, from 1.
        section: the INI section.
        option: the option or field.
        value: the value as written.
        allowed: the allowed values, if they can be listed.
        pointer: JSON pointer to the value, for the control API.
        code: short stable name of the problem, such as "unit-missing".
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        section: str | None = None,
        option: str | None = None,
        value: Any = None,
        allowed: Iterable[str] = (),
        pointer: str | None = None,
        code: str = "not-allowed",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line
        self.column = column
        self.section = section
        self.option = option
        self.value = value
        self.allowed = tuple(allowed)
        self.pointer = pointer
        self.code = code

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        return f"{where}: {self.message}" if where else self.message


class ConfigErrors(RascalError):
    """All findings of one file or one request together."""

    def __init__(self, findings: Iterable[ConfigError]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ProtocolError(RascalError):
    """Bytes do not follow the protocol. Never escapes the data path.

    Args:
        detail: what was expected and found, short.
        offset: bytes into the stream, where known.
    """

    def __init__(self, detail: str, offset: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.offset = offset


class LimitError(ProtocolError):
    """A bound was reached, such as the 64 KiB that are kept of a message's head."""


class EncodeError(ProtocolError):
    """We were asked to write something that the protocol cannot say."""


class UpstreamError(RascalError):
    """The upstream could not be reached: refused, timed out, unresolvable, TLS failed."""


class ControlError(RascalError):
    """A control request that cannot be done; maps one to one to an HTTP answer."""

    def __init__(self, status: int, code: str, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail


class LoadError(RascalError):
    """A load run cannot go on, or cannot start."""


class CoordinationError(LoadError):
    """Agents and coordinator cannot work together: Redis is lost, versions or tokens differ."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'NEAREST'?" with its leading blank, or nothing if none is near."""
    near = difflib.get_close_matches(word, list(allowed), 1)
    return f" Did you mean '{near[0]}'?" if near else ""


def listed(allowed: Iterable[str], command: str = "") -> str:
    """Name the allowed words: all up to a dozen, then the command that lists them."""
    words = list(allowed)
    if len(words) <= 12 or not command:
        return ", ".join(words) or "none"
    return f"{', '.join(words[:12])}, … (all: {command})"
