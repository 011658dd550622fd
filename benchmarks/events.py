"""What readers of events cost a busy proxy, and what telling costs when nobody reads.

    python benchmarks/events.py [--readers N] [--seconds N] [--rate N]

One service, the same paced traffic in every round: RATE commands a second, a fifth of which a
fault strikes, and CONNECTIONS new connections a second. Rounds take turns: nobody reads, N read
everything that comes unasked, one reads the exchanges (so all are decoded), N do. The CPU time of
the service says what the readers cost; they run in a process of their own.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

from control import GET, service, upstream

from rascal.control.client import Client

CONNECTIONS = 20
"""New connections a second."""
ROUNDS = 3

READERS = """
import socket, selectors, sys
host, port, count, query = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
wait, total = selectors.DefaultSelector(), 0
for _ in range(count):
    sock = socket.create_connection((host, port))
    head = f"GET /api/v1/events?{query} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n"
    sock.sendall(head.encode())
    wait.register(sock, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in wait.select():
        key.fileobj.recv(1 << 18)
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=2000)
    options = parser.parse_args()
    print(f"telling nobody: {telling():.0f} ns a time", flush=True)
    cases = {
        "nobody": (0, ""),
        f"{options.readers} readers": (options.readers, ""),
        "1 of exchanges": (1, "types=exchanges"),
        f"{options.readers} of exchanges": (options.readers, "types=exchanges"),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    with upstream() as behind, service(behind) as (client, port):
        client.add("cache", "20% delay(1ms) match command=GET", name="slow")
        with traffic(port, options.rate):
            for _ in range(ROUNDS):
                for name, (count, query) in cases.items():
                    with readers(client, count, query):
                        found[name].append(busy(client, options.seconds))
    print(f"{options.rate} commands/s, {CONNECTIONS} connections/s; CPU of the service:")
    base = statistics.median(found["nobody"])
    for name, shares in found.items():
        share = statistics.median(shares)
        spread = f"[{min(shares):.1%}-{max(shares):.1%}]"
        print(f"  {name:20} {share:6.1%} of a core {spread:16} readers: {share - base:+.1%}")
    return 0


def telling() -> float:
    """Nanoseconds that Gate.tell takes while nobody listens."""
    from types import SimpleNamespace

    from rascal.proxy.gate import Gate

    gate: Any = SimpleNamespace(on_event=None)
    number = 200_000
    return min(timeit.repeat(lambda: Gate.tell(gate, "x", gate), number=number)) / number * 1e9


def busy(client: Client, seconds: float) -> float:
    """The share of a core that the service uses."""
    time.sleep(0.5)
    before, began = cpu(client), time.monotonic()
    time.sleep(seconds)
    return (cpu(client) - before) / (time.monotonic() - began)


def cpu(client: Client) -> float:
    """CPU time of the service, seconds."""
    with urlopen(f"{client.url}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("process_cpu_seconds_total "):
                return float(line.split()[1])
    raise LookupError("no CPU time among the metrics")


@contextmanager
def readers(client: Client, count: int, query: str) -> Iterator[None]:
    """So many readers in one process."""
    if not count:
        time.sleep(0.2)
        yield
        return
    host, _, port = client.url.rpartition("//")[2].partition(":")
    command = [sys.executable, "-c", READERS, host, port, str(count), query]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield
    finally:
        child.terminate()
        child.wait()


@contextmanager
def traffic(port: int, rate: int) -> Iterator[None]:
    """A paced client: a batch each 10 ms on one connection, and new connections beside."""
    done = threading.Event()

    def run() -> None:
        batch, turn = max(1, rate // 100), 0
        due = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            while not done.is_set():
                sock.sendall(GET * batch)
                want = batch * 5
                while want > 0:
                    want -= len(sock.recv(65536))
                turn += 1
                if turn % (100 // CONNECTIONS) == 0:
                    socket.create_connection(("127.0.0.1", port), 10).close()
                due += 0.01
                time.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(10)


if __name__ == "__main__":
    sys.exit(main())
