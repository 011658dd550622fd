"""The user: what a scenario's code is handed. An HTTP session with treq's verbs, and more.

A user that sleeps costs little: what it may never need (its chance, its data, its memory) is
made when it is asked for.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from rascal.load.draws import started, stepped, unit
from rascal.load.feeders import Feeder
from rascal.load.http.session import Session
from rascal.load.retry import retry, until
from rascal.load.setting import undo_all
from rascal.load.timers import Timer
from rascal.load.types import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from rascal.load.scenario import Scenario
    from rascal.load.world import World


class User(Session):
    """One simulated user.

    Attributes:
        number: of the arrival (open model) or of the user (closed model), unique in its scenario.
        scenario: what it does.
        iteration: how often it began it, from 1.
    """

    def __init__(self, world: World, number: int, scenario: Scenario) -> None:
        super().__init__(world.client, world.recorder, world.plan.target)
        self.world = world
        self.number = number
        self.scenario = scenario
        self.iteration = 0
        self.ready = False
        """Its set-ups are done."""
        self._state = 0
        self._random: Random | None = None
        self._items: dict[Feeder, Any] | None = None
        self._kept: dict[Feeder, Any] | None = None
        self._memo: dict[str, Any] | None = None
        self.undo: list[Any] | None = None
        """Tear-downs that are owed."""

    @property
    def name(self) -> str:
        """Unique in the run: the scenario and the number."""
        return f"{self.scenario.name}-{self.number}"

    @property
    def memo(self) -> dict[str, Any]:
        """Whatever the scenario's code wants to remember of this user."""
        if self._memo is None:
            self._memo = {}
        return self._memo

    # ---- chance and data

    def uniform(self, lane: int = 0) -> float:
        """The user's next number in [0, 1): the same for the same seed, scenario and number."""
        state = self._state or started(self.world.key(self.scenario.name), self.number)
        self._state = stepped(state)
        return unit(state)

    @property
    def random(self) -> Random:
        """A generator of the user's own, seeded by run, scenario and number."""
        if self._random is None:
            self._random = Random(started(self.world.key(self.scenario.name), self.number) ^ 1)
        return self._random

    def data(self, feeder: Feeder) -> Any:
        """An item of a feeder; the same until this iteration (or this user) ends."""
        if feeder.per == "user":
            items = self._kept = {} if self._kept is None else self._kept
        else:
            items = self._items = {} if self._items is None else self._items
        if feeder not in items:
            items[feeder] = self.world.take(feeder, self.uniform)
        return items[feeder]

    def unique(self, prefix: str = "id") -> str:
        """A text that no other call gives, on any agent, in any run."""
        return self.world.unique(prefix)

    # ---- time

    def think(self, time: Any = None) -> Deferred[None]:
        """Wait as long as the scenario's `think` says, or as `time` does ("1s..3s")."""
        draw = self.scenario.think if time is None else self.world.times(time)
        if draw is None:
            raise ValueError(
                f"scenario '{self.scenario.name}' has no think time: write "
                "@scenario(…, think='1s..3s') or user.think('2s')"
            )
        return self.sleep(draw.sample(self.uniform))

    def sleep(self, seconds: float) -> Deferred[None]:
        """Wait this many seconds."""
        if seconds <= 0:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self.world.clock.callLater(seconds, waiting.callback, None)
        return waiting

    # ---- calls

    def retry(
        self,
        function: Callable[[], Any],
        attempts: int = 3,
        backoff: Any = "100ms..300ms",
        *,
        jitter: Any = None,
        factor: float = 1.0,
        budget: Any = None,
        on: str | Iterable[str] | None = None,
    ) -> Awaitable[Any]:
        """Call `function` until it goes well; see `rascal.load.retry`."""
        return retry(self, function, attempts, backoff, jitter, factor, budget, on)

    def until(
        self, url: str, *, every: Any = "1s", within: Any = "30s", name: str = "", **wanted: Any
    ) -> Awaitable[Any]:
        """GET `url` until a reply is as wanted (`json`, `status`, …); see `rascal.load.retry`."""
        return until(self, url, every, within, name, wanted)

    def timer(self, name: str) -> Timer:
        """`async with user.timer("smtp send"):` what any other client does is a call too."""
        return Timer(self, name)

    def log(self, text: Any) -> None:
        """Put a line on the run's timeline (bounded)."""
        self.world.note(f"{self.name}: {text}")

    # ---- for the engine and for timers

    def open_call(self, name: str) -> Call:
        """A call of another client begins now."""
        call = self._begin(name)
        call.lane = "other"
        return call

    def begin(self) -> None:
        """A new iteration: new data."""
        self.iteration += 1
        self._items = None

    def leave(self) -> Deferred[None] | None:
        """The user goes: undo its set-ups. None if there is nothing to undo."""
        undo, self.undo, self.ready = self.undo, None, False
        if undo:
            leaving = Deferred.fromCoroutine(undo_all(self.world, undo))
            return leaving.addBoth(lambda _: self.close())
        self.close()
        return None


class TimedUser(User):
    """A user of a run in which scenarios have deadlines: says whose the flows are."""

    def _begin(self, name: str) -> Call:
        call = super()._begin(name)
        self.recorder.owned(call.flow, self.scenario.name)
        return call
