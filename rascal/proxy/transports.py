"""An end over a Twisted transport, for upstreams that only a Twisted endpoint string can name.

Slower than `rascal.proxy.ends` and a little less exact: `rest` only says whether something waits,
a hang-up is noticed when reading goes on, and half-close works where the transport has it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet import error
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rascal.proxy import ends
from rascal.proxy.clock import Reactor
from rascal.proxy.ends import NOBODY, Owner, ignore_data, ignore_eof

if TYPE_CHECKING:
    from rascal.proxy.dialler import Dialling, How

log = Logger()


def connect(text: str, dialling: Dialling) -> None:
    """Connect to an endpoint string and tell the dialling how it went."""
    reactor: Any = dialling.reactor
    factory = Factory.forProtocol(partial(TransportEnd, reactor))

    def made(end: TransportEnd) -> None:
        if dialling.wanting is None:
            end.reset()
        else:
            dialling.established(end)

    def failed(failure: Failure) -> None:
        dialling.failed(_how(failure), failure.getErrorMessage())

    try:
        found = clientFromString(reactor, text).connect(factory)
    except Exception as problem:
        dialling.failed("unreachable", str(problem))
        return
    dialling.pending = found
    found.addCallbacks(made, failed)
    found.addErrback(lambda failure: log.failure("dialling {text}", failure, text=text))


def _how(failure: Failure) -> How:
    if failure.check(error.ConnectionRefusedError):
        return "refused"
    if failure.check(error.TimeoutError, error.TCPTimedOutError):
        return "timeout"
    if failure.check(error.DNSLookupError, error.UnknownHostError):
        return "unresolved"
    return "unreachable"


@implementer(IHalfCloseableProtocol, IPushProducer)
class TransportEnd(Protocol):
    """The interface of an End (rascal.proxy.ends) over a transport; starts paused."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.rest = 0
        self.closed = False
        self.fin = False
        self.peer = ""
        self.taken = self.sent = 0
        self.on_data: Callable[[memoryview], None] = ignore_data
        self.on_eof: Callable[[], None] = ignore_eof
        self.owner: Owner = NOBODY
        self._eof = False
        self._paused = True
        self._timer: IDelayedCall | None = None

    # -- what Twisted calls ------------------------------------------------------------------------
    def connectionMade(self) -> None:
        wire: Any = self.transport
        wire.pauseProducing()
        wire.registerProducer(self, True)
        self.peer = str(wire.getPeer())

    def dataReceived(self, data: bytes) -> None:
        self.taken += len(data)
        self.on_data(memoryview(data))

    def readConnectionLost(self) -> None:
        if not self._eof:
            self._eof = True
            self.on_eof()
            if self.fin and not self.closed:
                self.close()

    def writeConnectionLost(self) -> None:
        self.rest = 0

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        told, owner = not self.closed, self.owner
        if told and reason.check(error.ConnectionDone):
            self.readConnectionLost()
            told = False
        self.closed = self.fin = True
        self.rest = 0
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.owner = NOBODY
        if told:
            owner.lost(self)

    def pauseProducing(self) -> None:
        self.rest = 1

    def resumeProducing(self) -> None:
        if self.rest:
            self.rest = 0
            if not self.closed:
                self.owner.drained(self)

    def stopProducing(self) -> None:
        self.rest = 0

    # -- the interface of an End -------------------------------------------------------------------
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep for later."""
        if not self.fin:
            wire: Any = self.transport
            self.sent += len(data)
            wire.write(bytes(data))

    def pause(self) -> None:
        """Do not read."""
        if not (self._paused or self.closed or self._eof):
            self._paused = True
            wire: Any = self.transport
            wire.pauseProducing()

    def resume(self) -> None:
        """Read."""
        if self._paused and not (self.closed or self._eof):
            self._paused = False
            wire: Any = self.transport
            wire.resumeProducing()

    def shut(self) -> None:
        """FIN behind the rest where the transport can say it, else the end of it all."""
        if not self.fin:
            self.fin = True
            wire: Any = self.transport
            wire.unregisterProducer()
            getattr(wire, "loseWriteConnection", wire.loseConnection)()
            if self._eof:
                self.close()

    def close(self) -> None:
        """FIN behind the rest, RST if that takes too long."""
        if self.closed:
            return
        self.closed = True
        self.on_data, self.on_eof = ignore_data, ignore_eof
        wire: Any = self.transport
        if not self.fin:
            self.fin = True
            wire.unregisterProducer()
        self._timer = self.reactor.callLater(ends.CLOSING, wire.abortConnection)
        wire.loseConnection()

    def reset(self) -> None:
        """RST now."""
        self.closed = self.fin = True
        self.on_data, self.on_eof = ignore_data, ignore_eof
        wire: Any = self.transport
        getattr(wire, "abortConnection", wire.loseConnection)()
