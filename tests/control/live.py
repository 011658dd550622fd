"""A real service in front of a real redis-server, both in processes of their own."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rascal.control.client import Client

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """The port of a redis-server that keeps nothing."""
    port = free_port()
    command = [shutil.which("redis-server") or "redis-server", "--port", str(port)]
    command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([*command, "--maxclients", "4000"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "redis-server ended"
                assert time.monotonic() < deadline, "redis-server does not listen"
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def service(file: Path, url: str) -> Iterator[Client]:
    """`twistd rascal-proxy` with this file, and a client for its control API."""
    arguments = ["twistd", "-n", "--pidfile=", "rascal-proxy", "--config", str(file)]
    code = f"import sys; sys.argv = {arguments!r}; from twisted.scripts.twistd import run; run()"
    log = file.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=file.parent,
        )
    client = Client(url)
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return client.healthy()

        client.wait_until(ready, seconds=PATIENCE)
        yield client
        text = log.read_text()
        assert "Traceback" not in text, text
    finally:
        client.close()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def raise_descriptor_limit(needed: int) -> bool:
    """Whether this process and its children may have so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return hard >= needed
