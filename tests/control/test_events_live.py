"""Events and metrics of a real service in front of a real redis-server."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from live import free_port, redis_server, service
from prometheus_client.parser import text_string_to_metric_families

from rascal.control.client import Client
from rascal.control.client._events import Event, EventReader

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server"),
]

PATIENCE = 10.0

INI = """\
[rascal]
control = 127.0.0.1:{control}
seed = 1

[proxy:cache]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{redis}

[proxy:nowhere]
protocol = redis
listen = 127.0.0.1:0
upstream = 127.0.0.1:{closed}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("events")
    with redis_server(folder) as port:
        control = free_port()
        file = folder / "proxies.ini"
        file.write_text(INI.format(control=control, redis=port, closed=free_port()))
        with service(file, f"http://127.0.0.1:{control}") as client:
            yield client


@pytest.fixture(autouse=True)
def _clean(api: Client) -> Iterator[None]:
    yield
    api.panic(True, "the test")
    api.panic(False)


def port_of(api: Client, proxy: str = "cache") -> int:
    return int(str(api.proxy(proxy)["addresses"][0]).rpartition(":")[2])


@pytest.fixture
def cache(api: Client) -> Iterator[Any]:
    with redis.Redis(
        port=port_of(api), socket_timeout=10, retry=None, retry_on_error=[], driver_info=None
    ) as found:
        yield found


class Reading:
    """A reader with a bare socket (HTTP/1.0: no chunks)."""

    def __init__(self, api: Client, query: str = "", last: str = "", buffer: int = 0) -> None:
        host, _, port = api.url.rpartition("//")[2].partition(":")
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((host, int(port)))
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        request = f"GET /api/v1/events?{query} HTTP/1.0\r\nHost: {host}:{port}\r\n{more}\r\n"
        self.sock.sendall(request.encode())
        self.reader = EventReader(last)
        self.events: list[Event] = []
        self.head = b""

    def more(self) -> None:
        """Read once."""
        data = self.sock.recv(65536)
        assert data, "the stream has ended"
        if not self.head:
            self.head, _, data = data.partition(b"\r\n\r\n")
        self.events += self.reader.feed(data)

    def find(self, fits: Callable[[Event], Any]) -> Event:
        """The first event that fits; none is dropped."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [event for event in self.events if fits(event)]):
            assert time.monotonic() < deadline, "no such event"
            self.more()
        return found[0]

    def until(self, fits: Callable[[Event], Any]) -> Event:
        """The next event that fits; those before it are dropped."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self.events:
                event = self.events.pop(0)
                if fits(event):
                    return event
            assert time.monotonic() < deadline, "no such event"
            self.more()

    def close(self) -> None:
        self.sock.close()


@contextmanager
def reading(api: Client, query: str = "", **more: Any) -> Iterator[Reading]:
    found = Reading(api, query, **more)
    try:
        yield found
    finally:
        found.close()


def kind(name: str, /, **wanted: Any) -> Callable[[Event], bool]:
    return lambda e: e.kind == name and all(e.data.get(k) == v for k, v in wanted.items())


def test_what_happens_to_a_client_is_told(api: Client, cache: Any) -> None:
    with reading(api) as events:
        first = events.until(kind("snapshot"))
        assert first.data["proxies"]["cache"]["faults"] == {}
        api.add("cache", "error(loading) match command=GET count 2", name="loading")
        added = events.until(kind("faults", name="loading", change="added"))
        assert added.data["state"]["armed"]
        for _ in range(2):
            with pytest.raises(redis.BusyLoadingError):
                cache.get("a")
        opened = events.find(kind("connection")).data["connections"][0]
        assert (opened["change"], opened["client"]) == ("opened", "127.0.0.1")
        events.find(kind("fired", fault="loading", fired=2))
        assert events.find(kind("faults", change="used up")).data["name"] == "loading"
        fired = [one.data for one in events.events if one.kind == "fired"]
        assert sum(one["count"] for one in fired) == 2
        strike = fired[0]["strikes"][0]
        assert (strike["command"], strike["kind"], strike["match"]) == ("GET", "error", 0)
        cache.close()
        last = events.find(
            lambda e: e.kind == "connection" and e.data["connections"][-1]["change"] == "closed"
        )
        closed = last.data["connections"][-1]
        assert closed["ended_by"] == "peers"
        assert closed["to_upstream"] > 0
        events.find(
            lambda e: (
                e.kind == "counters"
                and e.data["proxies"].get("cache", {}).get("faults") == {"loading": [2, 2, 0]}
            )
        )


def test_an_upstream_that_cannot_be_had_is_told(api: Client) -> None:
    with reading(api, "types=connection&proxy=nowhere") as events:
        with (
            pytest.raises(redis.ConnectionError),
            redis.Redis(
                port=port_of(api, "nowhere"), socket_timeout=5, retry=None, retry_on_error=[]
            ) as lost,
        ):
            lost.ping()
        seen: list[str] = []
        while "closed" not in seen:
            told = events.until(lambda e: e.kind == "connection").data
            seen += [one["change"] for one in told["connections"]]
            for one in told["connections"]:
                if one["change"] == "failed":
                    assert one["how"] == "refused"
        assert seen[:3] == ["opened", "failed", "closed"]


def test_steps_of_a_script_are_told(api: Client, cache: Any) -> None:
    with reading(api, "types=step") as events:
        api.add_script("cache", "pass, error(oom)", match="command=SET", name="second")
        cache.set("a", "1")
        with pytest.raises(redis.ResponseError):
            cache.set("a", "1")
        states: dict[int, str] = {}
        while len(states) < 2:
            told = events.until(kind("step", script="second")).data
            states |= {one["n"]: one["state"] for one in told["steps"]}
        assert states == {1: "used", 2: "used"}
        assert (told["reached"], told["of"]) == (2, 2)


def test_every_exchange_is_told_while_it_is_watched(api: Client, cache: Any) -> None:
    with reading(api, "types=exchanges&proxy=cache") as events:
        api.wait_until(lambda: b"200 OK" in events.head or events.more())
        for n in range(300):
            cache.set(f"key:{n}", n)
            time.sleep(0.002)  # no more than can be told one by one
        keys: list[str] = []
        while len(keys) < 300:
            told = events.until(kind("exchanges")).data
            assert told["more"] == 0
            keys += [x["fields"]["key"] for x in told["exchanges"] if x["command"] == "SET"]
        assert keys == [f"key:{n}" for n in range(300)]


def test_a_reader_that_was_cut_off_misses_nothing(api: Client) -> None:
    with reading(api, "types=seed,snapshot") as events:
        events.until(kind("snapshot"))
        api.set_seed(100)
        last = events.until(kind("seed", seed=100)).id
    for n in range(101, 120):
        api.set_seed(n)
    with reading(api, "types=seed,snapshot", last=last) as events:
        seeds = [events.until(lambda e: True).data["seed"] for _ in range(19)]
        assert seeds == list(range(101, 120))


def test_a_client_that_is_cut_off_goes_on(api: Client) -> None:
    with Client(api.url) as other:
        stream = other.events(("seed",), after="")
        threading.Timer(0.3, lambda: api.set_seed(7)).start()
        assert next(iter(stream)).data == {"seed": 7}


def test_thirty_readers_are_told_the_same(api: Client, cache: Any) -> None:
    some = [Reading(api, "types=fired,snapshot") for _ in range(30)]
    try:
        for one in some:
            one.until(kind("snapshot"))
        api.add("cache", "delay(1ms) match command=GET", name="slow")
        for _ in range(200):
            cache.get("a")
        told = []
        for one in some:
            count, ids = 0, []
            while count < 200:
                event = one.until(kind("fired", fault="slow"))
                count += event.data["count"]
                ids.append(event.id)
            assert count == 200
            told.append(ids)
        assert all(ids == told[0] for ids in told)
    finally:
        for one in some:
            one.close()


def test_a_reader_that_never_reads_harms_nobody(api: Client, cache: Any) -> None:
    with reading(api, "types=snapshot,faults", buffer=4096) as never, reading(api) as other:
        before = memory(api)
        for n in range(1500):  # much more than all buffers take
            api.add("cache", f"delay(1s) match key^=nobody:{'x' * 2000}", name=f"d{n}")
            api.remove("cache", f"d{n}")
        other.until(kind("faults", name="d1499", change="removed"))
        assert cache.get("nothing") is None
        assert memory(api) - before < 40 * 1024 * 1024
        kinds_seen = set()
        never.until(lambda e: kinds_seen.add(e.kind) or e.kind == "gap")
        snapshot = never.until(kind("snapshot"))
        assert snapshot.data["proxies"]["cache"]["faults"] == {}


def memory(api: Client) -> float:
    return metrics(api)["process_resident_memory_bytes", ()]


def metrics(api: Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples of a scrape."""
    from urllib.request import urlopen

    with urlopen(f"{api.url}/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_follow_what_happens(api: Client, cache: Any) -> None:
    def of(name: str, **labels: str) -> float:
        return metrics(api).get((name, tuple(sorted({"proxy": "cache", **labels}.items()))), 0.0)

    before = of("rascal_bytes_total", direction="to_upstream")
    cache.set("big", "x" * 1_000_000)
    during = of("rascal_bytes_total", direction="to_upstream")
    assert 1_000_000 < during - before < 1_001_000  # while the connection lives
    assert of("rascal_connections_open") == 1
    connections = of("rascal_connections_total")
    closed = of("rascal_connections_ended_total", reason="peers")
    api.add("cache", "delay(20ms) match command=STRLEN", name="slow")
    for _ in range(10):
        cache.strlen("a")
    assert of("rascal_fault_fired_total", fault="slow") == 10
    assert of("rascal_exchange_sampled_seconds_bucket", command="STRLEN", le="0.01") == 0
    assert of("rascal_exchange_sampled_seconds_count", command="STRLEN") == 10
    cache.close()
    api.wait_until(lambda: of("rascal_connections_open") == 0)
    assert of("rascal_connections_ended_total", reason="peers") == closed + 1
    assert of("rascal_bytes_total", direction="to_upstream") >= during
    assert of("rascal_connections_total") == connections
    found = metrics(api)
    assert found["rascal_loop_lag_seconds_count", ()] > 0
    assert found["process_open_fds", ()] < 200
