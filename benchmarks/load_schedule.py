"""Is the arrival schedule kept, what does an arrival cost, what does an idle user weigh?

    python benchmarks/load_schedule.py [--rates 500,2000,5000] [--seconds 5] [--json FILE]

Each case runs in a process of its own, with the whole engine, world, client and recorder:

    nothing    an iteration that does nothing: what the engine itself costs
    request    an iteration of one GET to an nginx on loopback (left out without nginx)
    idle       1,000 users of the closed model who think: resident memory

Lateness is actual minus intended start of an arrival. The goal: at 5,000 a second its 99th
percentile under 2 ms with the process under 60 % busy; 1,000 idle users under 4 MB.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = """
from rascal.load import scenario
@scenario
async def nothing(user):
    pass
@scenario
async def request(user):
    (await user.get("/", name="page")).check(status=200)
@scenario
async def idle(user):
    await user.think("1h")
"""


def resident() -> int:
    """Bytes of anonymous memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def case(name: str, level: str, seconds: float, target: str) -> dict[str, Any]:
    """Run one case in this process."""
    from rascal.reactor import install

    install()
    from twisted.internet import reactor as installed

    from rascal.language import parse
    from rascal.load.book import load_bundle
    from rascal.load.engine import Engine
    from rascal.load.http.client import Client
    from rascal.load.plan import Plan, Share
    from rascal.load.recorder import Recorder
    from rascal.load.reports import Report
    from rascal.load.types import Row
    from rascal.load.world import World

    reactor: Any = installed
    profile = parse("profile", f"hold {level} for {seconds:g}s")
    plan = Plan(
        file="bench.py",
        target=target,
        shares=(Share(scenarios=(name,), profile=profile),),
        timeout=0.5,
        seed=3,
    )
    reports: list[Report] = []
    book = load_bundle({"bench.py": SOURCE.encode()}, "bench.py", {})
    client = Client(reactor, plan, allowed=lambda host, address: None)
    world = World(plan, book, Recorder("1", "a", clock=reactor.seconds), client, reactor)
    engine = Engine(world, plan, clock=reactor, emit=reports.append)
    found: dict[str, Any] = {"case": name, "level": level}

    def begin() -> None:
        gc.collect()
        found["before"] = resident(), used()
        engine.start(reactor.seconds() + 0.2).addCallback(over)
        if name == "idle":
            reactor.callLater(seconds - 0.5, weigh)

    def weigh() -> None:
        gc.collect()
        found["users"] = len(engine._running)
        found["bytes"] = resident() - found["before"][0]

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def over(_: object) -> None:
        found["cpu"] = used() - found.pop("before")[1]
        total = Row()
        lateness = reports[0].meters.lateness.copy()
        for report in reports:
            if report is not reports[0]:
                lateness.add(report.meters.lateness)
            for (kind, _name, _second), row in report.rows.items():
                if kind == "scenario":
                    total.add(row)
        whole = reports[1 : int(seconds)]
        found.update(
            planned=total.planned,
            served=total.outcomes.get("served", 0),
            dropped=total.dropped,
            busy=sum(one.meters.busy for one in whole) / max(1, len(whole)),
            p50=lateness.percentile(50) if lateness else 0.0,
            p99=lateness.percentile(99) if lateness else 0.0,
            most=lateness.most / 1e6 if lateness else 0.0,
            latency=total.served.percentile(50) if total.served else 0.0,
            gc=max((one.meters.gc for one in whole), default=0.0),
            unsound=sum(bool(one.meters.unsound) for one in whole),
        )
        client.close().addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return found


def child(name: str, level: str, seconds: float, target: str) -> dict[str, Any]:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--case", name, level, str(seconds), target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def shown(found: dict[str, Any]) -> str:
    """One line."""
    if found["case"] == "idle":
        megabytes = found["bytes"] / 1e6
        return f"idle     {found['users']:6} users  {megabytes:.2f} MB  goal under 4 MB"
    each = found["cpu"] / max(1, found["planned"]) * 1e6
    return (
        f"{found['case']:8} {found['level']:>7}  served {found['served']}/{found['planned']}"
        f"  late p50 {found['p50'] * 1e3:.2f} p99 {found['p99'] * 1e3:.2f}"
        f" max {found['most'] * 1e3:.2f} ms  busy {found['busy']:.0%}  {each:.1f} us CPU each"
        f"  latency p50 {found['latency'] * 1e3:.2f} ms"
        + (f"  {found['unsound']} unsound seconds" if found["unsound"] else "")
    )


def main() -> None:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="500,2000,5000")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        name, level, seconds, target = given.case
        print(json.dumps(case(name, level, float(seconds), target)))
        return
    results = []

    def one(name: str, level: str, target: str = "http://127.0.0.1:9") -> None:
        results.append(child(name, level, given.seconds, target))
        print(shown(results[-1]), flush=True)

    rates = given.rates.split(",")
    for rate in rates:
        one("nothing", f"{rate}/s")
    if shutil.which("nginx"):
        from load_client import nginx

        with nginx() as port:
            for rate in rates:
                one("request", f"{rate}/s", f"http://127.0.0.1:{port}")
    one("idle", "1000 users")
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
