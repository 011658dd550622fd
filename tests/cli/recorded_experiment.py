"""A stored experiment, made of a simulated application: for the commands that read one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiment.simulated import SYSTEMS, TIMEOUT, World

from rascal.experiment.judge import judge
from rascal.experiment.reading import experiment_of
from rascal.experiment.record import Record
from rascal.experiment.recording import KEY, Kept, record_of
from rascal.experiment.running import status_of
from rascal.experiment.words import sentence
from rascal.load.types import Meters, Report, Row
from rascal.store import Store

FILE = """
name: {name}
target: http://127.0.0.1:8080
load: {{scenarios: shop.py, profile: hold 50/s}}
phases: {{warm-up: 10s, baseline: 20s, fault: 15s, recovery: 45s}}
faults: [hang on db]
uses: {{db: [orders]}}
objectives: ['goodput_kept(browse) >= 90%']
expect: {expect}
"""


def kept_of(record: Record, name: str, expect: str = "graceful") -> Kept:
    """What is kept of an experiment besides its rows."""
    return Kept(
        name=name,
        text=FILE.format(name=name, expect=expect),
        phases={"warm-up": (0.0, 10.0), **dict(record.phases)},
        faults=list(record.faults),
        invariants=list(record.invariants),
        uses={"db": ["orders"]},
        timeout=TIMEOUT,
        expect=expect,
    )


def stored(
    path: Path,
    system: str,
    *,
    expect: str = "graceful",
    name: str = "simulated",
    rate: float = 100,
    seed: int = 5,
) -> str:
    """Put a run of that system into the store; its number."""
    make: Callable[[World], Record] = SYSTEMS[system][0]
    record = make(World(rate, seed))
    with Store(path) as store:
        plan = {"target": "http://127.0.0.1:8080", "name": name}
        run = store.create(plan, {}, kind="experiment", name=name, seed=seed, labels=("nightly",))
        store.begin(run, 1_700_000_000.0)
        last = max(at for flow in record.flows for at in flow.rows)
        for second in range(last + 1):
            rows: dict[tuple[str, str, int], Row] = {}
            visits = Row()
            for flow in record.flows:
                if second in flow.rows:
                    rows["flow", flow.name, second] = flow.rows[second]
                    visits.planned += flow.rows[second].planned
                    visits.started += flow.rows[second].started
            rows["scenario", "visit", second] = visits
            unsound = ("cpu",) if second in record.unsound else ()
            store.add(
                run,
                Report(
                    run=run, agent="local", sequence=second, second=second, rows=rows,  # type: ignore[arg-type]
                    meters=Meters(unsound=unsound), samples=[], events=[], last=second == last,
                ),
            )  # fmt: skip
        store.finish(run, "completed", {"status": 0, "seconds": float(last + 1)})
        keep(store, run, kept_of(record, name, expect))
    return run


def keep(store: Store, run: str, kept: Kept) -> None:
    """As the runner does it."""
    written = experiment_of(kept.text, "experiment.yml")
    record = record_of(kept, store.results(run))
    verdict = judge(record, written.thresholds)
    status = status_of(verdict, written.expect, ())
    said = {"word": verdict.name, "sentence": sentence(verdict, record), "status": status}
    store.put(run, KEY, kept.json())
    store.put(run, "verdict", said)
