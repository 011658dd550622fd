"""How fast the control API answers: idle, beside hanging connections, and with much to list.

    python benchmarks/control.py [--connections N] [--proxies N] [--calls N]

A service of its own, in front of a small server in this process; all on loopback. Times are those
of a client on the same machine, so they hold what the client itself needs.
"""

from __future__ import annotations

import argparse
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rascal.control.client import Client

INI = """\
[rascal]
control = 127.0.0.1:{control}
seed = 1

[proxy:cache]
protocol = redis
listen = 127.0.0.1:{listen}
upstream = 127.0.0.1:{upstream}
"""
GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
PING = b"*1\r\n$4\r\nPING\r\n"
BATCH = 50


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--proxies", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    with upstream() as behind, service(behind) as (client, port):
        print("idle", flush=True)
        calls(client, options.calls)
        print(f"beside {options.connections} connections that hang, and traffic", flush=True)
        with hanging(client, port, options.connections), traffic(client, port):
            calls(client, options.calls)
            removed(client)
        print(f"{options.proxies} proxies with 10 faults each", flush=True)
        many(client, options.proxies)
    return 0


# ---- what is measured


def calls(client: Client, number: int) -> None:
    """The everyday calls, one after the other."""
    names: dict[str, Callable[[], Any]] = {
        "proxies": client.proxies,
        "faults": lambda: client.faults("cache"),
        "add": lambda: client.add("cache", "delay 1s match command=DEL name other"),
        "change": lambda: client.change("cache", "other", {"count": 2}),
        "remove": lambda: client.remove("cache", "other"),
        "counters": client.counters,
        "exchanges": lambda: client.exchanges("cache"),
    }
    took: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(number):
        for name, call in names.items():
            took[name].append(timed(call))
    for name, times in took.items():
        show(name, times)


def removed(client: Client) -> None:
    """The fault that holds them all goes, and nobody may notice but they."""
    show("remove hang", [timed(lambda: client.remove("cache", "hang"))])
    show("the next", [timed(client.proxies)])


def many(client: Client, number: int) -> None:
    """A long list."""
    faults = [f"delay {n + 1}s match key^=k{n}: name f{n}" for n in range(10)]
    for n in range(0, number, BATCH):
        changes: list[dict[str, Any]] = []
        for name in (f"p{i}" for i in range(n, min(n + BATCH, number))):
            proxy = {"name": name, "protocol": "redis", "listen": "127.0.0.1:0"}
            proxy["upstream"] = "127.0.0.1:9"
            path = "/api/v1/proxies"
            changes.append({"method": "POST", "path": path, "data": proxy})
            path = f"{path}/{name}/faults"
            changes += [{"method": "POST", "path": path, "data": fault} for fault in faults]
        client.call("POST", "/api/v1/state", changes)
    for name, call in {
        "proxies": client.proxies,
        "faults of one": lambda: client.faults("p0"),
        "all faults": lambda: client.call("GET", "/api/v1/faults"),
        "counters": client.counters,
        "state": lambda: client.call("GET", "/api/v1/state"),
        "add": lambda: client.add("p0", "hang name late"),
        "remove": lambda: client.remove("p0", "late"),
    }.items():
        show(name, [timed(call)])


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def show(name: str, times: list[float]) -> None:
    """One line."""
    times = sorted(times)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    line = f"  {name:14} p50 {statistics.median(times):8.2f} ms"
    print(line + (f"  p99 {p99:8.2f} ms" if len(times) > 1 else ""), flush=True)


# ---- what it is measured on


@contextmanager
def upstream() -> Iterator[int]:
    """A server that answers everything with +OK."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        code = (
            "import socketserver, socket\n"
            "from twisted.internet import reactor, protocol\n"
            "class P(protocol.Protocol):\n"
            "    def dataReceived(self, data):\n"
            "        self.transport.write(b'+OK\\r\\n' * max(1, data.count(b'*')))\n"
            "f = protocol.Factory.forProtocol(P); f.noisy = False\n"
            f"s = socket.socket(fileno={listener.fileno()}); s.setblocking(False)\n"
            "reactor.adoptStreamPort(s.fileno(), socket.AF_INET, f); reactor.run()\n"
        )
        child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[listener.fileno()])
        try:
            yield listener.getsockname()[1]
        finally:
            child.terminate()
            child.wait()


@contextmanager
def service(behind: int) -> Iterator[tuple[Client, int]]:
    """A rascal-proxy; its client and the port of its proxy."""
    control, listen = free_port(), free_port()
    arguments = ["twistd", "-n", "--pidfile=", "rascal-proxy", "--config", "proxies.ini"]
    code = f"import sys; sys.argv = {arguments!r}; from twisted.scripts.twistd import run; run()"
    with tempfile.TemporaryDirectory(prefix="rascal-bench-") as folder:
        text = INI.format(control=control, listen=listen, upstream=behind)
        (Path(folder) / "proxies.ini").write_text(text)
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, stdout=subprocess.DEVNULL
        )
        try:
            with Client(f"http://127.0.0.1:{control}", timeout=60) as client:
                client.wait_until(client.healthy, seconds=20)
                yield client, listen
        finally:
            child.terminate()
            child.wait()


@contextmanager
def hanging(client: Client, port: int, number: int) -> Iterator[None]:
    """So many connections whose request hangs."""
    client.add("cache", "hang match command=GET")
    socks = []
    try:
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", port), 10)
            sock.sendall(GET)
            socks.append(sock)
        path = "/api/v1/proxies/cache/faults/hang"
        client.wait_until(lambda: client.call("GET", path)["waiting"] == number, seconds=30)
        yield
    finally:
        for sock in socks:
            sock.close()


@contextmanager
def traffic(client: Client, port: int) -> Iterator[None]:
    """One connection that sends as much as it may."""
    done = threading.Event()

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            while not done.is_set():
                sock.sendall(PING * 50)
                want = 50 * 5
                while want > 0:
                    want -= len(sock.recv(65536))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(10)


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
