"""What both directions of a memcached connection know."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rascal.wire.memcached_heads import RequestHead
from rascal.wire.memcached_quiet import QUIET_KEPT, UNKNOWN, mark_of
from rascal.wire.types import Session


@dataclass(slots=True)
class MemcachedSession(Session):
    """Facts of one connection.

    Attributes:
        auth: the server asks for a password: the first `set` is a log-in.
        watching: `watch` was granted: the connection carries logs from now on.
        quiet: marks of the quiet requests in the books, with their counts.
        guesses: replies that were taken for those of quiet requests without proof.
    """

    auth: bool = False
    watching: bool = False
    quiet: deque[list[int]] = field(default_factory=deque)
    guesses: int = 0

    def forwarded(self, head: RequestHead) -> None:
        """The server will see this request."""
        head.sent = True
        if not head.quiet:
            return
        mark = mark_of(head) if len(self.quiet) < QUIET_KEPT else UNKNOWN
        if self.quiet and self.quiet[-1][0] == mark:
            self.quiet[-1][1] += 1
        else:
            self.quiet.append([mark, 1])

    def next_mark(self) -> int:
        """The mark of the oldest quiet request in the books."""
        return self.quiet[0][0] if self.quiet else UNKNOWN

    def settled(self) -> None:
        """The oldest quiet request has been answered, or it is known that it will not be."""
        if self.quiet:
            self.quiet[0][1] -= 1
            if not self.quiet[0][1]:
                self.quiet.popleft()
