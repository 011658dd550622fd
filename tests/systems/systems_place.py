"""One known system from its servers to its verdict: what it needs, a proxy, the shop, the judge.

Everything runs in processes of its own on free ports. The experiment files name the usual ports,
so that they can be read and tried by hand; here the command line and `written` say others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from rascal.demo import servers
from rascal.demo.children import Child, ChildError, Children, free_port, listening
from rascal.demo.node import start_node
from rascal.experiment.judge import STUCK

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LONGEST = 400.0
"""Seconds for one experiment, with its probe."""
DATABASE = "127.0.0.1:3306"
"""The database in the files."""
RASCAL = (sys.executable, "-c", "from rascal.cli import main; main()")


@attrs.frozen(kw_only=True)
class Known:
    """A system of this folder. Its experiment file is NAME.yml."""

    name: str
    wanted: str
    service: str
    """What shops.py calls it."""
    needs: str
    """Its dependency, also the name of the proxy: cache, db or payment."""
    because: str = ""
    """What the sentence must say: invalid is right for one reason only."""

    @property
    def file(self) -> Path:
        """Its experiment."""
        return HERE / f"{self.name}.yml"


def _known(
    name: str, wanted: str, needs: str, service: str = "", because: str = ""
) -> tuple[str, Known]:
    return name, Known(
        name=name, wanted=wanted, needs=needs, service=service or name, because=because
    )


KNOWN: Mapping[str, Known] = dict(
    (
        # The longest first.
        _known("broken", "broken", "cache", because="does not come back"),
        _known("metastable", "metastable", "cache", because="order is stuck"),
        _known("overloaded", "overloaded", "cache", because="order does not carry"),
        _known("full", "invalid", "cache", because="order"),
        _known("cascading", "cascading", "payment", because="browse does not use payment"),
        _known("degraded", "degraded", "payment"),
        _known("graceful", "graceful", "payment", because="quick and explicit"),
        _known("slow", "graceful", "db", because="every call was served"),
        _known("corrupt", "corrupt", "db", because="nobody is charged twice"),
        _known("resilient", "resilient", "cache"),
        _known("never", "invalid", "cache", "resilient", because="never fired"),
        _known("starved", "invalid", "cache", "resilient", because="an agent was overloaded"),
        _known("failing", "invalid", "cache", because="order succeeded in only"),
    )
)

SERVERS: dict[str, Callable[[Children], servers.Server]] = {
    "cache": servers.redis,
    "db": servers.mysql,
    "payment": servers.http,
}


@attrs.frozen(kw_only=True)
class Judged:
    """What became of one experiment."""

    system: str
    wanted: str
    found: str
    """The verdict's word, or what kind of stuck it is; "" if there was none."""
    between: tuple[str, ...]
    status: int
    sentence: str
    seconds: float
    because: str = ""
    same: bool = True
    """Judged again from the store it was the same, byte for byte."""

    @property
    def right(self) -> bool:
        """The named verdict is the wanted one, for the reason there is."""
        return self.found == self.wanted and self.because in self.sentence


def judged(known: Known, folder: Path, seed: int = 1) -> Judged:
    """Run its experiment in this folder, which keeps logs and results."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with Children(folder) as children:
        server = SERVERS[known.needs](children)
        upstreams = {known.needs: (server.protocol, server.address)}
        node = start_node(children, upstreams, seed=seed)
        shop = free_port()
        place = f"{known.needs}={node.addresses[known.needs][1]}"
        words = [sys.executable, HERE / "shops.py", known.service, str(shop), place]
        children.start("shop", words, ready=listening(("127.0.0.1", shop)))
        for child in children.running:
            first(child)
        file = written(known.file, folder, server.address[1])
        target, store = f"http://127.0.0.1:{shop}", folder / "runs.db"
        words = [file, "--target", target, "--node", node.url, "--seed", seed, "--store", store]
        told = asked(children, "run", *words, "--json", begun=store.exists)
        again = asked(children, "judge", "--store", store, "--json")
    found = json.loads(told)
    verdict = found["verdict"] or {"word": "", "kind": "", "between": ()}
    stuck = verdict["kind"] in STUCK
    return Judged(
        system=known.name,
        wanted=known.wanted,
        found=verdict["kind"] if stuck else verdict["word"],
        between=tuple(verdict["between"]),
        status=found["status"],
        sentence=found["sentence"],
        seconds=time.monotonic() - began,
        because=known.because,
        same=told == again,
    )


def asked(
    children: Children, command: str, *words: object, begun: Callable[[], bool] = bool
) -> str:
    """What `rascal experiment COMMAND` prints; what else it says is in its log.

    As soon as it has `begun` it goes first.
    """
    file = children.folder / f"{command}.json"
    shell = ["sh", "-c", 'exec "$@" >"$0"', file, *RASCAL, "experiment", command]
    child = children.start(command, [*map(str, [*shell, *words])])

    ends = time.monotonic() + LONGEST
    while child.process.poll() is None and not begun() and time.monotonic() < ends:
        time.sleep(0.05)
    first(child)
    try:
        status = child.process.wait(max(0.0, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ChildError(f"'{command}' has not ended after {LONGEST:.0f}s") from None
    if status not in (0, 1, 3, 4):
        raise ChildError(f"'{command}' ended with {status}: {child.text[-500:]}")
    return file.read_text("utf-8")


def first(child: Child) -> None:
    """Where it is allowed it goes before all others from now on: what it does is measured, and
    it has little to do.

    Only what is ready: while it starts it would hold up what runs beside it.
    """
    threads = Path(f"/proc/{child.pid}/task")
    if child.process.poll() is None and threads.is_dir() and os.geteuid() == 0:
        for thread in list(threads.iterdir()):
            with contextlib.suppress(OSError):  # it has ended, or we may not after all
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))


def written(file: Path, folder: Path, database: int) -> Path:
    """A copy of the experiment that asks this database, and its scenarios beside it."""
    copy = folder / file.name
    copy.write_text(file.read_text("utf-8").replace(DATABASE, f"127.0.0.1:{database}"), "utf-8")
    shutil.copy(HERE / "customers.py", folder)
    return copy


def missing(known: Known) -> str:
    """Why it cannot be run here; "" if it can."""
    if known.needs == "db" and not (servers.find("mariadbd") or servers.find("mysqld")):
        return "no MySQL or MariaDB"
    return ""
