"""Mistake: everybody is let in, into the same threads, for as long as it takes.

A page that hangs takes a thread; when all are taken, pages that need nothing hang, too. Mend:
shop/resilient/doors.py.
"""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def through(lane: str) -> Iterator[None]:
    yield
