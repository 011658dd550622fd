"""Replies as treq gives them, whole and already there: body and headers are only to be looked at.

`Reply` is Twisted's IResponse with the bytes as they came; our Agent gives it to whatever is
above. `Response` is what sessions give: treq's response (decoded body, `json()`, `text()`, …) and
what the load client adds (`check()`, `reduced()`, `wrong()`, `timings`).
"""

from __future__ import annotations

import json as json_
import zlib
from typing import TYPE_CHECKING, Any

import attrs
from treq.content import _encoding_from_headers
from treq.response import _Response
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest
from zope.interface import implementer

from rascal.load.checks import Checked, check
from rascal.load.http.connections import Times
from rascal.load.http.errors import RequestFailed
from rascal.load.types import SERVED, Call

if TYPE_CHECKING:
    from rascal.load.http.exchange import Exchange
    from rascal.load.http.session import Session
    from rascal.load.http.urls import Template
    from rascal.load.http.wire import Head

_DONE = Failure(ResponseDone())
_DECODED = (b"gzip", b"x-gzip", b"deflate")


@attrs.frozen
class Timings:
    """Where the time of a request went, in seconds. 0: not needed, as on a kept connection."""

    dns: float
    connect: float
    tls: float
    first_byte: float
    """From the start to the first byte of the reply; so is `total`, to its last."""
    total: float


@implementer(IClientRequest)
class Request:
    """The request that a response answers, as Twisted's IClientRequest."""

    __slots__ = ("absoluteURI", "headers", "method")

    def __init__(self, template: Template, data: bytes) -> None:
        self.method = template.method.encode("ascii")
        self.absoluteURI = template.url.encode("ascii")
        self.headers = headers_of(data.partition(b"\r\n\r\n")[0])


def headers_of(head: bytes) -> Headers:
    """The header lines of a head."""
    headers = Headers()
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.addRawHeader(name, value.strip())
    return headers


class Reply(_Response):
    """A complete reply, its bytes as they came."""

    __slots__ = (
        "_body",
        "_data",
        "_head",
        "_headers",
        "_length",
        "_plain",
        "_template",
        "_times",
        "call",
        "code",
        "previousResponse",
        "session",
        "stock",
    )

    def __init__(
        self, session: Session, exchange: Exchange, head: Head, body: bytes, times: Times
    ) -> None:
        self.session = session
        self.call: Call = exchange.call
        self._template = exchange.template
        self._data = exchange.data
        self._head = head
        self._body = body
        self._times = times
        self.code = head.code
        self.previousResponse = exchange.previous
        self._headers: Headers | None = None
        self._length: Any = None
        self._plain: bytes | None = None

    @property
    def original(self) -> Any:  # type: ignore[override]
        return self

    @property
    def _cookiejar(self) -> Any:  # type: ignore[override]
        return self.session._cookiejar

    @property
    def version(self) -> tuple[bytes, int, int]:
        return (b"HTTP", 1, int(self._head.raw[7:8]))

    @property
    def phrase(self) -> bytes:
        return self._head.raw.partition(b"\r\n")[0][13:]

    @property
    def headers(self) -> Headers:
        """Parsed when they are first asked for."""
        if self._headers is None:
            self._headers = headers_of(self._head.raw[:-4])
        return self._headers

    @property
    def length(self) -> Any:
        return self._size() if self._length is None else self._length

    @length.setter
    def length(self, value: Any) -> None:  # decoders above say that it is unknown
        self._length = value

    def _size(self) -> Any:
        return len(self._body)

    @property
    def request(self) -> Request:
        return Request(self._template, self._data)

    @property
    def url(self) -> str:
        """What was asked last, after redirects."""
        return self._template.url

    def setPreviousResponse(self, response: Any) -> None:  # noqa: N802
        self.previousResponse = response

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        """Hand the body to a protocol, at once."""
        protocol.makeConnection(None)
        if self.body:
            protocol.dataReceived(self.body)
        protocol.connectionLost(_DONE)

    @property
    def body(self) -> bytes:
        """All of it."""
        return self._body

    @property
    def lane(self) -> str:
        """Who carried it."""
        return self.call.lane

    @property
    def timings(self) -> Timings:
        """Of the last request, if there were redirects; `total` of all."""
        call, times = self.call, self._times
        return Timings(
            times.dns,
            times.connect,
            times.tls,
            max(0.0, call.first_byte - call.started) if call.first_byte else 0.0,
            max(0.0, call.ended - call.started),
        )

    def raw(self) -> bytes:
        """The beginning of what came, for samples."""
        return self._head.raw + self._body[:4096]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.code} {len(self._body):,d} bytes>"


class Response(Reply):
    """A complete reply for user code: decoded when it is read."""

    __slots__ = ()

    @property
    def headers(self) -> Headers:
        """Without Content-Encoding where the body is decoded, as with treq."""
        headers = self._headers
        if headers is None:
            headers = Reply.headers.fget(self)  # type: ignore[attr-defined]
            if self._head.encoding in _DECODED:
                headers.removeHeader(b"content-encoding")
        return headers

    def _size(self) -> Any:
        """Unknown where the body is decoded, as with treq."""
        return UNKNOWN_LENGTH if self._head.encoding in _DECODED else len(self._body)

    @property
    def body(self) -> bytes:
        """All of it, decoded. Raises RequestFailed if it cannot be."""
        if not self._head.encoding or not self._body:
            return self._body
        if self._plain is None:
            self._plain = self._decode()
        return self._plain

    def _decode(self) -> bytes:
        encoding = self._head.encoding
        if encoding not in _DECODED:
            return self._body
        limit = self.session.client.body_limit
        try:
            return decode(self._body, encoding, limit)
        except (zlib.error, ValueError) as error:
            detail = f"{encoding.decode()} body: {error}"
            self.spoiled("malformed", detail)
            raise RequestFailed("malformed", detail) from error

    # -- treq --------------------------------------------------------------------------------------
    def content(self) -> Deferred[bytes]:
        """The body."""
        try:
            return succeed(self.body)
        except RequestFailed:
            return fail()

    def text(self, encoding: str = "ISO-8859-1") -> Deferred[str]:
        """The body as text: in the charset that the reply names, else in `encoding`."""
        try:
            return succeed(self.body.decode(_encoding_from_headers(self.headers) or encoding))
        except (RequestFailed, ValueError, LookupError):
            return fail()

    def json(self, **kwargs: Any) -> Deferred[Any]:
        """The body as JSON. A reply that was served and is not JSON becomes malformed."""
        try:
            return succeed(json_.loads(self.body, **kwargs))
        except RequestFailed:
            return fail()
        except ValueError as error:
            if self.call.outcome == SERVED:
                self.spoiled("malformed", f"not JSON: {error}")
            return fail()

    def collect(self, collector: Any) -> Deferred[None]:
        """Hand the body to a function."""
        try:
            if self.body:
                collector(self.body)
        except Exception:
            return fail()
        return succeed(None)

    def history(self) -> list[Any]:
        """The replies that redirected here, in their order."""
        found: list[Any] = []
        before = self.previousResponse
        while before is not None:
            found.insert(0, before)
            before = before.previousResponse
        return found

    # -- load --------------------------------------------------------------------------------------
    @property
    def outcome(self) -> str:
        """What this call counts as, so far."""
        return self.call.outcome

    def check(self, **wanted: Any) -> Checked:
        """Check status, JSON, content, time…; what fails is counted, and the user goes on."""
        return check(self, wanted)

    def reduced(self) -> Response:
        """Mark this reply as reduced service: right, but less than usual."""
        self.session.recorder.reduce(self.call)
        return self

    def wrong(self, detail: str = "") -> Response:
        """Mark this reply as wrong data."""
        self.spoiled("wrong_data", detail)
        return self

    def spoiled(self, outcome: str, detail: str) -> None:
        """Give the call another outcome, recorded already or not."""
        self.session.recorder.amend(self.call, outcome, detail)


def decode(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Undo gzip (of several members too) or deflate, bounded."""
    if encoding == b"deflate":
        # zlib's format by the standard, raw deflate by habit of some servers.
        raw = (body[0] & 0x0F) != 8 or (body[0] * 256 + body[1:2][0] if len(body) > 1 else 1) % 31
        return _inflate(body, -15 if raw else 15, limit)[0]
    parts = []
    room = limit
    while body:
        part, body = _inflate(body, 31, room)
        parts.append(part)
        room -= len(part)
        body = body.lstrip(b"\0")
    return b"".join(parts)


def _inflate(body: bytes, bits: int, limit: int) -> tuple[bytes, bytes]:
    inflater = zlib.decompressobj(bits)
    plain = inflater.decompress(body, limit + 1)
    if len(plain) > limit:
        raise ValueError(f"longer than {limit} bytes when decoded")
    if not inflater.eof:
        raise ValueError("it is cut off")
    return plain, inflater.unused_data
