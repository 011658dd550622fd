"""`rascal load stop`: end a run that another process goes on with, through the store."""

from __future__ import annotations

import time

import click

from rascal.cli.load.attach import running
from rascal.cli.load.going import refusing
from rascal.cli.output import NOT_WELL, as_json, leave, say
from rascal.cli.runs.common import run_names

PATIENCE = 15.0
"""Seconds for which a run may take to see what is asked of it."""


@click.command()
@click.argument("run", required=False, shell_complete=run_names)
@click.option("--now", is_flag=True, help="At once: calls under way are given up.")
@click.option("--wait", is_flag=True, help="Until it has ended.")
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def stop(run: str | None, now: bool, wait: bool, store: str | None, json_: bool) -> None:
    """End RUN (the newest that goes on): no more arrivals, calls under way may end; a report.

    Its outcome is then "interrupted", its exit status 130.
    """
    from rascal.store import Store

    with refusing(), Store(store) as opened:
        found = running(opened, run)
        opened.ask(found.id, "stop", now=now, why="rascal load stop")
        deadline = time.monotonic() + PATIENCE
        while not opened.taken(found.id):
            state = opened.run(found.id).state
            if state != "running":
                break
            if time.monotonic() > deadline:
                say(f"run {found.id} has not seen it yet; it is told when it looks", err=True)
                leave(NOT_WELL)
            time.sleep(0.1)
        while wait and opened.run(found.id).state == "running":
            time.sleep(0.2)
        after = opened.run(found.id)
        if json_:
            as_json({"run": found.id, "state": after.state, "outcome": after.outcome})
        elif after.state == "running":
            how = "ends at once" if now else "drains and ends"
            say(f"run {found.id}  {how}: rascal load attach {found.id}")
        else:
            say(f"run {found.id}  ended: {after.outcome or after.state}")
