"""Our client as an `IAgent`: under an untouched `treq.client.HTTPClient`, or anything else.

What is above decides about cookies, redirects and decoding; nothing is recorded. The Deferred
fires when the whole reply is there. It fails with RequestFailed.
"""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from rascal.load.http.client import Client
from rascal.load.http.errors import RequestFailed
from rascal.load.http.exchange import Exchange
from rascal.load.http.response import Reply
from rascal.load.http.session import Session
from rascal.load.http.urls import Headers, Urls
from rascal.load.types import Call, Flow


class _Unrecorded:
    """What a session asks of a recorder."""

    in_flight = 0
    flows = Flow("")

    def flow(self, name: str) -> Flow:
        return self.flows

    def begin(self) -> None: ...
    def done(self, call: Call) -> None: ...
    def amend(self, call: Call, outcome: str, detail: str = "") -> None: ...
    def sample(self, *args: Any) -> None: ...


class _Plain(Session):
    """A session that sends what it is given."""

    def take_cookies(self, template: Any, head: Any) -> None:
        """They belong to whoever is above."""


class _RawExchange(Exchange):
    __slots__ = ()
    form = Reply


@implementer(IAgent)
class FastAgent:
    """An agent on top of a client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._session = _Plain(client, _Unrecorded())
        self._session.urls = Urls("", Headers({}), Headers({}))

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WebHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """Send a request; the body is gathered first (at most the client's `body_limit`)."""
        if bodyProducer is None:
            return self._send(method, uri, headers, None)
        source = getattr(bodyProducer, "_inputFile", None)
        if isinstance(bodyProducer, FileBodyProducer) and isinstance(source, io.BytesIO):
            return self._send(method, uri, headers, source.read())
        gathered = Gathered(bodyProducer, self._client.body_limit)
        return gathered.done.addCallback(lambda body: self._send(method, uri, headers, body))

    def _send(
        self, method: bytes, uri: bytes, headers: WebHeaders | None, body: bytes | None
    ) -> Deferred[IResponse]:
        session = self._session
        try:
            template = session.urls.get(method.decode("ascii"), uri.decode("ascii"))
            named = session._named(headers, None)
            data = session.build(template, named, body)
        except (TypeError, ValueError):
            return fail()
        call = session._begin(template.name)
        exchange = _RawExchange(session, call, template, data, self._client.timeout)
        exchange.follow = 0
        session.pool(template.origin).start(exchange)
        return exchange.deferred


@implementer(IConsumer)
class Gathered:
    """Everything that a body producer has to say."""

    def __init__(self, producer: Any, limit: int) -> None:
        self._producer = producer
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._why: RequestFailed | None = None
        known = producer.length
        if known is not UNKNOWN_LENGTH and known > limit:
            self.done: Deferred[bytes] = fail(self._too_long())
            return
        self.done = producer.startProducing(self).addBoth(self._end)

    def _too_long(self) -> RequestFailed:
        return RequestFailed("malformed", f"the request's body is longer than {self._limit} bytes")

    def _end(self, result: Any) -> Any:
        if self._why is not None:
            raise self._why
        return b"".join(self._pieces) if result is None else result

    def write(self, data: bytes) -> None:
        """Called by the producer."""
        self._size += len(data)
        if self._size > self._limit:
            self._why = self._too_long()
            self._pieces.clear()
            self._producer.stopProducing()
            return
        self._pieces.append(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """Not used by IBodyProducer."""

    def unregisterProducer(self) -> None:  # noqa: N802
        """Not used by IBodyProducer."""
