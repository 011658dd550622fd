"""A reader of events in memory: a transport that is full when the test says so."""

from __future__ import annotations

from typing import Any

from rascal.control.client._events import Event, EventReader


class Listener:
    """Asks a site for events (HTTP/1.0: no chunks) and reads what comes.

    Args:
        site: of the API.
        query: what stands behind the question mark.
        last: the Last-Event-ID.
        room: bytes that the transport takes before it is full.
    """

    def __init__(self, site: Any, query: str = "", last: str = "", room: int = 1 << 30) -> None:
        from twisted.internet.testing import StringTransport

        listener = self

        class Transport(StringTransport):
            def write(self, data: bytes) -> None:
                super().write(data)
                listener.size += len(data)
                if listener.size > listener.room and self.producer is not None:
                    self.producer.pauseProducing()

        self.room = room
        self.size = 0
        self.transport = Transport()
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.reader = EventReader(last)
        self.head = b""
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        request = f"GET /api/v1/events?{query} HTTP/1.0\r\nHost: 127.0.0.1:8474\r\n{more}\r\n"
        self.channel.dataReceived(request.encode("latin-1"))

    @property
    def status(self) -> int:
        self.read()
        return int(self.head.split()[1])

    @property
    def body(self) -> bytes:
        """What came and was not read as events."""
        found: bytes = self.transport.value()
        if not self.head:
            self.head, _, found = found.partition(b"\r\n\r\n")
        self.transport.clear()
        return found

    def read(self) -> list[Event]:
        """The events that have come since."""
        self.size = 0
        return self.reader.feed(self.body)

    def resume(self) -> None:
        """The transport has room again."""
        self.size = 0
        self.transport.producer.resumeProducing()

    def leave(self) -> None:
        """Close the connection."""
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        self.channel.connectionLost(Failure(ConnectionDone()))
