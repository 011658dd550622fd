"""A clock that notices that the process was not running, before anything late is caught up with.

A process that was stopped for seconds (SIGSTOP, a suspended machine, a call that blocks) finds
all its timers due at once. Its share may have been given to others by then, so arrivals must not
be made up for. `Guard` stands between the engine and the reactor: the first timer that runs after
a gap says so (`on_pause`) and comes again after that; so do all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger()

TICK = 0.1


class Guard:
    """An IReactorTime before another one; everything else is the reactor's.

    Args:
        reactor: the real one.
        limit: seconds without a tick that are a pause.
        on_pause: called with the times between which nothing ran.
    """

    def __init__(
        self, reactor: Any, limit: float, on_pause: Callable[[float, float], None]
    ) -> None:
        self._reactor = reactor
        self._limit = limit
        self._on_pause = on_pause
        self._last = reactor.seconds()
        self.seconds = reactor.seconds
        self._ticking: Any = None

    def start(self) -> None:
        """Begin to look."""
        self._last = self._reactor.seconds()
        self._ticking = self._reactor.callLater(TICK, self._tick)

    def stop(self) -> None:
        """Look no more; timers that were asked for still run."""
        if self._ticking is not None and self._ticking.active():
            self._ticking.cancel()
        self._ticking = None

    def callLater(self, delay: float, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """As IReactorTime has it."""
        return _Later(self, delay, call, args, named)

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(TICK, self._tick)
        gap = self._gap()
        if gap:
            self._paused(*gap)

    def _gap(self) -> tuple[float, float] | None:
        """Since when nothing ran, if that is long ago, and now."""
        now = self._reactor.seconds()
        last, self._last = self._last, now
        return (last, now) if self._ticking is not None and now - last > self._limit else None

    def _paused(self, began: float, now: float) -> None:
        try:
            self._on_pause(began, now)
        except Exception:
            log.failure("what follows a pause failed")

    # What counts how long the reactor waits must find the reactor itself.

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._reactor)

    @property
    def _poller(self) -> Any:
        return self._reactor._poller

    @_poller.setter
    def _poller(self, poller: Any) -> None:
        self._reactor._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class _Later:
    """A timer, as IDelayedCall has it; still to come while a pause is dealt with."""

    __slots__ = ("_args", "_call", "_guard", "_inner", "_named")

    def __init__(
        self, guard: Guard, delay: float, call: Callable[..., Any], args: Any, named: Any
    ) -> None:
        self._guard = guard
        self._call = call
        self._args = args
        self._named = named
        self._inner = guard._reactor.callLater(delay, self._run)

    def _run(self) -> None:
        gap = self._guard._gap()
        if gap is None:
            self._call(*self._args, **self._named)
            return
        self._inner = self._guard._reactor.callLater(0, self._run)
        self._guard._paused(*gap)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
