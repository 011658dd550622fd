"""A Postfix of one's own: configuration, queue and data below one folder, on a free port.

Postfix insists on being started by root, and changes to its own user by itself; nothing of an
installed instance is used but the programs. What it accepts for example.org it discards.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rascal.demo.children import free_port


def _usable() -> str:
    found = shutil.which("postfix") or ""
    with contextlib.suppress(KeyError):
        pwd.getpwnam("postfix")
        return found if os.geteuid() == 0 else ""
    return ""


POSTFIX = _usable()

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.org
mydestination = example.org
mynetworks = 10.255.255.0/24
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps = inline:{{ann=x, bob=x}}
local_transport = discard:
default_transport = discard:
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions =
notify_classes =
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Client:
    """A bare connection to a server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")

    def reply(self) -> bytes:
        """The next reply, all its lines."""
        found = b""
        while True:
            line = self.file.readline()
            found += line
            if line[3:4] != b"-":
                return found

    def __call__(self, data: bytes) -> bytes:
        """Say a line; the reply to it."""
        self.socket.sendall(data + b"\r\n")
        return self.reply()

    def closed(self) -> bool:
        """The server has nothing more to say."""
        return self.file.readline() == b""

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Server:
    def __init__(self, port: int) -> None:
        self.port = port

    def client(self, hello: bytes = b"EHLO client.example.net") -> Client:
        """A client that was greeted, and has said hello."""
        made = Client(self.port)
        made.reply()
        if hello:
            made(hello)
        return made


def version() -> str:
    found = subprocess.run(
        ["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True, check=True
    )
    return f"Postfix {found.stdout.strip()}"


@contextlib.contextmanager
def postfix(*settings: str) -> Iterator[Server]:
    """Run one with further lines of main.cf.

    Its folder is none of pytest's, which its own user may not enter.
    """
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _started(folder, settings) as server:
            yield server


@contextlib.contextmanager
def _started(folder: Path, settings: Sequence[str]) -> Iterator[Server]:
    port = free_port()
    config = folder / "etc"
    for one in (config, folder / "queue", folder / "data"):
        one.mkdir(parents=True, exist_ok=True)
        one.chmod(0o755)
    shutil.chown(folder / "data", "postfix")
    lines = MAIN.format(folder=folder) + "\n".join(settings) + "\n"
    (config / "main.cf").write_text(lines, "utf-8")
    (config / "master.cf").write_text(MASTER.format(port=port), "utf-8")
    command = [POSTFIX, "-c", str(config)]
    subprocess.run([*command, "check"], check=True, capture_output=True, text=True)
    started = subprocess.run([*command, "start"], capture_output=True, text=True)
    log = folder / "log"
    try:
        assert started.returncode == 0, started.stderr + (log.read_text() if log.exists() else "")
        _until_open(port, log)
        yield Server(port)
    finally:
        subprocess.run([*command, "abort"], capture_output=True)
        _until_closed(port)


def _until_open(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), Client(port) as client:
            if client.reply():
                return
        time.sleep(0.02)
    raise AssertionError(f"Postfix does not answer: {log.read_text() if log.exists() else ''}")


def _until_closed(port: int) -> None:
    """Its children end by themselves, a moment later."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            Client(port).close()
        except OSError:
            return
        time.sleep(0.02)
