"""Servers for the load client: an nginx with TLS, a socket and a log; one of our own that echoes,
and one that misbehaves as told."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import trustme
from nginx_server import NGINX, PATIENCE
from twisted.internet import reactor as reactor_
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Site
from within import within

from rascal.load.http.client import Client, allow_all
from rascal.load.http.session import Session
from rascal.load.plan import Plan
from rascal.load.recorder import Recorder
from rascal.load.types import Call, Meters, Report

reactor: Any = reactor_

_NGINX = """
{user}
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format one '$server_port $request_method $request_uri $status $connection_requests';
    access_log {folder}/access.log one;
    default_type text/plain;
    types {{ application/json json; }}
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    keepalive_requests 1000000;
    gzip_min_length 10;
    gzip_types application/json text/plain;
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        listen 127.0.0.1:{tls} ssl;
        listen unix:{folder}/socket;
        root {folder}/www;
        add_header X-Port $server_port;
        location /gzip/ {{ alias {folder}/www/; gzip on; }}
        location /close {{ keepalive_timeout 0; return 200 bye; }}
        location /hello {{ return 200 hello; }}
        location /none {{ return 204; }}
        location /to {{ return 302 /hello; }}
        location /two {{ return 301 /to; }}
        location /see {{ return 303 /hello; }}
        location /kept {{ return 307 /hello; }}
        location /loop {{ return 302 /loop; }}
        location /away {{ return 302 http://localhost:{port}/seen; }}
        location /socket {{ return 302 http+unix://%2Ftmp%2Fx/; }}
        location /nowhere {{ return 302 gopher://localhost/; }}
        location /denied {{ return 302 http://192.0.2.1/; }}
        location /seen {{ return 200 "$http_authorization|$http_cookie|$http_x_mine"; }}
        location /set {{ add_header Set-Cookie "a=1; Path=/"; return 200 set; }}
        location /set/deep {{ add_header Set-Cookie "b=2; Path=/deep"; return 200 set; }}
        location /set/to {{ add_header Set-Cookie "c=3; Path=/"; return 302 /seen; }}
        location /set/gone {{ add_header Set-Cookie "a=1; Path=/; Max-Age=0"; return 200 set; }}
        location /deep {{ return 200 "$http_cookie"; }}
        location /busy {{ add_header Retry-After 1 always; return 503 busy; }}
        location /many {{ add_header Retry-After 1 always; return 429 many; }}
        location /broken {{ return 500 oops; }}
    }}
}}
"""


class Place:
    """A running nginx."""

    def __init__(self, folder: pathlib.Path, port: int, tls: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.secure = f"https://localhost:{tls}"
        self.tls_port = tls
        self.unix = f"http+unix://{str(folder / 'socket').replace('/', '%2F')}"
        self.authority: Any = None

    def log(self) -> list[str]:
        """The lines of the access log so far."""
        return (self.folder / "access.log").read_text().splitlines()

    def trust(self) -> ssl.SSLContext:
        """A context that trusts this server's authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def place(folder: pathlib.Path) -> Iterator[Place]:
    """A running nginx with all that the client's tests ask for."""
    made = Place(folder, _free_port(), _free_port())
    made.authority = trustme.CA()
    certificate = made.authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for n, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "chain.pem", append=n > 0)
    www = folder / "www"
    www.mkdir()
    (www / "items.json").write_text(json.dumps([{"id": n} for n in range(20)]))
    (www / "large.bin").write_bytes(os.urandom(1 << 20) * 20)
    user = "user root;" if os.geteuid() == 0 else ""
    text = _NGINX.format(folder=folder, user=user, port=made.port, tls=made.tls_port)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", made.port)):
                break
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < end, "the server never listened"
            time.sleep(0.02)
        yield made
    finally:
        process.kill()
        process.wait()


class Desk:
    """A client, a recorder, and what became of the calls."""

    def __init__(self, base: str, allowed: Any = allow_all, **plan: Any) -> None:
        values: dict[str, Any] = {"timeout": 5.0, "connect_timeout": 2.0}
        self.plan = Plan(file="x.py", shares=(), target=base, **{**values, **plan})
        self.client = Client(reactor, self.plan, allowed)
        self.recorder = Recorder("1", "a", start=reactor.seconds(), clock=reactor.seconds)
        self.calls: list[Call] = []
        done = self.recorder.done

        def noted(call: Call) -> None:
            self.calls.append(call)
            done(call)

        self.recorder.done = noted  # type: ignore[method-assign]
        self.session = self.user()

    def user(self, **how: Any) -> Session:
        """A new user."""
        return Session(self.client, self.recorder, self.plan.target, **how)

    def report(self) -> Report:
        """All that was recorded since the last one."""
        return self.recorder.report(0, Meters())

    @property
    def last(self) -> Call:
        """The call that was recorded last."""
        return self.calls[-1]

    @property
    def outcomes(self) -> list[str]:
        """Of all calls."""
        return [call.outcome for call in self.calls]


def turn() -> Deferred[None]:
    """Fires in the reactor's next turn: calls are counted once the code that waited has run on."""
    return deferLater(reactor, 0)


async def settled(awaitable: Any) -> Any:
    """What it gives, once its call is counted."""
    try:
        return await awaitable
    finally:
        await turn()


def asked(awaitable: Any, seconds: float = 20.0) -> Deferred[Any]:
    """The same, within a bound of time."""
    return within(seconds, settled(awaitable))


@contextlib.asynccontextmanager
async def desk(base: str, allowed: Any = allow_all, **plan: Any) -> AsyncIterator[Desk]:
    """A client that leaves nothing behind."""
    made = Desk(base, allowed, **plan)
    try:
        yield made
        await turn()
        assert made.recorder.in_flight == 0
        assert made.client.in_flight == 0
    finally:
        await made.client.close()
        assert not made.client.connections


class Echo(Resource):
    """Tells what it was asked, as JSON."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        body = request.content.read()
        headers = {
            name.decode().lower(): [value.decode("latin-1") for value in values]
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        said = {
            "method": request.method.decode(),
            "uri": request.uri.decode(),
            "headers": headers,
            "body": body.decode("latin-1"),
            "host": headers.get("host"),
        }
        return json.dumps(said).encode()


@contextlib.asynccontextmanager
async def echo(tls: Any = None) -> AsyncIterator[str]:
    """The URL of a server that echoes."""
    site = Site(Echo())
    if tls is None:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}"
    else:
        port = reactor.listenSSL(0, site, tls, interface="127.0.0.1")
        url = f"https://localhost:{port.getHost().port}"
    try:
        yield url
    finally:
        await port.stopListening()
        for channel in list(getattr(site, "connections", ())):
            channel.abortConnection()


class Misbehaving(Protocol):
    """A connection to a server that does as it is told."""

    def __init__(self, factory: Bad) -> None:
        self.bad = factory
        self.data = b""
        self.requests = 0

    def connectionMade(self) -> None:
        self.bad.connections.append(self)
        self.bad.on_connect(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        while b"\r\n\r\n" in self.data:
            request, _, self.data = self.data.partition(b"\r\n\r\n")
            self.requests += 1
            self.bad.requests.append(request)
            self.bad.on_request(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.bad.connections.remove(self)
        if self.bad.empty is not None and not self.bad.connections:
            self.bad.empty.callback(None)

    def send(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def close(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def reset(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]


class Bad(Factory):
    """A server that does as it is told: `on_request` gets the connection for each head."""

    noisy = False

    def __init__(self, on_request: Callable[[Misbehaving], None]) -> None:
        self.on_request = on_request
        self.on_connect: Callable[[Misbehaving], None] = lambda connection: None
        self.connections: list[Misbehaving] = []
        self.requests: list[bytes] = []
        self.url = ""
        self.empty: Deferred[None] | None = None

    def buildProtocol(self, address: Any) -> Misbehaving:
        return Misbehaving(self)


@contextlib.asynccontextmanager
async def bad(on_request: Callable[[Misbehaving], None]) -> AsyncIterator[Bad]:
    """Run it."""
    made = Bad(on_request)
    port = reactor.listenTCP(0, made, interface="127.0.0.1")
    made.url = f"http://127.0.0.1:{port.getHost().port}"
    try:
        yield made
    finally:
        await port.stopListening()
        if made.connections:
            made.empty = Deferred()
            for connection in list(made.connections):
                connection.reset()
            await made.empty
