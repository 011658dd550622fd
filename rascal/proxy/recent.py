"""The latest exchanges of one proxy, bounded, for listings: what was asked, what struck it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rascal.proxy.tally import Tally

SMALL = 1024
"""Bytes of a request's head up to which it is kept as it is, and described only when listed."""
TEXT = 200
"""Characters that are kept of a request's description."""


@dataclass(slots=True)
class Record:
    """One exchange that is over.

    Attributes:
        number: counts all records of the proxy; ids of listings.
        connection, n: which connection, and its how manieth request.
        client: the client's address.
        command: the protocol's word for it.
        fields: what the protocol says of it, as match fields.
        at: when it began, seconds since the epoch.
        seconds: how long it took.
        outcome: ok, answered, replaced, reply lost, lost, ended, gone …
        faults: names of the faults that struck it.
        size: bytes of the reply that the client got.
    """

    number: int
    connection: int
    n: int
    client: str
    command: str
    at: float
    seconds: float
    outcome: str
    faults: tuple[str, ...]
    size: int
    fields: dict[str, Any] = field(default_factory=dict)


class Recent:
    """A ring of records; what is too old falls out. `tally` counts all of them."""

    def __init__(self, bound: int, now: Callable[[], float], tally: Tally | None = None) -> None:
        self.total = 0
        self.tally = tally
        self._ring: deque[Record | tuple[Any, ...]] = deque(maxlen=bound)
        self._epoch = time.time() - now()
        self._watchers: list[Callable[[Record], None]] = []

    @property
    def bound(self) -> int:
        """How many are kept."""
        return self._ring.maxlen or 0

    def resize(self, bound: int) -> None:
        """Keep so many from now on."""
        self._ring = deque(self._ring, maxlen=bound)

    def finished(self, exchange: Any) -> None:
        """An exchange is over (called by the data path)."""
        self.total += 1
        if self.tally is not None:
            self.tally.finished(exchange)
        kept = (
            self.total,
            exchange.connection.number,
            exchange.connection.client_address,
            exchange.protocol,
            exchange.n,
            exchange.head,
            exchange.reply_head,
            exchange.began,
            exchange.ended,
            exchange.outcome,
            tuple(exchange.struck),
            exchange.reply_size,
        )
        if not self._watchers and exchange.size <= SMALL:
            self._ring.append(kept)
            return
        record = self._record(*kept)
        self._ring.append(record)
        for watcher in self._watchers:
            watcher(record)

    def _record(
        self,
        number: int,
        connection: int,
        client: str,
        protocol: Any,
        n: int,
        head: Any,
        reply_head: Any,
        began: float,
        ended: float | None,
        outcome: str,
        struck: tuple[str, ...],
        size: int,
    ) -> Record:
        fields = {}
        for one in protocol.fields:
            if one.name in ("client", "n", "command"):
                continue
            value = head.value(one.name)
            if value is None and reply_head is not None:
                value = reply_head.value(one.name)
            if value is not None and value != () and value != "":
                fields[one.name] = _short(value)
        return Record(
            number=number,
            connection=connection,
            n=n,
            client=client,
            command=_short(head.command),
            at=self._epoch + began,
            seconds=(began if ended is None else ended) - began,
            outcome=outcome,
            faults=struck,
            size=size,
            fields=fields,
        )

    def watch(self, watcher: Callable[[Record], None]) -> Callable[[], None]:
        """Call for each new record; returns what stops it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    @property
    def watched(self) -> bool:
        """Whether somebody looks on."""
        return bool(self._watchers)

    def __iter__(self) -> Iterator[Record]:
        """Newest first."""
        for one in reversed(self._ring):
            yield one if isinstance(one, Record) else self._record(*one)

    def __len__(self) -> int:
        return len(self._ring)


def _short(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value[:TEXT]).decode("utf-8", "backslashreplace")
    if isinstance(value, str) and len(value) > TEXT:
        return value[: TEXT - 1] + "…"
    if isinstance(value, list | tuple | frozenset | set):
        return [_short(one) for one in list(value)[:20]]
    return value
