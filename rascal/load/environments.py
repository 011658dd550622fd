"""Dependencies of a run, installed into a folder that all runs with the same ones share.

    CACHE/HASH/…           installed by `pip install --target`, named after what was asked for
    CACHE/HASH.making-…    while it is made; renamed when it is complete

pip runs in a child process with a time-out, and only where the agent's operator has allowed it.
What is asked for must be plain requirements: names, extras, versions and markers. URLs, paths and
options are refused, so that a scenario can ask for packages of the configured index and nothing
else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger

from rascal.errors import LoadError

log = Logger()

INSTALL_SECONDS = 300.0
MOST = 50
KEPT_OUTPUT = 8192
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*"  # name
    r"(\s*\[[A-Za-z0-9._,\s-]*\])?"  # extras
    r"(\s*\(?\s*(===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
    r"(\s*,\s*(===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+)*\s*\)?)?"
    r"(\s*;[A-Za-z0-9._\s'\"<>=!~()-]+)?"
)


class DependencyError(LoadError):
    """What a run needs cannot be installed here."""


class Environments:
    """The folders of one agent.

    Args:
        cache: where they are; "" for the user's cache folder.
        reactor: runs pip.
    """

    def __init__(self, cache: str, reactor: Any) -> None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.cache = Path(cache or os.path.join(base, "rascal", "dependencies"))
        self.reactor = reactor

    async def folder(
        self,
        requirements: Sequence[str],
        *,
        allowed: bool,
        seconds: float = INSTALL_SECONDS,
    ) -> str:
        """The folder that holds these; made if need be. Raises DependencyError."""
        wanted = check_requirements(requirements)
        if not allowed:
            raise DependencyError(
                f"the run needs {', '.join(wanted)}, and this agent installs nothing: "
                "dependencies = yes in [agent] allows it"
            )
        place = self.cache / key_of(wanted)
        if place.is_dir():
            return str(place)
        try:
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            making = tempfile.mkdtemp(prefix=f"{place.name}.making-", dir=self.cache)
        except OSError as error:
            raise DependencyError(
                f"no folder for dependencies in {self.cache}: {error.strerror}"
            ) from error
        try:
            await self._install(wanted, making, seconds)
            with suppress(OSError):  # another agent may have been faster
                os.rename(making, place)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return str(place)

    async def _install(self, wanted: Sequence[str], folder: str, seconds: float) -> None:
        words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        words += ["install", "--quiet", "--target", folder, "--", *wanted]
        log.info("installing {wanted}", wanted=", ".join(wanted))
        child = _Child()
        transport = self.reactor.spawnProcess(child, words[0], words, env=dict(os.environ))
        try:
            code = await child.ended.addTimeout(seconds, self.reactor)
        except TimeoutError as error:
            raise DependencyError(
                f"{', '.join(wanted)} could not be installed within {seconds:g}s"
            ) from error
        finally:
            with suppress(Exception):
                transport.signalProcess("KILL")
        if code:
            raise DependencyError(f"{', '.join(wanted)} could not be installed: {child.said()}")


class _Child(ProcessProtocol):
    """Keeps the end of what a child says, and its exit code."""

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()
        self.output = bytearray()

    def outReceived(self, data: bytes) -> None:
        self.output += data
        del self.output[:-KEPT_OUTPUT]

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        if self.ended.called:
            return
        if reason.check(ProcessDone):
            self.ended.callback(0)
        elif reason.check(ProcessTerminated):
            self.ended.callback(reason.value.exitCode or 1)
        else:
            self.ended.errback(reason)

    def said(self) -> str:
        """The line that tells most: pip's first ERROR, else the last one."""
        lines = bytes(self.output).decode("utf-8", "replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        return (errors or lines or ["pip said nothing"])[-1][:300]


def check_requirements(requirements: Sequence[str]) -> list[str]:
    """The requirements, sorted. Raises DependencyError for what is not a plain one."""
    wanted = sorted({" ".join(one.split()) for one in requirements})
    if len(wanted) > MOST:
        raise DependencyError(f"a run asks for {len(wanted)} dependencies; allowed: {MOST}")
    for one in wanted:
        if not _REQUIREMENT.fullmatch(one):
            raise DependencyError(
                f"'{one}' is not a plain requirement: write NAME, NAME==1.2 or NAME>=1.2,<2"
            )
    return wanted


def key_of(wanted: Sequence[str]) -> str:
    """The name of their folder: requirements and Python's version."""
    text = "\n".join([sys.implementation.cache_tag or "", sys.platform, *wanted])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
