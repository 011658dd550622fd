"""What a run looks like at one moment: the numbers of the live view, once a second.

Counts are sums over the run; rates are over the last few closed seconds, by when calls ended;
latencies are those of the last ten closed seconds, by intended start. A look at a run of a day
costs no more than one at a run of a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from rascal.histogram import Histogram
from rascal.load.types import SERVED, FlowKind, Meters, Row

if TYPE_CHECKING:
    from rascal.load.running import Snapshot

WINDOW = 10
"""Closed seconds over which latencies are shown."""
RATE = 5
"""Closed seconds over which rates are shown."""
KEPT = 120
"""Points of the small curves."""
NAMED = 5
"""Agents that a warning names."""
PERCENTILES = (50.0, 95.0, 99.0)


@attrs.define(kw_only=True)
class Counts:
    """What was counted of one flow, or of all iterations."""

    planned: int = 0
    started: int = 0
    dropped: int = 0
    ok: int = 0
    reduced: int = 0
    outcomes: dict[str, int] = attrs.Factory(dict)

    @classmethod
    def of(cls, row: Row) -> Counts:
        """Those of a row."""
        return cls(
            planned=row.planned,
            started=row.started,
            dropped=row.dropped,
            ok=row.outcomes.get(SERVED, 0),
            reduced=row.reduced,
            outcomes=dict(row.outcomes),
        )

    def merge(self, other: Counts) -> None:
        """Add what another counted."""
        for name in ("planned", "started", "dropped", "ok", "reduced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count

    @property
    def failed(self) -> float | None:
        """Share of what was offered that was not served; None of nothing."""
        offered = self.started + self.dropped
        return (offered - self.ok) / offered if offered else None


@attrs.frozen(kw_only=True)
class FlowLook:
    """One line of the table."""

    name: str
    counts: Counts
    rate: float | None
    """Calls that ended, a second."""
    ok: float | None
    latency: tuple[float, ...]
    """p50, p95, p99, max in seconds; () if nothing was served lately."""


@attrs.frozen(kw_only=True)
class AgentLook:
    """One agent: its last second."""

    name: str
    host: str
    lost: bool
    meters: Meters | None
    late: float | None
    """p99 of its starts' lateness in the last second, seconds."""
    unsound: Mapping[str, int]
    """Of the last ten seconds: how many were not sound, by reason."""


@attrs.frozen(kw_only=True)
class Unsound:
    """Of the last closed seconds: how many some agent could not do soundly, which, and why."""

    seconds: int = 0
    of: int = 0
    agents: Sequence[str] = ()
    reasons: Sequence[str] = ()

    def __str__(self) -> str:
        return f"unsound {self.seconds} of {self.of} s ({', '.join(self.reasons)})"


@attrs.frozen(kw_only=True)
class Look:
    """All that is shown."""

    run: str
    state: str
    second: int
    ends: float | None
    target_users: float
    """Users that the profile asks for now, if it counts users."""
    arrivals: Counts
    arrived: float | None
    """Iterations offered, a second."""
    started: float | None
    """Iterations that were begun, a second."""
    calls: FlowLook
    flows: Sequence[FlowLook]
    agents: Sequence[AgentLook]
    in_flight: int
    users: int
    rates: Sequence[float]
    """Calls a second, one value for each second that has settled."""
    tails: Sequence[float | None]
    """p99 of the same seconds."""
    unsound: Unsound = Unsound()
    warnings: Sequence[str] = ()


class History:
    """Remembers from look to look what need not be added up again."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, dict[tuple[FlowKind, str], Counts]]] = deque(maxlen=RATE + 1)
        self._drawn = -1
        self._rates: deque[float] = deque(maxlen=KEPT)
        self._tails: deque[float | None] = deque(maxlen=KEPT)

    def look(self, snapshot: Snapshot) -> Look:
        """What there is to see now."""
        steps = self.steps(snapshot)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                found: Look = done.value
                return found

    def steps(self, snapshot: Snapshot) -> Generator[None, None, Look]:
        """The same in steps of a millisecond, so that a process that offers load stays on time."""
        results, closed = snapshot.results, snapshot.closed
        keys: list[tuple[FlowKind, str]] = [("flow", name) for name in results.flows]
        flow_names = [name for _, name in keys]
        keys += [("scenario", name) for name in results.scenarios]
        counts = {key: Counts.of(results.series(*key).total) for key in keys}
        if not self._marks or closed > self._marks[-1][0]:
            self._marks.append((closed, counts))
        yield
        self._curves(snapshot)
        yield
        flows = []
        for name in flow_names:
            flows.append(self._flow(name, counts["flow", name], snapshot))
            yield
        arrivals = Counts()
        for key in keys:
            if key[0] == "scenario":
                arrivals.merge(counts[key])
        agents = _agents(snapshot)
        alive = [one.meters for one in agents if one.meters is not None and not one.lost]
        offered = self._sum_rate("scenario", ("planned",))
        dropped = self._sum_rate("scenario", ("dropped",))
        look = Look(
            run=snapshot.run,
            state=snapshot.state,
            second=snapshot.second,
            ends=snapshot.ends,
            target_users=snapshot.users,
            arrivals=arrivals,
            arrived=offered,
            started=None if offered is None or dropped is None else offered - dropped,
            calls=self._all(flows, snapshot),
            flows=flows,
            agents=agents,
            in_flight=sum(one.in_flight for one in alive),
            users=sum(one.users for one in alive),
            rates=tuple(self._rates),
            tails=tuple(self._tails),
            unsound=_unsound(snapshot),
        )
        return attrs.evolve(look, warnings=warnings_of(look, snapshot))

    def _rate(self, key: tuple[FlowKind, str], *names: str) -> float | None:
        """By how much that grew, a second."""
        if len(self._marks) < 2:
            return None
        (first, before), (last, now) = self._marks[0], self._marks[-1]
        was, is_ = before.get(key), now.get(key)
        if is_ is None:
            return None
        more = sum(getattr(is_, name) - (getattr(was, name) if was else 0) for name in names)
        return float(max(0, more) / (last - first))

    def _sum_rate(self, kind: str, names: Sequence[str]) -> float | None:
        if len(self._marks) < 2:
            return None
        keys = [key for key in self._marks[-1][1] if key[0] == kind]
        return sum(self._rate(key, *names) or 0.0 for key in keys)

    def _flow(self, name: str, counts: Counts, snapshot: Snapshot) -> FlowLook:
        return FlowLook(
            name=name,
            counts=counts,
            rate=self._rate(("flow", name), "started"),
            ok=self._rate(("flow", name), "ok"),
            latency=_latency([snapshot.results.rows("flow", name)], snapshot.closed),
        )

    def _all(self, flows: Sequence[FlowLook], snapshot: Snapshot) -> FlowLook:
        counts = Counts()
        for one in flows:
            counts.merge(one.counts)
        rows = [snapshot.results.rows("flow", one.name) for one in flows]
        return FlowLook(
            name="all",
            counts=counts,
            rate=self._sum_rate("flow", ("started",)),
            ok=self._sum_rate("flow", ("ok",)),
            latency=flows[0].latency if len(flows) == 1 else _latency(rows, snapshot.closed),
        )

    def _curves(self, snapshot: Snapshot) -> None:
        """Add the seconds that have just settled."""
        rows = [snapshot.results.rows("flow", name) for name in snapshot.results.flows]
        for second in range(max(self._drawn + 1, snapshot.closed - KEPT), snapshot.closed):
            self._drawn = second
            there = [one[second] for one in rows if second in one]
            self._rates.append(float(sum(row.started for row in there)))
            served = Histogram()
            for row in there:
                served.add(row.served)
            self._tails.append(served.percentile(99.0) if served.count > 0 else None)


def _latency(flows: Sequence[Mapping[int, Row]], closed: int) -> tuple[float, ...]:
    served = Histogram()
    for rows in flows:
        for second in range(closed - WINDOW + 1, closed + 1):
            if second in rows:
                served.add(rows[second].served)
    if served.count <= 0:
        return ()
    return (*(served.percentile(p) for p in PERCENTILES), served.most / 1e6)


def _agents(snapshot: Snapshot) -> list[AgentLook]:
    found = []
    for name in sorted({*snapshot.agents, *snapshot.results.meters, *snapshot.lost}):
        seconds: Mapping[int, Meters] = snapshot.results.meters.get(name, {})
        last = max(seconds, default=-1)
        meters = seconds.get(last)
        late = meters.lateness if meters is not None else None
        unsound: dict[str, int] = {}
        for second in range(snapshot.closed - WINDOW + 1, snapshot.closed + 1):
            for reason in seconds[second].unsound if second in seconds else ():
                unsound[reason] = unsound.get(reason, 0) + 1
        info = snapshot.agents.get(name)
        found.append(
            AgentLook(
                name=name,
                host=info.host if info else "",
                lost=name in snapshot.lost,
                meters=meters,
                late=late.percentile(99.0) if late is not None and late.count > 0 else None,
                unsound=unsound,
            )
        )
    return found


def _unsound(snapshot: Snapshot) -> Unsound:
    bad: set[int] = set()
    names: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for name, seconds in sorted(snapshot.results.meters.items()):
        for second in range(snapshot.closed - WINDOW + 1, snapshot.closed + 1):
            found = seconds[second].unsound if second in seconds else ()
            if found:
                bad.add(second)
                names[name] = None
                reasons.update(dict.fromkeys(found))
    of = min(WINDOW, snapshot.closed + 1)
    return Unsound(seconds=len(bad), of=of, agents=tuple(names), reasons=tuple(reasons))


def warnings_of(look: Look, snapshot: Snapshot) -> list[str]:
    """What makes these numbers worth less than they look."""
    found = [f"agent {one.name} is lost" for one in look.agents if one.lost]
    if look.unsound.seconds:
        bad = look.unsound
        names = ", ".join(bad.agents[:NAMED])
        many = len(bad.agents)
        who = f"agents {names}" if many > 1 else f"agent {names}"
        if many > NAMED:
            who += f" and {many - NAMED} more"
        found.append(
            f"{who} {'are' if many > 1 else 'is'} the bottleneck ({', '.join(bad.reasons)}) in "
            f"{bad.seconds} of the last {bad.of} s: these seconds do not count"
        )
    if look.arrivals.dropped:
        found.append(
            f"{look.arrivals.dropped:,} arrivals dropped: the bound of iterations under way is "
            "reached (--max-in-flight)"
        )
    missing = sum(gap.last - gap.first + 1 for gap in snapshot.results.gaps())
    if missing:
        found.append(f"{missing} reports of agents are missing so far")
    troubles = [one for one in snapshot.results.events[-20:] if one.kind in ("error", "limit")]
    found += [one.text for one in troubles[-2:]]
    return found
