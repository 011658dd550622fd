"""A service that commands are called at, and how its Redis is spoken to."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner, Result

from rascal.cli.app import rascal
from rascal.control.client import Client

PROXIES = """
[rascal]
control = 127.0.0.1:{control}
seed = 42

[proxy:cache]
protocol = redis
listen = 127.0.0.1:{cache}
upstream = 127.0.0.1:{redis}

[proxy:db]
protocol = mysql
listen = 127.0.0.1:{db}
upstream = 127.0.0.1:{nothing}
"""


@attrs.define
class Place:
    """The service, its client, and how commands are called there."""

    url: str
    client: Client
    ports: dict[str, int]
    file: Path

    def run(self, *words: str, **environ: str) -> Result:
        """One command, in this process."""
        runner = CliRunner(env={"RASCAL_URL": self.url, "COLUMNS": "", "NO_COLOR": "", **environ})
        return runner.invoke(rascal, list(words), prog_name="rascal")

    def json(self, *words: str, status: int = 0) -> Any:
        """What a command says with --json."""
        done = self.run(*words, "--json")
        assert done.exit_code == status, done.output
        return json.loads(done.stdout)

    def command(self, *words: str) -> list[str]:
        """The command line of a process of its own."""
        return [sys.executable, "-c", "from rascal.cli import main; main()", *words]

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of such a process."""
        known = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")
        }
        return known | {"RASCAL_URL": self.url, "NO_COLOR": "1"} | more

    def talk(self, *lines: str) -> list[str]:
        """Redis's answers to inline commands through the proxy, one connection."""
        return talk(self.ports["cache"], *lines)

    def connect(self) -> socket.socket:
        """A connection to the proxy of Redis."""
        return socket.create_connection(("127.0.0.1", self.ports["cache"]), 10)

    def shown(self, text: str) -> str:
        """A text with names in place of the ports."""
        for name, port in self.ports.items():
            text = text.replace(f":{port}", f":{name.upper()}")
        return text


def talk(port: int, *lines: str) -> list[str]:
    """One line of an answer for each inline command."""
    said = []
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        stream = sock.makefile("rb")
        for line in lines:
            sock.sendall(line.encode() + b"\r\n")
            answer = stream.readline()
            if answer.startswith(b"$") and answer.strip() != b"$-1":
                answer = stream.readline()
            said.append(answer.decode().strip())
    return said
