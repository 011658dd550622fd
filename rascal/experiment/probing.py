"""The escape probe: cut the load of a system that is stuck, wait until it is clear, bring the load
back. What then happens tells metastable, overloaded and broken apart (docs/verdicts.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rascal.experiment.counts import Flow
from rascal.experiment.judge import Verdict
from rascal.experiment.loading import levels
from rascal.experiment.recording import record_of
from rascal.experiment.statistics import YES

if TYPE_CHECKING:
    from rascal.experiment.running import _Running

CLEAR_SECONDS, CLEAR_CALLS = 10, 10
"""It must be clear for so long, and so many calls."""
RAMP = 10.0
BACK = 30.0
LAG = 2.0
"""Seconds until a change of the load is in force (the coordinator's notice)."""


class Probe:
    """One probe of a running experiment."""

    def __init__(self, running: _Running, verdict: Verdict) -> None:
        self.running = running
        self.failed = _failed(verdict)

    async def run(self) -> None:
        """Down, ramp, back; the phases are written into what is kept."""
        running = self.running
        share = running.experiment.probe_load
        timeout = running.plan.timeout
        full = levels(running.plan, running.timeline.ends)
        low = {name: level * share for name, level in full.items()}

        running.said("probing", f"load down to {share:.0%}")
        running.change({name: f"hold {level:.6g}/s" for name, level in low.items()})
        down = await self._changed()
        least = max(2 * timeout, 2.0 * CLEAR_SECONDS)
        most = max(least, running.experiment.probe_wait)
        while running.now < down + most:
            await running.until(running.now + 1)
            if running.now >= down + least and self._clear(down):
                break
        ended = float(int(running.now))

        running.said("probing", "load up again")
        running.change(
            {
                name: f"ramp {low[name]:.6g}..{level:.6g}/s for {RAMP:g}s, hold {level:.6g}/s"
                for name, level in full.items()
            }
        )
        ramp = await self._changed()
        length = max(BACK, 3 * timeout)
        running.kept.phases["down"] = (down, ended)
        running.kept.phases["back"] = (ramp + RAMP, ramp + RAMP + length)
        await running.until(ramp + RAMP)
        running.said("probing", f"back at full load for {length:g} s")
        await running.until(ramp + RAMP + length)
        await running.settled(ramp + RAMP + length)

    async def _changed(self) -> float:
        """When a change that was asked for just now is in force, whole seconds."""
        second = float(int(self.running.now) + LAG)
        await self.running.until(second)
        return second

    def _clear(self, since: float) -> bool:
        """The flows that failed have been well for a while."""
        running = self.running
        if running.results is None:
            return False
        last = running.results.closed
        first = max(int(since), last - CLEAR_SECONDS)
        if last - first < CLEAR_SECONDS:
            return False
        thresholds = running.experiment.thresholds
        record = record_of(running.kept, running.results)
        begin, end = record.phases["baseline"]
        for known in record.flows:
            if known.name not in self.failed:
                continue
            flow = Flow(known, last + 1, (int(begin), int(end) - 1), thresholds)
            calls, good = flow.total("calls", first, last), flow.total("good", first, last)
            usual = flow.good0 / max(1, flow.calls0)
            if calls < CLEAR_CALLS or good < thresholds.clear * usual * calls:
                return False
        return True


def _failed(verdict: Verdict) -> frozenset[str]:
    """Names of the flows that are stuck (those of a pool by their names in it)."""
    found: set[str] = set()
    for rule in verdict.rules:
        if rule.verdict != "stuck":
            continue
        for one in rule.findings:
            if one.answer == YES:
                inside = one.flow.partition("(")[2].rstrip(")")
                found |= set(inside.split(", ")) if inside else {one.flow}
    return frozenset(found)
