"""RESP values: types, the lines that announce them, and what a reply's first bytes say of it."""

from __future__ import annotations

import re

from rascal.errors import ProtocolError
from rascal.wire.redis_requests import VIEW_BYTES
from rascal.wire.redis_session import ReplyHead, text
from rascal.wire.redis_words import CRLF, HEADER_BYTES, MOST_BYTES, number
from rascal.wire.types import HEAD_BYTES, Buffer

MOST_VALUES = 2**32
DEEPEST = 512
"""Streamed aggregates within each other."""

LINES = frozenset(b"+-:_#,(")
BLOBS = frozenset(b"$=!")
COUNTED = frozenset(b"*~>%")
NAMES = {
    36: "BULK",
    42: "ARRAY",
    126: "SET",
    62: "PUSH",
    37: "MAP",
    58: "INTEGER",
    95: "NIL",
    35: "BOOLEAN",
    44: "DOUBLE",
    40: "BIGNUMBER",
    61: "VERBATIM",
}
PUSHES = frozenset((b"message", b"pmessage", b"smessage"))
UNLIMITED, STRING = -1, -2
"""Instead of the number of values to come: until `.`; the chunks of a string until `;0`."""

MONITOR_LINE = re.compile(rb"\+\d+\.\d+ \[")
PREFIX_BYTES = 64
"""So much of an error or a status is looked at for its first word."""


def ended(todo: int, stack: list[int]) -> int:
    """A value has ended: what is to come now."""
    if todo > 0:
        todo -= 1
        if not todo and stack:  # what it stands in streams
            todo = stack.pop()
    return todo


def back(todo: int, stack: list[int]) -> int:
    """Something streamed has ended: what is to come now."""
    while not todo and stack:
        todo = stack.pop()
    return todo


def long_line(data: bytes, at: int, kind: int, size: int, waited: int) -> bool:
    """A line without end so far: True if it is to pass without waiting for its end."""
    if kind in LINES:
        return waited >= HEAD_BYTES
    if kind not in BLOBS and kind not in COUNTED and kind not in b"|;.":
        raise ProtocolError(f"not a RESP type: {data[at : at + 1]!r}")
    if size - at > HEADER_BYTES:
        raise ProtocolError("a length without end")
    return False


def first_word(data: bytes, at: int, size: int, count: bytes) -> bytes | None:
    """The first element at `at`, b"" if it is no short string; None: it is not there yet."""
    if count in (b"0", b"-1", b"?"):
        return b""
    if at >= size:
        return None
    if data[at] not in b"$+":
        return b""
    end = data.find(CRLF, at, at + HEADER_BYTES)
    if end < 0:
        return None if size - at < HEADER_BYTES else b""
    if data[at] == 43:
        return data[at + 1 : end]
    length = data[at + 1 : end]
    if not length.isdigit() or len(length) > 2:
        return b""
    begin = end + 2
    stop = begin + int(length)
    return data[begin:stop] if stop <= size else None


def blob_error(data: bytes, end: int, size: int, line: bytes) -> bytes | None:
    """`!` and the first bytes of the text; None: they are not there yet."""
    length = line[1:]
    if not length.isdigit() or len(length) > 19:
        return line
    need = min(int(length), PREFIX_BYTES)
    if size - end - 2 < need:
        return None
    return b"!" + data[end + 2 : end + 2 + need]


def behind_attributes(data: bytes, at: int, size: int) -> int:
    """Where the value behind an attribute begins, -1 if it is not there yet."""
    todo = 0
    while at < size:
        kind = data[at]
        if not todo and kind != 124:
            return at
        end = data.find(CRLF, at)
        if end < 0:
            return -1
        line = data[at + 1 : end]
        at = end + 2
        if kind in LINES or line == b"-1":
            todo -= 1
        elif kind in BLOBS:
            at += number(line, MOST_BYTES, "length") + 2
            todo -= 1
        elif kind in COUNTED:
            count = number(line, MOST_VALUES, "count")
            todo += (2 * count if kind == 37 else count) - 1
        elif kind == 124:
            todo += 2 * number(line, MOST_VALUES, "count")
        else:
            raise ProtocolError(f"not expected in an attribute: {bytes((kind,))!r}")
    return -1


def reply_head(kind: int, line: bytes, push_of: bytes, push: bool) -> ReplyHead:
    """The head that a reply's first line makes; `push_of`: the first word of a push."""
    if push_of:
        return ReplyHead(text(push_of).upper(), push=True)
    if kind == 45 or kind == 33:
        word = text(line[1 : PREFIX_BYTES + 1].split(b" ", 1)[0])
        return ReplyHead(word, push=push, error=word)
    if kind == 43:
        word = text(line[1 : PREFIX_BYTES + 1].split(b" ", 1)[0]).upper()
        return ReplyHead("MONITOR" if push else word, push=push)
    if line == b"$-1" or line == b"*-1":
        return ReplyHead("NIL", push=push)
    if kind not in NAMES:
        raise ProtocolError(f"not a RESP type: {bytes((kind,))!r}")
    return ReplyHead(NAMES[kind], push=push)


def cut(data: bytes, start: int, end: int) -> Buffer:
    """A slice: a copy if it is small, else a view."""
    if end - start < VIEW_BYTES:
        return data[start:end]
    return memoryview(data)[start:end]
