"""The books of one connection for codec tests: both codecs, their session, and what is owed.

    books = Books(PROTOCOL)
    books.up(b"...")            # bytes of the client, through feed()
    books.down(b"...")          # bytes of the server
    books.requests[0].head.command, books.replies[0].data, books.outstanding

With `skims=True` the same calls go through skim(); `place()` tells whether both left the same
state. Every piece is checked against the codec's promise: what was handed out and what is
undecided are what came in, at every yield.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rascal.errors import ProtocolError
from rascal.options import Options
from rascal.wire.types import Buffer, Codec, Head, Piece, WireProtocol


@dataclass
class Message:
    """One message as the codec told it."""

    head: Head
    data: bytes = b""
    parts: list[int] = field(default_factory=list)
    """Offsets in `data` where a part begins."""
    marks: list[int] = field(default_factory=list)
    ended: bool = False


class Flow:
    """One direction: what went in, what came out."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.messages: list[Message] = []
        self.taken = bytearray()
        self.handed = bytearray()

    def check(self) -> None:
        """No byte is lost or doubled."""
        left = self.codec.undecided()
        assert len(self.handed) + len(left) == len(self.taken), "bytes lost or doubled"
        assert self.taken.endswith(left), "undecided() is not the rest of the input"

    def piece(self, piece: Piece) -> Message:
        """Keep what a piece says and check its place."""
        data = bytes(piece.data)
        at = len(self.handed)
        assert self.taken[at : at + len(data)] == data, "a piece differs from the input"
        self.handed += data
        self.check()
        if piece.start is not None:
            assert not self.messages or self.messages[-1].ended, "a message begins inside another"
            self.messages.append(Message(piece.start))
        message = self.messages[-1]
        assert not message.ended, "a piece behind the end of its message"
        if piece.part:
            message.parts.append(len(message.data))
        message.data += data
        message.marks.append(piece.mark)
        message.ended = piece.end
        return message


class Books:
    """A Ledger, and a data path that only forwards.

    Args:
        protocol: the protocol under test.
        options: the proxy's options, by name.
        skims: drive the codecs by skim() rather than feed().
        greeting: begin with exchange 0 (protocols that greet): CONNECT is outstanding.
    """

    def __init__(
        self,
        protocol: WireProtocol,
        *,
        skims: bool = False,
        greeting: bool | None = None,
        **options: Any,
    ) -> None:
        self.protocol = protocol
        self.options: Options = protocol.options.plain(options)
        self.session: Any = protocol.session(self.options)
        self.outstanding: deque[Hashable] = deque()
        self.skims = skims
        self.counted = 0
        self.replied_count = 0
        to_upstream, to_client = protocol.codecs(self.session, self)
        self.to_upstream = Flow(to_upstream)
        self.to_client = Flow(to_client)
        if protocol.greets if greeting is None else greeting:
            self.request(Head("CONNECT", asked=False))

    # -- Ledger ----------------------------------------
    def framing(self) -> Hashable:
        if not self.outstanding:
            raise LookupError("nothing is outstanding")
        return self.outstanding[0]

    def turn(self, framing: Hashable) -> bool:
        if framing not in self.outstanding:
            return False
        self.outstanding.remove(framing)
        self.outstanding.appendleft(framing)
        return True

    def request(self, head: Head) -> None:
        self.counted += head.asked
        if head.replies:
            self.outstanding.append(head.framing)

    def replied(self) -> None:
        self.replied_count += 1
        self.outstanding.popleft()

    # -- driving ----------------------------------------
    @property
    def requests(self) -> list[Message]:
        return self.to_upstream.messages

    @property
    def replies(self) -> list[Message]:
        return self.to_client.messages

    def up(self, *chunks: Buffer) -> list[Message]:
        """Bytes of the client; returns the messages that began."""
        return self._drive(self.to_upstream, chunks, self._up)

    def down(self, *chunks: Buffer) -> list[Message]:
        """Bytes of the server; returns the messages that began.

        A request codec that waits for a reply is asked again after each reply, as the data path
        does.
        """
        return self._drive(self.to_client, chunks, self._down)

    def _drive(self, flow: Flow, chunks: Iterable[Buffer], take: Any) -> list[Message]:
        before = len(flow.messages)
        for chunk in chunks:
            flow.taken += chunk
            try:
                if self.skims:
                    flow.codec.skim(chunk)
                else:
                    for piece in flow.codec.feed(memoryview(bytes(chunk))):
                        take(flow, piece)
            finally:
                if not self.skims:
                    flow.check()
            if flow is self.to_client and self.to_upstream.codec.waiting:
                self.up(b"")
        return flow.messages[before:]

    def _up(self, flow: Flow, piece: Piece) -> None:
        flow.piece(piece)
        if piece.start is not None:
            self.protocol.forwarded(self.session, piece.start)
            self.request(piece.start)

    def _down(self, flow: Flow, piece: Piece) -> None:
        message = flow.piece(piece)
        head = message.head
        if piece.start is not None and not (head.push or head.interim) and not self.outstanding:
            raise ProtocolError("a reply to no request")
        if piece.end and not (head.push or head.interim):
            self.replied()

    def eof(self, *, of_client: bool = False) -> None:
        """The stream has ended."""
        flow = self.to_upstream if of_client else self.to_client
        for piece in flow.codec.eof():
            (self._up if of_client else self._down)(flow, piece)

    def place(self) -> tuple[Any, ...]:
        """What two drives of the same bytes must agree on."""
        return (
            list(self.outstanding),
            self.counted,
            self.replied_count,
            self.to_upstream.codec.undecided(),
            self.to_client.codec.undecided(),
            _facts(self.session),
        )


def _facts(session: Any) -> dict[str, Any]:
    names = list(getattr(session, "__dict__", {}))
    for kind in type(session).__mro__:
        names += getattr(kind, "__slots__", ())
    return {name: getattr(session, name) for name in names if hasattr(session, name)}


def cuts(data: bytes, *at: int) -> list[bytes]:
    """`data` cut at these places (taken modulo its length, in any order)."""
    places = sorted({place % (len(data) + 1) for place in at})
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def bytewise(data: bytes) -> list[bytes]:
    """`data` one byte at a time."""
    return [data[i : i + 1] for i in range(len(data))]
