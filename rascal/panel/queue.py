"""Runs that wait for their turn: first come, first served; kept in a file beside the store.

So many run at one time as the settings allow, whoever started them; the others stand here, with
their place. The file also remembers who was being started, what could not be started and why, and
the lever: a panel that is started again goes on where the last one was.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from rascal.control._problems import Problem
from rascal.store.machine import alive

LONGEST = 200
"""Runs that wait at most."""
FAILED = 20
"""Runs that could not be started, as far as they are remembered."""
VERSION = 1


@attrs.define(kw_only=True)
class Entry:
    """A run that is to be."""

    id: str
    order: dict[str, Any]
    """What rascal.cli.child is told; may hold secrets, and is not shown."""
    title: str
    kind: str
    by: str = ""
    made: float = 0.0
    pid: int = 0
    """Of its process, while that is starting."""
    born: str = ""
    """Which process of that number: numbers are used again."""
    why: str = ""
    """Why it could not be started."""

    @property
    def lives(self) -> bool:
        """Whether its process does."""
        return bool(self.pid and self.born and alive(self.pid, self.born, math.inf))

    def signal(self, number: int) -> None:
        """To its process and all that this has started, if it is there."""
        if self.lives:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)  # it has a session of its own

    def json(self, position: int | None = None) -> dict[str, Any]:
        """As pages see it."""
        found = {"id": self.id, "title": self.title, "kind": self.kind, "by": self.by}
        more: dict[str, Any] = {"made": self.made}
        if position is not None:
            more["position"] = position
        if self.why:
            more["why"] = self.why
        return found | more


class Queue:
    """The waiting line.

    Args:
        path: the file; "" keeps it in memory only.
    """

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.waiting: list[Entry] = []
        self.starting: dict[str, Entry] = {}
        self.failed: list[Entry] = []
        self.held: dict[str, Any] | None = None
        """The lever, if it is pulled: by whom, and when."""
        self._next = 1

    # ---- what happens to entries

    def entry(self, order: Mapping[str, Any], *, title: str, kind: str, by: str) -> Entry:
        """A new one, in no list yet."""
        number, self._next = self._next, self._next + 1
        return Entry(
            id=f"q{number}",
            order=dict(order),
            title=title,
            kind=kind,
            by=by,
            made=round(time.time(), 3),
        )

    def add(self, entry: Entry) -> int:
        """To the end of the line; its place, from 1. Raises Problem."""
        if len(self.waiting) >= LONGEST:
            raise Problem(409, "queue-full", f"{LONGEST} runs wait already: cancel some of them")
        self.waiting.append(entry)
        return len(self.waiting)

    def next(self) -> Entry | None:
        """The first in line, which leaves it."""
        return self.waiting.pop(0) if self.waiting else None

    def cancel(self, which: str) -> Entry:
        """Take one out of the line. Raises Problem: it is not there (any more)."""
        for one in self.waiting:
            if one.id == which:
                self.waiting.remove(one)
                return one
        if which in self.starting:
            raise Problem(409, "starting", f"{which} is being started: stop it once it runs")
        raise Problem(404, "unknown-name", f"nothing waits as '{which}'")

    def fail(self, entry: Entry, why: str) -> None:
        """It could not be started."""
        self.starting.pop(entry.id, None)
        entry.why, entry.pid = why[:2000], 0
        self.failed.append(entry)
        del self.failed[:-FAILED]

    def json(self) -> dict[str, Any]:
        """As pages see it."""
        return {
            "waiting": [one.json(place) for place, one in enumerate(self.waiting, 1)],
            "starting": [one.json() for one in self.starting.values()],
            "failed": [one.json() for one in reversed(self.failed)],
            "held": self.held,
        }

    # ---- the file

    def dumps(self) -> str:
        """All of it."""
        found = {
            "version": VERSION,
            "next": self._next,
            "held": self.held,
            "waiting": [attrs.asdict(one) for one in self.waiting],
            "starting": [attrs.asdict(one) for one in self.starting.values()],
            "failed": [attrs.asdict(one) for one in self.failed],
        }
        return json.dumps(found)

    def load(self) -> None:
        """What the last panel left; a file that cannot be read counts as none."""
        try:
            found = json.loads(Path(self.path).read_text("utf-8"))
            if found["version"] != VERSION:
                return
            waiting, starting, failed = (
                [Entry(**one) for one in found[name]] for name in ("waiting", "starting", "failed")
            )
            next_, held = int(found["next"]), found["held"]
            if not isinstance(held, dict | None):
                return
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._next, self.held = next_, held
        self.waiting, self.failed = waiting, failed
        self.starting = {one.id: one for one in starting}


def save(path: str, text: str) -> None:
    """Write the file whole, or not at all; only its owner may read it."""
    if not path:
        return
    beside = f"{path}.new"
    with suppress(OSError):
        with open(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        os.replace(beside, path)
