"""Starts the processes of runs, and listens for their first word.

A process gets its order on its input, has a session of its own and writes what it says to a file
in `logs` beside the store. It goes on when the panel ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

from twisted.internet.task import deferLater

from rascal.control._problems import Problem

PATIENCE = 900.0
"""Seconds until a run has begun: agents may have to install what it needs."""
LOOK = 0.05
GRACE = 1.0
TAIL = 2000
"""Characters of a log that are shown."""


class Start:
    """One process that is starting."""

    def __init__(self, process: Any, reader: int, log: Path) -> None:
        self.process = process
        self.log = log
        self.said = b""
        self._reader = reader

    @property
    def pid(self) -> int:
        """Of the process."""
        return int(self.process.pid)

    def drop(self) -> None:
        """It is not wanted any more: end it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)  # it has a session of its own
        os.close(self._reader)

    async def number(self, reactor: Any) -> str:
        """The number of its run, once load has begun. Raises Problem if it cannot."""
        try:
            return await self._number(reactor)
        finally:
            os.close(self._reader)

    async def _number(self, reactor: Any) -> str:
        deadline = reactor.seconds() + PATIENCE
        gone = None
        while b"\n" not in self.said:
            more: bytes | None = None
            with suppress(BlockingIOError):
                more = os.read(self._reader, 65536)
            if more:
                self.said += more
                continue
            if more == b"" or self.process.poll() is not None:
                gone = reactor.seconds() if gone is None else gone
                if reactor.seconds() - gone > GRACE or self.process.poll() is not None:
                    break
            if reactor.seconds() > deadline:
                raise Problem(504, "slow-start", f"no load after {PATIENCE:g} s", self.tail())
            await deferLater(reactor, LOOK, lambda: None)
        line = self.said.partition(b"\n")[0].decode("utf-8", "replace").strip()
        if line.isdecimal():
            with suppress(OSError):
                self.log = self.log.rename(self.log.with_name(f"run-{line}.log"))
            return line
        problem = self._problem(line)
        with suppress(OSError):
            self.log.unlink()
        raise problem

    def _problem(self, line: str) -> Problem:
        """What the process said instead of a number."""
        errors = []
        if line.startswith("{"):
            with suppress(ValueError, KeyError, TypeError):
                errors = [_error(one) for one in json.loads(line)["errors"]]
        if not errors:
            text = f"the run's process has ended ({self.process.poll()}) before load began"
            return Problem(409, "not-started", text, self.tail())
        first = errors[0]
        return Problem(
            422, str(first["type"]).rpartition("/")[2], first["title"],
            pointer=first.get("pointer"), errors=errors,
        )  # fmt: skip

    def tail(self) -> str:
        """The last lines of its log."""
        with suppress(OSError):
            return self.log.read_text("utf-8", "replace").strip()[-TAIL:]
        return ""


def _error(found: Mapping[str, Any]) -> dict[str, Any]:
    one = {
        "type": f"/problems/{found.get('code') or 'not-allowed'}",
        "title": str(found["title"]),
        "pointer": f"/{found['option']}" if found.get("option") else None,
        "file": found.get("file"),
        "line": found.get("line"),
        "column": found.get("column"),
    }
    return {name: value for name, value in one.items() if value is not None}


def start(order: Mapping[str, Any], folder: str, name: str, token: str = "") -> Start:
    """Start the process of an order; to be called where waiting a moment does no harm.

    Args:
        order: what rascal.cli.child is told.
        folder: where logs are.
        name: of its log until it has a number.
        token: for nodes and targets, unless the environment has one.
    """
    Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    log = Path(folder) / f"starting-{os.getpid()}-{name}.log"
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        with open(os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out:
            process = subprocess.Popen(
                [str(order.get("python") or sys.executable), "-P", "-m", "rascal.cli.child",
                 str(writer)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                start_new_session=True,
                cwd=order.get("cwd") or None,
                env={**({"RASCAL_TOKEN": token} if token else {}), **os.environ},
            )  # fmt: skip
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as given:
            given.write(json.dumps(order).encode())
    except OSError as error:
        os.close(reader)
        raise Problem(409, "not-started", f"a process cannot be started: {error}") from error
    finally:
        os.close(writer)
    return Start(process, reader, log)


def lives(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
