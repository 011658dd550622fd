"""Experiments in a store, made of simulated applications: for reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from experiment.simulated import SYSTEMS, TIMEOUT, World

from rascal.experiment.expectation import read_expectation
from rascal.experiment.judge import judge
from rascal.experiment.record import FaultRecord, InvariantRecord, Record
from rascal.experiment.recording import KEY, Kept, record_of
from rascal.experiment.running import status_of
from rascal.experiment.words import sentence
from rascal.load.types import Event, Meters, Report, Row, Sample
from rascal.store import Store

FILE = """\
name: {name}
target: http://127.0.0.1:8080
load: {{scenarios: shop.py, profile: hold 50/s}}
phases: {{warm-up: 10s, baseline: 20s, fault: 15s, recovery: 45s}}
faults:
  - hang on db match statement=SELECT
  - delay 20ms on db from fault+5s for 5s
uses: {{db: [orders]}}
objectives: ['goodput_kept(browse) >= 90%', 'goodput_kept(orders) >= 90%']
expect: {expect}
"""
SAMPLE = Sample(
    flow="orders", second=31.0, outcome="timeout", detail="no reply", took=10.0, method="GET",
    url="http://127.0.0.1:8080/orders", attempts=1, request="GET /orders HTTP/1.1",
    reply="<script>alert(1)</script>",
)  # fmt: skip


def kept_of(record: Record, name: str, expect: str, **changes: Any) -> Kept:
    """What is kept of an experiment besides its rows."""
    hang = record.faults[0]
    faults = [
        attrs.evolve(hang, name="db/hang", matched=hang.fired + 2, fired=hang.fired * 40),
        FaultRecord(name="db/delay", dependency="db", on=35.02, off=40.0, fired=9, late=0.02),
    ]
    strike = {"second": 30.1, "kind": "hang", "command": "COM_QUERY", "connection": 3, "n": 7}
    found = {
        "name": name,
        "text": FILE.format(name=name, expect=expect),
        "phases": {"warm-up": (0.0, 10.0), **dict(record.phases)},
        "faults": faults,
        "invariants": list(record.invariants),
        "uses": {"db": ["orders"]},
        "timeout": TIMEOUT,
        "work": {"db": dict.fromkeys(range(90), 1000)},
        "strikes": {"db/hang": [strike] * 9},
        "clocks": {"main": (0.004, 0.001)},
        "expect": expect,
        **changes,
    }
    return Kept(**found)


def put(
    store: Store, system: str, *, expect: str = "graceful", name: str = "shop", seed: int = 5,
    rate: float = 100, stopped: str = "", probe: bool = False,
    planned: Mapping[str, Any] | None = None, **changes: Any,
) -> str:  # fmt: skip
    """Keep a run of that system; its number. `planned` is more of its plan."""
    make: Callable[[World], Record] = SYSTEMS[system][0]
    record = make(World(rate, seed, probe=probe))
    plan = {"target": "http://127.0.0.1:8080", "name": name, "seed": seed, **(planned or {})}
    run = store.create(
        plan,
        {"experiment.yml": FILE.format(name=name, expect=expect).encode(), "shop.py": b"#"},
        kind="experiment",
        name=name,
        seed=seed,
        versions={"rascal": "1.0"},
        host="machine",
    )
    store.begin(run, 1_700_000_000.0)
    _reports(store, run, record)
    outcome = "stopped" if stopped else "completed"
    store.finish(run, outcome, {"status": 4 if stopped else 0, "why": stopped})
    kept = kept_of(record, name, expect, **changes)
    store.put(run, KEY, kept.json())
    store.put(run, "verdict", _said(store, run, kept, stopped))
    return run


def _reports(store: Store, run: str, record: Record) -> None:
    last = max(at for flow in record.flows for at in flow.rows)
    for second in range(last + 1):
        rows: dict[Any, Row] = {}
        visits = Row()
        for flow in record.flows:
            if second in flow.rows:
                rows["flow", flow.name, second] = flow.rows[second]
                visits.planned += flow.rows[second].planned
                visits.started += flow.rows[second].started
        rows["scenario", "visit", second] = visits
        meters = Meters(unsound=("late",) if second in record.unsound else (), in_flight=3)
        event = Event(second=31.5, kind="agent_lost", text="agent local is gone", agent="local")
        report = Report(
            run=run, agent="local", sequence=second, second=second, rows=rows, meters=meters,
            samples=[SAMPLE] if second == 31 else [], events=[event] if second == 31 else [],
            last=second == last,
        )  # fmt: skip
        store.add(run, report)


def _said(store: Store, run: str, kept: Kept, stopped: str) -> Mapping[str, Any]:
    if stopped:
        text = f"The experiment was ended before it could be judged: {stopped}."
        return {"word": "", "sentence": text, "status": 4}
    record = record_of(kept, store.results(run))
    verdict = judge(record)
    status = status_of(verdict, read_expectation(kept.expect), ())
    return {"word": verdict.name, "sentence": sentence(verdict, record), "status": status}


def store_of(path: Path) -> Store:
    """A store with one experiment of each sort, named by its system."""
    store = Store(path)
    for system, (_, word) in SYSTEMS.items():
        expect = "resilient" if system == "fast 503" else f"exactly {word}"
        expect = "graceful" if system == "hangs" else expect
        put(store, system, expect=expect, name=system.replace(" ", "-"), probe=word == "metastable")
    put(store, "hangs", name="stopped", stopped="stop rule 'errors': 5", invariants=[])
    put(store, "150 ms more", name="thin", rate=5)
    before = InvariantRecord(name="sane", before=False, after=False, found="9")
    put(store, "absorbs it", name="was-wrong", invariants=[before])
    return store
