"""Where the events of a node come together and from where its readers get them.

    node ──listen──► Happenings ──flush──► Ring ──► readers that are ready; others catch up
                                             └───► a reader whose events fell out: gap, snapshot

While nobody reads, nothing is listened to and the data path does nothing for events. It goes on
for LINGER seconds after the last reader, so that one that comes back misses nothing. `counters`
are sent to who is there and not kept: the next say the same, better.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.logger import Logger

from rascal.control._happenings import EXCHANGES, Happenings, exchanges
from rascal.control._problems import Problem
from rascal.control._reader import PIECE, Reader
from rascal.control._ring import Ring, Wants, block, piece
from rascal.control._snapshot import Changing, snapshot

log = Logger()

READERS = 64
"""At one time."""
FLUSH = 0.1
"""Seconds between two flushes; the first of a burst is at once."""
LINGER = 30
"""Seconds for which events are kept after the last reader has gone."""
WATCH = 3.0
"""Seconds for which exchanges are watched, renewed each second while a reader wants them."""


class Hub:
    """The events of one node."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.clock = node.clock
        self.ring = Ring(node.boot)
        self.readers: dict[Reader, None] = {}
        self._happenings = Happenings()
        self._changing = Changing()
        self._stop_listening: Any = None
        self._ticker: Any = None
        self._flusher: Any = None
        self._flushed = 0.0
        self._alone = 0
        self._closed = False
        self._watched: dict[str, int] = {}
        self._snapshots: dict[Any, tuple[float, int, bytes]] = {}

    # ---- readers come and go

    def check_room(self) -> None:
        """Raises Problem (503) when there are READERS already."""
        if self._closed:
            raise Problem(503, "stopping", "the service is stopping")
        if len(self.readers) >= READERS:
            raise Problem(
                503,
                "too-many-readers",
                f"no more than {READERS} readers of events at one time",
                headers={"Retry-After": "5"},
            )

    def read(self, request: Any, wants: Wants, after: str) -> None:
        """A new reader; after the event with this id, if it can be resumed."""
        self._listen()
        self.flush()
        number = self.ring.number(after) if after else None
        if number is None and not wants.type("snapshot"):
            number = self.ring.last
        reader = Reader(self, request, wants, number)
        self.readers[reader] = None
        self._alone = 0
        self._watch()
        reader.begin()
        self.catch_up(reader)

    def drop(self, reader: Reader) -> None:
        """It has gone."""
        reader.gone = True
        self.readers.pop(reader, None)

    def close(self) -> None:
        """The node stops: no reader and no timer are left."""
        self._closed = True
        for reader in list(self.readers):
            reader.end()
        self.readers.clear()
        self._cease()

    # ---- listening

    def _listen(self) -> None:
        if self._stop_listening is None:
            self._stop_listening = self.node.listen(self._heard)
            self._changing.look(self.node)
            self._tick_soon()

    def _cease(self) -> None:
        """Nobody reads; what happens now cannot be resumed."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        for timer in (self._ticker, self._flusher):
            if timer is not None:
                timer.cancel()
        self._ticker = self._flusher = None
        self._happenings = Happenings()
        self._watched.clear()
        self._snapshots.clear()
        self.ring.skip()

    def _heard(self, proxy: Any, what: str, about: Any) -> None:
        self._happenings.hear(proxy, what, about)
        if self._flusher is None:
            self._flush_soon()

    def _flush_soon(self) -> None:
        when = max(self.clock.now(), self._flushed + FLUSH)
        self._flusher = self.clock.call_at(when, self._flush_now)

    def _flush_now(self) -> None:
        self._flusher = None
        try:
            self.flush()
        except Exception:
            log.failure("events could not be told")
            self.ring.skip()
        if self._watched:
            self._flush_soon()

    # ---- sending

    def flush(self) -> None:
        """Number what has been gathered and send it to those that are ready."""
        before = self.ring.last
        now = self.clock.now()
        late = min(10.0, max(1.0, (now - self._flushed) / FLUSH))
        self._flushed = now
        if self._happenings.broken:
            self._happenings = Happenings()
            self.ring.skip()
        elif self._happenings:
            for type_, proxy, data in self._happenings.take():
                self.ring.add(type_, proxy, data)
        self._look_at_exchanges(int(EXCHANGES * late))
        if self.ring.last == before:
            return
        new = self.ring.since(before)
        chunks: dict[Wants, bytes] = {}
        for reader in list(self.readers):
            if not reader.ready:
                continue
            if new is None or reader.at != before:
                self.catch_up(reader)
                continue
            chunk = chunks.get(reader.wants)
            if chunk is None:
                chunk = chunks[reader.wants] = reader.wants.join(new)
            reader.at = self.ring.last
            reader.write(chunk)

    def catch_up(self, reader: Reader) -> None:
        """Send what it has missed, as far as it takes it."""
        while reader.ready and not reader.gone:
            missed = None if reader.at is None else self.ring.since(reader.at)
            if missed is None:
                self._begin_anew(reader)
                continue
            if not missed:
                return
            next_ = piece(missed, PIECE)
            reader.at = next_[-1].number
            reader.write(reader.wants.join(next_))

    def _begin_anew(self, reader: Reader) -> None:
        """What it has missed cannot be had: how things are, from there on."""
        id_ = self.ring.id()
        data = b""
        if reader.at is not None:
            data = block("gap", {"after": self.ring.id(reader.at), "to": id_}, id_)
        if reader.wants.type("snapshot"):
            data += self._snapshot(reader.wants, id_)
        reader.at = self.ring.last
        reader.write(data)

    def _snapshot(self, wants: Wants, id_: str) -> bytes:
        """One for all that begin anew at this moment."""
        now = time.monotonic()
        known = self._snapshots.get(wants.proxies)
        if known and known[1] == self.ring.last and now - known[0] < 1.0:
            return known[2]
        data = block("snapshot", snapshot(self.node, wants, id_), id_)
        self._snapshots = {
            key: one for key, one in self._snapshots.items() if now - one[0] < 1.0
        } | {wants.proxies: (now, self.ring.last, data)}
        return data

    # ---- once a second

    def _tick_soon(self) -> None:
        self._ticker = self.clock.call_at(self.clock.now() + 1.0, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        try:
            self._second()
        except Exception:
            log.failure("events could not be told")
        if self._stop_listening is not None:
            self._tick_soon()

    def _second(self) -> None:
        self._alone = 0 if self.readers else self._alone + 1
        if self._alone >= LINGER:
            self._cease()
            return
        self._snapshots.clear()
        self._watch()
        self._send_counters()
        for reader in list(self.readers):
            if not reader.tick():
                reader.end(abort=True)
                self.drop(reader)

    def _send_counters(self) -> None:
        wanting = [one for one in self.readers if one.ready and one.wants.type("counters")]
        if not wanting:
            return
        node, parts = self.node, self._changing.look(self.node)
        known = {"at": round(time.time(), 3), "held": node.budget.held}
        known["lag"] = round(node.lag.latest, 6)
        chunks: dict[Any, bytes] = {}
        for reader in wanting:
            wants = reader.wants
            if wants.proxies not in chunks:
                mine = {name: one for name, one in parts.items() if wants.proxy(name)}
                chunks[wants.proxies] = block("counters", known | {"proxies": mine})
            reader.write(chunks[wants.proxies])

    # ---- exchanges

    def _watch(self) -> None:
        """Let the proxies whose exchanges somebody wants decode all of them."""
        wanting = [one.wants for one in self.readers if one.wants.type("exchanges")]
        watched: dict[str, int] = {}
        if wanting:
            for name, proxy in self.node.proxies.items():
                if any(wants.proxy(name) for wants in wanting):
                    proxy.gate.watch(WATCH)
                    watched[name] = self._watched.get(name, proxy.recent.total)
        self._watched = watched
        if watched and self._flusher is None:
            self._flush_soon()

    def _look_at_exchanges(self, most: int) -> None:
        for name, seen in self._watched.items():
            proxy = self.node.proxies.get(name)
            if proxy is None or proxy.recent.total == seen:
                continue
            made = exchanges(proxy, seen, most)
            self._watched[name] = proxy.recent.total
            if made is not None:
                self.ring.add(*made)
