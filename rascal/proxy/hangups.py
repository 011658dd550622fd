"""Hang-ups of ends that are not being read, and the register of ends that are open.

An end that is paused has left the reactor: neither FIN nor RST of its peer would be noticed, and
clients that gave up behind a hang would pile up. Paused ends therefore stay registered for
hang-up, once each, in an epoll object of our own, whose descriptor is a reader of whatever
reactor runs. Where there is no epoll, hang-ups are noticed when reading goes on.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from twisted.logger import Logger

from rascal.proxy.clock import Reactor

if TYPE_CHECKING:
    from rascal.proxy.ends import End

log = Logger()


class Hangups:
    """Watches paused ends. One for all proxies of a process; `close()` it at the end."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.ends: set[End] = set()
        """All ends whose sockets are open, those that only wait for their peer's FIN too."""
        self._watched: dict[int, End] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._reading = False

    def watch(self, end: End) -> None:
        """Tell this end once of a hang-up (`End.hung_up`)."""
        if self._epoll is None or end.fd in self._watched:
            return
        self._epoll.register(end.fd, select.EPOLLRDHUP)
        self._watched[end.fd] = end
        if not self._reading:
            self._reading = True
            self.reactor.addReader(self)

    def unwatch(self, end: End) -> None:
        """Do not tell it."""
        if self._epoll is not None and self._watched.pop(end.fd, None) is not None:
            self._epoll.unregister(end.fd)

    def doRead(self) -> None:
        """Some watched peers hung up."""
        if self._epoll is None:
            return
        events = self._epoll.poll(0, 256)
        # Resolved first: a call may close another of them, and its number may be taken anew.
        for end, event in [(self._watched.get(fd), event) for fd, event in events]:
            if end is not None and self._watched.get(end.fd) is end:
                self.unwatch(end)
                end.hung_up(bool(event & select.EPOLLERR))

    fast_event = doRead

    def close(self) -> None:
        """Reset the ends that are left and give the descriptor back."""
        for end in list(self.ends):
            end.reset()
        if self._reading:
            self._reading = False
            self.reactor.removeReader(self)
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    # -- what reactors ask of a reader -----------------------------------------------------------
    def fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "hang-ups"

    def connectionLost(self, reason: object) -> None:
        if self._reading:
            self._reading = False
            log.error("hang-ups are no longer watched: {reason}", reason=reason)
