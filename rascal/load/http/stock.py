"""What our client does not do goes through stock treq over Twisted's Agent, counted as such.

The same rules hold there: the check of the address, the trust, the time-outs, one call and one
outcome. Its connections are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet import error as errors
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from rascal.errors import LimitError
from rascal.load.http.errors import RequestFailed, failure_of
from rascal.load.http.names import is_literal
from rascal.load.http.urls import Origin
from rascal.load.http.wire import HEAD_LIMIT

if TYPE_CHECKING:
    from rascal.load.http.client import Client


@implementer(IAgent, IAgentEndpointFactory)
class StockAgent:
    """Twisted's Agent with the client's checks, trust and time-outs.

    Args:
        client: whose rules hold.
        origin: a UNIX socket that all requests go to.
    """

    def __init__(self, client: Client, origin: Origin | None = None) -> None:
        self._client = client
        self._origin = origin
        self._pool = HTTPConnectionPool(client.reactor, client.persistent)
        self._pool.retryAutomatically = client.resend
        self._agent = Agent.usingEndpointFactory(client.reactor, self, self._pool)

    def request(self, *arguments: Any) -> Deferred[IResponse]:
        """See IAgent."""
        sent: Deferred[IResponse] = self._agent.request(*arguments)
        return sent

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:  # noqa: N802
        """Where to connect to."""
        if self._origin is not None:
            if uri.host != b"localhost":
                raise RequestFailed("refused", "a redirect from a UNIX socket to another host")
            return _Endpoint(self._client, uri.scheme == b"https", self._origin.host, 0)
        host = uri.host.decode("ascii").strip("[]")
        return _Endpoint(self._client, uri.scheme == b"https", host, uri.port)

    def close(self) -> Deferred[None]:
        """Close what is idle."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """A checked address of a host, or a socket's path."""

    def __init__(self, client: Client, tls: bool, host: str, port: int) -> None:
        self._client = client
        self._tls = tls
        self._host = host
        self._port = port

    def connect(self, factory: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: Any) -> Any:
        client = self._client
        problem: Exception = RequestFailed("refused", "no address")
        for address in await self._addresses():
            try:
                await self._allowed(address)
                protocol = await self._endpoint(address).connect(factory)
            except CancelledError:
                raise
            except Exception as error:
                problem = error
            else:
                client.opened += 1
                _bound_heads(protocol)
                return protocol
        raise problem

    async def _allowed(self, address: str) -> None:
        """Raises TargetError: it is not allowed, and does not prove itself."""
        client, unix = self._client, address[:1] == "/"
        try:
            client.allowed("localhost" if unix else self._host, address)
        except Exception:
            asked = None if unix else client.prove(self._host, self._port, self._tls, address)
            if asked is None or not await asked:
                raise

    async def _addresses(self) -> tuple[str, ...]:
        if self._host[:1] == "/" or is_literal(self._host):
            return (self._host,)
        known = self._client.names.known(self._host)
        if known:
            return known
        asked: Deferred[tuple[str, ...]] = Deferred()

        def found(addresses: tuple[str, ...] | None, error: Exception | None) -> None:
            if asked.called:
                return
            if addresses is None:
                asked.errback(error or RequestFailed("refused", "no address"))
            else:
                asked.callback(addresses)

        self._client.names.ask(self._host, found)
        return await asked

    def _endpoint(self, address: str) -> IStreamClientEndpoint:
        client = self._client
        timeout = client.connect_timeout
        endpoint: Any
        if address[:1] == "/":
            endpoint = UNIXClientEndpoint(client.reactor, address, timeout=timeout)
        else:
            form = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            endpoint = form(client.reactor, address, self._port, timeout=timeout)
        if not self._tls:
            return endpoint  # type: ignore[no-any-return]
        host = "localhost" if self._host[:1] == "/" else self._host
        if not client.plan.verify:
            return wrapClientTLS(_Unverified(host), endpoint)
        return wrapClientTLS(optionsForClientTLS(host, self._trust()), endpoint)

    def _trust(self) -> Any:
        given = self._client.own_trust
        if given is None:
            return platformTrust()
        return trustRootFromCertificates(
            [Certificate.load(der, SSL_ASN1) for der in given.get_ca_certs(binary_form=True)]
        )


_HEADS = 2 * HEAD_LIMIT
"""A read may hold a head and much of a body."""
SSL_ASN1 = 2
"""OpenSSL.crypto.FILETYPE_ASN1."""


def _bound_heads(protocol: Any) -> None:
    """Twisted bounds the lines of a head, not their number."""
    take = protocol.dataReceived
    taken = 0

    def bounded(data: bytes) -> None:
        nonlocal taken
        parser = getattr(protocol, "_parser", None)
        in_head = parser is not None and parser.state in ("STATUS", "HEADER")
        taken = taken + len(data) if in_head else 0
        if taken > _HEADS:
            protocol._giveUp(Failure(LimitError("the head of the reply is longer than 64KiB")))
        else:
            take(data)

    protocol.dataReceived = bounded


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Encryption, and nothing else is asked for."""

    def __init__(self, host: str) -> None:
        self._host = host

    def clientConnectionForTLS(self, protocol: Any) -> Any:  # noqa: N802
        connection = SSL.Connection(CertificateOptions(verify=False).getContext(), None)
        if not is_literal(self._host):
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection


def stock_failure(error: BaseException | None) -> RequestFailed:
    """The error that user code sees for one of Twisted's."""
    if error is None or isinstance(error, (RequestFailed, OSError)):
        return failure_of(error or ConnectionResetError("the connection was lost"))
    begun = not isinstance(error, ResponseNeverReceived)
    reasons = getattr(error, "reasons", None)
    if isinstance(error, (ResponseFailed, ResponseNeverReceived)) and reasons:
        inner = reasons[0].value
        if isinstance(inner, ParseError):
            outcome, detail = "malformed", "the reply is not HTTP"
        elif isinstance(inner, SSL.Error) or "VerificationError" in type(inner).__name__:
            outcome, detail = "tls", _tls_detail(inner)
        elif isinstance(inner, errors.ConnectionDone):
            outcome = "truncated" if begun else "reset"
            detail = "the connection ended in the reply" if begun else "closed without a reply"
        elif isinstance(inner, errors.ConnectionLost):
            outcome, detail = "reset", "connection reset by peer"
        elif "DataLoss" in type(inner).__name__:
            outcome, detail = "truncated", "the connection ended in the body"
        else:
            return _caused(failure_of(inner), error)
        return _caused(RequestFailed(outcome, detail), error)
    if isinstance(error, (errors.TimeoutError, errors.TCPTimedOutError)):
        return _caused(RequestFailed("timeout", "no connection"), error)
    if isinstance(error, (errors.ConnectError, errors.DNSLookupError)):
        return _caused(RequestFailed("refused", str(error).lower()[:200]), error)
    if isinstance(error, SSL.Error):
        return _caused(RequestFailed("tls", _tls_detail(error)), error)
    if isinstance(error, (errors.ConnectionDone, errors.ConnectionLost)):
        return _caused(RequestFailed("reset", "the connection was lost"), error)
    return failure_of(error)


def _caused(failed: RequestFailed, cause: BaseException) -> RequestFailed:
    failed.__cause__ = cause
    return failed


def _tls_detail(error: BaseException) -> str:
    try:
        return str(error.args[0][0][-1])
    except (IndexError, TypeError):
        return type(error).__name__
