"""TCP: bytes without messages.

For everything Rascal has no codec for. Faults are those on listeners, connections and bytes; a
match may name the client only.
"""

from __future__ import annotations

from typing import Any

from rascal.wire.types import COMMON_FIELDS, Codec, Ledger, WireProtocol


class Tcp(WireProtocol):
    """Not a protocol, but the lack of one."""

    name = "tcp"
    title = "TCP"
    fields = tuple(field for field in COMMON_FIELDS if field.name == "client")
    messages = False

    def codecs(self, session: Any, ledger: Ledger) -> tuple[Codec, Codec]:
        raise NotImplementedError("tcp has no messages, hence no codecs")


PROTOCOL: WireProtocol = Tcp()
