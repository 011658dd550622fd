"""The client for programs that run on a reactor: the same methods, each gives a Deferred.

    client = AsyncClient("http://127.0.0.1:8474")
    proxies = await client.proxies()
    async with client.fault("db", "delay 2s") as slow:
        …
    print(slow.fired)
    await client.close()

What it gives can be awaited in coroutines of Twisted and, on Twisted's asyncio reactor, in tasks of
asyncio. A loop that runs without the reactor's `run` cannot look up names: name addresses there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from treq.client import HTTPClient
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rascal.control.client import _asks as asks
from rascal.control.client._access import (
    Place,
    Refused,
    Unreachable,
    checked,
    encoded,
    headers,
    place,
    refused,
    usual_token,
    usual_url,
)
from rascal.control.client._asks import Answer, Ask, Collection
from rascal.control.client._data import FaultData, ProxyData
from rascal.control.client._events import Event, EventReader
from rascal.control.client._standing import Standing, restoring
from rascal.errors import ConfigError, RascalError

P = ParamSpec("P")
T = TypeVar("T")

QUIET = 45.0
"""Seconds without a sign of life after which a stream of events is taken to be lost."""

KEPT = 4
"""Idle connections that are kept."""


class Soon(Deferred[T]):
    """A Deferred that tasks of asyncio can await too."""

    def __await__(self) -> Generator[Any, None, T]:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            return super().__await__()
        return self.asFuture(asyncio.get_running_loop()).__await__()

    @classmethod
    def of(cls, coroutine: Any) -> Soon[T]:
        """What a coroutine will give."""
        found: Soon[T] = cls(lambda _: running.cancel())
        running = Deferred.fromCoroutine(coroutine)
        running.addCallbacks(found.callback, found.errback)
        return found


class Method(Generic[P, T]):
    """An ask as a method of AsyncClient."""

    def __init__(self, ask: Callable[P, Ask[T]]) -> None:
        self.ask = ask
        self.__doc__ = ask.__doc__

    @overload
    def __get__(self, client: None, owner: Any) -> Method[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: Any) -> Callable[P, Soon[T]]: ...
    def __get__(
        self, client: AsyncClient | None, owner: Any
    ) -> Method[P, T] | Callable[P, Soon[T]]:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Soon[T]:
            return client.send(self.ask(*args, **kwargs))

        update_wrapper(call, self.ask)
        return call


class Held(Standing):
    """A Standing whose latest state is asked for with `look`."""

    def __init__(
        self, client: AsyncClient, proxy: str, collection: Collection, data: FaultData
    ) -> None:
        super().__init__(proxy, collection, data)
        self._client = client

    async def look(self) -> FaultData:
        """Ask the service for its latest state."""
        if not self.over:
            self.data = await self._client.get(self.proxy, self.name, self.collection)
        return self.data


class AsyncClient:
    """Calls the API of one node; the arguments are those of Client.

    Args:
        url, token, timeout, ca: as for Client.
        reactor: the global one without it.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        ca: str | None = None,
        reactor: Any = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor as running

            reactor = running
        url = url or usual_url()
        self.place = place(url)
        self.url = url.rstrip("/")
        self.token = checked(token, "the token") if token else usual_token()
        self.timeout = timeout
        self._clock = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = KEPT
        self._agent = _agent(reactor, self._pool, self.place, timeout, ca)
        self._http = HTTPClient(self._agent)
        at = "localhost" if self.place.scheme == "unix" else self.place.netloc
        self._root = f"{'https' if self.place.scheme == 'https' else 'http'}://{at}"

    proxies = Method(asks.proxies)
    proxy = Method(asks.proxy)
    add_proxy = Method(asks.add_proxy)
    change_proxy = Method(asks.change_proxy)
    enable_proxy = Method(asks.enable_proxy)
    remove_proxy = Method(asks.remove_proxy)
    faults = Method(asks.faults)
    get = Method(asks.get)
    tagged = Method(asks.tagged)
    add = Method(asks.add)
    add_script = Method(asks.add_script)
    add_recipe = Method(asks.add_recipe)
    change = Method(asks.change)
    enable = Method(asks.enable)
    disable = Method(asks.disable)
    restart = Method(asks.restart)
    remove = Method(asks.remove)
    exchanges = Method(asks.exchanges)
    connections = Method(asks.connections)
    connection = Method(asks.connection)
    end_connection = Method(asks.end_connection)
    counters = Method(asks.counters)
    reset_counters = Method(asks.reset_counters)
    state = Method(asks.state)
    change_state = Method(asks.change_state)
    panic = Method(asks.panic)
    seed = Method(asks.seed)
    set_seed = Method(asks.set_seed)
    reload = Method(asks.reload)
    export = Method(asks.export)
    leases = Method(asks.leases)
    lease = Method(asks.lease)
    renew_lease = Method(asks.renew_lease)
    end_lease = Method(asks.end_lease)
    kinds = Method(asks.kinds)
    kind = Method(asks.kind)
    protocols = Method(asks.protocols)
    protocol = Method(asks.protocol)
    recipes = Method(asks.recipes)
    openapi = Method(asks.openapi)
    metrics = Method(asks.metrics)
    ready = Method(asks.ready)
    call = Method(asks.raw)

    def healthy(self) -> Soon[bool]:
        """Whether the service answers and all its proxies listen."""

        async def ask() -> bool:
            try:
                await self._send(asks.ready())  # no Soon: a task of asyncio may be current
            except RascalError:
                return False
            return True

        return Soon.of(ask())

    # ---- for the time of a block

    @asynccontextmanager
    async def fault(
        self, proxy: str, what: str | Mapping[str, Any], **clauses: Any
    ) -> AsyncIterator[Held]:
        """A fault while the block runs; afterwards the proxy is as it was before."""
        ask = asks.add(proxy, what, **clauses)
        async with self._standing(proxy, "faults", ask) as standing:
            yield standing

    @asynccontextmanager
    async def script(
        self, proxy: str, steps: str | Sequence[Any], match: Any = None, name: str | None = None
    ) -> AsyncIterator[Held]:
        """A script while the block runs; `verify` tells whether all its steps were used."""
        ask = asks.add_script(proxy, steps, match, name)
        async with self._standing(proxy, "scripts", ask) as standing:
            yield standing

    @asynccontextmanager
    async def recipe(
        self, proxy: str, recipe: str | Mapping[str, Any], **clauses: Any
    ) -> AsyncIterator[Held]:
        """A recipe while the block runs."""
        ask = asks.add_recipe(proxy, recipe, **clauses)
        async with self._standing(proxy, "recipes", ask) as standing:
            yield standing

    @asynccontextmanager
    async def changed(
        self, proxy: str, name: str, changes: Any, *, collection: Collection = "faults"
    ) -> AsyncIterator[FaultData]:
        """Something that is installed, changed while the block runs."""
        earlier = await self.get(proxy, name, collection)
        now = await self.change(proxy, name, changes, collection=collection)
        async with _afterwards(
            lambda: self.change(proxy, name, restoring(earlier, now), collection=collection)
        ):
            yield now

    @asynccontextmanager
    async def down(self, proxy: str) -> AsyncIterator[ProxyData]:
        """A proxy that does not listen while the block runs."""
        before = (await self.proxy(proxy))["enabled"]
        found = await self.enable_proxy(proxy, False)
        async with _afterwards(lambda: self.enable_proxy(proxy, before)):
            yield found

    @asynccontextmanager
    async def _standing(
        self, proxy: str, collection: Collection, ask: Ask[FaultData]
    ) -> AsyncIterator[Held]:
        standing = Held(self, proxy, collection, await self.send(ask))

        async def end() -> None:
            try:
                standing.data = await self.remove(proxy, standing.name, collection=collection)
            finally:
                standing.over = True

        async with _afterwards(end):
            yield standing

    # ---- what happens

    async def events(
        self, types: Sequence[str] = (), *, proxies: Sequence[str] = (), after: str = ""
    ) -> AsyncGenerator[Event, None]:
        """What happens, as it happens. Raises Unreachable when the service is lost."""
        reader = EventReader(after)
        more = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        path = asks.event_path(types, proxies)
        response: Any = await Soon.of(self._request("GET", path, None, more))
        if response.code != 200:
            content: bytes = await Soon.of(_of(response.content()))
            raise refused(response.code, content, self.url)
        stream = _Stream()
        response.original.deliverBody(stream)
        try:
            while True:
                waiting = stream.queue.get()
                waiting.addTimeout(max(self.timeout, QUIET), self._clock)
                try:
                    data: bytes | None = await Soon.of(_of(waiting))
                except DeferredTimeoutError as error:
                    raise Unreachable(f"{self.url}: no sign of life") from error
                if data is None:
                    raise Unreachable(f"{self.url} has ended the stream of events")
                for event in reader.feed(data):
                    yield event
        finally:
            stream.end()

    # ---- calls

    def send(self, ask: Ask[T]) -> Soon[T]:
        """Carry out an ask. Fails with Refused or Unreachable."""
        return Soon.of(self._send(ask))

    def close(self) -> Soon[None]:
        """Give all connections back."""

        async def end() -> None:
            await self._pool.closeCachedConnections()

        return Soon.of(end())

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _send(self, ask: Ask[T]) -> T:
        body = None if ask.data is None else encoded(ask.data)
        waiting = Deferred.fromCoroutine(self._exchange(ask.method, ask.path, body, ask.headers))
        waiting.addTimeout(self.timeout, self._clock)
        try:
            status, answer = await waiting
        except DeferredTimeoutError as error:
            raise Unreachable(f"{self.url}: no answer in time") from error
        if status >= 400:
            raise refused(status, answer.content, self.url)
        return ask.read(answer)

    async def _exchange(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str]
    ) -> tuple[int, Answer]:
        response = await self._request(method, path, body, more)
        try:
            content = await response.content()
        except CancelledError:
            raise
        except Exception as error:
            raise Unreachable(f"{self.url}: it hung up instead of answering") from error
        etag = response.headers.getRawHeaders("etag", [""])[0]
        return response.code, Answer(content, etag)

    async def _request(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str]
    ) -> Any:
        wanted = Headers(
            {name: [value] for name, value in headers(self.token, body is not None, more).items()}
        )
        try:
            return await self._http.request(
                method,
                self._root + path,
                headers=wanted,
                data=body,
                unbuffered=path.startswith(asks.EVENTS),
                allow_redirects=False,
            )
        except CancelledError:
            raise
        except Exception as error:
            raise Unreachable(f"{self.url}: {_reason(error)}") from error


class _Stream(Protocol):
    """Puts what arrives into a queue; None at the end."""

    def __init__(self) -> None:
        self.queue: DeferredQueue[bytes | None] = DeferredQueue()

    def dataReceived(self, data: bytes) -> None:
        self.queue.put(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.queue.put(None)

    def end(self) -> None:
        """Hang up."""
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


@asynccontextmanager
async def _afterwards(restore: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """What is gone needs no end; an error of the block is not hidden by one of the end."""
    try:
        yield
    except BaseException:
        with suppress(RascalError):
            await restore()
        raise
    try:
        await restore()
    except Refused as error:
        if error.status != 404:
            raise


async def _of(waiting: Deferred[T]) -> T:
    return await waiting


def _agent(
    reactor: Any, pool: HTTPConnectionPool, where: Place, timeout: float, ca: str | None
) -> Any:
    endpoint = _endpoint(reactor, where, timeout)
    if endpoint is None:
        return Agent(reactor, _policy(where, ca), connectTimeout=timeout, pool=pool)

    class There:
        """Whatever the URI, one endpoint."""

        def endpointForURI(self, uri: Any) -> Any:  # noqa: N802  (Twisted's name)
            return endpoint

    return Agent.usingEndpointFactory(reactor, There(), pool)


def _endpoint(reactor: Any, where: Place, timeout: float) -> Any:
    """Where to connect without a look-up, which only a reactor that runs can do."""
    if where.scheme == "unix":
        return UNIXClientEndpoint(reactor, where.path, timeout)
    if where.scheme == "http" and isIPAddress(where.host):
        return TCP4ClientEndpoint(reactor, where.host, where.port, timeout)
    if where.scheme == "http" and isIPv6Address(where.host):
        return TCP6ClientEndpoint(reactor, where.host, where.port, timeout)
    return None


def _policy(where: Place, ca: str | None) -> IPolicyForHTTPS:
    """Which certificates are trusted."""
    file = ca or os.environ.get("RASCAL_CA_FILE")
    if where.scheme != "https" or not file:
        policy: IPolicyForHTTPS = BrowserLikePolicyForHTTPS()
        return policy
    mark = b"-----BEGIN CERTIFICATE-----"
    try:
        with open(file, "rb") as opened:
            parts = opened.read().split(mark)[1:]
        trust = trustRootFromCertificates([Certificate.loadPEM(mark + part) for part in parts])
    except Exception as error:
        raise ConfigError(f"the certificates '{file}' cannot be read: {error}") from error
    return BrowserLikePolicyForHTTPS(trust)


def _reason(error: Exception) -> str:
    found: Any = error
    reasons = getattr(error, "reasons", None)
    if reasons:
        found = reasons[0].value
    if isinstance(found, ConnectTimeoutError | DeferredTimeoutError | CancelledError):
        return "no answer in time"
    if isinstance(found, DNSLookupError):
        return "there is no such host"
    if isinstance(found, ConnectError):
        number = found.osError
        return os.strerror(number).lower() if isinstance(number, int) else str(found).lower()
    if isinstance(found, ConnectionClosed | ResponseDone):
        return "it hung up instead of answering"
    return str(found or type(found).__name__).lower()
