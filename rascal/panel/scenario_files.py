"""The scenario files of the panel: found in the settings' folder, read in processes of their own.

A file is read again when it has changed. Nothing of its code runs in the panel: what it declares
(scenarios, typed parameters, mistakes) comes from rascal.panel.inspecting; a single visit with
its trace is `rascal load run FILE --once` in a process that is killed when it takes too long.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from rascal.control._problems import Problem
from rascal.panel.folders import Folder, Found
from rascal.panel.helpers import Helpers

_MARK = re.compile(rb"\brascal\b[.\s\w]*\bload\b")
_USES = re.compile(rb"\bscenario\b")
FRESH = 2.0
"""Seconds for which a list of files holds."""
ONCE = 60.0
"""Seconds that a single visit may take."""
LOOK = 0.1
TRACE = 200_000
"""Characters of a trace that are kept."""
PENDING: Mapping[str, Any] = {"pending": True}


def is_scenario(data: bytes) -> bool:
    """Whether Python looks like a scenario file: anything else is never run."""
    return bool(_MARK.search(data) and _USES.search(data))


class ScenarioFiles:
    """What pages know of scenario files."""

    def __init__(self, panel: Any, helpers: Helpers) -> None:
        self.helpers = helpers
        self.folder = Folder(panel.settings.scenarios, (".py",), is_scenario)
        self.problem = ""
        self.once: dict[str, dict[str, Any]] = {}
        """The last single visit of a file."""
        self._reactor = panel.reactor
        self._store = panel
        self._known: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._under_way: dict[str, tuple[Any, list[Deferred[Any]]]] = {}
        self._listed: tuple[float, list[Found]] | None = None

    async def files(self) -> list[Found]:
        """Those that are there."""
        now = self._reactor.seconds()
        if self._listed is None or now - self._listed[0] > FRESH:
            self._listed = (now, await self.helpers.run(self.folder.files))
        return self._listed[1]

    async def find(self, name: str) -> Found:
        """One of them. Raises Problem (404): there is none, or it is no scenario file."""
        return await self.helpers.run(self._find, name)

    def _find(self, name: str) -> Found:
        found = self.folder.find(name)
        with found.path.open("rb") as file:
            if not is_scenario(file.read(1 << 18)):
                raise Problem(404, "unknown-name", f"'{name[:200]}' is no scenario file")
        return found

    def known(self, found: Found) -> dict[str, Any] | None:
        """What it declares, if it was read since it changed; begins to read it if not."""
        there = self._known.get(found.name)
        if there is not None and there[0] == found.stamp:
            return there[1]
        self._look(found)
        return None

    async def about(self, found: Found) -> dict[str, Any]:
        """What it declares; waits until it is read."""
        there = self.known(found)
        if there is not None:
            return there
        waiting: Deferred[Any] = Deferred()
        self._under_way[found.name][1].append(waiting)
        return dict(await waiting)

    def _look(self, found: Found) -> None:
        if found.name in self._under_way:
            return
        self._under_way[found.name] = (found.stamp, [])
        base = str(self.folder.base)
        looked = self.helpers.wait(self.helpers.look, str(found.path), base)
        looked.addCallbacks(self._looked, self._not_looked, (found,), {}, (found,), {})

    def _looked(self, about: dict[str, Any], found: Found) -> None:
        about = {"doc": "", "scenarios": {}, "parameters": [], **about, "file": found.name}
        self._known[found.name] = (found.stamp, about)
        _, waiting = self._under_way.pop(found.name)
        for one in waiting:
            one.callback(about)

    def _not_looked(self, failure: Any, found: Found) -> None:
        text = f"it could not be read: {failure.value}"
        self._looked({"findings": [{"message": text, "file": found.name}]}, found)

    # ---- one visit

    async def visit(
        self, found: Found, values: Mapping[str, Any], allow: list[str]
    ) -> dict[str, Any]:
        """One iteration of each scenario, request by request. Raises Problem."""
        words = once_words(found.path.name, values, allow)
        trace = await self.helpers.wait(self._visit, words, str(found.path.parent))
        kept = {**trace, "at": round(time.time(), 3), "target": str(values.get("target") or "")}
        self.once[found.name] = kept
        return kept

    def _visit(self, words: list[str], folder: str) -> dict[str, Any]:
        program = "from rascal.cli import main; main()"
        began = time.monotonic()
        with open(os.devnull, "rb") as nothing:
            process = self.helpers.begin(
                [sys.executable, "-P", "-c", program, *words],
                stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
                env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100"},
            )  # fmt: skip
        out, why = _heard(process, began + ONCE)
        self.helpers.end(process)
        late = bool(why)
        text = out.decode("utf-8", "replace").strip("\n")
        if late:
            text = f"{text}\n{why}: ended".strip("\n")
        return {
            "status": None if late else process.returncode,
            "well": process.returncode == 0 and not late,
            "text": text,
            "seconds": round(time.monotonic() - began, 2),
        }


def _heard(process: subprocess.Popen[bytes], ends: float) -> tuple[bytes, str]:
    """What it says until it ends, and why it has to be ended; never more than TRACE bytes."""
    assert process.stdout is not None
    stream, out = process.stdout.fileno(), bytearray()
    while len(out) < TRACE:
        if not select.select([stream], [], [], LOOK)[0]:
            if process.poll() is not None:  # something that it started keeps its output open
                return bytes(out), ""
            if time.monotonic() > ends:
                return bytes(out), f"not over after {ONCE:g} s"
            continue
        more = os.read(stream, TRACE - len(out))
        if not more:
            break
        out += more
    else:
        return bytes(out), f"it says more than {TRACE // 1000:,} kB"
    try:
        process.wait(max(0.0, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        return bytes(out), f"not over after {ONCE:g} s"
    return bytes(out), ""


def once_words(file: str, values: Mapping[str, Any], allow: list[str]) -> list[str]:
    """The command line of a single visit."""
    words = ["load", "run", "--once", "--no-store"]
    words += [
        f"--{name.replace('_', '-')}={values[name]}"
        for name in ("target", "seed", "timeout", "connect_timeout", "connections")
        if values.get(name) not in (None, "")
    ]
    words += [f"--allow={one}" for one in allow]
    words += [f"--option={name}={value}" for name, value in (values.get("options") or {}).items()]
    return [*words, "--", file, *(values.get("only") or ())]


def dumps(value: Any) -> str:
    """JSON that may stand in a script element of a page."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
