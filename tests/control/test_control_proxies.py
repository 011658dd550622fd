"""Proxies come, change and go while traffic flows; the control port under many clients, and TLS."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import requests
import trustme
from live import free_port, raise_descriptor_limit, service

from rascal.control.client import Client, Refused

INI = """\
[rascal]
control = 127.0.0.1:{control}
seed = 1

[proxy:a]
protocol = tcp
listen = 127.0.0.1:0
upstream = 127.0.0.1:{upstream}
"""
IDLE = 600


@contextmanager
def saying(word: bytes) -> Iterator[int]:
    """The port of a server that answers each read with a word and what it read."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(1000):
                sock.sendall(word + data)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[int, int]]:
    with saying(b"one:") as one, saying(b"two:") as two:
        yield one, two


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, upstreams: tuple[int, int]) -> Iterator[Client]:
    assert raise_descriptor_limit(4096)
    control = free_port()
    file = tmp_path_factory.mktemp("proxies") / "proxies.ini"
    file.write_text(INI.format(control=control, upstream=upstreams[0]))
    with service(file, f"http://127.0.0.1:{control}") as client:
        yield client


def connect(shown: dict[str, Any]) -> socket.socket:
    port = int(shown["addresses"][0].rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), 10)


def say(sock: socket.socket, word: bytes) -> bytes:
    sock.sendall(word)
    return sock.recv(100)


def make(api: Client, name: str, **more: Any) -> dict[str, Any]:
    plain = {"name": name, "protocol": "tcp", "listen": "127.0.0.1:0"}
    found: dict[str, Any] = api.call("POST", "/api/v1/proxies", plain | more)
    return found


def patch(api: Client, name: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = api.call("PATCH", f"/api/v1/proxies/{name}", changes)
    return found


def test_a_life(api: Client, upstreams: tuple[int, int]) -> None:
    shown = make(api, "b", upstream=f"127.0.0.1:{upstreams[0]}")
    port = shown["addresses"]
    with connect(shown) as old:
        assert say(old, b"x") == b"one:x"
        assert patch(api, "b", upstream=f"127.0.0.1:{upstreams[1]}")["addresses"] == port
        assert say(old, b"y") == b"one:y"  # it need not change
        with connect(shown) as new:
            assert say(new, b"x") == b"two:x"
            other = f"127.0.0.1:{free_port()}"
            moved = patch(api, "b", listen=[other])
            assert moved["addresses"] == [other]
            with pytest.raises(ConnectionRefusedError):
                connect(shown)
            assert say(old, b"z") == b"one:z"
            assert say(new, b"z") == b"two:z"
            with connect(moved) as third:
                assert say(third, b"x") == b"two:x"
            assert patch(api, "b", enabled=False)["addresses"] == []
            assert (old.recv(1), new.recv(1)) == (b"", b"")
    back = patch(api, "b", enabled=True)
    assert back["addresses"] == [other]
    with connect(back) as sock:
        assert say(sock, b"x") == b"two:x"
        assert api.call("DELETE", "/api/v1/proxies/b")["connections"]["open"] == 1
        assert sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(back)
    assert "b" not in api.proxies()


def test_a_port_that_cannot_be_had(api: Client, upstreams: tuple[int, int]) -> None:
    """The old state is kept whole, whatever else was to change."""
    before = api.call("GET", "/api/v1/state")
    with socket.create_server(("127.0.0.1", 0)) as taken, connect(api.proxy("a")) as sock:
        port = taken.getsockname()[1]
        calls: list[Callable[[], Any]] = [
            lambda: make(api, "c", listen=f"127.0.0.1:{port}", upstream="127.0.0.1:9"),
            lambda: patch(api, "a", listen=["127.0.0.1:0", f"127.0.0.1:{port}"]),
            lambda: api.call(
                "POST",
                "/api/v1/state",
                [
                    {"method": "PATCH", "path": "/api/v1/proxies/a", "data": {"upstream": "h:9"}},
                    {"method": "POST", "path": "/api/v1/proxies/a/faults", "data": "hang"},
                    {
                        "method": "POST",
                        "path": "/api/v1/proxies",
                        "data": {
                            "name": "c",
                            "protocol": "tcp",
                            "listen": f"127.0.0.1:{port}",
                            "upstream": "h:9",
                        },
                    },
                ],
            ),
        ]
        for call in calls:
            with pytest.raises(Refused, match="in use") as caught:
                call()
            assert (caught.value.status, caught.value.code) == (409, "not-possible")
            assert api.call("GET", "/api/v1/state") == before
            assert say(sock, b"x") == b"one:x"
        with connect(api.proxy("a")) as another:
            assert say(another, b"x") == b"one:x"


def test_a_port_moves_from_one_to_another(api: Client, upstreams: tuple[int, int]) -> None:
    port = free_port()
    make(api, "left", listen=f"127.0.0.1:{port}", upstream=f"127.0.0.1:{upstreams[0]}")
    new = {"protocol": "tcp", "listen": f"127.0.0.1:{port}", "name": "to"}
    new["upstream"] = f"127.0.0.1:{upstreams[1]}"
    changes = [
        {"method": "DELETE", "path": "/api/v1/proxies/left"},
        {"method": "POST", "path": "/api/v1/proxies", "data": new},
    ]
    api.call("POST", "/api/v1/state", changes)
    with connect(api.proxy("to")) as sock:
        assert say(sock, b"x") == b"two:x"
    api.call("DELETE", "/api/v1/proxies/to")


def test_idle_and_slow_connections_starve_nobody(
    api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    host, port = "127.0.0.1", int(api.url.rpartition(":")[2])
    socks = []
    try:
        for n in range(IDLE):
            sock = socket.create_connection((host, port), 10)
            if n % 2:
                sock.sendall(b"POST /api/v1/state HTTP/1.1\r\nHo")
            socks.append(sock)
        worst = 0.0
        for _ in range(20):
            began = time.perf_counter()
            with Client(api.url) as fresh:
                assert fresh.proxies()
            worst = max(worst, time.perf_counter() - began)
        assert worst < 1, worst
    finally:
        for sock in socks:
            sock.close()
    with capsys.disabled():
        print(f"\nworst call beside {IDLE} idle connections: {worst * 1000:.1f} ms")


# ---- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def files(folder: Path, authority: trustme.CA) -> tuple[str, str]:
    made = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return str(certificate), str(key)


@pytest_twisted.ensureDeferred
async def test_the_api_over_tls(node: Any, tmp_path: Path, authority: trustme.CA) -> None:
    import attrs
    from twisted.internet import reactor
    from twisted.internet.threads import deferToThread

    from rascal.control import make_site
    from rascal.language import Address
    from rascal.tap.proxy import listen_site, secured

    certificate, key = files(tmp_path, authority)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    node.configuration = attrs.evolve(
        node.configuration, control_certificate=certificate, control_key=key
    )
    site = secured(make_site(node), node.configuration)
    port = listen_site(reactor, Address("tcp", "127.0.0.1", 0), site)
    url = f"https://localhost:{port.getHost().port}"

    def ask() -> tuple[Any, int, int]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(tmp_path / "ca.pem")
            found = session.get(f"{url}/api/v1/proxies", timeout=10).json()
            own = session.put(
                f"{url}/api/v1/panic", json={"on": True}, headers={"Origin": url}, timeout=10
            )
            other = session.put(
                f"{url}/api/v1/panic",
                json={"on": True},
                headers={"Origin": "https://evil.example"},
                timeout=10,
            )
            return found, own.status_code, other.status_code

    try:
        found, own, other = await deferToThread(ask)
        assert (list(found), own, other) == (["cache", "plain"], 200, 403)
    finally:
        await port.stopListening()


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("none.pem", None, "control_certificate: .* cannot be read: no such file"),
        ("cert.pem", None, "control_certificate: .* holds no key .*name its file in control_key"),
        ("cert.pem", "none.pem", "control_key: .* cannot be read"),
        ("cert.pem", "cert.pem", "control_key: .* holds no key"),
        ("cert.pem", "other.pem", "control_key: .* is not the key of the certificate"),
        ("key.pem", "key.pem", "control_certificate: .* no certificate"),
    ],
)
def test_files_that_will_not_do(
    tmp_path: Path, authority: trustme.CA, certificate: str, key: str | None, message: str
) -> None:
    from rascal.control.tls import context_factory
    from rascal.errors import ConfigError

    files(tmp_path, authority)
    other = authority.issue_cert("x.example").private_key_pem.bytes()
    (tmp_path / "other.pem").write_bytes(other)
    with pytest.raises(ConfigError, match=message):
        context_factory(str(tmp_path / certificate), str(tmp_path / key) if key else None)


def test_options_of_tls_are_checked(tmp_path: Path) -> None:
    from rascal.config import load
    from rascal.errors import ConfigErrors

    file = tmp_path / "proxies.ini"
    for text, message in (
        ("control_key = x", "control_key without control_certificate"),
        ("control = unix:/tmp/x\ncontrol_certificate = x", "TLS is for control = host:port"),
    ):
        file.write_text(f"[rascal]\n{text}\n")
        with pytest.raises(ConfigErrors, match=message):
            load(str(file), {})
