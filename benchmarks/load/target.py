"""The target: nginx with one worker and a small JSON body, and what it says it has served."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BODY = '{"items": [1, 2, 3], "name": "shop", "ok": true}'
CONF = """
daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
default_type application/json;
client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
server {{ listen 127.0.0.1:{1} backlog=4096;
location /items {{ return 200 '{2}'; }} location /status {{ stub_status; }} }} }}
"""


class Target:
    """A running nginx."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/items"
        self._status = f"http://127.0.0.1:{port}/status"
        self._asked = 0

    def counts(self) -> tuple[int, int]:
        """Connections accepted and requests served so far, those for this page left out."""
        with urllib.request.urlopen(self._status, timeout=10) as reply:
            accepted, _, requests = map(int, reply.read().split(b"\n")[2].split())
        self._asked += 1
        return accepted - self._asked, requests - self._asked


@contextmanager
def nginx(core: int | None = None) -> Iterator[Target]:
    """Run it, on one core if given."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder, "nginx.conf")
        conf.write_text(CONF.format(folder, port, BODY))
        command = ["nginx", "-p", folder, "-e", f"{folder}/error.log", "-c", str(conf)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            _wait(process, port)
            yield Target(port)
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("nginx does not start")
        time.sleep(0.02)
