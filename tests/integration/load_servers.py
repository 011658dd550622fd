"""Servers for tests of load: a real nginx that logs every request, and one that misbehaves on time.

`LoggingNginx` counts what it served. `Stubborn` runs on the test's own reactor: it answers at
once, except within windows of time, in which it answers nobody until the window ends.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from nginx_server import NGINX, PATIENCE
from twisted.internet.protocol import Factory, Protocol

from rascal.demo.children import free_port

_CONFIGURATION = """
{user}
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    log_format line '$request_uri $status $bytes_sent $msec';
    access_log {folder}/access.log line;
    default_type application/json;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{ return 200 '{{"ok": true}}'; }}
        location /missing {{ return 404; }}
        location /busy {{ add_header Retry-After 1 always; return 503; }}
    }}
}}
"""


class LoggingNginx:
    """nginx with an access log, in a folder of its own. Call `stop`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "access.log"
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            _CONFIGURATION.format(folder=folder, port=self.port, user=user)
        )
        self.child = subprocess.Popen(
            [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not (folder / "pid").exists() or not (folder / "pid").read_text().strip():
            assert self.child.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx did not start"
            time.sleep(0.01)

    def lines(self) -> list[str]:
        """What it has logged of every request: path, status, bytes, time of the day."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def stop(self) -> None:
        """End it."""
        self.child.kill()
        self.child.wait()


REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class _Stubborn(Protocol):
    factory: Stubborn

    def __init__(self) -> None:
        self.rest = b""

    def connectionMade(self) -> None:
        self.factory.open.add(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.open.discard(self)

    def dataReceived(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            self.factory.requests += 1
            self.asked(head.split(b" ")[1])

    def asked(self, path: bytes) -> None:
        assert self.transport is not None
        match path:
            case b"/hang":
                return
            case b"/reset":
                self.transport.abortConnection()
            case b"/close":
                self.transport.loseConnection()
            case b"/half":
                self.transport.write(REPLY[:-1])
                self.transport.loseConnection()
            case b"/garbage":
                self.transport.write(b"what did you say?\r\n\r\n")
            case b"/headers":
                self.transport.write(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 20_000)
            case b"/trickle":
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
                self.trickle()
            case _:
                self.factory.answer(self)

    def trickle(self) -> None:
        if self in self.factory.open and self.transport is not None:
            self.transport.write(b".")
            self.factory.reactor.callLater(0.05, self.trickle)


class Stubborn(Factory):
    """Stalls in `windows`: pairs of seconds, from when `base` is set (reactor's clock) on."""

    protocol = _Stubborn
    noisy = False

    def __init__(self, reactor: Any, windows: Sequence[tuple[float, float]] = ()) -> None:
        self.reactor = reactor
        self.windows = windows
        self.base: float | None = None
        self.open: set[_Stubborn] = set()
        self.requests = 0
        self.late: list[Any] = []
        self.port = reactor.listenTCP(0, self, backlog=1000, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port.getHost().port}"

    def waits(self, at: float) -> float:
        """How long a request that comes `at` a second waits for its reply."""
        return next((end - at for begin, end in self.windows if begin <= at < end), 0.0)

    def answer(self, asked: _Stubborn) -> None:
        wait = 0.0 if self.base is None else self.waits(self.reactor.seconds() - self.base)
        if wait:
            self.late = [timer for timer in self.late if timer.active()]
            self.late.append(self.reactor.callLater(wait, self._reply, asked))
        else:
            self._reply(asked)

    def _reply(self, asked: _Stubborn) -> None:
        if asked in self.open and asked.transport is not None:
            asked.transport.write(REPLY)

    async def stop(self) -> None:
        """Let everybody go."""
        await self.port.stopListening()
        for timer in self.late:
            if timer.active():
                timer.cancel()
        for one in list(self.open):
            assert one.transport is not None
            one.transport.abortConnection()
