"""One connection: two legs, two relays, the books, and all the ways in which it ends.

    accepted ─► admitted (faults on connections; exchange 0 at `connect`) ─► [held] ─► dialled
      └─ turned away: an error of the protocol, FIN, RST or silence
    joined ─► relaying ─► over: both FINs relayed │ RST │ a fault │ given up │ proxy gone

A connection that is dead (`stuck`: bytes were lost, then = hang) forwards nothing any more and
waits for its fault to be removed or its client to leave. Clients that leave behind an endless
hold are let go after ABANDON seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rascal.errors import ProtocolError
from rascal.faults.types import INF, Act, Age, End, Hold, Idle, Lose, Refuse, Reply
from rascal.proxy import effects, tuning
from rascal.proxy.during import flush_collected
from rascal.proxy.ends import CLOSING, NOBODY
from rascal.proxy.exchange import PLAIN, Books, Exchange
from rascal.proxy.relay import Item, Relay
from rascal.proxy.replies import ReplyRelay
from rascal.proxy.requests import RequestRelay
from rascal.wire.types import Answer, Head, Moment

if TYPE_CHECKING:
    from rascal.faults.fault import Strike
    from rascal.proxy.gate import Gate
    from rascal.proxy.needs import Needs

ABANDON = 10.0
"""Seconds that a connection is kept after its peer left behind a hold without end."""


WATCHED_COST = 8 * 1024 * 1024
SMALL_COST = 32 * 1024
"""Bytes of memory that the outstanding exchanges of a connection may cost: beyond that requests
go on unseen (a client may pipeline a million of them before it reads), skipped as "full"; less
once the process is over its bound."""


def host_of(peer: str) -> str:
    """The address without its port: 127.0.0.1:4711, [::1]:4711."""
    host, colon, port = peer.rpartition(":")
    if not colon or not port.isdigit():
        return peer
    return host[1:-1] if host.startswith("[") else host


class Connection:
    """A client leg and an upstream leg joined.

    Args:
        gate: the faults of its proxy.
        client: the accepted end, paused.
        dial: begins to connect to the upstream; what it returns can be cancelled.
    """

    __slots__ = (
        "abandon",
        "began",
        "books",
        "budget",
        "client",
        "client_address",
        "clock",
        "cost",
        "dial",
        "dialling",
        "down",
        "due",
        "ended_by",
        "gate",
        "gone",
        "greeting",
        "head",
        "hung",
        "idlers",
        "is_raw",
        "kicks",
        "loose",
        "number",
        "pending",
        "protocol",
        "rewrites",
        "session",
        "silent",
        "strikes",
        "stuck",
        "timers",
        "touched",
        "tuned",
        "turned_away",
        "up",
        "upstream",
        "waits",
    )
    n = 0

    def __init__(self, gate: Gate, client: Any, dial: Callable[[Connection], Any]) -> None:
        self.gate = gate
        self.clock = gate.clock
        self.budget = gate.budget
        protocol = self.protocol = gate.protocol
        self.rewrites = gate.rewrites
        self.kicks = protocol.waits
        self.client = client
        self.client_address = host_of(client.peer)
        self.number = gate.next_number()
        self.began = self.touched = self.clock.now()
        self.session = protocol.session(gate.options)
        self.books = Books(self)
        self.head = CONNECT
        self.strikes: set[Strike] = set()
        self.dial = dial
        self.dialling: Any = None
        self.upstream: Any = None
        self.up: RequestRelay | None = None
        self.down: ReplyRelay | None = None
        self.greeting: Exchange | None = None
        self.waits: dict[Strike, Any] = {}
        self.pending: list[tuple[Strike, Act]] = []
        self.timers: dict[Strike, Any] = {}
        self.idlers: dict[Strike, Idle] = {}
        self.due: tuple[Strike, Age] | None = None
        self.abandon: Any = None
        self.stuck: Strike | None = None
        self.cost = 0
        self.loose: Exchange | None = None
        self.turned_away = False
        self.tuned: Needs | None = None
        self.ended_by = ""
        self.is_raw = False
        self.silent = False
        self.hung = False
        self.gone = False
        if protocol.messages:
            protocol.wants(self.session, gate.fields)
        gate.connections[self.number] = self
        client.owner = self

    @property
    def connection(self) -> Connection:
        """Itself: strikes ask their subject, which may be an exchange."""
        return self

    def value(self, name: str) -> Any:
        """A match field that connections have: client."""
        return self.client_address if name == "client" else None

    # -- the beginning -----------------------------------------------------------------------------
    def start(self) -> None:
        """Ask the faults that strike at accept, then dial."""
        gate = self.gate
        gate.admit(self)
        if self.protocol.messages and not self.turned_away:
            self._ask_connect()
        gate.tell("connection-opened", self)
        if not self.turned_away and not self.waits:
            self._dial()
        elif self.waits:
            self.client.pause()
            self.check_abandon()

    def _ask_connect(self) -> None:
        """Exchange 0: an error instead of the greeting, or at accept."""
        x = Exchange(self, 0, Head("CONNECT", asked=False), self.began)
        self.gate.ask_connect(x)
        if not x.strikes:
            return
        self.greeting = x
        found = x.chosen("connect", Reply, Lose, End)
        if found is not None:
            strike, act = found
            strike.fire()
            self.turn_away(strike, act)
            return
        for strike in x.strikes:
            for act in strike.acts:
                if isinstance(act, Hold) and act.moment == "connect":
                    self.hold_dial(strike, act.seconds)

    def turn_away(self, strike: Strike, act: Act) -> None:
        """The client is not let in: an error of the protocol first if the act has one."""
        self.turned_away = True
        self._drop_waits()
        then = getattr(act, "then", "close")
        answer: Answer | None = None
        if isinstance(act, Reply):
            answer = act.make(self.greeting)
        elif isinstance(act, Refuse) and act.call is not None:
            answer = self.protocol.answer(self.session, CONNECT, act.call)
        if answer is not None:
            self.client.write(answer.reply)
        if self.greeting is not None:
            self.greeting.outcome = "answered" if answer is not None else "refused"
        if then == "hang":
            self.stuck = strike
            strike.holding += 1
            self.client.pause()
        else:
            self.end(then, strike.fault.name)

    def hold_dial(self, strike: Strike, seconds: float) -> None:
        """Keep the client waiting before the upstream is dialled."""
        strike.fire()
        strike.holding += 1
        timer = None
        if seconds < INF:
            when = self.clock.now() + seconds
            timer = self.clock.call_at(when, lambda: self.let_dial(strike))
        self.waits[strike] = timer

    def let_dial(self, strike: Strike) -> None:
        """One hold less before dialling."""
        if strike not in self.waits:
            return
        timer = self.waits.pop(strike)
        if timer is not None:
            timer.cancel()
        strike.holding -= 1
        if strike.subject is self or len(strike.acts) == 1:
            strike.done()
        if not (self.waits or self.dialling or self.ended_by or self.silent):
            self._dial()

    def _stop_dialling(self) -> None:
        if self.dialling is not None:
            self.dialling.cancel()
            self.dialling = None
        self._drop_waits()

    def _drop_waits(self) -> None:
        waits, self.waits = self.waits, {}
        for timer in waits.values():
            if timer is not None:
                timer.cancel()

    def _dial(self) -> None:
        if self.client.closed:
            self.end("close", "client gone")
            return
        self.dialling = self.dial(self)

    def joined(self, upstream: Any) -> None:
        """Here is the upstream, paused: relay."""
        self.gate.counts.dials["ok"] += 1
        self.dialling = None
        if self.client.closed:
            upstream.close()
            self.upstream = upstream
            self.end("close", "client gone")
            return
        self.upstream = upstream
        upstream.owner = self
        protocol = self.protocol
        to_upstream = to_client = None
        if protocol.messages:
            to_upstream, to_client = protocol.codecs(self.session, self.books)
        self.up = RequestRelay(self, self.client, upstream, to_upstream)
        self.down = ReplyRelay(self, upstream, self.client, to_client)
        effects.attach(self)
        if protocol.messages:
            self._expect_greeting()
        self.tune()
        self.up.flow()
        self.down.flow()

    def _expect_greeting(self) -> None:
        x = self.greeting
        if not self.protocol.greets:
            if x is not None:
                x.finish()
        elif x is None:
            self.books.request(CONNECT)
        else:
            x.forwarded = True
            self.books.expects(x)
            self.books.owes(x)

    def dial_failed(self, how: str, detail: str) -> None:
        """The upstream cannot be had: show the client the same, if it is to be mirrored."""
        self.gate.counts.dials[how] += 1
        self.gate.note(f"upstream {how}: {detail}")
        self.gate.tell("connection-failed", (self, how, detail))
        self.dialling = None
        if self.ended_by:
            return
        if self.gate.mirror and how == "timeout":
            self.silence(answer=False)
        else:
            self.end("reset" if self.gate.mirror and how == "refused" else "close", how)

    # -- exchanges ---------------------------------------------------------------------------------
    def unwatched(self, framing: Any) -> Exchange:
        """An exchange that began before anybody watched."""
        return Exchange(self, -1, Head("", framing=framing), self.clock.now())

    def hold(self, x: Exchange, moment: Moment) -> list[tuple[Strike, float]]:
        """What holds it at this moment; the strikes fire."""
        found: list[tuple[Strike, float]] = []
        for strike in x.strikes:
            if strike.live:
                for act in strike.acts:
                    if type(act) is Hold and _same(act.moment, moment, x):
                        strike.fire()
                        strike.holding += 1
                        found.append((strike, act.seconds))
        return found

    def struck(self, strike: Strike) -> None:
        """A strike has fired."""
        if strike.subject is not self:
            strike.subject.struck.append(strike.fault.name)
        self.gate.tell("fault-fired", strike)

    def drop_strikes(self, x: Exchange) -> None:
        """It is answered: what would have struck its reply is void."""
        for strike in list(x.strikes):
            strike.done()

    def flush_owed(self) -> None:
        """Injected replies leave when all before them have, and never inside a message."""
        owed, down = self.books.owed, self.down
        if down is None or down.void:
            return
        while owed and not down.open and not down.ahead and not self.ended_by and not self.stuck:
            x = owed[0]
            if not isinstance(x, Exchange) or x.injected is None:
                return
            owed.popleft()
            down.put(x.injected)
            x.reply_size = len(x.injected)
            self.protocol.rewinds(self.session, x.head)
            x.finish("answered")
            if x.close_after:
                self.end("close", "answered")

    def repair(self, requests: tuple[tuple[Head, bytes], ...]) -> None:
        """Requests of the proxy's own, between two messages; after FIN the upstream undoes it."""
        up = self.up
        if up is None or up.void or self.upstream.fin or up.last_word:
            return
        up.injections.extend(requests)
        if up.mode == "hold" and not up.open and not up.ahead:
            up.inject()

    # -- modes -------------------------------------------------------------------------------------
    def tune(self) -> None:
        """Choose the modes of both relays."""
        if self.up is not None and not self.ended_by:
            tuning.tune(self)

    def settle(self, relay: Relay) -> None:
        """A relay has done its turn."""
        if self.ended_by:
            return
        if self.due is not None and self.at_boundary():
            strike, act = self.due
            self.due = None
            effects.expire(self, strike, act)
            return
        tuning.tune(self)
        if relay.backlog and not relay.feeding and not relay.full():
            relay.drain()
        else:
            relay.flow()

    def kick(self, relay: Relay) -> None:
        """A reply has come: the request codec may have waited for it."""
        up = self.up
        if up is None or up is relay or up.codec is None or up.feeding:
            return
        if up.codec.waiting:
            up.again()

    def waiting(self) -> int:
        """What a release may have to move here, in messages, about."""
        relays = [relay for relay in (self.up, self.down) if relay is not None]
        return 4 + sum(len(relay.queue) + len(relay.backlog) // 64 for relay in relays)

    def charge(self, cost: int) -> None:
        """Exchanges that have begun and not ended cost so much more memory."""
        self.cost += cost
        self.budget.add(cost)

    def crowded(self) -> bool:
        """Too many exchanges are outstanding for one more to be looked at."""
        return self.cost > (WATCHED_COST if self.budget.roomy() else SMALL_COST)

    def touch(self) -> None:
        """Bytes have come."""
        if self.idlers:
            self.touched = self.clock.now()

    def at_boundary(self) -> bool:
        """Nothing is under way in either direction."""
        up, down = self.up, self.down
        if up is None or down is None:
            return True
        if self.is_raw or up.codec is None or down.codec is None:
            return not (up.queue or down.queue)
        return not (
            self.books.forwarded
            or self.books.owed
            or up.queue
            or down.queue
            or up.codec.under_way()
            or down.codec.under_way()
            or up.codec.undecided()
        )

    def spring(self, strike: Strike) -> None:
        """The first bytes have come for which a blackhole waited: they are dropped."""
        for relay in (self.up, self.down):
            if relay is not None and relay.trap is strike:
                relay.discard = strike
                relay.set_trap(None)

    def discarded(self, relay: Relay) -> None:
        """A blackhole has dropped bytes."""
        if relay.discard is not None:
            effects.discarded(self, relay.discard)

    def pump(self) -> None:
        """Something was let go: move what may move."""
        for relay in (self.up, self.down):
            if relay is not None and not self.ended_by:
                relay.pump()
                relay.flow()

    # -- endings -----------------------------------------------------------------------------------
    def end_by(self, strike: Strike, then: str) -> None:
        """Bytes are lost here: the connection ends, or stays open and dead until released."""
        if then == "hang":
            self.stuck = strike
            strike.holding += 1
            self.check_abandon()
        else:
            self.end(then, strike.fault.name)

    def end(self, how: str, why: str) -> None:
        """End it now: the client by FIN behind what it was given, or RST; the upstream by FIN."""
        if self.ended_by:
            return
        self.ended_by = why
        self.stuck = None
        self.gate.counts.ends[why] += 1
        self._stop_dialling()
        for relay in (self.up, self.down):
            if relay is not None:
                relay.drop_queue()
        if self.up is not None:
            self.up.flush()
            self.up.drop_outlet()
            self.up.use("void")  # the client may still be there, behind a shaper
        if self.upstream is not None:
            self.upstream.close()
        if self.down is not None:
            self.down.finish_out(how)
            if self.down.last_word:
                self._last_words()
        else:
            getattr(self.client, how)()
            self.over()

    def _last_words(self) -> None:
        """A shaper keeps back what the client still gets: not for ever."""
        if self.abandon is not None:
            self.abandon.cancel()
        self.abandon = self.clock.call_at(self.clock.now() + CLOSING, self._abandoned)

    def silence(self, answer: bool = True) -> None:
        """Drop everything; the next bytes of either side get RST, or without `answer` nothing."""
        self.silent = True
        if self.up is None or self.down is None:
            self._stop_dialling()
            if answer:
                self.client.on_data = lambda view: self.end("reset", "silent")
            self.client.on_eof = lambda: self.end("close", "client gone")
            self.client.resume()
            return
        left = self.hung or self.client.fin or self.upstream.fin
        for relay in (self.up, self.down):
            left = left or relay.ending()
            relay.drop_queue()
            relay.drop_outlet()
            relay.use("silent")
            relay.source.resume()
        self.books.close()
        if left:
            self.half_gone()  # who has left already never notices

    def relay_fin(self, relay: Relay) -> None:
        """FIN's turn: first what nobody could decide, then FIN."""
        books, dropped = self.books, relay.dropping()
        if relay is self.down:
            self._let_collected()
            books.close()
        if not dropped:
            relay.put(relay.left())
        if relay.mode == "hold" and relay.codec is not None:
            relay.ahead = len(relay.codec.undecided())
        relay.finish_out("shut")

    def _let_collected(self) -> None:
        """What was gathered of a reply for an edit goes on as it came."""
        first = self.books.owed[0] if self.books.owed else None
        if isinstance(first, Exchange) and first.collected is not None and self.down is not None:
            flush_collected(self.down, first)

    def hangup(self, end: Any) -> None:
        """A peer left while nobody read."""
        if end is self.client:
            self.hung = True
        self.check_abandon()
        for relay in (self.up, self.down):
            if relay is not None and relay.target is end:
                relay.flow()  # a reset has dropped the rest

    def lost(self, end: Any) -> None:
        """RST of one peer: what it sent goes on in order and RST behind it; what was meant for
        it is dropped."""
        up, down = self.up, self.down
        if up is None or down is None or self.ended_by or self.silent:
            self._lost_early(end)
            return
        feeds, drains = (up, down) if end is self.client else (down, up)
        drains.void = True
        drains.drop_queue()
        drains.drop_outlet()
        drains.use("void")
        if end is self.client:
            for entry in list(self.books.owed):
                if isinstance(entry, Exchange):
                    entry.finish("gone")
        if feeds.target.closed or feeds.target.fin:
            feeds.target.reset()
            self.over()
            return
        feeds.enqueue(Item("rst", None, b"", self.clock.now(), []))
        self.check_abandon()
        self.over()

    def _lost_early(self, end: Any) -> None:
        """While dialling, in silence, or when the end has come already."""
        if self.silent and self.up is not None:
            self.half_gone()
        elif self.up is None:
            self.end("reset", "client gone")
        self.over()

    def half_gone(self) -> None:
        """One side has noticed the silence; the other is not kept for ever."""
        if self.abandon is None and not self.ended_by:
            self.abandon = self.clock.call_at(self.clock.now() + ABANDON, self._abandoned)

    def drained(self, end: Any) -> None:
        """A rest is out: its source may be read again."""
        for relay in (self.up, self.down):
            if relay is not None and not self.ended_by:
                relay.flow()
        self.over()

    def check_abandon(self) -> None:
        """A peer left behind a hold without end: keep it a while, then let go."""
        if self.abandon is not None or self.ended_by or not self._blocked():
            return
        relays = [relay for relay in (self.up, self.down) if relay is not None]
        left = any(relay.ending() for relay in relays)
        if relays:  # a close looks like a half-close: its FIN may have been relayed already
            left = left or self.upstream.fin or self.client.fin or relays[0].swallowed
        if self.hung or self.client.closed or left:
            self.abandon = self.clock.call_at(self.clock.now() + ABANDON, self._abandoned)

    def _blocked(self) -> bool:
        if self.stuck is not None:
            return True
        if self.up is None or self.down is None:
            return any(timer is None for timer in self.waits.values())
        return self.up.blocked() or self.down.blocked()

    def _abandoned(self) -> None:
        self.abandon = None
        if self.ended_by:
            self.client.reset()
            self.over()
        elif self.silent:
            self.end("reset", "abandoned")
        elif self._blocked():
            self.end("close", "abandoned")

    def desync(self, relay: Relay, error: ProtocolError) -> None:
        """Not the protocol: relay bytes if nothing is owed or swallowed, else RST."""
        up, down = self.up, self.down
        assert up is not None
        assert down is not None
        counts = self.gate.counts
        counts.desyncs += 1
        self.gate.note(f"not {self.protocol.name}: {error.detail}")
        self.gate.tell("connection-desync", (self, error.detail))
        if self.ended_by:
            return
        held = any(
            i.exchange is PLAIN or (i.exchange and not i.exchange.forwarded) for i in up.queue
        )
        dirty = self.stuck is not None or up.injections or not self.books.clean()
        if held or dirty or up.dropping() or down.dropping():
            self.end("reset", "lost sync")
            return
        counts.raw += 1
        self._let_collected()
        left = [(one, one.left()) for one in (up, down)]
        self.is_raw = True
        for strike in list(self.strikes):
            if strike.state == "chosen" and strike.subject is not self:
                strike.done("raw")
        for one, rest in left:
            one.go_raw(rest)
        self.books.close()
        tuning.tune(self)
        for one, _ in left:
            one.pump()

    def over(self) -> None:
        """Look whether both legs are done; then nothing of it stays."""
        if self.gone:
            return
        upstream = self.upstream
        client_done = self.client.closed or self.client.fin
        if not client_done or (upstream is not None and not (upstream.closed or upstream.fin)):
            return
        if upstream is None and not self.ended_by:
            return
        self.gone = True
        self.ended_by = self.ended_by or "peers"
        for relay in (self.up, self.down):
            if relay is not None:
                relay.stop()
        self._cancel_timers()
        self.books.close()
        for x in (self.greeting, self.loose):
            if x is not None:
                x.finish("gone")
        for strike in list(self.strikes):
            strike.done()
        self.gate.closed(self)
        self._forget()

    def _cancel_timers(self) -> None:
        self._drop_waits()
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        if self.abandon is not None:
            self.abandon.cancel()
            self.abandon = None

    def _forget(self) -> None:
        """No cycles are left for the collector."""
        for end in (self.client, self.upstream):
            if end is not None:
                end.owner = NOBODY
        for relay in (self.up, self.down):
            if relay is not None:
                relay.forget()


CONNECT = Head("CONNECT", asked=False)
"""The head of a connection as such: exchange 0."""


def _same(moment: Moment, now: Moment, x: Exchange) -> bool:
    """`greeting` is how `reply` is written of exchange 0."""
    return moment == now or (moment == "greeting" and now == "reply" and x.n == 0)
