"""One measurement: a load on one lane, how much got through, and what it cost the proxy."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import attrs
from lanes import BIG, Lane, Pins, module_file

from rascal.demo.children import Address

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_MYSQL_SELECT = b"SELECT 1, 'kettle', 3900"


@attrs.frozen
class Load:
    """What a client found: operations in seconds, and the latency where it says."""

    ops: float
    seconds: float
    p50: float | None = None
    p99: float | None = None


@attrs.frozen
class Sample:
    """A load on a lane, with the CPU time that the proxy took for it."""

    rate: float
    cpu: float
    p50: float | None
    p99: float | None
    ops: float


@attrs.frozen
class Case:
    """Something that is measured.

    Attributes:
        name: short.
        server: which server it needs.
        unit: of one operation.
        load: address, seconds and pins to what a client found.
        lanes: only these; None: all but `splice`.
        short: part of the short run.
        once: takes so long that the short run has one round of it.
    """

    name: str
    server: str
    unit: str
    load: Callable[[Address, float, Pins], Load]
    lanes: tuple[str, ...] | None = None
    short: bool = False
    once: bool = False


def measure(case: Case, lane: Lane, seconds: float, pin: Pins) -> Sample:
    """Put the case's load on the lane for about so long."""
    before = lane.cpu
    load = case.load(lane.addresses[case.server], seconds, pin)
    cpu = lane.cpu - before
    return Sample(load.ops / load.seconds, cpu / load.ops, load.p50, load.p99, load.ops)


def run(command: list[str], pin: Pins, say: str = "", seconds: float = 60) -> str:
    """Run a client to its end. Raises RuntimeError with what it said."""
    done = subprocess.run(
        [*pin.client, *command], input=say, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


_rates: dict[tuple[object, ...], float] = {}
"""What redis-benchmark reached before, on a lane and on any: it takes a number, not a time."""


def resp(connections: int, pipeline: int) -> Callable[[Address, float, Pins], Load]:
    """redis-benchmark, GET of a small value."""

    def load(address: Address, seconds: float, pin: Pins) -> Load:
        key, any_lane = (connections, pipeline, address), (connections, pipeline)
        rate = _rates.get(key) or _rates.get(any_lane, 20_000.0)
        ops = max(int(rate * seconds), connections * pipeline * 4)
        command = ["redis-benchmark", "-h", address[0], "-p", str(address[1]), "-t", "get"]
        command += ["-c", str(connections), "-n", str(ops), "-P", str(pipeline), "--csv"]
        found = _benchmark_line(run(command, pin))
        _rates[key] = _rates[any_lane] = found["rps"]
        return Load(
            ops, ops / found["rps"], found["p50_latency_ms"] / 1e3, found["p99_latency_ms"] / 1e3
        )

    return load


def _benchmark_line(text: str) -> dict[str, float]:
    rows = list(csv.reader(io.StringIO(text)))
    head = next(row for row in rows if row and row[0] == "test")
    line = next(row for row in rows if row and row[0].startswith("GET"))
    return {name: float(value) for name, value in zip(head[1:], line[1:], strict=True)}


def web(
    connections: int, path: str = "page", *, close: bool = False, body: int = 0
) -> Callable[[Address, float, Pins], Load]:
    """wrk; with `close` each request has a connection of its own, with `body` bytes count."""

    def load(address: Address, seconds: float, pin: Pins) -> Load:
        whole = max(1, round(seconds))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--latency"]
        command += ["-H", "Connection: close"] if close else []
        text = run([*command, f"http://{address[0]}:{address[1]}/{path}"], pin)
        found = re.search(r"(\d+) requests in ([\d.]+)(\w+),", text)
        if found is None or "Non-2xx" in text:
            raise RuntimeError(f"wrk: {text}")
        ops, took = int(found[1]), float(found[2]) * _UNITS[found[3]]
        times = {
            percent: float(value) * _UNITS[unit]
            for percent, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", text)
        }
        return Load(ops * (body or 1), took, times.get("50"), times.get("99"))

    return load


def pingpong(
    connections: int, request: bytes, login: Any = None, bytes_each: int = 0
) -> Callable[[Address, float, Pins], Load]:
    """Our own client: the same request over and over."""

    def load(address: Address, seconds: float, pin: Pins) -> Load:
        say = json.dumps({"request": request.hex(), "login": login})
        command = [*module_file("peers.py"), "pingpong", address[0], str(address[1])]
        found = json.loads(run([*command, str(connections), str(seconds)], pin, say))
        return Load(found["ops"] * (bytes_each or 1), found["seconds"], found["p50"], found["p99"])

    return load


def bulk(connections: int) -> Callable[[Address, float, Pins], Load]:
    """Bytes one way, as fast as they go."""

    def load(address: Address, seconds: float, pin: Pins) -> Load:
        size = str(int(1e9 * seconds))
        command = [*module_file("peers.py"), "sink", address[0], str(address[1]), size]
        return Load(**json.loads(run([*command, str(connections)], pin)))

    return load


def _query(sql: bytes) -> bytes:
    return (len(sql) + 1).to_bytes(3, "little") + b"\0\x03" + sql


_MEMCACHED_SET = b"set key 0 0 64\r\n" + b"v" * 64 + b"\r\n"
_REDIS_SET = b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%b\r\n" % (BIG // 10, bytes(BIG // 10))

CASES = (
    Case("RESP, 1 connection", "redis", "request", resp(1, 1), short=True),
    Case("RESP, 64 connections", "redis", "request", resp(64, 1), short=True),
    Case("RESP, 64, 16 pipelined", "redis", "request", resp(64, 16), short=True),
    Case("HTTP, 1 connection", "http", "request", web(1)),
    Case("HTTP, 64 connections", "http", "request", web(64), short=True),
    Case(
        "HTTP, new connection each", "http", "request", web(16, close=True), short=True, once=True
    ),
    Case(
        "memcached, 1 connection",
        "memcached",
        "request",
        pingpong(1, b"get key\r\n", [_MEMCACHED_SET.hex()]),
    ),
    Case(
        "memcached, 16 connections",
        "memcached",
        "request",
        pingpong(16, b"get key\r\n", [_MEMCACHED_SET.hex()]),
        short=True,
    ),
    Case("MySQL, 1 connection", "mysql", "request", pingpong(1, _query(_MYSQL_SELECT), "mysql")),
    Case(
        "MySQL, 16 connections",
        "mysql",
        "request",
        pingpong(16, _query(_MYSQL_SELECT), "mysql"),
        short=True,
    ),
    Case(
        "bulk, 1 connection",
        "bulk",
        "byte",
        bulk(1),
        ("direct", "tcp", "haproxy", "splice", "nginx", "toxiproxy"),
        short=True,
    ),
    Case("bulk, HTTP bodies of 10 MB", "http", "byte", web(4, "big", body=BIG), ("*", "splice")),
    Case(
        "bulk, RESP values of 1 MB",
        "redis",
        "byte",
        pingpong(1, b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n", [_REDIS_SET.hex()], BIG // 10),
        ("*", "splice"),
    ),
)
