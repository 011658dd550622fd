"""The blocking client: standard library only, one connection that is kept and used again."""

from __future__ import annotations

import http.client
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from rascal.control.client import _asks as asks
from rascal.control.client._access import (
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
from rascal.errors import RascalError

P = ParamSpec("P")
T = TypeVar("T")

CHUNK = 65536
QUIET = 45.0
"""Seconds without a sign of life after which a stream of events is taken to be lost."""


class Method(Generic[P, T]):
    """An ask as a method of Client: sends it and gives what is read from the answer."""

    def __init__(self, ask: Callable[P, Ask[T]]) -> None:
        self.ask = ask
        self.__doc__ = ask.__doc__

    @overload
    def __get__(self, client: None, owner: Any) -> Method[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: Any) -> Callable[P, T]: ...
    def __get__(self, client: Client | None, owner: Any) -> Method[P, T] | Callable[P, T]:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.send(self.ask(*args, **kwargs))

        update_wrapper(call, self.ask)
        return call


class Live(Standing):
    """A Standing that looks whenever it is asked inside the block."""

    def __init__(self, client: Client, proxy: str, collection: Collection, data: FaultData) -> None:
        super().__init__(proxy, collection, data)
        self._client = client

    def look(self) -> FaultData:
        """Ask the service for its latest state."""
        if not self.over:
            self.data = self._client.get(self.proxy, self.name, self.collection)
        return self.data

    def _now(self) -> FaultData:
        return self.look()

    def wait(self, predicate: Callable[[Live], Any], seconds: float = 5.0) -> None:
        """Until the predicate holds. Raises TimeoutError."""
        self._client.wait_until(lambda: bool(predicate(self)), seconds=seconds)


class Client:
    """Calls the API of one node. A Client belongs to one thread at a time.

    Args:
        url: http://HOST:PORT, https://HOST:PORT or unix:/PATH; RASCAL_URL without it.
        token: sent as a bearer token; RASCAL_TOKEN or RASCAL_TOKEN_FILE without it.
        timeout: seconds for each call.
        ca: file with the certificates (PEM) to trust for https; RASCAL_CA_FILE without it, else
            those of the system.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        ca: str | None = None,
    ) -> None:
        url = url or usual_url()
        self.place = place(url)
        self.url = url.rstrip("/")
        self.token = checked(token, "the token") if token else usual_token()
        self.timeout = timeout
        self.ca = ca or os.environ.get("RASCAL_CA_FILE") or None
        self._connection: http.client.HTTPConnection | None = None

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

    def healthy(self) -> bool:
        """Whether the service answers and all its proxies listen."""
        try:
            self.ready()
        except RascalError:
            return False
        return True

    # ---- for the time of a block

    @contextmanager
    def fault(self, proxy: str, what: str | Mapping[str, Any], **clauses: Any) -> Iterator[Live]:
        """A fault while the block runs; afterwards the proxy is as it was before."""
        with self._standing(proxy, "faults", asks.add(proxy, what, **clauses)) as standing:
            yield standing

    @contextmanager
    def script(
        self, proxy: str, steps: str | Sequence[Any], match: Any = None, name: str | None = None
    ) -> Iterator[Live]:
        """A script while the block runs; `verify` tells whether all its steps were used."""
        ask = asks.add_script(proxy, steps, match, name)
        with self._standing(proxy, "scripts", ask) as standing:
            yield standing

    @contextmanager
    def recipe(self, proxy: str, recipe: str | Mapping[str, Any], **clauses: Any) -> Iterator[Live]:
        """A recipe while the block runs."""
        ask = asks.add_recipe(proxy, recipe, **clauses)
        with self._standing(proxy, "recipes", ask) as standing:
            yield standing

    @contextmanager
    def changed(
        self, proxy: str, name: str, changes: Any, *, collection: Collection = "faults"
    ) -> Iterator[FaultData]:
        """Something that is installed, changed while the block runs."""
        earlier = self.get(proxy, name, collection)
        now = self.change(proxy, name, changes, collection=collection)
        with self._afterwards(
            lambda: self.change(proxy, name, restoring(earlier, now), collection=collection)
        ):
            yield now

    @contextmanager
    def down(self, proxy: str) -> Iterator[ProxyData]:
        """A proxy that does not listen while the block runs."""
        before = self.proxy(proxy)["enabled"]
        found = self.enable_proxy(proxy, False)
        with self._afterwards(lambda: self.enable_proxy(proxy, before)):
            yield found

    @contextmanager
    def _standing(self, proxy: str, collection: Collection, ask: Ask[FaultData]) -> Iterator[Live]:
        standing = Live(self, proxy, collection, self.send(ask))

        def end() -> None:
            try:
                standing.data = self.remove(proxy, standing.name, collection=collection)
            finally:
                standing.over = True

        with self._afterwards(end):
            yield standing

    @contextmanager
    def _afterwards(self, restore: Callable[[], Any]) -> Iterator[None]:
        """What is gone needs no end; an error of the block is not hidden by one of the end."""
        try:
            yield
        except BaseException:
            with suppress(RascalError):
                restore()
            raise
        try:
            restore()
        except Refused as error:
            if error.status != 404:
                raise

    # ---- what happens

    def events(
        self,
        types: Sequence[str] = (),
        *,
        proxies: Sequence[str] = (),
        after: str = "",
        patience: float = 0.0,
    ) -> Iterator[Event]:
        """What happens, as it happens, until the iterator is closed.

        Args:
            types: only these (and "gap"); without them all but "exchanges".
            proxies: of these only.
            after: the id of the last event that was seen.
            patience: seconds for which a service that was lost is called again before Unreachable
                is raised.
        """
        reader = EventReader(after)
        lost_at: float | None = None
        begun = False
        while True:
            try:
                for data in self._stream(asks.event_path(types, proxies), reader.last):
                    lost_at, begun = None, True
                    yield from reader.feed(data)
                raise Unreachable(f"{self.url} has ended the stream of events")
            except Unreachable:
                lost_at = lost_at or time.monotonic()
                if not begun or time.monotonic() >= lost_at + patience:
                    raise
                time.sleep(min(0.2, patience))
                reader = EventReader(reader.last)

    def _stream(self, path: str, last: str) -> Iterator[bytes]:
        more = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        connection = self._connect()
        try:
            with self._reaching():
                connection.request("GET", path, headers=headers(self.token, False, more))
                answer = connection.getresponse()
                if answer.status != 200:
                    raise refused(answer.status, answer.read(CHUNK), self.url)
                assert connection.sock is not None
                connection.sock.settimeout(max(self.timeout, QUIET))
            while True:
                with self._reaching():
                    data = answer.read1(CHUNK)
                if not data:
                    return
                yield data
        finally:
            connection.close()

    # ---- waiting

    def wait_until(
        self, predicate: Callable[[], T], *, seconds: float = 5.0, every: float = 0.01
    ) -> T:
        """Ask until the predicate's value is true; that value.

        Raises TimeoutError. While it waits, a service that cannot be reached counts as false.
        """
        deadline = time.monotonic() + seconds
        while True:
            found: T | None = None
            error: Exception | None = None
            try:
                found = predicate()
            except Unreachable as failure:
                error = failure
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s") from error
            time.sleep(every)

    # ---- calls

    def send(self, ask: Ask[T]) -> T:
        """Carry out an ask. Raises Refused, Unreachable."""
        body = None if ask.data is None else encoded(ask.data)
        more = headers(self.token, body is not None, ask.headers)
        status, answer = self._exchange(ask.method, ask.path, body, more)
        if status >= 400:
            raise refused(status, answer.content, self.url)
        return ask.read(answer)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str]
    ) -> tuple[int, Answer]:
        if self._connection is not None and _closed(self._connection.sock):
            self.close()  # while it was idle
        try:
            with self._reaching():
                if self._connection is None:
                    self._connection = self._connect()
                    bounded: Any = partial(_Response, self.timeout)
                    self._connection.response_class = bounded
                elif self._connection.sock is not None:
                    self._connection.sock.settimeout(self.timeout)
                self._connection.request(method, path, body, dict(more))
                answer = self._connection.getresponse()
                return answer.status, Answer(answer.read(), answer.headers.get("ETag", ""))
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (http.client.HTTPException, OSError) as error:
            raise Unreachable(f"{self.url}: {_reason(error)}") from error

    def _connect(self) -> http.client.HTTPConnection:
        where = self.place
        if where.scheme == "unix":
            return _UnixConnection(where.path, self.timeout)
        if where.scheme == "https":
            with self._reaching():
                context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(
                where.host, where.port, timeout=self.timeout, context=context
            )
        return http.client.HTTPConnection(where.host, where.port, timeout=self.timeout)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _closed(sock: socket.socket | None) -> bool:
    """Whether the other side has ended an idle connection: nothing else makes it readable."""
    return sock is None or bool(select.select([sock], [], [], 0)[0])


class _Raw(io.RawIOBase):
    """What a socket says, until the deadline: however slowly it comes, a call ends in its time."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._inner = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Some bytes. Raises TimeoutError."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._inner.readinto(buffer)

    def close(self) -> None:
        """The response is over."""
        self._inner.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that has to be there within some seconds."""

    def __init__(self, seconds: float, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp.close()
        self.fp = io.BufferedReader(_Raw(sock, time.monotonic() + seconds), CHUNK)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, http.client.BadStatusLine | http.client.IncompleteRead):
        return "it hung up instead of answering"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
