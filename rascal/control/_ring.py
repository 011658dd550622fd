"""The latest events, bounded, so that a reader that was away gets what it has missed.

    id: EPOCH-NUMBER        numbers go up by one; another epoch is another process

What fell out, or was never kept because nobody listened, cannot be had any more: `since` says so,
and the reader gets a fresh snapshot instead.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import attrs

from rascal.control._json import dumps

COUNT = 4096
"""Events that are kept."""
SIZE = 2 * 1024 * 1024
"""Bytes that they may have together."""

_ID = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,18})")


class Entry(NamedTuple):
    """One event, ready to be sent."""

    number: int
    type: str
    proxy: str | None
    data: bytes


@attrs.frozen
class Wants:
    """What a reader asks for; proxies None: all of them."""

    types: frozenset[str]
    proxies: frozenset[str] | None = None

    def type(self, name: str) -> bool:
        """Whether it wants events of this type."""
        return name in self.types

    def proxy(self, name: str | None) -> bool:
        """Whether it wants to hear of this proxy; the node's own events are for everyone."""
        return self.proxies is None or name is None or name in self.proxies

    def join(self, entries: Iterable[Entry]) -> bytes:
        """The bytes of those that it wants."""
        return b"".join(
            one.data for one in entries if self.type(one.type) and self.proxy(one.proxy)
        )


class Ring:
    """The latest events of one process."""

    def __init__(self, epoch: str, count: int = COUNT, size: int = SIZE) -> None:
        self.epoch = epoch
        self.last = 0
        self._count = count
        self._size = size
        self._held = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def id(self, number: int | None = None) -> str:
        """The id of an event; of the last one."""
        return f"{self.epoch}-{self.last if number is None else number}"

    def number(self, id_: str) -> int | None:
        """The number of an event of this process; None: it is not one."""
        found = _ID.fullmatch(id_)
        if not found or found[1] != self.epoch or int(found[2]) > self.last:
            return None
        return int(found[2])

    def add(self, type_: str, proxy: str | None, data: Any) -> Entry:
        """Number an event and keep it."""
        self.last += 1
        entry = Entry(self.last, type_, proxy, block(type_, data, self.id()))
        self._entries.append(entry)
        self._held += len(entry.data)
        while len(self._entries) > self._count or self._held > self._size:
            self._held -= len(self._entries.popleft().data)
        return entry

    def since(self, number: int) -> list[Entry] | None:
        """Those after this one; None: some of them cannot be had any more."""
        if number >= self.last:
            return []
        if not self._entries or number < self._entries[0].number - 1:
            return None
        found = []
        for entry in reversed(self._entries):
            if entry.number <= number:
                break
            found.append(entry)
        found.reverse()
        return found

    def skip(self) -> None:
        """Forget all of them: something happens that is not kept."""
        self.last += 1
        self._entries.clear()
        self._held = 0


def piece(entries: Sequence[Entry], most: int) -> Sequence[Entry]:
    """The first of them, at least one, that reach `most` bytes together."""
    size = 0
    for count, entry in enumerate(entries, 1):
        size += len(entry.data)
        if size >= most:
            return entries[:count]
    return entries


def block(type_: str, data: Any, id_: str = "") -> bytes:
    """An event as it is sent; without an id it does not count for those who resume."""
    head = f"id: {id_}\nevent: {type_}\ndata: " if id_ else f"event: {type_}\ndata: "
    return head.encode("ascii") + dumps(data) + b"\n"
