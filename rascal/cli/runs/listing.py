"""`rascal runs list`."""

from __future__ import annotations

import click

from rascal.cli.output import as_json, grid, span
from rascal.cli.runs.common import (
    OUTCOMES,
    PAINT,
    ended,
    label_names,
    lasted,
    reading,
    run_names,
    when,
)
from rascal.store import Run, Store

TITLES = ("RUN", "NAME", "KIND", "BEGAN", "TOOK", "OUTCOME", "STATUS", "LABELS")
SHOWN = 20


@click.command("list")
@click.argument("name", required=False, default="", shell_complete=run_names)
@click.option("--label", "labels", multiple=True, metavar="LABEL", shell_complete=label_names)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice(OUTCOMES),
    help="Only those that ended so, that are running, or whose process is gone (lost).",
)
@click.option("--kind", type=click.Choice(("load", "experiment")), help="Only these.")
@click.option("--last", type=click.IntRange(1), metavar="N", help=f"So many ({SHOWN}).")
@click.option("--all", "all_", is_flag=True, help="Not only the newest.")
@reading
def list_(
    store: Store,
    name: str,
    labels: tuple[str, ...],
    outcomes: tuple[str, ...],
    kind: str | None,
    last: int | None,
    all_: bool,
    json_: bool,
) -> None:
    """List runs, the newest first; with NAME only those that bear it.

    STATUS is the exit status of the command: 0 as expected, 1 an objective failed, 3 proves
    nothing, 4 stopped by a stop rule, 130 interrupted.
    """
    limit = None if all_ or (json_ and not last) else (last or SHOWN)
    found = store.runs(labels=labels, outcomes=outcomes, kind=kind or "", name=name, last=limit)
    if json_:
        from rascal.store.export import run_json

        as_json([run_json(run, plan=False) for run in found])
        return
    asked = bool(labels or outcomes or kind or name)
    grid(
        TITLES,
        [row(run) for run in found],
        right=("RUN", "TOOK", "STATUS"),
        give="LABELS",
        paint=PAINT,
        empty="no run is like that: rascal runs lists all"
        if asked
        else "nothing has run yet: rascal load run FILE",
    )


def row(run: Run) -> tuple[str, ...]:
    """The cells of one run."""
    took = lasted(run)
    return (
        run.id,
        run.name,
        run.kind,
        when(run),
        "" if took is None else span(took),
        ended(run),
        "" if run.status is None else str(run.status),
        ", ".join(run.labels),
    )
