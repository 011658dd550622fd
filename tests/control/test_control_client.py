"""The client against a real site: TCP, UNIX sockets, tokens, and a service that hangs up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread
from within import within

from rascal.config import Token
from rascal.control._site import make_site
from rascal.control.client import Client, Refused, Unreachable
from rascal.errors import ConfigError


@pytest.fixture
def tcp(node: Any) -> Iterator[str]:
    from twisted.internet import reactor

    port = reactor.listenTCP(0, make_site(node), interface="127.0.0.1")  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{port.getHost().port}"
    pytest_twisted.blockon(port.stopListening())


@pytest.fixture
def unix(node: Any, tmp_path: Path) -> Iterator[str]:
    from twisted.internet import reactor

    path = str(tmp_path / "c.sock")
    port = reactor.listenUNIX(path, make_site(node))  # type: ignore[attr-defined]
    yield f"unix:{path}"
    pytest_twisted.blockon(port.stopListening())


def walk(client: Client) -> None:
    """Every method once."""
    with client:
        assert list(client.proxies()) == ["cache", "plain"]
        assert client.proxy("plain")["protocol"] == "tcp"
        made = client.add("cache", "delay 2s", name="d", for_="20s")
        assert made["text"] == "delay(2s) for 20s name d"
        assert client.add("cache", {"kind": "hang"}, match="key=x")["text"] == "hang match key=x"
        assert list(client.faults("cache")) == ["slow", "d", "hang"]
        assert list(client.faults("cache", "scripts")) == ["steps"]
        assert not client.disable("cache", "d")["armed"]
        assert client.enable("cache", "d")["armed"]
        assert client.change("cache", "d", "delay 3s")["text"] == "delay(3s) name d"
        assert client.restart("cache", "d")["armed"]
        assert client.get("cache", "d")["fired"] == 0
        assert client.remove("cache", "d")["name"] == "d"
        assert client.add_script("cache", "pass", match="command=DEL", name="s")["form"] == "script"
        assert client.remove("cache", "s", collection="scripts")["unused"] == [1]
        assert client.counters()["cache"]["faults"]["slow"]["fired"] == 0
        assert client.reset_counters()
        assert client.exchanges("cache", limit=3, fault="slow") == []
        assert client.connections("cache") == {}
        assert client.seed() == 42
        assert client.reload()["summary"] == "no change"
        assert "delay" in client.kinds("redis")
        assert "redis" in client.protocols()
        assert not client.healthy()
        assert not client.panic()["on"]
        assert client.panic(True, by="me")["by"] == "me"
        assert not client.panic(False)["on"]
        with pytest.raises(Refused) as caught:
            client.add("cache", "delay 2")
        assert str(caught.value).startswith("/text column 7: '2' has no unit")
        assert (caught.value.status, caught.value.code) == (422, "unit-missing")
        assert len(caught.value.errors) == 1
        with pytest.raises(Refused, match="Did you mean 'cache'"):
            client.faults("cahce")


@pytest_twisted.ensureDeferred
async def test_the_client_over_tcp(tcp: str) -> None:
    await within(20, deferToThread(walk, Client(tcp)))


@pytest_twisted.ensureDeferred
async def test_the_client_over_a_unix_socket(unix: str) -> None:
    await within(20, deferToThread(walk, Client(unix)))


@pytest_twisted.ensureDeferred
async def test_the_client_sends_its_token(tcp: str, node: Any) -> None:
    token = Token(role="admin", secret="s3cret")
    node.configuration = attrs.evolve(node.configuration, tokens=(token,))

    def run() -> None:
        with Client(tcp) as client, pytest.raises(Refused) as caught:
            client.proxies()
        assert caught.value.status == 401
        with Client(tcp, "s3cret") as client:
            assert client.proxies()

    await within(10, deferToThread(run))


@pytest_twisted.ensureDeferred
async def test_a_connection_that_was_closed_while_idle_is_made_anew(tcp: str) -> None:
    def run() -> None:
        with Client(tcp) as client:
            client.proxies()
            kept = client._connection
            assert kept is not None
            assert kept.sock is not None
            kept.sock.shutdown(socket.SHUT_WR)  # the site closes in turn
            client.wait_until(lambda: _readable(kept.sock))
            assert client.add("cache", "hang")["name"] == "hang"
            assert client._connection is not kept

    await within(10, deferToThread(run))


def _readable(sock: Any) -> bool:
    import select

    return bool(select.select([sock], [], [], 0)[0])


def test_what_is_no_control_api_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in (
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                b"garbage\r\n\r\n",
            ):
                sock, _ = server.accept()
                sock.recv(4096)
                sock.sendall(answer)
                sock.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            for _ in range(2):
                with (
                    Client(f"127.0.0.1:{server.getsockname()[1]}") as client,
                    pytest.raises(Unreachable),
                ):
                    client.proxies()
        finally:
            thread.join(10)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://127.0.0.1:x", "unix:c.sock"])
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(ConfigError, match=r"write http://127\.0\.0\.1:8474"):
        Client(url)


def test_nobody_answers() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="refused"):
        client.proxies()


def test_a_client_imports_neither_twisted_nor_klein() -> None:
    import subprocess
    import sys

    code = (
        "import sys, rascal.control.client\n"
        "print([m for m in ('twisted', 'klein', 'werkzeug') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
