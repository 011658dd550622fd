"""What load a run asks for, second by second, as the coordinator knows it from the plan.

Agents count what they planned and began; whether all that was asked for was planned at all (an
agent may be lost) only the profile tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rascal.load.plan import Plan, Share
from rascal.load.replay import Replay, log_of
from rascal.load.schedule import Schedule

Timeline: TypeAlias = Schedule | Replay
NOISE = 4.0
"""Standard deviations of Poisson arrivals that are chance."""


class Offer:
    """The schedules of a run's shares.

    Args:
        plan: the run's.
        files: its bundle, for arrival logs.
    """

    def __init__(self, plan: Plan, files: Mapping[str, bytes]) -> None:
        self.shares: tuple[Share, ...] = plan.shares
        self.bound = plan.max_time
        self._timelines: list[Timeline] = [
            Replay(log_of(share, files, plan.max_time), plan.max_time)
            if share.replay
            else Schedule(share.profile)
            for share in plan.shares
        ]
        self._stopped = math.inf

    def change(self, shares: Sequence[Share], second: int) -> None:
        """Other profiles from this second on."""
        changed: list[Timeline] = []
        for before, timeline, share in zip(self.shares, self._timelines, shares, strict=True):
            if share == before:
                changed.append(timeline)
            elif isinstance(timeline, Replay):
                changed.append(Schedule(share.profile, begins=second))
            else:
                changed.append(timeline.then(share.profile, second))
        self.shares, self._timelines = tuple(shares), changed

    def stop(self, second: float) -> None:
        """No more arrivals from then on."""
        self._stopped = min(self._stopped, max(0.0, second))

    @property
    def ends(self) -> float:
        """Seconds after the start at which the last profile ends; infinity if none does."""
        ends = max((timeline.ends for timeline in self._timelines), default=0.0)
        return min(ends, self._stopped, self.bound)

    def open(self) -> bool:
        """Whether there are arrivals (not users alone)."""
        return any(not timeline.users for timeline in self._timelines)

    def planned(self, second: int) -> float:
        """Arrivals expected within this second; of users their mean number."""
        if second >= self.ends:
            return 0.0
        return sum(timeline.planned(second) for timeline in self._timelines)

    def level(self, t: float) -> tuple[float, float]:
        """Arrivals a second and users at a moment."""
        if not 0 <= t < self.ends:
            return 0.0, 0.0
        rates = sum(one.level(t) for one in self._timelines if not one.users)
        return rates, sum(one.level(t) for one in self._timelines if one.users)

    def expected(self, end: float) -> tuple[float, float]:
        """Arrivals expected before `end`, and how many of them chance may take away."""
        end = min(end, self.ends)
        total = noise = 0.0
        for share, timeline in zip(self.shares, self._timelines, strict=True):
            if timeline.users:
                continue
            if isinstance(timeline, Replay):
                log = timeline.until(end)
                found = sum(log.planned(second) for second in range(math.ceil(end)))
            else:
                found = timeline.mass(end)
                noise += found if share.spacing == "poisson" else 0.0
            total += found
        return total, NOISE * math.sqrt(noise)
