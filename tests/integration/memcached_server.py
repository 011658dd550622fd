"""A memcached of our own, on a free port, for as long as a test needs it.

with memcached("-M", "-m", "1") as server:
    server.client()(b"get a\r\n")
"""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

MEMCACHED = shutil.which("memcached") or ""
PATIENCE = 10.0


class Client:
    """A connection; each call sends bytes and returns what is said until `mn` is answered."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """What comes, up to `end`, or to the end of the stream."""
        taken = b""
        while not taken.endswith(end):
            data = self.socket.recv(1 << 16)
            if not data:
                return taken
            taken += data
        return taken

    def until_line(self, begin: bytes, count: int) -> bytes:
        """What comes, up to the end of the `count`th line that begins so."""
        taken = b""
        while True:
            lines = taken.split(b"\r\n")[:-1]
            if sum(line.startswith(begin) for line in lines) >= count:
                return taken
            data = self.socket.recv(1 << 16)
            assert data, f"the end of the stream behind {taken[-100:]!r}"
            taken += data

    def __call__(self, data: bytes) -> bytes:
        """The replies to these bytes; every command in them must be whole."""
        self.send(data + b"mn\r\n")
        return self.until(b"MN\r\n").removesuffix(b"MN\r\n")


class Server:
    """Where it listens."""

    def __init__(self, port: int) -> None:
        self.port = port

    def client(self) -> Client:
        return Client(self.port)

    def reachable(self) -> bool:
        with contextlib.suppress(OSError), self.client():
            return True
        return False


@contextlib.contextmanager
def memcached(*options: str) -> Iterator[Server]:
    """Start it with these options, and kill it in the end."""
    server = Server(free_port())
    words = ["-l", "127.0.0.1", "-p", str(server.port), "-t", "1", "-u", getpass.getuser()]
    process = subprocess.Popen(
        [MEMCACHED, *words, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: process.poll() is not None or server.reachable())
        assert process.poll() is None, f"memcached did not start with {options}"
        yield server
    finally:
        process.kill()
        process.wait()


def version() -> str:
    """`memcached 1.6.18`"""
    return subprocess.run(
        [MEMCACHED, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], Any]) -> None:
    """Wait for a condition, no longer than PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
