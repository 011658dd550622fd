"""What every contender measures itself with: a warm-up that is thrown away, then a window.

    python client_….py URL USERS WARM_UP SECONDS

`users` requests are in flight, back to back, until the window is over and those under way have
ended. The contender prints one line of JSON: what was completed and what failed within the window,
its wall time, CPU time of the process and its children, and `sent`, all requests of the process,
to be compared with what the target counted. Standard library only: rivals run in an environment
of their own.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "load"}
"""Every contender sends these, besides Host."""


def cpu() -> float:
    """Seconds of user and system time of this process and its ended children."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


class Window:
    """Counts, and what is between two looks at them.

    Args:
        counts: gives completed and failed so far; None if the contender counts here.
    """

    def __init__(self, counts: Callable[[], tuple[int, int]] | None = None) -> None:
        self.completed = self.failed = 0
        self.over = False
        self._counts = counts or (lambda: (self.completed, self.failed))
        self._began = (0.0, 0.0, 0, 0)
        self.found: dict[str, Any] = {}

    def _look(self) -> tuple[float, float, int, int]:
        return (time.monotonic(), cpu(), *self._counts())

    def open(self) -> None:
        """The warm-up is over."""
        self._began = self._look()

    def close(self) -> None:
        """The window is over: begin nothing more."""
        self.over = True
        wall, used, completed, failed = (
            now - then for now, then in zip(self._look(), self._began, strict=True)
        )
        self.found = {"completed": completed, "failed": failed, "wall": wall, "cpu": used}

    def tell(self, **more: Any) -> None:
        """Print what was found. All requests have ended."""
        if "sent" not in more:
            more["sent"] = sum(self._counts())
        print(json.dumps(self.found | more))


def arguments() -> tuple[str, int, float, float]:
    """URL, users, warm-up and seconds."""
    url, users, warm_up, seconds = sys.argv[1:5]
    return url, int(users), float(warm_up), float(seconds)
