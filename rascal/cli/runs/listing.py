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
from rascal.store.verdicts import verdict_of

TITLES = ("RUN", "NAME", "KIND", "BEGAN", "TOOK", "OUTCOME", "VERDICT", "STATUS", "LABELS")
EXPERIMENT = "experiment"
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

        as_json([{**run_json(run, plan=False), **_verdict(store, run)} for run in found])
        return
    rows = [row(run, str(said(store, run).get("word", ""))) for run in found]
    titles: tuple[str, ...] = TITLES
    if not any(run.kind == EXPERIMENT for run in found):
        at = TITLES.index("VERDICT")
        titles = tuple(one for one in TITLES if one != "VERDICT")
        rows = [(*cells[:at], *cells[at + 1 :]) for cells in rows]
    asked = bool(labels or outcomes or kind or name)
    grid(
        titles,
        rows,
        right=("RUN", "TOOK", "STATUS"),
        give="LABELS",
        paint=PAINT,
        empty="no run is like that: rascal runs lists all"
        if asked
        else "nothing has run yet: rascal load run FILE",
    )


def said(store: Store, run: Run) -> dict[str, object]:
    """The verdict of an experiment; {} of a load run, or one that goes on."""
    return verdict_of(store, run.id) if run.kind == EXPERIMENT else {}


def _verdict(store: Store, run: Run) -> dict[str, object]:
    found = said(store, run)
    return {"verdict": found} if found else {}


def row(run: Run, verdict: str = "") -> tuple[str, ...]:
    """The cells of one run."""
    took = lasted(run)
    return (
        run.id,
        run.name,
        run.kind,
        when(run),
        "" if took is None else span(took),
        ended(run),
        verdict,
        "" if run.status is None else str(run.status),
        ", ".join(run.labels),
    )
