"""One connection to a real Redis: what is said when it cannot be, and what happens when it goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import trustme
from within import until, within

from rascal.errors import CoordinationError
from rascal.load import _redis, embedded
from rascal.load._redis import Redis, RedisLost, RedisRefused
from rascal.load.clocks import measure
from rascal.load.embedded import Server
from rascal.load.places import Place, parse_place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("redis")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with embedded.redis(port=True, folder=str(tmp_path)) as started:
        yield started


def at(place: Place | str, role: str = "test") -> Redis:
    from twisted.internet import reactor

    return Redis(parse_place(place) if isinstance(place, str) else place, reactor, role)


async def refusal(place: Place | str) -> str:
    """The line that says why not."""
    redis = at(place)
    try:
        with pytest.raises(CoordinationError) as caught:
            await within(12, redis.connect())
    finally:
        await within(3, redis.close())
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_bytes_go_and_come_back_as_they_are(server: Server) -> None:
    redis = at(server.place)
    await within(5, redis.connect())
    try:
        everything = bytes(range(256)) * 50
        for value in (everything, b"007", b"1e5", b"", b"QUEUED", b"+OK\r\n", "grün".encode()):
            await within(5, redis.command("SET", "k", value))
            assert await within(5, redis.command("GET", "k")) == value
        id_ = await within(5, redis.command("XADD", "s", "*", "f", everything))
        found = await within(5, redis.command("XREAD", "STREAMS", "s", "0"))
        assert found == [[b"s", [[id_, [b"f", everything]]]]]
        assert await within(5, redis.command("XREAD", "STREAMS", "s", id_)) is None
        several = await within(
            5, redis.commands(("GET", "none"), ("XADD", "k", "*", "a", "b"), ("INCR", "n"))
        )
        assert several[0] is None and several[2] == 1
        assert isinstance(several[1], RedisRefused) and "WRONGTYPE" in str(several[1])
        names = await within(5, redis.command("CLIENT", "LIST"))
        assert b"name=rascal-test " in names
    finally:
        await within(5, redis.close())


@pytest_twisted.ensureDeferred
async def test_passwords_and_users(tmp_path: Path) -> None:
    with embedded.redis(port=True, folder=str(tmp_path)) as server:
        admin = at(server.place)
        await within(5, admin.connect())
        here = f"127.0.0.1:{server.port}"
        text = await refusal(f"redis://:secret@{here}")
        assert text == f"Redis at {here} has no password, and one was given"
        rules = ("on", ">kettle", "~rascal:*", "+@all")
        await within(5, admin.command("ACL", "SETUSER", "agent", *rules))
        await within(5, admin.command("CONFIG", "SET", "requirepass", "secret"))
        await within(5, admin.close())
        text = await refusal(f"redis://{here}")
        assert text.startswith(f"Redis at {here} needs a password: redis://:PASSWORD@…")
        assert await refusal(f"redis://:wrong@{here}") == f"Redis at {here} refuses the password"
        text = await refusal(f"redis://agent:wrong@{here}")
        assert text == f"Redis at {here} refuses the password for the user 'agent'"
        assert "DB index is out of range" in await refusal(f"redis://:secret@{here}/999")
        for url in (f"redis://:secret@{here}/3", f"redis://agent:kettle@{here}"):
            redis = at(url)
            await within(5, redis.connect())
            await within(5, redis.command("SET", "rascal:x", "1"))
            if "agent" in url:
                with pytest.raises(RedisRefused, match="NOPERM"):
                    await within(5, redis.command("SET", "other", "1"))
            await within(5, redis.close())


@pytest_twisted.ensureDeferred
async def test_what_is_no_redis_is_said(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        text = await refusal(f"127.0.0.1:{port}")
        assert text == f"Redis at 127.0.0.1:{port} refuses connections: is it running?"
    assert await refusal("unix:///none.sock") == "there is no socket of a Redis at /none.sock"
    text = await refusal("redis://name.invalid")
    assert text == "the host of Redis, 'name.invalid', is not known"
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol

    class Greets(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"220 mail.test ESMTP\r\n")

    listening = reactor.listenTCP(0, Factory.forProtocol(Greets), interface="127.0.0.1")  # type: ignore[attr-defined]
    try:
        here = f"127.0.0.1:{listening.getHost().port}"
        text = await refusal(here)
        assert text == f"what listens at {here} is not Redis: it said '220 mail.test ESMTP'"
        assert "no TLS with Redis at" in await refusal(f"rediss://{here}")
    finally:
        await within(5, listening.stopListening())


@pytest_twisted.ensureDeferred
async def test_a_listener_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis, "CONNECT_SECONDS", 0.5)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        here = f"127.0.0.1:{sock.getsockname()[1]}"
        assert f"{here} does not answer as Redis does" in await refusal(here)


@pytest_twisted.ensureDeferred
async def test_a_lost_connection_is_noticed_and_made_again(server: Server) -> None:
    redis = at(server.place)
    said: list[str] = []
    await within(5, redis.connect())
    redis.on_down, redis.on_up = said.append, lambda: said.append("up")
    try:
        waiting = redis.blocking("BLPOP", "never", 60, seconds=60)
        server.process.kill()
        server.process.wait()
        with pytest.raises(RedisLost, match="was lost"):
            await within(5, waiting)
        assert not redis.up
        before = time.monotonic()
        with pytest.raises(RedisLost):
            await within(5, redis.command("PING"))
        assert time.monotonic() - before < 0.2
        server.restart()
        await until(lambda: redis.up, seconds=10)
        assert await within(5, redis.command("PING")) == b"PONG"
        assert said == [f"the connection to Redis at {server.place} was lost", "up"]
        assert redis.connections == 2
    finally:
        await within(5, redis.close())


@pytest_twisted.ensureDeferred
async def test_a_redis_that_hangs_is_lost_in_time(server: Server) -> None:
    redis = at(server.place)
    await within(5, redis.connect())
    try:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisLost, match=r"did not answer within 0\.3s"):
                await within(5, redis.command("PING", seconds=0.3))
            await until(lambda: not redis.up)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        await until(lambda: redis.up, seconds=10)
        assert await within(5, redis.command("ECHO", "right")) == b"right"
    finally:
        await within(5, redis.close())


@pytest_twisted.ensureDeferred
async def test_it_can_be_closed_whatever_it_does(server: Server) -> None:
    redis = at(server.place)
    await within(5, redis.connect())
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        waiting = redis.command("PING")
        await within(3, redis.close())
        with pytest.raises(RedisLost):
            await within(1, waiting)
        again = at(server.place)  # while it is connecting
        wait = within(5, again.connect())
        wait.addErrback(lambda _: None)
        wait.cancel()
        await within(3, again.close())
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@pytest_twisted.ensureDeferred
async def test_the_clock_of_redis_is_measured_well(server: Server) -> None:
    redis = at(server.place)
    await within(5, redis.connect())
    try:
        offset = await within(5, measure(redis, redis.reactor))
        now = time.time()
        assert offset.redis(redis.reactor.seconds()) == pytest.approx(now, abs=0.05)
        assert 0 < offset.error < 0.05
        assert offset.ours(offset.redis(5.0)) == pytest.approx(5.0)
    finally:
        await within(5, redis.close())


# ---- TLS


class Certificates:
    """Files of an authority and of what it has signed."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
        self.folder = folder
        self.issue("good", "localhost", "127.0.0.1")
        self.issue("other-name", "elsewhere.test")

    def issue(self, name: str, *hosts: str) -> None:
        made = self.authority.issue_cert(*hosts)
        made.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.pem"))

    def nameless(self) -> None:
        """A certificate that is trusted and has no subjectAltName at all."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        good = x509.load_pem_x509_certificate((self.folder / "good.pem").read_bytes())
        signer = serialization.load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        key = serialization.load_pem_private_key((self.folder / "good.key").read_bytes(), None)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(good.issuer)
            .public_key(key.public_key())  # type: ignore[arg-type]
            .serial_number(7)
            .not_valid_before(good.not_valid_before_utc)
            .not_valid_after(good.not_valid_after_utc)
            .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
        )
        pem = made.public_bytes(serialization.Encoding.PEM)
        (self.folder / "nameless.pem").write_bytes(pem)
        (self.folder / "nameless.key").write_bytes((self.folder / "good.key").read_bytes())


@pytest_twisted.ensureDeferred
async def test_tls_is_verified(folder: Path, logged_failures: Any) -> None:
    certificates = Certificates(folder)
    certificates.nameless()
    trust, other = f"?ca={folder}/ca.pem", f"?ca={folder}/other.pem"
    for name, host, query, wrong in (
        ("good", "localhost", trust, ""),
        ("good", "127.0.0.1", trust, ""),
        ("good", "localhost", other, "certificate verify failed"),
        ("good", "localhost", "", "certificate verify failed"),
        ("other-name", "localhost", trust, "no TLS with Redis"),
        ("nameless", "localhost", trust, "its certificate names no host (subjectAltName)"),
    ):
        with tls_server(folder, name) as port:
            place = parse_place(f"rediss://:secret@{host}:{port}/{query}")
            if wrong:
                assert wrong in await refusal(place), (name, query)
                continue
            redis = at(attrs.evolve(place, password=""))
            await within(8, redis.connect())
            assert await within(5, redis.command("PING")) == b"PONG"
            await within(5, redis.close())
    logged_failures.flush()  # Twisted logs the certificate without names, and lets it pass


class tls_server:  # noqa: N801
    """A Redis with this certificate, on loopback."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __enter__(self) -> int:
        port = embedded.free_port()
        program = embedded.find_server()
        assert program
        files = [f"{self.folder}/{self.name}.{end}" for end in ("pem", "key")]
        command = [program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1"]
        command += ["--tls-cert-file", files[0], "--tls-key-file", files[1], "--save", ""]
        command += ["--tls-ca-cert-file", f"{self.folder}/ca.pem", "--tls-auth-clients", "no"]
        self.process: Any = subprocess.Popen(
            [*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
