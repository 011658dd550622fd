"""`rascal experiment list`: experiments and their verdicts, the newest first."""

from __future__ import annotations

import click

from rascal.cli.experiment.view import word_text
from rascal.cli.output import as_json, grid, span
from rascal.cli.runs.common import ended, label_names, lasted, reading, when
from rascal.store import Run, Store
from rascal.store.verdicts import verdict_of

TITLES = ("RUN", "NAME", "BEGAN", "TOOK", "VERDICT", "STATUS", "LABELS", "IN WORDS")
SHOWN = 20


@click.command("list")
@click.argument("name", required=False, default="")
@click.option("--label", "labels", multiple=True, metavar="LABEL", shell_complete=label_names)
@click.option("--last", type=click.IntRange(1), metavar="N", help=f"So many ({SHOWN}).")
@click.option("--all", "all_", is_flag=True, help="Not only the newest.")
@reading
def list_(
    store: Store, name: str, labels: tuple[str, ...], last: int | None, all_: bool, json_: bool
) -> None:
    """List experiments, the newest first; with NAME only those that bear it."""
    limit = None if all_ or (json_ and not last) else (last or SHOWN)
    found = store.runs(kind="experiment", name=name, labels=labels, last=limit)
    if json_:
        from rascal.store.export import run_json

        as_json([{**run_json(run, plan=False), **_verdict(store, run)} for run in found])
        return
    grid(
        TITLES,
        [_row(store, run) for run in found],
        right=("RUN", "TOOK", "STATUS"),
        give="IN WORDS",
        paint={"VERDICT": word_text},
        empty="no experiment is like that: rascal experiment list"
        if name or labels
        else "no experiment has run yet: rascal experiment run FILE",
    )


def _verdict(store: Store, run: Run) -> dict[str, object]:
    """What the store has of it: word, sentence and status; {} of one that goes on."""
    said = verdict_of(store, run.id)
    return {"verdict": said} if said else {}


def _row(store: Store, run: Run) -> tuple[str, ...]:
    said = verdict_of(store, run.id)
    took = lasted(run)
    status = said.get("status", run.status)
    return (
        run.id,
        run.name,
        when(run),
        "" if took is None else span(took),
        str(said.get("word") or ended(run)),
        "" if status is None else str(status),
        ", ".join(run.labels),
        str(said.get("sentence", "")),
    )
