"""The world that the users of one process share in one run: client, recorder, clock, data.

It makes users (cheaply: an arrival may cost some microseconds only), keeps this agent's part of
each feeder, runs set-ups and tear-downs, and says once what user code did wrong.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred

from rascal.load.book import Book
from rascal.load.draws import key_of
from rascal.load.feeders import Feeder, Shard, UsedUp
from rascal.load.iterating import Iteration, Told
from rascal.load.parameters import distribution
from rascal.load.plan import Plan
from rascal.load.scenario import Scenario
from rascal.load.setting import SetUps
from rascal.load.user import TimedUser, User
from rascal.options import Distribution

MAX_KINDS = 100
"""Of errors in user code that are told apart, and of notes, in one run and process."""
MAX_TEXT = 500


class World:
    """What users share.

    Args:
        plan: the run's.
        book: the scenarios.
        recorder: of this agent (`rascal.load.recorder.Recorder`).
        client: of this process (`rascal.load.http.client.Client`).
        clock: IReactorTime.
        agent: this agent's name; `index` its number in the run.
        members: the agents' numbers at the start of the run, the same everywhere.
    """

    def __init__(
        self,
        plan: Plan,
        book: Book,
        recorder: Any,
        client: Any,
        clock: Any,
        agent: str = "",
        index: int = 0,
        members: Sequence[int] = (0,),
    ) -> None:
        self.plan = plan
        self.book = book
        self.recorder = recorder
        self.client = client
        self.clock = clock
        self.agent = agent
        self.index = index
        self.members = tuple(members)
        self.now: Callable[[], float] = clock.seconds
        self.exhausted: Callable[[str], None] | None = None
        """Called once when a feeder whose end is the load's end is used up."""
        self.budgets: dict[Any, Any] = {}
        """Of retries, by the function that is retried."""
        self._token = secrets.token_hex(6)
        self._counter = count()
        self._keys: dict[str, int] = {}
        self._shards: dict[Feeder, Shard] = {}
        self._times: dict[Any, Distribution] = {}
        self._said: set[str] = set()
        self._notes = 0
        self._set_ups = SetUps(self)
        named = {name for share in plan.shares for name in share.scenarios}
        deadlines = {name: book.scenarios[name].deadline for name in sorted(named)}
        recorder.deadlines = {name: found for name, found in deadlines.items() if found}
        self._user = TimedUser if recorder.deadlines else User

    def user(self, number: int, scenario: Scenario | str) -> User:
        """A user: of arrival `number` (open model), or the number-th of its share (closed)."""
        if isinstance(scenario, str):
            scenario = self.book.scenarios[scenario]
        return self._user(self, number, scenario)

    def begin(self, user: User, told: Told, about: Any) -> Iteration:
        """Begin an iteration; `told(about, outcome, detail)` when it has ended, maybe at once."""
        return Iteration(user.scenario, user, told, about).start()

    def key(self, scenario: str) -> int:
        """What the draws of a scenario's users depend on, besides their number."""
        key = self._keys.get(scenario)
        if key is None:
            key = self._keys[scenario] = key_of(self.plan.seed, scenario)
        return key

    def take(self, feeder: Feeder, draw: Callable[[int], float]) -> Any:
        """The next item of this agent's part of a feeder."""
        shard = self._shards.get(feeder)
        if shard is None:
            shard = Shard(feeder, self.plan.seed, self.index, self.members)
            self._shards[feeder] = shard
        try:
            return shard.take(draw)
        except UsedUp as error:
            if feeder.order == "sequential":
                self.once(f"used up {feeder.name}", "limit", str(error), feeder=feeder.name)
                if self.exhausted is not None:
                    self.exhausted(str(error))
            raise

    def times(self, written: Any) -> Distribution:
        """The distribution of a text such as "1s..3s"; remembered."""
        found = self._times.get(written)
        if found is None:
            found = distribution(written, "time")
            if len(self._times) < MAX_KINDS:
                self._times[written] = found
        return found

    def unique(self, prefix: str) -> str:
        """A text that no other user, agent or run gives."""
        return f"{prefix}-{self._token}-{next(self._counter)}"

    def set_up(self, run: bool = False) -> Deferred[None]:
        """Once-per-agent set-ups, with `run` those once per run before them."""
        return Deferred.fromCoroutine(self._set_ups.set_up(run))

    def run_values(self) -> dict[str, Any]:
        """What the set-ups per run gave, by name, as plain JSON: for the other agents.

        Raises:
            LoadError: one gave something else.
        """
        return self._set_ups.values()

    def take_run_values(self, values: Mapping[str, Any]) -> None:
        """On an agent that did not set up the run: `run_values()` of the one that did."""
        self._set_ups.take(values)

    def tear_down(self, run: bool = False) -> Deferred[None]:
        """What undoes them, backwards. Never fails: what goes wrong is an event."""
        return Deferred.fromCoroutine(self._set_ups.tear_down(run))

    def close(self) -> None:
        """The run is over: let go of what its users had."""
        self.exhausted = None
        self._shards.clear()
        self.budgets.clear()

    def once(self, what: str, kind: str, text: str, **data: Any) -> bool:
        """An event, the first time that this happens in the run and process."""
        if what in self._said or len(self._said) >= MAX_KINDS:
            return False
        self._said.add(what)
        self.recorder.event(kind, text[:MAX_TEXT], **data)
        return True

    def note(self, text: str) -> None:
        """A line of the user's own on the run's timeline; the first hundred only."""
        self._notes += 1
        if self._notes <= MAX_KINDS:
            self.recorder.event("note", text[:MAX_TEXT])
        elif self._notes == MAX_KINDS + 1:
            self.recorder.event("note", f"further notes of agent {self.agent} are left out")
