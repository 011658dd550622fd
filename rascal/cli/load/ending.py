"""The report at the end of a run: the table, objectives, what makes it worth less, what next.

Latencies stand twice, side by side: from when a call should have started (what users see) and
from when it did start (what a tool reports that waits for replies before it sends the next
request). Where the two differ, the target was slow or the tool was late; the notes say which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from rascal.cli.load.following import ends_of
from rascal.cli.output import again, grid_lines, number, tick
from rascal.load.types import SERVED, Row
from rascal.report.words import clock_text, rate_text, share_text, time_text, value_text

if TYPE_CHECKING:
    from rascal.load.plan import Plan
    from rascal.load.results import Results

TITLES = ("FLOW", "OFFERED", "GOODPUT", "FAILED", "p50", "p95", "p99", "max")
ACTUAL = ("p50*", "p95*", "p99*", "max*")
MEASURES = ("p50", "p95", "p99", "max")
WIDE = 110
"""Columns from which on both latencies stand in one table."""
FOOTNOTE = "* from the actual start of each call: what it looks like without correction"
ALL = "all"
FAILING = 5
"""Samples of failures that are shown."""


@attrs.frozen(kw_only=True)
class Ended:
    """What the report is made of: a run of this process, or one read from the store."""

    run: str
    outcome: str
    status: int | None
    plan: Plan
    results: Results
    summary: Mapping[str, Any]
    kept: bool = True
    """Whether it is in the store."""


def seconds_of(ended: Ended) -> float:
    """For how long load was offered; without a summary, as far as reports tell."""
    if isinstance(ended.summary.get("seconds"), int | float):
        return float(ended.summary["seconds"])
    seconds = [
        second
        for name in ended.results.scenarios
        for second, row in ended.results.rows("scenario", name).items()
        if row.planned
    ]
    lasted = float(max(seconds, default=-1) + 1)
    ends = ends_of(ended.plan.shares)
    if ends is not None and lasted > ends - 1:
        return min(ends, lasted) if lasted >= ends else ends
    return lasted


def lines_of(ended: Ended, limit: int | None) -> list[str]:
    """The whole report."""
    seconds = seconds_of(ended)
    found = _table(ended, seconds, limit)
    outcomes = _outcomes(ended)
    if outcomes:
        found += ["", outcomes]
    found += _objectives(_states(ended))
    notes = notes_of(ended)
    if notes:
        spoilt = ended.summary.get("invalid", ())
        found += [""]
        found += [
            click.style(f"! {text}", fg="red" if text in spoilt else "yellow") for text in notes
        ]
    found += _samples(ended)
    return [*found, "", *_last_lines(ended, seconds)]


# ---- the table


def _table(ended: Ended, seconds: float, limit: int | None) -> list[str]:
    results = ended.results
    flows = list(results.flows)
    rows = [(name, results.total("flow", (name,))) for name in flows]
    if len(rows) > 1:
        rows.append((ALL, results.total("flow")))
    if not rows:
        return ["no call was made"]
    states = _states(ended)
    wide = limit is None or limit >= WIDE
    cells = []
    for name, row in rows:
        names = flows if name == ALL else [name]
        first = [name, *_rates(results, names, row, seconds), *_latency(row)]
        own = [one for one in states if (one.get("flow") or ALL) == name]
        texts = [f"{one['text']}  {_kept(one['kept'])}" for one in own] or [""]
        first += [*_latency(uncorrected(row)), texts[0]] if wide else [texts[0]]
        cells.append(first)
        cells += [[""] * (len(first) - 1) + [text] for text in texts[1:]]
    titles = [*TITLES, *(ACTUAL if wide else ()), "OBJECTIVE"]
    if not any(one[-1] for one in cells):
        titles = titles[:-1]
        cells = [one[:-1] for one in cells]
    right = (*TITLES[1:], *ACTUAL)
    found = grid_lines(titles, cells, right=right, give="FLOW", paint=_PAINT, limit=limit)
    if not wide:
        found += ["", *grid_lines(
            ["FLOW", *ACTUAL],
            [[name, *_latency(uncorrected(row))] for name, row in rows],
            right=ACTUAL, give="FLOW", limit=limit,
        )]  # fmt: skip
    return [*found, click.style(FOOTNOTE, dim=True)]


def _rates(results: Results, names: Sequence[str], row: Row, seconds: float) -> list[str]:
    from rascal.load.measures import value
    from rascal.load.measuring import rates

    if seconds <= 0:
        return ["-"] * 3
    offered, good = rates(results, names, seconds)
    return [rate_text(offered), rate_text(good), share_text(value("failed", row, seconds))]


def _latency(row: Row) -> list[str]:
    from rascal.load.measures import value

    if row.served.count <= 0:
        return ["-"] * 4
    return [time_text(value(name, row, 1.0)) for name in MEASURES]


def uncorrected(row: Row) -> Row:
    """A row with its latencies from the actual start."""
    found = Row()
    found.served, found.explicit = row.served_actual, row.explicit_actual
    return found


def _red(text: str) -> str:
    return text if text in ("-", "0.0 %") else click.style(text, fg="red")


def _objective_paint(text: str) -> str:
    return click.style(text, fg="red" if text.endswith("not kept") else "green")


_PAINT = {"FAILED": _red, "OBJECTIVE": _objective_paint}


def _kept(kept: bool | None) -> str:
    return "kept" if kept else "not kept"


# ---- below it


def _outcomes(ended: Ended) -> str:
    row = ended.results.total("flow")
    counts = dict(row.outcomes)
    if row.dropped:
        counts["dropped"] = row.dropped
    order = sorted(counts.items(), key=lambda item: (item[0] != SERVED, -item[1]))
    texts = [f"{name} {number(count)}" for name, count in order if count]
    if row.reduced:
        texts.append(f"reduced {number(row.reduced)}")
    retries = row.attempts - row.started
    if retries > 0:
        texts.append(f"attempts {number(row.attempts)} ({row.attempts / row.started:.2f} a call)")
    return "  ".join(texts)


def _states(ended: Ended) -> Sequence[Mapping[str, Any]]:
    """How objectives came out, as plain data."""
    from rascal.load.measures import objective_states

    if "objectives" in ended.summary:
        found: Sequence[Mapping[str, Any]] = ended.summary["objectives"]
        return found
    return [one.json() for one in objective_states(ended.plan.objectives, ended.results)]


def _objectives(states: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [""] if states else []
    for one in states:
        kept = bool(one["kept"])
        mark = click.style(tick(kept), fg="green" if kept else "red", bold=True)
        found.append(f"{mark} {one['text']}  {_kept(kept)}: {_measured(one)}")
    return found


def _measured(state: Mapping[str, Any]) -> str:
    """The value beside its limit, or why there is none."""
    if state.get("value") is None:
        return str(state.get("why") or "nothing was measured")
    return value_text(state.get("type"), state["value"])


def notes_of(ended: Ended) -> list[str]:
    """What makes the numbers worth less than they look, the summary's own words first."""
    found = [str(text) for text in ended.summary.get("warnings", ())]
    lost = sum(
        meters.reused_lost
        for seconds in ended.results.meters.values()
        for meters in seconds.values()
    )
    if lost:
        found.append(
            f"{number(lost)} requests were sent again: the target had closed their kept connection"
        )
    return found


def _samples(ended: Ended) -> list[str]:
    """The first of each kind of failure."""
    found: dict[tuple[str, str], Any] = {}
    for sample in ended.results.samples:
        found.setdefault((sample.flow, sample.outcome), sample)
    if not found:
        return []
    lines = ["", click.style("FAILURES, ONE OF EACH KIND", bold=True)]
    for sample in list(found.values())[:FAILING]:
        what = f"{sample.method} {sample.url}".strip() or sample.flow
        lines.append(
            f"{clock_text(sample.second)}  {sample.flow}  {sample.outcome}"
            + (f": {sample.detail}" if sample.detail else "")
            + f"  ({what}, {time_text(sample.took)})"
        )
    if len(found) > FAILING:
        lines.append(f"… and {len(found) - FAILING} kinds more")
    return lines


MEANINGS = {
    1: "an objective was not kept",
    3: "it proves nothing",
}


def _last_lines(ended: Ended, seconds: float) -> list[str]:
    meaning = MEANINGS.get(ended.status or 0, "")
    why = str(ended.summary.get("why") or "")
    words = [f"{ended.outcome} after {clock_text(seconds)}"]
    words += [text for text in (meaning, why) if text]
    if not ended.kept:
        return [f"not stored: {': '.join(words)}"]
    shares = ", ".join(
        str(one["profile"]) for one in ended.summary.get("load", ()) if one.get("profile")
    )
    found = [f"run {ended.run}: {': '.join(words)}" + (f"  ({shares})" if shares else "")]
    found.append(f"look at it again: {again(f'rascal runs show {ended.run}')}")
    return found
