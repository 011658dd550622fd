"""`rascal experiment explain FILE`: the plan as a timeline, and whether it is long enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import click

from rascal.cli.experiment.orders import file_flags
from rascal.cli.experiment.run import experiment_files
from rascal.cli.load.view import BLOCKS, PLAIN_BLOCKS, can_draw
from rascal.cli.output import as_json, grid_lines, limit, number, say, tick, width
from rascal.report.words import clock_text, rate_text, share_text

if TYPE_CHECKING:
    from rascal.cli.experiment.orders import Order
    from rascal.experiment.outlook import Outlook, Stream
    from rascal.experiment.specification import Check

LEAST, MOST = 24, 72
"""Columns of the timeline."""
TELLS = ("CALLS OF", "RATE", "BASELINE", "FAULT", "TAIL", "SURE IT KEPT", "SEES LOSSES FROM")


@click.command()
@click.argument("file", shell_complete=experiment_files)
@file_flags
@click.option("--no-probe", is_flag=True, help="As in run.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def explain(file: str, json_: bool, **given: Any) -> None:
    """Show what FILE will do, when, and what the run will be able to tell. Nothing is run.

    The timeline shows the phases, the load, and when each fault is on. Below it stands for every
    scenario (a flow that each of its visits calls once) how many calls there will be, and whether
    they are enough: to be sure that nothing was lost takes more calls than to see a great loss.
    """
    from rascal.cli.experiment.orders import flag_of, read_order
    from rascal.cli.load.going import choose_reactor, refusing

    with refusing(flag_of):
        choose_reactor()  # before the scenario imports one
        order = read_order(file, given)
        ahead = order.outlook()
    if json_:
        as_json(plan_json(order, ahead))
        return
    for line in lines_of(order, ahead):
        say(line)


def lines_of(order: Order, ahead: Outlook) -> list[str]:
    """All of it."""
    experiment = order.experiment
    ends = clock_text(order.timeline.ends)
    found = [
        click.style(order.title, bold=True),
        f"{ends}, seed {experiment.seed}, {rate_text(ahead.rate)} in the baseline, "
        f"a call may take {order.plan.timeout:g}s",
        "",
        *timeline_lines(order),
        "",
        *_what_holds(order),
        click.style("WHAT IT CAN TELL", bold=True),
        *_tell_lines(ahead),
    ]
    found += [click.style(f"! {text}", fg="red") for text in ahead.problems]
    found += [click.style(f"! {text}", fg="yellow") for text in ahead.cautions]
    if ahead.long_enough and not ahead.problems:
        found.append(click.style("long enough to tell", fg="green"))
    return found


# ---- the timeline


def timeline_lines(order: Order) -> list[str]:
    """Phases, load and faults over time."""
    timeline = order.timeline
    rows = [("", ""), ("phases", ""), ("load", "")]
    rows += [(f"{one.action.on}/{one.action.name}", "") for one in timeline.windows]
    size = max(len(name) for name, _ in rows)
    columns = max(LEAST, min(MOST, width() - size - 12))
    scale = columns / timeline.ends
    loads, top = _load(order, columns)
    found = [
        f"{' ' * size}  {_marks(order, columns)}",
        f"{'phases'.ljust(size)}  {_phases(order, columns)}",
        f"{'load'.ljust(size)}  {loads}  up to {rate_text(top)}",
    ]
    full = "█" if can_draw() else "#"
    empty = "·" if can_draw() else "."
    for one in timeline.windows:
        begin = min(columns - 1, round(one.begins * scale))
        end = max(begin + 1, round(one.ends * scale))
        bar = empty * begin + full * (end - begin) + empty * (columns - end)
        name = f"{one.action.on}/{one.action.name}"
        when = f"{clock_text(one.begins)} to {clock_text(one.ends)}"
        found.append(f"{name.ljust(size)}  {click.style(bar, fg='red')}  {when}")
        match = f" match {one.action.match}" if one.action.match else ""
        found.append(f"{' ' * size}  {one.action.text}{match}")
    return found


def _marks(order: Order, columns: int) -> str:
    """`0:00    0:20 …` where phases begin."""
    timeline = order.timeline
    scale = columns / timeline.ends
    line = ""
    for begin, end in timeline.phases.values():
        at = round(begin * scale)
        if end > begin and (not line or at > len(line)):
            line = line.ljust(at) + clock_text(begin)
    last = clock_text(timeline.ends)
    return line.ljust(columns) + last if len(line) < columns else f"{line} {last}"


def _phases(order: Order, columns: int) -> str:
    """`|warm-up|baseline        |…`, each as wide as it lasts."""
    timeline = order.timeline
    scale = columns / timeline.ends
    line = ""
    for name, (begin, end) in timeline.phases.items():
        size = round(end * scale) - round(begin * scale)
        if size > 0:
            lasts = f"{name} {end - begin:g}s"
            text = lasts if len(lasts) < size else name
            line += "|" + text[: size - 1].ljust(size - 1)
    return f"{line}|"


def _load(order: Order, columns: int) -> tuple[str, float]:
    """The level over time, and the highest."""
    from rascal.load.schedule import Schedule

    schedules = [Schedule(share.profile) for share in order.plan.shares]
    step = order.timeline.ends / columns
    levels = [sum(one.level((at + 0.5) * step) for one in schedules) for at in range(columns)]
    top = max(levels, default=0.0)
    blocks = BLOCKS if can_draw() else PLAIN_BLOCKS
    last = len(blocks) - 1
    if top <= 0:
        return blocks[0] * columns, 0.0
    return "".join(blocks[min(last, int(one / top * last + 0.5))] for one in levels), top


# ---- what must hold


def _what_holds(order: Order) -> list[str]:
    from rascal.language import Objective, show

    experiment = order.experiment
    lines: list[tuple[str, str]] = []
    if experiment.uses is not None:
        lines += [(f"uses {one}", ", ".join(flows)) for one, flows in experiment.uses.items()]
    elif experiment.learn:
        lines.append(("uses", "learned before the load starts, by one user who tries all"))
    lines += [("invariant", f"{one.name}: {_check(one)}") for one in experiment.invariants]
    lines += [("objective", show(one)) for one in experiment.objectives]
    for one in experiment.stop:
        lines.append(("stops if", show(one) if isinstance(one, Objective) else _stop(one)))
    if experiment.probe:
        lines.append(
            ("if stuck", f"load down to {experiment.probe_load:.0%}, then up again, to see why")
        )
    expect = str(experiment.expect) if experiment.expect is not None else "nothing"
    better = experiment.expect is not None and not experiment.expect.exactly
    lines.append(("expected", f"{expect}{', or better' if better else ''}"))
    size = max(len(name) for name, _ in lines)
    return [*(f"{name.ljust(size)}  {text}" for name, text in lines), ""]


def _check(one: Check) -> str:
    wanted = one.test.replace("_", " ") + (f" {one.value}" if one.value else "")
    path = f" {one.json}" if one.json else ""
    return f"{one.way} {one.ask}{path} {wanted}"


def _stop(one: Check) -> str:
    lasts = f" for {one.lasts:g}s" if one.lasts else ""
    return f"not: {one.name}: {_check(one)}{lasts}"


# ---- what it can tell


def _tell_lines(ahead: Outlook) -> Iterator[str]:
    rows = [_tell_row(one) for one in ahead.streams]
    yield from grid_lines(TELLS, rows, right=TELLS[1:5], give="CALLS OF", limit=limit())
    for one in ahead.streams:
        if one.advice and one.matters:
            yield click.style(f"! {one.advice}", fg="yellow")
        elif one.advice:
            yield f"{one.name}: too few calls to be judged by; the others of its side speak for it"


def _tell_row(one: Stream) -> list[str]:
    calls = one.power.calls
    sees = "nothing" if one.power.sees >= 1 else share_text(one.power.sees)
    return [
        one.name,
        rate_text(one.rate),
        *(number(calls[name]) for name in ("baseline", "fault", "tail")),
        tick(one.power.sure_kept),
        sees,
    ]


def plan_json(order: Order, ahead: Outlook) -> dict[str, Any]:
    """The same for programs."""
    from rascal.language import Objective, show

    experiment, timeline = order.experiment, order.timeline
    return {
        "name": experiment.name,
        "target": experiment.target,
        "seed": experiment.seed,
        "seconds": timeline.ends,
        "timeout": order.plan.timeout,
        "phases": {name: list(window) for name, window in timeline.phases.items()},
        "faults": [
            {
                "name": one.action.name,
                "on": one.action.on,
                "form": one.action.form,
                "text": one.action.text,
                "match": one.action.match,
                "begins": one.begins,
                "ends": one.ends,
            }
            for one in timeline.windows
        ],
        "rate": ahead.rate,
        "streams": [one.json() for one in ahead.streams],
        "uses": {name: list(flows) for name, flows in experiment.uses.items()}
        if experiment.uses is not None
        else None,
        "invariants": [attrs.asdict(one) for one in experiment.invariants],
        "objectives": [show(one) for one in experiment.objectives],
        "stop": [
            show(one) if isinstance(one, Objective) else attrs.asdict(one)
            for one in experiment.stop
        ],
        "expect": str(experiment.expect or ""),
        "cautions": list(ahead.cautions),
        "problems": list(ahead.problems),
        "long_enough": ahead.long_enough,
    }
