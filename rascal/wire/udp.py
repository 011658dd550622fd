"""Datagrams of any protocol over UDP.

Each datagram is a message of its own: one from the client is struck at `request`, one from the
upstream at `reply` (`delay 50ms at request,reply` is both ways). They are not paired: nobody knows
which answers which. `n` counts the datagrams of one client in one direction.

There are no connections. What a client sends from one address and port goes to the upstream from
one socket, and what that gets goes back; it is forgotten when nothing was sent either way for
`idle`, and so is who was silent longest where `clients` have come. To probe loss of one datagram
in three: `33% lose_request`, `33% lose_reply`.

Source: RFC 768.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rascal.options import OptionTable
from rascal.wire.types import (
    COMMON_FIELDS,
    HEAD_BYTES,
    UDP_OPTIONS,
    Codec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)


@dataclass(slots=True)
class DatagramHead(Head):
    """One datagram."""

    data: bytes = b""
    to_upstream: bool = True

    def value(self, name: str) -> Any:
        if name == "command":
            return self.command
        if name == "size":
            return len(self.data)
        if name == "direction":
            return "to_upstream" if self.to_upstream else "to_client"
        if name == "data":
            return self.data[:HEAD_BYTES]
        return None


class Udp(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "udp"
    title = "UDP, datagrams of any kind"
    carriers = ("udp",)
    paired = False
    fields = (
        *COMMON_FIELDS,
        Field("size", "size", "bytes of the datagram"),
        Field("direction", "word", "to_upstream or to_client", folded=True),
        Field("data", "text", "what is in it; bytes that are not UTF-8 match as they can"),
    )
    options = OptionTable(*UDP_OPTIONS)

    def codecs(self, session: Any, ledger: Ledger) -> tuple[Codec, Codec]:
        raise NotImplementedError("udp has no stream")

    def datagram(self, session: Any, data: bytes, to_upstream: bool) -> Head:
        return DatagramHead("DATAGRAM", data=data, to_upstream=to_upstream)


PROTOCOL: WireProtocol = Udp()
