"""One reader of events: a connection that is written to as fast as it is read, and no faster.

    ready ──the socket is full──► paused ──it has room──► ready: what was missed comes from the ring

While it is paused nothing is queued for it. What it holds at most is the transport's own buffer
and one write: PIECE bytes, or a snapshot.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from rascal.control._ring import Wants

PIECE = 64 * 1024
"""Bytes that are written at once while it catches up."""
QUIET = 15
"""Seconds without a word after which it gets a sign of life."""
STALLED = 60
"""Seconds without taking anything after which it is let go."""


@implementer(IPushProducer)
class Reader:
    """Who reads.

    Args:
        hub: where the events are.
        request: of HTTP, being answered.
        wants: which events.
        at: the number of the last event that it has; None: it begins anew.
    """

    def __init__(self, hub: Any, request: Any, wants: Wants, at: int | None) -> None:
        self.hub = hub
        self.request = request
        self.wants = wants
        self.at = at
        self.ready = True
        self.gone = False
        self.quiet = 0
        self.stalled = 0

    def begin(self) -> None:
        """Answer."""
        self.request.notifyFinish().addBoth(lambda _: self.hub.drop(self))
        self.request.registerProducer(self, True)
        at = "" if self.at is None else f"id: {self.hub.ring.id(self.at)}\n"
        self.write(f"retry: 1000\n{at}\n".encode("ascii"))

    def write(self, data: bytes) -> None:
        """Send it; this may make it paused."""
        if data and not self.gone:
            self.quiet = 0
            self.request.write(data)

    def tick(self) -> bool:
        """A second has passed; whether it still takes something."""
        if self.ready:
            self.stalled = 0
            self.quiet += 1
            if self.quiet >= QUIET:
                # An id alone is no event, but it is where reading is resumed.
                self.write(f"id: {self.hub.ring.id(self.at)}\n\n".encode("ascii"))
        else:
            self.stalled += 1
        return self.stalled < STALLED

    def end(self, abort: bool = False) -> None:
        """Close the connection."""
        if self.gone:
            return
        self.gone = True
        channel = self.request.channel
        self.request.unregisterProducer()
        if channel is None:
            return
        if abort:
            channel.transport.abortConnection()
        else:
            channel.persistent = False
            self.request.finish()

    # ---- what transports ask of a producer

    def pauseProducing(self) -> None:
        """The socket is full."""
        self.ready = False

    def resumeProducing(self) -> None:
        """It has room."""
        self.ready = True
        self.hub.catch_up(self)

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.hub.drop(self)
