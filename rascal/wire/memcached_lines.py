"""Command lines: what a line asks, whether it is answered, and what data follows it.

Everything here is as the server reads it, because it alone decides where the next line begins: a
`set` with a key that is too long, or with a number that is none, is refused and what was meant to
be its data is read as commands. So is `noreply`: it counts only in a line with the right number
of words, and then nothing at all is said, not even an error. Tried with memcached 1.6.18; its
doc/protocol.txt warns of malformed lines with noreply without saying more.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Hashable, Sequence

from rascal.wire.memcached_heads import (
    DUMP,
    GET,
    KEYS,
    META,
    NOOP,
    QUIET,
    RETRIEVAL,
    STATS,
    STORAGE,
    WATCH,
    RequestHead,
    text,
)

MOST_BYTES = 2**31 - 3
KEY_BYTES = 250
META_WORDS = 19
OPAQUE_BYTES = 32

_SIGNED = re.compile(rb"[+-]?\d{1,19}")
_UNSIGNED = re.compile(rb"\+?\d{1,20}")

_NOREPLY = {
    "DELETE": (2, 4),
    "INCR": (3, 4),
    "DECR": (3, 4),
    "TOUCH": (3, 4),
    "FLUSH_ALL": (1, 3),
    "VERBOSITY": (2, 3),
    "CACHE_MEMLIMIT": (2, 3),
    "LRU": (2, 24),
    "EXTSTORE": (2, 24),
}
"""Commands that take noreply as their last word, and how many words they may have."""

_META_FLAGS = frozenset(b"bNTRlOPLkstcfvhuqFCMJDIESxi")
_MODES = {
    "MS": tuple(bytes((letter,)) for letter in b"EAPRSeaprs"),
    "MA": tuple(bytes((letter,)) for letter in b"ID+-id"),
}
_NUMBERS = {ord("N"): _SIGNED, ord("T"): _SIGNED, ord("R"): _SIGNED}
_NUMBERS |= {ord(letter): _UNSIGNED for letter in "FCJD"}


def split(line: bytes) -> list[bytes]:
    """The words of a line: blanks divide, nothing else does; what is behind a zero is not seen."""
    if line[-1:] == b"\r":
        line = line[:-1]
    if b"\0" in line:
        line = line[: line.index(b"\0")]
    words = line.split(b" ")
    return [word for word in words if word] if b"" in words else words


def read(words: Sequence[bytes]) -> tuple[RequestHead, int]:
    """The head of a command, and how many bytes of data follow its line."""
    name = words[0] if words else b""
    command = text(name).upper()
    head = RequestHead(command, words=words)
    if len(name) < 2 or not name.islower():  # the server knows lower case only
        head.wrong = True
    elif command in RETRIEVAL:
        head.wrong = len(words) < 2
        head.framing = None if head.wrong else GET
    elif command in STORAGE:
        return head, _storage(head, words)
    elif name[:1] == b"m" and len(name) == 2:
        return head, _meta(head, words)
    elif command in _NOREPLY:
        least, most = _NOREPLY[command]
        head.wrong = not least <= len(words) <= most
        if not head.wrong and words[-1] == b"noreply" and len(words) > (command == "DELETE") + 1:
            head.noreply = True
            head.replies = False
    elif command == "QUIT":
        head.replies = False
    else:
        head.framing = _framing(command, words)
        if command == "SLABS" and len(words) > 2 and words[1] == b"automove":
            head.noreply = words[-1] == b"noreply"
            head.replies = not head.noreply
    return head, 0


def _framing(command: str, words: Sequence[bytes]) -> Hashable:
    if command == "STATS":
        return STATS
    if command == "LRU_CRAWLER" and len(words) == 3:
        return {b"metadump": DUMP, b"mgdump": KEYS}.get(words[1])
    return WATCH if command == "WATCH" else None


def _storage(head: RequestHead, words: Sequence[bytes]) -> int:
    least = 6 if head.command == "CAS" else 5
    if not least <= len(words) <= least + 1:
        head.wrong = True
        return 0
    if words[-1] == b"noreply":
        head.noreply = True
        head.replies = False
    size = _size(words[4])
    head.wrong = (
        size < 0
        or len(words[1]) > KEY_BYTES
        or not _UNSIGNED.fullmatch(words[2])
        or not _signed(words[3])
        or (head.command == "CAS" and not _UNSIGNED.fullmatch(words[5]))
    )
    if head.wrong:
        return 0
    head.size = size
    return size + 2


def _size(word: bytes) -> int:
    """A length, -1 if it is none."""
    if not _SIGNED.fullmatch(word):
        return -1
    size = int(word)
    return size if 0 <= size <= MOST_BYTES else -1


def _signed(word: bytes) -> bool:
    return _SIGNED.fullmatch(word) is not None and -(2**31) <= int(word) < 2**31


def _meta(head: RequestHead, words: Sequence[bytes]) -> int:
    command, count = head.command, len(words)
    if command == "MN":
        head.framing = NOOP
        return 0
    if command not in QUIET:
        head.framing = META if command == "ME" else None
        head.wrong = command != "ME" or count < 2
        return 0
    if count < 2:
        head.wrong = True
        return 0
    head.framing = META
    size = 0
    if command == "MS":
        size = _size(words[2]) if count > 2 else -1
        if size < 0 or len(words[1]) > KEY_BYTES or count > META_WORDS:
            head.wrong = True
            return 0
        head.size = size
        size += 2
    if any(word[0] == ord("q") for word in head.flags()):
        head.framing = QUIET[command]
        head.quiet = head.noreply = True
    head.wrong = count > META_WORDS or _refused(head)
    return size


def _refused(head: RequestHead) -> bool:
    """Whether the flags, or the key that they say is base64, look wrong."""
    key, flags = head.words[1], head.flags()
    letters = [word[0] for word in flags]
    if len(key) > KEY_BYTES or len(set(letters)) < len(letters):
        return True
    for word in flags:
        letter, rest = word[0], word[1:]
        if letter not in _META_FLAGS:
            return True
        if letter in _NUMBERS and not _NUMBERS[letter].fullmatch(rest):
            return True
        if letter == ord("M") and (len(rest) != 1 or rest not in _MODES.get(head.command, (rest,))):
            return True
        if letter == ord("O") and len(word) > OPAQUE_BYTES:
            return True
        if letter == ord("b") and not _base64(key):
            return True
    return False


def _base64(key: bytes) -> bool:
    try:
        return bool(a2b_base64(key, strict_mode=True))
    except Base64Error:
        return False
