"""Many users, a server that does whatever comes to its mind: no reply goes astray, each call ends
once, nothing is left."""

from __future__ import annotations

import pathlib
import random
import socket
import ssl
import threading
from typing import Any

import pytest
import pytest_twisted
import trustme
from load_place import Misbehaving, asked, bad, desk
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from within import until

from rascal.load.http.errors import RequestFailed
from rascal.load.types import OUTCOMES

USERS = 30
EACH = 25


class Moody:
    """Answers with the path that was asked for, in some way, or does not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.answered = 0

    def __call__(self, server: Misbehaving) -> None:
        method, path, _ = server.bad.requests[-1].split(b"\r\n")[0].split(b" ")
        mood = self.random.random()
        if mood < 0.04:
            server.reset()
        elif mood < 0.08:
            server.close()
        elif mood < 0.1:
            server.send(b"\x16\x03\x01 nonsense")
        elif mood > 0.97:
            return  # never
        else:
            self.reply(server, method, path)

    def reply(self, server: Misbehaving, method: bytes, path: bytes) -> None:
        code = self.random.choice((b"200 OK", b"200 OK", b"404 No", b"500 No"))
        lines = [b"HTTP/1.1 " + code, b"X-Path: " + path]
        body = path
        framing = self.random.random()
        if framing < 0.3:
            lines.append(b"Transfer-Encoding: chunked")
            body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        elif framing < 0.4:
            lines.append(b"Connection: close")
        else:
            lines.append(b"Content-Length: %d" % len(body))
        if method == b"HEAD":
            body = b""
        data = b"\r\n".join((*lines, b"", body))
        if self.random.random() < 0.1:
            data = b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" + data
        if self.random.random() < 0.1 and not 0.3 <= framing < 0.4:
            data += b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
        cut = self.random.randrange(len(data))
        if self.random.random() < 0.5:
            cut = len(data)
        server.send(data[:cut])

        def rest() -> None:
            if server in server.bad.connections:
                server.send(data[cut:])
                if 0.3 <= framing < 0.4 or self.random.random() < 0.05:
                    server.close()

        if self.random.random() < 0.5:
            rest()
        else:
            reactor.callLater(self.random.random() * 0.02, rest)  # type: ignore[attr-defined]


@pytest.mark.parametrize("connections", ["shared", "user", "none"])
@pytest.mark.parametrize("seed", range(3))
@pytest_twisted.ensureDeferred
async def test_no_reply_goes_astray(seed: int, connections: str) -> None:
    dice = random.Random(seed)
    ended = {"fine": 0, "failed": 0, "cancelled": 0}

    async def user(at: Any, number: int) -> None:
        session = at.user()
        for n in range(EACH):
            path = f"/{number}-{n}"
            method = dice.choice(("GET", "GET", "HEAD", "POST", "PUT"))
            body = {"data": b"x" * dice.randrange(5000)} if method in ("POST", "PUT") else {}
            waiting = session.request(method, path, timeout=0.3, name="x", **body)
            if dice.random() < 0.05:
                reactor.callLater(dice.random() * 0.01, waiting.cancel)  # type: ignore[attr-defined]
            try:
                response = await waiting
            except RequestFailed:
                ended["failed"] += 1
            except CancelledError:
                ended["cancelled"] += 1
            else:
                ended["fine"] += 1
                assert response.headers.getRawHeaders("x-path") == [path]
                assert response.body == (b"" if method == "HEAD" else path.encode())
            if dice.random() < 0.1:
                await deferLater(reactor, dice.random() * 0.01)  # type: ignore[arg-type]
        session.close()

    async with bad(Moody(seed)) as server, desk(server.url, connections=connections) as at:
        running = [Deferred.fromCoroutine(user(at, number)) for number in range(USERS)]
        await asked(gatherResults(running, consumeErrors=True))
        assert len(at.calls) == USERS * EACH == sum(ended.values())
        assert len(set(map(id, at.calls))) == len(at.calls)
        assert set(at.outcomes) <= set(OUTCOMES)
        assert ended["fine"] == sum(call.replies for call in at.calls) > USERS * EACH / 2
        assert min(ended.values()) > 0
        row = at.report().rows.values()
        assert sum(one.started for one in row) == USERS * EACH
        assert at.client.resent > 0 or connections == "none"
        if connections != "shared":
            await until(lambda: not at.client.connections)


class Blunt(threading.Thread):
    """A TLS server that ends its connections without TLS's goodbye: the second request of each,
    or in the middle of a body."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(self.context)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            with self.context.wrap_socket(plain, server_side=True) as tls:
                tls.settimeout(10)
                asked = tls.recv(65536)
                if b"/half" in asked:
                    tls.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
                else:
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    tls.recv(65536)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)


@pytest_twisted.ensureDeferred
async def test_tls_that_ends_without_goodbye(tmp_path: pathlib.Path) -> None:
    server = Blunt(tmp_path)
    try:
        async with desk(f"https://localhost:{server.port}") as at:
            at.client.tls = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            server.authority.configure_trust(context)
            for _ in range(3):
                assert (await asked(at.session.get("/"))).body == b"ok"
            assert (at.client.resent, at.client.opened) == (2, 3)
            with pytest.raises(RequestFailed) as failed:
                await asked(at.session.post("/", data=b"x"))
            assert failed.value.outcome == "reset"
            with pytest.raises(RequestFailed) as failed:
                await asked(at.session.get("/half"))
            assert failed.value.outcome == "truncated"
    finally:
        server.stop()
