"""A run that is held in memory, read as if it came from the store: for outputs at its end.

So they are written from what the process knows, whether the run was kept or not, and also when the
store's disk was full.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rascal.load.types import Event, FlowKind, Meters, Row, Sample
from rascal.store.values import Run

if TYPE_CHECKING:
    from rascal.load.results import Results


class Held:
    """One run.

    Args:
        run: what is known of it.
        results: its merged reports.
        files: what it was made of.
    """

    def __init__(self, run: Run, results: Results, files: Mapping[str, bytes]) -> None:
        self._run = run
        self._results = results
        self._files = files

    def run(self, which: str) -> Run:
        """The only one."""
        return self._run

    def digests(self, run: str) -> dict[str, str]:
        """The SHA-256 of each of its files."""
        return {
            name: hashlib.sha256(content).hexdigest()
            for name, content in sorted(self._files.items())
        }

    def flows(self, run: str, kind: str = "flow") -> Sequence[str]:
        """Names of its flows, or scenarios."""
        return self._results.scenarios if kind == "scenario" else self._results.flows

    def series(self, run: str, kind: str, flow: str) -> Mapping[int, Row]:
        """Rows by second."""
        return self._results.rows(_kind(kind), flow)

    def total(self, run: str, kind: str, flow: str) -> Row:
        """All of them together."""
        return self._results.total(_kind(kind), (flow,))

    def meters(self, run: str) -> Mapping[str, Mapping[int, Meters]]:
        """How each agent was, by second."""
        return dict(sorted(self._results.meters.items()))

    def events(self, run: str) -> list[Event]:
        """In the order of time."""
        return sorted(self._results.events, key=lambda one: one.second)

    def samples(self, run: str) -> list[Sample]:
        """In the order of time."""
        return sorted(self._results.samples, key=lambda one: one.second)

    def results(self, run: str) -> Results:
        """All of it, merged."""
        return self._results

    def data(self, run: str) -> dict[str, Any]:
        """Only experiments keep more."""
        return {}


def _kind(kind: str) -> FlowKind:
    return "scenario" if kind == "scenario" else "flow"


def unkept(
    plan: Mapping[str, Any],
    summary: Mapping[str, Any],
    *,
    versions: Mapping[str, Any],
    about: Mapping[str, Any],
    started: float | None,
) -> Run:
    """What is known of a run that is in no store."""
    now = time.time()
    return Run(
        id="",
        uid="",
        kind="load",
        name=str(plan.get("name") or plan.get("file") or ""),
        plan=plan,
        versions=versions,
        seed=plan.get("seed"),
        about=about,
        host=platform.node(),
        pid=os.getpid(),
        created=now if started is None else started,
        started=started,
        beat=now,
        ended=now,
        outcome=str(summary.get("outcome") or ""),
        status=summary.get("status"),
        summary=summary,
        labels=tuple(plan.get("labels") or ()),
        forked_from="",
        state="ended",
    )
