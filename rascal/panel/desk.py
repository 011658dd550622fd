"""What is done in the store's thread: one store, a follower for each run that is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.logger import Logger

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.load.types import Event
from rascal.panel.following import Follower
from rascal.panel.merging import News
from rascal.panel.runs_json import run_json
from rascal.store.errors import StoreError

log = Logger()

LAST = 12
"""Runs that have ended, as the overview shows them."""

Found = tuple[News, dict[str, Any]]


class Desk:
    """Used by one thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.followers: dict[str, Follower] = {}
        self._strange: set[str] = set()
        """Runs that cannot be read."""
        self._store: Any = None
        self._place: tuple[int, int] | None = None

    @property
    def store(self) -> Any:
        """The run store; opened by the thread that uses it. Raises StoreError."""
        if self._store is not None and _place(self.path) != self._place:
            log.warn("The run store {path} is another file now: it is opened anew", path=self.path)
            self.close()
            self.followers.clear()
        if self._store is None:
            from rascal.store import Store

            self._store = Store(self.path)
            self._place = _place(self.path)
        return self._store

    def going(self) -> dict[str, dict[str, Any]]:
        """The runs that go on, whoever started them."""
        store, found = self.store, {}
        for (number,) in store.database.select("SELECT id FROM runs WHERE ended IS NULL"):
            run = store.run(str(number))
            if run.state == "running":
                found[run.id] = run_json(run)
        return found

    def look(
        self, wanted: Mapping[str, frozenset[str]]
    ) -> tuple[dict[str, Found], dict[str, dict[str, Any]], set[str]]:
        """News of all runs that go on and of those that are wanted (with single flows); the runs
        that go on; those that are not there."""
        going = self.going()
        found, missing = {}, set()
        for run_id in sorted({*wanted, *going}, key=int):
            if run_id in self._strange:
                missing.add(run_id)
                continue
            try:
                found[run_id] = self._news(run_id, wanted.get(run_id, frozenset()))
            except Exception as error:
                missing.add(run_id)
                if not isinstance(error, StoreError):
                    # It would fail again and again; the others go on.
                    self._strange.add(run_id)
                    log.failure("run {run} cannot be followed", run=run_id)
        return found, going, missing

    def _news(self, run_id: str, flows: frozenset[str]) -> Found:
        follower = self.followers.get(run_id)
        if follower is None:
            follower = self.followers[run_id] = Follower(self.store, run_id)
        follower.merged.flows = flows
        news = follower.read()
        return news, self.told(follower.run)

    def told(self, run: Any) -> dict[str, Any]:
        """A run as JSON, with its verdict."""
        from rascal.store.verdicts import verdict_of

        return run_json(run, verdict_of(self.store, run.id) if run.kind == "experiment" else None)

    def forget(self, run_id: str) -> None:
        """Nobody looks at it any more."""
        self.followers.pop(run_id, None)

    def close(self) -> None:
        """Give the file back."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _place(path: str) -> tuple[int, int] | None:
    """Which file it is; None: there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def ended(store: Any, told: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that ended last, the newest first."""
    found = []
    for (number,) in store.database.select(
        "SELECT id FROM runs WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?", LAST
    ):
        found.append(told(store.run(str(number))))
    return found


def stop_all(store: Any, why: str, now: bool) -> list[str]:
    """Ask all that go on to end; gives their numbers."""
    stopped = []
    for run in store.runs(outcomes=("running",)):
        with suppress(RascalError):
            stopped.append(store.ask(run.id, "stop", now=now, why=why))
    return stopped


def seen(store: Any, run_id: str) -> bool:
    """Whether a run has seen what was asked of it, or has ended."""
    return bool(store.taken(run_id)) or store.run(run_id).state != "running"


def note(store: Any, run_id: str, event: Event) -> None:
    """Put an event on a run's timeline."""
    store.note(run_id, event)


def change(store: Any, run_id: str, profiles: dict[str, str], by: str, force: bool) -> None:
    """Ask a run for other load. Raises Problem, ConfigErrors, StoreError."""
    from rascal.load.planning import with_profiles
    from rascal.load.plans_json import plan_from_json

    run = store.run(run_id)
    if run.kind == "experiment" and not force:
        raise Problem(
            409, "experiment", "an experiment needs the load of its plan: a change would make "
            "its verdict worthless",
        )  # fmt: skip
    with_profiles(plan_from_json(dict(run.plan)).shares, profiles)
    store.ask(run_id, "change", profiles=profiles, by=by)
