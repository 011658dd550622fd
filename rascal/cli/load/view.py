"""The live view of a run, as lines: for a terminal, and one plain line a second for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from rascal.cli.load.look import AgentLook, FlowLook, Look
from rascal.cli.output import GAP, grid_lines, number
from rascal.load.types import SERVED
from rascal.report.words import clock_text, rate_text, share_text, time_text

FLOW_TITLES = ("FLOW", "CALLS", "RATE", "OK", "FAILED", "p50", "p95", "p99", "max")
AGENT_TITLES = ("AGENT", "HOST", "CPU", "BUSY", "LAG", "LATE p99", "IN FLIGHT", "SOUND")
BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = ".:-=+*%#"
BAR = 24
CURVE = 40
MANY_AGENTS = 12


# ---- words


def can_draw() -> bool:
    """Whether the terminal shows more than ASCII."""
    return "utf" in (sys.stdout.encoding or "").lower()


def curve(values: Sequence[float | None], size: int = CURVE) -> str:
    """A small picture of the last values, from 0 to the greatest; a blank where there is none."""
    blocks = BLOCKS if can_draw() else PLAIN_BLOCKS
    shown = values[-size:]
    top = max((one for one in shown if one is not None), default=0.0)
    if top <= 0:
        return blocks[0] * len(shown)
    return "".join(
        " " if one is None else blocks[min(len(blocks) - 1, int(one / top * len(blocks)))]
        for one in shown
    )


# ---- lines for a terminal


def lines_of(look: Look, title: str, limit: int, hint: str = "") -> list[str]:
    """Everything, the most important first: a small terminal cuts the rest."""
    found = [click.style(title, bold=True), _state_line(look), ""]
    found += _rate_lines(look)
    found += [click.style(f"! {text}", fg="yellow") for text in look.warnings]
    found.append("")
    if look.flows:
        found += _flow_lines(look, limit)
        outcomes = outcome_text(look.calls)
        found += ["", outcomes] if outcomes else []
    if look.rates and len(look.rates) > 1:
        found += ["", *_curve_lines(look)]
    if look.agents:
        found += ["", *_agent_lines(look.agents, limit)]
    return [*found, "", hint] if hint else found


def _state_line(look: Look) -> str:
    now = clock_text(look.second)
    if look.state == "starting":
        return "starting"
    if look.state == "ended":
        return f"ended after {now}"
    if look.state == "draining":
        calls = f"{number(look.in_flight)} in flight"
        return f"{now}  draining: no more arrivals, calls under way may end ({calls})"
    if not look.ends:
        return f"{now}  running, until it is stopped"
    share = min(1.0, max(0.0, look.second / look.ends))
    full, empty = ("█", "·") if can_draw() else ("#", ".")
    done = round(share * BAR)
    left = clock_text(max(0.0, look.ends - look.second))
    bar = full * done + empty * (BAR - done)
    return f"{now} of {clock_text(look.ends)}  {bar}  {left} left"


def _rate_lines(look: Look) -> list[str]:
    wanted = f" of {number(look.target_users)}" if look.target_users else ""
    more = [f"in flight {number(look.in_flight)}", f"users {number(look.users)}{wanted}"]
    if look.arrivals.dropped:
        more.append(click.style(f"dropped {number(look.arrivals.dropped)}", fg="red"))
    if look.calls.counts.reduced:
        more.append(f"reduced {number(look.calls.counts.reduced)}")
    return [GAP.join(_rates(look)), GAP.join(more)]


def _rates(look: Look) -> list[str]:
    """What is offered counts arrivals, or users' rounds; what the target does counts calls."""
    what = "iterations" if look.target_users else "arrivals"
    return [
        f"{what} offered {rate_text(look.arrived)}, started {rate_text(look.started)}",
        f"calls {rate_text(look.calls.rate)}, ok {rate_text(look.calls.ok)}",
    ]


def _flow_lines(look: Look, limit: int) -> list[str]:
    rows = [_flow_row(one) for one in look.flows]
    if len(look.flows) > 1:
        rows.append(_flow_row(look.calls))
    paint = {"FAILED": lambda text: text if text in ("-", "0.0 %") else click.style(text, fg="red")}
    return grid_lines(
        FLOW_TITLES, rows, right=FLOW_TITLES[1:], give="FLOW", paint=paint, limit=limit
    )


def _flow_row(one: FlowLook) -> list[str]:
    latency = [time_text(value) for value in one.latency] or ["-"] * 4
    counts = one.counts
    return [
        one.name,
        number(counts.started),
        rate_text(one.rate),
        rate_text(one.ok),
        share_text(counts.failed),
        *latency,
    ]


def outcome_text(one: FlowLook, *, empty: str = "") -> str:
    """`served 1,204  timeout 3  dropped 1`: the classes that there are, the commonest first."""
    outcomes = dict(one.counts.outcomes)
    if one.counts.dropped:
        outcomes["dropped"] = one.counts.dropped
    there = sorted(
        ((name, count) for name, count in outcomes.items() if count),
        key=lambda item: (item[0] != SERVED, -item[1]),
    )
    return GAP.join(f"{name} {number(count)}" for name, count in there) or empty


def _curve_lines(look: Look) -> list[str]:
    tails = [one for one in look.tails[-CURVE:] if one is not None]
    highest = max(look.rates[-CURVE:])
    found = [f"rate {curve(look.rates)}  up to {rate_text(highest)}"]
    if tails:
        found.append(f"p99  {curve(look.tails)}  up to {time_text(max(tails))}")
    return found


def _agent_lines(agents: Sequence[AgentLook], limit: int) -> list[str]:
    """Those in trouble first; of many only the first dozen."""
    order = sorted(agents, key=lambda one: (not one.lost, not one.unsound, one.name))
    rows = [_agent_row(one) for one in order[:MANY_AGENTS]]
    paint = {
        "SOUND": lambda text: text if text == "yes" else click.style(text, fg="yellow"),
    }
    right = ("CPU", "BUSY", "LAG", "LATE p99", "IN FLIGHT")
    found = grid_lines(AGENT_TITLES, rows, right=right, give="AGENT", paint=paint, limit=limit)
    if len(order) > MANY_AGENTS:
        found.append(f"… and {len(order) - MANY_AGENTS} agents, all well")
    return found


def _agent_row(one: AgentLook) -> list[str]:
    meters = one.meters
    if one.lost or meters is None:
        return [one.name, one.host, *["-"] * 5, "lost" if one.lost else "-"]
    return [
        one.name,
        one.host,
        f"{meters.cpu:.0%}",
        f"{meters.busy:.0%}",
        time_text(meters.lag),
        time_text(one.late),
        number(meters.in_flight),
        ", ".join(one.unsound) or "yes",
    ]


# ---- one line


def plain_line(look: Look) -> str:
    """All that matters in one line, for logs and for CI."""
    when = clock_text(look.second)
    if look.ends:
        when += f"/{clock_text(look.ends)}"
    facts = [time.strftime("%H:%M:%S"), look.state if look.state != "running" else "", when]
    facts += [*_rates(look), f"failed {share_text(look.calls.counts.failed)}"]
    if look.calls.latency:
        names = ("p50", "p95", "p99", "max")
        facts += [
            f"{name} {time_text(value)}"
            for name, value in zip(names, look.calls.latency, strict=True)
        ]
    facts.append(f"in flight {number(look.in_flight)}")
    if look.arrivals.dropped:
        facts.append(f"dropped {number(look.arrivals.dropped)}")
    if look.unsound.seconds:
        facts.append(str(look.unsound))
    return GAP.join(fact for fact in facts if fact)
