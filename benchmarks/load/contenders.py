"""Who is measured, and one go of each: a process of its own on a core of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from target import Target
from window import HEADERS, cpu

HERE = Path(__file__).parent
OURS = "rascal"
_PATIENCE = 60.0


@attrs.frozen
class Contender:
    """One way to put load on the target.

    Attributes:
        goal: how often its CPU time per request is to be that of Rascal, at least.
        file: of its client, run by Python; "" for a program on PATH.
        words: more for its command line.
        needs: the distribution whose version is printed; one of the rivals' environment if `rival`.
    """

    name: str
    goal: float | None = None
    file: str = ""
    words: tuple[str, ...] = ()
    needs: str = ""
    rival: bool = False


CONTENDERS = (
    Contender(OURS, None, "client_rascal.py", needs="Twisted"),
    Contender("Locust FastHttpUser", 5, "client_locust.py", needs="locust", rival=True),
    Contender("Locust HttpUser", 18, "client_locust.py", ("requests",), "locust", rival=True),
    Contender("molotov", 5, "client_molotov.py", needs="molotov", rival=True),
    Contender("treq", 8, "client_treq.py", needs="treq"),
    Contender("aiohttp", 3, "client_aiohttp.py", needs="aiohttp", rival=True),
    Contender("aiohttp, uvloop", 3, "client_aiohttp.py", ("uvloop",), "uvloop", rival=True),
    Contender("hey", 1),
    Contender("wrk", 0.2),
)


@attrs.frozen
class Go:
    """One go of a contender.

    Attributes:
        cpu, wall: seconds, within the window.
        lost: requests that the target counted and the contender did not.
        opened: connections, as the target counted them.
    """

    completed: int
    failed: int
    wall: float
    cpu: float
    lost: int
    opened: int
    more: dict[str, Any]

    @property
    def each(self) -> float:
        """CPU seconds a request."""
        return self.cpu / max(1, self.completed)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.completed / self.wall

    @property
    def share(self) -> float:
        """Of a core, that it got."""
        return self.cpu / self.wall


def available(rivals: Path | None) -> tuple[dict[Contender, str], list[str]]:
    """Those that can be run, with versions, and a line for each that cannot."""
    found: dict[Contender, str] = {}
    missing = []
    for one in CONTENDERS:
        if one.rival and rivals is None:
            missing.append(f"{one.name}: no environment of rivals (--rivals or RASCAL_RIVALS)")
            continue
        try:
            found[one] = _version(one, rivals)
        except LookupError as error:
            missing.append(f"{one.name}: {error}")
    return found, missing


def python_of(one: Contender, rivals: Path | None) -> str:
    """The interpreter that runs its client."""
    return str(rivals / "bin" / "python") if one.rival and rivals else sys.executable


def _version(one: Contender, rivals: Path | None) -> str:
    if not one.file:
        if shutil.which(one.name) is None:
            raise LookupError("not on PATH")
        done = subprocess.run([one.name, "-v"], capture_output=True, text=True, check=False)
        said = re.search(rf"^{one.name} (\S+)", done.stdout + done.stderr, re.MULTILINE)
        return said[1] if said else "unknown version"
    program = f"from importlib.metadata import version; print(version({one.needs!r}))"
    command = [python_of(one, rivals), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(f"no {one.needs} there")
    return f"{one.needs} {done.stdout.strip()}"


def go(
    one: Contender,
    target: Target,
    users: int,
    warm_up: float,
    seconds: float,
    *,
    rivals: Path | None,
    core: int | None,
) -> Go:
    """Measure it once. Raises RuntimeError with what it said, if it failed."""
    accepted, served = target.counts()
    if one.file:
        words = [target.url, str(users), str(warm_up), str(seconds), *one.words]
        command = [python_of(one, rivals), str(HERE / one.file), *words]
        found = json.loads(_output(command, core).splitlines()[-1])
    else:
        program = {"hey": _hey, "wrk": _wrk}[one.name]
        program(target.url, users, warm_up, core)
        accepted, served = target.counts()
        found = program(target.url, users, seconds, core)
    accepted_now, served_now = target.counts()
    measured = {name: found.pop(name) for name in ("completed", "failed", "wall", "cpu")}
    lost = served_now - served - found.pop("sent")
    return Go(**measured, lost=lost, opened=accepted_now - accepted, more=found)


def _output(command: Sequence[str], core: int | None) -> str:
    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_PATIENCE, preexec_fn=pin, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-400:]}{done.stderr[-1600:]}")
    return done.stdout


def _headers() -> list[str]:
    return [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]


def _timed(command: Sequence[str], core: int | None) -> tuple[str, float]:
    before = cpu()
    said = _output(command, core)
    return said, cpu() - before


def _wrk(url: str, users: int, seconds: float, core: int | None) -> dict[str, Any]:
    """It takes whole seconds."""
    length = f"-d{max(1, round(seconds))}s"
    said, used = _timed(["wrk", "-t1", f"-c{users}", length, *_headers(), url], core)
    requests = re.search(r"(\d+) requests in ([\d.]+)(m?s)", said)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if requests is None or rate is None:
        raise RuntimeError(f"wrk said: {said[-1000:]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    failed = int(bad[1]) if bad else 0
    count = int(requests[1])
    wall = count / float(rate[1]) if count else seconds
    done = {"completed": count - failed, "failed": failed, "sent": count}
    return {**done, "wall": wall, "cpu": used}


def _hey(url: str, users: int, seconds: float, core: int | None) -> dict[str, Any]:
    """On one processor, as many workers as users."""
    agent = ["-H", f"User-Agent: {HEADERS['User-Agent']}", "-A", HEADERS["Accept"]]
    words = ["-cpus", "1", "-c", str(users), "-z", f"{seconds}s", *agent]
    began = time.monotonic()
    said, used = _timed(["hey", *words, "-H", "Accept-Encoding: gzip", url], core)
    total = re.search(r"Total:\s+([\d.]+) secs", said)
    replies = {int(code): int(count) for code, count in re.findall(r"\[(\d+)\]\s+(\d+) resp", said)}
    count = sum(replies.values())
    good = replies.get(200, 0)
    wall = float(total[1]) if total else time.monotonic() - began
    done = {"completed": good, "failed": count - good, "sent": count}
    return {**done, "wall": wall, "cpu": used}
