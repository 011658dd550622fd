"""Plain sockets on both sides of a proxy.

with Door() as door:                 a server whose connections the test itself accepts
with Echo() as echo:                 a server that says everything back
Talk(address)                        a client of Echo that connects again when it must
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Any

PATIENCE = 5.0
Address = Any
"""(host, port), (host, port, …) or a path."""


def family_of(address: Address) -> socket.AddressFamily:
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def read_address(text: str) -> Address:
    """As proxies write it: host:port, [v6]:port, unix:/path."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port))


def write_address(address: Address) -> str:
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial(address: Address, timeout: float = PATIENCE) -> socket.socket:
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(address if isinstance(address, str) else address[:2])
    except BaseException:
        sock.close()
        raise
    return sock


def read(sock: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; EOFError if the end comes before."""
    found = bytearray()
    while len(found) < count:
        data = sock.recv(count - len(found))
        if not data:
            raise EOFError(f"FIN after {len(found)} bytes")
        found += data
    return bytes(found)


def rest(sock: socket.socket) -> bytes:
    """All up to the FIN."""
    found = bytearray()
    while data := sock.recv(65536):
        found += data
    return bytes(found)


def send_rst(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Door:
    """A listening socket; `accept()` gives what has come."""

    def __init__(self, address: Address = ("127.0.0.1", 0), backlog: int = 128) -> None:
        self.socket = socket.socket(family_of(address), socket.SOCK_STREAM)
        self.socket.bind(address)
        self.socket.listen(backlog)
        self.socket.settimeout(PATIENCE)
        self.address: Address = self.socket.getsockname()
        self.accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self.socket.accept()
        sock.settimeout(PATIENCE)
        self.accepted.append(sock)
        return sock

    def close(self) -> None:
        for sock in (self.socket, *self.accepted):
            sock.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def nobody() -> Address:
    """An address where nothing listens."""
    with Door() as door:
        return door.address


class Echo(Door):
    """Says back what it hears, one thread a connection."""

    def __init__(self, address: Address = ("127.0.0.1", 0)) -> None:
        super().__init__(address)
        self.socket.settimeout(None)
        self.heard = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                self.accepted.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            while data := sock.recv(65536):
                self.heard += len(data)
                sock.sendall(data)

    def close(self) -> None:
        for sock in (self.socket, *self.accepted):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        super().close()


class Full(Door):
    """Listens, accepts nothing, and its queue is full: SYNs go unanswered (Linux)."""

    def __init__(self) -> None:
        super().__init__(backlog=0)
        for _ in range(10):
            try:
                self.accepted.append(dial(self.address, 0.2))
            except TimeoutError:
                return
        raise AssertionError("its queue is never full")


class Talk:
    """Talks to an Echo. Whatever goes wrong ends its connection; the next word makes another."""

    def __init__(self, address: Address, timeout: float = PATIENCE) -> None:
        self.address = address
        self.timeout = timeout
        self.sock: Any = None
        self.connect()

    def connect(self) -> None:
        self.sock = dial(self.address, self.timeout)

    def say(self, data: bytes) -> bytes:
        """What comes back."""
        if self.sock is None:
            self.connect()
        try:
            self.sock.sendall(data)
            return read(self.sock, len(data))
        except (OSError, EOFError):
            self.close()
            raise

    def ping(self) -> bool:
        return self.say(b"ping") == b"ping"

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None
