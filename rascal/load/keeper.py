"""Keeps a run in the store while it goes on, and lets no trouble of the store end the run.

Before load starts an error of the store is an error. Afterwards it is an event, once: what could
not be written waits in memory, is tried again now and then, and once more at the end.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger

from rascal.load.types import Event, Report, RunStore

log = Logger()

AGAIN = 5.0
"""Seconds between two tries of what could not be written."""
KEPT = 50_000
"""Reports and events that wait at most; of more the oldest are given up."""
SLOW = 0.25
"""Seconds that one call may take before the run says that the store is slow."""


class Keeper:
    """One run in one store; `store` None keeps nothing.

    Args:
        seconds: the clock.
        trouble: told once what is wrong, and again when all is well; for the run's timeline.
    """

    def __init__(
        self,
        store: RunStore | None,
        *,
        seconds: Callable[[], float],
        trouble: Callable[[str, str], None],
    ) -> None:
        self.store = store
        self.run = ""
        self.id = ""
        """What agents call the run; the same as `run` if there is a store."""
        self.problem = ""
        """Why the store cannot be written just now."""
        self.given_up = 0
        self._seconds = seconds
        self._trouble = trouble
        self._waiting: deque[Report | Event] = deque()
        self._again = 0.0
        self._slow = False
        self._flushing = False

    def create(
        self, plan: Mapping[str, Any], files: Mapping[str, bytes], about: Mapping[str, Any]
    ) -> str:
        """Begin a run; the store's errors are the caller's."""
        if self.store is None:
            self.id = f"run-{uuid.uuid4().hex[:12]}"
        else:
            self.id = self.run = self.store.create(plan, files, **about)
        return self.id

    def begin(self, started: float) -> None:
        """Load starts at this time of the day."""
        self._try(lambda store: store.begin(self.run, started))

    def add(self, report: Report) -> None:
        """Keep a report."""
        self._keep(report)

    def event(self, event: Event) -> None:
        """Keep an event that is not in a report."""
        self._keep(event)

    def requests(self) -> list[Mapping[str, Any]]:
        """What others asked of the run."""
        if self.store is None or self.problem:
            return []
        found: list[Mapping[str, Any]] = []
        self._try(lambda store: found.extend(store.requests(self.run)))
        return found

    def finish(self, outcome: str, summary: Mapping[str, Any]) -> str:
        """End the run; what was in the way, if the store does not have all of it."""
        if self.store is None:
            return ""
        self._flush()
        if self._waiting:
            return self.problem
        try:
            self.store.finish(self.run, outcome, summary)
        except Exception as error:
            self._failed(error)
            return self.problem
        return f"{self.given_up} reports were given up" if self.given_up else ""

    # ---- inside

    def _keep(self, what: Report | Event) -> None:
        if self.store is None:
            return
        self._waiting.append(what)
        if len(self._waiting) > KEPT:
            self._waiting.popleft()
            self.given_up += 1
        if not self.problem or self._seconds() >= self._again:
            self._flush()

    def _flush(self) -> None:
        """Write what waits, in order. Telling of trouble comes back here: then it is under way."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._waiting and self._try(self._write):
                self._waiting.popleft()
        finally:
            self._flushing = False
        if self.problem and not self._waiting:
            self.problem = ""
            self._trouble("note", "the run store can be written again, and has caught up")

    def _write(self, store: RunStore) -> None:
        what = self._waiting[0]
        if isinstance(what, Report):
            store.add(self.run, what)
        else:
            store.event(self.run, what)

    def _try(self, call: Callable[[RunStore], Any]) -> bool:
        if self.store is None:
            return True
        before = self._seconds()
        try:
            call(self.store)
        except Exception as error:
            self._failed(error)
            return False
        took = self._seconds() - before
        if took > SLOW and not self._slow:
            self._slow = True
            self._trouble("note", f"the run store is slow: a write took {took:.1f} s")
        return True

    def _failed(self, error: Exception) -> None:
        """Say it once, and remember when to try again."""
        known, self.problem = self.problem, str(error) or type(error).__name__
        self._again = self._seconds() + AGAIN
        if not known:
            log.warn("The run store cannot be written: {problem}", problem=self.problem)
            self._trouble(
                "error",
                f"the run store cannot be written: {self.problem}. The run goes on; "
                "its results wait in memory",
            )
