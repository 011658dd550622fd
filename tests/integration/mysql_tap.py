"""Between a real client and a real server: a plain relay that shows all bytes to the codecs.

with Tap(server.port, negotiate=True) as tap:
    pymysql.connect(port=tap.port, …)
tap.sessions[0].books.requests, tap.sessions[0].log
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
import sys
import threading
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "wire"))

from books import Books

from rascal.errors import ProtocolError
from rascal.wire.mysql import PROTOCOL


class Session:
    """One connection: what was said, in the order in which it was read, and its books."""

    def __init__(self, **options: Any) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.books = Books(PROTOCOL, **options)
        self.lock = threading.Lock()
        self.error: ProtocolError | None = None

    def take(self, way: str, data: bytes) -> bytes:
        """Through the codec; what goes on."""
        with self.lock:
            self.log.append((way, data))
            if self.error is not None:
                return data
            try:
                new = (self.books.up if way == "up" else self.books.down)(data)
            except ProtocolError as error:
                self.error = error
                return data
            if way == "down" and new and new[0].head.command == "GREETING":
                message = new[0]
                session = self.books.session
                return PROTOCOL.rewrite_head(session, message.head, message.data) or data
            return data


class Tap:
    """The relay. Options are those of a proxy."""

    def __init__(self, port: int, **options: Any) -> None:
        self.upstream = port
        self.options = options
        self.sessions: list[Session] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = []
        self.running = True
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self.listener.close()
        end = time.monotonic() + 10
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        for one in self.sockets:
            one.close()

    def _accept(self) -> None:
        while self.running:
            client, _ = self.listener.accept()
            if not self.running:
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            self.sockets += (client, server)
            session = Session(**self.options)
            self.sessions.append(session)
            for way, source, target in (("up", client, server), ("down", server, client)):
                thread = threading.Thread(
                    target=self._relay, args=(session, way, source, target), daemon=True
                )
                self.threads.append(thread)
                thread.start()

    def _relay(
        self, session: Session, way: str, source: socket.socket, target: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(session.take(way, data))
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
