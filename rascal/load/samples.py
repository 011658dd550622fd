"""Samples of failing exchanges: few, short, and without secrets.

Of each flow and outcome an agent keeps the first ones, then one now and then, so that what goes
wrong late in a run is seen as well. All of them together are bounded too, by number and by bytes,
in a report and in a run.
"""

from __future__ import annotations

from rascal.load.masking import mask_message, mask_text, mask_url
from rascal.load.types import SERVED, Call, Sample

FIRST = 5
"""Kept at once, of a flow and outcome."""
LATER = 10.0
"""After these, one in so many seconds."""
EACH = 20
"""Of a flow and outcome in a run."""
LENGTH = 4096
"""Bytes of request and reply that are looked at."""
MAX_URL = 2000
MAX_SAMPLES = 500
"""Of one agent in a run."""
MAX_REPORT = 256_000
"""Characters in one report."""
MAX_KEYS = 5000


class SampleKeeper:
    """Decides which failing exchanges are kept. One an agent and run."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[int, float]] = {}
        """How many of this flow and outcome, and when the last one was."""
        self._count = 0
        self._size = 0

    def wants(self, call: Call, second: float) -> bool:
        """Whether a sample of this call would be kept."""
        if call.outcome == SERVED or self._count >= MAX_SAMPLES or self._size >= MAX_REPORT:
            return False
        kept, last = self._kept.get((call.flow.name, call.outcome), (0, second))
        return kept < FIRST or (kept < EACH and second - last >= LATER)

    def sample(
        self, call: Call, second: float, method: str, url: str, request: bytes, reply: bytes
    ) -> Sample | None:
        """The sample, without secrets; None if there are enough of its flow and outcome."""
        if not self.wants(call, second):
            return None
        key = (call.flow.name, call.outcome)
        if key not in self._kept and len(self._kept) >= MAX_KEYS:
            return None
        self._kept[key] = (self._kept.get(key, (0, 0.0))[0] + 1, second)
        self._count += 1
        sample = Sample(
            second=second,
            flow=call.flow.name,
            outcome=call.outcome,
            detail=mask_text(call.detail[:LENGTH]),
            method=method[:MAX_URL],
            url=mask_url(url[:MAX_URL]),
            request=mask_message(request, LENGTH),
            reply=mask_message(reply, LENGTH),
            took=call.ended - call.started,
            attempts=call.attempts,
        )
        self._size += len(sample.url) + len(sample.request) + len(sample.reply)
        return sample

    def shift(self, seconds: float) -> None:
        """Second 0 has moved."""
        self._kept = {key: (kept, last + seconds) for key, (kept, last) in self._kept.items()}

    def reported(self) -> None:
        """What was kept is on its way; the next report has room again."""
        self._size = 0
