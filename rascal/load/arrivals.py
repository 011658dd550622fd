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
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Protocol

from rascal.errors import ConfigError, ConfigErrors, did_you_mean, listed
from rascal.load.plan import Spacing

BLOCK = 256
MOST_REPLAYED = 20_000_000
"""Lines of an arrival log; more would need some hundred megabytes."""
MOST_FINDINGS = 20
MOST_MISSED = 100_000
"""Arrivals that are made up for after a change that came late."""
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_SHARE_OF_GOLD = 0.6180339887498949


def key_of(*parts: object) -> int:
    """64 bits that stand for the parts, the same on every machine."""
    text = "\x00".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def keyed(key: int, number: int) -> float:
    """A draw from 0 to 1 for this number (splitmix64)."""
    x = (key + (number + 1) * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) * 1.1102230246251565e-16


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
            draw = Random(self._key ^ (block * _GOLDEN & _MASK)).random
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


class Log:
    """A recorded arrival log: times in order, and for each which scenario, if it says so."""

    def __init__(self, times: array[float], kinds: array[int], names: tuple[str, ...]) -> None:
        self.times = times
        self.kinds = kinds
        """Index into `names`, from 1; 0: not said."""
        self.names = names

    def scenario(self, number: int) -> str | None:
        """What the log says that arrival `number` is."""
        kind = self.kinds[number]
        return self.names[kind - 1] if kind else None


def read_log(data: bytes, path: str, scenarios: Sequence[str], ends: float = math.inf) -> Log:
    """Read an arrival log: a line each with seconds since the start, and maybe a scenario's name.

    Empty lines and lines that begin with # are skipped.

    Raises:
        ConfigErrors: the first findings, each with its line.
    """
    times, kinds = array("d"), array("H")
    names = tuple(scenarios)
    known = {name.encode(): index + 1 for index, name in enumerate(names)}
    findings: list[ConfigError] = []
    last = 0.0
    for number, line in enumerate(data.splitlines(), 1):
        parts = line.split(None, 1)
        if not parts or parts[0].startswith(b"#"):
            continue
        problem = ""
        kind = 0
        try:
            time = float(parts[0])
        except ValueError:
            time = math.nan
        if not 0 <= time < math.inf:
            problem = (
                f"'{_shown(parts[0])}' is not a time: write seconds since the start of the "
                "run, such as 12.5, then maybe a blank and a scenario"
            )
        elif time < last:
            problem = (
                f"{time:.15g} comes after {last:.15g}: the lines must be in order (sort -n does it)"
            )
        elif time >= ends:
            problem = (
                f"{time:.15g} is not before the hard end of the run at {ends:.15g} seconds: "
                "times are seconds since the start of the run"
            )
        elif len(times) == MOST_REPLAYED:
            problem = f"the log has more than {MOST_REPLAYED:,} arrivals"
        elif len(parts) > 1:
            name = parts[1].strip()
            kind = known.get(name, 0)
            if not kind:
                shown = _shown(name)
                problem = (
                    f"'{shown}' is not a scenario that the log drives; scenarios: {listed(names)}."
                    f"{did_you_mean(shown, names)}"
                )
        if problem:
            findings.append(ConfigError(problem, path=path, line=number))
            if len(findings) == MOST_FINDINGS or len(times) == MOST_REPLAYED:
                break
            continue
        last = time
        times.append(time)
        kinds.append(kind)
    if not findings and not times:
        findings.append(ConfigError("the arrival log is empty", path=path))
    if findings:
        raise ConfigErrors(findings)
    return Log(times, kinds, names)


def _shown(text: bytes) -> str:
    return text[:40].decode("utf-8", "backslashreplace")


class Replay:
    """A log as masses and as the schedule that goes with them: the mass is the time itself."""

    users = False

    def __init__(self, log: Log, ends: float = math.inf) -> None:
        self.log = log
        self._times = log.times
        self.ends = min(ends, math.nextafter(log.times[-1], math.inf))
        self.total = self.ends

    def mass(self, number: float) -> float:
        """Time is mass here."""
        return number

    def at(self, mass: float) -> float:
        """When `mass` is reached: then."""
        return mass if mass < self.total else math.inf

    def planned(self, second: int) -> float:
        """How many arrivals fall into this second."""
        times = self._times
        last = min(float(second + 1), self.ends)
        return float(max(0, bisect_left(times, last) - bisect_left(times, float(second))))

    def level(self, t: float) -> float:
        """Arrivals within the second of `t`."""
        return self.planned(math.floor(t)) if 0 <= t < self.ends else 0.0

    before = level

    def until(self, second: float) -> Replay:
        """The same, over at `second`."""
        return Replay(self.log, min(self.ends, second))


class Recorded:
    """The masses of a log, by number."""

    __slots__ = ("_times",)

    def __init__(self, log: Log) -> None:
        self._times = log.times

    def mass(self, number: int) -> float:
        """Of arrival `number`; infinity behind the last."""
        return self._times[number] if number < len(self._times) else math.inf

    def first(self, mass: float) -> int:
        """The number of the first arrival at or after `mass`."""
        return bisect_left(self._times, mass)


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

    def reshare(self, members: Sequence[int], second: float, fresh: Masses) -> int:
        """From `second` on the numbers belong to other members.

        If that is past already, what was due since then and has become ours is still to be done,
        late; `fresh` is a second set of masses to look back with.

        Returns:
            How many arrivals are late for that reason.
        """
        before = Membership(())
        before.since, before.members = [*self.membership.since], [*self.membership.members]
        bounds = self._bounds
        self.membership.change(members, second)
        self.refresh()
        mass = self.schedule.mass(second)
        found: list[tuple[float, int]] = []
        if self._from and self.masses.mass(self._from) > mass:
            number = fresh.first(mass)
            while number < self._from and len(found) < MOST_MISSED:
                number, mass = self._find(fresh, number)
                if number >= self._from or mass == math.inf:
                    break
                had = before.members[bisect_right(bounds, mass)]
                if not had or had[number % len(had)] != self.index:
                    found.append((self.schedule.at(mass), number))
                number += 1
        if found:
            self._missed = sorted({*found, *self._missed}, reverse=True)
            self._next()
        return len(found)
