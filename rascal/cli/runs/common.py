"""What the commands about runs share: the store, completion, numbers in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from rascal.cli.output import cannot, leave
from rascal.store import Run, Store, StoreError
from rascal.store.database import default_path

INTERRUPTED = 130
OFFERED = 50
"""Runs that a shell is offered."""

OUTCOMES = (
    *("completed", "stopped", "aborted", "interrupted", "failed", "refused"),
    *("running", "lost"),
)


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the store, to be read, and --json."""
    return _with_store(function, lambda path: Store(path, readonly=True))


def tending(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the store, to be changed, and --json."""
    return _with_store(function, Store)


def summing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the store, to be read; if it may be written, sums are kept in it."""
    return _with_store(function, summing_store)


def summing_store(path: str | None) -> Store:
    """The store, such that the sums of long runs are made once only."""
    place = Path(path) if path else default_path()
    with suppress(StoreError):
        if place.is_file() and os.access(place, os.W_OK) and os.access(place.parent, os.W_OK):
            return Store(path)
    return Store(path, readonly=True)


def _with_store(
    function: Callable[..., Any], opened: Callable[[str | None], Store]
) -> Callable[..., Any]:
    @click.option("--json", "json_", is_flag=True, help="For programs.")
    @click.option("--store", metavar="FILE", help="Where runs are kept; RASCAL_STORE without it.")
    @wraps(function)
    def run(*, store: str | None, **given: Any) -> None:
        try:
            with cannot(), opened(store) as found:
                function(found, **given)
        except KeyboardInterrupt:
            leave(INTERRUPTED)

    return run


def run_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Numbers and names of runs, the newest first."""
    found: list[CompletionItem] = []
    with suppress(Exception), Store(readonly=True) as store:
        known = store.runs(last=OFFERED)
        offers = [("last", "the newest run")] if known else []
        offers += [(run.id, f"{run.name}, {ended(run)}, {when(run)}") for run in known]
        offers += [
            (name, f"run {number}, the newest of this name")
            for name, number in list(store.names().items())[:OFFERED]
        ]
        found = [
            CompletionItem(word, help=text) for word, text in offers if word.startswith(incomplete)
        ]
    return found


def label_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Labels that are in use."""
    with suppress(Exception), Store(readonly=True) as store:
        return [CompletionItem(one) for one in store.labels() if one.startswith(incomplete)]
    return []


def flow_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Flows of the run that stands before."""
    which = context.params.get("run") or context.params.get("before")
    with suppress(Exception), Store(readonly=True) as store:
        return [
            CompletionItem(one)
            for one in store.flows(which or "last")
            if one.startswith(incomplete)
        ]
    return []


# ---- in words


def when(run: Run) -> str:
    """The local time at which it began."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started or run.created))


def ended(run: Run) -> str:
    """How it ended, or that it has not."""
    return run.outcome or run.state


def lasted(run: Run) -> float | None:
    """Seconds from second 0 to the end, to now, or to the last sign of life."""
    if run.started is None:
        return None
    until = {"running": time.time(), "lost": run.beat}.get(run.state, run.ended)
    return max(0.0, (until or run.beat) - run.started)


_COLOURS: Mapping[str, str] = {
    "completed": "green",
    "running": "cyan",
    "lost": "red",
    "failed": "red",
}
PAINT: Mapping[str, Callable[[str], str]] = {
    "OUTCOME": lambda text: click.style(text, fg=_COLOURS.get(text)),
}


def percent(share: float, digits: int = 1) -> str:
    """`2.3 %`; what is there but small is not shown as nothing."""
    value = share * 100
    least = 10**-digits
    if 0 < value < least / 2:
        return f"< {least:g} %"
    if 100 - least / 2 < value < 100:
        return f"> {100 - least:g} %"
    return f"{value:.{digits}f} %"


def rate(value: float) -> str:
    """`40.0/s`."""
    return f"{value:,.1f}/s" if value < 1000 else f"{value:,.0f}/s"
