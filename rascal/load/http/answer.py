"""The Deferred of a request: one coroutine that waits for it goes on without Deferred's detours.

Nearly every request is awaited by one coroutine and by nobody else. Such a waiter is called
straight away with the result; once there is any callback, or a failure, it is a callback among
others, the first. To everybody else this is a Deferred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

log = Logger()
_Waiter = Callable[[Any], None]


class Answer(Deferred[Any]):
    """A Deferred that may have one waiter."""

    waiter: _Waiter | None = None

    def wait(self, waiter: _Waiter) -> None:
        """Call it with the result or Failure, which is then taken."""
        if self.called or self._callbacks or self.waiter is not None:
            self.addBoth(waiter)
        else:
            self.waiter = waiter

    def callback(self, result: Any) -> None:
        """The reply is there."""
        waiter = self.waiter
        if waiter is None or self._callbacks or self.called or self.paused:
            self._settle()
            Deferred.callback(self, result)
            return
        self.waiter = self._canceller = None
        self.called = True
        self.result = result
        try:
            waiter(result)
        except BaseException:
            log.failure("who waited for a reply failed")
        self.result = None

    def errback(self, fail: Any = None) -> None:
        """There is none."""
        self._settle()
        Deferred.errback(self, fail)

    def _settle(self) -> None:
        """From now on the waiter is a callback, before those that came after it."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            later, self._callbacks = self._callbacks, []
            self.addBoth(waiter)
            self._callbacks += later
