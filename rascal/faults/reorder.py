"""Datagrams out of order."""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.faults.types import Act, Draw, Kind, Overtake
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Moment, WireProtocol


class Reorder(Kind):
    """A datagram that is overtaken."""

    name = "reorder"
    summary = "A datagram is overtaken by later ones of its client and direction."
    faithful = (
        "As a network with several ways. It leaves behind the datagram that overtakes it last, "
        "or when `wait` is over and none has come. Over TCP nothing is reordered: such requests "
        "count as skipped (stream)."
    )
    datagrams = True
    options = OptionTable(
        Option("after", "positive", "so many later datagrams go first", default=1),
        Option("wait", "duration", "at most so long", default=1.0, minimum=0.001),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply")

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        return self.options if "udp" in protocol.carriers else None

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if not getattr(subject.connection, "datagrams", False):
            return "stream"
        return Overtake(moment, options.after, options.wait)
