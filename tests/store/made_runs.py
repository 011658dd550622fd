"""Runs with known numbers, made by a seed: for tests of the store and of its commands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from rascal.load.types import Event, Meters, Report, Row, Sample
from rascal.store import Store

PLAN: dict[str, Any] = {
    "version": 1,
    "file": "shop.py",
    "shares": [
        {
            "scenarios": ["buy"],
            "profile": [{"shape": "hold", "level": "40/s", "for": "1m"}],
            "spacing": "poisson",
            "max_in_flight": 10_000,
        }
    ],
    "target": "http://127.0.0.1:8080",
    "seed": 7,
    "headers": {"Authorization": "Bearer hidden"},
    "objectives": [{"measure": "p95", "flows": ["checkout"], "op": "<", "limit": "300ms"}],
    "labels": ["planned"],
}
FILES = {"shop.py": b"# the shop\n", "items.csv": b"id\n1\n2\n"}


def a_row(draw: random.Random, calls: int, failing: float = 0.05, slower: float = 1.0) -> Row:
    """Calls of one flow and second."""
    row = Row()
    row.planned = row.started = row.attempts = calls
    row.replies = calls
    row.sent, row.received = 100 * calls, 250 * calls
    for _ in range(calls):
        if draw.random() < failing:
            outcome = draw.choice(("timeout", "http_5xx"))
            row.outcomes[outcome] = row.outcomes.get(outcome, 0) + 1
            if outcome == "http_5xx":
                row.explicit.record(9000)
                row.explicit_actual.record(8000)
            continue
        value = round(draw.lognormvariate(10, 0.5) * slower)
        row.outcomes["served"] = row.outcomes.get("served", 0) + 1
        row.served.record(value)
        row.served_actual.record(max(0, value - 40))
    if calls:
        row.failures["reset"] = 1
        row.lanes["treq"] = 1
    return row


def reports(
    seed: int = 1,
    seconds: int = 12,
    agents: int = 2,
    *,
    flows: tuple[str, ...] = ("catalogue", "checkout"),
    calls: int = 10,
    failing: float = 0.05,
    slower: float = 1.0,
) -> Iterator[Report]:
    """What agents report; rows of two seconds at a time, so that they are added up."""
    draw = random.Random(seed)
    for second in range(seconds):
        for number in range(agents):
            agent = f"agent-{number + 1}"
            rows = {}
            for flow in flows:
                for at in {second, max(0, second - 1)}:
                    row = a_row(draw, calls, failing, slower if flow == "checkout" else 1.0)
                    rows["flow", flow, at] = row
            rows["scenario", "buy", second] = a_row(draw, calls, 0.0)
            meters = Meters(
                in_flight=3, users=2, cpu=0.25, busy=0.5, lag=0.002, connections=1, reused_lost=1
            )
            meters.lateness.record(700)
            if second == 5:
                meters.unsound = ("lag",)
            report = Report(
                run="", agent=agent, sequence=second, second=second, rows=rows, meters=meters
            )
            if second == 3:
                report.samples.append(
                    Sample(
                        second=3.2,
                        flow="checkout",
                        outcome="timeout",
                        detail="no reply in 30s",
                        method="POST",
                        url="http://127.0.0.1:8080/checkout",
                        request="POST /checkout HTTP/1.1\r\nHost: x\x1b[2J\r\n",
                        took=30.0,
                        agent=agent,
                    )
                )
                report.events.append(
                    Event(second=3.5, kind="unsound", text="late", agent=agent, data={"ms": 31})
                )
            report.last = second == seconds - 1
            yield report


def a_run(
    store: Store,
    *,
    seed: int = 1,
    outcome: str = "completed",
    about: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
    **given: Any,
) -> str:
    """A run that has ended (or not, with outcome "")."""
    run = store.create(
        {**PLAN, **(plan or {})}, FILES, versions={"rascal": "1.0"}, seed=seed, **(about or {})
    )
    store.begin(run, 1_700_000_000.0)
    store.event(run, Event(second=0.0, kind="started", text="load starts"))
    for report in reports(seed, **given):
        assert store.add(run, report)
    if outcome:
        summary = {
            "status": 0,
            "objectives": [
                {
                    "text": "p95(checkout) < 300ms",
                    "kept": True,
                    "value": 0.0521,
                    "type": "duration",
                    "why": "",
                }
            ],
            "warnings": ["1 seconds are not to be trusted"],
        }
        store.finish(run, outcome, summary)
    return run


def same_row(one: Row, other: Row) -> bool:
    """Whether rows are equal in every field, also in those that are yet to be added."""
    return all(getattr(one, name) == getattr(other, name) for name in Row.__slots__)
