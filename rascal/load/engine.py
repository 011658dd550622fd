"""One agent's load in one run: begins what is due, counts it, reports once a second, drains, ends.

One tick loop for all shares: do what is due, then sleep until the next is, for at least a
millisecond. A tick takes ten milliseconds at most, so that replies and the report of the second
get their turn however far behind the arrivals are; an arrival that starts late keeps its intended
start, and how late it was is metered.

    waiting ── second 0 ──> running ── nothing more begins ──> draining ── all ended ──> ended
                              profiles over, stop(), hard ends         or plan.timeout later:
                                                                       what is open is cancelled

Seconds are kept by this process's clock from second 0 on. The clock is handed in; everything here
works on a Clock as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rascal.load.arrivals import Membership
from rascal.load.drivers import ClosedDriver, Living, OpenDriver, driver_of, part
from rascal.load.plan import Plan, Share
from rascal.load.reporting import Reporter
from rascal.load.types import Report
from rascal.load.watch import Watch

log = Logger()

TICK = 0.001
"""Least sleep of the tick loop, seconds: timers of the reactor are whole milliseconds."""
TURN = 0.01
"""At most so long within one tick."""
DRAINING = 0.01
"""How often to look whether the last calls have ended."""
GRACE = 1.0
"""What was cancelled may take so long to end."""
GRAIN = 1 << 20
"""Second 0 is a whole multiple of 1/GRAIN, so that second 0 plus a whole second is exact."""


class Iteration:
    """An iteration under way; one user's are the same object again and again."""

    __slots__ = ("driver", "flow", "intended", "living", "started", "under_way", "user")

    def __init__(
        self,
        driver: OpenDriver | ClosedDriver,
        flow: Any,
        intended: float,
        started: float,
        user: Any,
        living: Living | None,
    ) -> None:
        self.driver = driver
        self.flow = flow
        self.intended = intended
        self.started = started
        self.user = user
        self.living = living
        self.under_way: Any = None
        """What can be cancelled, once it has begun (rascal.load.iterating.Iteration)."""


class Engine:
    """Runs the shares of a plan, as far as they are this agent's.

    Args:
        world: users, scenarios, recorder and client of this process and run.
        plan: of the run.
        clock: the reactor, or a Clock.
        emit: gets the report of every second.
        index: this agent's number in the run.
        members: the numbers of all agents that share the run.

    Raises:
        ConfigErrors: an arrival log is missing or cannot be read.
    """

    def __init__(
        self,
        world: Any,
        plan: Plan,
        *,
        clock: Any,
        emit: Callable[[Report], None],
        index: int = 0,
        members: Sequence[int] = (0,),
    ) -> None:
        self.world = world
        self.plan = plan
        self.scenarios = world.book.scenarios
        self.index = index
        self.width = len(plan.shares)
        """Drivers at the start: users' numbers are spread over them."""
        self.ending = False
        """Nothing more begins."""
        self.halted = False
        """Nothing more begins, not even what is due already."""
        self._clock = clock
        self._seconds: Callable[[], float] = getattr(world, "now", None) or clock.seconds
        self._recorder = world.recorder
        self._flows = {name: world.recorder.scenario(name) for name in self.scenarios}
        self._membership = Membership(members)
        self._hard_end = False
        """The run ends by `max_time`, not by its profiles."""
        self._lane = 0
        self._drivers: list[OpenDriver | ClosedDriver] = []
        self._current: list[OpenDriver | ClosedDriver] = []
        """By share."""
        for share in plan.shares:
            self._current.append(self._driver(share, 0.0))
        self._recorder.most = self._requests(members)
        self._base = 0.0
        self._running: dict[Iteration, None] = {}
        self._enter = world.begin
        self._on_iterated = self._iterated
        """Bound once: every iteration under way holds on to it."""
        self._leaving: dict[Deferred[None], None] = {}
        self._timer: Any = None
        self._firing = False
        self._cancelled = False
        self._over_at = math.inf
        """When draining is over at the latest."""
        self._done: Deferred[None] | None = None
        self._watch = Watch(clock, deadline=self._least_deadline(), seconds=self._seconds)
        self._reporter = Reporter(world, self._watch, clock, self._seconds, emit, self._users)
        world.exhausted = self._exhausted

    def _driver(self, share: Share, begins: float) -> OpenDriver | ClosedDriver:
        driver = driver_of(self, share, self._lane, self._membership, begins)
        self._lane += 1
        self._drivers.append(driver)
        self._bound(driver)
        return driver

    def _bound(self, driver: OpenDriver | ClosedDriver) -> None:
        """Let it end when the run must."""
        if driver.ends > self.plan.max_time:
            driver.until(self.plan.max_time)
            self._hard_end = True

    def _requests(self, members: Sequence[int]) -> float:
        """How many requests may be ours."""
        ours = self.index in members
        return part(self.plan.max_requests, members, self.index) if ours else math.inf

    def _least_deadline(self) -> float:
        names = {name for share in self.plan.shares for name in share.scenarios}
        found = [self.scenarios[name].deadline for name in names]
        return min((one for one in found if one), default=0.0)

    # ---- from outside

    def start(self, at: float) -> Deferred[None]:
        """Begin: `at` is second 0 on the reactor's clock.

        Returns:
            A Deferred that fires when the last report was emitted; it fails if the engine itself
            does.
        """
        assert self._done is None
        self._base = round(at * GRAIN) / GRAIN
        self._done = Deferred()
        self._reporter.start(self._base)
        self.wake()
        return self._done

    def change(self, shares: Sequence[Share], second: float) -> None:
        """From `second` on other profiles; shares are told apart by their place.

        A ramp to one level begins at the present level. A share that is as it was goes on
        untouched; one of another kind (rates, users, a log) ends, and another begins.
        """
        if self.ending:
            self.say("note", f"too late to change the load from second {second:g} on")
            return
        for place in range(max(len(shares), len(self._current))):
            driver = self._current[place] if place < len(self._current) else None
            share = shares[place] if place < len(shares) else None
            if driver is not None and share == driver.latest:
                continue
            if driver is not None and share is not None and driver.continues(share):
                driver.change(share, second)
                self._bound(driver)
                continue
            if driver is not None:
                driver.until(second)
            if share is None:
                continue
            made = self._driver(share, second)
            if place < len(self._current):
                self._current[place] = made
            else:
                self._current.append(made)
        self.wake()

    def reshare(self, members: Sequence[int], second: float) -> None:
        """From `second` on arrivals and users belong to these agents."""
        before = self._membership.copy()
        left = max(0, self._recorder.most - self._recorder.begun)
        self._membership.change(members, second)
        if self.index in members and self.index in before.last:
            share = left * max(1, len(before.last)) // len(members)
            self._recorder.most = self._recorder.begun + max(1, share)
        elif self.index in members:
            self._recorder.most = self._requests(members)
        late = sum(driver.reshare(before, second) for driver in self._drivers)
        behind = self.now() - second if self._done is not None else 0.0
        if behind > 0 and self.index in members:
            self.say(
                "note",
                f"new members came {behind:.1f} s late; {late} arrivals are made up for",
                late=late,
            )
        self.wake()

    def stop(self, now: bool = False) -> None:
        """Begin nothing more; with `now` cancel what is under way."""
        if self.now() < 0 or (self._done is None and not self._base):
            self._end(0.0)  # before it has begun
        elif not self.ending:
            self.halted = True
            for driver in self._drivers:
                driver.until(self.now())
        if now:
            self._over_at = min(self._over_at, self.now())
        self.wake()

    # ---- what drivers call

    def now(self) -> float:
        """Seconds of the run."""
        return self._seconds() - self._base

    def late(self, due: float) -> None:
        """Something that was waiting for `due` begins now."""
        self._watch.lateness.record(int((self._seconds() - self._base - due) * 1e6))

    def begin(
        self,
        driver: OpenDriver | ClosedDriver,
        name: str,
        number: int,
        due: float,
        living: Living | None = None,
        now: float | None = None,
    ) -> None:
        """Begin an iteration: of a user who lives, or of a fresh one. `now`: if it is known."""
        intended = self._base + due
        started = self._seconds() if now is None else self._base + now
        flow = self._flows[name]
        self._recorder.planned(flow, intended)
        if living is None:
            self._watch.lateness.record(int((started - intended) * 1e6))
            user = self.world.user(number, name)
            run = Iteration(driver, flow, intended, started, user, None)
        elif living.run is None:
            user = living.user
            run = living.run = Iteration(driver, flow, intended, started, user, living)
        else:
            user = living.user
            run = living.run
            run.intended = intended
            run.started = started
        self._running[run] = None
        user.due = intended
        run.under_way = self._enter(user, self._on_iterated, run)

    def _iterated(self, run: Iteration, outcome: str, detail: str) -> None:
        if run not in self._running:
            return  # given up
        try:
            del self._running[run]
            ended = self._seconds()
            self._recorder.iteration(run.flow, run.intended, run.started, ended, outcome, detail)
            first = run.user.first
            if first is not None:
                self._recorder.first_flow(run.flow, first.name)
            run.driver.ended(run, ended - self._base)
            if run.living is None:
                self.leave(run.user)
            if self.ending:
                self.wake()
        except Exception:
            self._fail(Failure())

    def drop(self, name: str, due: float) -> None:
        """An iteration cannot begin."""
        flow, intended = self._flows[name], self._base + due
        self._recorder.planned(flow, intended)
        self._recorder.dropped(flow, intended)

    def leave(self, user: Any) -> None:
        """A user goes."""
        leaving = user.leave()
        if leaving is not None:
            self._leaving[leaving] = None
            leaving.addErrback(lambda why: log.failure("a user's tear-down failed", why))
            leaving.addCallback(lambda _: self._leaving.pop(leaving, None))

    def say(self, kind: str, text: str, **data: Any) -> None:
        """Put something on the run's timeline."""
        self._recorder.event(kind, text, **data)

    def wake(self, due: float = 0.0) -> None:
        """Look what is due, at once or at this second of the run."""
        if self._done is None or self._firing:
            return
        delay = max(0.0, due - self.now()) if due else 0.0
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._tick)
        elif self._timer.getTime() > self._clock.seconds() + delay:
            self._timer.reset(delay)

    # ---- the loop

    def _tick(self) -> None:
        self._timer = None
        try:
            self._turn()
        except Exception:
            self._fail(Failure())

    def _fail(self, why: Failure) -> None:
        """Something of ours is wrong: better no load than one that nobody counts."""
        done, self._done = self._done, None
        if done is None:
            log.failure("an engine that has ended fails", why)
            return
        self.ending = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._reporter.stop(last=False)
        running, self._running = self._running, {}
        for run in running:
            if run.under_way is not None:
                run.under_way.cancel()
        done.errback(why)

    def _turn(self) -> None:
        now = self.now()
        if now < 0 and not self.ending:
            self._timer = self._clock.callLater(-now, self._tick)
            return
        self._firing = True
        for driver in self._drivers:
            if driver.due <= now:
                driver.fire(now, now + TURN)
        self._firing = False
        if self._done is None:
            return  # it has failed
        if self.ending:
            self._drain(now)
            return
        due = min((driver.due for driver in self._drivers), default=math.inf)
        ends = max((driver.ends for driver in self._drivers), default=0.0)
        if self.spent:
            self.say("limit", f"the hard end of {self.plan.max_requests:,} requests is reached")
            self._end(now)
        elif due > now >= ends:
            if self._hard_end and now >= self.plan.max_time:
                most = self.plan.max_time
                self.say("limit", f"the hard end after {most:g} seconds is reached")
            self._end(now)
        else:
            self._sleep(min(due, ends if ends > now else math.inf))

    def _sleep(self, until: float) -> None:
        if self._timer is None and until < math.inf:
            now = self.now()
            late = until <= now  # more is due than one turn could do
            self._timer = self._clock.callLater(0 if late else max(TICK, until - now), self._tick)

    @property
    def spent(self) -> bool:
        """Whether our part of `max_requests` has begun."""
        return bool(self._recorder.begun >= self._recorder.most)

    def _exhausted(self, text: str) -> None:
        self.stop()

    def _end(self, now: float) -> None:
        """Nothing more begins; wait for what is under way."""
        self.halted = True
        for driver in self._drivers:
            driver.until(now)
        self.ending = True
        self._over_at = min(self._over_at, now + self.plan.timeout)
        self.wake()

    def _drain(self, now: float) -> None:
        open_ = bool(self._running or self._leaving or self._recorder.in_flight > 0)
        if not open_ or now >= self._over_at + (GRACE if self._cancelled else 0.0):
            if open_ and not self._cancelled:
                self._cancel()
                self.wake()
                return
            self._finish()
        else:
            self._timer = self._timer or self._clock.callLater(DRAINING, self._tick)

    def _cancel(self) -> None:
        self._cancelled = True
        for run in list(self._running):
            if run.under_way is not None:
                run.under_way.cancel()
        for leaving in list(self._leaving):
            leaving.cancel()

    def _finish(self) -> None:
        """The last report."""
        self._recorder.most = math.inf  # tear-downs are no load
        for run in list(self._running):
            self._recorder.iteration(
                run.flow, run.intended, run.started, self._seconds(), "timeout", "never ended"
            )
        self._running.clear()
        done, self._done = self._done, None
        assert done is not None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._reporter.stop()
        done.callback(None)

    def _users(self) -> int:
        living = sum(one.users for one in self._drivers if isinstance(one, ClosedDriver))
        return living + sum(1 for run in self._running if run.living is None)
