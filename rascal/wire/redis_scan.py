r"""Patterns that step over whole small messages, for the way on which nobody watches.

A bulk string announces its length, so no plain pattern can frame it; but one alternative for each
length up to 99 can, and it does so exactly: `\$(?:0…|1(?:\r\n.|0\r\n.{10}|1\r\n.{11} …)…)`. What
these patterns do not match is not wrong, it is left to the codec's ordinary way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_UNUSUAL = {
    4: "exec|auth|sync",
    5: "multi|hello|reset|psync",
    6: "client|select",
    7: "discard|monitor",
    9: "subscribe",
}
"""Commands that concern the connection, by length; those longer than 9 never match."""


def _bulk() -> str:
    def payload(length: int) -> str:
        return rf"\r\n.{{{length}}}" if length else r"\r\n"

    tens = []
    for first in range(10):
        ends = [payload(first)]
        if first:
            ends += [f"{second}{payload(10 * first + second)}" for second in range(10)]
        tens.append(f"{first}(?:{'|'.join(ends)})")
    return rf"\$(?:{'|'.join(tens)})\r\n"


def _command() -> str:
    words = []
    for length in range(2, 10):
        unusual = f"(?!(?i:{_UNUSUAL[length]})\\r)" if length in _UNUSUAL else ""
        words.append(rf"{length}\r\n{unusual}[A-Za-z]{{{length}}}")
    return rf"\$(?:{'|'.join(words)})\r\n"


def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.DOTALL)


_BULK = _bulk()
_LINE = r"[+:\-_#,(][^\r\n]*\r\n"
_VALUE = rf"(?:{_BULK}|{_LINE}|[$*]-1\r\n|\*0\r\n)"

REQUEST = _compiled(
    r"\*(?:"
    + "|".join(rf"{1 + args}\r\n{_command()}(?:{_BULK}){{{args}}}" for args in range(5))
    + ")"
)
"""A command of up to five short words that does nothing to the connection."""

COMMAND = re.compile(rb"\*([1-9]\d{0,3})\r\n\$([1-9]\d?)\r\n([A-Za-z.]+)\r\n")
"""The beginning of a command, up to its name."""

REPLY = _compiled(rf"{_VALUE}|\*(?:1\r\n{_VALUE}|2\r\n{_VALUE}{{2}}|3\r\n{_VALUE}{{3}})")
"""A small reply, no push."""

VALUE = _compiled(_VALUE)
"""A small element of an aggregate."""


def steps(pattern: re.Pattern[bytes], data: bytes, at: int) -> Iterator[re.Match[bytes]]:
    """Matches that follow each other without a gap."""
    scanner: Any = pattern.scanner(data, at)  # type: ignore[attr-defined]
    step: Callable[[], Any] = scanner.match
    return iter(step, None)
