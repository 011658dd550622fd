"""A tiny memcached for machines that have none: the text protocol, in memory, no eviction.

    python -m rascal.demo.memcached PORT

It speaks what stock clients use: get gets gat gats set add replace append prepend cas delete
incr decr touch flush_all version verbosity stats quit, with noreply. Replies are those of
doc/protocol.txt of memcached 1.6. Not a cache for anything but demonstrations.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

STORES = (b"set", b"add", b"replace", b"append", b"prepend", b"cas")
ITEM_BYTES = 1024 * 1024
MONTH = 30 * 24 * 3600
"""Up to here an expiry is relative, beyond it is a point in time."""

_ERROR = b"ERROR"
_FORMAT = b"CLIENT_ERROR bad command line format"


@attrs.define
class Item:
    """A value, with the number that `cas` compares."""

    flags: bytes
    data: bytes
    unique: int
    expires: float | None = None


class Store:
    """All items of a server."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.items: dict[bytes, Item] = {}
        self.clock = clock
        self._unique = 0

    def get(self, key: bytes) -> Item | None:
        """The item, unless it expired."""
        item = self.items.get(key)
        if item is not None and item.expires is not None and item.expires <= self.clock():
            del self.items[key]
            return None
        return item

    def put(self, key: bytes, flags: bytes, data: bytes, expires: float | None) -> None:
        """Store with a new unique number."""
        self._unique += 1
        self.items[key] = Item(flags, data, self._unique, expires)

    def until(self, exptime: bytes) -> float | None:
        """What an exptime means. Raises ValueError."""
        seconds = int(exptime)
        if not seconds:
            return None
        return float(seconds) if seconds > MONTH else self.clock() + seconds

    def store(self, words: list[bytes], data: bytes) -> bytes:
        """One of STORES. Raises ValueError for a bad exptime or unique."""
        verb, key, flags, exptime = words[0], words[1], words[2], words[3]
        old = self.get(key)
        if verb == b"cas" and old is None:
            return b"NOT_FOUND"
        if verb == b"cas" and old is not None and old.unique != int(words[5]):
            return b"EXISTS"
        if old is None and verb in (b"replace", b"append", b"prepend"):
            return b"NOT_STORED"
        if old is not None and verb == b"add":
            return b"NOT_STORED"
        if old is not None and verb in (b"append", b"prepend"):
            both = old.data + data if verb == b"append" else data + old.data
            self.put(key, old.flags, both, old.expires)
        else:
            self.put(key, flags, data, self.until(exptime))
        return b"STORED"

    def count(self, key: bytes, by: int) -> bytes:
        """Incr (positive) or decr (negative). Raises ValueError if the value is no number."""
        item = self.get(key)
        if item is None:
            return b"NOT_FOUND"
        number = max(0, int(item.data) + by) % 2**64
        self.put(key, item.flags, b"%d" % number, item.expires)
        return b"%d" % number


class Memcached(LineReceiver):
    """One client."""

    transport: ITCPTransport
    delimiter = b"\r\n"
    MAX_LENGTH = 8192

    def __init__(self, store: Store) -> None:
        self.store = store
        self._words: list[bytes] = []
        self._need = 0
        self._data: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        """A command line."""
        words = line.split()
        if not words:
            self.sendLine(_ERROR)
        elif words[0] in STORES:
            self._begin(words)
        else:
            self._command(words)

    def rawDataReceived(self, data: bytes) -> None:
        """The data block of a storage command, with its line end."""
        self._data.append(data[: self._need])
        rest = data[self._need :]
        self._need -= len(self._data[-1])
        if self._need:
            return
        block, words = b"".join(self._data), self._words
        self._data = []
        if not block.endswith(b"\r\n"):
            self._reply(words, b"CLIENT_ERROR bad data chunk")
        elif len(block) - 2 > ITEM_BYTES:
            self._reply(words, b"SERVER_ERROR object too large for cache")
        else:
            self._try(words, lambda: self.store.store(words, block[:-2]))
        self.setLineMode(rest)

    def _begin(self, words: list[bytes]) -> None:
        enough = 6 if words[0] == b"cas" else 5
        if len(words) < enough or not words[4].isdigit():
            self.sendLine(_ERROR if len(words) < enough else _FORMAT)
            return
        self._words, self._need = words, int(words[4]) + 2
        self.setRawMode()

    def _command(self, words: list[bytes]) -> None:
        verb, rest = words[0], words[1:]
        if verb in (b"get", b"gets") and rest:
            self._values(rest, unique=verb == b"gets")
        elif verb in (b"gat", b"gats") and len(rest) > 1:
            for key in rest[1:]:
                self._touch(key, rest[0])
            self._values(rest[1:], unique=verb == b"gats")
        elif verb in (b"incr", b"decr") and len(rest) > 1:
            sign = 1 if verb == b"incr" else -1
            self._try(words, lambda: self.store.count(rest[0], sign * int(rest[1])))
        elif verb == b"delete" and rest:
            gone = self.store.get(rest[0]) and self.store.items.pop(rest[0])
            self._reply(words, b"DELETED" if gone else b"NOT_FOUND")
        elif verb == b"touch" and len(rest) > 1:
            self._reply(words, b"TOUCHED" if self._touch(rest[0], rest[1]) else b"NOT_FOUND")
        elif verb == b"flush_all":
            self.store.items.clear()
            self._reply(words, b"OK")
        elif verb == b"stats":
            self.sendLine(b"STAT curr_items %d" % len(self.store.items))
            self.sendLine(b"END")
        elif verb == b"version":
            self.sendLine(b"VERSION 1.6.0-rascal-demo")
        elif verb == b"verbosity":
            self._reply(words, b"OK")
        elif verb == b"quit":
            self.transport.loseConnection()
        else:
            self.sendLine(_ERROR)

    def _values(self, keys: list[bytes], *, unique: bool) -> None:
        parts = []
        for key in keys:
            item = self.store.get(key)
            if item is not None:
                extra = b" %d" % item.unique if unique else b""
                head = b"VALUE %b %b %d%b\r\n" % (key, item.flags, len(item.data), extra)
                parts.append(head + item.data + b"\r\n")
        self.transport.write(b"".join(parts) + b"END\r\n")

    def _touch(self, key: bytes, exptime: bytes) -> bool:
        item = self.store.get(key)
        if item is not None and exptime.lstrip(b"-").isdigit():
            item.expires = self.store.until(exptime)
        return item is not None

    def _try(self, words: list[bytes], call: Callable[[], bytes]) -> None:
        try:
            reply = call()
        except ValueError:
            number = words[0] in (b"incr", b"decr")
            reply = (
                b"CLIENT_ERROR cannot increment or decrement non-numeric value"
                if number
                else _FORMAT
            )
        self._reply(words, reply)

    def _reply(self, words: list[bytes], reply: bytes) -> None:
        if words[-1] != b"noreply":
            self.sendLine(reply)


class Factory(ServerFactory):
    """Clients of one store."""

    def __init__(self) -> None:
        self.store = Store()

    def buildProtocol(self, addr: object) -> Memcached:
        """A client came."""
        return Memcached(self.store)


def main() -> None:
    """Serve on 127.0.0.1 until killed."""
    from twisted.internet import reactor

    reactor.listenTCP(int(sys.argv[1]), Factory(), interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
