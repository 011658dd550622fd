"""DNS over TCP: messages with their length before them, in both directions.

    length 2 · message

Requests are pipelined, and answers may come in another order (RFC 7766 6.2.1.1): each turns the
books to the request with its id. An answer with an id that nobody waits for is an aside: the
further messages of a zone transfer, of which the first is the reply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from rascal.errors import ProtocolError
from rascal.wire.dns_session import DnsSession, read_head
from rascal.wire.types import Buffer, Codec, Ledger, Piece, skim_replies, skim_requests

if TYPE_CHECKING:
    from rascal.wire.types import WireProtocol


class StreamCodec(Codec):
    """One direction; a message is always one piece."""

    def __init__(
        self, protocol: WireProtocol, session: DnsSession, ledger: Ledger, to_upstream: bool
    ) -> None:
        self.protocol = protocol
        self.session = session
        self.ledger = ledger
        self.to_upstream = to_upstream
        self.data = b""
        self.at = 0
        self.skimming = [False]

    def undecided(self) -> bytes:
        return self.data[self.at :]

    def under_way(self) -> Literal["", "message", "aside"]:
        return ""

    def feed(self, data: Buffer) -> Iterator[Piece]:
        self.data = taken = self.data[self.at :] + bytes(data)
        self.at = 0
        while self.at + 2 <= len(taken):
            start = self.at
            size = int.from_bytes(taken[start : start + 2], "big")
            if size < 12:
                raise ProtocolError("less than the header of a message")
            end = start + 2 + size
            if end > len(taken):
                break
            head = read_head(taken[start + 2 : end], True, self.to_upstream)
            if not self.to_upstream:
                head.push = not self.ledger.turn(head.framing)
            self.at = end
            yield Piece(taken[start:end], head, False, True)
        self.data = taken[self.at :]
        self.at = 0

    def skim(self, data: Buffer) -> None:
        if self.to_upstream:
            skim_requests(self, self.protocol, self.session, self.ledger, data)
        else:
            skim_replies(self, self.ledger, data, self.skimming)
