"""What viewers cost: pages left open at the panel, and a page left open in a browser."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK")

FAST = Path(__file__).with_name("fast.js")


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def reading(port: int, path: str, count: list[int]) -> Iterator[None]:
    """Somebody who reads a stream of the panel and counts its bytes."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())

        def read() -> None:
            while True:
                try:
                    data = one.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                count[0] += len(data)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        yield
        one.shutdown(socket.SHUT_RDWR)
        thread.join()


def viewers_cost(
    port: int, pid: int, paths: list[str], seconds: float = 10.0
) -> tuple[float, float, int]:
    """The panel's share of a core without and with these streams read, and their bytes a second."""

    def busy() -> float:
        began, at = cpu_of(pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_of(pid) - began) / (time.monotonic() - at)

    alone = busy()
    count = [0]
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(reading(port, path, count))
        time.sleep(1.0)  # the snapshots
        before = count[0]
        watched = busy()
        return alone, watched, int((count[0] - before) / seconds)


def heap(session: Any) -> float:
    """Bytes of live objects in the page."""
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Performance.getMetrics")["metrics"]
    return float({one["name"]: one["value"] for one in found}["JSHeapUsedSize"])


def nodes(session: Any) -> int:
    """DOM nodes that live."""
    found = session.send("Performance.getMetrics")["metrics"]
    return int({one["name"]: one["value"] for one in found}["Nodes"])


def left_open(
    page: Any, path: str, snapshot: Any, *, seconds: float, speed: int, looks: int = 6
) -> list[tuple[int, float, int]]:
    """(seconds of the stream, heap, nodes) of a page whose stream lives `speed` times as fast.

    Args:
        page: of a context with bypass_csp.
        path: the live screen of a run.
        snapshot: what its stream begins with.
        seconds: how long, in real time.
        speed: seconds of the stream in one.
        looks: how often the heap is measured.
    """
    given = json.dumps({"snapshot": snapshot, "speed": speed})
    page.add_init_script(f"const GIVEN = {given};\n{FAST.read_text('utf-8')}")
    page.goto(path)
    page.wait_for_selector(".u-over")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    found = []
    for _ in range(looks):
        page.wait_for_timeout(1000 * seconds / looks)
        page.evaluate("window.fast.stands = true")
        found.append((page.evaluate("window.fast.seconds"), heap(session), nodes(session)))
        page.evaluate("window.fast.stands = false")
    return found
