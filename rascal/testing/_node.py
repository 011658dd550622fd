"""The node that all proxies of this process stand on: a child process, or a service elsewhere.

    RASCAL_URL unset ─► a child process of our own, started once, at the first proxy
    RASCAL_URL set   ─► the rascal-proxy there; what is installed has a lease, so that it goes
                        even if we are killed

Blocking calls go through one connection, one after the other.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rascal.control.client import Client, Unreachable
from rascal.errors import RascalError
from rascal.testing._errors import NodeError

if TYPE_CHECKING:
    from rascal.testing._blocks import Standing
    from rascal.testing._proxy import Proxy

T = TypeVar("T")

READY = 60.0
"""Seconds for the child to get ready on a busy machine."""

LEAVING = 5.0
"""Seconds for it to leave by itself."""

SOCKET_PATH = 100
"""Bytes that the path of a UNIX socket may have everywhere."""

LEASE = 30.0
"""Seconds that what we installed elsewhere outlives us at most."""

JOURNAL = 100
"""Faults remembered for reports."""


class Node:
    """Where proxies stand.

    Attributes:
        url, place: of its control API.
        remote: it is a service that was there before us.
        proxies: those of this process that are open, by name.
        standing: the faults of this process that stand now.
        journal: faults that stand or stood, oldest first.
    """

    remote = False
    prefix = ""
    """Of the names that proxies get which were given none."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.owner = os.getpid()
        self.proxies: dict[str, Proxy] = {}
        self.standing: list[Standing] = []
        self.journal: deque[Standing] = deque(maxlen=JOURNAL)
        self._client = Client(url)
        self.place = self._client.place
        self._lock = threading.RLock()

    def call(self, function: Callable[[Client], T]) -> T:
        """Give the function the client, for one caller at a time."""
        with self._lock:
            return function(self._client)

    @property
    def seed(self) -> int:
        """Of all draws."""
        return self.call(lambda client: client.seed())

    @property
    def alive(self) -> bool:
        """Whether it can be used, by this process."""
        return self.owner == os.getpid()

    def lease(self) -> Any:
        """What goes with everything that is installed."""
        return None

    def close(self) -> None:
        """Give it back."""
        self._client.close()


class Elsewhere(Node):
    """A service that was there before us, and stays."""

    remote = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._id = f"tests-{secrets.token_hex(4)}"
        self.prefix = f"{self._id}-"
        self._closed = threading.Event()
        self._renewing: threading.Thread | None = None

    def lease(self) -> Any:
        """A lease of this process, renewed while something stands."""
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, name="rascal-lease", daemon=True)
            self._renewing.start()
        return {"id": self._id, "for": f"{LEASE:.0f}s"}

    def _renew(self) -> None:
        with Client(self.url) as client:
            while not self._closed.wait(LEASE / 3):
                if self.standing:
                    with suppress(RascalError):
                        client.renew_lease(self._id)

    def close(self) -> None:
        """Leave; nothing of us stays."""
        self._closed.set()
        for proxy in list(self.proxies.values()):
            with suppress(RascalError):
                proxy.stop()
        super().close()


class ChildNode(Node):
    """A process of our own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rascal-"))
        self.log = self.folder / "child.log"
        socket = self.folder / "s"
        path = str(socket) if len(os.fsencode(socket)) <= SOCKET_PATH else None
        try:
            self.process = _spawn(self.folder, self.log, path)
            try:
                super().__init__(self._ready()["url"])
            except BaseException:
                self._end()
                raise
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def call(self, function: Callable[[Client], T]) -> T:
        """The same; if the process has ended, that is said."""
        try:
            return super().call(function)
        except Unreachable as error:
            if self._gone():
                raise NodeError(
                    f"the process of the proxies has ended{self.last_words()}"
                ) from error
            raise

    @property
    def alive(self) -> bool:
        """Whether it runs, and is ours."""
        return super().alive and self.process.poll() is None

    def close(self) -> None:
        """End the process."""
        if self.owner != os.getpid():  # we were forked off its parent
            return
        super().close()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """The end of what the process said."""
        with suppress(OSError):
            lines = self.log.read_text("utf-8", "replace").splitlines()[-15:]
            if lines:
                return "; it said:\n  " + "\n  ".join(lines)
        return ""

    def _gone(self) -> bool:
        """Whether it ends: a socket closes a moment before its process is seen to have ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        return self.process.poll() is not None

    def _ready(self) -> Any:
        out = self.process.stdout
        assert out is not None
        deadline = time.monotonic() + READY
        line = b""
        while not line.endswith(b"\n"):
            found, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(out.fileno(), 4096) if found else b""
            if not part:
                why = "ended" if found else f"is not ready after {READY:.0f}s"
                raise NodeError(f"the process of the proxies {why}{self.last_words()}")
            line += part
        return json.loads(line)

    def _end(self) -> None:
        process = self.process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(LEAVING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _spawn(folder: Path, log: Path, socket: str | None) -> subprocess.Popen[bytes]:
    """Start it. It finds the same rascal that we are, and nothing of the current folder."""
    import rascal

    command = [sys.executable, "-P", "-m", "rascal.testing._child", "--folder", str(folder)]
    if socket:
        command += ["--socket", socket]
    seed = os.environ.get("RASCAL_SEED")
    if seed:
        command += ["--seed", seed]
    home = str(Path(rascal.__file__).parents[1])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "default"}
    with log.open("wb") as err:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env=environment,
                start_new_session=True,  # an interrupt at the terminal is for us to handle
            )
        except OSError as error:
            raise NodeError(f"the process of the proxies does not start: {error}") from error


# ---- the one of this process

_nodes: dict[str, Node] = {}
_making = threading.Lock()


def current_node() -> Node:
    """The node of this process; it is started if there is none."""
    url = os.environ.get("RASCAL_URL", "")
    with _making:
        known = _nodes.get(url)
        if known is not None and known.alive:
            return known
        if known is not None:
            known.close()
        else:
            _close_at_exit()
        _nodes[url] = made = Elsewhere(url) if url else ChildNode()
        return made


def known_nodes() -> list[Node]:
    """Those that were used so far."""
    return [node for node in _nodes.values() if node.owner == os.getpid()]


def close_nodes() -> None:
    """End them; the next proxy starts one anew."""
    with _making:
        while _nodes:
            _nodes.popitem()[1].close()


_at_exit = False


def _close_at_exit() -> None:
    global _at_exit
    if not _at_exit:
        _at_exit = True
        atexit.register(close_nodes)
