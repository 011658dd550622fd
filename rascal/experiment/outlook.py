"""What a plan can tell, before anything runs: calls per flow, what they prove, what is unwise.

Which flows there are is only known when calls are made, so a scenario stands for its flows: a
flow that each of its visits calls once has the scenario's rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from rascal.experiment.loading import rate_of
from rascal.experiment.power import FLOORS, Lengths, Power, advice, power
from rascal.experiment.specification import Experiment
from rascal.experiment.timeline import Timeline
from rascal.load.plan import Plan, Share

ROOM = 1.5
"""The bound of visits under way over what hangs if all time out."""


@attrs.frozen(kw_only=True)
class Stream:
    """The calls of one scenario, or of thin ones together."""

    name: str
    rate: float
    """Visits a second in the baseline."""
    power: Power
    advice: str
    """Empty if it is long enough."""
    matters: bool = True
    """Others of its side cannot speak for it."""

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "rate": self.rate,
            "calls": dict(self.power.calls),
            "sure_kept": self.power.sure_kept,
            "sees": self.power.sees,
            "advice": self.advice,
            "matters": self.matters,
        }


@attrs.frozen(kw_only=True)
class Outlook:
    """What is to be expected of a run."""

    rate: float
    streams: tuple[Stream, ...]
    cautions: tuple[str, ...]
    """What is unwise."""
    problems: tuple[str, ...]
    """Why it can only be invalid."""

    @property
    def long_enough(self) -> bool:
        """Every side has calls enough for a sure answer."""
        return not any(one.advice and one.matters for one in self.streams)


def outlook(
    experiment: Experiment, timeline: Timeline, plan: Plan, weights: Mapping[str, float]
) -> Outlook:
    """Look ahead. `weights` are those of the scenarios."""
    rates = rates_of(timeline, plan, weights)
    sides = _sides(experiment, rates)
    streams = [one for side in sides for one in _streams(experiment, timeline, side)]
    return Outlook(
        rate=sum(rates.values()),
        streams=tuple(sorted(streams, key=lambda one: -one.rate)),
        cautions=tuple(_cautions(experiment, timeline, plan)),
        problems=tuple(_problems(experiment)),
    )


def rates_of(timeline: Timeline, plan: Plan, weights: Mapping[str, float]) -> dict[str, float]:
    """Visits a second of each scenario in the baseline."""
    begin, end = timeline.phases["baseline"]
    found: dict[str, float] = {}
    for share in plan.shares:
        rate = rate_of(attrs.evolve(plan, shares=(share,)), begin, end)
        total = sum(weights.get(name, 1.0) for name in share.scenarios) or 1.0
        for name in share.scenarios:
            found[name] = found.get(name, 0.0) + rate * weights.get(name, 1.0) / total
    return {name: rate for name, rate in found.items() if rate > 0}


def lengths_of(timeline: Timeline) -> Lengths:
    """Seconds of the phases that are compared."""
    lasts = {name: end - begin for name, (begin, end) in timeline.phases.items()}
    return Lengths(baseline=lasts["baseline"], fault=lasts["fault"], recovery=lasts["recovery"])


def _sides(experiment: Experiment, rates: Mapping[str, float]) -> list[dict[str, float]]:
    """Scenarios that use what is struck, and the others, if the file's flows are scenarios."""
    uses = experiment.uses
    if uses is None:
        return [dict(rates)]
    using = {name for one in experiment.dependencies for name in uses.get(one, ())}
    if not using <= set(rates):
        return [dict(rates)]
    found = [{name: rate for name, rate in rates.items() if (name in using) == side}
             for side in (True, False)]  # fmt: skip
    return [one for one in found if one]


def _streams(
    experiment: Experiment, timeline: Timeline, rates: Mapping[str, float]
) -> Iterator[Stream]:
    """Those of one side, the thin ones together."""
    thresholds, lengths = experiment.thresholds, lengths_of(timeline)
    thin = {name: rate for name, rate in rates.items() if rate * lengths.fault < thresholds.thin}
    alone = {name: rate for name, rate in rates.items() if name not in thin}
    together = dict(alone)
    if thin:
        name = next(iter(thin)) if len(thin) == 1 else f"{', '.join(thin)} (together)"
        together[name] = sum(thin.values())
    for name, rate in together.items():
        found = power(name, rate, lengths, thresholds, groups=len(together))
        text = advice(found, rate, thresholds, groups=len(together))
        yield Stream(
            name=name, rate=rate, power=found, advice=text, matters=name in alone or not alone
        )


def _unused(experiment: Experiment) -> list[str]:
    """What is struck, and no flow uses it, as the file says."""
    uses = experiment.uses
    return [] if uses is None else [one for one in experiment.dependencies if not uses.get(one)]


def _problems(experiment: Experiment) -> Iterator[str]:
    unused = _unused(experiment)
    if unused and len(unused) == len(experiment.dependencies):
        known = ", ".join(experiment.uses or ()) or "nothing"
        yield (
            f"no flow uses {' or '.join(unused)}, which the faults strike: the run would prove "
            f"nothing; uses has {known}"
        )


def _cautions(experiment: Experiment, timeline: Timeline, plan: Plan) -> Iterator[str]:
    lasts = {name: end - begin for name, (begin, end) in timeline.phases.items()}
    for name, least in FLOORS.items():
        least = max(least, 3 * plan.timeout) if name == "recovery" else least
        if lasts.get(name, 0.0) < least:
            why = {
                "warm-up": "connections are made and caches filled in it",
                "baseline": "how much counts scatter is measured in it",
                "fault": f"{experiment.thresholds.react:g}s of it are for reacting",
                "recovery": f"three time-outs ({plan.timeout:g}s) pass before calls that hung end",
            }[name]
            yield (f"{name} lasts {lasts.get(name, 0.0):g}s, {least:g}s are the least: {why}")
    unused = _unused(experiment)
    if unused and len(unused) < len(experiment.dependencies):
        yield f"no flow uses {', '.join(unused)}, which is struck: is it missing in uses?"
    for share in plan.shares:
        yield from _bound(share, timeline, plan)
    if experiment.uses is None and not experiment.learn:
        yield (
            "nobody says which flows use what, and it is not to be learned: damage to others "
            "(cascading) cannot be found"
        )


def _bound(share: Share, timeline: Timeline, plan: Plan) -> Iterator[str]:
    begin, end = timeline.phases["fault"]
    rate = rate_of(attrs.evolve(plan, shares=(share,)), begin, end)
    wanted = ROOM * rate * plan.timeout
    if share.max_in_flight < wanted:
        names = _named(share.scenarios)
        yield (
            f"{names}at most {share.max_in_flight:,} visits may be under way, but {rate:.4g}/s for "
            f"{plan.timeout:g}s are {rate * plan.timeout:,.0f} if all hang: what is dropped then "
            f"flatters the system; let max_in_flight be {wanted:,.0f} or more"
        )


def _named(scenarios: Sequence[str]) -> str:
    return f"{', '.join(scenarios)}: " if len(scenarios) < 3 else ""
