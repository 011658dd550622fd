"""Exchanges and the books of a connection: which request a reply belongs to.

Two queues, not one. `forwarded`: what the upstream still has to answer, appended when a request
leaves for it, popped when the codec has PARSED the end of the reply. `owed`: what the client still
has to get, appended when a request leaves the queue (forwarded or answered by the proxy), popped
when the end of its reply has LEFT. Swallowed exchanges are in the first only, answered ones in
the second only, those without a reply in neither.

While nobody watches there are no exchanges, only runs: a framing and a count. A client may
pipeline a million commands before it reads, and each must not cost an object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from rascal.wire.types import Head

if TYPE_CHECKING:
    from rascal.faults.fault import Fault, Strike
    from rascal.faults.types import Act
    from rascal.proxy.connection import Connection
    from rascal.wire.types import Moment, WireProtocol


EXCHANGE_COST = 1500
"""Bytes of memory that an exchange costs beside the bytes of its head."""


class Exchange:
    """A request with its reply, as long as somebody watches or a fault may strike it."""

    __slots__ = (
        "began",
        "body",
        "captured",
        "close_after",
        "collected",
        "connection",
        "cost",
        "cut",
        "ended",
        "finished",
        "forwarded",
        "framing",
        "head",
        "injected",
        "late",
        "limit",
        "mark",
        "n",
        "outcome",
        "parts",
        "reply_head",
        "reply_size",
        "size",
        "strikes",
        "struck",
        "swallow",
        "trackers",
    )

    def __init__(self, connection: Connection, n: int, head: Head, began: float) -> None:
        self.connection = connection
        self.n = n
        self.head = head
        self.framing: Hashable = head.framing
        self.began = began
        self.ended: float | None = None
        self.strikes: list[Strike] = []
        self.struck: list[str] = []
        self.trackers: list[tuple[Fault, Strike | None]] = []
        self.injected: bytes | None = None
        self.close_after = False
        self.late: tuple[Strike, Any] | None = None
        self.swallow = False
        self.forwarded = False
        self.finished = False
        self.cut = False
        self.parts = 0
        self.mark = 0
        self.reply_head: Head | None = None
        self.reply_size = 0
        self.size = 0
        self.cost = 0
        self.body: bytearray | None = None
        self.collected: bytearray | None = None
        self.captured: bytearray | None = None
        self.limit = 0
        self.outcome = ""

    @property
    def protocol(self) -> WireProtocol:
        return self.connection.protocol

    @property
    def session(self) -> Any:
        return self.connection.session

    def value(self, name: str) -> Any:
        """A match field: of the connection, the exchange, the request, else the reply."""
        if name == "n":
            return self.n
        if name == "client":
            return self.connection.client_address
        found = self.head.value(name)
        if found is None and self.reply_head is not None:
            return self.reply_head.value(name)
        return found

    def chosen(self, moment: Moment, *kinds: type[Act]) -> tuple[Strike, Any] | None:
        """The strike that waits for this moment with an act of one of these sorts."""
        for strike in self.strikes:
            if strike.state == "chosen":
                act = strike.acts[0]
                if isinstance(act, kinds) and getattr(act, "moment", "during") == moment:
                    return strike, act
        return None

    def capture(self, data: Any) -> None:
        """Keep a reply for those who track it, up to its limit."""
        if self.captured is None:
            return
        if len(self.captured) + len(data) > self.limit:
            self.captured = None
        else:
            self.captured += data

    def finish(self, outcome: str = "ok") -> None:
        """It is over: strikes that never came to it are void, trackers hear of it."""
        if self.finished:
            return
        self.finished = True
        if self.cost:
            self.connection.charge(-self.cost)
        self.outcome = self.outcome or outcome
        connection = self.connection
        self.ended = connection.clock.now()
        strikes = self.strikes
        while strikes:
            strikes.pop().done()
        if self.trackers:
            # what the upstream said, whole, though the client may have got another
            whole = outcome == "ok" and self.outcome in ("ok", "replaced")
            reply = bytes(self.captured) if whole and self.captured is not None else None
            trackers, self.trackers = self.trackers, []
            for fault, strike in trackers:
                connection.gate.tell_finished(fault, strike, self, reply)
        if self.n > 0 or self.struck:
            connection.gate.observer.finished(self)


class Run:
    """`count` requests in a row of one framing that nobody watched."""

    __slots__ = ("count", "framing")

    def __init__(self, framing: Hashable, count: int) -> None:
        self.framing = framing
        self.count = count


UNUSED: deque[Any] = deque(maxlen=0)
"""The queue of a connection that has not needed one: an empty deque takes 760 bytes."""


class Books:
    """The ledger of one connection (rascal.wire.types.Ledger)."""

    __slots__ = ("connection", "count", "forwarded", "owed", "watched")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.count = 0
        self.forwarded: deque[Exchange | Run] = UNUSED
        self.owed: deque[Exchange | Run] = UNUSED
        self.watched = False

    # -- what codecs ask --
    def framing(self) -> Hashable:
        if not self.forwarded:
            raise LookupError("nothing is outstanding")
        return self.forwarded[0].framing

    def turn(self, framing: Hashable) -> bool:
        """Answer the oldest request of this framing next: it goes before those that are
        outstanding, and behind those whose replies have been parsed or made already."""
        for queue in (self.forwarded, self.owed) if self.watched else (self.forwarded,):
            place = next((n for n, one in enumerate(queue) if one.framing == framing), None)
            if queue is self.forwarded and place is None:
                return False
            if not place:
                continue
            entry = queue[place]
            if type(entry) is Run and entry.count > 1:
                entry.count -= 1
                entry = Run(framing, 1)
            else:
                del queue[place]
            queue.insert(0 if queue is self.forwarded else self._answered(place), entry)
        return True

    def _answered(self, most: int) -> int:
        """How many of the first that are owed have their reply already."""
        waiting = {id(entry) for entry in self.forwarded}
        framings = {entry.framing for entry in self.forwarded if type(entry) is Run}
        for n, entry in enumerate(self.owed):
            if n == most or id(entry) in waiting:
                return n
            if type(entry) is Run and entry.framing in framings:
                return n
        return most

    def request(self, head: Head) -> None:
        if head.asked:
            self.count += 1
        if head.replies:
            if self.forwarded is UNUSED:
                self.forwarded = deque()
            _append(self.forwarded, head.framing)
            if self.watched:
                if self.owed is UNUSED:
                    self.owed = deque()
                _append(self.owed, head.framing)

    def expects(self, entry: Exchange) -> None:
        """The upstream will answer this."""
        if self.forwarded is UNUSED:
            self.forwarded = deque()
        self.forwarded.append(entry)

    def owes(self, entry: Exchange) -> None:
        """The client is to get a reply to this."""
        if self.owed is UNUSED:
            self.owed = deque()
        self.owed.append(entry)

    def replied(self) -> None:
        if self.watched:
            _pop(self.owed)
        first = self.forwarded[0]
        if type(first) is Run:
            first.count -= 1
            if not first.count:
                self.forwarded.popleft()
        else:
            self.forwarded.popleft()
            assert isinstance(first, Exchange)
            first.finish()

    # -- what the data path does --
    def watch(self) -> None:
        """From runs to exchanges: what is forwarded is what is owed (the books were clean)."""
        self.watched = True
        self.owed = deque(
            Run(entry.framing, entry.count) if isinstance(entry, Run) else entry
            for entry in self.forwarded
        )

    def unwatch(self) -> None:
        """From exchanges to runs; only while the books are clean."""
        self.watched = False
        for entry in self.owed:  # answered, and the client can get nothing any more
            if isinstance(entry, Exchange) and not entry.forwarded:
                entry.finish("gone")
        self.owed = UNUSED

    def plain(self) -> bool:
        """Nothing but runs is outstanding (or so much else that a look is not worth it)."""
        forwarded, owed = self.forwarded, self.owed
        if len(forwarded) > 4 or len(owed) != len(forwarded):
            return False
        return all(type(a) is Run and type(b) is Run for a, b in zip(forwarded, owed, strict=True))

    def run(self, framing: Hashable) -> None:
        """A request that nobody wants to see has been forwarded."""
        if self.forwarded is UNUSED:
            self.forwarded = deque()
        if self.owed is UNUSED:
            self.owed = deque()
        _append(self.forwarded, framing)
        _append(self.owed, framing)

    def answering(self) -> Exchange | None:
        """The exchange whose reply comes next from the upstream; PLAIN: one that nobody wants to
        see; None: nothing is outstanding."""
        if not self.forwarded:
            return None
        first = self.forwarded[0]
        return first if isinstance(first, Exchange) else PLAIN

    def parsed(self) -> None:
        """The end of a reply has been parsed."""
        _pop(self.forwarded)

    def delivered_run(self) -> None:
        """The end of a reply that nobody watches has left."""
        if self.owed and type(self.owed[0]) is Run:
            _pop(self.owed)

    def clean(self) -> bool:
        """Nothing injected or cut is owed, nothing is swallowed."""
        for entry in self.owed:
            if isinstance(entry, Exchange) and (entry.injected is not None or entry.cut):
                return False
        return not any(isinstance(entry, Exchange) and entry.swallow for entry in self.forwarded)

    def close(self) -> None:
        """The connection is over: every exchange in the books ends."""
        for queue in (self.forwarded, self.owed):
            while queue:
                entry = queue.popleft()
                if isinstance(entry, Exchange):
                    entry.finish("gone")


def _append(queue: deque[Exchange | Run], framing: Hashable) -> None:
    last = queue[-1] if queue else None
    if type(last) is Run and last.framing == framing:
        last.count += 1
    else:
        queue.append(Run(framing, 1))


def _pop(queue: deque[Exchange | Run]) -> None:
    first = queue[0] if queue else None
    if type(first) is Run and first.count > 1:
        first.count -= 1
    elif queue:
        queue.popleft()


class _Plain(Exchange):
    """Stands for every exchange that nobody wants to see."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, -1, Head(""), 0.0)  # type: ignore[arg-type]
        self.forwarded = True
        self.reply_head = self.head

    def finish(self, outcome: str = "ok") -> None:
        """It has no end."""


PLAIN = _Plain()
