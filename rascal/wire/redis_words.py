"""Words of a request: lengths, inline commands, and what commands do to the connection."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rascal.errors import ProtocolError
from rascal.wire.redis_session import CONFIRMATIONS, Effect, text

CRLF = b"\r\n"
HEADER_BYTES = 32
"""No line that announces a length is longer."""
MOST_WORDS = 2**31 - 1
MOST_BYTES = 2**40

_WORD = re.compile(
    rb'"(?:[^"\\]|\\.)*"(?=\s|$)|\'(?:[^\'\\]|\\\')*\'(?=\s|$)|[^\s"\']\S*', re.DOTALL
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def number(line: bytes, most: int, what: str) -> int:
    """A length or count as the server reads it: digits alone. Raises ProtocolError."""
    if line.isdigit() and len(line) <= 20:
        value = int(line)
        if value <= most:
            return value
    raise ProtocolError(f"invalid {what} {line[:24]!r}")


def inline_words(line: bytes) -> list[bytes]:
    """The words of an inline command, quotes and escapes as redis-server reads them."""
    words: list[bytes] = []
    at, size = 0, len(line)
    while True:
        while at < size and line[at : at + 1].isspace():
            at += 1
        if at >= size:
            return words
        found = _WORD.match(line, at)
        if not found:
            raise ProtocolError("unbalanced quotes in an inline command")
        word = found[0]
        at = found.end()
        if word[:1] == b'"':
            word = _ESCAPE.sub(_unescape, word[1:-1])
        elif word[:1] == b"'":
            word = word[1:-1].replace(b"\\'", b"'")
        words.append(word)


def _unescape(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    return _LETTERS.get(found[2], found[2])


def effect_of(command: str, words: Sequence[bytes]) -> Effect | None:
    """What a command does to the connection, None: nothing out of the ordinary."""
    if command == "CLIENT":
        if len(words) == 3 and words[1].upper() == b"REPLY":
            mode = text(words[2]).upper()
            if mode in ("ON", "OFF", "SKIP"):
                return ("reply", mode)
        return None
    if command == "HELLO":
        return ("hello", int(words[1])) if len(words) > 1 and words[1] in (b"2", b"3") else None
    if command in _SUBSCRIBING:
        count = len(words) - 1
        if not count and "UN" not in command:
            return None  # wrong number of arguments
        return ("sub", command.lower().encode(), count)
    return _EFFECTS.get(command)


_SUBSCRIBING = frozenset(kind.decode().upper() for kind in CONFIRMATIONS)
_EFFECTS: dict[str, Effect] = {
    "MULTI": ("multi",),
    "EXEC": ("exec",),
    "DISCARD": ("discard",),
    "RESET": ("reset",),
    "MONITOR": ("monitor",),
    "SYNC": ("sync",),
    "PSYNC": ("sync",),
}
UNUSUAL = _SUBSCRIBING | frozenset(_EFFECTS) | {"CLIENT", "HELLO", "AUTH", "SELECT"}
"""Commands that need more than their words in their head."""
