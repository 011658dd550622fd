"""Toxiproxy's client libraries drive Rascal, as they come from the registries.

toxiproxy-python from PyPI in this process, toxiproxy-node-client from npm in a child (node of 18
or later, and npm); the addresses are all that they are told.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tcp_peers import Echo, dial, read, read_address
from toxi_server import Toxi, standing_in

HERE = Path(__file__).parent
NODE, NPM = shutil.which("node"), shutil.which("npm")
NODE_CLIENT = "toxiproxy-node-client@^4"


@pytest.fixture(scope="module")
def toxi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxi]:
    with standing_in(tmp_path_factory.mktemp("clients")) as found:
        yield found


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as found:
        yield found


# ---- Python


@pytest.fixture
def client(toxi: Toxi) -> Iterator[Any]:
    from toxiproxy import Toxiproxy

    found = Toxiproxy()
    found.update_api_consumer("127.0.0.1", toxi.port)
    yield found
    found.destroy_all()


@pytest.fixture
def proxy(client: Any, echo: Echo) -> Any:
    return client.create(name="echo", upstream=f"127.0.0.1:{echo.address[1]}")


def say(proxy: Any, data: bytes = b"hello") -> tuple[bytes, float]:
    """What comes back, up to the end or to as many bytes, and after how many seconds."""
    began = time.monotonic()
    with dial(read_address(proxy.listen)) as sock:
        sock.sendall(data)
        found = b""
        while len(found) < len(data) and (more := sock.recv(65536)):
            found += more
    return found, time.monotonic() - began


def test_python_sees_a_server(client: Any) -> None:
    assert client.running()
    assert json.loads(client.version())["version"].startswith("2.")
    assert client.proxies() == {}


def test_python_makes_and_removes_proxies(client: Any, proxy: Any) -> None:
    from toxiproxy.exceptions import NotFound, ProxyExists

    assert (proxy.name, proxy.enabled) == ("echo", True)
    assert client.get_proxy("echo").listen == proxy.listen
    assert say(proxy)[0] == b"hello"
    with pytest.raises(ProxyExists):
        client.create(name="echo", upstream="127.0.0.1:1")
    assert proxy.destroy()
    assert client.get_proxy("echo") is None
    with pytest.raises(NotFound):
        proxy.destroy()


def test_python_populates(client: Any, echo: Echo) -> None:
    upstream = f"127.0.0.1:{echo.address[1]}"
    wanted = [{"name": name, "upstream": upstream, "listen": "127.0.0.1:0"} for name in "ab"]
    made = client.populate(wanted)
    assert [one.name for one in made] == ["a", "b"]
    assert all(say(one)[0] == b"hello" for one in made)
    again = [{"name": one.name, "upstream": upstream, "listen": one.listen} for one in made]
    assert client.populate(again) == []


def test_python_takes_a_proxy_down(proxy: Any) -> None:
    with proxy.down(), pytest.raises(ConnectionRefusedError):
        say(proxy)
    assert say(proxy)[0] == b"hello"


def test_python_delays(proxy: Any) -> None:
    proxy.add_toxic(type="latency", attributes={"latency": 300, "jitter": 0})
    found, seconds = say(proxy)
    assert found == b"hello"
    assert 0.3 <= seconds < 2.0
    toxic = proxy.get_toxic("latency_downstream")
    assert (toxic.type, toxic.stream, toxic.attributes["latency"]) == ("latency", "downstream", 300)
    assert proxy.destroy_toxic("latency_downstream")
    assert say(proxy)[1] < 0.3
    assert proxy.toxics() == {}


PYTHON = [
    ("bandwidth", {"rate": 10}, bytes(4000), bytes(4000), 0.3, 3.0),
    (
        "slicer",
        {"average_size": 2, "size_variation": 1, "delay": 50_000},
        b"123456",
        b"123456",
        0.1,
        3,
    ),
    ("limit_data", {"bytes": 3}, b"hello", b"hel", 0.0, 2.0),
    ("timeout", {"timeout": 300}, b"hello", b"", 0.29, 2.5),
    ("slow_close", {"delay": 300}, b"hello", b"hello", 0.0, 2.0),
    ("noop", {}, b"hello", b"hello", 0.0, 2.0),
]


@pytest.mark.parametrize(("type_", "attributes", "sent", "seen", "low", "high"), PYTHON)
def test_python_sees_every_toxic(
    proxy: Any,
    type_: str,
    attributes: dict[str, int],
    sent: bytes,
    seen: bytes,
    low: float,
    high: float,
) -> None:
    proxy.add_toxic(type=type_, name="one", stream="downstream", attributes=attributes)
    found, seconds = say(proxy, sent)
    assert found == seen
    assert low <= seconds < high
    assert proxy.get_toxic("one").attributes.items() >= attributes.items()


def test_python_resets_peers(client: Any, proxy: Any) -> None:
    with dial(read_address(proxy.listen)) as live:
        live.sendall(b"a")
        assert read(live, 1) == b"a"
        proxy.add_toxic(type="reset_peer", stream="upstream", attributes={"timeout": 100})
        live.sendall(b"b")
        with pytest.raises(ConnectionResetError):
            live.recv(1)
    assert client.reset()
    assert say(proxy)[0] == b"hello"


def test_python_is_told_what_is_wrong(proxy: Any) -> None:
    from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

    with pytest.raises(InvalidToxic, match="invalid toxic type"):
        proxy.add_toxic(type="nonsense")
    with pytest.raises(InvalidToxic, match="average_size"):
        proxy.add_toxic(type="slicer")
    proxy.add_toxic(type="noop")
    with pytest.raises(ProxyExists, match="toxic already exists"):
        proxy.add_toxic(type="noop")
    with pytest.raises(NotFound, match="toxic not found"):
        proxy.destroy_toxic("nobody")


# ---- Node


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (NODE and NPM):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    command = [NPM, "install", "--no-audit", "--no-fund", "--prefix", str(folder), NODE_CLIENT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"


def test_node_drives_everything(toxi: Toxi, echo: Echo, modules: Path) -> None:
    done = subprocess.run(
        [
            str(NODE),
            str(HERE / "toxi_node.js"),
            f"http://127.0.0.1:{toxi.port}",
            str(echo.address[1]),
        ],
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)
    assert seen["version"].startswith('{"version": "2.')
    assert seen["plain"] == {"bytes": 5, "end": "open", "late": False}
    assert seen["down"] == "ECONNREFUSED"
    assert seen["names"] == ["echo"]
    assert seen["populated"] == ["echo", "second"]
    assert seen["again"] == "Request failed with status code 409"
    assert seen["updated"] == {"latency": 350, "jitter": 0}
    assert seen["latency"] == {"bytes": 5, "end": "open", "late": True}
    assert seen["bandwidth"] == {"bytes": 4000, "end": "open", "late": True}
    assert seen["slicer"] == {"bytes": 6, "end": "open", "late": True}
    assert seen["timeout"] == {"bytes": 0, "end": "FIN", "late": True}
    assert seen["limit_data"] == {"bytes": 3, "end": "FIN", "late": False}
    assert seen["reset_peer"] == {"bytes": 0, "end": "ECONNRESET", "late": True}
    assert seen["slow_close"] == {"bytes": 5, "end": "FIN", "late": True}
    assert seen["noop"] == {"bytes": 5, "end": "open", "late": False}
    assert seen["refused"] == {
        "nonsense": "Request failed with status code 400",
        "slicer": "Request failed with status code 400",
        "nobody": "Request failed with status code 404",
    }
    assert seen["left"] == {}


# ---- the server binary's command


def test_the_service_of_twistd_stands_in_too(tmp_path: Path, echo: Echo) -> None:
    from harness import command

    from rascal.demo.children import Children, free_port, listening

    port = free_port()
    file = tmp_path / "toxiproxy.json"
    toxic = {"type": "latency", "attributes": {"latency": 200}}
    entry = {"name": "echo", "listen": "127.0.0.1:0", "toxics": [toxic]}
    file.write_text(json.dumps([entry | {"upstream": f"127.0.0.1:{echo.address[1]}"}]))
    words = [*command(file), "--host", "localhost", "--port", str(port)]
    with Children(tmp_path) as children:
        child = children.start(
            "rascal-proxy",
            words,
            ready=listening(("127.0.0.1", port)),
            environment={"PYTHONPATH": str(HERE.parents[1])},
        )
        found = Toxi(port, child)
        shown = found.done("GET", "/proxies")["echo"]
        assert [one["name"] for one in shown["toxics"]] == ["latency_downstream"]
        began = time.monotonic()
        with dial(read_address(shown["listen"])) as sock:
            sock.sendall(b"hello")
            assert read(sock, 5) == b"hello"
        assert time.monotonic() - began >= 0.2
        assert found.ask("GET", "/version", **{"User-Agent": "Mozilla/5.0"}).status == 403
        text = found.ask("GET", "/metrics").body.decode()
        label = f'direction="downstream",proxy="echo",listener="{shown["listen"]}"'
        assert f"toxiproxy_proxy_sent_bytes_total{{{label}" in text
        assert "Traceback" not in child.text
        found.native.close()


def test_bytes_are_counted_while_connections_live(toxi: Toxi, echo: Echo) -> None:
    address = toxi.proxy("bytes", echo.address)
    with dial(address) as sock:
        sock.sendall(bytes(1000))
        read(sock, 1000)
        text = toxi.ask("GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if 'proxy="bytes"' in line and "toxiproxy" in line]
    assert len(lines) == 4
    assert all(line.endswith(" 1000") for line in lines), lines
    toxi.clear()


def test_a_port_that_is_taken(toxi: Toxi, echo: Echo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        text = f"listen tcp {listen}: bind: address already in use"
        data = {"name": "a", "listen": listen, "upstream": f"127.0.0.1:{echo.address[1]}"}
        got = toxi.ask("POST", "/proxies", data)
        assert (got.status, got.json) == (500, {"error": text, "status": 500})
        assert toxi.done("GET", "/proxies") == {}
        first = data | {"name": "first", "listen": "127.0.0.1:0"}
        got = toxi.ask("POST", "/populate", [first, data, first | {"name": "third"}])
        assert (got.status, got.json["error"]) == (500, text)
        assert [one["name"] for one in got.json["proxies"]] == ["first"]
        before = toxi.done("GET", "/proxies/first")
        assert toxi.ask("POST", "/proxies/first", {"listen": listen}).status == 500
        assert toxi.done("GET", "/proxies/first") == before
        toxi.done("POST", "/proxies/first", {"enabled": False})
        other = before["listen"]
        with socket.socket() as squatter:
            squatter.bind(read_address(other))
            squatter.listen()
            got = toxi.ask("POST", "/reset")
            assert (got.status, got.json["status"]) == (500, 500)
        toxi.done("POST", "/reset")
        assert toxi.done("GET", "/proxies/first") == before
    toxi.clear()


def test_a_changed_proxy_lets_its_connections_go(toxi: Toxi, echo: Echo) -> None:
    address = toxi.proxy("moved", echo.address)
    with Echo() as other, dial(address) as sock:
        sock.sendall(b"x")
        read(sock, 1)
        upstream = f"127.0.0.1:{other.address[1]}"
        assert toxi.done("POST", "/proxies/moved", {"upstream": upstream})["upstream"] == upstream
        assert sock.recv(1) == b""
        with dial(address) as again:
            again.sendall(b"y")
            assert read(again, 1) == b"y"
        assert other.heard == 1
    toxi.clear()


def test_a_proxy_without_listen_takes_any_port_of_all_addresses(toxi: Toxi, echo: Echo) -> None:
    data = {"name": "any", "upstream": f"127.0.0.1:{echo.address[1]}"}
    found = toxi.done("POST", "/proxies", data)
    host, port = read_address(found["listen"])
    assert host in ("::", "0.0.0.0")
    for each in ("127.0.0.1", "::1") if host == "::" else ("127.0.0.1",):
        with dial((each, port)) as sock:
            sock.sendall(b"z")
            assert read(sock, 1) == b"z"
    toxi.clear()
