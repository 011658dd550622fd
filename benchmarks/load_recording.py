"""What it costs to record one call: nanoseconds, and as a multiple of an empty function call.

    python benchmarks/load_recording.py [--calls N] [--rounds N] [--json] [--check]

One flow, calls spread over two seconds, latencies as in life (log-normal), each into two
histograms: from the intended and from the actual start. Few calls, many times: in life a call that
is recorded is warm in the cache, because the client has just worked on it. `lean`: closed model,
both starts are one. `failed`: a call without histograms. Besides that: what a report costs to
write, to read and to merge. Cases take turns; the figure is the least of all rounds, what the code
costs and not what the machine did meanwhile, with the median beside it. `--check` ends with 1 if
recording takes over 1.5 us.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from time import perf_counter

from rascal.load.recorder import Recorder
from rascal.load.reports import decode, encode
from rascal.load.results import Results
from rascal.load.types import Call, Meters, Report

LIMIT_NS = 1500.0
WARM = 500
"""Calls that are recorded again and again."""
SECONDS = 2.0


def calls_of(recorder: Recorder, count: int, *, late: bool, outcome: str = "served") -> list[Call]:
    """Calls that have ended."""
    chance = random.Random(7)
    flow = recorder.flow("checkout")
    found = []
    for number in range(count):
        intended = SECONDS * number / count
        call = Call(flow, intended, intended + (chance.random() * 1e-3 if late else 0.0))
        call.ended = call.started + chance.lognormvariate(-4.0, 0.7)
        call.outcome = outcome
        call.replies, call.sent, call.received = 1, 120, 300
        found.append(call)
    return found


def nothing(call: Call) -> None:
    """What an empty call costs."""


def timed(function: Callable[[Call], None], calls: Sequence[Call], count: int) -> float:
    """Nanoseconds a call."""
    times = max(count // len(calls), 1)
    begin = perf_counter()
    for _ in range(times):
        for call in calls:
            function(call)
    return (perf_counter() - begin) / times / len(calls) * 1e9


def reported(flows: int, rate: int) -> Report:
    """A report of one second."""
    recorder = Recorder("17", "agent-1")
    chance = random.Random(11)
    for number in range(flows):
        flow = recorder.flow(f"flow-{number}")
        for at in range(rate):
            call = Call(flow, at / rate, at / rate + chance.random() * 1e-3)
            call.ended = call.started + chance.lognormvariate(-4.0, 0.7)
            call.replies, call.sent, call.received = 1, 120, 300
            recorder.begin()
            recorder.done(call)
    return recorder.report(0, Meters())


def once(function: Callable[..., object], *given: object) -> float:
    """Nanoseconds of one go."""
    begin = perf_counter()
    function(*given)
    return (perf_counter() - begin) * 1e9


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """Every case in every round."""
    found: dict[str, list[float]] = {}
    report = reported(1, 1000)
    data = encode(report)
    for _ in range(rounds):
        recorder = Recorder("17", "agent-1")
        calls = calls_of(recorder, WARM, late=True)
        lean = calls_of(recorder, WARM, late=False)
        failed = calls_of(recorder, WARM, late=True, outcome="timeout")
        for name, cost in (
            ("empty call", timed(nothing, calls, count)),
            ("record", timed(recorder.done, calls, count)),
            ("record, lean", timed(recorder.done, lean, count)),
            ("record, failed", timed(recorder.done, failed, count)),
            ("write a report of 1 flow, 1,000 calls", once(encode, report)),
            ("read it", once(decode, data)),
            ("merge it", once(Results().add, report)),
        ):
            found.setdefault(name, []).append(cost)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = measure(options.calls, options.rounds)
    bare = min(found["empty call"])
    if options.json:
        print(json.dumps({"unit": "ns", "samples": found, "python": sys.version.split()[0]}))
    else:
        for name, costs in found.items():
            print(
                f"{name:40} {min(costs):9,.0f} ns  (median {statistics.median(costs):9,.0f})"
                f"  {min(costs) / bare:9,.1f} x an empty call"
            )
        print(f"a report of 1 flow, 1,000 calls: {len(encode(reported(1, 1000))):,} bytes")
    cost = min(found["record"])
    if options.check and cost > LIMIT_NS:
        print(f"recording takes {cost:,.0f} ns, wanted at most {LIMIT_NS:,.0f}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
