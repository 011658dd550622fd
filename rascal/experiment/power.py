"""How long is long enough: what a plan can be sure of, before anything runs.

The judge's own intervals are asked for the counts that a plan will give, so the answer follows
every threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from rascal.experiment.record import Thresholds
from rascal.experiment.statistics import kept, quantile

USUAL = 0.995
"""The share of good calls that is assumed for a baseline that nobody has seen yet."""
UNLUCKY = 3.0
"""Standard deviations under the expected count that must still be enough."""
FLOORS = {"warm-up": 10.0, "baseline": 20.0, "fault": 13.0, "recovery": 30.0}
"""Seconds that each phase needs whatever the rate (the reaction time and 10 s in the fault)."""
LONGEST = 4 * 3600


@attrs.frozen(kw_only=True)
class Lengths:
    """Seconds of the phases."""

    baseline: float
    fault: float
    recovery: float

    @property
    def tail(self) -> float:
        """What of the recovery is judged."""
        return min(max(10.0, self.recovery / 3), self.recovery / 2)


@attrs.frozen(kw_only=True)
class Power:
    """What one flow's calls can prove."""

    flow: str
    calls: Mapping[str, int]
    """In baseline, fault and tail."""
    sure_kept: bool
    """If it keeps all of its goodput, the judge can be sure of it."""
    sees: float
    """The smallest loss (share of goodput) that the judge can be sure of."""


def power(
    flow: str, rate: float, lengths: Lengths, thresholds: Thresholds, *, groups: int = 1
) -> Power:
    """What `rate` calls per second of a flow (or of a pool of thin ones) give."""
    z = quantile(thresholds.sure, groups)
    spans = {"baseline": lengths.baseline, "fault": lengths.fault, "tail": lengths.tail}
    calls = {name: round(rate * seconds) for name, seconds in spans.items()}
    least = min(calls["fault"], calls["tail"])
    base = calls["baseline"]
    unlucky = least * USUAL - UNLUCKY * math.sqrt(least * USUAL * (1 - USUAL))
    sure = kept(max(0.0, unlucky), least, base * USUAL, base, z)[1] >= thresholds.keep
    return Power(flow=flow, calls=calls, sure_kept=sure, sees=_sees(calls, thresholds, z))


def _sees(calls: Mapping[str, int], thresholds: Thresholds, z: float) -> float:
    n, base = calls["fault"], calls["baseline"]
    for loss in range(1, 100):
        part = USUAL * (1 - loss / 100)
        if kept(n * part, n, base * USUAL, base, z)[2] < thresholds.keep:
            return loss / 100
    return 1.0


def enough(rate: float, thresholds: Thresholds, *, groups: int = 1) -> Lengths | None:
    """The shortest sound phases for that many calls per second; None if hours would not do."""
    if rate <= 0:
        return None
    fault = FLOORS["fault"]
    while fault <= LONGEST:
        lengths = Lengths(
            baseline=max(FLOORS["baseline"], fault),
            fault=fault,
            recovery=max(FLOORS["recovery"], 3 * fault),
        )
        if power("", rate, lengths, thresholds, groups=groups).sure_kept:
            return attrs.evolve(lengths, fault=math.ceil(fault))
        fault *= 1.1
    return None


def advice(found: Power, rate: float, thresholds: Thresholds, *, groups: int = 1) -> str:
    """A warning for `explain`, empty if the plan is long enough."""
    if found.sure_kept:
        return ""
    needed = enough(rate, thresholds, groups=groups)
    seconds = found.calls["fault"] / rate if rate else 0
    text = (
        f"{found.flow}: {rate:g}/s × {seconds:.0f}s = {found.calls['fault']} calls during the fault"
    )
    if needed is None:
        return f"{text}; that cannot make sure of anything"
    calls = math.ceil(needed.fault * rate)
    faster = math.ceil(calls / seconds) if seconds else 0
    if found.calls["fault"] >= calls:
        return (
            f"{found.flow}: {rate:g}/s gives {found.calls['tail']} calls at the end of the "
            f"recovery; {calls} are needed to be sure that it kept {thresholds.keep:.0%}. Make the "
            f"recovery {needed.recovery:.0f}s"
        )
    return (
        f"{text}; {calls} are needed to be sure that it kept {thresholds.keep:.0%}. Make the "
        f"baseline {needed.baseline:.0f}s, the fault {needed.fault:.0f}s and the recovery "
        f"{needed.recovery:.0f}s, or the rate {faster}/s"
    )
