"""A run as it looks right now: the last closed seconds in a few numbers, for whoever watches.

Rates are of what *happened* in those seconds by the agents' clocks (calls begun, calls ended, and
how); latencies are of the calls whose *intended* start lies in them, as far as they have ended: the
slowest are still missing there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from rascal.histogram import Histogram
from rascal.load.types import SERVED, FlowKind, Row

if TYPE_CHECKING:
    from rascal.load.results import Results


@attrs.frozen(kw_only=True)
class LiveFlow:
    """One flow (or scenario) in the last seconds, by intended start."""

    name: str
    offered: float
    """A second; so are the next two."""
    ok: float
    failed: float
    dropped: float
    p50: float | None
    """Seconds, of served calls; None if there were none."""
    p95: float | None
    p99: float | None
    most: float | None
    outcomes: dict[str, int]


@attrs.frozen(kw_only=True)
class Live:
    """All of a run in the last seconds."""

    first: int
    last: int
    """Seconds of the run, both included; `last` is the last closed one."""
    offered: float
    """Calls begun or dropped, a second; begun is `started`."""
    started: float
    ok: float
    failed: float
    """Ended with another outcome than served, a second, without dropped ones."""
    dropped: float
    outcomes: dict[str, int]
    """Of the calls that ended in these seconds."""
    p50: float | None
    p95: float | None
    p99: float | None
    most: float | None
    in_flight: int
    users: int
    flows: tuple[LiveFlow, ...] = ()
    scenarios: tuple[LiveFlow, ...] = ()
    unsound: dict[str, tuple[str, ...]] = attrs.Factory(dict)
    """By agent: why seconds among these are not to be trusted."""

    def json(self) -> dict[str, Any]:
        """As plain data."""
        return attrs.asdict(self)


def live(results: Results, seconds: int = 10) -> Live:
    """The last closed seconds of a run."""
    last = results.closed
    first = max(0, last - seconds + 1)
    span = max(last - first + 1, 1)
    window = range(first, last + 1)
    outcomes: dict[str, int] = {}
    for second in window:
        for name, times in results.ended.get(second, {}).items():
            outcomes[name] = outcomes.get(name, 0) + times
    outcomes = {name: times for name, times in outcomes.items() if times}
    begun = sum(results.begun.get(second, 0) for second in window)
    dropped = outcomes.get("dropped", 0)
    ended = sum(outcomes.values()) - dropped
    served = Histogram()
    flows = tuple(_flow(results, "flow", name, window, served) for name in results.flows)
    return Live(
        first=first,
        last=last,
        offered=(begun + dropped) / span,
        started=begun / span,
        ok=outcomes.get(SERVED, 0) / span,
        failed=(ended - outcomes.get(SERVED, 0)) / span,
        dropped=dropped / span,
        outcomes=outcomes,
        **_latency(served),
        in_flight=_metered(results, last, "in_flight"),
        users=_metered(results, last, "users"),
        flows=flows,
        scenarios=tuple(
            _flow(results, "scenario", name, window, Histogram()) for name in results.scenarios
        ),
        unsound=_unsound(results, window),
    )


def _flow(
    results: Results, kind: FlowKind, name: str, window: range, served: Histogram
) -> LiveFlow:
    """One flow; what it served is added to `served`."""
    rows = results.rows(kind, name)
    total = Row()
    for second in window:
        row = rows.get(second)
        if row is not None:
            total.add(row)
    served.add(total.served)
    ok = total.outcomes.get(SERVED, 0)
    span = max(len(window), 1)
    return LiveFlow(
        name=name,
        offered=total.planned / span,
        ok=ok / span,
        failed=(total.started - ok) / span,
        dropped=total.dropped / span,
        outcomes={outcome: times for outcome, times in total.outcomes.items() if times},
        **_latency(total.served),
    )


def _latency(served: Histogram) -> dict[str, float | None]:
    if served.count <= 0:
        return dict.fromkeys(("p50", "p95", "p99", "most"))
    p50, p95, p99 = served.percentiles((50, 95, 99))
    return {"p50": p50, "p95": p95, "p99": p99, "most": served.most / 1e6}


def _metered(results: Results, second: int, name: str) -> int:
    there = (one.get(second) for one in results.meters.values())
    return sum(getattr(meters, name) for meters in there if meters is not None)


def _unsound(results: Results, window: range) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for agent, seconds in results.meters.items():
        reasons = [reason for at in window if at in seconds for reason in seconds[at].unsound]
        if reasons:
            found[agent] = tuple(dict.fromkeys(reasons))
    return found
