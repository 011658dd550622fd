"""What a protocol is to the rest of Rascal: pieces, heads, codecs, sessions, errors.

A codec cuts one direction of a byte stream into pieces of messages and loses no byte. It does no
I/O and knows no clock. The data path (rascal.proxy) asks it only for what is declared here, so a
new protocol is one file that exports `PROTOCOL`.

How a reply finds its request: the data path keeps a ledger of requests that the upstream has yet
to answer. A reply codec asks `ledger.framing()` how the oldest of them wants its reply framed
(HEAD has no body, PREPARE has two lists, …) whenever a new reply starts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from rascal.options import Option, Options, OptionTable

Buffer = bytes | bytearray | memoryview
Moment = Literal["connect", "greeting", "request", "reply", "during", "idle", "close"]
MOMENTS: tuple[Moment, ...] = (
    "connect",
    "greeting",
    "request",
    "reply",
    "during",
    "idle",
    "close",
)

HEAD_BYTES = 65536
"""At most this much of a message is kept to know its match fields; the rest streams."""


@dataclass(slots=True)
class Head:
    """What is known of a message when it starts; a protocol subclasses it with its match fields.

    Attributes:
        command: the protocol's word for what the message asks (GET, QUERY, SET), for a reply its
            status in the protocol's words ("200", OK, ERR, ROWS, VALUE …).
        replies: a request of which False is true is never answered (noreply, quiet).
        push: a message to the client that belongs to no request (pub/sub, invalidation, an
            unsolicited error before the server closes).
        interim: a reply before the reply (HTTP 100 Continue); its request still waits.
        pivot: it changes what later bytes mean (101, CONNECT 200, LOCAL INFILE); if a fault
            replaces or drops it, both legs are closed.
        asked: False for messages of the session itself (LOGIN, AUTH, INFILE, TUNNEL): they have
            n = 0 and only faults whose match names their command are asked.
        framing: what the reply codec must know to frame the reply; small and hashable.
        seq: for protocols that number their packets: the sequence id of this message's last
            packet (MySQL), else 0.
    """

    command: str
    replies: bool = True
    push: bool = False
    interim: bool = False
    pivot: bool = False
    asked: bool = True
    framing: Hashable = None
    seq: int = 0

    def value(self, name: str) -> Any:
        """The value of match field `name`: str, bytes, int, bool, or None where it has none."""
        return getattr(self, name, None)

    def identity(self) -> Hashable | None:
        """What makes two requests "the same" for a stale reply; None: never the same."""
        return None


@dataclass(slots=True)
class Piece:
    """Bytes of ONE message, in order.

    `data` may be a view into the bytes that were fed: it is valid until the iteration over
    feed() has ended; whoever keeps it longer copies it. Only an end at EOF may be empty, and a
    reply that the server left out (memcached's quiet requests): one piece, start and end.

    Attributes:
        start: this is the first piece of a message, and here is its head.
        part: a row, item, chunk or frame BEGINS with this piece's first byte.
        end: the last piece of the message.
        mark: protocol's own; MySQL: the sequence id of the first packet that begins here.
    """

    data: Buffer
    start: Head | None = None
    part: bool = False
    end: bool = False
    mark: int = 0


class Ledger(Protocol):
    """The books of one connection, as codecs see them."""

    def framing(self) -> Hashable:
        """The framing of the oldest request whose reply has not been parsed to its end.

        Raises LookupError if nothing is outstanding: the message is unsolicited.
        """

    def turn(self, framing: Hashable) -> bool:
        """Make the oldest request of this framing the one that is answered next (protocols whose
        replies come in any order); False: there is none, the message is unsolicited."""
        return True

    def request(self, head: Head) -> None:
        """skim() only: a request has begun and gone on."""

    def replied(self) -> None:
        """skim() only: the reply to the oldest request has been parsed to its end."""


class Codec(ABC):
    """One direction of one connection. Two codecs of a connection share a session and a ledger."""

    waiting: bool = False
    """True while bytes are kept back because the other direction decides what they are
    (HTTP Upgrade, CONNECT). The data path calls feed(b"") again after each reply."""

    @abstractmethod
    def feed(self, data: Buffer) -> Iterator[Piece]:
        """Take bytes and yield what they say, LAZILY: a generator.

        The data path acts on each piece before it asks for the next one, so the session and the
        ledger are up to date when a following head is parsed. A head is yielded as soon as the
        match fields are known, at the latest after HEAD_BYTES; the rest streams. The pieces,
        concatenated, plus undecided(), equal the input, at every yield and when an error is
        raised.

        Raises:
            ProtocolError: sync is lost; undecided() then holds all bytes not handed out.
        """

    @abstractmethod
    def undecided(self) -> bytes:
        """Bytes taken and not yet handed out in a piece."""

    @abstractmethod
    def under_way(self) -> Literal["", "message", "aside"]:
        """Whether a message has begun (its head was handed out, or skimmed) and has not ended.

        "aside": one that answers no request, a push or an interim reply. The data path asks this
        when a fault is added and it must know whether it stands inside a message that it never
        saw begin, because skim() was at work.
        """

    def eof(self) -> Iterable[Piece]:
        """The stream has ended: end a message that only EOF ends (HTTP/1.0 body)."""
        return ()

    @abstractmethod
    def skim(self, data: Buffer) -> None:
        """As feed, when nobody watches: keep one's place and the books, yield nothing.

        A request codec calls `protocol.forwarded(session, head)` and `ledger.request(head)` for
        each request that begins; a reply codec `ledger.replied()` for each reply that ends
        (not for pushes and interim ones). `skim_requests` and `skim_replies` below do so by way
        of feed(); a protocol may override this with something faster, same results.
        """


def skim_requests(
    codec: Codec, protocol: WireProtocol, session: Any, ledger: Ledger, data: Buffer
) -> None:
    """The plain way to skim requests: through feed()."""
    for piece in codec.feed(data):
        if piece.start is not None:
            protocol.forwarded(session, piece.start)
            ledger.request(piece.start)


def skim_replies(codec: Codec, ledger: Ledger, data: Buffer, state: list[bool]) -> None:
    """The plain way to skim replies. `state[0]` remembers whether the message under way counts."""
    for piece in codec.feed(data):
        if piece.start is not None:
            state[0] = not (piece.start.push or piece.start.interim)
        if piece.end and state[0]:
            ledger.replied()


@dataclass(frozen=True, slots=True)
class Field:
    """A match field. `side` tells when it is known: with the request, the reply, the connection.

    A name such as "header.NAME" stands for any header. `type`: word (no regard to case), text,
    number, size, flag, address, name (DNS). `folded`: patterns and texts compare without case.
    """

    name: str
    type: Literal["word", "text", "number", "size", "flag", "address", "name"]
    help: str
    side: Literal["request", "reply", "connection"] = "request"
    folded: bool = False


COMMON_FIELDS: tuple[Field, ...] = (
    Field(
        "client", "address", "address of the client, or a range such as 10.0.0.0/8", "connection"
    ),
    Field("n", "number", "number of the request on its connection, from 1 after log-in"),
)
"""Fields that every protocol with messages has; the data path supplies them. tcp: only client."""


UDP_OPTIONS: tuple[Option, ...] = (
    Option(
        "idle",
        "duration",
        "a client's address and port over UDP are forgotten after so long without a datagram",
        60.0,
        minimum=0.1,
    ),
    Option(
        "clients",
        "positive",
        "so many addresses and ports at once over UDP; a further one takes the place of the one"
        " that was silent longest",
        4096,
        maximum=60_000,
    ),
)
"""Options of a proxy whose protocol is carried by UDP."""


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One error of a protocol's catalogue.

    Attributes:
        name: as users write it: error(deadlock).
        code: the protocol's own code or prefix ("1213", "LOADING", "503"), also accepted.
        text: what a real server says.
        help: when a real server sends it, one line.
        source: where it is specified.
        moments: where it may strike; empty: request and reply.
        commands: the commands that a real server answers so; empty: any.
        closes: a real server closes the connection after it.
        rolls_back: a real server has undone the transaction: the proxy makes the upstream do so.
        sqlstate: SQL protocols.
    """

    name: str
    code: str
    text: str
    help: str
    source: str = ""
    moments: tuple[Moment, ...] = ()
    commands: tuple[str, ...] = ()
    closes: bool = False
    rolls_back: bool = False
    sqlstate: str = ""


@dataclass(frozen=True, slots=True)
class ErrorCall:
    """An error that a fault asks for: the catalogue entry and what the user set beside it."""

    spec: ErrorSpec
    text: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a real server would send, and what must follow.

    Attributes:
        reply: for the client, with the right sequence id; whole messages.
        upstream: the proxy's own requests (ROLLBACK; a poison command inside MULTI) as pairs of
            the head (framing of its reply) and the bytes; their replies are swallowed.
        close: a real server closes after it.
    """

    reply: bytes
    upstream: tuple[tuple[Head, bytes], ...] = ()
    close: bool = False


class Session:
    """Facts that both directions of one connection share. Subclass it.

    They change by requests only in `WireProtocol.forwarded()`, when a request really goes to the
    upstream; by replies when the reply codec parses them.
    """


class WireProtocol(ABC):
    """One protocol: the only thing that the rest of Rascal knows of it.

    Instances hold no per-connection state. `errors` is keyed by name.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]] = COMMON_FIELDS
    errors: ClassVar[Mapping[str, ErrorSpec]] = {}
    options: ClassVar[OptionTable] = OptionTable()
    """Options of a proxy that speaks this protocol (INI: in its [proxy:NAME] section)."""
    error_options: ClassVar[OptionTable] = OptionTable()
    """Further options of error(…) on this protocol (http: retry_after, body, …)."""
    replace_options: ClassVar[OptionTable] = OptionTable()
    """Options of replace(…) on this protocol."""
    carriers: ClassVar[tuple[Literal["tcp", "udp"], ...]] = ("tcp",)
    """What carries it; with udp `datagram` reads its messages, and UDP_OPTIONS are its options."""
    paired: ClassVar[bool] = True
    """Over UDP: what the upstream says answers the oldest request of the same Head.framing.
    False: each datagram is a message of its own."""
    greets: ClassVar[bool] = False
    """The server speaks first: the connection itself is exchange 0, its reply the greeting."""
    messages: ClassVar[bool] = True
    """False: no codec (tcp)."""
    waits: ClassVar[bool] = False
    """Its request codec may set `waiting`: the data path then asks it again after each reply."""
    verbatim: ClassVar[tuple[str, ...]] = ()
    """Match fields of requests whose value stands in the request's bytes just so (in either case
    where it is ASCII): a read without the words that a match asks for need not be looked into."""
    usual: ClassVar[frozenset[str]] = frozenset()
    """Commands (as `classed` names them) that metrics count one by one, the others together;
    empty: the first that come."""
    part: ClassVar[str | None] = None
    """What Piece.part marks, plural, as truncate's option: "rows", "items", "chunks"."""

    def session(self, options: Options) -> Session:
        """Shared facts of a new connection; `options` are those of the proxy."""
        return Session()

    @abstractmethod
    def codecs(self, session: Any, ledger: Ledger) -> tuple[Codec, Codec]:
        """The codecs of a new connection: to_upstream, to_client."""

    def datagram(self, session: Any, data: bytes, to_upstream: bool) -> Head:
        """Over UDP: the head of a message that is one datagram. Raises ProtocolError."""
        raise NotImplementedError(f"{self.name} has no datagrams")

    def wants(self, session: Any, fields: frozenset[str]) -> None:
        """The match fields that armed faults ask for, whenever they change: a field that is dear
        (HTTP's body: its head waits for it) need be known only then. Never called: all are."""

    def forwarded(self, session: Any, head: Head) -> None:
        """The upstream WILL see this request: change session facts here and only here."""

    def classed(self, head: Head) -> str:
        """What metrics count a request as: a word out of few."""
        return head.command

    def rewrite_head(self, session: Any, head: Head, data: bytes) -> bytes | None:
        """Other bytes for the first piece of a message that needs changing on its way (Host
        rewriting, capabilities in the greeting, MOVED addresses), else None.

        Called only if `rewrites(options)` named that direction; its messages are then always
        held, never merely observed.
        """
        return None

    def rewrites(self, options: Options) -> tuple[bool, bool]:
        """Which directions must be rewritten with these proxy options: to_upstream, to_client."""
        return (False, False)

    def rewritten(self, session: Any) -> bool:
        """Nothing more needs changing on this connection, though `rewrites` said so (MySQL: only
        the greeting does): its messages may be observed again."""
        return False

    def error(self, name: str) -> ErrorSpec | None:
        """The catalogue entry for a name, a code, or a raw code the protocol can say; else None."""
        found = self.errors.get(name)
        return found or next((spec for spec in self.errors.values() if spec.code == name), None)

    def answer(self, session: Any, head: Head, call: ErrorCall) -> Answer:
        """The bytes with which a real server refuses the request `head` (CONNECT: at accept)."""
        raise NotImplementedError(f"{self.name} has no errors")

    def terminate(
        self, session: Any, head: Head, mark: int, call: ErrorCall | None
    ) -> bytes | None:
        """Close a reply that is half sent: with an error, or legally as if it ended here (None).

        `mark` is that of the piece that would have come next. None: the protocol cannot.
        """
        return None

    def empty(self, session: Any, head: Head) -> bytes | None:
        """The protocol's "nothing found" as the whole reply to this request; None: it has none."""
        return None

    def emptied(self, session: Any, head: Head, reply: bytes) -> bytes | None:
        """A whole reply of the upstream with nothing in it, where `empty` cannot be made up (a
        SELECT's columns); None: it cannot either, or holds nothing."""
        return None

    def replacement(self, session: Any, head: Head, options: Options) -> bytes | None:
        """The reply that replace(…) sends for this request; None: it cannot."""
        return None

    def edited(self, session: Any, head: Head, reply: bytes, options: Options) -> bytes | None:
        """A whole reply of the upstream as replace(…) at reply changes it, where the protocol
        needs to see it; None: it cannot. Overridden, it is asked in place of `replacement`."""
        return None

    def check_options(self, kind: str, options: Options) -> None:
        """Refuse options of error(…) and replace(…) that cannot work. Raises ConfigError."""

    def rerender(self, session: Any, head: Head, kept: bytes) -> bytes | None:
        """A kept reply to the same request, adapted to this one (sequence ids); None: cannot."""
        return kept

    def repeats(self, head: Head) -> bool:
        """Whether the upstream may be sent this request twice (not what it reads as another
        thing the second time: a message behind SMTP's DATA)."""
        return True

    def answers_late(self, head: Head) -> bool:
        """Whether the answer to this request can be rendered only when its last byte is there
        (MySQL: the sequence id of the last packet of a LOCAL INFILE's file)."""
        return False

    def drops_safely(self, head: Head) -> bool:
        """Whether a request that is answered instead may have its body read and dropped, so that
        the connection stays usable (HTTP: not beyond 1 MiB)."""
        return True

    def rewinds(self, session: Any, head: Head) -> None:
        """An injected reply has been sent for `head`; adjust facts that the client now believes
        (HTTP: Connection: close)."""


Render = Callable[[Any, Head], Answer | None]
