"""What a coordinator knows of a run: reports merged, each (agent, sequence) once.

Rows are kept by flow and second of intended start. Those of the last minutes stay open; older ones
are packed into bytes (a long run has many), opened again when something comes for them. The sum
over the whole run is kept beside them, so that it never has to unpack.

`closed` is the last second that every member has reported past. Rows at or before it may still
grow: a call that takes 30 s is counted 30 s late, in the second of its intended start. `open_calls`
says how many are still missing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from rascal.load.live import Live, live
from rascal.load.packing import pack_row, unpack_row
from rascal.load.reports import put_meters, take_meters
from rascal.load.types import Event, FlowKind, Meters, Report, Row, Sample

KEPT_OPEN = 120
"""Rows of a flow that are not packed."""
MAX_SAMPLES = 2000
MAX_EVENTS = 20_000
MAX_AGENTS = 10_000
AHEAD = 100_000
"""Sequences that may lie beyond a gap; more is no gap but another agent of the same name."""

_T = TypeVar("_T")


@attrs.frozen
class Gap:
    """Reports of an agent that have not come (yet): sequences, both included."""

    agent: str
    first: int
    last: int


class Shelf(Mapping[int, _T]):
    """Values by second: the last ones as they are, older ones packed. To be read."""

    def __init__(self, pack: Callable[[_T], Any], unpack: Callable[[Any], _T]) -> None:
        self._pack, self._unpack = pack, unpack
        self._open: dict[int, _T] = {}
        self._packed: dict[int, Any] = {}

    def __getitem__(self, second: int) -> _T:
        value = self._open.get(second)
        return value if value is not None else self._unpack(self._packed[second])

    def __iter__(self) -> Iterator[int]:
        return iter(sorted((*self._packed, *self._open)))

    def __len__(self) -> int:
        return len(self._packed) + len(self._open)

    def __contains__(self, second: object) -> bool:
        return second in self._open or second in self._packed

    def taken(self, second: int) -> _T | None:
        """The value as it may be changed: it stays open for a while."""
        value = self._open.get(second)
        if value is None and second in self._packed:
            value = self._unpack(self._packed.pop(second))
            self.put(second, value)
        return value

    def put(self, second: int, value: _T) -> None:
        """Set a value."""
        self._packed.pop(second, None)
        self._open[second] = value
        if len(self._open) > 2 * KEPT_OPEN:
            for old in sorted(self._open)[:-KEPT_OPEN]:
                if old != second:
                    with suppress(OverflowError):  # numbers beyond 64 bits stay as they are
                        self._packed[old] = self._pack(self._open[old])
                        del self._open[old]


class Series(Shelf[Row]):
    """The rows of one flow by second, and their sum."""

    def __init__(self) -> None:
        super().__init__(pack_row, unpack_row)
        self.total = Row()
        self.revisions: dict[int, int] = {}
        """Goes up with every change of a second."""

    def add(self, second: int, row: Row) -> None:
        """Merge a row; it is copied."""
        mine = self.taken(second)
        if mine is None:
            mine = Row()
            self.put(second, mine)
        mine.add(row)
        self.total.add(row)
        self.revisions[second] = self.revisions.get(second, 0) + 1


class _Agent:
    """What is known of one agent: which reports came."""

    __slots__ = ("ahead", "finished", "gone", "next", "second")

    def __init__(self) -> None:
        self.next = 0
        """All sequences below it have come."""
        self.ahead: set[int] = set()
        self.second = -1
        self.finished = False
        self.gone = False


class Results:
    """The merged reports of one run."""

    def __init__(self, run: str = "", members: Iterable[str] = ()) -> None:
        self.run = run
        self.deadlines: dict[str, float] = {}
        """Of flows, seconds: of those that one scenario alone calls, if that has a deadline."""
        self.scenario_deadlines: dict[str, float] = {}
        self.timeout = 30.0
        """The client's, seconds; whoever knows the plan sets both."""
        self.meters: dict[str, Shelf[Meters]] = {}
        """By agent and second of its clock."""
        self.samples: list[Sample] = []
        self.events: list[Event] = []
        """What agents reported, in the order in which it came."""
        self.ended: dict[int, dict[str, int]] = {}
        """Outcomes of calls by the second in which they were counted, not begun: for live views."""
        self.begun: dict[int, int] = {}
        """Calls (attempts) begun, by second of the agents' clocks."""
        self.attempts: dict[int, int] = {}
        """Attempts of calls that have ended, by second of intended start."""
        self.revisions: dict[int, int] = {}
        """Goes up with every change of any row of a second."""
        self._series: dict[str, dict[str, Series]] = {"flow": {}, "scenario": {}}
        self._owners: dict[str, str] = {}
        self._agents: dict[str, _Agent] = {name: _Agent() for name in members}

    # -- merging ---------------------------------------------------------------------------------

    def add(self, report: Report) -> bool:
        """Merge a report; False, and nothing happens, if it was merged before."""
        agent = self._agents.get(report.agent)
        if agent is None:
            if len(self._agents) >= MAX_AGENTS:
                return False
            agent = self._agents[report.agent] = _Agent()
        sequence = report.sequence
        if sequence < agent.next or sequence in agent.ahead or sequence > agent.next + AHEAD:
            return False
        agent.ahead.add(sequence)
        while agent.next in agent.ahead:
            agent.ahead.remove(agent.next)
            agent.next += 1
        agent.finished |= report.last
        agent.second = max(agent.second, report.second)
        for (kind, name, second), row in report.rows.items():
            series = self._series[kind]
            found = series.get(name)
            if found is None:
                found = series[name] = Series()
            found.add(second, row)
        meters = self.meters.get(report.agent)
        if meters is None:
            meters = self.meters[report.agent] = Shelf(_pack_meters, _unpack_meters)
        meters.put(report.second, report.meters)
        self._count_ended(report)
        if report.owners:
            self._own(report)
        self.samples += report.samples[: MAX_SAMPLES - len(self.samples)]
        self.events += report.events[: MAX_EVENTS - len(self.events)]
        return True

    def _own(self, report: Report) -> None:
        """Deadlines of flows; one that another agent has seen elsewhere has none of its own."""
        self.scenario_deadlines.update(report.deadlines)
        for flow, scenario in report.owners.items():
            shared = self._owners.get(flow, scenario) != scenario
            owner = self._owners[flow] = "" if shared else scenario
            if owner in self.scenario_deadlines:
                self.deadlines[flow] = self.scenario_deadlines[owner]
            else:
                self.deadlines.pop(flow, None)

    def join(self, agent: str) -> None:
        """An agent takes part (again): from now on `closed` waits for it."""
        self._agents.setdefault(agent, _Agent()).gone = False

    def leave(self, agent: str) -> None:
        """An agent is lost, or has been released: `closed` does not wait for it."""
        self._agents.setdefault(agent, _Agent()).gone = True

    def _count_ended(self, report: Report) -> None:
        """How many calls began and ended in this second."""
        second = report.second
        self.begun[second] = self.begun.get(second, 0) + report.meters.begun
        ended = self.ended.setdefault(second, {})
        for (kind, _, intended), row in report.rows.items():
            self.revisions[intended] = self.revisions.get(intended, 0) + 1
            if kind == "flow":
                self.attempts[intended] = self.attempts.get(intended, 0) + row.attempts
                for outcome, times in row.outcomes.items():
                    ended[outcome] = ended.get(outcome, 0) + times
                if row.dropped:
                    ended["dropped"] = ended.get("dropped", 0) + row.dropped

    # -- reading ---------------------------------------------------------------------------------

    @property
    def flows(self) -> tuple[str, ...]:
        """Names of flows, sorted."""
        return tuple(sorted(self._series["flow"]))

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names of scenarios, sorted."""
        return tuple(sorted(self._series["scenario"]))

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of all members, also of those that are gone."""
        return tuple(self._agents)

    @property
    def closed(self) -> int:
        """The last second that all members have reported past; -1 before that. Members that have
        finished or are gone are not waited for."""
        waiting = [one.second for one in self._agents.values() if not (one.finished or one.gone)]
        if waiting:
            return min(waiting)
        return max((one.second for one in self._agents.values()), default=-1)

    @property
    def finished(self) -> bool:
        """Every member that is not gone has sent its last report, and nothing is missing."""
        members = [one for one in self._agents.values() if not one.gone]
        return bool(members) and all(one.finished and not one.ahead for one in members)

    def gaps(self) -> list[Gap]:
        """Reports that are missing although later ones came."""
        found: list[Gap] = []
        for name, agent in self._agents.items():
            expected = agent.next
            for sequence in sorted(agent.ahead):
                if sequence > expected:
                    found.append(Gap(name, expected, sequence - 1))
                expected = sequence + 1
        return found

    def rows(self, kind: FlowKind, name: str) -> Mapping[int, Row]:
        """The rows of a flow or scenario by second; empty if there is none of this name."""
        return self._series[kind].get(name, _NONE)

    def series(self, kind: FlowKind, name: str) -> Series:
        """The same with sum and revisions."""
        return self._series[kind].get(name, _NONE)

    def live(self, seconds: int = 10) -> Live:
        """The last closed seconds in a few numbers, cheap enough for once a second."""
        return live(self, seconds)

    def total(
        self,
        kind: FlowKind = "flow",
        names: Iterable[str] = (),
        first: int | None = None,
        last: int | None = None,
    ) -> Row:
        """Several rows in one.

        Args:
            kind: of flows or of scenarios.
            names: which; none means all.
            first: the first second; None is the beginning.
            last: the last second, included.
        """
        found = Row()
        for name in tuple(names) or self._series[kind]:
            series = self._series[kind].get(name)
            if series is None:
                continue
            if first is None and last is None:
                found.add(series.total)
                continue
            for second in series:
                if (first is None or second >= first) and (last is None or second <= last):
                    found.add(series[second])
        return found


def _pack_meters(meters: Meters) -> bytes:
    out = bytearray()
    put_meters(out, meters)
    return bytes(out)


def _unpack_meters(data: bytes) -> Meters:
    return take_meters(data, 0)[0]


_NONE = Series()
