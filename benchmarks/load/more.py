"""The other figures: recording, schedule, idle users, size of reports, a second agent.

Each is a benchmark of its own beside this folder; here they are run, and held against the goals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[1]
RATE = 5000
RECORDING = 1500.0
"""Nanoseconds for one call."""
LATE = 0.002
"""99th percentile of lateness at RATE, seconds, while the process is under BUSY."""
BUSY = 0.6
IDLE = 4e6
"""Bytes of 1,000 idle users."""
REPORT = 1000
"""Bytes of a report, for each flow."""
SECOND_AGENT = 1.10
"""CPU time per request of two agents, by that of one."""


class More:
    """Figures, and the goals that they miss."""

    def __init__(self, short: bool) -> None:
        self.short = short
        self.found: dict[str, Any] = {}
        self.missed: list[str] = []

    def say(self, what: str, value: str, goal: str, kept: bool | None) -> None:
        """A line of the table. None: this run cannot tell."""
        held = {True: "kept", False: "missed", None: "cannot be told"}[kept]
        print(f"  {what:<44} {value:<34} {goal:<28} {held}", flush=True)
        if kept is False:
            self.missed.append(f"{what}: {value} (goal {goal})")

    def recording(self) -> None:
        """What one call costs to record, and how long a report is."""
        words = ["--rounds", "10" if self.short else "40", "--json"]
        samples = json.loads(_output("load_recording.py", *words))["samples"]
        cost = min(samples["record"])
        self.found["recording_ns"] = cost
        self.say("recording one call", f"{cost:,.0f} ns", "under 1,500 ns", cost < RECORDING)
        sizes = json.loads(_python(_SIZES))
        self.found["report_bytes"] = sizes
        for flows, size in sizes.items():
            what = f"a report of {flows} flow(s), 1,000 calls each"
            self.say(what, f"{size:,} bytes a flow", "under 1,000 bytes", size < REPORT)

    def schedule(self) -> None:
        """Lateness of arrivals, and idle users."""
        seconds = "2" if self.short else "5"
        for one in _kept("load_schedule.py", "--rates", str(RATE), "--seconds", seconds):
            if one["case"] == "idle":
                self.found["idle"] = one
                size = f"{one['bytes'] / 1e6:.2f} MB"
                kept = one["bytes"] < IDLE if one["users"] >= 1000 else None
                self.say("1,000 idle users", size, "under 4 MB", kept)
                continue
            self.found[f"schedule_{one['case']}"] = one
            late = f"p99 {one['p99'] * 1e3:.2f} ms late, {one['busy']:.0%} busy"
            kept = one["p99"] < LATE if one["busy"] < BUSY else None
            self.say(f"{RATE:,} arrivals/s, {one['case']}", late, "p99 under 2 ms", kept)

    def agents(self) -> None:
        """Two agents against one."""
        words = ["--rounds", "1", "--seconds", "1"] if self.short else ["--rounds", "5"]
        found = _kept("load_agents.py", *words)
        self.found["agents"] = found
        dearer, gained = found["dearer_median"], found["gained_median"]
        value = f"{dearer:.2f} of the CPU, {gained:.2f} of the rate"
        self.say("two agents, by one", value, "at most 1.10 of the CPU", dearer <= SECOND_AGENT)


def crowded() -> bool:
    """Others want the cores too: a process that they keep waiting is late whatever it does."""
    return os.getloadavg()[0] > len(os.sched_getaffinity(0))


def more(*, short: bool) -> tuple[dict[str, Any], list[str]]:
    """All of them, and the goals that were missed."""
    these = More(short)
    print("besides")
    for part in (these.recording, these.schedule, these.agents):
        try:
            part()
        except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
            print(f"  {part.__name__}: not measured: {str(error)[-400:]}")
    return these.found, these.missed


_SIZES = """
import json, sys
sys.path.insert(0, {path!r})
from load_recording import reported
from rascal.load.reports import encode
print(json.dumps({{n: len(encode(reported(n, 1000))) // n for n in (1, 10)}}))
"""


def _python(program: str) -> str:
    return _run([sys.executable, "-c", program.format(path=str(BENCHMARKS))])


def _output(file: str, *words: str) -> str:
    return _run([sys.executable, str(BENCHMARKS / file), *words])


def _kept(file: str, *words: str) -> Any:
    """What a benchmark writes to its JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        _output(file, *words, "--json", str(path))
        return json.loads(path.read_text(encoding="utf-8"))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-200:]} {done.stderr[-800:]}")
    return done.stdout
