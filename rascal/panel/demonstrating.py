"""The demo behind the first door: a shop with its cache and proxies, and an experiment on them.

They are processes of their own, which end with the panel. Their rascal-proxy is a node like any
other, called demo.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from rascal.control._problems import Problem
from rascal.errors import RascalError

log = Logger()

NAME = "demo"
PATIENCE = 10.0
"""Seconds that the processes are given to end by themselves."""


class Demo:
    """Its processes are started once, then used again."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self._folder: Any = None
        self._process: Any = None
        self._going: Deferred[None] | None = None
        self._file = ""
        self._run = ""
        self._problem = ""

    def state(self) -> dict[str, Any]:
        """starting, running (which run) or failed (why); "" before it was asked for."""
        words = "starting" if self._going else "failed" if self._problem else ""
        found = {"state": words or ("running" if self._run else ""), "run": self._run}
        return {**found, "problem": self._problem}

    def begin(self, by: str) -> dict[str, Any]:
        """Start it, and its experiment, unless that is under way."""
        if self._going is None:
            self._run = self._problem = ""
            going = Deferred.fromCoroutine(self._begin(by))
            if not going.called:
                self._going = going
            going.addErrback(self._failed)
            going.addBoth(self._over)
        return self.state()

    async def _begin(self, by: str) -> None:
        if self._process is None or self._process.poll() is not None:
            await self._start()
        found = await self.panel.runs.start_experiment(self._file, folder=self._folder.name, by=by)
        self._run = str(found.get("run") or "")

    def _failed(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        self._problem = str(failure.value)
        if not failure.check(RascalError):
            log.failure("the demo could not be started", failure)

    def _over(self, _: Any) -> None:
        self._going = None

    async def _start(self) -> None:
        self._clear()
        self._folder = tempfile.TemporaryDirectory(prefix="rascal-demo-")
        self._process = self._open()
        line = await deferToThread(self._process.stdout.readline)
        try:
            said = json.loads(line)
        except ValueError:
            said = {}
        if "node" not in said:
            why = said.get("problem") or "its processes ended at once"
            raise Problem(503, "no-demo", "the demo cannot be started", str(why))
        self._file = said["file"]
        await self.panel.nodes.add(NAME, said["node"])

    def _open(self) -> Any:
        return subprocess.Popen(
            [sys.executable, "-m", "rascal.demo.window", self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _clear(self) -> None:
        if self._process is not None:
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def close(self) -> None:
        """The panel stops."""
        if self._going is not None:
            self._going.cancel()
        if self._process is not None:
            await deferToThread(self._clear)
