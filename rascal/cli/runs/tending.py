"""`rascal runs label` and `rascal runs delete`."""

from __future__ import annotations

import sys

import click

from rascal.cli.output import CANNOT, as_json, leave, many, say
from rascal.cli.runs.common import ended, run_names, tending, when
from rascal.store import Run, Store, StoreError
from rascal.store.export import run_json


@click.command()
@click.argument("run", shell_complete=run_names)
@click.argument("labels", nargs=-1, metavar="[LABEL]…")
@click.option("--remove", "gone", multiple=True, metavar="LABEL", help="Take this one away.")
@tending
def label(
    store: Store, run: str, labels: tuple[str, ...], gone: tuple[str, ...], json_: bool
) -> None:
    """Give RUN labels, take some away, or show which it has."""
    number = str(store.number(run))
    missing = [one for one in gone if one not in store.run(number).labels]
    if missing:
        has = ", ".join(store.run(number).labels) or "none"
        raise StoreError(f"run {number} has no label '{missing[0]}'; labels: {has}")
    found = store.label(number, labels, gone) if labels or gone else store.run(number)
    if json_:
        as_json(run_json(found, plan=False))
        return
    say(f"run {found.id} ({found.name}): {', '.join(found.labels) or 'no labels'}")


@click.command()
@click.argument("which", nargs=-1, required=True, metavar="RUN…", shell_complete=run_names)
@click.option("--yes", is_flag=True, help="Do not ask.")
@tending
def delete(store: Store, which: tuple[str, ...], yes: bool, json_: bool) -> None:
    """Delete RUNs and all that belongs to them. A run that goes on is not deleted.

    A name that several runs bear is not enough here: give their numbers.
    """
    found = {run.id: run for run in (_exactly(store, one) for one in which)}
    for run in found.values():
        if run.state == "running":
            raise StoreError(
                f"run {run.id} ({run.name}) is running; stop it first: rascal load stop {run.id}"
            )
    if not yes:
        _ask(list(found.values()))
    for number in found:
        store.delete(number)
    if json_:
        as_json([run_json(run, plan=False) for run in found.values()])
        return
    say(f"deleted {many(len(found), 'run')}: {', '.join(found)}")


def _exactly(store: Store, which: str) -> Run:
    """The one run that is meant: deleting the newest of several by its name is no accident."""
    run = store.run(which)
    if which.removeprefix("#") != run.id and which != "last":
        others = [one.id for one in store.runs(name=run.name)]
        if len(others) > 1:
            raise StoreError(
                f"'{which}' are {many(len(others), 'run')}: {', '.join(others[:12])}"
                f"{' …' if len(others) > 12 else ''}; give the numbers"
            )
    return run


def _ask(found: list[Run]) -> None:
    for run in found:
        say(f"{run.id}  {run.name}  {ended(run)}  {when(run)}", err=True)
    if not sys.stdin.isatty():
        say("nothing is deleted: nobody is there to be asked, and --yes was not given", err=True)
        leave(CANNOT)
    if not click.confirm(f"Delete {many(len(found), 'run')} for good?", err=True):
        say("nothing is deleted", err=True)
        leave(CANNOT)
