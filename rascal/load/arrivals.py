"""When each arrival is due, and who has it: one seeded sequence for a whole run. Pure.

Arrivals are numbered from 0 over all agents. An arrival's *mass* is its place in a Poisson process
of rate 1 (or simply its number, if spacing is even); its time is where the integral of the profile
passes that mass. So a number never changes its owner or its mass when the profile changes: only
its time does, and every agent that knows seed and profile knows every arrival.

The process is drawn in blocks of 256: the gaps of a block together are a gamma variate, and the
other arrivals of the block are uniform within it, which is exactly a Poisson process. An agent
that joins an hour later skips whole blocks.

Draws are keyed: what arrival n does depends on the seed and n alone, not on who asks when.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Protocol

from rascal.load.draws import started
from rascal.load.plan import Spacing

BLOCK = 256
MOST_MISSED = 100_000
"""Arrivals that are made up for after a change that came late."""
_SCALE = 1.0 / (1 << 53)
_SHARE_OF_GOLD = 0.6180339887498949


def keyed(key: int, number: int) -> float:
    """A draw in [0, 1) for this number."""
    return (started(key, number) >> 11) * _SCALE


class Choice:
    """Which of several an arrival or a user is, by weight."""

    __slots__ = ("_bounds", "_key", "_offset", "names")

    def __init__(self, weights: Sequence[tuple[str, float]], key: int) -> None:
        self.names = tuple(name for name, _ in weights)
        total = sum(weight for _, weight in weights)
        sums = list(accumulate(weight for _, weight in weights))
        self._bounds = [one / total for one in sums[:-1]] if total > 0 else []
        self._key = key
        self._offset = keyed(key, -1)

    def of_arrival(self, number: int) -> str:
        """An independent draw for each number."""
        if not self._bounds:
            return self.names[0]
        return self.names[bisect_right(self._bounds, keyed(self._key, number))]

    def of_user(self, number: int) -> str:
        """Spread as evenly as can be, so that ten users keep to weights of 8 and 2 as well."""
        if not self._bounds:
            return self.names[0]
        place = (self._offset + number * _SHARE_OF_GOLD) % 1.0
        return self.names[bisect_right(self._bounds, place)]


class Poisson:
    """The masses of a Poisson process of rate 1, by number."""

    __slots__ = ("_block", "_inner", "_key", "_masses", "_next", "_outer")

    def __init__(self, key: int) -> None:
        self._key = key
        self._rewind()

    def _rewind(self) -> None:
        self._outer = Random(self._key)
        self._block = -1
        self._next = 0.0
        self._inner: list[float] | None = None
        self._masses = (0.0, 0.0)

    def mass(self, number: int) -> float:
        """Of arrival `number`. Cheap in ascending order; going back starts over."""
        block, place = divmod(number, BLOCK)
        if block != self._block:
            self._enter(block)
        if self._inner is None:
            begin, gamma = self._masses
            draw = Random(started(self._key, block)).random
            self._inner = sorted([begin + gamma * draw() for _ in range(BLOCK - 1)])
            self._inner.append(begin + gamma)
        return self._inner[place]

    def _enter(self, block: int) -> None:
        if block < self._block:
            self._rewind()
        while self._block < block:
            gamma = self._outer.gammavariate(BLOCK, 1.0)
            self._masses = (self._next, gamma)
            self._next += gamma
            self._block += 1
        self._inner = None

    def first(self, mass: float) -> int:
        """The number of the first arrival at or after `mass`."""
        if self._block >= 0 and mass < self._masses[0]:
            self._rewind()
        if self._block < 0:
            self._enter(0)
        while self._next < mass:
            self._enter(self._block + 1)
        number = self._block * BLOCK
        while self.mass(number) < mass:
            number += 1
        return number


class Even:
    """Arrivals at even spaces: the first at once, one for each whole mass."""

    __slots__ = ()

    def mass(self, number: int) -> float:
        """Of arrival `number`."""
        return float(number)

    def first(self, mass: float) -> int:
        """The number of the first arrival at or after `mass`."""
        return math.ceil(mass)


class Membership:
    """Who has which number, from which second on."""

    __slots__ = ("members", "since")

    def __init__(self, members: Sequence[int]) -> None:
        self.since = [-math.inf]
        self.members = [tuple(members)]

    def change(self, members: Sequence[int], second: float) -> None:
        """From `second` on these; what was to come later is forgotten."""
        while len(self.since) > 1 and self.since[-1] >= second:
            self.since.pop()
            self.members.pop()
        self.since.append(second)
        self.members.append(tuple(members))

    def copy(self) -> Membership:
        """As it is now."""
        made = Membership(())
        made.since, made.members = [*self.since], [*self.members]
        return made

    def at(self, t: float) -> tuple[int, ...]:
        """The members at `t`."""
        return self.members[bisect_right(self.since, t) - 1]

    def after(self, t: float) -> float:
        """When they change next; infinity if never."""
        place = bisect_right(self.since, t)
        return self.since[place] if place < len(self.since) else math.inf

    @property
    def last(self) -> tuple[int, ...]:
        """The members after all changes that are known."""
        return self.members[-1]


class Masses(Protocol):
    """The place of every arrival, by number, in ascending order."""

    def mass(self, number: int) -> float:
        """Of arrival `number`; infinity if there is none."""

    def first(self, mass: float) -> int:
        """The number of the first arrival at or after `mass`."""


class Timeline(Protocol):
    """What turns masses into times: a schedule, or a log."""

    ends: float
    total: float

    def mass(self, t: float, /) -> float:
        """The mass at `t`."""

    def at(self, mass: float) -> float:
        """When that mass is reached; infinity if never."""


def masses_of(spacing: Spacing, key: int) -> Masses:
    """For arrivals that follow a profile."""
    return Poisson(key) if spacing == "poisson" else Even()


class Arrivals:
    """The arrivals of one share that one agent has, in order.

    `number` is the next one and `due` its time in seconds of the run: infinity if none follows.
    `take()` goes on to the one after it.
    """

    def __init__(
        self, schedule: Timeline, masses: Masses, membership: Membership, index: int
    ) -> None:
        self.schedule = schedule
        self.masses = masses
        self.membership = membership
        self.index = index
        self._from = 0
        """The least number that was not looked at for good."""
        self._missed: list[tuple[float, int]] = []
        """What was due before we learned that it is ours; latest first."""
        self.refresh()

    def take(self) -> None:
        """The next arrival is being done: go on to the one after it."""
        if self._missed:
            self._missed.pop()
        else:
            self._from = self.number + 1
        self._next()

    def refresh(self, schedule: Timeline | None = None) -> None:
        """Look again: the schedule or who has which number has changed."""
        if schedule is not None:
            self.schedule = schedule
        self._bounds = [self.schedule.mass(second) for second in self.membership.since[1:]]
        self._next()

    def _next(self) -> None:
        if self._missed:
            self.due, self.number = self._missed[-1]
            return
        self.number, mass = self._find(self.masses, self._from)
        self.due = self.schedule.at(mass)

    def _find(self, masses: Masses, number: int) -> tuple[int, float]:
        """The first of our numbers from `number` on, and its mass; infinity if none follows."""
        total, bounds, index = self.schedule.total, self._bounds, self.index
        while (mass := masses.mass(number)) < total:
            epoch = bisect_right(bounds, mass)
            members = self.membership.members[epoch]
            step = (members.index(index) - number) % len(members) if index in members else -1
            if not step:
                return number, mass
            if epoch < len(bounds):
                number += 1  # within the jump the members may change
            elif step > 0:
                number += step
            else:
                break
        return number, math.inf

    def reshare(self, before: Membership, second: float, fresh: Callable[[], Masses]) -> int:
        """The membership has changed from `second` on; `before` is what it was.

        If `second` is past already, what was due since then and has become ours is still to be
        done, late; `fresh` gives a second set of masses to look back with.

        Returns:
            How many arrivals are late for that reason.
        """
        bounds = self._bounds
        self.refresh()
        begin = self.schedule.mass(second)
        if not self._from or self.masses.mass(self._from - 1) < begin:
            return 0
        masses = fresh()
        number = masses.first(begin)
        found: list[tuple[float, int]] = []
        while len(found) < MOST_MISSED:
            number, mass = self._find(masses, number)
            if number >= self._from or mass == math.inf:
                break
            had = before.members[bisect_right(bounds, mass)]
            if not had or had[number % len(had)] != self.index:
                found.append((self.schedule.at(mass), number))
            number += 1
        self._missed = sorted({*found, *self._missed}, reverse=True)
        self._next()
        return len(found)
