"""What a request costs Rascal's load client, beside other load generators and HTTP clients.

    python benchmarks/load/run.py --rivals ENVIRONMENT     all of it: about a quarter of an hour
    python benchmarks/load/run.py --short                  one round of a second; only reports
    python benchmarks/load/run.py --only rascal,hey,wrk --users 10 --rounds 3

Contenders take turns in shuffled order within every round; a ratio is made of two goes of the
same round, and what counts is the median of the rounds. benchmarks/README.md says how to read it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).parents[1]))

import report as figures
from contenders import CONTENDERS, Contender, Go, available, go
from more import more
from tables import lines, summary
from target import nginx

RESULTS = Path(__file__).parents[1] / "results" / "load.json"
WARM_UP = 0.5


def rounds(
    options: argparse.Namespace, chosen: list[Contender], users: int, cores: list[int]
) -> dict[str, list[Go | None]]:
    """All rounds with so many users."""
    rivals = Path(options.rivals) if options.rivals else None
    target_core, core = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
    found: dict[str, list[Go | None]] = {one.name: [] for one in chosen}
    with nginx(target_core) as target:
        for number in range(options.rounds):
            for one in random.sample(chosen, len(chosen)):
                try:
                    result = go(
                        one, target, users, WARM_UP, options.seconds, rivals=rivals, core=core
                    )
                except RuntimeError as error:
                    print(f"{one.name} failed: {error}", file=sys.stderr)
                    found[one.name].append(None)
                    continue
                found[one.name].append(result)
            load = os.getloadavg()[0]
            print(f"  round {number + 1} done, load average {load:.2f}", file=sys.stderr)
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rivals", default=os.environ.get("RASCAL_RIVALS", ""))
    parser.add_argument("--short", action="store_true", help="one round of a second")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--users", default="1,10,100")
    parser.add_argument("--only", default="", help="contenders, by the beginnings of their names")
    parser.add_argument("--nice", type=int, default=0, help="priority, -20 (root) to 19")
    parser.add_argument("--no-more", action="store_true", help="only the comparison")
    parser.add_argument("--check", action="store_true", help="end with 1 if a goal is missed")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.short:
        options.rounds, options.seconds = 1, 1.0
    return options


def main() -> int:
    """Measure, print, keep."""
    options = parsed()
    if shutil.which("nginx") is None:
        print("nginx is not on PATH: nothing to put load on", file=sys.stderr)
        return 0 if options.short else 2
    if options.nice:
        os.nice(options.nice)
    found, missing = available(Path(options.rivals) if options.rivals else None)
    wanted = tuple(word.strip().lower() for word in options.only.split(",") if word.strip())
    chosen = [one for one in found if not wanted or one.name.lower().startswith(wanted)]
    for line in missing:
        print(f"left out: {line}")
    print("; ".join(f"{one.name} ({found[one]})" for one in chosen))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("one core only: client and target share it, rates mean nothing")
    kept: dict[str, Any] = {"machine": figures.machine(), "missing": missing}
    kept["versions"] = {one.name: found[one] for one in chosen}
    kept["rounds"], kept["seconds"] = options.rounds, options.seconds
    kept["users"] = {}
    failed: list[str] = []
    for users in map(int, options.users.split(",")):
        goes = rounds(options, chosen, users, cores)
        shown, missed = lines(users, goes, CONTENDERS)
        print("\n".join(shown), flush=True)
        failed += missed
        kept["users"][users] = summary(goes)
    if not options.no_more:
        kept["more"], missed = more(short=options.short)
        failed += missed
    figures.write(options.json, kept)
    print(f"written to {options.json}")
    for line in failed:
        print(f"goal missed: {line}")
    return 1 if failed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
