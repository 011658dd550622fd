"""`rascal load attach`: the live view of a run that another process goes on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rascal.cli.load.ending import Ended, lines_of
from rascal.cli.load.following import Follower
from rascal.cli.load.going import INTERRUPTED, refusing
from rascal.cli.load.look import History
from rascal.cli.load.showing import LOUD, event_text, shown_for
from rascal.cli.output import as_json, leave, limit, say
from rascal.cli.runs.common import run_names

if TYPE_CHECKING:
    from rascal.store import Run, Store

LOST = 3
HINT = "ctrl-C leaves; the run goes on (rascal load stop ends it)"


def running(store: Store, which: str | None) -> Run:
    """That run; without a name the newest that goes on. Raises StoreError."""
    from rascal.store import StoreError

    if which is not None:
        return store.run(which)
    found = store.runs(kind="load", outcomes=("running",), last=1)
    if not found:
        raise StoreError("no run goes on; rascal runs lists those that have ended")
    return found[0]


@click.command()
@click.argument("run", required=False, shell_complete=run_names)
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--quiet", is_flag=True, help="Nothing until the end.")
@click.option("--json", "json_", is_flag=True, help="For programs: the summary at the end.")
def attach(run: str | None, store: str | None, quiet: bool, json_: bool) -> None:
    """Show RUN (the newest that goes on) as its own terminal would, and its report at the end.

    Several may watch. Ctrl-C leaves the run alone. The exit status is the run's.
    """
    from rascal.store import Store

    with refusing(), Store(store, readonly=True) as opened:
        follower = Follower(opened, running(opened, run).id)
        shown = shown_for(title_of(follower), quiet=quiet, json_=json_, hint=HINT)
        history = History()
        try:
            with shown.open():
                for snapshot, events in follower.follow():
                    for event in events:
                        if event.kind in LOUD and follower.run.state == "running":
                            shown.tell(event_text(event))
                    if snapshot.state != "ended":
                        shown.show(history.look(snapshot))
                shown.finish()
        except KeyboardInterrupt:
            say(f"run {follower.run.id} goes on: rascal load attach {follower.run.id}", err=True)
            leave(INTERRUPTED)
        leave(report(follower, json_))


def title_of(follower: Follower) -> str:
    """`run 17  shop.py → http://…`."""
    plan = follower.plan
    return f"run {follower.run.id}  {plan.name or plan.file} → {plan.target}"


def report(follower: Follower, json_: bool) -> int:
    """What came out; the exit status."""
    run = follower.run
    if run.state == "lost":
        say(
            f"run {run.id} is lost: its process on {run.host} is gone and left no word; "
            "what it had reported until then:",
            err=True,
        )
    status = run.status if run.status is not None else LOST
    ended = Ended(
        run=run.id,
        outcome=run.outcome or "lost",
        status=status,
        plan=follower.plan,
        results=follower.results,
        summary=run.summary,
    )
    if json_:
        as_json({"run": run.id, "outcome": ended.outcome, "status": status, **run.summary})
    else:
        for line in lines_of(ended, limit()):
            say(line)
    return status
