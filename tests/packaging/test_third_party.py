"""A third-party package brings a protocol and a kind: built, installed, used by a real proxy."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

HERE = Path(__file__).parent
PATIENCE = 30.0


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the extension is installed, in a folder of its own."""
    folder = tmp_path_factory.mktemp("extension")
    source, target = folder / "source", folder / "site"
    shutil.copytree(HERE / "extension", source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run([*pip, *build], check=True, timeout=120, stdin=subprocess.DEVNULL)
    (wheel,) = folder.glob("rascal_lines-*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run([*pip, *install], check=True, timeout=120, stdin=subprocess.DEVNULL)
    return {**os.environ, "PYTHONPATH": str(target), "COLUMNS": "100"}


def rascal(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    code = "from rascal.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_knows_it(environ: dict[str, str]) -> None:
    protocol = json.loads(rascal(environ, "protocols", "lines", "--json").stdout)
    assert protocol["fields"]["text"]["help"] == "the whole line"
    assert list(protocol["errors"]) == ["busy"]
    assert {"yell", "error", "delay", "lose_reply"} <= set(protocol["kinds"])
    kind = json.loads(rascal(environ, "kinds", "yell", "--json").stdout)
    assert kind["protocols"] == ["lines"]
    assert kind["options"]["mark"]["default"] == "!"
    assert "yell" not in json.loads(rascal(environ, "protocols", "redis", "--json").stdout)["kinds"]


def test_without_it_nothing_is_left(environ: dict[str, str]) -> None:
    bare = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    assert rascal(bare, "protocols", "lines").returncode == 2
    assert rascal(bare, "kinds", "yell").returncode == 2


INI = """
[rascal]
control = off
[proxy:echo]
protocol = lines
listen = 127.0.0.1:{listen}
upstream = 127.0.0.1:{upstream}
faults =
    yell(mark="?!") match command=SAY and text~loudly
    error(busy) match command=ASK count 1
"""


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"you said " + line)


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server of lines."""
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def proxy(environ: dict[str, str], folder: Path, upstream: int) -> Iterator[int]:
    """A rascal-proxy in front of it."""
    listen = free_port()
    (folder / "proxies.ini").write_text(INI.format(listen=listen, upstream=upstream))
    words = ["-n", "--pidfile=", "rascal-proxy", "--config", "proxies.ini"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *words],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", listen)):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"the proxy is not there:\n{process.communicate()[0]}")
            time.sleep(0.02)
        yield listen
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=PATIENCE)[0]
        assert "Traceback" not in log, log
    finally:
        process.kill()
        process.communicate()


def test_a_proxy_speaks_it(environ: dict[str, str], tmp_path: Path) -> None:
    with echo() as upstream, proxy(environ, tmp_path, upstream) as port:
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with client, client.makefile("rwb", buffering=0) as lines:
            for asked, answered in (
                (b"say hello", b"you said say hello"),
                (b"say it loudly", b"YOU SAID SAY IT LOUDLY?!"),
                (b"ask loudly", b"ERR busy"),
                (b"ask again", b"you said ask again"),
            ):
                lines.write(asked + b"\n")
                assert lines.readline() == answered + b"\n"
