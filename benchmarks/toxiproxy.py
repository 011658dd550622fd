"""How fast the Toxiproxy-compatible API is, beside a bare route of Klein.

    python benchmarks/toxiproxy.py [--calls N] [--proxies N]

Both servers are children on loopback; calls to them take turns, so that what else the machine
does hits both alike. Times are those of a client on the same machine with one connection kept
open, so they hold what the client itself needs. Wanted: a toxic set up or removed in under 2 ms at
the median and 5 ms at the 99th percentile, in at most twice the time of the bare route; 1,000
proxies by one populate in under 2 s, 500 toxics a second, 1,000 proxies with 10 toxics each
listed in under 300 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rascal.demo.children import free_port

BARE = """
import sys
from klein import Klein
app = Klein()

@app.route("/proxies/<proxy>/toxics", methods=["POST"])
def create(request, proxy):
    request.setHeader(b"content-type", b"application/json")
    return b"{}"

app.run("127.0.0.1", int(sys.argv[1]), logFile=open("/dev/null", "w"))
"""
TOXIC = {"type": "latency", "name": "t", "attributes": {"latency": 100, "jitter": 10}}
KINDS = ("latency", "bandwidth", "slow_close", "timeout", "noop")


class Api:
    """A server that is asked over one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, data: Any = None) -> bytes:
        """The body of a success."""
        body = None if data is None else json.dumps(data)
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        found = answer.read()
        assert answer.status < 300, (method, path, answer.status, found)
        return found

    def timed(self, method: str, path: str, data: Any = None) -> float:
        """Seconds of one request."""
        began = time.perf_counter()
        self.ask(method, path, data)
        return time.perf_counter() - began


@contextmanager
def child(command: Callable[[int], list[str]]) -> Iterator[Api]:
    """A server that is told its port."""
    port = free_port()
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    api = Api(port)
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                api.connection.connect()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.05)
        yield api
    finally:
        api.connection.close()
        process.terminate()
        process.wait()


@contextmanager
def servers() -> Iterator[tuple[Api, Api]]:
    """The stand-in, and a bare route."""
    flags = ["-host", "127.0.0.1"]
    with (
        child(
            lambda port: [sys.executable, "-m", "rascal.tap.toxiproxy", "-port", str(port), *flags]
        ) as toxi,
        child(lambda port: [sys.executable, "-c", BARE, str(port)]) as bare,
    ):
        yield toxi, bare


def percentile(values: list[float], share: float) -> float:
    """The value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def single(toxi: Api, bare: Api, calls: int) -> dict[str, float]:
    """One toxic at a time, in turns with the bare route; milliseconds."""
    toxi.ask("POST", "/proxies", {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"})
    times: dict[str, list[float]] = {"bare": [], "set up": [], "removed": []}
    for n in range(calls + 50):
        found = {
            "bare": bare.timed("POST", "/proxies/p/toxics", TOXIC),
            "set up": toxi.timed("POST", "/proxies/p/toxics", TOXIC),
            "removed": toxi.timed("DELETE", "/proxies/p/toxics/t"),
        }
        if n >= 50:  # the first ones warm up
            for name, seconds in found.items():
                times[name].append(seconds * 1000)
    toxi.ask("DELETE", "/proxies/p")
    figures = {}
    for name, values in times.items():
        figures[f"{name}, median, ms"] = statistics.median(values)
        figures[f"{name}, p99, ms"] = percentile(values, 0.99)
    for name in ("set up", "removed"):
        ratio = figures[f"{name}, median, ms"] / figures["bare, median, ms"]
        figures[f"{name}, in bare routes"] = ratio
    return figures


def many(toxi: Api, proxies: int) -> dict[str, float]:
    """Proxies by one populate, 10 toxics on each, and all of them listed."""
    data = [
        {"name": f"p{n}", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
        for n in range(proxies)
    ]
    figures = {f"{proxies} proxies populated, s": toxi.timed("POST", "/populate", data)}
    began = time.perf_counter()
    for n in range(proxies):
        for kind in KINDS:
            for stream in ("upstream", "downstream"):
                toxi.ask("POST", f"/proxies/p{n}/toxics", {"type": kind, "stream": stream})
    seconds = time.perf_counter() - began
    figures["toxics a second"] = 10 * proxies / seconds
    lists = [toxi.timed("GET", "/proxies") * 1000 for _ in range(9)]
    figures[f"{10 * proxies} toxics listed, ms"] = statistics.median(lists)
    figures["all reset, s"] = toxi.timed("POST", "/reset")
    return figures


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--proxies", type=int, default=1000)
    options = parser.parse_args()
    with servers() as (toxi, bare):
        for figures in (single(toxi, bare, options.calls), many(toxi, options.proxies)):
            for name, value in figures.items():
                print(f"{name:36} {value:10.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
