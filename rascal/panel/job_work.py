"""What threads do for a job: fetch, read, make its environment, check file by file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rascal.control._problems import Problem
from rascal.panel.helpers import Late, read_line
from rascal.panel.job_fetching import fetch
from rascal.panel.job_looking import CHECK, READ
from rascal.panel.job_process import Cancelled, Working, end_group, environment
from rascal.panel.job_source import Source

MODULE = "rascal.panel.job_looking"
GRACE = 2.0


def fetch_and_read(source: Source, folder: Path, working: Working) -> dict[str, Any]:
    """Its files, and what its rascal.yml says. Nothing of it is run. Raises Problem, Cancelled."""
    commit = fetch(source, folder, working)
    found = look(working, sys.executable, "read", folder, READ, env=environment())
    if found.get("failed"):
        raise Problem(409, "failed", f"it cannot be read: {found['findings'][0]['message']}")
    return {"commit": commit, **found}


def check(
    item: Mapping[str, Any], target: str, python: str, folder: Path, working: Working
) -> dict[str, Any]:
    """What is wrong with one file and its scenarios; their code runs, in a process of its own.

    Raises Cancelled.
    """
    env = {name: one for name, one in os.environ.items() if not name.startswith("RASCAL_")}
    given = {"kind": item["kind"], "file": item["file"], "values": item["values"]}
    told = {**given, "target": target}
    try:
        found = look(working, python, "check", folder, CHECK, env=env, told=told)
    except Problem as problem:
        found = {"findings": [{"message": problem.title, "file": item["file"]}]}
    return {"findings": found["findings"], "cautions": found.get("cautions", [])}


def look(
    working: Working,
    python: str,
    what: str,
    folder: Path,
    seconds: float,
    *,
    env: Mapping[str, str],
    told: Any = None,
) -> dict[str, Any]:
    """Ask a process about a job's files. Raises Problem, Cancelled."""
    if working.cancelled:
        raise Cancelled
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [python, "-P", "-m", MODULE, str(writer), what, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(writer,), start_new_session=True, env=dict(env), cwd=str(folder),
        )  # fmt: skip
    except OSError as error:
        os.close(reader)
        text = f"a process that reads it cannot be started: {error.strerror}"
        raise Problem(409, "not-possible", text) from error
    finally:
        os.close(writer)
    working.process = process
    try:
        working.began(process.pid)
        assert process.stdin is not None
        with suppress(OSError), process.stdin as given:
            given.write(json.dumps(told).encode())
        line = read_line(reader, seconds + GRACE)
    except Late:
        text = f"not done after {seconds:g} s: what does a scenario file wait for at its top?"
        raise Problem(409, "too-slow", text) from None
    finally:
        os.close(reader)
        end_group(process.pid)
        process.wait()
        working.process = None
    if working.cancelled:
        raise Cancelled
    if not line:
        text = f"it ends the process that reads it (status {process.returncode})"
        raise Problem(409, "failed", text)
    found: dict[str, Any] = json.loads(line)
    return found
