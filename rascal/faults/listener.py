"""Faults of the listening socket: nobody gets in.

Both leave connections that live already alone.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.faults.types import Act, Draw, Kind, Level, ListenFull, ListenRefuse, Refuse
from rascal.options import Options
from rascal.wire.types import Moment


class RefuseConnections(Kind):
    """Connection refused."""

    name = "refuse"
    datagrams = True
    summary = "New connections are refused."
    faithful = (
        "Exact while it takes every connection: nothing listens, the client's SYN is answered "
        "with RST, and attempts are invisible (fired = 1 when it takes effect). With a match, "
        "probability, skip, every or count the connection is accepted first and then reset. Over "
        "UDP nothing is bound, and the kernel says so (ICMP, port unreachable)."
    )
    levels: ClassVar[tuple[Level, ...]] = ("listener", "connection")
    only_at_start = True

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return ListenRefuse() if subject is None else Refuse("reset")


class Unreachable(Kind):
    """Connecting times out."""

    name = "unreachable"
    datagrams = True
    summary = "Connecting gets no answer, as if the host were down or a firewall dropped it."
    faithful = (
        "The accept queue is kept full, so that SYNs go unanswered. Linux and TCP only; a bound, "
        "not a count: now and then a connection may still be completed by the kernel, and "
        "attempts are invisible (fired = 1 when it takes effect). Datagrams are dropped."
    )
    levels: ClassVar[tuple[Level, ...]] = ("listener",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return ListenFull()
