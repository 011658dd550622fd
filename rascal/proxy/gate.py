"""The faults of one proxy, in listed order, and who is asked when.

    exchange begins ──ask──► every armed message fault that matches ──pick──► strikes
    reply begins ──ask_reply──► those whose match has reply fields
    connection accepted ──admit──► faults on connections and bytes; ask_connect: exchange 0
    fault added, enabled, used up, removed ──► modes of all connections are chosen anew

A fault is asked only while it is armed. It leaves by removal, disabling, expiry (`for`) or panic,
all at once: what it holds is let go (rascal.proxy.effects).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from twisted.logger import Logger

from rascal.faults.fault import Fault, Strike
from rascal.faults.types import Act, ListenFull, ListenRefuse
from rascal.options import Options
from rascal.proxy import effects
from rascal.proxy.budget import HOLD_BYTES, Budget
from rascal.proxy.needs import SKIM, Needs, needs_of
from rascal.wire.types import Buffer, Head, Moment, WireProtocol

if TYPE_CHECKING:
    from rascal.proxy.connection import Connection
    from rascal.proxy.exchange import Exchange

log = Logger()


class Observer(Protocol):
    """Who keeps the latest exchanges (rascal.proxy.recent.Recent)."""

    def finished(self, exchange: Any) -> None:
        """An exchange is over."""


class _Nobody:
    def finished(self, exchange: Any) -> None: ...


@attrs.define
class Counts:
    """What a proxy has seen since its start or the last reset.

    Attributes:
        connections: accepted.
        dials: outcomes of dialling: ok, refused, timeout, unreachable, unresolved, tls.
        desyncs: connections on which bytes were not the protocol.
        raw: of those, the ones that were relayed as bytes from there on.
        notes: why, and how often.
        ends: reasons why connections ended before their peers ended them.
        peers: connections that their peers ended.
    """

    connections: int = 0
    dials: Counter[str] = attrs.field(factory=Counter)
    desyncs: int = 0
    raw: int = 0
    notes: Counter[str] = attrs.field(factory=Counter)
    ends: Counter[str] = attrs.field(factory=Counter)
    peers: int = 0


NOTES = 100
"""Reasons that a proxy tells apart; some quote bytes of peers, so there could be any number."""
ANOTHER = "something else: there are too many reasons to name each, they are only counted"
SAMPLE = 16
"""One in so many requests that pass untouched is kept for listings while faults are armed."""


RELEASES = 1000
"""Strikes that are released in one turn of the loop, about; some ten microseconds each."""
SIEVED = 12
"""Words that are looked for in a read, at most."""
MISSED = 64
"""So many ended connections that a fault has let pass are remembered before they are sorted out."""
SIEVED_BYTES = 16384
"""Longer reads are mostly bodies, which are cheap to frame."""


class Probe:
    """A request as its match sees it, before it is worth an exchange."""

    __slots__ = ("client_address", "head", "n")

    def __init__(self) -> None:
        self.head = Head("")
        self.n = 0
        self.client_address = ""

    def value(self, name: str) -> Any:
        """The value of a match field."""
        if name == "n":
            return self.n
        if name == "client":
            return self.client_address
        return self.head.value(name)


class Gate:
    """What the connections of one proxy ask.

    Args:
        name: the proxy's.
        protocol, options: what it speaks, and the protocol's own options.
        clock, budget: of the process.
        seed: of all draws.
        observer: gets finished exchanges.
        listener: takes faults on the listening socket: (refuse, full).
    """

    def __init__(
        self,
        name: str,
        protocol: WireProtocol,
        options: Options,
        clock: Any,
        budget: Budget,
        *,
        seed: int = 0,
        observer: Observer | None = None,
        listener: Callable[[bool, bool], None] | None = None,
        mirror: bool = True,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.options = options
        self.clock = clock
        self.budget = budget
        self.seed = seed
        self.mirror = mirror
        self.observer: Observer = _Nobody() if observer is None else observer
        self.listener = listener
        self.faults: dict[str, Fault] = {}
        self.connections: dict[int, Connection] = {}
        self.counts = Counts()
        self.on_event: Callable[[str, Any], None] | None = None
        self.watch_until = 0.0
        self.hold_bytes = HOLD_BYTES
        self.rewrites = protocol.rewrites(options) if protocol.messages else (False, False)
        self.needs: Needs = SKIM
        self.words: tuple[bytes, ...] | None = None
        self.fields: frozenset[str] = frozenset()
        self._number = 0
        self._letting: deque[tuple[Connection, list[Strike], str]] = deque()
        self._letter: Any = None
        self._bytes = [0, 0]
        self._sent = [0, 0]
        self._looking: Any = None
        self._sample = self._reads = 0
        self._probe = Probe()
        self._retune: Any = None
        self._messages: tuple[Fault, ...] = ()
        self._replies: tuple[Fault, ...] = ()
        self._connects: tuple[Fault, ...] = ()
        self._sessions: tuple[Fault, ...] = ()
        self._scripts: tuple[Fault, ...] = ()

    # -- faults come and go ------------------------------------------------------------------------
    def add(self, spec: Any) -> Fault:
        """Install it, armed if it is enabled. Its name must be free."""
        assert spec.name not in self.faults
        fault = Fault(spec, self.seed, self.name, self._changed)
        fault.on_step = self._stepped
        self.faults[spec.name] = fault
        if spec.enabled:
            self.arm(fault)
        return fault

    def remove(self, name: str) -> Fault:
        """Take it away; what it holds is let go now."""
        fault = self.faults.pop(name)
        self._leave(fault)
        return fault

    def arm(self, fault: Fault) -> None:
        """Enable: its used count and its time start anew, match numbers go on."""
        fault.arm()
        self._in_effect(fault)

    def restart(self, fault: Fault) -> None:
        """Match numbers, used count and steps start from the beginning, armed."""
        self._let_queued(fault)
        fault.restart()
        self._in_effect(fault)

    def reseed(self, seed: int) -> None:
        """Other draws: match numbers, used counts and steps start anew; who is armed stays so."""
        self.seed = seed
        for fault in self.faults.values():
            self._let_queued(fault)
            fault.reseed(seed, self.name)

    def disarm(self, fault: Fault) -> None:
        """Disable; what it holds is let go now."""
        self._leave(fault)

    def replace(self, fault: Fault, spec: Any) -> None:
        """Change it: the next match is the first to see it, and nothing is drawn anew. Only what
        it does to live connections as a whole (shapers, delays, ages) is another at once."""
        old = fault.spec
        self._let_queued(fault)
        if old.level == spec.level == "message":
            fault.replace(spec)
        elif old.level == spec.level == "connection" and _kind(old) is _kind(spec) is not None:
            fault.replace(spec)
            for strike in list(fault.live):
                if not fault.passes(strike.n):
                    effects_of(strike.subject).renew(strike)
                    continue
                fault.miss(strike.subject.number, strike.n, False)
                effects_of(strike.subject).release(strike.subject, [strike], "release")
            self._strike_late(fault)
        else:
            armed = fault.armed
            self._leave(fault)
            fault.replace(spec)
            if armed:
                self.arm(fault)
            return
        self._expire_in(fault)
        self.tune()

    def _strike_late(self, fault: Fault) -> None:
        """Its probability may be another: live connections keep their draws and are struck now if
        these are below it."""
        missed, fault.missed = fault.missed, {}
        for number, (n, counted) in missed.items():
            connection = self.connections.get(number)
            if connection is None or connection.ended_by or not fault.armed:
                continue
            strike = fault.strike_late(connection, n, counted)
            if strike is None:
                fault.miss(number, n, counted)
            else:
                effects_of(connection).apply(connection, strike)

    def _let_queued(self, fault: Fault) -> None:
        """What waits for a state that is about to be made anew (concurrency) waits no more."""
        if any(part.kind.tracks for part in fault.parts()):
            for strike in list(fault.live):
                connection = strike.subject.connection
                effects_of(connection).release(connection, [strike], "release")

    def set_options(self, options: Options) -> None:
        """Other options of the protocol, for new connections."""
        self.options = options
        if self.protocol.messages:
            self.rewrites = self.protocol.rewrites(options)

    def order(self, names: list[str]) -> None:
        """List them in this order; those that are not named come last."""
        named = {name: self.faults[name] for name in names if name in self.faults}
        self.faults = {**named, **self.faults}
        self.tune()

    def _in_effect(self, fault: Fault) -> None:
        fault.enabled_at = self.clock.now()
        fault.missed.clear()
        self._expire_in(fault)
        level = fault.spec.level
        if level == "listener":
            self._listen(fault)
        elif level == "connection":
            self._lists()
            for connection in list(self.connections.values()):
                self._ask_live(fault, connection)
        self.tune()

    def _expire_in(self, fault: Fault) -> None:
        _forget_expiry(fault)
        lasts = getattr(fault.spec, "lasts", None)
        if fault.armed and lasts is not None and fault.enabled_at is not None:
            when = fault.enabled_at + lasts
            fault.expires = self.clock.call_at(when, lambda: self._expired(fault))

    def _expired(self, fault: Fault) -> None:
        fault.expires = None
        self._leave(fault)
        self.tell("fault-expired", fault)

    def _leave(self, fault: Fault) -> None:
        fault.armed = False
        _forget_expiry(fault)
        self._lists()
        self._let_go(fault)
        if fault.spec.level == "listener":
            self._listen(None)
        self.tune()

    def _let_go(self, fault: Fault) -> None:
        """What has not struck is void now. What holds is released in order, many a turn: a
        removal never stops the traffic of others."""
        on_remove = getattr(fault.spec, "on_remove", "release")
        groups: dict[Connection, list[Strike]] = {}
        for strike in list(fault.live):
            idle = effects_of(strike.subject.connection).idle
            if strike.state == "chosen" and idle(strike):
                strike.done("removed")
            else:
                groups.setdefault(strike.subject.connection, []).append(strike)
        self._letting.extend((*group, on_remove) for group in groups.items())
        if self._letter is None:
            self._let_some()

    def _let_some(self) -> None:
        self._letter = None
        left = RELEASES
        while self._letting and left > 0:
            connection, strikes, on_remove = self._letting.popleft()
            left -= len(strikes) + connection.waiting()
            effects_of(connection).release(connection, strikes, on_remove)
        if self._letting:
            self._letter = self.clock.call_at(self.clock.now(), self._let_some)

    def _changed(self, fault: Fault) -> None:
        """It has disarmed itself (used up, last step): its own strikes live on."""
        if not fault.armed and not fault.live:
            _forget_expiry(fault)
        self._lists()
        self.needs = needs_of(self.faults.values(), self.protocol)
        self._sieve()
        self._retune_soon()
        self.tell("fault-changed", fault)

    def _stepped(self, fault: Fault, step: int) -> None:
        self.tell("script-step", (fault, step))

    def _listen(self, fault: Fault | None) -> None:
        """Faults on the listening socket, all of them together."""
        refuse = full = False
        for one in self.faults.values():
            if one.armed and one.spec.level == "listener":
                act = self._listener_act(one)
                refuse = refuse or isinstance(act, ListenRefuse)
                full = full or isinstance(act, ListenFull)
        if self.listener is not None:
            self.listener(refuse, full)
        if fault is not None:
            fault.effective()
            self.tell("fault-effective", fault)

    def _listener_act(self, fault: Fault) -> Act | str:
        spec: Any = fault.spec
        return spec.kind.act(spec.options, None, "connect", _no_draw, None)  # type: ignore[no-any-return]

    # -- modes -------------------------------------------------------------------------------------
    def tune(self) -> None:
        """The faults are others: every connection chooses its modes anew."""
        self._lists()
        self.needs = needs_of(self.faults.values(), self.protocol)
        self._sieve()
        buffers = [
            getattr(fault.spec.options, "buffer", None) or 0
            for fault in self.faults.values()
            if fault.armed and hasattr(fault.spec, "options")
        ]
        self.hold_bytes = max([HOLD_BYTES, *buffers])
        wanted = self._wanted()
        for connection in list(self.connections.values()):
            if wanted != self.fields:
                self.protocol.wants(connection.session, wanted)
            connection.tune()
        self.fields = wanted

    def _wanted(self) -> frozenset[str]:
        """The match fields that armed faults ask for; all, while somebody watches."""
        if self.watching:
            return frozenset(field.name for field in self.protocol.fields)
        return frozenset(
            name
            for fault in self.faults.values()
            if fault.armed and fault.spec.level == "message"
            for name in fault.spec.match.fields
        )

    def _retune_soon(self) -> None:
        """From within the data path: when its turn is over."""
        if self._retune is None:
            self._retune = self.clock.call_at(self.clock.now(), self._retune_now)

    def _retune_now(self) -> None:
        self._retune = None
        self.tune()

    def _lists(self) -> None:
        armed = [f for f in self.faults.values() if f.armed and f.spec.level == "message"]
        self._scripts = tuple(f for f in armed if f.is_script)
        self._replies = tuple(f for f in armed if f.spec.match.reply and not f.is_script)
        asked = [f for f in armed if not (f.spec.match.reply and not f.is_script)]
        greets = self.protocol.greets
        self._connects = tuple(
            f for f in asked if _at_connect(f) or (greets and _names(f, "CONNECT"))
        )
        self._messages = tuple(f for f in asked if not _at_connect(f))
        self._sessions = tuple(
            f for f in armed if f.spec.match.commands is not None and not _at_connect(f)
        )

    def _sieve(self) -> None:
        """The words of which one stands in every request that anybody could want to see."""
        found: set[bytes] = set()
        for fault in self.faults.values():
            if fault.armed and fault.spec.level == "message":
                match = fault.spec.match
                if match.words is None or match.reply:
                    self.words = None
                    return
                found |= match.words
        self.words = None if self.watching or len(found) > SIEVED else tuple(found)

    def passes(self, view: Buffer) -> bool:
        """Whether nobody can want to see any request that begins in these bytes."""
        words = self.words
        if words is None or len(view) > SIEVED_BYTES:
            return False
        self._reads += 1
        if self._reads >= SAMPLE:
            self._reads = 0
            self._sample = SAMPLE
            return False
        data = bytes(view).upper()
        return not any(word in data for word in words)

    @property
    def watching(self) -> bool:
        """Whether somebody looks at exchanges."""
        return self.watch_until > 0.0 and self.watch_until > self.clock.now()

    def watch(self, seconds: float) -> None:
        """Let all exchanges be seen for so long."""
        was = self.watching
        self.watch_until = max(self.watch_until, self.clock.now() + seconds)
        if not was:
            self.tune()
        if self._looking is None:
            self._looking = self.clock.call_at(self.watch_until, self._look_away)

    def _look_away(self) -> None:
        self._looking = None
        if self.watching:
            self._looking = self.clock.call_at(self.watch_until, self._look_away)
        else:
            self.watch_until = 0.0
            self.tune()

    # -- questions ---------------------------------------------------------------------------------
    def sees(self, connection: Connection, head: Head, n: int) -> bool:
        """Whether this request must become an exchange: a fault matches it, or may match its
        reply, somebody watches, or it is the one in SAMPLE that is kept for listings."""
        if self._replies or self.watching:
            return True
        if head.asked:
            if self.words is None:
                self._sample += 1
            if self._sample >= SAMPLE:
                self._sample = 0
                return True
        return any(self._concerned(connection, head, n))

    def overlook(self, connection: Connection, head: Head, n: int) -> None:
        """Too many exchanges are outstanding there: count whom it would have concerned."""
        for fault in self._concerned(connection, head, n):
            fault.overlook("full")

    def _concerned(self, connection: Connection, head: Head, n: int) -> Iterator[Fault]:
        """The armed faults that match a request which is no exchange yet."""
        faults = self._messages if head.asked else self._sessions
        if faults:
            probe = self._probe
            probe.head, probe.n, probe.client_address = head, n, connection.client_address
            for fault in faults:
                if fault.spec.match.matches(probe):
                    yield fault

    def ask(self, x: Exchange) -> None:
        """The head of a request is known: who strikes this exchange?"""
        if x.head.asked:
            faults = self._messages
        else:
            command = x.head.command
            faults = tuple(f for f in self._sessions if f.spec.match.names(command))
        if faults:
            self._ask(x, faults)

    def ask_at(self, x: Exchange, moment: Moment) -> None:
        """As ask, of a message that is all of its exchange: who strikes at this moment?"""
        faults = tuple(fault for fault in self._messages if moment in _when(fault))
        if faults:
            self._ask(x, faults)

    def ask_reply(self, x: Exchange) -> None:
        """The head of its reply is known."""
        if not self._replies or (not x.head.asked and x.n != 0):
            return
        faults: Iterator[Fault] | tuple[Fault, ...] = self._replies
        if not x.head.asked:
            faults = (f for f in self._replies if f.spec.match.names(x.head.command))
        self._ask(x, tuple(faults), {m for s in x.strikes for m in _moments(s)})

    def ask_connect(self, x: Exchange) -> None:
        """A connection was accepted: exchange 0."""
        if self._connects:
            self._ask(x, self._connects)

    def _ask(
        self, x: Exchange, faults: tuple[Fault, ...], taken: set[Moment] | None = None
    ) -> None:
        taken = set() if taken is None else taken
        replies = x.head.replies
        script: Fault | None = None
        for fault in self._scripts:
            if fault in faults and fault.spec.match.matches(x):
                script = fault
                break
        if script is not None:
            self._pick(script, x, replies, taken, False)
        for fault in faults:
            if fault is not script and fault.armed and fault.spec.match.matches(x):
                self._pick(fault, x, replies, taken, script is not None)

    def _pick(
        self, fault: Fault, x: Exchange, replies: bool, taken: set[Moment], blocked: bool
    ) -> None:
        strike = fault.pick(x, replies, taken, blocked)
        spec = fault.spec
        kind = getattr(spec, "kind", None)
        if strike is not None:
            x.strikes.append(strike)
            if not strike.spec.kind.composes:
                taken.update(strike.spec.at)
        if kind is not None and kind.tracks and fault.armed:
            x.trackers.append((fault, strike))
            if kind.capture and x.captured is None:
                x.captured = bytearray()
            x.limit = max(x.limit, kind.capture)

    def tell_finished(
        self, fault: Fault, strike: Strike | None, x: Exchange, reply: bytes | None
    ) -> None:
        """An exchange that a tracking fault has seen is over."""
        spec = fault.spec
        kind = getattr(spec, "kind", None)
        if kind is not None and kind.tracks:
            kind.finished(spec.options, x, strike, reply, fault.state.get(id(spec)))  # type: ignore[union-attr]

    # -- connections -------------------------------------------------------------------------------
    def next_number(self) -> int:
        """Connections are numbered as they are accepted, from 1."""
        self._number += 1
        self.counts.connections += 1
        return self._number

    def admit(self, connection: Connection) -> None:
        """Ask the faults on connections and bytes about a new one."""
        for fault in list(self.faults.values()):
            if fault.armed and fault.spec.level == "connection":
                self._ask_connection(fault, connection)

    def _ask_live(self, fault: Fault, connection: Connection) -> None:
        """A fault was added: those that strike a connection only at its start do not ask, nor
        those that it is struck by already."""
        if not fault.armed or connection.ended_by or effects.only_at_start(fault.spec):
            return
        if not any(strike.fault is fault for strike in connection.strikes):
            self._ask_connection(fault, connection)

    def _ask_connection(self, fault: Fault, connection: Connection) -> None:
        if not fault.spec.match.matches(connection):
            return
        strike = fault.pick(connection, True, set(), connection.turned_away)
        if strike is not None:
            effects_of(connection).apply(connection, strike)
        elif fault.passes(fault.number - 1) and not effects.only_at_start(fault.spec):
            if len(fault.missed) > 2 * len(self.connections) + MISSED:
                live = self.connections
                fault.missed = {n: one for n, one in fault.missed.items() if n in live}
            fault.miss(connection.number, fault.number - 1, True)

    # -- books -------------------------------------------------------------------------------------
    def tell(self, what: str, about: Any) -> None:
        """Something happened that somebody may want to hear of."""
        if self.on_event is not None:
            self.on_event(what, about)

    def closed(self, connection: Connection) -> None:
        """A connection is over: its bytes stay in the books."""
        del self.connections[connection.number]
        if connection.ended_by == "peers":
            self.counts.peers += 1
        for n, end in enumerate((connection.client, connection.upstream)):
            if end is not None:
                self._bytes[n] += end.taken
                self._sent[n] += getattr(end, "sent", 0)
        self.tell("connection-closed", connection)

    def traffic(self) -> tuple[int, int]:
        """Bytes that came from clients and from the upstream, those of live connections too."""
        up, down = self._bytes
        for connection in self.connections.values():
            up += connection.client.taken
            if connection.upstream is not None:
                down += connection.upstream.taken
        return up, down

    def delivered(self) -> tuple[int, int]:
        """Bytes that went to the upstream and to clients, those of live connections too."""
        down, up = self._sent
        for connection in self.connections.values():
            down += connection.client.sent
            if connection.upstream is not None:
                up += connection.upstream.sent
        return up, down

    def note(self, reason: str) -> None:
        """Count why a connection is not what it should be; say it once in the log."""
        notes = self.counts.notes
        if reason not in notes and len(notes) >= NOTES:
            reason = ANOTHER
        notes[reason] += 1
        if notes[reason] == 1:
            log.info("{proxy}: {reason}", proxy=self.name, reason=reason)

    def reset_counters(self) -> None:
        """All counters to zero; match numbers and used counts go on."""
        self.counts = Counts()
        up, down = self.traffic()
        self._bytes = [self._bytes[0] - up, self._bytes[1] - down]
        up, down = self.delivered()
        self._sent = [self._sent[0] - down, self._sent[1] - up]
        for fault in self.faults.values():
            fault.reset_counters()

    def close(self) -> None:
        """The proxy goes: no timer is left."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._retune is not None:
            self._retune.cancel()
            self._retune = None
        while self._letting:
            connection, strikes, on_remove = self._letting.popleft()
            effects_of(connection).release(connection, strikes, on_remove)
        if self._letter is not None:
            self._letter.cancel()
            self._letter = None
        for fault in self.faults.values():
            _forget_expiry(fault)


def _forget_expiry(fault: Fault) -> None:
    if fault.expires is not None:
        fault.expires.cancel()
        fault.expires = None


def effects_of(connection: Any) -> Any:
    """Who carries out what strikes a connection: datagrams have a way of their own."""
    return getattr(connection, "effects", effects)


def _when(fault: Fault) -> frozenset[Moment]:
    """When it strikes; a script with steps for requests takes them alone."""
    found = frozenset(moment for part in fault.parts() for moment in part.at)
    if fault.is_script and found != {"reply"}:
        return frozenset(("request",))
    return found


def _kind(spec: Any) -> Any:
    return getattr(spec, "kind", None)


def _names(fault: Fault, command: str) -> bool:
    return bool(fault.spec.match.names(command))


def _at_connect(fault: Fault) -> bool:
    at = getattr(fault.spec, "at", ())
    return bool(at) and all(moment in ("connect", "greeting") for moment in at)


def _moments(strike: Strike) -> tuple[Moment, ...]:
    return strike.spec.at if not strike.spec.kind.composes else ()


def _no_draw(lane: int) -> float:
    return 0.0
