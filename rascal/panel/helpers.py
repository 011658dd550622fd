"""Child processes that look at files for the panel, and the threads that wait for them.

What a file's code does, it does there: it may hang, print, fork or eat memory, and the panel only
sees that its time is over.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from rascal.control._problems import Problem
from rascal.load.masking import hidden

T = TypeVar("T")
MODULE = "rascal.panel.inspecting"
THREADS = 3
LOOK = 10.0
"""Seconds that a scenario file may take to load."""
ANSWER = 8.0
"""Seconds for an answer about an experiment's text."""
LARGEST = 4 << 20
"""Bytes of an answer."""


class Late(Exception):
    """It took too long."""


class Helpers:
    """Threads, and the children that they wait for; all end with the panel."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._files, self._waits = _threads("rascal-files"), _threads("rascal-look")
        self._texts = _threads("rascal-text", 1)
        self._children: set[subprocess.Popen[bytes]] = set()
        self._reader = Reading(self)
        self._closed = False

    def run(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """function(*args), which looks at files, in a thread. Raises Problem: the panel stops."""
        return self._in(self._files, function, *args)

    def wait(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """The same for what waits for a child: looks at files never stand behind it."""
        return self._in(self._waits, function, *args)

    def _in(self, pool: ThreadPool, function: Callable[..., T], *args: Any) -> Deferred[T]:
        if self._closed:
            raise Problem(503, "stopping", "the panel is stopping")
        if not pool.started:
            pool.start()
        return deferToThreadPool(self._reactor, pool, function, *args)

    def ask(self, what: str, **given: Any) -> Deferred[dict[str, Any]]:
        """An answer about the text of an experiment (rascal.panel.experiment_text)."""
        return self._in(self._texts, self._reader.ask, what, given)

    def begin(self, words: list[str], **given: Any) -> subprocess.Popen[bytes]:
        """A child with a session of its own."""
        given.setdefault("env", hidden(os.environ))  # texts may name variables, secrets none
        process = subprocess.Popen(words, start_new_session=True, **given)
        self._children.add(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a child and whatever it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._children.discard(process)

    def close(self) -> None:
        """No child and no thread is left."""
        self._closed = True
        for process in list(self._children):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._texts.started:
            self._texts.callInThread(self._reader.close)
        for pool in (self._files, self._waits, self._texts):
            if pool.started:
                pool.stop()

    # ---- in a thread

    def look(self, path: str, base: str, seconds: float = LOOK) -> dict[str, Any]:
        """What a scenario file declares: {"scenarios": …, "parameters": …, "findings": …}."""
        reader, writer = os.pipe()
        words = [sys.executable, "-P", "-m", MODULE, str(writer), path, base, f"{seconds:g}"]
        try:
            process = self.begin(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, pass_fds=(writer,), cwd=os.path.dirname(path) or None,
            )  # fmt: skip
        except OSError as error:
            os.close(reader)
            return _wrong(path, base, f"a process that reads it cannot be started: {error}")
        finally:
            os.close(writer)
        try:
            line = read_line(reader, seconds)
        except Late:
            text = f"loading it takes longer than {seconds:g} s: what does it wait for at its top?"
            return _wrong(path, base, text, code="slow")
        finally:
            os.close(reader)
            self.end(process)
        if not line:
            status = process.returncode
            return _wrong(path, base, f"it ends the process that loads it (status {status})")
        found: dict[str, Any] = json.loads(line)
        return found


def _threads(name: str, most: int = THREADS) -> ThreadPool:
    pool = ThreadPool(0, most, name)
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    return pool


def _wrong(path: str, base: str, message: str, code: str = "not-allowed") -> dict[str, Any]:
    name = os.path.relpath(path, base)
    return {"findings": [{"message": message, "file": name, "code": code}]}


def read_line(fd: int, seconds: float) -> bytes:
    """One line, or what there was of it when the other side closed. Raises Late."""
    ends, found = time.monotonic() + seconds, b""
    while b"\n" not in found:
        left = ends - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0] or len(found) > LARGEST:
            raise Late
        more = os.read(fd, 1 << 16)
        if not more:
            return b""
        found += more
    return found.partition(b"\n")[0]


class Reading:
    """The one child that reads experiments' texts; begun when it is needed, one question a time."""

    def __init__(self, helpers: Helpers) -> None:
        self._helpers = helpers
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, what: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """An answer, or {"findings": […]}. Raises Problem: it takes too long, or fails."""
        with self._lock:
            line = json.dumps({"what": what, "given": given}).encode() + b"\n"
            process = self._begun()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(line)
                process.stdin.flush()
                said = read_line(process.stdout.fileno(), ANSWER)
            except (Late, OSError):
                said = b""
            if not said:
                self._end()
                raise Problem(422, "slow", "this text takes too long to be read: make it shorter")
            found: dict[str, Any] = json.loads(said)
            if "failed" in found:
                raise Problem(500, "our-mistake", f"it could not be read: {found['failed']}")
            return found

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            words = [sys.executable, "-P", "-m", MODULE]
            self._process = self._helpers.begin(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._helpers.end(self._process)
            self._process = None

    def close(self) -> None:
        """The child ends."""
        with self._lock:
            self._end()


def within(reactor: Any, waited: Deferred[Any], seconds: float, otherwise: Any) -> Deferred[Any]:
    """What comes in this time, or something else: pages never wait for long."""
    answer: Deferred[Any] = Deferred()

    def late() -> None:
        if not answer.called:
            answer.callback(otherwise)

    timer = reactor.callLater(seconds, late)

    def came(result: Any) -> None:
        if timer.active():
            timer.cancel()
        if not answer.called:
            answer.callback(result)

    waited.addBoth(came)
    return answer
