"""Play incidents on both modes of the shop, and print what came of them (see testbed/run).

Each incident is an experiment file with a line for us: `x-testbed: {fragile: exactly WORD,
resilient: WORD, alone: WHY}`. The environment tells the file which mode it is about. Both modes
run side by side, each on its own proxies, unless the file says why not. Before each run the shop
is as on its first day.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PLACE = Path(__file__).parent / "experiments"
MODES = ("fragile", "resilient")
PLACES = {
    "fragile": {"SHOP": "http://127.0.0.1:8081", "OFFICE": "http://127.0.0.1:8091"},
    "resilient": {"SHOP": "http://127.0.0.1:8082", "OFFICE": "http://127.0.0.1:8092"},
}
SHORT = {"WARM_UP": "10s", "BASELINE": "20s", "FAULT": "20s", "RECOVERY": "45s"}
"""The shortest phases that are sound at the shop's rate."""
PATIENCE = 60.0
"""Seconds for the shop to be well again before the next run."""
LIMIT = 900.0
"""Seconds for one run, escape probe and second look included."""


@dataclass
class Incident:
    """One file, and what is expected of each mode."""

    name: str
    file: Path
    expected: dict[str, str]
    alone: str
    title: str

    @classmethod
    def of(cls, file: Path) -> Incident:
        """Read it."""
        text = file.read_text("utf-8")
        about = yaml.safe_load(text)["x-testbed"]
        return cls(
            name=file.stem,
            file=file,
            expected={mode: str(about[mode]) for mode in MODES},
            alone=str(about.get("alone", "")),
            title=text.splitlines()[0].removeprefix("# "),
        )


@dataclass
class Outcome:
    """What came of one run."""

    incident: str
    mode: str
    expected: str
    verdict: str
    status: int
    sentence: str
    seed: int
    seconds: float
    run: str = ""
    kept: dict[str, float] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        """As expected."""
        return self.status == 0


def incidents(names: Sequence[str]) -> list[Incident]:
    """Those asked for, in the order of their names. Ends the program if there is no such one."""
    known = {file.stem: file for file in sorted(PLACE.glob("*.yml"))}
    if list(names) == ["all"]:
        names = list(known)
    wrong = [name for name in names if name not in known]
    if wrong:
        sys.exit(f"run: there is no incident '{wrong[0]}'; incidents: {', '.join(known)}, or all")
    return [Incident.of(known[name]) for name in names]


def asked(url: str, method: str = "GET") -> Any:
    """The JSON at an address of the shop."""
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def as_new(mode: str) -> None:
    """The shop as on its first day. Raises TimeoutError if it does not come back."""
    office, shop = PLACES[mode]["OFFICE"], PLACES[mode]["SHOP"]
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            asked(f"{office}/reset", "POST")
            asked(f"{shop}/catalogue?page=1")
            asked(f"{shop}/health")
            return
        except (OSError, ValueError) as error:
            if time.monotonic() > ends:
                raise TimeoutError(f"the {mode} shop is not well: {error}") from error
            time.sleep(1)


def restarted(mode: str) -> None:
    """What hangs for good is started anew: web and worker of a mode."""
    command = ["docker", "compose", "-f", str(PLACE.parent / "docker-compose.yml"), "restart"]
    services = [f"web-{mode}", f"worker-{mode}"]
    subprocess.run([*command, "-t", "2", *services], capture_output=True, check=False, timeout=120)


def play(incident: Incident, mode: str, seed: int, given: argparse.Namespace) -> Outcome:
    """One run of one mode."""
    begin = time.monotonic()
    expected = incident.expected[mode]

    def ended(verdict: str, status: int, sentence: str, **more: Any) -> Outcome:
        return Outcome(
            incident.name, mode, expected, verdict, status, sentence, seed,
            time.monotonic() - begin, **more,
        )  # fmt: skip

    try:
        as_new(mode)
    except TimeoutError:
        restarted(mode)
        try:
            as_new(mode)
        except TimeoutError as error:
            return ended("", 2, str(error))
    environ = {
        **os.environ,
        "RASCAL_TOKEN": os.environ.get("RASCAL_TOKEN", "token-of-the-testbed"),
        "MODE": mode,
        "EXPECT": expected,
        **PLACES[mode],
        **(SHORT if given.short else {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        words = [str(Path(sys.executable).with_name("rascal")), "experiment", "run"]
        words += [str(incident.file), "--quiet", "--seed", str(seed), "--json", str(out)]
        words += ["--label", mode, "--label", "testbed"]
        if given.reports:
            words += ["--html", str(Path(given.reports) / f"{incident.name}-{mode}-{seed}.html")]
        found = subprocess.run(
            words, capture_output=True, text=True, env=environ, check=False, timeout=LIMIT
        )
        if not out.exists():
            return ended("", found.returncode, (found.stderr or found.stdout).strip()[-300:])
        told = json.loads(out.read_text("utf-8"))
    verdict = told.get("verdict") or {}
    return ended(
        str(verdict.get("name") or verdict.get("word") or ""),
        found.returncode,
        str(told.get("sentence") or ""),
        run=str(told.get("run") or ""),
    )


def rounds(given: argparse.Namespace) -> Iterator[list[Outcome]]:
    """Every incident, so often as asked for, its modes side by side if they may."""
    modes = MODES if given.mode == "both" else (given.mode,)
    with ThreadPoolExecutor(len(modes)) as pool:
        for seed in range(given.seed, given.seed + given.times):
            for incident in incidents(given.incidents):
                if incident.alone:
                    yield [play(incident, mode, seed, given) for mode in modes]
                else:
                    each = [pool.submit(play, incident, mode, seed, given) for mode in modes]
                    yield [one.result() for one in each]


def line(one: Outcome) -> str:
    """A line of the table."""
    mark = "✓" if one.fine else "✗"
    return f"{one.incident:<26} {one.mode:<10} {one.expected:<20} {one.verdict or '-':<12} {mark}"


def main() -> int:
    """Play, and print the table."""
    parser = argparse.ArgumentParser(prog="testbed/run", description="Play incidents on the shop.")
    parser.add_argument("incidents", nargs="*", metavar="INCIDENT", help="a name, or all")
    parser.add_argument("--list", action="store_true", help="list the incidents")
    parser.add_argument("--mode", choices=("both", *MODES), default="both")
    parser.add_argument("--short", action="store_true", help="the shortest sound phases")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="with so many seeds")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the first of them")
    parser.add_argument("--results", metavar="FILE", help="write what came out as JSON lines")
    parser.add_argument("--reports", metavar="FOLDER", help="write a page for each run")
    given = parser.parse_args()
    if given.list:
        for one in incidents(["all"]):
            print(f"{one.name:<26} {one.title}")
        return 0
    if not given.incidents:
        parser.error("which INCIDENT? --list lists them, all plays all")
    incidents(given.incidents)
    print(f"{'INCIDENT':<26} {'MODE':<10} {'EXPECTED':<20} {'VERDICT':<12}", flush=True)
    bad = 0
    for outcomes in rounds(given):
        for one in outcomes:
            bad += not one.fine
            print(line(one), flush=True)
            print(f"  {one.sentence}", flush=True)
            if given.results:
                with Path(given.results).open("a", encoding="utf-8") as out:
                    out.write(json.dumps(vars(one)) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
