"""What stands for the time of a block, events, TLS and time-outs: the blocking client."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from live import free_port, redis_server, service

from rascal.control.client import Client, Refused, Unproven, Unreachable
from rascal.control.client._events import Event, EventReader
from rascal.errors import ConfigError

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

INI = """
[rascal]
control = 127.0.0.1:{control}
seed = 7

[proxy:cache]
protocol = redis
listen = 127.0.0.1:{cache}
upstream = 127.0.0.1:{redis}
faults =
    delay 5s match key=never count 9 name slow
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, int]]:
    folder = tmp_path_factory.mktemp("client")
    with redis_server(folder) as redis:
        ports = {"control": free_port(), "cache": free_port(), "redis": redis}
        file = folder / "proxies.ini"
        file.write_text(INI.format(**ports))
        with service(file, f"http://127.0.0.1:{ports['control']}") as client:
            yield client, ports["cache"]


@pytest.fixture
def client(place: tuple[Client, int]) -> Iterator[Client]:
    """The client; what a test changes is back as it was."""
    before = place[0].export()
    yield place[0]
    assert place[0].export() == before


@pytest.fixture
def talk(place: tuple[Client, int]) -> Any:
    def say(*lines: str) -> list[str]:
        found = []
        with socket.create_connection(("127.0.0.1", place[1]), 10) as sock:
            for line in lines:
                sock.sendall(line.encode() + b"\r\n")
                found.append(sock.recv(1000).decode().strip())
        return found

    return say


def test_a_fault_for_the_time_of_a_block(client: Client, talk: Any) -> None:
    with client.fault("cache", "error(oom) match command=SET", count=1) as fault:
        assert (fault.name, fault.fired, fault.armed) == ("error", 0, True)
        assert talk("SET a 1", "SET a 1")[0].startswith("-OOM")
        assert (fault.fired, fault.matched) == (1, 1)
        fault.verify()
        fault.verify(1)
        with pytest.raises(Unproven, match="matched 1, fired 1, wanted 2"):
            fault.verify(2)
    assert (fault.over, fault.fired) == (True, 1)
    assert repr(fault) == "<cache/error error(oom) match command=SET count 1>"


def test_a_fault_that_never_fired_proves_nothing(client: Client, talk: Any) -> None:
    with client.fault("cache", "0% hang match command=GET") as fault:
        talk("GET a")
    with pytest.raises(Unproven, match="matched 1, fired 0, skipped 1 probability"):
        fault.verify()


def test_errors_of_the_block_come_out_and_the_fault_goes(client: Client) -> None:
    with pytest.raises(ZeroDivisionError), client.fault("cache", "hang match key=x"):
        raise ZeroDivisionError
    with client.fault("cache", "hang match key=x") as fault:
        client.remove("cache", fault.name)  # somebody else was faster
    with pytest.raises(Refused) as caught, client.fault("cache", "hang name slow"):
        pytest.fail("the name is taken")
    assert (caught.value.status, caught.value.code) == (409, "name-taken")
    with pytest.raises(Refused) as caught, client.fault("cache", "delay dealy=2s"):
        pytest.fail("there is no such option")
    assert caught.value.column == 7
    assert caught.value.pointer == "/text"
    assert "delay" in caught.value.allowed


def test_a_duration_may_be_a_timedelta_and_never_a_number(client: Client) -> None:
    with client.fault("cache", "hang match key=x", for_=timedelta(seconds=20)) as fault:
        assert fault.text == "hang match key=x for 20s"
    with pytest.raises(Refused, match="/for"), client.fault("cache", "hang", for_=20):
        pytest.fail("a number has no unit")
    with pytest.raises(ConfigError, match="cannot be sent"):
        client.add("cache", "hang", match={1, 2})


def test_a_script_and_its_verification(client: Client, talk: Any) -> None:
    with client.script("cache", "pass, error(oom)", match="command=SET") as script:
        assert talk("SET a 1")[0] == "+OK"
        with pytest.raises(Unproven, match=r"step 2 error\(oom\) is unused"):
            script.verify()
        assert talk("SET a 1")[0].startswith("-OOM")
        script.wait(lambda one: not [step for step in one.steps if step["state"] == "unused"])
    script.verify()
    assert [step["state"] for step in script.steps] == ["used", "used"]


def test_a_recipe_for_the_time_of_a_block(client: Client, talk: Any) -> None:
    talk("SET a 1")
    with client.recipe("cache", "cold-cache", for_="60s") as recipe:
        assert talk("GET a") == ["$-1"]
    assert recipe.fired == 1


def test_what_is_changed_for_a_block_is_as_before(client: Client) -> None:
    before = client.get("cache", "slow")
    for changes in (
        {"count": 3, "options": {"delay": "1s"}},
        "hang match command=GET and key=a for 3s",
        {"match": None, "skip": 2},
        {"kind": "error", "options": {"error": "oom"}},
        {"enabled": False},
        {"options": {"buffer": "1MB"}},
    ):
        with client.changed("cache", "slow", changes) as now:
            assert now["structure"] != before["structure"]
        after = client.get("cache", "slow")
        assert (after["structure"], after["enabled"]) == (before["structure"], before["enabled"])


def test_a_proxy_is_down_for_a_block(client: Client, talk: Any) -> None:
    with client.down("cache"), pytest.raises(ConnectionRefusedError):
        talk("PING")
    assert talk("PING") == ["+PONG"]


def test_changes_with_a_condition(client: Client) -> None:
    data, tag = client.tagged("cache", "slow")
    with client.changed("cache", "slow", {"skip": 1}):
        with pytest.raises(Refused) as caught:
            client.change("cache", "slow", {"skip": 2}, if_match=tag)
        assert caught.value.status == 412
    assert data["name"] == "slow"
    _, tag = client.tagged("cache", "slow")
    client.change("cache", "slow", {"skip": 2}, if_match=tag)
    client.change("cache", "slow", {"skip": None})
    assert client.tagged("cache")[0]["name"] == "cache"


def test_many_changes_at_once_and_leases(client: Client) -> None:
    path = "/api/v1/proxies/cache/faults"
    client.change_state(
        [
            {"method": "POST", "path": path, "data": "hang match key=x name one"},
            {"method": "POST", "path": path, "data": "hang match key=x name two"},
        ]
    )
    assert {"one", "two"} <= set(client.state()["proxies"]["cache"]["faults"])
    client.remove("cache", "one")
    client.remove("cache", "two")
    client.add("cache", "hang match key=x", lease={"id": "run-7", "for": "30s"})
    assert client.leases()["run-7"]["holds"] == ["cache/hang"]
    assert client.renew_lease("run-7", "60s")["seconds"] == 60
    assert client.lease("run-7")["expires_in"] > 30
    assert client.end_lease("run-7")["id"] == "run-7"
    client.wait_until(lambda: "hang" not in client.faults("cache"))


def test_proxies_with_options(client: Client) -> None:
    made = client.add_proxy("x", "tcp", "127.0.0.1:0", "127.0.0.1:1", connect_timeout="2s")
    assert made["options"] == {"connect_timeout": "2s"}
    assert client.change_proxy("x", {"options": {"connect_timeout": None}})["options"] == {}
    assert client.enable_proxy("x", False)["addresses"] == []
    assert client.remove_proxy("x")["name"] == "x"
    off = client.add_proxy("x", "tcp", "127.0.0.1:0", "127.0.0.1:1", enabled=False)
    assert not off["enabled"]
    client.remove_proxy("x")


def test_the_rest_of_the_api(client: Client) -> None:
    assert client.kind("delay", "redis")["name"] == "delay"
    assert client.protocol("redis")["fields"]["key"]
    assert "cold-cache" in client.recipes()
    assert client.openapi()["openapi"] == "3.1.0"
    assert "rascal_" in client.metrics()
    assert client.ready()["status"] == "ok"
    assert client.set_seed(9) == 9
    assert client.seed() == 9
    assert isinstance(client.set_seed(), int)
    assert client.set_seed(7) == 7
    assert client.call("GET", "/api/v1/seed") == {"seed": 7}


# ---- events


def test_events_as_they_happen(client: Client, talk: Any) -> None:
    stream = client.events(("faults", "fired", "exchanges"), proxies=("cache",))
    seen: list[Event] = []

    def read() -> None:
        for event in stream:
            seen.append(event)
            if {one.kind for one in seen} == {"faults", "fired", "exchanges"}:
                return

    with Client(client.url) as other:
        thread = threading.Thread(target=read)
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            with other.fault("cache", "error(oom) match command=SET name seen"):
                talk("SET a 1")
            thread.join(0.2)
    kinds = {event.kind for event in seen}
    assert kinds == {"faults", "fired", "exchanges"}
    assert all(event.id for event in seen)
    assert next(event for event in seen if event.kind == "fired").data["fault"] == "seen"
    # What was missed in between is had by resuming.
    again = next(iter(client.events(("faults", "fired"), after=seen[0].id)))
    assert again.id != seen[0].id
    with pytest.raises(Refused, match="there are no events 'fird'"):
        next(client.events(("fird",)))


def test_events_of_a_service_that_goes_away(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "proxies.ini"
    file.write_text(f"[rascal]\ncontrol = 127.0.0.1:{port}\n")
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(Unreachable):
        next(Client(url).events(patience=60))  # it never was there: no patience
    with service(file, url) as client:
        stream = client.events(("snapshot",), patience=30)
        first = next(stream)
        assert first.kind == "snapshot"
        once = client.events(("snapshot",))
        next(once)
    with pytest.raises(Unreachable):
        next(once)
    with service(file, url):
        assert next(stream).kind in ("gap", "snapshot")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_however_they_are_cut(end: str, size: int) -> None:
    lines = ["retry: 1000", "", "id: 1", "event: fired", 'data: {"a":', "data: 1}", "", ": hello"]
    lines += ["", "id: 2", "", "data: plain", "", "data", "", "id: 3", "data:x"]
    data = end.join(lines).encode() + end.encode()
    reader = EventReader()
    found = []
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    assert found == [Event("1", "fired", {"a": 1}), Event("2", "message", "plain"),
                     Event("2", "message", "")]  # fmt: skip
    assert reader.last == "3"


def test_an_event_without_end_is_given_up() -> None:
    def feed(piece: bytes) -> None:
        reader = EventReader()
        for _ in range(100):
            reader.feed(piece)

    for piece in (b"x" * 100_000, b"data: " + b"x" * 100_000 + b"\n"):
        with pytest.raises(Unreachable, match="too long"):
            feed(piece)


# ---- where it is, and how long it may take


def test_a_call_ends_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            sock, _ = server.accept()
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not stop.wait(0.02):
                try:
                    sock.sendall(b"x")
                except OSError:
                    break
            sock.close()

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(url, timeout=0.3) as client, pytest.raises(Unreachable, match="no answer in"):
            client.proxies()
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(5)


def test_https_and_whom_it_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    issued = authority.issue_cert("localhost")
    certificate.write_bytes(
        issued.private_key_pem.bytes() + b"".join(one.bytes() for one in issued.cert_chain_pems)
    )
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    port = free_port()
    file = tmp_path / "proxies.ini"
    file.write_text(f"[rascal]\ncontrol = 127.0.0.1:{port}\ncontrol_certificate = {certificate}\n")
    monkeypatch.setenv("RASCAL_CA_FILE", str(trusted))
    url = f"https://localhost:{port}"
    with service(file, url) as client:
        assert client.proxies() == {}
        assert next(client.events(("snapshot",))).kind == "snapshot"
        code = (
            "from twisted.internet.task import react\n"
            "from twisted.internet.defer import ensureDeferred\n"
            "from rascal.control.client import AsyncClient\n"
            "async def main(reactor):\n"
            f"    async with AsyncClient({url!r}, reactor=reactor) as client:\n"
            "        print(await client.seed() >= 0)\n"
            "react(lambda reactor: ensureDeferred(main(reactor)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "True\n", done.stderr
        monkeypatch.delenv("RASCAL_CA_FILE")
        with Client(url) as other, pytest.raises(Unreachable, match="certificate is not trusted"):
            other.proxies()


def test_tokens_have_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tmp_path / "token"
    held.write_text("of-the-file\n")
    monkeypatch.setenv("RASCAL_TOKEN_FILE", str(held))
    assert Client().token == "of-the-file"
    monkeypatch.setenv("RASCAL_TOKEN", "of-the-environment")
    assert Client().token == "of-the-environment"
    assert Client(token="mine").token == "mine"
    monkeypatch.setenv("RASCAL_TOKEN", "two\nlines")
    with pytest.raises(ConfigError, match="RASCAL_TOKEN holds no token"):
        Client()
    monkeypatch.delenv("RASCAL_TOKEN")
    held.write_text("")
    with pytest.raises(ConfigError, match="holds no token"):
        Client()
    held.unlink()
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        Client()


def test_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASCAL_URL", "http://127.0.0.1:1/")
    assert Client().url == "http://127.0.0.1:1"
    assert Client("127.0.0.1:2").place.port == 2
    assert Client("http://[::1]").place[:3] == ("http", "::1", 8474)
    monkeypatch.delenv("RASCAL_URL")
    assert Client().url == "http://127.0.0.1:8474"
