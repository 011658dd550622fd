"""Samples of failing exchanges: few, short, and without secrets."""

from __future__ import annotations

from rascal.load.types import SERVED, Call, Sample

EACH = 5
LENGTH = 4096


class SampleKeeper:
    """Decides which failing exchanges are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], int] = {}

    def sample(
        self, call: Call, second: float, method: str, url: str, request: bytes, reply: bytes
    ) -> Sample | None:
        """The sample, or None if there are enough of its flow and outcome."""
        key = (call.flow.name, call.outcome)
        kept = self._kept.get(key, 0)
        if call.outcome == SERVED or kept >= EACH:
            return None
        self._kept[key] = kept + 1
        return Sample(
            second=second,
            flow=call.flow.name,
            outcome=call.outcome,
            detail=call.detail,
            method=method,
            url=url,
            request=request[:LENGTH].decode("utf-8", "replace"),
            reply=reply[:LENGTH].decode("utf-8", "replace"),
            took=call.ended - call.started,
            attempts=call.attempts,
        )
