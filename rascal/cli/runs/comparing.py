"""`rascal runs compare`: what differs, how surely, and what was not the same."""

from __future__ import annotations

import click

from rascal.cli.output import NOT_WELL, as_json, grid, heading, leave, number, say
from rascal.cli.runs.common import ended, flow_names, percent, rate, reading, run_names, when
from rascal.cli.runs.showing import time
from rascal.cli.script import Span as Duration
from rascal.load.words import share_words
from rascal.store import Run, Store, StoreError
from rascal.store.compare import Comparison, Finding, comparison_json
from rascal.store.compare import compare as compared

TITLES = ("FLOW", "MEASURE", "BEFORE", "AFTER", "DIFFERENCE", "CALLS")
_COLOURS = {"worse": "red", "better": "green"}


@click.command()
@click.argument("before", shell_complete=run_names)
@click.argument("after", shell_complete=run_names)
@click.option("--flow", "flows", multiple=True, metavar="FLOW", shell_complete=flow_names)
@click.option("--from", "first", type=Duration(), metavar="TIME", help="Leave out what is before.")
@click.option("--to", "last", type=Duration(), metavar="TIME", help="Leave out what is after.")
@click.option(
    "--confidence",
    type=click.FloatRange(50, 99.999),
    default=95.0,
    metavar="PERCENT",
    help="That nothing is called a difference which is none, in the whole table (95).",
)
@click.option("--fail", is_flag=True, help="Status 1 if anything is worse, for CI.")
@reading
def compare(
    store: Store,
    before: str,
    after: str,
    flows: tuple[str, ...],
    first: float | None,
    last: float | None,
    confidence: float,
    fail: bool,
    json_: bool,
) -> None:
    """Hold the run AFTER against the run BEFORE, flow by flow.

    A difference stands there as the range in which it lies; all ranges of the table together hold
    with 95 %. "no difference seen" is no proof that there is none: its range says how large one
    could be. Times count from the intended start.
    """
    found = compared(
        store,
        before,
        after,
        flows=_known(store, before, after, flows),
        confidence=confidence / 100,
        first=None if first is None else int(first),
        last=None if last is None else int(last),
    )
    if json_:
        as_json(comparison_json(found))
    else:
        _show(found)
    if fail and found.worse:
        leave(NOT_WELL)


def _known(store: Store, before: str, after: str, flows: tuple[str, ...]) -> tuple[str, ...]:
    both = [name for name in store.flows(before) if name in store.flows(after)]
    for name in flows:
        if name not in both:
            raise StoreError(
                f"the runs have no flow '{name}' in common; flows: {', '.join(both) or 'none'}"
            )
    return flows


def _show(found: Comparison) -> None:
    for what, run in (("before", found.before), ("after", found.after)):
        say(f"{what.ljust(6)}  run {run.id}  {run.name}  {when(run)}  {_state(run)}")
    heading("what came out")
    grid(
        TITLES,
        [_cells(one) for one in found.findings],
        right=("BEFORE", "AFTER"),
        paint={"DIFFERENCE": _paint},
        empty="no flow is in both runs",
    )
    if found.findings:
        say(
            f"All ranges together hold with {found.confidence * 100:g} %; calls of one second are "
            "taken as akin."
        )
    for what, run, names in (
        ("before", found.before, found.only_before),
        ("after", found.after, found.only_after),
    ):
        if names:
            say(f"Only {what} (run {run.id}), and not compared: {', '.join(names)}")
    heading("what was not the same")
    for one in found.settings:
        old, new = one.before, one.after
        if one.what in ("profile", "length"):
            old, new = (
                "; ".join(share_words(share) for share in run.plan.get("shares") or ()) or "none"
                for run in (found.before, found.after)
            )
        change = f"{old} → {new}" if old and new else old or new
        say(f"{one.what}: {change}" + (f" ({one.meaning})" if one.meaning else ""))
    if not found.settings:
        say("nothing: plan, files, seed, versions and agents were the same")


def _state(run: Run) -> str:
    status = "" if run.status is None else f", status {run.status}"
    return ended(run) + status


def _cells(one: Finding) -> tuple[str, ...]:
    before, after = one.calls
    return (
        one.flow,
        one.measure,
        _value(one, 0),
        _value(one, 1),
        difference_words(one),
        number(before) if before == after else f"{number(before)} and {number(after)}",
    )


def _value(one: Finding, which: int) -> str:
    value = one.values[which]
    if not one.calls[which]:
        return "-"
    if one.unit == "share":
        return percent(value, 2)
    return rate(value) if one.unit == "rate" else time(value)


def difference_words(one: Finding) -> str:
    """`worse by 31ms to 78ms`, `no difference seen (-4ms to +6ms)`."""
    if one.change is None:
        return f"{one.verdict}: {one.why}" if one.why else one.verdict
    low, high = one.change.low, one.change.high
    if one.verdict == "no difference seen":
        return f"no difference seen ({_signed(one, low)} to {_signed(one, high)}{_unit(one)})"
    least, most = sorted((abs(low), abs(high)))
    return f"{one.verdict} by {_amount(one, least)} to {_amount(one, most)}{_unit(one)}"


def _amount(one: Finding, value: float) -> str:
    if one.unit == "share":
        points = value * 100
        return f"{points:.2f}" if points < 1 else f"{points:.1f}"
    return rate(value) if one.unit == "rate" else time(value)


def _unit(one: Finding) -> str:
    return " points" if one.unit == "share" else ""


def _signed(one: Finding, value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_amount(one, abs(value))}"


def _paint(text: str) -> str:
    return click.style(text, fg=_COLOURS.get(text.partition(" ")[0]))
