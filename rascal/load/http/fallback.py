"""One request through stock treq: for what our client does not do. One call, one outcome, as ever.

Of a reply that is not buffered (`unbuffered=True`) the call ends with its body, or with the
time-out if nobody reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treq.client import HTTPClient
from treq.response import _Response
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.error import InfiniteRedirection, PageRedirect
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from rascal.load.http.connections import NO_TIMES
from rascal.load.http.errors import RequestFailed
from rascal.load.http.exchange import outcome_of
from rascal.load.http.response import Response
from rascal.load.http.stock import stock_failure
from rascal.load.http.urls import Template
from rascal.load.http.wire import Head
from rascal.load.types import SERVED, Call

if TYPE_CHECKING:
    from rascal.load.http.session import Session


def fall_back(
    session: Session, template: Template, seconds: float, name: str, arguments: dict[str, Any]
) -> Deferred[Response]:
    """Send it through stock treq. Raises what treq raises for arguments that make no request."""
    headers = Headers()
    for lower, line in template.defaults.named.items():
        if lower != b"accept-encoding":  # treq adds it
            headers.addRawHeader(*line[:-2].split(b": ", 1))
    for own, value in session.headers.items():
        headers.setRawHeaders(own, [value])
    given = HTTPClient._request_headers(session, arguments["headers"], 2)
    for key, values in given.getAllRawHeaders():
        headers.setRawHeaders(key, values)
    url = template.web_url
    if template.authorization and not headers.hasHeader(b"authorization"):
        headers.setRawHeaders(b"authorization", [template.authorization[15:-2]])
    if session.client.closed:
        closed: Deferred[Any] = fail(RequestFailed("refused", "the load client is closed"))
        return Fallback(session, template, seconds, name, closed, False).deferred
    session._socket = template.origin if template.origin.unix else None
    sent = HTTPClient.request(
        session,
        template.method,
        url,
        **{**arguments, "headers": headers, "unbuffered": True},
        reactor=session.client.reactor,
    )
    return Fallback(session, template, seconds, name, sent, arguments["unbuffered"]).deferred


class Fallback:
    """One request through stock treq, until its end."""

    connection = None
    previous: Any = None

    def __init__(
        self,
        session: Session,
        template: Template,
        seconds: float,
        name: str,
        sent: Deferred[Any],
        unbuffered: bool,
    ) -> None:
        self.session = session
        self.template = template
        self.seconds = seconds
        self.data = template.start + b"\r\n"
        self.call: Call = session._begin(name)
        self.call.lane = "treq"
        self.over = False
        self.deadline = self.call.started + seconds
        self.table = session.client.wheel.table(seconds)
        self.table[self] = None
        self.stream: StreamedResponse | None = None
        self.deferred: Deferred[Response] = Deferred(self._cancelled)
        self._kept: _Keeping | None = None
        self._waiting: Deferred[Any] | None = sent
        sent.addCallback(self._head, unbuffered).addErrback(self._failed)

    def _head(self, response: Any, unbuffered: bool) -> Any:
        self.call.first_byte = self.session.client.now()
        if self.over:
            return None
        head = head_of(response)
        if unbuffered:
            self._waiting = None
            stream = StreamedResponse(self.session, self, head, b"", NO_TIMES)
            self._fill(stream, response, head)
            self.stream = stream
            self.deferred.callback(stream)
            return None
        self._waiting = None
        self._kept = _Keeping(self, response, head)
        response.deliverBody(self._kept)
        return None

    def kept(self, body: bytes, response: Any, head: Head) -> None:
        """The body of a reply that is buffered."""
        done = Response(self.session, self, head, body, NO_TIMES)  # type: ignore[arg-type]
        self._fill(done, response, head)
        self.end(done)

    def _fill(self, response: Response, stock: Any, head: Head) -> None:
        response.previousResponse = stock.previousResponse
        response.stock = stock
        call = self.call
        call.received += len(head.raw)
        before = stock
        while before is not None:
            call.replies += 1
            before = before.previousResponse
        call.outcome = outcome_of(head)
        if call.outcome is not SERVED:
            call.detail = f"status {head.code}"

    def _failed(self, failure: Failure) -> None:
        if self.over:
            return
        error = failure.value
        reply = getattr(error, "response", None)
        if isinstance(error, ResponseFailed) and reply is not None:
            if error.reasons[0].check(InfiniteRedirection):
                self.fail(RequestFailed("malformed", "more than 20 redirects"))
                return
            if error.reasons[0].check(PageRedirect):  # what is not followed is the answer
                again = Deferred[Any]()
                again.addCallback(self._head, False).addErrback(self._failed)
                again.callback(_Response(reply, self.session._cookiejar))
                return
        self.fail(stock_failure(error))

    def end(self, response: Response) -> None:
        """The whole reply is there."""
        self._over()
        if not self.deferred.called:
            self.deferred.callback(response)
        self.session.finish(self.call)
        self.session.sample(self, response)

    def fail(self, error: RequestFailed) -> None:
        """There is no usable reply."""
        if self.over:
            return
        self._over()
        self.call.outcome, self.call.detail = error.outcome, error.detail
        if self.stream is not None:
            self.call.replies -= 1  # counted with its head
        if not self.deferred.called:
            self.deferred.errback(Failure(error))
        self.session.finish(self.call)
        self.session.sample(self, None)
        self._abort()

    def _abort(self) -> None:
        if self.stream is not None:
            self.stream.abort()
        elif self._kept is not None:
            self._kept.abort()
        elif self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.cancel()

    def _over(self) -> None:
        self.over = True
        self.table.pop(self, None)
        self.call.ended = self.session.client.now()

    def expire(self) -> None:
        """The time-out of the whole request."""
        what = "no reply" if self.stream is None else "no complete reply was read"
        self.fail(RequestFailed("timeout", f"{what} within {self.seconds:g}s"))

    def abandon(self) -> None:
        """The client closes."""
        if self.stream is None:
            self.deferred.cancel()
        else:
            self.fail(RequestFailed("timeout", "given up"))

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        if self.over:
            return
        self._over()
        self.call.outcome, self.call.detail = "timeout", "given up"
        deferred.errback(Failure(CancelledError()))
        self.session.finish(self.call)
        self._abort()


class StreamedResponse(Response):
    """A reply whose body the caller takes as it comes; the call ends with the body."""

    __slots__ = ("_watching",)

    def __init__(self, session: Any, exchange: Any, head: Head, body: bytes, times: Any) -> None:
        super().__init__(session, exchange, head, body, times)
        self._fallback: Fallback = exchange
        self._watching: _Watching | None = None

    @property
    def body(self) -> Any:
        """Nobody kept it."""
        return None

    def _size(self) -> Any:
        return self.stock.length

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        self._watching = _Watching(protocol, self)
        self.stock.deliverBody(self._watching)

    def content(self) -> Deferred[bytes]:
        return _Response.content(self)

    def text(self, encoding: str = "ISO-8859-1") -> Deferred[str]:
        return _Response.text(self, encoding)

    def json(self, **kwargs: Any) -> Deferred[Any]:
        return _Response.json(self, **kwargs)

    def collect(self, collector: Any) -> Deferred[None]:
        return _Response.collect(self, collector)

    def finished(self, reason: Failure) -> None:
        """The body has ended."""
        if self._fallback.over:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self._fallback.end(self)
        else:
            self._fallback.fail(stock_failure(reason.value))

    def abort(self) -> None:
        """Stop it."""
        if self._watching is None:
            self.stock.deliverBody(_Aborting())
        elif self._watching.transport is not None:
            _abort(self._watching.transport)


class _Watching(Protocol):
    def __init__(self, protocol: Any, response: StreamedResponse) -> None:
        self._protocol = protocol
        self._response = response

    def connectionMade(self) -> None:
        self._protocol.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._response.call.received += len(data)
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._protocol.connectionLost(reason)
        self._response.finished(reason)


class _Keeping(Protocol):
    """Keeps the body, within the client's bound."""

    def __init__(self, fallback: Fallback, response: Any, head: Head) -> None:
        self._fallback = fallback
        self._response = response
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        fallback = self._fallback
        if fallback.over:
            return
        fallback.call.received += len(data)
        client = fallback.session.client
        if client.discard:
            return
        self._size += len(data)
        if self._size > client.body_limit:
            self._pieces.clear()
            detail = f"the body is longer than {client.body_limit} bytes"
            fallback.fail(RequestFailed("malformed", detail))
            return
        self._pieces.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self._fallback.over:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self._fallback.kept(b"".join(self._pieces), self._response, self._head)
        else:
            self._fallback.fail(stock_failure(reason.value))

    def abort(self) -> None:
        """Stop it."""
        if self.transport is not None:
            _abort(self.transport)


class _Aborting(Protocol):
    def connectionMade(self) -> None:
        _abort(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        """As was asked."""


def _abort(transport: Any) -> None:
    (getattr(transport, "abortConnection", None) or transport.loseConnection)()


def head_of(response: Any) -> Head:
    """What there is to know of a reply of stock treq's."""
    lines = [b"HTTP/1.1 %d %s\r\n" % (response.code, response.phrase or b"")]
    for name, values in response.headers.getAllRawHeaders():
        lines += (b"%s: %s\r\n" % (name, value) for value in values)
    lines.append(b"\r\n")
    head = Head.__new__(Head)
    head.raw = b"".join(lines)
    head.code = response.code
    head.keep = head.sets = False
    head.length = -1
    head.encoding = head.location = b""  # treq has decoded it
    head.retry_after = response.headers.hasHeader(b"retry-after")
    return head
