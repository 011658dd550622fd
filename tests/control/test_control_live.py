"""The API of a real service in front of a real redis-server, as redis-py sees what it does."""

from __future__ import annotations

import shutil
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from live import free_port, raise_descriptor_limit, redis_server, service

from rascal.control.client import Client, Refused, Unreachable

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

CONNECTIONS = 1000

INI = """\
[rascal]
control = 127.0.0.1:{control}
seed = 1

[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{redis}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    assert raise_descriptor_limit(8192)
    folder = tmp_path_factory.mktemp("live")
    with redis_server(folder) as port:
        control = free_port()
        file = folder / "proxies.ini"
        file.write_text(INI.format(control=control, redis=port))
        with service(file, f"http://127.0.0.1:{control}") as client:
            yield client, file


@pytest.fixture
def api(place: tuple[Client, Path]) -> Iterator[Client]:
    """The client, with nothing installed before and after."""
    client = place[0]
    yield client
    client.panic(True, "the test")
    client.panic(False)
    client.reset_counters()


@pytest.fixture
def port(api: Client) -> int:
    return int(api.proxy("cache")["addresses"][0].rpartition(":")[2])


@pytest.fixture
def cache(port: int) -> Iterator[Any]:
    with redis.Redis(
        port=port, socket_timeout=10, retry=None, retry_on_error=[], driver_info=None
    ) as found:
        found.set("a", "1")
        yield found


def test_an_error_is_added_proved_and_removed(api: Client, cache: Any) -> None:
    made = api.add("cache", "error(loading) match command=GET", count=1, name="loading")
    assert made["text"] == "error(loading) match command=GET count 1 name loading"
    with pytest.raises(redis.BusyLoadingError):
        cache.get("a")
    assert cache.get("a") == b"1"
    books = api.counters()["cache"]["faults"]["loading"]
    assert (books["matched"], books["fired"], books["skipped"]) == (1, 1, {})
    assert not api.get("cache", "loading")["armed"]
    struck = api.exchanges("cache", fault="loading")
    assert [(one["command"], one["faults"]) for one in struck] == [("GET", ["loading"])]
    assert struck[0]["fields"]["key"]
    gone = api.remove("cache", "loading")
    assert gone["fired"] == 1
    assert "loading" not in api.faults("cache")


def test_a_hang_is_shown_and_let_go(api: Client, cache: Any) -> None:
    api.add("cache", "hang match command=GET")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, "a")
        api.wait_until(lambda: api.get("cache", "hang")["waiting"] == 1)
        assert not waiting.done()
        (shown,) = [one for one in api.connections("cache").values() if one["held_by"]]
        assert (shown["faults"], shown["held_by"]) == (["hang"], ["hang"])
        assert api.disable("cache", "hang")["waiting"] == 0
        assert waiting.result(5) == b"1"
    assert api.enable("cache", "hang")["armed"]


def test_a_change_concerns_the_next_match(api: Client, cache: Any) -> None:
    api.add("cache", "delay 5s match command=GET")
    api.change("cache", "delay", {"options": {"delay": "1ms"}})
    began = time.monotonic()
    assert cache.get("a") == b"1"
    assert time.monotonic() - began < 4
    assert api.get("cache", "delay")["hits"] == [0]


def test_a_script_takes_its_steps(api: Client, cache: Any) -> None:
    api.add_script("cache", "pass 2, error(oom)", match="command=SET", name="third")
    assert cache.set("a", "1")
    assert [s["state"] for s in api.get("cache", "third", "scripts")["steps"]] == [
        "used",
        "unused",
        "unused",
    ]
    assert cache.set("a", "1")
    with pytest.raises(redis.OutOfMemoryError):
        cache.set("a", "2")
    assert api.get("cache", "third", "scripts")["unused"] == []
    assert api.restart("cache", "third", collection="scripts")["unused"] == [1, 2, 3]


def test_a_connection_is_ended(api: Client, cache: Any, port: int) -> None:
    with pytest.raises(Refused) as caught:
        api.end_connection("cache", 999_999)
    assert caught.value.status == 404
    for how in ("reset", "close"):
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"PING\r\n")
            assert sock.recv(64) == b"+PONG\r\n"
            number = max(api.connections("cache"), key=int)
            shown = api.end_connection("cache", number, how)
            assert (shown["state"], shown["client"]) == ("relaying", "127.0.0.1")
            if how == "reset":
                with pytest.raises(ConnectionResetError):
                    sock.recv(64)
            else:
                assert sock.recv(64) == b""
        api.wait_until(lambda number=number: number not in api.connections("cache"))
    assert cache.get("a") == b"1"
    assert api.counters()["cache"]["ends"] == {"control": 2}


def test_panic_lets_everything_go_and_refuses_more(api: Client, cache: Any) -> None:
    api.add("cache", "hang")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, "a")
        api.wait_until(lambda: api.get("cache", "hang")["waiting"] == 1)
        assert api.panic(True, "Ada")["by"] == "Ada"
        assert waiting.result(5) == b"1"
    assert api.faults("cache") == {}
    with pytest.raises(Refused, match="Ada") as caught:
        api.add("cache", "hang")
    assert (caught.value.status, caught.value.code) == (409, "panic")
    api.panic(False)
    assert api.add("cache", "delay 1ms")["armed"]


def test_a_proxy_is_closed_and_opened(api: Client, cache: Any, port: int) -> None:
    assert api.enable_proxy("cache", False)["addresses"] == []
    with pytest.raises(redis.ConnectionError):
        cache.get("a")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    shown = api.enable_proxy("cache", True)
    again = int(shown["addresses"][0].rpartition(":")[2])
    with redis.Redis(port=again, driver_info=None) as opened:
        assert opened.get("a") == b"1"


def test_a_reload_applies_the_difference(place: Any, api: Client, cache: Any) -> None:
    file: Path = place[1]
    before = file.read_text()
    api.add("cache", "delay 1ms name mine")
    try:
        file.write_text(before + "faults =\n    error(readonly) match command=SET\n")
        assert api.reload()["summary"] == "cache (+error)"
        with pytest.raises(redis.ReadOnlyError):
            cache.set("a", "2")
        assert cache.get("a") == b"1"
        assert list(api.faults("cache")) == ["error", "mine"]
        file.write_text(before + "faults =\n    dely 2\n")
        with pytest.raises(Refused) as caught:
            api.reload()
        assert caught.value.status == 422
        assert caught.value.problem["line"] == 10
        assert "error" in api.faults("cache")
    finally:
        file.write_text(before)
        assert api.reload()["summary"] == "cache (-error)"
    assert cache.set("a", "1")


def test_control_answers_while_a_thousand_connections_hang(
    api: Client, cache: Any, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bound that is promised is 100 ms; asserted is five times that, for busy machines."""
    api.add("cache", "hang match command=GET")
    api.add("cache", "delay 60s match command=SET name slow")
    request = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
    socks = []
    try:
        for _ in range(CONNECTIONS):
            sock = socket.create_connection(("127.0.0.1", port), 10)
            sock.sendall(request)
            socks.append(sock)
        api.wait_until(lambda: api.get("cache", "hang")["waiting"] == CONNECTIONS, seconds=30)
        took: dict[str, list[float]] = {}

        def timed(name: str, call: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            found = call()
            took.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            return found

        for _ in range(20):
            timed("proxies", api.proxies)
            timed("faults", lambda: api.faults("cache"))
            timed("counters", api.counters)
            timed("exchanges", lambda: api.exchanges("cache"))
            timed("add", lambda: api.add("cache", "delay 1s match command=DEL name other"))
            timed("change", lambda: api.change("cache", "other", {"count": 2}))
            timed("remove other", lambda: api.remove("cache", "other"))
        assert len(timed("connections", lambda: api.connections("cache"))) > CONNECTIONS
        gone = timed("remove hang", lambda: api.remove("cache", "hang"))
        assert gone["fired"] == CONNECTIONS
        for sock in socks:
            sock.settimeout(20)
            assert sock.recv(64) == b"$1\r\n1\r\n"
    finally:
        for sock in socks:
            sock.close()
    with capsys.disabled():
        print(f"\ncontrol calls while {CONNECTIONS} connections hang, ms (median, worst):")
        for name, times in took.items():
            print(f"  {name:13} {statistics.median(times):6.1f} {max(times):6.1f}")
    worst = {name: max(times) for name, times in took.items()}
    assert max(worst.values()) < 500, worst


def test_nobody_there() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as nobody:
        assert not nobody.healthy()
        with pytest.raises(Unreachable, match="refused"):
            nobody.proxies()
        with pytest.raises(TimeoutError):
            nobody.wait_until(nobody.proxies, seconds=0.05)
