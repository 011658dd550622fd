"""A world for tests of the engine: scenarios that take a while on a Clock, and record nothing."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from rascal.language import parse
from rascal.load.drivers import ClosedDriver
from rascal.load.engine import Engine
from rascal.load.plan import Plan, Share
from rascal.load.recorder import Recorder
from rascal.load.types import Report, Row
from rascal.options import Distribution


@attrs.define(eq=False)
class StubUser:
    """Knows when it was made and what it did."""

    world: StubWorld
    number: int
    scenario: StubScenario
    due: float = 0.0
    iteration: int = 0
    left: int = 0
    first: Any = None

    def uniform(self, lane: int = 0) -> float:
        """The middle of every distribution."""
        return 0.5

    def leave(self) -> Deferred[None] | None:
        """Nothing to undo."""
        self.left += 1
        return None


@attrs.define(eq=False)
class StubScenario:
    """Takes `takes` seconds; None: until it is cancelled; "deaf": not even then."""

    name: str = "look"
    takes: Any = 0.0
    weight: float = 1.0
    think: Distribution | None = None
    pace: Distribution | None = None
    deadline: float | None = None
    outcome: str = "served"

    def iterate(self, user: StubUser) -> Deferred[tuple[str, str]]:
        """One iteration."""
        world = user.world
        user.iteration += 1
        user.first = world.recorder.flow(f"GET /{self.name}")
        world.recorder.begun += 1
        world.begun.append((user.due, world.clock.seconds(), self.name, user.number))
        takes = self.takes(user) if callable(self.takes) else self.takes
        if takes == 0.0:
            return succeed((self.outcome, ""))
        d: Deferred[tuple[str, str]] = Deferred()
        if takes is None or takes == "deaf":
            if takes == "deaf":
                d.cancel = lambda: None  # type: ignore[method-assign]
        else:
            world.clock.callLater(takes, lambda: d.called or d.callback((self.outcome, "")))
        d.addErrback(lambda why: why.trap(CancelledError) and ("timeout", "cancelled"))
        return d


class StubBook:
    """Scenarios and files."""

    def __init__(self, scenarios: list[StubScenario], files: dict[str, bytes]) -> None:
        self.scenarios = {one.name: one for one in scenarios}
        self.files = files


class StubWorld:
    """As the engine sees a world."""

    def __init__(
        self, clock: Clock, scenarios: list[StubScenario], files: dict[str, bytes]
    ) -> None:
        self.clock = clock
        self.book = StubBook(scenarios, files)
        self.recorder = Recorder("1", "a", clock=clock.seconds)
        self.client = None
        self.exhausted: Any = None
        self.users: list[StubUser] = []
        self.begun: list[tuple[float, float, str, int]] = []

    def begin(self, user: StubUser, told: Any, about: Any) -> Deferred[None]:
        """An iteration of this user's scenario."""
        return user.scenario.iterate(user).addCallback(lambda found: told(about, *found))

    def user(self, number: int, name: str) -> StubUser:
        """A new user."""
        user = StubUser(self, number, self.book.scenarios[name])
        self.users.append(user)
        return user


def profile(text: str) -> Any:
    """Stretches."""
    return parse("profile", text)


def share(text: str, *scenarios: str, **given: Any) -> Share:
    """A share of this profile."""
    return Share(scenarios=scenarios or ("look",), profile=profile(text), **given)


class Bench:
    """An engine on a Clock that starts at `at`."""

    def __init__(
        self,
        *shares: Share | str,
        scenarios: list[StubScenario] | None = None,
        index: int = 0,
        members: tuple[int, ...] = (0,),
        at: float = 1000.3,
        files: dict[str, bytes] | None = None,
        start: bool = True,
        **plan: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(at - 0.5)
        self.world = StubWorld(self.clock, scenarios or [StubScenario()], files or {})
        made = tuple(share(one) if isinstance(one, str) else one for one in shares)
        self.plan = Plan(file="x.py", target="http://127.0.0.1", shares=made, **plan)
        self.reports: list[Report] = []
        self.emitted: list[float] = []
        self.engine = Engine(
            self.world, self.plan, clock=self.clock, emit=self._emit, index=index, members=members
        )
        self.at = at
        self.ended: list[Any] = []
        if start:
            self.begin()

    def begin(self) -> None:
        """Start the engine."""
        self.engine.start(self.at).addBoth(self.ended.append)

    def _emit(self, report: Report) -> None:
        self.reports.append(report)
        self.emitted.append(self.clock.seconds() - self.at)

    def run(self, upto: float, step: float = 0.001) -> Bench:
        """Let time pass until `upto` seconds of the run."""
        while self.clock.seconds() - self.at < upto and not self.ended:
            self.clock.advance(step)
        return self

    def to_end(self, most: float = 100.0, step: float = 0.005) -> Bench:
        """Let time pass until the engine has ended."""
        self.run(most, step)
        assert self.ended == [None], "the engine has not ended"
        assert not self.clock.getDelayedCalls()
        return self

    @property
    def users(self) -> bool:
        """Whether some load of it is of users."""
        return any(isinstance(one, ClosedDriver) for one in self.engine._drivers)

    @property
    def due(self) -> list[float]:
        """Intended starts, in seconds of the run."""
        return [round(due - self.at, 6) for due, *_ in self.world.begun]

    def rows(self, scenario: str = "look") -> dict[int, Row]:
        """What all reports add up to, for a scenario."""
        found: dict[int, Row] = {}
        for report in self.reports:
            for (kind, name, second), row in report.rows.items():
                if kind == "scenario" and name == scenario:
                    found.setdefault(second, Row()).add(row)
        return found

    def total(self, scenario: str = "look") -> Row:
        """All seconds together."""
        total = Row()
        for row in self.rows(scenario).values():
            total.add(row)
        return total
