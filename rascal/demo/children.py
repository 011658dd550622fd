"""Child processes on free loopback ports that never outlive us.

A child gets a session of its own, so that an interrupt at the terminal reaches us alone and we
end everything in order. On Linux the kernel kills it should we be killed ourselves. What it says
goes to a file, whose end is shown if it does not get ready.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rascal.errors import RascalError
from rascal.load.embedded import die_with_parent, free_port

__all__ = ["Address", "Child", "ChildError", "Children", "free_port", "listening", "module"]

READY_SECONDS = 30.0
STOP_SECONDS = 5.0

Address = tuple[str, int]


class ChildError(RascalError):
    """A child did not start, or did not get ready."""


class Child:
    """One process and the file it writes to."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def text(self) -> str:
        """What it said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Until `ready()`. Raises ChildError, with the end of the log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise ChildError(f"{self.name} ended with {self.process.returncode}{self._tail()}")
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} is not ready after {seconds:.0f}s{self._tail()}")
            time.sleep(0.02)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end, then make it. Returns its exit status."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self._signal(signal.SIGKILL)  # and what it may have left behind in its group
        return self.process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _tail(self) -> str:
        lines = self.text.splitlines()[-15:]
        return "; it said:\n  " + "\n  ".join(lines) if lines else " and said nothing"


class Children:
    """All children of one folder; leaving the block ends them, the youngest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        ready: Callable[[], bool] | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = READY_SECONDS,
    ) -> Child:
        """Start a child and wait until it is ready. Raises ChildError."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            try:
                process = subprocess.Popen(
                    [str(word) for word in command],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            except OSError as error:
                raise ChildError(f"{name} does not start: {error}") from error
        child = Child(name, process, log)
        self.running.append(child)
        if ready is not None:
            child.wait_ready(ready, seconds)
        return child

    def stop(self) -> None:
        """End all of them."""
        while self.running:
            self.running.pop().stop()


def listening(address: Address) -> Callable[[], bool]:
    """A condition: somebody accepts connections there."""

    def connects() -> bool:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            return False
        return True

    return connects


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *words]
