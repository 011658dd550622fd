"""`rascal load run --detach`: the run goes on in a process of its own, without a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rascal.cli.load.flags import json_apart
from rascal.cli.load.run import Order
from rascal.cli.output import again, as_json, leave, say
from rascal.errors import ConfigError

PATIENCE = 900.0
"""Seconds until a run has its id: agents may have to install what it needs."""
GRACE = 5.0
START = "from rascal.cli import main; main()"


def detach(order: Order, given: Mapping[str, Any]) -> None:
    """Start it again, in a session of its own, and print its id once it has one."""
    if given["no_store"]:
        raise ConfigError("--detach needs the store, to be found again: leave out --no-store")
    args = [
        one for one in click.get_current_context().meta["rascal.load.args"] if one != "--detach"
    ]
    log = _log_file(given["store"])
    reader, writer = os.pipe()
    words = ["load", "run", *args, "--started-fd", str(writer)]
    words = [one for one in json_apart(words) if one not in ("--json=-", "--quiet")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    run = _id(reader)
    if run is None:
        try:
            status = process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        say(log.read_text(errors="replace").strip(), err=True)
        log.unlink()
        leave(status or 1)
    final = log.with_name(f"run-{run}.log")
    log.rename(final)
    if given["json_"]:
        as_json({"run": run, "pid": process.pid, "log": str(final)})
        return
    say(f"run {run}  goes on in the background (process {process.pid}), log {final}")
    say(f"{again(f'rascal load attach {run}')}   {again(f'rascal load stop {run}')}")


def _log_file(store: str | None) -> Path:
    """Beside the store, where runs are; it gets its name with the run's id."""
    from rascal.store.database import default_path

    folder = Path(store).parent if store else default_path().parent
    folder = folder / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from error
    return folder / f"starting-{os.getpid()}.log"


def _id(reader: int) -> str | None:
    """What the other process says; None if it ends, or says nothing for too long."""
    deadline = time.monotonic() + PATIENCE
    said = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while not said.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return None
            more = pipe.read(64)
            if not more:
                return None
            said += more
    return said.decode().strip()
