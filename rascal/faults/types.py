"""What a kind of fault is to the data path: a table of options, and acts from a closed set.

A kind decides WHAT should happen (an Act); whether a match is struck at all is decided by
`rascal.faults.fault` (counting, draws), how it is carried out by `rascal.proxy`. A kind is pure:
no clock, no sockets, no chance but the draw that is handed in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from rascal.options import Options, OptionTable
from rascal.wire.types import Answer, Buffer, ErrorCall, Head, Moment, WireProtocol

if TYPE_CHECKING:
    from rascal.faults.fault import Strike

Direction = Literal["to_upstream", "to_client", "both"]
Then = Literal["close", "reset", "hang"]
INF = float("inf")


class Subject(Protocol):
    """What a message-level kind sees of an exchange (rascal.proxy.exchange.Exchange)."""

    n: int
    head: Head
    began: float

    @property
    def session(self) -> Any: ...
    @property
    def protocol(self) -> WireProtocol: ...


class Draw(Protocol):
    """Chance of one match: lane 0 is the probability's, lanes from 1 are the kind's own."""

    def __call__(self, lane: int) -> float:
        """A number in [0, 1), a pure function of (seed, proxy, fault, match number, lane)."""


# ---- acts on messages; each says at which moment it strikes -------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """Something a fault wants done."""


@dataclass(frozen=True, slots=True)
class Hold(Act):
    """Keep the message (and what is behind it) for `seconds`, inf: until released. Adds up."""

    moment: Moment
    seconds: float


@dataclass(frozen=True, slots=True)
class Reply(Act):
    """Answer with `make(subject)`: at request instead of forwarding, at reply in place of the
    upstream's. Not called before the strike fires. None from it: nothing is done, it passes."""

    moment: Moment
    make: Callable[[Any], Answer | None]
    repairs: bool = False
    """It may want requests of the proxy's own written upstream (rollback)."""


@dataclass(frozen=True, slots=True)
class Lose(Act):
    """At request: the upstream never sees it. At reply: it is done and the client never learns.
    Then the client's connection is closed, reset, or stays open and silent."""

    moment: Moment
    then: Then


@dataclass(frozen=True, slots=True)
class End(Act):
    """End the connection at this moment: the client's leg by FIN or RST, the upstream's by FIN."""

    moment: Moment
    then: Literal["close", "reset"]


@dataclass(frozen=True, slots=True)
class Cut(Act):
    """Cut the reply where part `after`+1 begins (unit parts) or after so many bytes."""

    after: int
    unit: Literal["bytes", "parts"]
    then: Literal["close", "reset", "hang", "error", "end"]
    call: ErrorCall | None = None


@dataclass(frozen=True, slots=True)
class Stall(Act):
    """Let the reply stand still for `seconds` after so many parts or bytes of it."""

    after: int
    unit: Literal["bytes", "parts"]
    seconds: float


@dataclass(frozen=True, slots=True)
class Repeat(Act):
    """Send the request twice; the second reply is swallowed. Body up to `limit` bytes. At reply
    (datagrams only): the client gets it twice."""

    limit: int
    moment: Moment = "request"


@dataclass(frozen=True, slots=True)
class Overtake(Act):
    """Datagrams: let so many later ones of its direction go first, at most for `seconds`."""

    moment: Moment
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Edit(Act):
    """Collect the whole reply (up to `limit` bytes, else skipped too_large), send `change(it)`.
    None from change: it passes as it was."""

    change: Callable[[Any, bytes], bytes | None]
    limit: int


# ---- acts on connections and bytes ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refuse(Act):
    """Turn a new connection away at accept: an error of the protocol first if there is a call."""

    then: Then
    call: ErrorCall | None = None


@dataclass(frozen=True, slots=True)
class ConnectHold(Act):
    """Keep a new connection waiting before the upstream is dialled."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Age(Act):
    """End the connection `seconds` after its start: mid-message, or at the next message boundary.
    silent: drop everything and, as a load balancer does, answer the next bytes with RST."""

    seconds: float
    then: Literal["close", "reset", "silent"]
    at_boundary: bool = False


@dataclass(frozen=True, slots=True)
class Idle(Act):
    """End the connection after `seconds` without a byte in either direction."""

    seconds: float
    then: Literal["close", "reset", "silent"]


@dataclass(frozen=True, slots=True)
class StreamHold(Act):
    """Delay each read by `sample(k)` seconds (k counts reads), inf: until released. Without `fin`
    the FIN is not held itself, it only stays behind what is."""

    direction: Direction
    sample: Callable[[int], float]
    fin: bool = True


@dataclass(frozen=True, slots=True)
class CloseHold(Act):
    """Keep FIN back for `seconds`."""

    direction: Direction
    seconds: float


@dataclass(frozen=True, slots=True)
class Pace(Act):
    """Let bytes out as `make()` allows; one shaper for each connection and direction."""

    direction: Direction
    make: Callable[[], Shaper]


@dataclass(frozen=True, slots=True)
class Discard(Act):
    """Drop what arrives, answer nothing; end the connection `close_after` seconds after the last
    bytes that were dropped (inf: never), or after the `first` of them. With `idle` the time runs
    from the start too, so that a connection without a byte ends as well. Without `fin` the FIN is
    dropped too. A reset is shown to both sides. Removal ends the connection, unless the `first`
    byte has not come yet."""

    direction: Direction
    close_after: float
    then: Literal["close", "reset"] = "close"
    first: bool = False
    idle: bool = False
    fin: bool = True


@dataclass(frozen=True, slots=True)
class Pass(Act):
    """Nothing is done to this connection; it counts as struck."""


@dataclass(frozen=True, slots=True)
class ListenRefuse(Act):
    """The listening socket goes: every connection attempt is refused by the kernel."""


@dataclass(frozen=True, slots=True)
class ListenFull(Act):
    """The accept queue is full: SYNs go unanswered."""


class Shaper:
    """Byte-level pace of one direction: it is asked, it owns no bytes."""

    ends: Literal["close", "reset"] | None = None
    """Set by sent(), or by allow() where not a byte may pass: the connection ends now (limit)."""

    def allow(self, now: float, available: int) -> tuple[int, float]:
        """How many of `available` bytes may leave now; if not all, when to ask again (seconds on
        the same clock, inf: never)."""
        return available, now

    def sent(self, count: int, now: float) -> None:
        """So many bytes have left."""

    def follow(self, other: Shaper) -> None:
        """The fault was changed: take over what `other` has counted until now."""

    def edit(self, data: Buffer, offset: int) -> Buffer:
        """The bytes to send in place of `data`, same length; `offset` counts from the start."""
        return data


# ---- kinds --------------------------------------------------------------------------------------

Level = Literal["listener", "connection", "message"]


class Kind(ABC):
    """One kind of fault. One file declares it; everything else is drawn from this.

    Attributes:
        name: as users write it.
        summary: one line: what it does.
        faithful: "how faithful is it": one or two sentences, for the docs.
        options: its table.
        moments: where it may strike a message; the first is the default.
        composes: several of them strike one moment together (delay, hang), and `at` may name
            several moments.
        levels: message: needs a codec, asked once an exchange. connection: asked at accept, and
            of live connections when it is added. listener: about the listening socket.
            Where both message and connection stand, message is used on protocols with messages
            unless the user says `per connection`.
        protocols: the protocols that have it; empty: all (message kinds: all with messages).
        directional: takes the clause `direction` when it strikes connections.
        tracks: wants finished() for every exchange that matches (stale, concurrency).
        capture: with tracks: bytes of the reply to hand to finished().
        only_holds: all that it ever does to messages is Hold them (delay, hang).
        datagrams: it can strike what UDP carries.
        repairs: its answers may come with requests of the proxy's own (error: ROLLBACK).
        only_at_start: what it does to a connection it does when that is accepted (refuse,
            max_connections); connections that live already are not asked.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    faithful: ClassVar[str]
    options: ClassVar[OptionTable] = OptionTable()
    moments: ClassVar[tuple[Moment, ...]] = ()
    composes: ClassVar[bool] = False
    levels: ClassVar[tuple[Level, ...]] = ("message",)
    protocols: ClassVar[tuple[str, ...]] = ()
    directional: ClassVar[bool] = False
    tracks: ClassVar[bool] = False
    capture: ClassVar[int] = 0
    only_holds: ClassVar[bool] = False
    repairs: ClassVar[bool] = False
    datagrams: ClassVar[bool] = False
    only_at_start: ClassVar[bool] = False

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        """Its options on this protocol (error takes the protocol's own too); None: the protocol
        does not have this kind."""
        if self.protocols and protocol.name not in self.protocols:
            return None
        if self.levels == ("message",) and not protocol.messages:
            return None
        return self.options

    def usual(self, options: Options, protocol: WireProtocol) -> tuple[Moment, ...]:
        """The moments at which it strikes if the user names none."""
        return self.moments[:1]

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        """Refuse what cannot work on this protocol. Raises ConfigError (option=…).

        Beside its table's, `options` has `at` and `direction` as the fault has them. What is
        found here (a catalogue entry) may be kept as a further attribute for act().
        """

    def state(self, options: Options) -> Any:
        """Something a fault of this kind keeps for its life (a token bucket), else None."""
        return None

    @abstractmethod
    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        """What to do to this exchange at `moment` (or to this connection), or the reason why
        nothing ("nothing" for stale, "under" for rate_limit): counted as skipped."""

    def finished(
        self, options: Options, subject: Any, strike: Strike | None, reply: bytes | None, state: Any
    ) -> None:
        """With tracks: an exchange that matched has ended; `reply` if it was whole and small."""

    def shape(self, options: Options) -> Literal["listener", "connection", "message"] | None:
        """A level that these very options demand (refuse: listener), None: the usual choice."""
        return None
