"""A panel in a process of its own, and a client for it: for tests of what survives it."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

PATIENCE = 40.0


def free_port() -> int:
    """One that was free a moment ago, below those of outgoing connections."""
    for _ in range(200):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", random.randrange(16_000, 32_000)))
            return int(one.getsockname()[1])
    raise AssertionError("no port is free")


class PanelProcess:
    """`twistd rascal-panel` with its store in a folder."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.store = str(folder / "runs.db")
        self.port = free_port()
        self.options = {"scenarios": str(folder), "experiments": str(folder), **options}
        self.process: Any = None

    def start(self) -> None:
        """Until it answers."""
        words = [f"--{name}={value}" for name, value in self.options.items()]
        with (self.folder / "panel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from twisted.scripts.twistd import run; run()",
                 "-n", "--pidfile=", "rascal-panel", f"--listen=127.0.0.1:{self.port}",
                 f"--store={self.store}", *words],
                stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                assert self.call("GET", "/api/v1/queue")[0] == 200
                return
            except OSError:
                # It may not listen yet.
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < ends, self.log()
                time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "panel.log").read_text()

    def kill(self) -> None:
        """As a crash does it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {}
        if method != "GET":
            form = next(self.events("/api/v1/events"))[1]["csrf"]
            headers = {"Origin": f"http://127.0.0.1:{self.port}", "X-CSRF-Token": form,
                       "Content-Type": "application/json"}  # fmt: skip
        text = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        finally:
            connection.close()

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Kind and data of each event of a stream, until it ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            kind = ""
            for line in answer:
                if line.startswith(b"event: "):
                    kind = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line[6:])
        finally:
            connection.close()

    def started(self, body: Any) -> str:
        """The number of a run that has begun."""
        status, found = self.call("POST", "/api/v1/runs", body)
        assert status == 201, (status, found, self.log())
        return str(found["run"])

    def until_ended(self, run: str) -> dict[str, Any]:
        """The run, once it has ended."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            found: dict[str, Any] = self.call("GET", f"/api/v1/runs/{run}")[1]
            if found.get("state") == "ended":
                return found
            time.sleep(0.1)
        raise AssertionError(f"run {run} has not ended: {found}")


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # of a run that was stopped at once
            super().handle()


@contextmanager
def target() -> Iterator[str]:
    """A server that bears load."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


SCENARIO = """
from rascal.load import scenario

@scenario
async def browse(user):
    (await user.get("/", name="front")).check(status=200)
"""
