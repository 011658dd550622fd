"""Programs that work for a job, in a thread: bounded in time and bytes, and easily called off."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Event
from typing import Any

from rascal.control._problems import Problem

LARGEST = 512 << 20
"""Bytes that a folder may grow to, if nobody says it."""
LISTED = 32 << 20
"""Bytes of what a program writes into a file."""
LOOK = 0.05
MEASURE = 0.25
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE",
           "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
           "NO_PROXY", "all_proxy", "ALL_PROXY")  # fmt: skip
"""Of the environment; no token of ours is among them."""


class Cancelled(Exception):
    """Somebody wants no more of it."""


class Working:
    """What is done for one job in a thread; `cancel` may be called from everywhere."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.began: Any = lambda pid: None
        """Called with the number of each process, so that it can be found again."""
        self._over = Event()

    @property
    def cancelled(self) -> bool:
        """Whether it is to end."""
        return self._over.is_set()

    def cancel(self) -> None:
        """End it, and the process that works for it."""
        self._over.set()
        if self.process is not None:
            end_group(self.process.pid)

    def run(
        self,
        words: Sequence[str],
        *,
        seconds: float,
        what: str,
        env: Mapping[str, str],
        cwd: str | None = None,
        watch: Path | None = None,
        largest: int = LARGEST,
        out: Path | None = None,
    ) -> str:
        """Run a program to its end; what it said, both ways, the last 8 KiB of it.

        Args:
            words: program and arguments.
            seconds: at most.
            what: it does, for errors.
            env, cwd: of the process.
            watch: a folder that must not grow beyond `largest` bytes.
            out: a file for what it writes, instead.

        Raises Problem: it failed, took too long, wrote too much. Raises Cancelled.
        """
        if self.cancelled:
            raise Cancelled
        beside = (watch or Path(cwd or tempfile.gettempdir())).parent
        handle, name = tempfile.mkstemp(prefix=".said-", dir=beside)
        log = Path(name)
        try:
            with open(handle, "wb") as said:
                self.process = process = self._started(words, said, out, env, cwd, what)
            with suppress(OSError, ValueError, AttributeError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
            try:
                self.began(process.pid)
                self._wait(process, seconds, what, watch, largest, out)
            finally:
                end_group(process.pid)
                process.wait()
                self.process = None
            text = tail(log)
        finally:
            log.unlink(missing_ok=True)
        if self.cancelled:
            raise Cancelled
        if process.returncode:
            raise Problem(409, "failed", f"{what}: {told(text, process.returncode)}", text)
        return text

    def _started(
        self,
        words: Sequence[str],
        said: Any,
        out: Path | None,
        env: Mapping[str, str],
        cwd: str | None,
        what: str,
    ) -> subprocess.Popen[bytes]:
        try:
            with out.open("wb") if out else nullcontext(said) as result:
                return subprocess.Popen(
                    list(words), stdin=subprocess.DEVNULL, stdout=result, stderr=said,
                    env=dict(env), cwd=cwd, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            text = f"{what}: {words[0]} cannot be started: {error.strerror}"
            raise Problem(409, "not-possible", text) from error

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        seconds: float,
        what: str,
        watch: Path | None,
        largest: int,
        out: Path | None,
    ) -> None:
        ends, measured = time.monotonic() + seconds, 0.0
        while process.poll() is None:
            now = time.monotonic()
            if self.cancelled:
                return
            if now > ends:
                raise Problem(409, "too-slow", f"{what}: not done after {seconds:g} s, given up")
            if now - measured > MEASURE:
                measured = now
                self._bound(what, watch, largest, out)
            time.sleep(LOOK)
        self._bound(what, watch, largest, out)

    def _bound(self, what: str, watch: Path | None, largest: int, out: Path | None) -> None:
        if watch is not None and size_of(watch, largest) > largest:
            text = f"{what}: larger than {largest >> 20} MiB, given up"
            raise Problem(409, "too-large", text)
        if out is not None and out.exists() and out.stat().st_size > LISTED:
            raise Problem(409, "too-large", f"{what}: more than is looked at, given up")


def end_group(pid: int) -> None:
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def tail(path: Path) -> str:
    """The end of a text file."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read().decode("utf-8", "replace").strip()
    return ""


def told(text: str, status: int) -> str:
    """The line that says most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"(?i)(fatal|error):", line)]
    found = (marked or lines or [f"it ended with status {status}"])[-1]
    found = re.sub(r"(?i)^(fatal|error):\s*", "", found)
    return re.sub(r"^unable to access '[^']*': ", "", found)[:300]


def size_of(folder: Path, enough: int) -> int:
    """Bytes in a folder, counted until it is enough."""
    total = 0
    for one in _walk(str(folder)):
        with suppress(OSError):
            total += one.stat(follow_symlinks=False).st_size
        if total > enough:
            break
    return total


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for one in entries:
            yield one
            if one.is_dir(follow_symlinks=False):
                yield from _walk(one.path)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git and pip see of our environment."""
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**found, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(more or {})}
