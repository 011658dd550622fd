"""TLS legs against Python's own TLS sockets, both as a client and as a server."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from pump import Loop, Pump, Witness, abort, loop

from rascal.language import Address
from rascal.proxy import ends, tls
from rascal.proxy.dialler import Dialler, Originate
from rascal.proxy.tls import TlsEnd, TlsError, client_context, server_context

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def lean() -> Iterator[Loop]:
    with loop() as made:
        yield made


class Files:
    """An authority and what it issued, as files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.server = self.ca.issue_cert("db.example", "127.0.0.1")
        self.ca_file = str(folder / "ca.pem")
        self.certificate = str(folder / "certificate.pem")
        self.key = str(folder / "key.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        for blob in self.server.cert_chain_pems:
            blob.write_to_path(self.certificate, append=True)
        self.server.private_key_pem.write_to_path(self.key)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return request.param


class Peer:
    """The other side: a TLS socket of Python's, turned by the test's loop."""

    def __init__(self, at: Loop, sock: socket.socket, context: ssl.SSLContext, name: str | None):
        self.at = at
        self.sock = sock
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.into, self.out, server_side=name is None, server_hostname=name
        )
        self.got = bytearray()
        self.eof = ""

    def step(self) -> None:
        """Move bytes both ways."""
        if self.out.pending:
            self.at.send(self.sock, self.out.read())
        try:
            data = self.sock.recv(1 << 20)
            if data:
                self.into.write(data)
            else:
                self.eof = self.eof or "FIN"
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.eof = "RST"

    def shake(self) -> bool:
        self.step()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.step()
        return True

    def read(self) -> bytes:
        self.step()
        try:
            while data := self.tls.read(1 << 20):
                self.got += data
            self.eof = self.eof or "close_notify"
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.eof = self.eof or "close_notify"
        return bytes(self.got)

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self.step()

    def notify(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.step()


def server_side(files: Files, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files.server.configure_cert(context)
    if version:
        context.maximum_version = version
    return context


def client_side(files: Files, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    files.ca.configure_trust(context)
    if version:
        context.maximum_version = version
    return context


def originated(
    at: Loop, files: Files, version: ssl.TLSVersion | None = None
) -> tuple[Peer, TlsEnd]:
    """A TLS server and the end that faces it, hands shaken."""
    sock, raw = at.end()
    end = TlsEnd(raw, client_context(ca=files.ca_file), "db.example")
    peer = Peer(at, sock, server_side(files, version), None)
    done: list[str] = []
    end.handshake(lambda: done.append("done"), done.append)
    at.until(lambda: peer.shake() and done)
    assert done == ["done"]
    return peer, end


def terminated(
    at: Loop, files: Files, version: ssl.TLSVersion | None = None
) -> tuple[Peer, TlsEnd]:
    """A TLS client and the end that faces it, hands shaken."""
    sock, raw = at.end()
    end = TlsEnd(raw, server_context(files.certificate, files.key))
    peer = Peer(at, sock, client_side(files, version), "db.example")
    done: list[str] = []
    end.handshake(lambda: done.append("done"), done.append)
    at.until(lambda: peer.shake() and done)
    assert done == ["done"]
    return peer, end


def pumped(at: Loop, files: Files, version: ssl.TLSVersion) -> tuple[Peer, Peer, Pump]:
    """TLS client, relay, TLS server."""
    client, a = terminated(at, files, version)
    server, b = originated(at, files, version)
    assert client.tls.version() == server.tls.version() == version.name.replace("_", ".")
    return client, server, Pump(a, b)


def test_both_ways_with_half_close(lean: Loop, files: Files, version: ssl.TLSVersion) -> None:
    client, server, pump = pumped(lean, files, version)
    client.write(b"request")
    lean.until(lambda: server.read() == b"request")
    client.notify()
    lean.until(lambda: server.read() and server.eof)
    assert server.eof == "close_notify"
    server.write(b"late reply" * 10_000)
    lean.until(lambda: client.read() == b"late reply" * 10_000)
    server.notify()
    lean.until(lambda: client.read() and client.eof)
    client.sock.close()
    server.sock.close()
    lean.until(lambda: pump.client.closed and pump.upstream.closed)
    assert not pump.told
    assert not lean.hangups.ends


def test_a_bare_fin_is_the_end_of_one_direction(
    lean: Loop, files: Files, version: ssl.TLSVersion
) -> None:
    client, server, _ = pumped(lean, files, version)
    client.write(b"request")
    client.sock.shutdown(socket.SHUT_WR)
    lean.until(lambda: server.read() == b"request" and server.eof)
    server.write(b"late")
    lean.until(lambda: client.read() == b"late")


@pytest.mark.parametrize("from_client", [True, False])
def test_rst_as_rst(lean: Loop, files: Files, from_client: bool) -> None:
    client, server, pump = pumped(lean, files, VERSIONS[1])
    first, second = (client, server) if from_client else (server, client)
    lean.turn()
    second.read()
    abort(first.sock)
    lean.until(lambda: second.step() or second.eof)
    assert second.eof == "RST"
    assert [what for what, _ in pump.told] == ["lost"]
    assert not lean.hangups.ends


def test_bulk_is_unchanged_and_bounded(lean: Loop, files: Files, version: ssl.TLSVersion) -> None:
    client, server, pump = pumped(lean, files, version)
    block = bytes(range(256)) * 256
    want, sent = hashlib.sha256(), 0
    size = 2 << 20

    def step() -> bool:
        nonlocal sent
        if sent < size and pump.client.rest == 0:
            server.tls.write(block)
            server.step()
            want.update(block)
            sent += len(block)
        try:
            client.into.write(client.sock.recv(20_000))
        except BlockingIOError:
            return False
        try:
            while data := client.tls.read(1 << 20):
                client.got += data
        except ssl.SSLWantReadError:
            pass
        return len(client.got) >= size

    lean.until(step, "bulk", 10)
    assert hashlib.sha256(client.got).digest() == want.digest()
    assert ("drained", pump.client) in pump.told
    assert pump.most < 2 * len(ends.BUFFER)


def test_what_was_decrypted_waits_while_paused(
    lean: Loop, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pausing in the middle of a read keeps the rest; closing of the peer does not lose it."""
    plain = bytearray(10_000)
    monkeypatch.setattr(tls, "PLAIN", plain)
    monkeypatch.setattr(tls, "PLAIN_VIEW", memoryview(plain))
    peer, end = originated(lean, files)
    seen = Witness(end)

    def one_at_a_time(view: memoryview) -> None:
        seen.data.extend(view)
        end.pause()

    end.on_data = one_at_a_time
    data = bytes(range(256)) * 300  # several buffers
    peer.tls.write(data)
    peer.notify()
    peer.sock.shutdown(socket.SHUT_WR)
    end.shut()  # the socket is given back while decrypted bytes still wait

    def more() -> bool:
        end.resume()
        return "eof" in seen.told

    lean.until(more)
    assert seen.data == data
    assert seen.told == ["hangup", "eof"] or seen.told == ["eof"]
    assert end.closed


def test_bytes_right_behind_the_handshake_wait_for_resume(lean: Loop, files: Files) -> None:
    sock, raw = lean.end()
    end = TlsEnd(raw, client_context(ca=files.ca_file), "db.example")
    peer = Peer(lean, sock, server_side(files), None)
    done: list[str] = []
    greeted = []

    def shake() -> bool:
        if peer.shake() and not greeted:
            greeted.append(True)
            peer.write(b"greeting")
        return bool(done)

    end.handshake(lambda: done.append("done"), done.append)
    lean.until(shake)
    seen = Witness(end)
    lean.turn()
    assert not seen.data
    end.resume()
    lean.until(lambda: seen.data == b"greeting")


def test_hangup_while_paused(lean: Loop, files: Files) -> None:
    peer, end = terminated(lean, files)
    seen = Witness(end)
    end.resume()
    end.pause()
    peer.sock.close()
    lean.until(lambda: seen.told == ["hangup"])


def test_close_sends_the_rest_and_close_notify(lean: Loop, files: Files) -> None:
    peer, end = terminated(lean, files)
    end.write(b"x" * 1_000_000)
    assert end.rest
    end.close()
    end.write(b"more")
    assert end.closed
    lean.until(lambda: len(peer.read()) == 1_000_000 and peer.eof)
    assert peer.eof == "close_notify"
    peer.sock.close()
    lean.until(lambda: not lean.hangups.ends)


def test_garbage_after_the_handshake_is_a_loss(lean: Loop, files: Files) -> None:
    peer, end = terminated(lean, files)
    seen = Witness(end)
    end.resume()
    peer.sock.send(b"this is no record")
    lean.until(lambda: seen.told == ["lost"])
    assert end.closed
    assert not lean.hangups.ends


# -- dialling and terminating ----------------------------------------------------------------------
class Server:
    """A TLS server on a port; it takes one connection."""

    def __init__(self, at: Loop, context: ssl.SSLContext) -> None:
        self.at = at
        self.context = context
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.setblocking(False)
        at.sockets.append(self.sock)
        self.address = Address("tcp", *self.sock.getsockname())
        self.peer: Peer | None = None

    def step(self) -> None:
        if self.peer is None:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            self.at.sockets.append(sock)
            self.peer = Peer(self.at, sock, self.context, None)
        with suppress(ssl.SSLError, OSError):
            self.peer.shake()


class Wanting:
    client = None
    upstream: Any = None
    failure: tuple[str, str] | None = None

    def joined(self, upstream: Any) -> None:
        self.upstream = upstream

    def dial_failed(self, how: str, detail: str) -> None:
        self.failure = how, detail


def dial(at: Loop, server: Server, context: ssl.SSLContext, name: str, **options: Any) -> Wanting:
    wanting = Wanting()
    how = Originate(context=context, name=name)
    Dialler(at.reactor, at.hangups, server.address, tls=how, **options).dial(wanting)
    at.until(lambda: server.step() or wanting.upstream or wanting.failure)
    return wanting


@pytest.mark.parametrize("name", ["db.example", "127.0.0.1"])
def test_dials_with_tls(lean: Loop, files: Files, name: str) -> None:
    server = Server(lean, server_side(files))
    wanting = dial(lean, server, client_context(ca=files.ca_file), name)
    wanting.upstream.write(b"hello")
    assert server.peer
    lean.until(lambda: server.step() or server.peer.read() == b"hello")
    assert wanting.upstream.sent > 5  # with what TLS adds
    assert wanting.upstream.taken > 100


@pytest.mark.parametrize(
    ("name", "trusted", "says"),
    [
        ("other.example", True, "Hostname mismatch"),
        ("db.example", False, "unable to get local issuer certificate"),
    ],
)
def test_certificates_are_checked(
    lean: Loop, files: Files, name: str, trusted: bool, says: str
) -> None:
    server = Server(lean, server_side(files))
    context = client_context(ca=files.ca_file) if trusted else client_context()
    wanting = dial(lean, server, context, name)
    assert wanting.failure
    assert wanting.failure[0] == "tls"
    assert says in wanting.failure[1]
    wanting = dial(lean, Server(lean, server_side(files)), client_context(verify=False), name)
    assert wanting.upstream


def test_our_own_certificate(lean: Loop, files: Files) -> None:
    context = server_side(files)
    context.verify_mode = ssl.CERT_REQUIRED
    files.ca.configure_trust(context)
    server = Server(lean, context)
    ours = client_context(ca=files.ca_file, certificate=files.certificate, key=files.key)
    wanting = dial(lean, server, ours, "db.example")
    assert wanting.upstream
    assert server.peer
    lean.until(lambda: server.step() or server.peer.tls.getpeercert())


def test_a_server_without_tls(lean: Loop, files: Files) -> None:
    class Plain(Server):
        def step(self) -> None:
            if self.peer is None and self.at.sockets[-1] is not self.sock:
                return
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            self.at.sockets.append(sock)
            sock.send(b"220 hello\r\n")

    wanting = dial(lean, Plain(lean, server_side(files)), client_context(verify=False), "x")
    assert wanting.failure
    assert wanting.failure[0] == "tls"
    assert "wrong version number" in wanting.failure[1]


@pytest.mark.parametrize("rst", [True, False])
def test_a_server_that_hangs_up_in_the_handshake(lean: Loop, files: Files, rst: bool) -> None:
    class Rude(Server):
        def step(self) -> None:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            abort(sock) if rst else sock.close()

    wanting = dial(lean, Rude(lean, server_side(files)), client_context(verify=False), "x")
    assert wanting.failure
    assert wanting.failure[0] in ("tls", "refused")  # the RST may come with the connection
    lean.until(lambda: not lean.hangups.ends)


def test_the_timeout_covers_the_handshake(lean: Loop, files: Files) -> None:
    class Mute(Server):
        def step(self) -> None: ...

    wanting = dial(lean, Mute(lean, server_side(files)), client_context(), "x", timeout=0.1)
    assert wanting.failure
    assert wanting.failure[0] == "timeout"
    assert not lean.hangups.ends


def test_alpn(lean: Loop, files: Files) -> None:
    context = server_side(files)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = Server(lean, context)
    dial(lean, server, client_context(ca=files.ca_file, alpn=["http/1.1"]), "db.example")
    assert server.peer
    assert server.peer.tls.selected_alpn_protocol() == "http/1.1"


def test_files_that_cannot_be_used_are_one_line(files: Files, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    missing = str(tmp_path / "missing.pem")
    for call in (
        lambda: client_context(ca=missing),
        lambda: client_context(ca=str(empty)),
        lambda: server_context(missing, None),
        lambda: server_context(files.certificate, str(empty)),
        lambda: server_context(files.ca_file, files.key),
        lambda: client_context(certificate=files.certificate, key=files.ca_file),
    ):
        with pytest.raises(TlsError) as caught:
            call()
        assert ".pem" in str(caught.value)
        assert "\n" not in str(caught.value)
