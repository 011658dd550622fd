"""The clock of the data path, over a Twisted reactor.

`now()` is the system's monotonic clock read anew: at some 40 ns that is cheaper than keeping a
value for each turn of the loop, and it is right in long turns too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall


class Reactor(Protocol):
    """What the data path uses of a reactor: descriptors and timers."""

    def addReader(self, reader: Any) -> None: ...
    def removeReader(self, reader: Any) -> None: ...
    def addWriter(self, writer: Any) -> None: ...
    def removeWriter(self, writer: Any) -> None: ...
    def callLater(
        self, delay: float, callable: Callable[..., Any], /, *args: Any
    ) -> IDelayedCall: ...


class Timer:
    """A call that is due later; `cancel()` may come too late and then does nothing."""

    __slots__ = ("_call",)

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        """Do not call."""
        if self._call.active():
            self._call.cancel()


class Clock:
    """Monotonic seconds, and calls at a given time."""

    __slots__ = ("_call_later",)

    def __init__(self, reactor: Reactor) -> None:
        self._call_later = reactor.callLater

    now = staticmethod(time.monotonic)

    def call_at(self, when: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` when `now()` has reached `when`; never before the current turn is over."""
        return Timer(self._call_later(max(0.0, when - time.monotonic()), fn))
