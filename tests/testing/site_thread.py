"""A small HTTP server in a thread, and a client that blocks: what the tests put a proxy between.

The tests that pytester runs import it too.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 20.0


class Site(ThreadingHTTPServer):
    """Answers every request with its path."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []

    @property
    def upstream(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.server_address[:2]
        return str(host), int(port)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def running() -> Iterator[Site]:
    """A site for the length of a block."""
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join(PATIENCE)


def get(address: tuple[str, int], path: str = "/", timeout: float = PATIENCE) -> int:
    """The status of a reply to one request on a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


class InThread:
    """A call in a thread: its result or its error, later."""

    def __init__(self, function: Callable[..., T], *args: Any) -> None:
        self._found: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(function, args), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._found.append(function(*args))
        except BaseException as error:
            self._found.append(error)

    @property
    def over(self) -> bool:
        """Whether it has returned."""
        return bool(self._found)

    def result(self, timeout: float = PATIENCE) -> Any:
        """What it gave, or the error that it raised, as a value."""
        self._thread.join(timeout)
        assert self._found, "it has not returned"
        return self._found[0]
