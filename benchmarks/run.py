"""What Rascal costs, beside no proxy at all and beside the rivals that are installed here.

    python benchmarks/run.py [--short] [--rounds N] [--seconds S] [--only TEXT] [--lanes A,B]

Everything runs on loopback in one go. For each case the lanes take turns within a round (A B C,
then C B A, …), and ratios are made within a round, so that what the machine does meanwhile hits
all of them. See README.md on how to read the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs
from lanes import Lane, pins, start_lanes, start_servers
from measure import CASES, Case, measure
from memory import CONNECTIONS, Idle, idle
from report import Results, machine, summary, table, write

from rascal.demo.children import Children

SHORT_LANES = ("tcp", "rascal", "armed", "haproxy")


def main() -> int:
    """Measure and report."""
    options = parser().parse_args()
    rounds = options.rounds or (2 if options.short else 5)
    seconds = options.seconds or (0.2 if options.short else 2.0)
    pin = pins(options.pin)
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, {here['system']}, TCP {here['congestion']}")
    print(
        f"Python {here['python']}, Twisted {here['twisted']}, Rascal {here['rascal']}; {pin.said}"
    )
    rivals = [here[name] for name in ("haproxy", "nginx", "toxiproxy") if here[name]]
    print("; ".join(rivals), flush=True)
    with tempfile.TemporaryDirectory(prefix="rascal-bench-") as folder:
        Path(folder).chmod(0o755)
        with Children(Path(folder)) as children:
            servers = start_servers(children, pin)
            wanted = options.lanes or (SHORT_LANES if options.short else None)
            lanes = start_lanes(children, servers, pin, wanted)
            cases = [case for case in CASES if case.server in servers and _wanted(case, options)]
            memory = {} if options.only else _memory(lanes, pin)
            results = _measure(cases, lanes, rounds, seconds, options.short, pin)
    values: dict[str, Any] = {
        "machine": here,
        "pinned": pin.said,
        "rounds": rounds,
        "seconds": seconds,
        "memory": {name: attrs.asdict(one) for name, one in memory.items()},
        "cases": summary(results),
    }
    path = options.json or Path(__file__).parent / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    write(path, values)
    print(f"\nwritten: {path}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="What Rascal costs, beside its rivals.")
    made.add_argument("--short", action="store_true", help="under a minute, fewer cases and lanes")
    made.add_argument("--rounds", type=int, help="rounds (5; short: 2)")
    made.add_argument("--seconds", type=float, help="of each measurement (2; short: 0.2)")
    made.add_argument("--only", help="cases whose name holds this text")
    made.add_argument("--lanes", type=lambda text: text.split(","), help="only these lanes")
    made.add_argument("--json", type=Path, help="where the figures go")
    made.add_argument(
        "--pin",
        action=argparse.BooleanOptionalAction,
        help="a core each for client, server, proxy (from three cores on)",
    )
    return made


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.only:
        return options.only.lower() in case.name.lower()
    return case.short or not options.short


def _memory(lanes: dict[str, Lane], pin: Any) -> dict[str, Idle]:
    """First of all, while the proxies are fresh."""
    print(f"\nmemory of {CONNECTIONS} idle connections")
    found = {}
    for name, lane in lanes.items():
        if lane.children and name != "splice":
            one = found[name] = idle(lane, pin)
            print(
                f"  {name:<10} {one.base / 1e6:6.1f} MB, {one.each / 1024:6.1f} KiB each",
                flush=True,
            )
    return found


def _measure(
    cases: list[Case], lanes: dict[str, Lane], rounds: int, seconds: float, short: bool, pin: Any
) -> Results:
    results: Results = {}
    for case in cases:
        names = _lanes_of(case, lanes, short)
        found = results[case.name] = {name: [] for name in names}
        measure(case, lanes["direct"], min(seconds, 0.2), pin)  # warm, and how fast it is
        for turn in range(1 if short and case.once else rounds):
            for name in names if turn % 2 == 0 else names[::-1]:
                found[name].append(measure(case, lanes[name], seconds, pin))
        print("\n" + "\n".join(table(case, found)), flush=True)
    return results


def _lanes_of(case: Case, lanes: dict[str, Lane], short: bool) -> list[str]:
    usual = [name for name in lanes if name != "splice"]
    if short:
        usual = [name for name in usual if name != "tcp" or case.server == "bulk"]
    if case.lanes is None:
        return usual
    if case.lanes[0] == "*":
        return [*usual, *(name for name in case.lanes[1:] if name in lanes)]
    extra = () if short else ("splice",)
    return [name for name in lanes if name in case.lanes and (name in usual or name in extra)]


if __name__ == "__main__":
    sys.exit(main())
