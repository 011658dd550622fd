"""One direction of one connection: codec, queue, output.

    source end ─► codec ─► pieces ─► [ask the gate] ─► queue ─► act ─► (outlet) ─► target end
                                                        holds    at its turn

Modes, swapped between two reads by replacing the source end's `on_data`:

    pass      no codec, nothing in the way: bytes in, bytes out
    raw       no codec, but held, shaped or queued
    skim      a codec, nobody watches: forward first, then the codec keeps its place
    watch     as skim, with exchanges: a fault elsewhere or a person wants to see them
    hold      a fault may strike here: frame, ask, act, then write
    discard   blackhole: what arrives is dropped
    silent    the connection is dead to both: the next bytes are answered with RST
    void      the target is gone: what still comes for it is dropped

"Blocked" is not a mode: it is a queue or an outlet that is not empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rascal.errors import ProtocolError
from rascal.faults.fault import Strike
from rascal.faults.types import INF, Discard
from rascal.proxy.ends import ignore_data, ignore_eof
from rascal.proxy.exchange import Exchange
from rascal.proxy.outlet import Outlet

if TYPE_CHECKING:
    from rascal.faults.types import StreamHold
    from rascal.proxy.connection import Connection
    from rascal.wire.types import Buffer, Codec, Head, Piece

Mode = Literal["pass", "raw", "skim", "watch", "hold", "discard", "silent", "void"]
FRAMED = ("skim", "watch", "hold")


ITEM_COST = 400
"""Bytes of memory that a waiting piece costs beside its data."""
SLICE, SMALL_SLICE = 4096, 256
"""Bytes that are framed at a time while messages are held: a read may hold thousands of them."""

NOTHING: list[tuple[Strike, float]] = []
"""No holds; never changed."""


class Item:
    """Something that waits its turn: a piece, plain bytes, FIN or RST."""

    __slots__ = ("at", "cost", "data", "end", "exchange", "holds", "mark", "part", "start", "what")

    def __init__(
        self,
        what: Literal["data", "fin", "rst"],
        exchange: Exchange | None,
        data: bytes,
        at: float,
        holds: list[tuple[Strike, float]],
        start: Head | None = None,
        part: bool = False,
        end: bool = False,
        mark: int = 0,
    ) -> None:
        self.what = what
        self.exchange = exchange
        self.data = data
        self.at = at
        self.holds = holds
        self.start = start
        self.part = part
        self.end = end
        self.mark = mark
        self.cost = ITEM_COST + len(data)

    def ready(self) -> float:
        """When it may leave: its arrival and the holds that are still on."""
        return self.at + sum(seconds for strike, seconds in self.holds if strike.state == "fired")


class Relay:
    """Common to both; RequestRelay and ReplyRelay say what acts mean in their direction."""

    __slots__ = (
        "ahead",
        "backlog",
        "batch",
        "busy",
        "closed",
        "codec",
        "connection",
        "cost",
        "current",
        "discard",
        "feeding",
        "lags",
        "last_word",
        "mode",
        "open",
        "outlet",
        "queue",
        "reads",
        "size",
        "source",
        "swallowed",
        "target",
        "timer",
        "trap",
        "void",
    )
    to_upstream: bool = False

    def __init__(
        self, connection: Connection, source: Any, target: Any, codec: Codec | None
    ) -> None:
        self.connection = connection
        self.source = source
        self.target = target
        self.codec = codec
        self.queue: list[Item] = []  # bounded by what its items cost: pop(0) is cheap
        self.size = 0
        self.cost = 0
        self.backlog = b""
        self.timer: Any = None
        self.mode: Mode = "pass" if codec is None else "skim"
        self.ahead = 0
        self.current: Exchange | None = None
        self.open = False
        self.feeding = False
        self.busy = False
        self.batch: list[Any] | None = None
        self.outlet: Outlet | None = None
        self.lags: list[tuple[Strike, StreamHold]] = []
        self.closed: list[tuple[Strike, float]] = []
        self.discard: Strike | None = None
        self.trap: Strike | None = None
        self.last_word: str | None = None
        self.reads = 0
        self.swallowed = False
        self.void = False
        source.on_eof = self.eof
        self.use(self.mode)

    # -- modes -------------------------------------------------------------------------------------
    def use(self, mode: Mode) -> None:
        """Swap the way of incoming bytes. Between two reads only."""
        self.mode = mode
        trapped = self.trap is not None and mode not in ("silent", "void")
        self.source.on_data = self.sprung if trapped else getattr(self, "data_" + mode)

    def data_pass(self, view: Buffer) -> None:
        target = self.target
        target.write(view)
        if target.rest:
            self.source.pause()

    def data_skim(self, view: Buffer) -> None:
        target = self.target
        target.write(view)
        try:
            self.codec.skim(view)  # type: ignore[union-attr]
        except ProtocolError as error:
            self.connection.desync(self, error)
        if target.rest:
            self.source.pause()
        elif self.connection.kicks:
            self.connection.kick(self)

    def data_raw(self, view: Buffer) -> None:
        self.connection.touch()
        self.put_raw(bytes(view))
        self.flow()

    def put_raw(self, data: bytes) -> None:
        """Bytes that belong to no message: held and shaped, never struck."""
        lags = self.lag()
        if self.queue or lags or self.connection.stuck is not None:
            self.enqueue(Item("data", None, data, self.connection.clock.now(), lags))
        else:
            self.put(data)

    def data_watch(self, view: Buffer) -> None:
        self.connection.touch()
        if not self.sift(view):
            self.put(view)
            if not self.connection.ended_by:  # a shaper may end it
                self.take(view, False)

    def sift(self, view: Buffer) -> bool:
        """If nothing in these bytes can concern anybody: forward them as skim does."""
        return False

    def straight(self) -> bool:
        """Whether bytes may go to the target past everything here."""
        return not (
            self.queue
            or self.backlog
            or self.lags
            or self.outlet is not None
            or self.void
            or self.connection.stuck is not None
        )

    def data_hold(self, view: Buffer) -> None:
        self.connection.touch()
        if not self.sift(view):
            self.take(view, True)

    def set_trap(self, strike: Strike | None) -> None:
        """Wait with a blackhole for the first bytes; until then all is as without it."""
        self.trap = strike
        self.use(self.mode)

    def sprung(self, view: Buffer) -> None:
        """The first bytes are here: from now on they are dropped, and the connection must end."""
        assert self.trap is not None
        self.connection.spring(self.trap)
        self.connection.tune()
        self.data_discard(view)

    def data_discard(self, view: Buffer) -> None:
        self.connection.discarded(self)

    def data_void(self, view: Buffer) -> None:
        """Nobody is there to take it."""

    def data_silent(self, view: Buffer) -> None:
        self.source.reset()
        self.connection.half_gone()
        self.connection.over()

    def take(self, view: Buffer, write: bool) -> None:
        """Through the codec, piece by piece; what leaves goes out in one write."""
        connection = self.connection
        self.feeding = True
        self.batch = []
        lags = self.lag() if write else NOTHING
        if self.backlog:
            self.keep(view)
        elif not write or (len(view) <= SLICE and not self.queue):
            self.frame(view, write, lags)
        else:
            self.frame_some(view, lags)
        self.feeding = False
        self.flush()
        connection.settle(self)

    def frame(self, view: Buffer, write: bool, lags: list[tuple[Strike, float]]) -> bool:
        """Feed the codec and meet its pieces; False: nothing more is to be framed here."""
        connection = self.connection
        try:
            for piece in self.codec.feed(view):  # type: ignore[union-attr]
                self.piece(piece, write, lags)
                if connection.ended_by or self.void or connection.is_raw:
                    return False
        except ProtocolError as error:
            self.feeding = False
            self.flush()
            connection.desync(self, error)
            return False
        return True

    def frame_some(self, view: Buffer, lags: list[tuple[Strike, float]]) -> None:
        """Slice by slice, as long as there is room for what is held; the rest is kept as it is."""
        at, size = 0, len(view)
        small = SLICE if self.connection.budget.roomy() else SMALL_SLICE
        step = small
        while at < size:
            if self.queue and self.full():
                self.keep(view[at:])
                return
            if not self.frame(view[at : at + step], True, lags):
                return
            at += step
            step = small if self.queue else step * 4

    def keep(self, rest: Buffer) -> None:
        """Bytes for which there is no room in the queue yet; their source is not read meanwhile."""
        self.backlog += bytes(rest)
        self.size += len(rest)
        self.connection.budget.add(len(rest))

    def drain(self) -> None:
        """There is room again: frame what was kept."""
        rest = self.drop_backlog()
        if self.mode == "hold":
            self.take(rest, True)
        elif self.mode in ("pass", "raw"):
            self.data_raw(rest)

    def drop_backlog(self) -> bytes:
        """What was kept is not waiting any more."""
        rest, self.backlog = self.backlog, b""
        self.size -= len(rest)
        self.connection.budget.add(-len(rest))
        return rest

    def lag(self, fin: bool = False) -> list[tuple[Strike, float]]:
        """The holds of this read, or of the FIN, by faults on bytes."""
        if not self.lags:
            return []
        k = self.reads
        self.reads += 1
        return [
            (strike, act.sample(k))
            for strike, act in self.lags
            if strike.state == "fired" and (act.fin or not fin)
        ]

    # -- pieces ------------------------------------------------------------------------------------
    def piece(self, piece: Piece, write: bool, lags: list[tuple[Strike, float]]) -> None:
        data = piece.data
        struck = write
        if self.ahead:  # these bytes left before the mode changed
            done = min(self.ahead, len(data))
            self.ahead -= done
            data = data[done:]
            struck = False
        exchange, holds = self.meet(piece, struck)
        if lags:
            holds = holds + lags
        if not write:
            self.leave(exchange, data, piece.start, piece.part, piece.end, piece.mark, False)
            return
        if self.queue or holds or self.connection.stuck is not None:
            now = self.connection.clock.now()
            kept = bytes(data)
            self.queue.append(
                Item(
                    "data",
                    exchange,
                    kept,
                    now,
                    holds,
                    piece.start,
                    piece.part,
                    piece.end,
                    piece.mark,
                )
            )
            self.grew(self.queue[-1])
            self.pump()
            return
        rest = self.leave(exchange, data, piece.start, piece.part, piece.end, piece.mark, True)
        if rest is not None:
            self.queue.insert(0, rest)
            self.grew(rest)
            self.pump()

    def meet(
        self, piece: Piece, struck: bool
    ) -> tuple[Exchange | None, list[tuple[Strike, float]]]:
        """The exchange that a piece belongs to, asked at its head; and what holds it."""
        raise NotImplementedError

    def rewritten(self, head: Head, data: Any) -> Any:
        """The first piece of a message as it goes on."""
        connection = self.connection
        return connection.protocol.rewrite_head(connection.session, head, bytes(data)) or data

    def leave(
        self,
        x: Exchange | None,
        data: Any,
        start: Head | None,
        part: bool,
        end: bool,
        mark: int,
        write: bool,
    ) -> Item | None:
        """Its turn has come. `write` is False where the bytes are out already. What cannot leave
        yet after all (a stall in the middle) comes back as an item."""
        raise NotImplementedError

    # -- the queue ---------------------------------------------------------------------------------
    def enqueue(self, item: Item) -> None:
        self.queue.append(item)
        self.grew(item)
        self.pump()

    def grew(self, item: Item) -> None:
        """An item has come to wait."""
        self.size += len(item.data)
        self.cost += item.cost
        self.connection.budget.add(item.cost)

    def shrank(self, item: Item) -> None:
        """It has left."""
        self.size -= len(item.data)
        self.cost -= item.cost
        self.connection.budget.add(-item.cost)

    def ending(self) -> bool:
        """FIN or RST of the source waits here for its turn."""
        return bool(self.last_word or (self.queue and self.queue[-1].what != "data"))

    def full(self) -> bool:
        """No more may be held: by bytes, or by the memory that they cost."""
        connection = self.connection
        bound = connection.budget.share(connection.gate.hold_bytes)
        held = self.size + (self.outlet.size if self.outlet is not None else 0)
        cost = self.cost
        if self.to_upstream and self.queue:
            cost += connection.cost
        return held >= bound or cost >= 2 * bound

    def pump(self) -> None:
        """Move the queue while its first item is ready. Never re-entered."""
        connection = self.connection
        if self.busy or connection.stuck is not None or connection.ended_by:
            return
        self.busy = True
        batching = self.batch is None
        if batching:
            self.batch = []
        self.stop_timer()
        queue = self.queue
        while queue and connection.stuck is None and not connection.ended_by and not self.void:
            item = queue[0]
            ready = item.ready()
            if ready > connection.clock.now():
                if ready < INF:
                    self.timer = connection.clock.call_at(ready, self.wake)
                break
            del queue[0]
            self.shrank(item)
            for strike, _ in item.holds:
                self.let_go(strike, item)
            self.turn(item)
        self.busy = False
        if batching:
            self.flush()
        connection.check_abandon()
        if not self.feeding:
            connection.settle(self)

    def wake(self) -> None:
        self.timer = None
        self.pump()

    def let_go(self, strike: Strike, item: Item) -> None:
        """A hold has run its time; a strike with a later moment goes on."""
        strike.held += 1
        strike.holding -= 1
        if strike.subject is item.exchange and strike.held >= len(strike.acts):
            strike.done()

    def turn(self, item: Item) -> None:
        if item.what == "fin":
            self.connection.relay_fin(self)
        elif item.what == "rst":
            self.finish_out("reset")
        elif item.exchange is None and item.start is None and not item.end:
            self.put(item.data)
        else:
            rest = self.leave(
                item.exchange, item.data, item.start, item.part, item.end, item.mark, True
            )
            if rest is not None:
                self.queue.insert(0, rest)
                self.grew(rest)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # -- bytes out ---------------------------------------------------------------------------------
    def put(self, data: Any) -> None:
        """To the outlet or the batch, else straight to the target."""
        if self.void or not len(data):
            return
        if self.outlet is not None:
            kept = bytes(data)
            self.outlet.put(kept)
            if self.batch is None:
                self.outlet.flow()
        elif self.batch is not None:
            self.batch.append(data)
        else:
            self.target.write(data)

    def flush(self) -> None:
        """Write what one read let out, in one go."""
        batch, self.batch = self.batch, None
        if batch:
            self.target.write(batch[0] if len(batch) == 1 else b"".join(batch))
        if self.outlet is not None:
            self.outlet.flow()
            self.check_last_word()

    def let_out(self) -> None:
        """A shaper allows more."""
        if self.outlet is not None:
            self.outlet.flow()
            self.check_last_word()
            if self.outlet is not None and not self.outlet.shapers and not self.outlet.size:
                self.outlet = None
        self.connection.settle(self)

    def check_last_word(self) -> None:
        if self.last_word and (self.outlet is None or not self.outlet.size):
            how, self.last_word = self.last_word, None
            self.finish_out(how)

    def finish_out(self, how: str) -> None:
        """shut, close or reset the target behind everything that was put."""
        if self.batch:
            batch, self.batch = self.batch, []
            self.target.write(b"".join(batch))
        if self.outlet is not None and self.outlet.size and how != "reset":
            self.last_word = how
            return
        self.last_word = None  # a FIN that waited behind a shaper has no turn any more
        getattr(self.target, how)()
        self.connection.over()

    def flow(self) -> None:
        """The source is read only while what it feeds has room."""
        connection = self.connection
        if self.source.closed or connection.ended_by:
            return
        full = self.backlog or self.target.rest or self.full()
        if self.to_upstream and not full:
            full = self.source.rest >= connection.budget.share(connection.gate.hold_bytes)
        if full:
            self.source.pause()
        else:
            self.source.resume()

    # -- the end of the stream ---------------------------------------------------------------------
    def eof(self) -> None:
        connection = self.connection
        if self.mode == "silent":
            self.data_silent(b"")
            return
        if self.void or connection.ended_by:
            return
        if self.discard is not None and drops_fin(self.discard):
            self.swallowed = True
            connection.check_abandon()
            return
        if self.mode in FRAMED and self.codec is not None:
            self.eof_pieces()
        if self.connection.ended_by:
            return
        holds = [pair for pair in self.closed if pair[0].state in ("chosen", "fired")]
        for strike, _ in holds:
            strike.fire()
        holds = holds + self.lag(fin=True)
        self.enqueue(Item("fin", None, b"", connection.clock.now(), holds))
        connection.check_abandon()

    def eof_pieces(self) -> None:
        """A message that only EOF ends, ends."""
        self.feeding = True
        write = self.mode == "hold"
        if self.backlog and not self.frame(self.drop_backlog(), write, []):
            self.feeding = False
            return
        try:
            for piece in self.codec.eof():  # type: ignore[union-attr]
                if self.mode == "skim":
                    if piece.end and not self.to_upstream and self.connection.books.forwarded:
                        self.connection.books.replied()
                else:
                    self.piece(piece, write, [])
        except ProtocolError as error:
            self.feeding = False
            self.connection.desync(self, error)
        self.feeding = False

    def left(self) -> bytes:
        """Bytes that the codec took, that nobody has seen and that were not forwarded yet."""
        if self.mode != "hold" or self.codec is None:
            return b""
        return self.codec.undecided()[self.ahead :] + self.backlog

    def dropping(self) -> bool:
        """The rest of the message under way goes nowhere: answered, lost, cut or swallowed."""
        raise NotImplementedError

    def go_raw(self, rest: bytes) -> None:
        """From messages to bytes; `rest` is what the codec had not decided."""
        self.drop_backlog()
        for item in self.queue:
            if item.what == "data":
                item.exchange = item.start = None
                item.end = False
        if rest:
            self.queue.append(Item("data", None, rest, self.connection.clock.now(), []))
            self.grew(self.queue[-1])
        self.current = None
        self.open = False
        self.ahead = 0
        self.codec = None

    def drop_queue(self) -> None:
        """What waits here is not wanted any more."""
        self.stop_timer()
        queue, self.queue = self.queue, []
        self.drop_backlog()
        self.connection.budget.add(-self.cost)
        self.size = self.cost = 0
        for item in queue:
            if item.start is not None and item.exchange is not None and self.to_upstream:
                item.exchange.finish("gone")

    def drop_outlet(self) -> None:
        """Nor what was shaped."""
        if self.outlet is not None:
            self.outlet.clear()

    def stop(self) -> None:
        """The connection is over."""
        self.drop_queue()
        self.batch = None
        self.drop_outlet()

    def forget(self) -> None:
        """Break the cycles of references."""
        self.source.on_data = ignore_data
        self.source.on_eof = ignore_eof
        self.codec = self.outlet = self.discard = self.trap = self.current = None
        self.lags.clear()
        self.closed.clear()

    def blocked(self) -> bool:
        """Something stands behind a hold or a shaper without end, or a FIN was dropped for good."""
        if self.outlet is not None and self.outlet.stopped:
            return True
        if self.swallowed and self.discard not in self.connection.timers:
            return True
        return bool(self.queue) and self.queue[0].ready() == INF


def drops_fin(strike: Strike) -> bool:
    """Whether a blackhole takes the FIN too."""
    for act in strike.acts:
        if isinstance(act, Discard):
            return not act.fin
    return False
