"""Run one experiment file to its verdict: python run_file.py FILE SEED.

It leaves verdict.json and the store of the run beside the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs
from systems_place import first

from rascal.reactor import install_unless_loaded


def main() -> None:
    """Run it; the exit code is the experiment's."""
    install_unless_loaded()
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    from rascal.experiment.reading import read_experiment

    observer: Any = FilteringLogObserver(
        textFileLogObserver(sys.stdout), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    file, seed = Path(sys.argv[1]), int(sys.argv[2])
    experiment = attrs.evolve(read_experiment(str(file)), seed=seed)
    loop: Any = reactor
    status = [2]

    async def run() -> None:
        from rascal.experiment.running import run_experiment
        from rascal.store import Store

        with Store(str(file.with_name("runs.sqlite"))) as store:
            done = await run_experiment(loop, experiment, watcher=Watcher(), store=store)
        verdict = done.verdict
        status[0] = done.status
        found = {
            "name": verdict.name if verdict else "",
            "between": list(verdict.between) if verdict else [],
            "sentence": done.sentence,
            "why": done.why,
            "verdict": attrs.asdict(verdict) if verdict else None,
            "phases": done.kept.phases,
            "faults": [attrs.asdict(one) for one in done.kept.faults],
        }
        text = json.dumps(found, indent=1, default=list)
        file.with_name("verdict.json").write_text(text, "utf-8")

    def ended(result: Any) -> None:
        if result is not None:
            result.printTraceback(sys.stdout)
        loop.stop()

    loop.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addBoth(ended))
    loop.run()
    sys.exit(status[0])


class Watcher:
    """Writes down what happens."""

    def began(self, run: str, control: Any) -> None:
        first(os.getpid())

    def snapshot(self, snapshot: Any) -> None:
        pass

    def event(self, event: Any) -> None:
        print(f"{event.kind}: {event.text}", flush=True)

    def state(self, state: str, text: str) -> None:
        print(f"[{state}] {text}", flush=True)


if __name__ == "__main__":
    main()
