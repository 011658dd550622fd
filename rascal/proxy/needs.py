"""Which modes the armed faults of a proxy ask of its connections.

    nothing armed                          skim, skim
    only holds of requests                 hold, watch
    only faults at the reply               watch, hold    (requests go on first, then are parsed)
    anything else on messages              hold, hold     (injected replies must wait their turn)

Nobody but the two relays of a connection knows what a mode is; here are only ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rascal.wire.types import WireProtocol

SKIM_RANK, WATCH_RANK, HOLD_RANK = 0, 1, 2


class Needs(NamedTuple):
    """The least ranks: to_upstream, to_client."""

    up: int
    down: int


SKIM = Needs(SKIM_RANK, SKIM_RANK)


def needs_of(faults: Iterable[Any], protocol: WireProtocol) -> Needs:
    """What the armed faults on messages need."""
    up = down = SKIM_RANK
    if not protocol.messages:
        return SKIM
    for fault in faults:
        if not fault.armed or fault.spec.level != "message":
            continue
        for part in fault.parts():
            moments = set(part.at)
            if moments <= {"connect"}:
                continue
            up, down = max(up, WATCH_RANK), max(down, WATCH_RANK)
            if part.kind.repairs or "request" in moments:
                up = HOLD_RANK
                if not part.kind.only_holds:
                    down = HOLD_RANK
            if moments - {"connect", "request"}:
                down = HOLD_RANK
        if fault.is_script:
            up = down = HOLD_RANK
    return Needs(up, down)
