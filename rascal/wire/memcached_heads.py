"""The heads of memcached messages: what matches see, and how replies are framed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from rascal.wire.types import Head

GET, STATS, DUMP, KEYS, WATCH = "get", "stats", "dump", "keys", "watch"
"""Framings of requests: items up to END; lines up to END; metadump; mgdump, up to EN; watch.
None is that of all others: one line."""
META, NOOP = "meta", "noop"
QUIET = {"MG": "quiet mg", "MS": "quiet ms", "MD": "quiet md", "MA": "quiet ma"}

SILENT = "SILENT"
"""The status of a reply that a quiet request did not get."""

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
