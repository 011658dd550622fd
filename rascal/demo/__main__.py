"""`python -m rascal.demo`, also `rascal demo`: six failures in a quarter of a minute.

Ends with 0 if every step went as it should, 1 if one did not or something did not start, 130 if
it was interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from rascal.demo.children import Address, Children
from rascal.demo.node import start_node
from rascal.demo.report import Report, attempt
from rascal.demo.servers import SERVERS, Server
from rascal.demo.show import Screen
from rascal.demo.steps import STEPS, Stage, prepare
from rascal.errors import RascalError


def main(words: Sequence[str] | None = None) -> int:
    """Run the demo. Returns the exit status."""
    options = parser().parse_args(words)
    screen = Screen()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="rascal-demo-") as folder:
            return _run(options, screen, Path(folder))
    except KeyboardInterrupt:
        screen.line("\ninterrupted; everything is stopped")
        return 130
    except RascalError as error:
        screen.line(f"error: {error}", "red")
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="rascal demo", description="Real clients, real servers, and six failures in between."
    )
    made.add_argument("--quick", action="store_true", help="fewer requests where there are many")
    made.add_argument(
        "--only",
        type=int,
        metavar="N",
        choices=range(1, len(STEPS) + 1),
        help=f"one step only, 1 to {len(STEPS)}",
    )
    made.add_argument(
        "--keep", action="store_true", help="leave everything running until Ctrl-C is pressed"
    )
    return made


def _run(options: argparse.Namespace, screen: Screen, folder: Path) -> int:
    began = time.monotonic()
    with Children(folder) as children:
        screen.line("Rascal: faults between real clients and real servers", "bold")
        servers = _start_servers(children)
        upstreams = {name: (one.protocol, one.address) for name, one in servers.items()}
        node = start_node(children, upstreams)
        _say_addresses(screen, servers, node.addresses)
        screen.item("control", f"{node.url}  (all of it ready in {time.monotonic() - began:.1f}s)")
        direct = {name: one.address for name, one in servers.items()}
        stage = Stage(node=node, direct=direct, quick=options.quick)
        prepare(stage)
        numbers = [options.only] if options.only else range(1, len(STEPS) + 1)
        reports = [_play(screen, number, stage) for number in numbers]
        good = sum(report.good for report in reports)
        screen.title("Summary")
        took = time.monotonic() - began
        screen.line(
            f"  {good} of {len(reports)} failures went as they should; {took:.1f}s in all",
            "green" if good == len(reports) else "red bold",
        )
        if options.keep:
            _keep(screen, folder)
        return 0 if good == len(reports) else 1


def _start_servers(children: Children) -> dict[str, Server]:
    """One after the other: it takes a second or two."""
    return {name: start(children) for name, start in SERVERS.items()}


def _say_addresses(
    screen: Screen, servers: Mapping[str, Server], proxies: Mapping[str, Address]
) -> None:
    for name, server in servers.items():
        host, port = proxies[name]
        screen.item(
            name,
            f"{server.protocol} on {host}:{port}, in front of {server.what} "
            f"on {server.address[0]}:{server.address[1]}",
        )


def _play(screen: Screen, number: int, stage: Stage) -> Report:
    step = STEPS[number - 1]
    seen = attempt(lambda: step(stage))
    if seen.error is None:
        report: Report = seen.value
    else:
        report = Report(step.__name__, "This step broke off.")
        report.saw(seen)
        report.check("the step went to its end", False)
    report.seconds = seen.seconds
    screen.report(number, report)
    return report


def _keep(screen: Screen, folder: Path) -> None:
    screen.line()
    screen.line(f"  It stays up, with proxies.ini in {folder}. Press Ctrl-C to stop everything.")
    forever = threading.Event()
    while not forever.wait(3600):
        pass


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
