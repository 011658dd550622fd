"""What it costs to judge a stored hour of 20 flows, and to keep live statistics of it.

    python benchmarks/judge.py [--seconds N] [--flows N] [--rate N] [--agents N] [--rounds N]
                               [--json] [--check]

An experiment is put into a run store as agents report it: half of the flows use the dependency,
and are slow and failing while it hangs. Then it is judged from the store, as `rascal experiment
judge RUN` does it. Besides that, what recording and reporting cost an agent at that rate: CPU
seconds for each second of the run. `--check` ends with 1 if judging takes over 4 s of CPU, or
statistics over 5 % of a core.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from time import process_time

from rascal.experiment.judge import judge
from rascal.experiment.outcome import of_stored
from rascal.experiment.record import FaultRecord
from rascal.experiment.recording import KEY, Kept, record_of
from rascal.experiment.words import sentence
from rascal.load.recorder import Recorder
from rascal.load.reports import decode, encode
from rascal.load.types import Call, Meters
from rascal.store import Store

FILE = """
name: hour
target: http://127.0.0.1:8080
load: {{scenarios: shop.py, profile: hold {rate}/s}}
phases: {phases}
faults: [hang on db]
uses: {{db: [{flows}]}}
objectives: ['goodput_kept(flow-01) >= 90%']
expect: degraded
"""
LIMIT_JUDGE = 4.0
LIMIT_LIVE = 0.05


def phases_of(seconds: int) -> dict[str, tuple[float, float]]:
    """Warm-up, baseline, fault and recovery of so long a run."""
    ends = [0.0, *(float(round(seconds * share)) for share in (0.02, 0.4, 0.6, 1.0))]
    names = ("warm-up", "baseline", "fault", "recovery")
    return {name: (ends[at], ends[at + 1]) for at, name in enumerate(names)}


def recorded(store: Store, given: argparse.Namespace) -> tuple[str, float]:
    """Put it into the store; its number, and an agent's share of a core for its statistics."""
    chance = random.Random(5)
    phases = phases_of(given.seconds)
    names = [f"flow-{number:02d}" for number in range(given.flows)]
    struck = set(names[: len(names) // 2])
    text = FILE.format(
        rate=given.rate,
        flows=", ".join(sorted(struck)),
        phases="{" + ", ".join(f"{n}: {b - a:g}s" for n, (a, b) in phases.items()) + "}",
    )
    run = store.create(
        {"target": "http://127.0.0.1:8080"}, {}, kind="experiment", name="hour", seed=5
    )
    store.begin(run, 1_700_000_000.0)
    recorders = [Recorder(run, f"agent-{number}") for number in range(given.agents)]
    each = given.rate / given.agents
    spent = 0.0
    begins, ends = phases["fault"]
    for second in range(given.seconds):
        hurt = begins <= second < ends
        for agent, recorder in enumerate(recorders):
            calls = []
            for number in range(round(each)):
                name = names[(number + agent + second) % len(names)]
                call = Call(recorder.flow(name), at := second + number / each, at)
                slow = 40.0 if hurt and name in struck else 1.0
                call.ended = at + min(chance.lognormvariate(-4.0, 0.7) * slow, 5.0)
                call.outcome = "timeout" if call.ended - at >= 5.0 else "served"
                call.replies, call.sent, call.received = 1, 120, 300
                calls.append(call)
            before = process_time()
            for call in calls:
                recorder.planned("visit", call.intended)
                recorder.begin()
                recorder.done(call)
                recorder.iteration("visit", call.intended, call.started, call.ended, call.outcome)
            last = second == given.seconds - 1
            data = encode(recorder.report(second, Meters(), last=last))
            spent += process_time() - before
            store.add(run, decode(data))
    store.finish(run, "completed", {"status": 0, "seconds": float(given.seconds)})
    kept = Kept(
        name="hour", text=text, phases=phases, uses={"db": sorted(struck)}, timeout=5.0,
        faults=[FaultRecord(name="hang", dependency="db", on=begins, off=ends, fired=900)],
        expect="degraded",
    )  # fmt: skip
    record = record_of(kept, store.results(run))
    verdict = judge(record)
    store.put(run, KEY, kept.json())
    said = {"word": verdict.name, "sentence": sentence(verdict, record), "status": 0}
    store.put(run, "verdict", said)
    return run, spent / given.seconds / given.agents


def judged(store: Store, run: str) -> float:
    """CPU seconds of judging it, as the command does it."""
    begin = process_time()
    outcome = of_stored(store, run)
    assert outcome.verdict is not None
    assert outcome.verdict.name == "degraded"
    return process_time() - begin


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--flows", type=int, default=20)
    parser.add_argument("--rate", type=int, default=200, help="calls/s over all flows")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "runs.db") as store:
        run, live = recorded(store, given)
        took = [judged(store, run) for _ in range(given.rounds)]
    if given.json:
        print(json.dumps({**vars(given), "judged": took, "live": live}, indent=2))
    else:
        print(
            f"{given.seconds} s, {given.flows} flows, {given.rate} calls/s, {given.agents} agents\n"
            f"judged in {statistics.median(took):.2f} s of CPU [{min(took):.2f}-{max(took):.2f}], "
            f"at most {LIMIT_JUDGE:g}\n"
            f"statistics: {live:.2%} of a core for each agent, at most {LIMIT_LIVE:.0%}"
        )
    bad = statistics.median(took) > LIMIT_JUDGE or live > LIMIT_LIVE
    return 1 if given.check and bad else 0


if __name__ == "__main__":
    sys.exit(main())
