"""The live view of an experiment: lines for a terminal, and one plain line a second for logs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from rascal.cli.experiment.look import ExperimentLook, FaultLook
from rascal.cli.load.view import can_draw
from rascal.cli.output import GAP, grid_lines, number
from rascal.experiment.sofar import FlowNow
from rascal.report.words import clock_text, rate_text, share_text, span, time_text

FAULT_TITLES = ("FAULT", "WHAT", "PLANNED", "STATE", "MATCHED", "FIRED")
FLOW_TITLES = ("FLOW", "HIT", "RATE", "GOOD NOW", "USUAL", "KEPT", "p95", "HONEST", "DISHONEST")
BAR = 24
COLOURS = {
    "resilient": "green",
    "graceful": "green",
    "degraded": "yellow",
    "cascading": "red",
    "stuck": "red",
    "metastable": "red",
    "overloaded": "red",
    "broken": "red",
    "corrupt": "red",
    "invalid": "magenta",
}


def word_text(word: str) -> str:
    """A verdict in its colour."""
    return click.style(word, fg=COLOURS.get(word), bold=True)


def bar(share: float, size: int = BAR) -> str:
    """`████····`."""
    full, empty = ("█", "·") if can_draw() else ("#", ".")
    done = round(min(1.0, max(0.0, share)) * size)
    return full * done + empty * (size - done)


def lines_of(look: ExperimentLook, title: str, limit: int, hint: str = "") -> list[str]:
    """Everything, the most important first: a small terminal cuts the rest."""
    found = [click.style(title, bold=True), phase_line(look), "", so_far_line(look)]
    found += [click.style(f"! {text}", fg="yellow") for text in look.load.warnings]
    if look.faults:
        rows = [_fault_row(one, look.second) for one in look.faults]
        paint = {"STATE": lambda text: click.style(text, fg="red") if text[:2] == "on" else text}
        found += ["", *grid_lines(
            FAULT_TITLES, rows, right=FAULT_TITLES[4:], give="WHAT", paint=paint, limit=limit
        )]  # fmt: skip
    if look.now.flows:
        found += ["", *_flow_lines(look.now.flows, limit)]
    found += ["", _load_line(look)]
    return [*found, "", hint] if hint else found


def phase_line(look: ExperimentLook) -> str:
    """`fault  ████····  0:08 left, then recovery   0:42 of 1:50`."""
    phase, second = look.phase, look.second
    name = click.style(phase.name, bold=True)
    if phase.begins is None or phase.ends is None or look.load.state != "running":
        what = f": {phase.text}" if phase.text else ""
        return f"{name}{what}" + (f"  {clock_text(second)}" if second > 0 else "")
    share = (second - phase.begins) / max(1.0, phase.ends - phase.begins)
    left = f"{clock_text(max(0.0, phase.ends - second))} left"
    then = f", then {phase.follows}" if phase.follows else ""
    return f"{name}  {bar(share)}  {left}{then}   {clock_text(second)} of {clock_text(phase.total)}"


def so_far_line(look: ExperimentLook) -> str:
    """`so far: graceful  good calls 61 % of the usual  expected: graceful`."""
    now = look.now
    facts = []
    if now.word:
        facts.append(f"so far: {word_text(now.word)}")
    if now.remark:
        facts.append(now.remark)
    if now.kept is not None:
        facts.append(f"good calls {share_text(now.good)}, {share_text(now.kept)} of the usual")
    elif now.good is not None:
        facts.append(f"good calls {share_text(now.good)}")
    if look.expect:
        facts.append(f"expected: {look.expect}")
    return GAP.join(facts) or "no call yet"


def state_text(one: FaultLook, second: float) -> str:
    """`in 0:12`, `on for 3s`, `over after 20s`."""
    if one.on is None:
        return f"in {clock_text(one.begins - second)}" if second < one.begins else "not yet on"
    if one.off is None:
        return f"on for {span(max(0.0, second - one.on))}"
    return f"over after {span(one.off - one.on)}"


def _fault_row(one: FaultLook, second: float) -> list[str]:
    return [
        one.name,
        one.text,
        f"{clock_text(one.begins)} to {clock_text(one.ends)}",
        state_text(one, second),
        number(one.matched),
        number(one.fired),
    ]


def _flow_lines(flows: Sequence[FlowNow], limit: int) -> list[str]:
    rows = [_flow_row(one) for one in flows]
    return grid_lines(
        FLOW_TITLES, rows, right=FLOW_TITLES[2:], give="FLOW", paint=_PAINT, limit=limit
    )


def _flow_row(one: FlowNow) -> list[str]:
    hit = {True: "yes", False: "no", None: "?"}[one.uses]
    return [
        one.name,
        hit,
        rate_text(one.rate),
        share_text(one.good),
        share_text(one.usual),
        share_text(one.kept),
        time_text(one.p95),
        number(one.honest) if one.usual is not None else "-",
        number(one.dishonest) if one.usual is not None else "-",
    ]


def _lost(text: str) -> str:
    known = text.rstrip(" %").lstrip("<>")
    return click.style(text, fg="red") if known.replace(".", "").isdigit() and _low(known) else text


def _low(text: str) -> bool:
    return float(text) < 95


_PAINT = {"KEPT": _lost}


def _load_line(look: ExperimentLook) -> str:
    load = look.load
    facts = [f"offered {rate_text(load.arrived)}", f"in flight {number(load.in_flight)}"]
    if load.arrivals.dropped:
        facts.append(click.style(f"dropped {number(load.arrivals.dropped)}", fg="red"))
    return GAP.join(facts)


def plain_line(look: ExperimentLook) -> str:
    """All that matters in one line, for logs and for CI."""
    phase, now = look.phase, look.now
    where = phase.name
    if phase.ends is not None and phase.begins is not None:
        where += f" {clock_text(max(0.0, phase.ends - look.second))} left"
    total = f"{clock_text(look.second)}/{clock_text(phase.total)}"
    facts = [time.strftime("%H:%M:%S"), total, where]
    facts += [f"offered {rate_text(look.load.arrived)}", f"good {share_text(now.good)}"]
    if now.kept is not None:
        facts.append(f"kept {share_text(now.kept)}")
    on = [one for one in look.faults if one.on is not None and one.off is None]
    facts += [f"{one.name} fired {number(one.fired)}" for one in on]
    if now.word:
        facts.append(f"so far {now.word}")
    return GAP.join(facts)
