"""What one client and the upstream exchange by datagrams: the same gate, no relay.

    client ─► head ─► [ask] ─► [holds] ─► answered, lost, or forwarded ─► lane ─► upstream
    client ◄─ lane ◄─ replaced, lost, or as it is ◄─ [holds] ◄─ [ask] ◄─ head ◄─ upstream

Each datagram waits for itself: one that is held lets later ones pass, as UDP does. Where the
protocol pairs (WireProtocol.paired), a reply belongs to the oldest request with its framing; a
datagram that answers nothing passes, as does one that is not the protocol, which is noted.

To the gate this is a connection; `effects` says what strikes on it do and how they end. It is made
by the first datagram of an address and forgotten when it has been silent for a while
(rascal.proxy.udp).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from rascal.errors import ProtocolError
from rascal.faults.fault import Strike
from rascal.faults.types import (
    INF,
    Cut,
    Discard,
    Edit,
    End,
    Hold,
    Lose,
    Overtake,
    Pace,
    Pass,
    Repeat,
    Reply,
    StreamHold,
)
from rascal.proxy import datagram_effects
from rascal.proxy.connection import CONNECT, host_of
from rascal.proxy.exchange import Exchange
from rascal.proxy.lanes import Lane
from rascal.wire.types import Head, Moment

if TYPE_CHECKING:
    from rascal.proxy.gate import Gate

HELD_COST = 400
"""Bytes of memory that a held datagram costs beside its own."""
NONE: list[tuple[Strike, float]] = []
"""No holds; never changed."""
OUTSTANDING = 1024
"""Requests of one client that wait for a reply; beyond it the oldest is given up."""


class Side:
    """The books of one leg, as those of an end."""

    __slots__ = ("closed", "peer", "sent", "taken")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.taken = 0
        self.sent = 0
        self.closed = False


class Held:
    """A datagram that waits."""

    __slots__ = ("at", "data", "exchange", "holds", "to_upstream")

    def __init__(
        self,
        exchange: Exchange | None,
        data: bytes,
        to_upstream: bool,
        holds: list[tuple[Strike, float]],
        at: float,
    ) -> None:
        self.exchange = exchange
        self.data = data
        self.to_upstream = to_upstream
        self.holds = holds
        self.at = at

    def ready(self) -> float:
        """When it may leave."""
        return self.at + sum(seconds for strike, seconds in self.holds if strike.state == "fired")

    @property
    def cost(self) -> int:
        return HELD_COST + len(self.data)


class DatagramConnection:
    """A client's address, and the socket that speaks to the upstream for it.

    Args:
        gate: the faults of its proxy.
        peer: the client's address.
        to_client, to_upstream: send one datagram.
        ended: is told when it is over.
    """

    datagrams = True
    effects = datagram_effects
    head = CONNECT
    n = 0
    turned_away = silent = is_raw = False
    stuck = None

    def __init__(
        self,
        gate: Gate,
        peer: str,
        to_client: Callable[[bytes], None],
        to_upstream: Callable[[bytes], None],
        ended: Callable[[DatagramConnection], None],
    ) -> None:
        self.gate = gate
        self.clock = gate.clock
        self.budget = gate.budget
        self.protocol = gate.protocol
        self.session = gate.protocol.session(gate.options)
        self.client = Side(peer)
        self.upstream: Side | None = Side("")
        self.client_address = host_of(peer)
        self.number = gate.next_number()
        self.began = self.touched = self.clock.now()
        self.ended = ended
        self.ended_by = ""
        self.strikes: set[Strike] = set()
        self.counts = [0, 0]
        self.held: list[Held] = []
        self.size = 0
        self.timer: Any = None
        self.waiting_replies: dict[Hashable, deque[Exchange]] = {}
        self.outstanding: deque[Exchange] = deque()
        self._senders = (to_client, to_upstream)
        self.lanes = (
            Lane(self.clock, lambda data: self._send(False, data)),
            Lane(self.clock, lambda data: self._send(True, data)),
        )
        """To the client, to the upstream."""
        gate.connections[self.number] = self  # type: ignore[assignment]
        gate.protocol.wants(self.session, gate.fields)
        gate.admit(self)  # type: ignore[arg-type]
        gate.tell("connection-opened", self)

    @property
    def connection(self) -> DatagramConnection:
        """Itself: strikes ask their subject, which may be an exchange."""
        return self

    def value(self, name: str) -> Any:
        """A match field that connections have: client."""
        return self.client_address if name == "client" else None

    # -- what exchanges, strikes and the gate want of a connection --------------------------------
    def struck(self, strike: Strike) -> None:
        """A strike has fired."""
        if strike.subject is not self:
            strike.subject.struck.append(strike.fault.name)
        self.gate.tell("fault-fired", strike)

    def charge(self, cost: int) -> None:
        """Exchanges cost memory; here their number is bounded."""

    def tune(self) -> None:
        """There are no modes."""

    def waiting(self) -> int:
        """What a release may have to move, about."""
        return 4 + len(self.held)

    def idle_since(self) -> float:
        """When it was used last; it is in use while something waits."""
        return INF if self.held or self.lanes[0].queue or self.lanes[1].queue else self.touched

    # -- in ----------------------------------------------------------------------------------------
    def arrived(self, data: bytes, to_upstream: bool) -> None:
        """A datagram of the client, or of the upstream."""
        if self.ended_by:
            return
        side = self.client if to_upstream else self.upstream
        assert side is not None
        side.taken += len(data)
        self.touched = self.clock.now()
        lane = self.lanes[to_upstream]
        if lane.discard is not None:
            return
        try:
            head = self.protocol.datagram(self.session, data, to_upstream)
        except ProtocolError as error:
            self.gate.counts.desyncs += 1
            self.gate.note(f"not {self.protocol.name}: {error.detail}")
            x, holds = None, NONE
        else:
            if not to_upstream and self.gate.rewrites[1]:
                data = self.protocol.rewrite_head(self.session, head, data) or data
            x, holds = self._met(head, data, to_upstream)
        holds = holds + lane.lag()
        if not holds:
            self._turn(x, data, to_upstream)
            return
        held = Held(x, data, to_upstream, holds, self.touched)
        if self.size + held.cost > self.budget.share(self.gate.hold_bytes):
            self._drop(held, "full")
            return
        self.held.append(held)
        self.size += held.cost
        self.budget.add(held.cost)
        self.pump()

    def _met(
        self, head: Head, data: bytes, to_upstream: bool
    ) -> tuple[Exchange | None, list[tuple[Strike, float]]]:
        """Its exchange, asked at its head, and what holds it."""
        gate = self.gate
        paired = self.protocol.paired
        moment: Moment = "request" if to_upstream else "reply"
        if paired and not to_upstream:
            x = self._answered(head.framing)
            if x is None:
                return None, []
            x.reply_head = head
            x.capture(data)
            gate.ask_reply(x)
            return x, self._holds(x, moment)
        n = self.counts[to_upstream] = self.counts[to_upstream] + 1
        if not gate.sees(self, head, n):  # type: ignore[arg-type]
            return None, []
        x = Exchange(self, n, head, self.touched)  # type: ignore[arg-type]
        x.size = len(data)
        if paired:
            gate.ask(x)
        else:
            gate.ask_at(x, moment)
        return x, self._holds(x, moment)

    def _holds(self, x: Exchange, moment: Moment) -> list[tuple[Strike, float]]:
        found: list[tuple[Strike, float]] = []
        for strike in x.strikes:
            if strike.live:
                for act in strike.acts:
                    if type(act) is Hold and act.moment == moment:
                        strike.fire()
                        strike.holding += 1
                        found.append((strike, act.seconds))
        return found

    def _answered(self, framing: Hashable) -> Exchange | None:
        """The oldest request that this is the reply to."""
        waiting = self.waiting_replies.get(framing)
        if not waiting:
            return None
        x = waiting.popleft()
        self.outstanding.remove(x)
        if not waiting:
            del self.waiting_replies[framing]
        return x

    # -- holds -------------------------------------------------------------------------------------
    def pump(self) -> None:
        """Let go what may leave, in the order in which it may; set the timer for the next."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        while self.held and not self.ended_by:
            held = min(self.held, key=Held.ready)
            ready = held.ready()
            if ready > self.clock.now():
                if ready < INF:
                    self.timer = self.clock.call_at(ready, self.pump)
                return
            self._let(held)
            for strike, _ in held.holds:
                strike.held += 1
                strike.holding -= 1
                if strike.subject is held.exchange and strike.held >= len(strike.acts):
                    strike.done()
            self._turn(held.exchange, held.data, held.to_upstream)

    def _let(self, held: Held) -> None:
        self.held.remove(held)
        self.size -= held.cost
        self.budget.add(-held.cost)

    def _drop(self, held: Held, why: str) -> None:
        """It goes nowhere."""
        self.gate.note(f"datagrams were dropped: {why}")
        for strike, _ in held.holds:
            strike.holding -= 1
        if held.exchange is not None:
            held.exchange.finish("dropped")

    def drop_held(self, strikes: set[Strike]) -> None:
        """What these strikes hold is dropped (on_remove = close)."""
        for held in [h for h in self.held if any(s in strikes for s, _ in h.holds)]:
            self._let(held)
            self._drop(held, "fault removed")

    # -- turns -------------------------------------------------------------------------------------
    def _turn(self, x: Exchange | None, data: bytes, to_upstream: bool) -> None:
        if x is None:
            self.lanes[to_upstream].put(data)
        elif to_upstream:
            self._request(x, data)
        else:
            self._reply(x, data)

    def _request(self, x: Exchange, data: bytes) -> None:
        """A request's turn: answered, lost, or forwarded."""
        found = x.chosen("request", Reply, Lose, End)
        if found is not None:
            strike, act = found
            answer = act.make(x) if isinstance(act, Reply) else None
            if isinstance(act, Reply) and answer is None:
                strike.done("nothing")
            else:
                strike.fire()
                strike.done()
                if answer is None:
                    x.finish("lost")
                    return
                x.reply_size = len(answer.reply)
                x.outcome = "answered"
                if answer.reply:
                    self.lanes[False].put(answer.reply)
                x.finish("answered")
                return
        x.forwarded = True
        self.protocol.forwarded(self.session, x.head)
        if self.protocol.paired and x.head.replies:
            self._expect(x)
        self._out(x, data, True, "request")
        if not (self.protocol.paired and x.head.replies):
            x.finish()

    def _expect(self, x: Exchange) -> None:
        self.waiting_replies.setdefault(x.framing, deque()).append(x)
        self.outstanding.append(x)
        if len(self.outstanding) > OUTSTANDING:
            oldest = self.outstanding[0]
            self._answered(oldest.framing)
            oldest.finish("gone")

    def _reply(self, x: Exchange, data: bytes) -> None:
        """A reply's turn: lost, replaced, or delivered."""
        found = x.chosen("reply", Reply, Lose, End)
        if found is not None:
            strike, act = found
            answer = act.make(x) if isinstance(act, Reply) else None
            if isinstance(act, Reply) and answer is None:
                strike.done("nothing")
            else:
                strike.fire()
                strike.done()
                if answer is None:
                    x.outcome = "reply lost"
                    x.finish("reply lost")
                    return
                x.outcome = "replaced"
                data = answer.reply
        data = self._changed(x, data)
        x.reply_size = len(data)
        self._out(x, data, False, "reply")
        x.finish()

    def _changed(self, x: Exchange, data: bytes) -> bytes:
        """Edits, and cuts: a datagram arrives shorter."""
        for strike in list(x.strikes):
            act = strike.acts[0]
            if strike.state != "chosen":
                continue
            if isinstance(act, Edit):
                changed = act.change(x, data)
                if changed is None:
                    strike.done("nothing")
                    continue
                data = changed
            elif isinstance(act, Cut) and act.unit == "bytes" and act.after < len(data):
                data = data[: act.after]
            else:
                continue
            strike.fire()
            strike.done()
            x.outcome = "replaced" if isinstance(act, Edit) else "cut"
        return data

    def _out(self, x: Exchange, data: bytes, to_upstream: bool, moment: Moment) -> None:
        """Into the lane: overtaken, or twice."""
        lane = self.lanes[to_upstream]
        late = x.chosen(moment, Overtake)
        if late is not None:
            strike, act = late
            strike.fire()
            x.strikes.remove(strike)  # it outlives its exchange
            lane.overtaken(data, act.count, act.seconds, strike)
            return
        lane.put(data)
        twice = x.chosen(moment, Repeat)
        if twice is not None:
            strike, act = twice
            if len(data) > act.limit:
                strike.done("too_large")
                return
            strike.fire()
            strike.done()
            lane.put(data)

    def _send(self, to_upstream: bool, data: bytes) -> None:
        if self.ended_by:
            return
        side = self.upstream if to_upstream else self.client
        assert side is not None
        side.sent += len(data)
        self._senders[to_upstream](data)

    # -- strikes on all of it ----------------------------------------------------------------------
    def take_on(self, strike: Strike) -> None:
        """Set up what a strike on bytes wants; what needs a stream is skipped."""
        for act in strike.acts:
            if isinstance(act, Pass):
                strike.fire()
                continue
            if not isinstance(act, StreamHold | Discard | Pace):
                strike.done("datagram")
                return
            strike.fire()
            for to_upstream in (False, True):
                if act.direction in ("both", "to_upstream" if to_upstream else "to_client"):
                    self._attach(self.lanes[to_upstream], strike, act)

    def _attach(self, lane: Lane, strike: Strike, act: StreamHold | Discard | Pace) -> None:
        if isinstance(act, StreamHold):
            lane.lags.append((strike, act))
        elif isinstance(act, Discard):
            lane.discard = strike
        else:
            lane.shapers.append((strike, act.make()))

    def take_down(self, strike: Strike) -> None:
        """Undo take_on."""
        for lane in self.lanes:
            lane.remove(strike)

    # -- the end -----------------------------------------------------------------------------------
    def failed(self, how: str, detail: str) -> None:
        """The upstream cannot be reached: nothing comes back, as with UDP itself."""
        self.gate.counts.dials[how] += 1
        self.gate.note(f"upstream {how}: {detail}")

    def end(self, how: str, why: str) -> None:
        """It is forgotten; what waits is dropped."""
        if self.ended_by:
            return
        self.ended_by = why
        if why != "peers":
            self.gate.counts.ends[why] += 1
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        for held in list(self.held):
            self._let(held)
            if held.exchange is not None:
                held.exchange.finish("gone")
        for x in self.outstanding:
            x.finish("gone")
        self.outstanding.clear()
        self.waiting_replies.clear()
        for lane in self.lanes:
            for late in lane.late:
                late.strike.done()
            lane.clear()
        for strike in list(self.strikes):
            strike.done()
        self.client.closed = True
        self.ended(self)
        self.gate.closed(self)  # type: ignore[arg-type]
