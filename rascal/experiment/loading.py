"""The load of an experiment: it lasts as long as the phases, and is the same at both ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from rascal.errors import ConfigError, ConfigErrors
from rascal.experiment.specification import Experiment
from rascal.experiment.timeline import Timeline
from rascal.language import Objective, Quantity, Stretch
from rascal.load.book import Book, load_book
from rascal.load.plan import Plan, Share
from rascal.load.planning import plan_of
from rascal.load.schedule import Schedule, counts_users

TIMEOUT = 10.0
"""Of a request, where the file does not say: shorter than in a load run, because every phase
ends by waiting for it."""
EQUAL = 0.10
"""The planned load of the tail may differ by this share from the baseline's."""
SPARE = 600.0
"""Seconds beyond the phases: a longer recovery, a probe, the drain."""


def read_load(
    experiment: Experiment, timeline: Timeline, allow: Sequence[str] = ()
) -> tuple[Plan, Book]:
    """The plan and the scenarios of an experiment.

    Args:
        experiment: what the file says.
        timeline: its times.
        allow: hosts off loopback that this process may send load to.

    Raises:
        ConfigErrors: the scenarios cannot be loaded, or the load does not suit an experiment.
    """
    path = str(Path(experiment.path).parent / experiment.scenarios)
    options = experiment.load.get("options")
    book = load_book(path, options if isinstance(options, Mapping) else {})
    return load_plan(experiment, timeline, tuple(book.scenarios), book.main, allow), book


def load_plan(
    experiment: Experiment,
    timeline: Timeline,
    scenarios: Sequence[str],
    file: str,
    allow: Sequence[str] = (),
) -> Plan:
    """The plan of an experiment whose scenario file has these scenarios. Raises ConfigErrors."""
    values: dict[str, Any] = dict(experiment.load)
    values |= {"target": experiment.target, "seed": str(experiment.seed), "allow": list(allow)}
    values.setdefault("timeout", f"{TIMEOUT:g}s")
    values["name"] = experiment.name
    plan = plan_of(values, scenarios=tuple(scenarios), file=file, path=experiment.path or None)
    recovery = timeline.ends - timeline.phases["recovery"][0]
    rules = tuple(rule for rule in experiment.stop if isinstance(rule, Objective))
    plan = attrs.evolve(
        plan,
        shares=tuple(_lasting(share, timeline, experiment) for share in plan.shares),
        stop=(*plan.stop, *rules),
        max_time=min(plan.max_time, timeline.ends + recovery + SPARE),
        labels=(*plan.labels, *experiment.labels),
        loss="abort",
    )
    _check_equal(plan, timeline, experiment)
    return plan


def _wrong(experiment: Experiment, message: str) -> ConfigErrors:
    line = getattr(experiment.load, "line", 0)
    return ConfigErrors([ConfigError(message, path=experiment.path or None, line=line or None)])


def _lasting(share: Share, timeline: Timeline, experiment: Experiment) -> Share:
    """The share, going on at its last level for as long as it takes."""
    if share.replay:
        raise _wrong(
            experiment,
            "a replayed log has no level that could be held: an experiment needs a profile",
        )
    if counts_users(share.profile):
        raise _wrong(
            experiment,
            "users slow down with the system, so there is no verdict on them: write a rate, as in "
            "'hold 200/s'",
        )
    schedule = Schedule(share.profile)
    if math.isinf(schedule.ends):
        return share
    if schedule.ends < timeline.ends:
        raise _wrong(
            experiment,
            f"the load ends after {schedule.ends:g}s, the phases after {timeline.ends:g}s: let it "
            "end with a 'hold' without time",
        )
    level = schedule.level(timeline.ends - 1e-6)
    return attrs.evolve(share, profile=(*_cut(share.profile, timeline.ends), hold(level)))


def _cut(profile: Sequence[Stretch], ends: float) -> list[Stretch]:
    """Whole stretches that end before; the one that reaches over stays whole (it is changed)."""
    found, at = [], 0.0
    for stretch in profile:
        if at >= ends:
            break
        found.append(stretch)
        at += float(stretch.lasts.value) if stretch.lasts is not None else math.inf
    return found


def hold(level: float) -> Stretch:
    """A level without end."""
    return Stretch("hold", Quantity("level", Fraction(level).limit_denominator(1000)))


def rate_of(plan: Plan, first: float, last: float) -> float:
    """Arrivals a second that are planned between two moments, all shares together."""
    schedules = [Schedule(share.profile) for share in plan.shares]
    return sum(one.mass(last) - one.mass(first) for one in schedules) / (last - first)


def levels(plan: Plan, second: float) -> dict[str, float]:
    """The level of each share at a moment, by what its profile is called when it is changed."""
    several = len(plan.shares) > 1
    return {
        share.scenarios[0] if several else "": Schedule(share.profile).level(second)
        for share in plan.shares
    }


def _check_equal(plan: Plan, timeline: Timeline, experiment: Experiment) -> None:
    begin, end = timeline.phases["baseline"]
    before = rate_of(plan, begin, end)
    recovery = timeline.phases["recovery"]
    length = recovery[1] - recovery[0]
    tail = min(max(10.0, length / 3), length / 2)
    after = rate_of(plan, recovery[1] - tail, recovery[1])
    if before <= 0:
        raise _wrong(experiment, "no load is planned in the baseline")
    if abs(after / before - 1) > EQUAL and experiment.compare != "shares":
        raise _wrong(
            experiment,
            f"{before:.4g}/s are planned in the baseline and {after:.4g}/s at the end of the "
            "recovery: whether it came back is asked at the same load; hold it, or write "
            "'compare: shares' to compare shares of calls all the same",
        )
