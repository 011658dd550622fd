"""The HTTP side of the control port: bounded requests, bounded connections, bounded patience.

    connection ─► Channel: a request within RECEIVE seconds, idle for IDLE at most
               ─► HttpRequest: body in memory up to a limit, dropped beyond
    ControlSite: CONNECTIONS at most; a newcomer takes the place of the one that is idle longest

However many clients connect and say nothing, or say it slowly, the next one is answered: those
that are not in the middle of being answered give way, the longest idle first.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from rascal.control._auth import Role
from rascal.control._call import BODY
from rascal.control._json import dumps
from rascal.control._problems import CONTENT_TYPE, Problem

DRAINED = 8 * 1024 * 1024
"""Bytes of a body that is too long which are read and dropped, so that the answer arrives; if more
were to come the connection is closed."""

IDLE = 60
"""Seconds that a connection may be silent between two requests."""

RECEIVE = 15
"""Seconds from the first byte of a request to its last."""

CONNECTIONS = 512
"""Open connections to the control port."""

LIMITS = {b"/api/v1/state": 256 * 1024, b"/populate": 512 * 1024}
"""Bytes of a body where BODY would be too few."""

REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class HttpRequest(Request):
    """A request whose body is kept in memory up to a limit and dropped beyond."""

    oversize = False
    role: Role = "viewer"
    who = ""
    rule = ""
    _received = 0
    _limit = BODY

    def gotLength(self, length: int | None) -> None:  # noqa: N802  (Twisted's name)
        """The headers are complete."""
        self.content = self._body = BytesIO()
        channel: Any = self.channel
        self._limit = LIMITS.get(getattr(channel, "_path", b""), channel.site.limit)
        if length is not None and length > self._limit:
            self.oversize = True
            if length > DRAINED:
                self._hang_up()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802  (Twisted's name)
        """A part of the body."""
        self._received += len(data)
        if self._received > self._limit:
            self.oversize = True
        if not self.oversize:
            self._body.write(data)
        elif self._received > DRAINED:
            self._hang_up()

    def process(self) -> None:
        """The request is complete."""
        if self.path == b"*":  # else it would be answered before the door
            self.path = b"/*"
        super().process()

    def too_large(self) -> Problem:
        """413."""
        limit = self._limit // 1024
        return Problem(413, "too-large", f"a request's body has at most {limit} KiB here")

    def _hang_up(self) -> None:
        channel: Any = self.channel
        last_words(channel, self.too_large())


class Channel(HTTPChannel):
    """One connection to the control port."""

    site: ControlSite
    receiving = False

    def connectionMade(self) -> None:
        """Somebody has connected."""
        self.timeOut = IDLE
        super().connectionMade()
        if not self.site.admit(self):
            text = "too many connections are being answered: come again"
            last_words(self, Problem(503, "busy", text, headers={"Retry-After": "1"}))

    def dataReceived(self, data: bytes) -> None:
        """Bytes do not lengthen the time that a request may take."""
        if not (self._handlingRequest or self.receiving):
            self.receiving = True
            self.setTimeout(RECEIVE)
        LineReceiver.dataReceived(self, data)

    def allContentReceived(self) -> None:
        """A request is complete."""
        self.receiving = False
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802  (Twisted's name)
        """A request is answered."""
        if self._savedTimeOut:
            self._savedTimeOut = IDLE
        self.site.answered(self)
        super().requestDone(request)

    def timeoutConnection(self) -> None:  # noqa: N802  (Twisted's name)
        """Idle too long, or a request that does not end."""
        if self.receiving:
            title = f"a request arrives within {RECEIVE:g} s"
            last_words(self, Problem(408, "too-slow", title))
        else:
            self.loseConnection()
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802  (Twisted's name)
        """The first line or a header is too long."""
        title = f"a line of a request has at most {self.MAX_LENGTH} bytes"
        last_words(self, Problem(431, "too-large", title))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self.site.gone(self)
        super().connectionLost(reason)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._handlingRequest)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802  (Twisted's name)
        last_words(self, Problem(400, "malformed", "this is no request of HTTP"))


def last_words(channel: Any, problem: Problem) -> None:
    """Answer with a problem past everything else, and close."""
    body = dumps(problem.json())
    headers = "".join(f"{name}: {value}\r\n" for name, value in problem.headers.items())
    head = (
        f"HTTP/1.1 {problem.status} {REASONS[problem.status]}\r\n"
        f"Server: rascal\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{headers}Connection: close\r\n\r\n"
    )
    channel.transport.write(head.encode("ascii") + body)
    channel.loseConnection()


class ControlSite(Site):
    """A site without an access log: what changes something is logged where it is changed.

    Args:
        door: the resource that takes every request.
        reactor: whose clock time-outs go by.
        limit: bytes of a body, but for the addresses in LIMITS.
    """

    noisy = False
    displayTracebacks = False  # noqa: N815  (Twisted's name)

    def __init__(self, door: Resource, reactor: Any = None, limit: int = BODY) -> None:
        super().__init__(
            door,
            requestFactory=HttpRequest,
            timeout=IDLE,
            reactor=reactor,
            parsePOSTFormSubmission=False,
        )
        self.open: dict[Channel, None] = {}
        self.limit = limit

    def protocol(self) -> Channel:  # type: ignore[override]
        """A connection; Twisted's own would also speak HTTP/2, which nobody needs here."""
        channel = Channel()
        channel.site = self
        channel.requestFactory = HttpRequest
        return channel

    def admit(self, channel: Channel) -> bool:
        """Take a connection in, if need be in place of the one that is idle longest."""
        if len(self.open) >= CONNECTIONS:
            idle = next((one for one in self.open if not one.busy), None)
            if idle is None:
                return False
            del self.open[idle]
            cast(ITCPTransport, idle.transport).abortConnection()
        self.open[channel] = None
        return True

    def answered(self, channel: Channel) -> None:
        """It is the latest to have been answered."""
        if channel in self.open:
            del self.open[channel]
            self.open[channel] = None

    def gone(self, channel: Channel) -> None:
        """It is closed."""
        self.open.pop(channel, None)

    def log(self, request: Any) -> None:
        """Nothing."""
