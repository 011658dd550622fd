"""The process that looks at a job's files for the panel; nothing of them is read elsewhere.

    python -m rascal.panel.job_looking FD read FOLDER           rascal.yml: nothing is run
    python -m rascal.panel.job_looking FD check FOLDER < item   one file: its scenarios are loaded

`read` only reads YAML. `check` loads scenario files, which are code: it is started with the
Python of the job's own environment, and only once somebody has asked for it. On FD comes one JSON
line; the process is killed when it takes too long.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rascal.errors import ConfigError, ConfigErrors, RascalError
from rascal.panel.inspecting import bound
from rascal.panel.job_file import finding, named_from, read_job

READ, CHECK = 20.0, 60.0
"""Seconds that each may take."""


def checked(folder: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong with one file and its scenarios, and what is unwise. Runs their code."""
    base = Path(folder).resolve()
    path = str(base / item["file"])
    os.chdir(Path(path).parent)
    errors: list[RascalError] = []
    cautions: list[str] = []
    try:
        if item["kind"] == "experiment":
            cautions = _experiment(path, item, errors)
        else:
            _load(path, item)
    except ConfigErrors as found:
        errors += found.findings
    except RascalError as error:
        errors.append(error)
    return {
        "findings": [
            finding(named_from(one, base))
            if isinstance(one, ConfigError)
            else {"message": str(one), "file": item["file"]}
            for one in errors[:100]
        ],
        "cautions": cautions[:20],
    }


def _experiment(path: str, item: Mapping[str, Any], errors: list[RascalError]) -> list[str]:
    import attrs

    from rascal.experiment.loading import read_load
    from rascal.experiment.outlook import outlook
    from rascal.experiment.reading import read_experiment
    from rascal.experiment.timeline import timeline_of

    experiment = read_experiment(path)
    if item.get("target"):
        experiment = attrs.evolve(experiment, target=item["target"])
    timeline = timeline_of(experiment)
    plan, book = read_load(experiment, timeline)
    weights = {name: one.weight for name, one in book.scenarios.items()}
    book.unload()
    ahead = outlook(experiment, timeline, plan, weights)
    errors += [ConfigError(text, path=path) for text in ahead.problems]
    advice = [one.advice for one in ahead.streams if one.advice and one.matters]
    return [*ahead.cautions, *advice]


def _load(path: str, item: Mapping[str, Any]) -> None:
    from rascal.load.book import load_book
    from rascal.load.planning import plan_of

    values = {key: one for key, one in item["values"].items() if key not in ("tags", "agents")}
    if item.get("target"):
        values["target"] = item["target"]
    options = values.get("options")
    book = load_book(path, options if isinstance(options, dict) else {})
    try:
        plan_of(values, scenarios=tuple(book.scenarios), file=Path(path).name)
    finally:
        book.unload()


def main() -> None:
    """See above."""
    fd, what, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    bound(READ if what == "read" else CHECK)
    try:
        found = read_job(folder) if what == "read" else checked(folder, json.load(sys.stdin))
    except BaseException as error:  # of code that is not ours: SystemExit as well
        text = f"{type(error).__name__}: {error}"[:1000]
        found = {"findings": [{"message": text}], "failed": True}
    data = json.dumps(found).encode() + b"\n"
    with suppress(OSError):
        while data:
            data = data[os.write(fd, data) :]
    os._exit(0)


if __name__ == "__main__":
    main()
