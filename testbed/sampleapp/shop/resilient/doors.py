"""Mend: bulkheads, a deadline for every request, and a quick no when the house is full.

Each lane has its own number of places, so what hangs in one leaves threads for the others, and for
pages that need nothing. Whoever gets no place is told within a moment, and when to come back.
Mistake: shop/fragile/doors.py.
"""

import contextlib
from collections.abc import Iterator

from shop.resilient import limits
from shop.resilient.guards import Bulkhead, deadline

_lanes = {lane: Bulkhead(lane, places, limits.DOOR_WAIT) for lane, places in limits.DOORS.items()}


@contextlib.contextmanager
def through(lane: str) -> Iterator[None]:
    with _lanes[lane], deadline(limits.REQUEST):
        yield
