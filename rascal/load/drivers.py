"""What makes iterations of one share begin: arrivals (open model) or users (closed model).

A driver knows when it wants to be called next (`due`) and does then what is due (`fire`), for a
few milliseconds at most. The engine carries out iterations and counts them. Times are seconds of
the run.

    open    an arrival that is due begins an iteration of a fresh user, or is dropped if too many
            are under way, or if it is late by a whole time-out: this process cannot keep up
    closed  user number n lives while the level is above n. It iterates on the grid of its pace:
            an iteration that took too long makes the next ones late, and their latency counts from
            the grid; what was due on the grid and never began is dropped. Without pace it goes on
            at once, or after a think time
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from rascal.load.arrivals import Arrivals, Choice, Masses, Membership, masses_of
from rascal.load.draws import key_of
from rascal.load.plan import Share
from rascal.load.replay import Log, Recorded, Replay, log_of
from rascal.load.schedule import Schedule, counts_users
from rascal.options import Distribution

if TYPE_CHECKING:
    from rascal.load.engine import Engine, Iteration

_LOOK = 16
"""Arrivals between two looks at the clock."""
_BREATH = 0.001
_LEAST_PACE = 1e-6
_MOST_LEFT = 100_000
"""Of one user's iterations that never began, to be counted one by one."""


def part(whole: int, members: Sequence[int], index: int) -> int:
    """This agent's part of a bound over all agents; at least 1, as none could do nothing."""
    if index not in members:
        return 0
    each, rest = divmod(whole, len(members))
    return max(1, each + (members.index(index) < rest))


class Driver:
    """What open and closed drivers share. `lane` numbers the drivers of a run."""

    due = math.inf

    def __init__(self, engine: Engine, share: Share, lane: int) -> None:
        self.engine = engine
        self.share = share
        self.lane = lane
        self.key = key_of(engine.plan.seed, "share", lane)
        self.later: list[tuple[float, Share]] = []
        """Shares that replace this one, and from when."""
        self.adopt(share)

    def adopt(self, share: Share) -> None:
        """From now on the scenarios and bounds of this share."""
        self.share = share
        scenarios = self.engine.scenarios
        self.choice = Choice([(name, scenarios[name].weight) for name in share.scenarios], self.key)

    def follow(self, t: float) -> None:
        """Adopt what replaces the share by `t`."""
        while self.later and self.later[0][0] <= t:
            self.adopt(self.later.pop(0)[1])

    def replace(self, share: Share, second: float) -> None:
        """From `second` on another share."""
        self.later = [one for one in self.later if one[0] < second]
        self.later.append((second, share))

    @property
    def latest(self) -> Share:
        """The share after all changes that are known."""
        return self.later[-1][1] if self.later else self.share

    def user_number(self, number: int) -> int:
        """Numbers of users are unique over the drivers of a run."""
        shares = self.engine.width
        if self.lane < shares:
            return number * shares + self.lane
        return (self.lane << 40) + number

    # ---- what drivers do

    @property
    def ends(self) -> float:
        """When nothing more begins."""
        raise NotImplementedError

    def fire(self, now: float, limit: float) -> None:
        """Do what is due by `now`; stop when the clock has reached `limit`."""
        raise NotImplementedError

    def ended(self, run: Iteration, now: float) -> None:
        """An iteration of ours is over."""

    def until(self, second: float) -> None:
        """Begin nothing from `second` on."""
        raise NotImplementedError

    def continues(self, share: Share) -> bool:
        """Whether this driver can go on with that share."""
        raise NotImplementedError

    def change(self, share: Share, second: float) -> None:
        """Go on with that share from `second` on."""
        raise NotImplementedError

    def reshare(self, before: Membership, second: float) -> int:
        """The membership has changed; gives how many arrivals are late for that."""
        raise NotImplementedError


class OpenDriver(Driver):
    """Arrivals of a profile, or of a log."""

    def __init__(
        self,
        engine: Engine,
        share: Share,
        lane: int,
        membership: Membership,
        log: Log | None,
        begins: float = 0.0,
    ) -> None:
        super().__init__(engine, share, lane)
        self.log = log
        self.under_way = 0
        self.schedule: Schedule | Replay = (
            Schedule(share.profile, begins) if log is None else Replay(log)
        )
        self.arrivals = Arrivals(self.schedule, self._masses(), membership, engine.index)
        self._arm()

    def _masses(self) -> Masses:
        if self.log is not None:
            return Recorded(self.log)
        return masses_of(self.share.spacing, self.key)

    @property
    def ends(self) -> float:
        return self.schedule.ends

    def fire(self, now: float, limit: float) -> None:
        engine, arrivals = self.engine, self.arrivals
        members = arrivals.membership.at(now)
        bound = part(self.share.max_in_flight, members, engine.index)
        oldest = now - engine.plan.timeout
        done = 0
        while (due := arrivals.due) <= now and not engine.halted:
            if engine.spent or (done and not done % _LOOK and engine.now() >= limit):
                break
            if self.later and self.later[0][0] <= due:
                self.follow(due)
                bound = part(self.share.max_in_flight, members, engine.index)
            number = arrivals.number
            arrivals.take()
            name = self.log.scenario(number) if self.log is not None else None
            name = name or self.choice.of_arrival(number)
            if self.under_way < bound and due >= oldest:
                self.under_way += 1
                engine.begin(self, name, self.user_number(number), due)
            else:
                engine.drop(name, due)
            done += 1
        self._arm()

    def _arm(self) -> None:
        self.due = math.inf if self.engine.halted else self.arrivals.due

    def ended(self, run: Iteration, now: float) -> None:
        self.under_way -= 1

    def until(self, second: float) -> None:
        self._set(self.schedule.until(second))

    def continues(self, share: Share) -> bool:
        same = not share.replay and not counts_users(share.profile)
        return same and self.log is None and share.spacing == self.share.spacing

    def change(self, share: Share, second: float) -> None:
        assert isinstance(self.schedule, Schedule)
        self.replace(share, second)
        self._set(self.schedule.then(share.profile, second))

    def _set(self, schedule: Schedule | Replay) -> None:
        self.schedule = schedule
        self.arrivals.refresh(schedule)
        self._arm()

    def reshare(self, before: Membership, second: float) -> int:
        late = self.arrivals.reshare(before, second, self._masses)
        self._arm()
        return late


class Living:
    """A user of the closed model."""

    __slots__ = ("busy", "leaving", "name", "number", "pace", "run", "slot", "think", "user")

    def __init__(self, number: int, scenario: Any, user: Any, slot: float) -> None:
        self.number = number
        self.name: str = scenario.name
        """Of its scenario; so are the next two."""
        self.pace: Distribution | None = scenario.pace
        self.think: Distribution | None = scenario.think
        self.user = user
        self.slot = slot
        """When its next iteration should begin (or the one under way should have)."""
        self.run: Iteration | None = None
        """What the engine keeps of its iterations."""
        self.busy = False
        self.leaving = False


class ClosedDriver(Driver):
    """Users that come and go with the level."""

    def __init__(
        self,
        engine: Engine,
        share: Share,
        lane: int,
        membership: Membership,
        begins: float = 0.0,
    ) -> None:
        super().__init__(engine, share, lane)
        self.schedule = Schedule(share.profile, begins)
        self.membership = membership
        self.living: dict[int, Living] = {}
        self._waiting: list[tuple[float, int, Living]] = []
        self._order = count()
        """Of those that wait for the same time."""
        self._look = 0.0
        """When users may come or go next."""
        self._entering = False
        self._held_back = False
        self.due = 0.0

    @property
    def ends(self) -> float:
        return self.schedule.ends

    @property
    def users(self) -> int:
        """How many live here."""
        return len(self.living)

    def fire(self, now: float, limit: float) -> None:
        waiting, engine = self._waiting, self.engine
        done = 0
        while True:
            first = waiting[0][0] if waiting else math.inf
            if self._look <= (now if engine.halted else min(now, first)):
                self._census(self._look)
            elif first <= now:
                due, _, living = heappop(waiting)
                if self.living.get(living.number) is living and not living.leaving:
                    self._awake(living, due)
            else:
                break
            done += 1
            if engine.spent or (not done % _LOOK and engine.now() >= limit):
                break
        self._rearm()

    def _rearm(self) -> None:
        self.due = min(self._look, self._waiting[0][0] if self._waiting else math.inf)

    def _numbers(self, t: float) -> Iterator[int]:
        """Ours of those that live at `t`."""
        members, index = self.membership.at(t), self.engine.index
        alive = self.schedule.count(t)
        if alive > self.share.max_in_flight:
            alive = self.share.max_in_flight
            if not self._held_back:
                self._held_back = True
                self.engine.say("limit", f"max_in_flight holds the users at {alive:,}")
        if index in members:
            yield from range(members.index(index), alive, len(members))

    def _census(self, t: float) -> None:
        """Let users come and go as of `t`."""
        self.follow(t)
        here = set(self._numbers(t))
        for number in sorted(here):
            living = self.living.get(number)
            if living is not None:
                living.leaving = False
                continue
            name = self.choice.of_user(number)
            user = self.engine.world.user(self.user_number(number), name)
            scenario = self.engine.scenarios[name]
            living = self.living[number] = Living(number, scenario, user, t)
            heappush(self._waiting, (t, next(self._order), living))
        for number, living in list(self.living.items()):
            if number not in here:
                living.leaving = True
                if not living.busy:
                    self._gone(living, t)
        later = [second for second, _ in self.later[:1]]
        self._look = min(self.schedule.changes(t), self.membership.after(t), *later)

    def _awake(self, living: Living, due: float) -> None:
        """A user who was waiting goes on. A new one comes when it comes: a thousand at once are
        no lateness of ours."""
        if living.user.iteration:
            self.engine.late(due)
        else:
            living.slot = self.engine.now()
        self._begin(living)

    def _begin(self, living: Living, now: float | None = None) -> None:
        living.busy = True
        self._entering = True
        self.engine.begin(self, living.name, 0, living.slot, living, now)
        self._entering = False

    def ended(self, run: Iteration, now: float) -> None:
        living = run.living
        assert living is not None
        living.busy = False
        self._go_on(living, now)
        engine = self.engine
        if living.leaving or engine.ending or now >= self.schedule.ends:
            self._gone(living, min(now, self.schedule.ends))
            return
        wanted = living.slot
        if wanted <= now:
            if not self._entering and not engine.spent:
                self._begin(living, now)
                return
            wanted = now + _BREATH  # it ended at once: let others have their turn
        heappush(self._waiting, (wanted, next(self._order), living))
        if wanted < self.due:
            self.due = wanted
            engine.wake(wanted)

    def _go_on(self, living: Living, now: float) -> None:
        """Set when the user's next iteration should begin."""
        if living.pace is not None:
            living.slot += max(_LEAST_PACE, living.pace.sample(living.user.uniform))
        elif living.think is not None:
            living.slot = now + living.think.sample(living.user.uniform)
        else:
            living.slot = now

    def _gone(self, living: Living, t: float) -> None:
        """A user leaves; iterations of its grid that were due and never began are dropped."""
        del self.living[living.number]
        if living.pace is not None:
            for _ in range(_MOST_LEFT):
                if living.slot >= t:
                    break
                self.engine.drop(living.name, living.slot)
                self._go_on(living, t)
        self.engine.leave(living.user)

    def until(self, second: float) -> None:
        self.schedule = self.schedule.until(second)
        self._look_again(second)

    def _look_again(self, second: float) -> None:
        self._look = min(self._look, second)
        self._rearm()

    def continues(self, share: Share) -> bool:
        return not share.replay and counts_users(share.profile)

    def change(self, share: Share, second: float) -> None:
        self.replace(share, second)
        self.schedule = self.schedule.then(share.profile, second)
        self._look_again(second)

    def reshare(self, before: Membership, second: float) -> int:
        self._look_again(second)
        return 0


def driver_of(
    engine: Engine, share: Share, lane: int, membership: Membership, begins: float = 0.0
) -> OpenDriver | ClosedDriver:
    """The driver of a share that begins at a second. Raises ConfigErrors."""
    if share.replay:
        log = log_of(share, engine.world.book.files, engine.plan.max_time)
        return OpenDriver(engine, share, lane, membership, log)
    if counts_users(share.profile):
        return ClosedDriver(engine, share, lane, membership, begins)
    return OpenDriver(engine, share, lane, membership, None, begins)
