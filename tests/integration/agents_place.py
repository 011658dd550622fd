"""A real Redis, a real nginx that counts, agents as processes, and a ledger of their reports."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from rascal.language import parse
from rascal.load import embedded
from rascal.load.places import Place
from rascal.load.plan import Plan, Share
from rascal.load.redis_link import RedisLink
from rascal.load.results import Results
from rascal.load.types import Event, Report

SCENARIO = b"""
import os
from rascal.load import scenario

ME = f"/{os.getpid()}"

@scenario("look")
async def look(user):
    await user.get(ME, name="home")
"""
FLOW = "home"

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format times '$msec $uri';
  access_log {folder}/access.log times;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{{"ok": true}}'; }}
  }}
}}
"""


class Target:
    """nginx on loopback; one line in its log a request."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"

    @property
    def lines(self) -> list[tuple[float, int]]:
        """When each request was answered (wall clock), and which process had sent it."""
        path = self.folder / "access.log"
        if not path.exists():
            return []
        words = [line.split() for line in path.read_text().splitlines()]
        return [(float(when), int(uri[1:])) for when, uri in words if uri[1:].isdigit()]

    def count(self, pid: int | None = None) -> int:
        """Requests answered; of one process."""
        return sum(1 for _, sender in self.lines if pid in (None, sender))


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Target]:
    """An nginx of our own."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    command = ["nginx", "-p", str(folder), "-e", f"{folder}/error.log"]
    process = subprocess.Popen([*command, "-c", f"{folder}/nginx.conf"])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "nginx does not listen"
                time.sleep(0.02)
        yield Target(folder, port)
    finally:
        process.terminate()
        process.wait(10)


def plan(target: Target, profile: str, **more: Any) -> Plan:
    """A plan for the one scenario."""
    share = Share(scenarios=("look",), profile=parse("profile", profile))
    return Plan(file="look.py", shares=(share,), target=target.url, timeout=2.0, **more)


FILES = {"look.py": SCENARIO}


class Ledger:
    """What a coordinator does with reports, and no more."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self.results = Results()
        self.reports: list[Report] = []
        self.twice = 0
        self.lost: list[tuple[str, str]] = []
        self.back: list[str] = []
        self.events: list[Event] = []
        self.last: set[str] = set()
        calls = link.calls
        calls.on_report, calls.on_event = self.report, self.events.append
        calls.on_lost = lambda agent, why: self.lost.append((agent, why))
        calls.on_back = self.back.append

    def report(self, report: Report) -> None:
        """Merge it."""
        if not self.results.add(report):
            self.twice += 1
            return
        self.reports.append(report)
        if report.last:
            self.last.add(report.agent)

    @property
    def replies(self) -> int:
        """Complete replies that all agents together reported."""
        return int(self.results.total(kind="flow").replies)

    def replies_of(self, agent: str) -> int:
        """Complete replies that one agent reported."""
        mine = [report for report in self.reports if report.agent == agent]
        rows = [(key, row) for report in mine for key, row in report.rows.items()]
        return sum(row.replies for key, row in rows if key[0] == "flow")

    def gaps(self) -> dict[str, list[int]]:
        """By agent the numbers of reports that are missing."""
        found = {}
        for agent in {report.agent for report in self.reports}:
            numbers = {report.sequence for report in self.reports if report.agent == agent}
            found[agent] = sorted(set(range(max(numbers) + 1)) - numbers)
        return found


@contextlib.contextmanager
def agents(
    place: Place, count: int, folder: Path, words: Sequence[str] = (), prefix: str = "local"
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Agents whose logs are kept."""
    with embedded.agents(place, count, words=words, folder=str(folder), prefix=prefix) as made:
        yield made


class Wire:
    """A network between an agent and a port of this machine, that can be cut: bytes vanish."""

    def __init__(self, port: int) -> None:
        from twisted.internet import reactor
        from twisted.internet.protocol import Factory

        self.reactor: Any = reactor
        self.to = port
        self.is_cut = False
        self.ends: list[_End] = []
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda _: _End(self)  # type: ignore[method-assign,assignment]
        self.listening = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.place = Place(port=self.listening.getHost().port)

    def mend(self) -> None:
        """Let bytes pass again; connections that were cut are gone."""
        self.is_cut = False
        for end in list(self.ends):
            end.transport.abortConnection()

    async def close(self) -> None:
        """No more of it."""
        await self.listening.stopListening()
        self.mend()


class _End(Protocol):
    """One side of a connection; the other is `peer`."""

    def __init__(self, wire: Wire, peer: _End | None = None) -> None:
        self.wire = wire
        self.peer = peer
        self.early: list[bytes] = []

    def connectionMade(self) -> None:
        self.wire.ends.append(self)
        if self.peer is None:
            self.transport.pauseProducing()
            other = _End(self.wire, self)
            point = TCP4ClientEndpoint(self.wire.reactor, "127.0.0.1", self.wire.to)
            connectProtocol(point, other).addCallbacks(self._joined, self._failed)

    def _joined(self, other: _End) -> None:
        self.peer = other
        self.transport.resumeProducing()

    def _failed(self, _: Any) -> None:
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self.peer is not None and not self.wire.is_cut:
            self.peer.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.wire.ends.remove(self)
        if self.peer is not None and self.peer.connected and not self.wire.is_cut:
            self.peer.transport.abortConnection()


def pause(process: subprocess.Popen[bytes]) -> None:
    """Stop it where it is."""
    process.send_signal(signal.SIGSTOP)


def resume(process: subprocess.Popen[bytes]) -> None:
    """Let it go on."""
    process.send_signal(signal.SIGCONT)
