"""`rascal experiment judge` and `show`: what a stored run says, with its limits or with others."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.experiment.run import RunCommand
from rascal.cli.output import as_json, leave, limit, say
from rascal.cli.runs.common import run_names

EXAMPLE = "keep=90%"


def opened(path: str | None) -> Any:
    """The store, to be read. Raises StoreError."""
    from rascal.store import Store

    return Store(path, readonly=True)


@click.command(cls=RunCommand)
@click.argument("run", default="last", shell_complete=run_names)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE",
    help=f"Another threshold, such as {EXAMPLE}; --set ? lists them. Repeatable.",
)  # fmt: skip
@click.option("--expect", metavar="VERDICT", help="Instead of what the experiment expects.")
@click.option("--lenient", is_flag=True, help="If unsure, let the named verdict alone decide.")
@click.option("--why", is_flag=True, help="Show everything that each rule found.")
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def judge(
    run: str,
    changes: tuple[str, ...],
    expect: str | None,
    lenient: bool,
    why: bool,
    store: str | None,
    json_: bool,
) -> None:
    """Judge RUN (the last experiment) again, with other thresholds.

    \b
    rascal experiment judge 17 --set keep=90% --set dishonest=20%
    rascal experiment judge last --expect degraded

    Nothing is run and nothing stored: the verdict is made anew of what was recorded. With the
    same thresholds it is the same, byte for byte. The exit status is that of `run`.
    """
    from rascal.cli.load.flags import pairs
    from rascal.cli.load.going import refusing
    from rascal.experiment.expectation import read_expectation

    if "?" in changes:
        _list_thresholds(json_)
        return
    with refusing(), opened(store) as found:
        from rascal.experiment.outcome import of_stored

        outcome = of_stored(
            found,
            _last(found, run),
            changes=pairs(changes, "=", "set", EXAMPLE),
            expect=read_expectation(expect) if expect else None,
            lenient=lenient,
        )
    _show(outcome, json_=json_, why=why)
    leave(outcome.status)


@click.command()
@click.argument("run", default="last", shell_complete=run_names)
@click.option("--why", is_flag=True, help="Show everything that each rule found.")
@click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def show(run: str, why: bool, store: str | None, json_: bool) -> None:
    """Show what came out of RUN (the last experiment): verdict, flows, faults, rules.

    Flows with their latencies, agents and events: rascal runs show RUN.
    """
    from rascal.cli.load.going import refusing

    with refusing(), opened(store) as found:
        from rascal.experiment.outcome import of_stored

        outcome = of_stored(found, _last(found, run))
    _show(outcome, json_=json_, why=why)


def _last(store: Any, which: str) -> str:
    """`last` is the last experiment here. Raises ConfigError."""
    from rascal.errors import ConfigError

    if which != "last":
        return which
    found = store.runs(kind="experiment", last=1)
    if not found:
        raise ConfigError("no experiment has run yet: rascal experiment run FILE")
    run: str = found[0].id
    return run


def _show(outcome: Any, *, json_: bool, why: bool) -> None:
    from rascal.cli.experiment.ending import lines_of

    if json_:
        as_json(outcome.json())
        return
    for line in lines_of(outcome, limit(), why=why):
        say(line)


def _list_thresholds(json_: bool) -> None:
    """Names and defaults."""
    import attrs

    from rascal.cli.output import grid
    from rascal.experiment.record import Thresholds

    found = attrs.asdict(Thresholds())
    if json_:
        as_json(found)
        return
    grid(
        ("THRESHOLD", "DEFAULT"),
        [(name, f"{value:g}") for name, value in found.items()],
        right=("DEFAULT",),
    )
