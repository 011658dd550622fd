"""The reactor that Rascal prefers: Twisted's epoll reactor with lean dispatch and a steady clock.

Twisted wraps every event in a log context and checks the descriptor again before it calls it;
for a proxy that costs about as much as the work itself. Here an object that has `fast_event`
gets it called at once when it is readable and nothing else; every other event takes Twisted's
own way, without the log context. Timers follow the monotonic clock, so that setting the
machine's clock neither fires nor delays them.

Who sends much (the load client) may put sends into `outbox` while events are dispatched; a few at
a time are then sent one after the other. A peer that sleeps is woken by the first of them and is
awake for the rest, where each on its own would pay for waking it.

`count_waiting` tells how long a reactor has waited for events, for who wants to know how busy it
is; it costs two looks at the clock for each wait, and nothing while nobody asks.

Everything runs on Twisted's stock reactors as well, just slower.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from select import select
from typing import Any

from twisted.internet import main
from twisted.logger import Logger

try:
    from select import EPOLLIN

    from twisted.internet.epollreactor import EPollReactor
except ImportError:  # not Linux
    EPollReactor = None  # type: ignore[assignment,misc]

log = Logger()

HELD = 16
"""Sends that are held back at most."""
FINE = 0.002
"""Waits below it are exact while somebody sends load."""
MOST_SELECTED = 1024
"""select() takes no file descriptor above."""

if EPollReactor is not None:

    class LeanEPollReactor(EPollReactor):
        """An EPollReactor that calls `fast_event()` of readable objects without detours."""

        seconds = staticmethod(time.monotonic)
        holders = 0
        """How many there are who use the outbox."""
        outbox: list[Callable[[], None]] | None = None
        """Sends to be done in a moment; None: send at once. They must not raise."""

        def doPoll(self, timeout: float | None) -> None:
            """Wait for events once and dispatch them."""
            selectables = self._selectables
            if timeout is None:
                timeout = -1
            elif 0 < timeout < FINE and self.holders:
                timeout = self._wait(timeout)
            try:
                events = self._poller.poll(timeout, len(selectables) or 1)
            except InterruptedError:
                return
            get = selectables.get
            slow = self._doReadOrWrite
            self._send_held()  # of a turn around this one, if the reactor was asked to iterate
            outbox = self.outbox = [] if self.holders and len(events) > 1 else None
            try:
                # Resolved first: an earlier event may close a descriptor, and its number may be
                # taken anew within this batch.
                for found, fd, event in [(get(fd), fd, event) for fd, event in events]:
                    if found is None or get(fd) is not found:
                        continue
                    fast = getattr(found, "fast_event", None) if event == EPOLLIN else None
                    if fast is None:
                        slow(found, fd, event)
                        continue
                    try:
                        why = fast()
                    except Exception as error:
                        log.failure("{found!r} failed", found=found)
                        why = error
                    if why is not None:
                        self._disconnectSelectable(found, why, True)
                    if outbox and len(outbox) >= HELD:
                        self._send_held()
            finally:
                self._send_held()
                self.outbox = None

        def _wait(self, timeout: float) -> float:
            """Wait to the microsecond: epoll's whole milliseconds, rounded up, make arrivals late
            by one more for each time that something else happens meanwhile.

            Returns:
                How long epoll is still to wait.
            """
            poller = self._poller
            if poller.fileno() >= MOST_SELECTED:
                return timeout
            if isinstance(poller, _TimedPoller):
                poller.wait(timeout)
            else:
                select([poller], (), (), timeout)
            return 0.0

        def _send_held(self) -> None:
            """Empty the outbox; what these sends lead to is sent at once."""
            held = self.outbox
            if held:
                sends = held[:]
                held.clear()
                for send in sends:
                    send()

        doIteration = doPoll


def install() -> None:
    """Install it; where there is no epoll, Twisted's default."""
    if EPollReactor is None:
        from twisted.internet import default

        default.install()
    else:
        main.installReactor(LeanEPollReactor())


def install_unless_loaded() -> None:
    """Install it if nothing (such as `twistd -r`) has chosen a reactor yet."""
    if "twisted.internet.reactor" not in sys.modules:
        install()


class _TimedPoller:
    """A reactor's epoll object that adds up how long it has waited."""

    def __init__(self, poller: Any) -> None:
        self.poller = poller
        self.watchers = 0
        self.waited = 0.0
        self.modify, self.register = poller.modify, poller.register
        self.unregister, self.fileno, self.close = poller.unregister, poller.fileno, poller.close

    def poll(self, timeout: float = -1, maxevents: int = -1) -> Any:
        """Wait for events."""
        began = time.monotonic()
        try:
            return self.poller.poll(timeout, maxevents)
        finally:
            self.waited += time.monotonic() - began

    def wait(self, timeout: float) -> None:
        """Wait for an event, to the microsecond, but take none."""
        began = time.monotonic()
        select([self.poller], (), (), timeout)
        self.waited += time.monotonic() - began

    def total(self) -> float:
        """Seconds waited since somebody began to ask."""
        return self.waited


def count_waiting(reactor: Any) -> Callable[[], float] | None:
    """Count how long this reactor waits for events, until `count_no_more`.

    Returns:
        What gives the seconds waited so far; None for reactors without epoll.
    """
    poller = getattr(reactor, "_poller", None)
    if EPollReactor is None or not isinstance(reactor, EPollReactor):
        return None
    if not isinstance(poller, _TimedPoller):
        poller = reactor._poller = _TimedPoller(poller)
    poller.watchers += 1
    return poller.total


def count_no_more(reactor: Any) -> None:
    """Undo one `count_waiting`."""
    poller = getattr(reactor, "_poller", None)
    if isinstance(poller, _TimedPoller):
        poller.watchers -= 1
        if not poller.watchers:
            reactor._poller = poller.poller
