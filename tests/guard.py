"""What a test may not leave behind: readers, writers, timers in the reactor; logged failures.

pytest-twisted lets all of these pass; the guard in conftest.py does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

PATIENCE = 1.0
"""Seconds that the reactor gets to become clean: a close needs its turns of the loop."""


class LoggedFailures:
    """The failures that were logged while a test ran."""

    def __init__(self) -> None:
        self.found: list[Failure] = []

    def __call__(self, event: Any) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self.found.append(failure)

    def flush(self, *types: type[BaseException]) -> list[Failure]:
        """Take those of these types (of any, if none are named) out; they were expected."""
        taken = [one for one in self.found if not types or one.check(*types)]
        self.found = [one for one in self.found if one not in taken]
        return taken

    def texts(self) -> list[str]:
        """The rest, for the report."""
        return [one.getTraceback() for one in self.found]


@contextmanager
def watching() -> Iterator[LoggedFailures]:
    """Gather what is logged as a failure."""
    observer = LoggedFailures()
    globalLogPublisher.addObserver(observer)
    try:
        yield observer
    finally:
        globalLogPublisher.removeObserver(observer)


class Contents:
    """What is in a reactor at one moment, apart from its own wakers."""

    def __init__(self, reactor: Any) -> None:
        self.readers = list(reactor.getReaders())
        self.writers = list(reactor.getWriters())
        self.timers = [call for call in reactor.getDelayedCalls() if call.active()]
        self.own = set(map(id, getattr(reactor, "_internalReaders", ())))

    def beyond(self, before: Contents) -> list[str]:
        """What is here and was not there before."""
        left = []
        for form in ("readers", "writers", "timers"):
            known = {id(one) for one in getattr(before, form)} | self.own
            left += [f"{form[:-1]} {one}" for one in getattr(self, form) if id(one) not in known]
        return left
