r"""What both directions of a memcached connection know, and the heads of its messages.

Quiet requests (`mg k q`, `ms k 2 q` …) are answered only if there is something to say: a miss of
`mg`, the success of `ms`, `md` and `ma` are left out. Whether they have been answered shows when a
later reply comes. So they stand in the books like any request, with a framing of their own, and a
reply that was left out is a message of no bytes, SILENT, which the reply codec hands out before
the reply that betrays it:

    mg a v q k     mg b v q k     mn          requests
    VA 1 kb        MN                         what the server says
    SILENT         VA 1 kb        MN          replies as the codec tells them

`MemcachedSession.quiet` remembers of each quiet request in the books what would be echoed (opaque
and key), so that a reply finds its request. It is bounded; beyond its bound, and for requests
that want no echo, the first quiet request that may be answered so is taken.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from rascal.wire.types import Head, Session

GET, STATS, DUMP, KEYS, WATCH = "get", "stats", "dump", "keys", "watch"
"""Framings of requests: items up to END; lines up to END; metadump; mgdump, up to EN; watch.
None is that of all others: one line."""
META, NOOP = "meta", "noop"
QUIET = {"MG": "quiet mg", "MS": "quiet ms", "MD": "quiet md", "MA": "quiet ma"}

QUIET_KEPT = 2048
"""Of so many quiet requests (or runs of equal ones) it is remembered what they would echo."""

SILENT = "SILENT"
"""The status of a reply that a quiet request did not get."""

_ECHO = 1 << 32
_LARGE = 1 << 33
_WRONG = 1 << 34
_VALUE = 1 << 35
_UNKNOWN = -1
_NEWER = frozenset(b"ESix")
"""Flags that servers before 1.6.20 refuse."""
LARGE_BYTES = 1000
"""No value below it is ever too large: the least that -I takes is 1 KiB."""

STORAGE = frozenset(("SET", "ADD", "REPLACE", "APPEND", "PREPEND", "CAS"))
RETRIEVAL = frozenset(("GET", "GETS", "BGET", "GAT", "GATS"))
KEYED = frozenset(("DELETE", "INCR", "DECR", "TOUCH", "MG", "MS", "MD", "MA", "ME")) | STORAGE


def text(word: bytes) -> str:
    """As people write it; bytes that are not UTF-8 survive as surrogates."""
    return word.decode("utf-8", "surrogateescape")


@dataclass(slots=True)
class RequestHead(Head):
    """A command line.

    Attributes:
        words: its words; of a line longer than HEAD_BYTES those within the bound.
        whole: they are all of them.
        size: the announced length of its data block, None: it has none.
        noreply: it ends in `noreply` or has the flag q.
        quiet: it has the flag q: it is answered only if there is something to say.
        wrong: the server will probably refuse the line.
        sent: the server will see it.
    """

    words: Sequence[bytes] = ()
    whole: bool = True
    size: int | None = None
    noreply: bool = False
    quiet: bool = False
    wrong: bool = False
    sent: bool = False

    def named(self) -> Sequence[bytes]:
        """The keys that it names."""
        if self.command in RETRIEVAL:
            return self.words[1:] if self.command[:3] != "GAT" else self.words[2:]
        return self.words[1:2] if self.command in KEYED else ()

    def value(self, name: str) -> Any:
        if name == "command":
            return self.command or None
        if name == "key":
            found = [text(key) for key in self.named()]
            return None if not found else found[0] if len(found) == 1 else tuple(found)
        if name == "keys":
            return len(self.named()) or None
        if name == "size":
            return self.size
        if name == "noreply":
            return self.noreply
        return None

    def flags(self) -> Sequence[bytes]:
        """The flags of a meta command."""
        return self.words[3:] if self.command == "MS" else self.words[2:]

    def flag(self, letter: bytes) -> bytes | None:
        """The first flag of this letter, None: it has none."""
        return next((word for word in self.flags() if word[:1] == letter), None)

    def identity(self) -> Hashable | None:
        if not self.whole or self.wrong:
            return None
        if self.command in RETRIEVAL:
            return (self.command, *self.words[1:])
        if self.command != "MG" or any(self.flag(letter) for letter in (b"N", b"T", b"R")):
            return None
        flags = [b"O" if word[:1] == b"O" else word for word in self.flags() if word[:1] != b"q"]
        return ("MG", self.words[1], *flags)


@dataclass(slots=True)
class ReplyHead(Head):
    """A reply. `command` is its status: VALUE, END, STORED, HD, EN, NUMBER, SILENT …"""

    def value(self, name: str) -> Any:
        if name == "reply":
            return self.command
        if name == "hit":
            return _HITS.get(self.command)
        return None


_HITS = {"VALUE": True, "VA": True, "END": False, "EN": False, "HD": True, "ME": True}
_HITS |= {"NOT_FOUND": False, "NF": False}


def echo(opaque: bytes | None, key: bytes | None) -> int:
    """What a reply echoes of its request, as a number; 0: nothing."""
    if opaque is None and key is None:
        return 0
    return crc32((opaque or b"") + b" " + (key or b"")) | _ECHO


def plain(key: bytes | None, binary: bool) -> bytes | None:
    """A key as it is stored. Whether it comes back in base64 is up to who stored it."""
    if key is None or not binary:
        return key
    try:
        return a2b_base64(key)
    except Base64Error:
        return key


def mark_of(head: RequestHead) -> int:
    """What is remembered of a quiet request."""
    key = head.words[1] if head.flag(b"k") is not None else None
    mark = echo(head.flag(b"O"), plain(key, head.flag(b"b") is not None))
    if (head.size or 0) >= LARGE_BYTES:
        mark |= _LARGE
    if head.command != "MS" and head.flag(b"v") is not None:
        mark |= _VALUE
    doubtful = head.wrong or any(word[0] in _NEWER for word in head.flags())
    return mark | _WRONG if doubtful else mark


_SHOWN = {
    QUIET["MG"]: frozenset((b"VA", b"HD")),
    QUIET["MS"]: frozenset((b"NS", b"EX", b"NF")),
    QUIET["MD"]: frozenset((b"NF", b"EX")),
    QUIET["MA"]: frozenset((b"NF", b"EX", b"NS")),
}
"""What is not left out of the replies to quiet requests. Servers from 1.6.19 on leave out NF of
md and ma as well."""
_META_STATUSES = frozenset((b"VA", b"HD", b"EN", b"NF", b"NS", b"EX"))


def answers(framing: Hashable, mark: int, status: bytes, line: bytes) -> bool:
    """Whether this line may be the reply to a quiet request of that framing and mark.

    Errors are said to quiet requests too. Most of them are about the line itself, which is known
    beforehand (`wrong`), or about storing; what remains is taken for the first.
    """
    known = mark != _UNKNOWN
    if status in _META_STATUSES:
        wanted = mark & (2 * _ECHO - 1)
        if known and wanted != _echoed(status, line):
            return False
        if known and status in (b"VA", b"HD") and (status == b"VA") != bool(mark & _VALUE):
            return False
        return bool(known and wanted) or status in _SHOWN[framing]  # type: ignore[index]
    if status == b"SERVER_ERROR":
        if b"too large" in line:
            return framing == QUIET["MS"] and (not known or bool(mark & _LARGE))
        return b"storing" not in line or framing == QUIET["MS"]
    if status == b"CLIENT_ERROR":
        if b"non-numeric" in line:
            return framing == QUIET["MA"]
        if b"bad data chunk" in line:
            return framing == QUIET["MS"]
        return not known or bool(mark & _WRONG)
    return False


def proves(mark: int) -> bool:
    """Whether a reply that fits this mark must be that request's: it echoes something."""
    return mark != _UNKNOWN and bool(mark & _ECHO)


def _echoed(status: bytes, line: bytes) -> int:
    opaque = key = None
    words = line.split(b" ")[2 if status == b"VA" else 1 :]
    for word in words:
        if word[:1] == b"O":
            opaque = word
        elif word[:1] == b"k":
            key = word[1:]
    return echo(opaque, plain(key, b"b" in words))


@dataclass(slots=True)
class MemcachedSession(Session):
    """Facts of one connection.

    Attributes:
        auth: the server asks for a password: the first `set` is a log-in.
        watching: `watch` was granted: the connection carries logs from now on.
        quiet: marks of the quiet requests in the books, with their counts.
        guesses: replies that were taken for those of quiet requests without proof.
    """

    auth: bool = False
    watching: bool = False
    quiet: deque[list[int]] = field(default_factory=deque)
    guesses: int = 0

    def forwarded(self, head: RequestHead) -> None:
        """The server will see this request."""
        head.sent = True
        if not head.quiet:
            return
        mark = mark_of(head) if len(self.quiet) < QUIET_KEPT else _UNKNOWN
        if self.quiet and self.quiet[-1][0] == mark:
            self.quiet[-1][1] += 1
        else:
            self.quiet.append([mark, 1])

    def next_mark(self) -> int:
        """The mark of the oldest quiet request in the books."""
        return self.quiet[0][0] if self.quiet else _UNKNOWN

    def settled(self) -> None:
        """The oldest quiet request has been answered, or it is known that it will not be."""
        if self.quiet:
            self.quiet[0][1] -= 1
            if not self.quiet[0][1]:
                self.quiet.popleft()
