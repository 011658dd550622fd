"""A redis-server of our own, on a free port, for as long as a test needs it.

with redis_server(tmp_path) as port: …
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from rascal.demo.children import Children, listening

REDIS = shutil.which("redis-server") or ""


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[int]:
    """Start it with these options, and kill it in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly no".split()
    with Children(folder) as children:
        children.start(
            "redis-server",
            [REDIS, *words, "--save", "", *options],
            ready=listening(("127.0.0.1", port)),
        )
        yield port


def free_port() -> int:
    """A port that leaves room for that of the cluster bus, 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
