"""Server-sent events of the panel: one hub a topic, resumed by id, never queued for slow readers.

    hub = Hub(reactor, snapshot=lambda caller: {...})
    hub.publish("second", {...})

It uses the ring and the readers of the nodes' own events (rascal.control), so the promises are the
same: Last-Event-ID resumes, what is gone comes as a fresh snapshot, a full socket holds nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from rascal.control._problems import Problem
from rascal.control._reader import PIECE, Reader
from rascal.control._ring import Ring, Wants, block, piece

READERS = 100
"""Of one hub."""
KINDS = frozenset(
    (
        "snapshot", "gap", "node", "proxy", "faults", "fired", "step", "connection", "exchanges",
        "lever", "counters", "reload", "seed", "run", "agent", "second", "amend", "state", "phase",
        "verdict", "log", "gone", "queue", "audit", "job",
    )
)  # fmt: skip
"""What a hub may tell; panel.md has the shapes."""


class Hub:
    """Events of one topic: the overview's, or one run's.

    Args:
        reactor: for signs of life.
        snapshot: everything that a page needs to begin with, made for who asks.
    """

    def __init__(self, reactor: Any, snapshot: Callable[[Any], Any]) -> None:
        self.ring = Ring(secrets.token_hex(4))
        self.readers: dict[Reader, Any] = {}
        self._lasts: dict[Reader, Callable[[], bool]] = {}
        """Whether it may still read: its log-in may have ended."""
        self.listeners: list[Callable[[str, Any], None]] = []
        """Called with kind and data of every event, for parts of the panel that want to know."""
        self._reactor = reactor
        self._snapshot = snapshot
        self._ticker: Any = None
        self._closed = False

    def publish(self, kind: str, data: Any) -> None:
        """Tell everyone; kept for those who come back."""
        if kind not in KINDS:
            raise ValueError(f"{kind} is no kind of event")
        self.ring.add(kind, None, data)
        for listener in self.listeners:
            listener(kind, data)
        for reader in list(self.readers):
            if reader.ready:
                self.catch_up(reader)

    def read(
        self, request: Any, caller: Any, after: str = "",
        lasts: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """A new reader, for as long as `lasts` says. Raises Problem if there are too many."""
        if self._closed:
            raise Problem(503, "stopping", "the panel is stopping")
        if len(self.readers) >= READERS:
            raise Problem(
                503, "too-many-readers", f"no more than {READERS} pages read this at one time",
                headers={"Retry-After": "5"},
            )  # fmt: skip
        number = self.ring.number(after) if after else None
        reader = Reader(self, request, Wants(KINDS), number)
        self.readers[reader] = caller
        self._lasts[reader] = lasts
        reader.begin()
        self.catch_up(reader)
        self._tick_soon()

    def catch_up(self, reader: Reader) -> None:
        """Send what it has missed, as far as it takes it."""
        while reader.ready and not reader.gone:
            missed = None if reader.at is None else self.ring.since(reader.at)
            if missed is None:
                id_ = self.ring.id()
                data = block("snapshot", self._snapshot(self.readers.get(reader)), id_)
                reader.at = self.ring.last
                reader.write(data)
                continue
            if not missed:
                return
            next_ = piece(missed, PIECE)
            reader.at = next_[-1].number
            reader.write(b"".join(entry.data for entry in next_))

    def drop(self, reader: Reader) -> None:
        """It has gone."""
        reader.gone = True
        self.readers.pop(reader, None)
        self._lasts.pop(reader, None)

    def close(self) -> None:
        """No reader and no timer are left."""
        self._closed = True
        for reader in list(self.readers):
            reader.end()
        self.readers.clear()
        self._lasts.clear()
        if self._ticker is not None and self._ticker.active():
            self._ticker.cancel()

    def _tick_soon(self) -> None:
        if self._ticker is None or not self._ticker.active():
            self._ticker = self._reactor.callLater(1.0, self._tick)

    def _tick(self) -> None:
        for reader in list(self.readers):
            lasts = self._lasts.get(reader)
            if not reader.tick() or (lasts is not None and not lasts()):
                reader.end(abort=True)
                self.drop(reader)
        if self.readers and not self._closed:
            self._tick_soon()
