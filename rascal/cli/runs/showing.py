"""`rascal runs show`: one run in words and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from rascal.cli.output import again, as_json, grid, heading, number, say, span, tick
from rascal.cli.runs.common import ended, lasted, percent, rate, run_names, summing, when
from rascal.cli.runs.timeline import show_events
from rascal.load.types import OUTCOMES, SERVED, Meters, Row
from rascal.load.words import phrase, plan_lines, value_words
from rascal.store import Run, Store
from rascal.store.masking import masked
from rascal.units import plain_text

ALL = "all"
EVENTS = 20
STRETCHES = 8
"""Of unsound seconds that are named."""
TIMES = (50.0, 95.0, 99.0)
TITLES = (
    "FLOW",
    "OFFERED",
    "GOODPUT",
    "FAILED",
    "p50",
    "p95",
    "p99",
    "max",
    "p50*",
    "p95*",
    "p99*",
    "max*",
)
FOOTNOTE = (
    "Times count from when a call should have started; * from when it did start: what a tool "
    "shows that does not correct."
)


@click.command()
@click.argument("run", default="last", shell_complete=run_names)
@summing
def show(store: Store, run: str, json_: bool) -> None:
    """Show RUN (the last one): what was run, flows, outcomes, objectives, agents, events."""
    found = store.run(run)
    flows = _totals(store, found, "flow")
    if json_:
        as_json(_as_json(store, found, flows))
        return
    _head(store, found)
    seconds = _seconds(store, found)
    _flows(flows, seconds, found.summary)
    _outcomes(flows)
    scenarios = _totals(store, found, "scenario")
    if scenarios:
        _scenarios(scenarios, seconds)
    _objectives(found)
    _agents(store.meters(found.id))
    _findings(found)
    _events(store, found)


def _totals(store: Store, run: Run, kind: str) -> dict[str, Row]:
    return {name: store.total(run.id, kind, name) for name in store.flows(run.id, kind)}


def _as_json(store: Store, run: Run, flows: Mapping[str, Row]) -> dict[str, Any]:
    from rascal.load.measuring import row_data
    from rascal.store.export import run_json

    seconds = _seconds(store, run)
    return {
        **run_json(run),
        "files": store.digests(run.id),
        "flows": {name: row_data(row, seconds) for name, row in flows.items()},
        "scenarios": {
            name: row_data(row, seconds) for name, row in _totals(store, run, "scenario").items()
        },
        "agents": {
            name: {
                "seconds": len(seconds),
                "unsound": sum(1 for one in seconds.values() if one.unsound),
            }
            for name, seconds in store.meters(run.id).items()
        },
        "events": len(store.events(run.id)),
        "samples": len(store.samples(run.id)),
        "data": store.data(run.id),
    }


def _seconds(store: Store, run: Run) -> float:
    """For how long load was offered."""
    told = run.summary.get("seconds")
    if isinstance(told, int | float) and told > 0:
        return float(told)
    there = store.seconds(run.id, "scenario") or store.seconds(run.id)
    return float(there[1] + 1) if there else 0.0


def _head(store: Store, run: Run) -> None:
    took = lasted(run)
    title = f"run {run.id}  {run.name}  {ended(run)}"
    title += "" if run.status is None else f", status {run.status}"
    say(click.style(title, bold=True))
    if run.state == "lost":
        say(
            f"its process ({run.pid} on {run.host}) is gone and left no word; what it had "
            "reported by then is here"
        )
    why = run.summary.get("why")
    lines = [
        ("began", when(run) + ("" if took is None else f", took {span(took)}")),
        *([("why", str(why))] if why else []),
        *plan_lines(masked(run.plan)),
        ("seed", "" if run.seed is None else str(run.seed)),
        ("labels", ", ".join(run.labels)),
        ("forked from", run.forked_from),
        ("files", ", ".join(f"{k} ({v[:8]})" for k, v in store.digests(run.id).items())),
        ("versions", value_words(run.versions)),
        ("host", run.host),
    ]
    lines = [(what, words) for what, words in lines if words]
    size = max(len(what) for what, _ in lines)
    for what, words in lines:
        say(f"  {what.ljust(size)}  {words}")


def _flows(flows: Mapping[str, Row], seconds: float, summary: Mapping[str, Any]) -> None:
    if not flows:
        say()
        say("nothing was reported")
        return
    rows = {ALL: _sum(flows), **flows} if len(flows) > 1 else dict(flows)
    heading("flows")
    right = TITLES[1:]
    # Its own rates leave out what began after the end of the load.
    told = {ALL: summary.get("total"), **(summary.get("flows") or {})}
    cells = [(name, *_flow_cells(row, seconds, told.get(name))) for name, row in rows.items()]
    grid(TITLES, cells, right=right)
    say(FOOTNOTE)


def _sum(flows: Mapping[str, Row]) -> Row:
    found = Row()
    for row in flows.values():
        found.add(row)
    return found


def _flow_cells(row: Row, seconds: float, told: Mapping[str, Any] | None) -> Iterator[str]:
    served = row.outcomes.get(SERVED, 0)
    if told and "offered" in told and "goodput" in told:
        yield rate(told["offered"])
        yield rate(told["goodput"])
    else:
        yield rate(row.planned / seconds) if seconds else "-"
        yield rate(served / seconds) if seconds else "-"
    yield percent((row.planned - served) / row.planned) if row.planned > 0 else "-"
    for histogram in (row.served, row.served_actual):
        if histogram.count <= 0:
            yield from ("-",) * 4
            continue
        for value in histogram.percentiles(TIMES):
            yield time(value)
        yield time(histogram.most / 1e6)


def time(seconds: float) -> str:
    """A latency; short ones in microseconds."""
    return f"{seconds * 1e6:.0f}us" if seconds < 0.001 else span(seconds)


def _outcomes(flows: Mapping[str, Row]) -> None:
    counts = {
        name: {SERVED: row.outcomes.get(SERVED, 0), **row.outcomes, "dropped": row.dropped}
        for name, row in flows.items()
    }
    there = [one for one in OUTCOMES if any(count.get(one) for count in counts.values())]
    more = [
        (name, len(flows) and any(getattr(row, name) for row in flows.values()))
        for name in ("reduced",)
    ]
    extra = [name for name, is_there in more if is_there]
    retried = any(row.attempts > row.started for row in flows.values())
    if not there:
        return
    heading("outcomes")
    titles = ("FLOW", "PLANNED", *there, *extra, *(["attempts"] if retried else []))
    grid(
        titles,
        [
            (
                name,
                number(row.planned),
                *(number(counts[name].get(one, 0)) for one in there),
                *(number(getattr(row, one)) for one in extra),
                *([number(row.attempts)] if retried else []),
            )
            for name, row in flows.items()
        ],
        right=titles[1:],
    )


def _scenarios(scenarios: Mapping[str, Row], seconds: float) -> None:
    heading("scenarios")
    titles = ("SCENARIO", "PLANNED", "RATE", "STARTED", "DROPPED", "FAILED", "p50", "p95", "max")
    rows = []
    for name, row in scenarios.items():
        failed = row.started - row.outcomes.get(SERVED, 0)
        p50, p95 = row.served.percentiles((50, 95)) if row.served.count > 0 else (None, None)
        rows.append(
            (
                name,
                number(row.planned),
                rate(row.planned / seconds) if seconds else "-",
                number(row.started),
                number(row.dropped),
                number(failed),
                "-" if p50 is None else time(p50),
                "-" if p95 is None else time(p95),
                time(row.served.most / 1e6) if row.served.count > 0 else "-",
            )
        )
    grid(titles, rows, right=titles[1:])


def _objectives(run: Run) -> None:
    known = run.summary.get("objectives")
    asked = run.plan.get("objectives") or ()
    if not known and not asked:
        return
    heading("objectives")
    if not known:
        for one in asked:
            say(f"{phrase('objective', one)}  not judged")
        return
    grid(
        ("", "OBJECTIVE", "VALUE", "WHY"),
        [
            (
                tick(bool(one.get("kept"))),
                str(one.get("text", "")),
                measured(one.get("type"), one.get("value")),
                str(one.get("why") or _windows(one)),
            )
            for one in known
        ],
        right=("VALUE",),
        paint={"": lambda text: click.style(text, fg="green" if text == tick(True) else "red")},
    )


def measured(type_: Any, value: Any) -> str:
    """A value of an objective in its own unit."""
    if not isinstance(value, int | float):
        return "-"
    if type_ == "duration":
        return time(value)
    if type_ == "percentage":
        return percent(value)
    return rate(value) if type_ == "rate" else plain_text("number", round(value, 3))


def _windows(one: Mapping[str, Any]) -> str:
    of, failed = one.get("of", 1), one.get("failed", 0)
    return f"in {failed} of {of} windows" if failed and of > 1 else ""


def _agents(agents: Mapping[str, Mapping[int, Meters]]) -> None:
    if not agents:
        return
    heading("agents")
    titles = ("AGENT", "SECONDS", "CPU", "BUSY", "LAG", "LATE p99", "IN FLIGHT", "UNSOUND")
    rows = []
    for name, seconds in agents.items():
        every = list(seconds.values())
        late = every[0].lateness.copy()
        for one in every[1:]:
            late.add(one.lateness)
        reasons = dict.fromkeys(word for one in every for word in one.unsound)
        bad = sum(1 for one in every if one.unsound)
        rows.append(
            (
                name,
                number(len(every)),
                percent(max(one.cpu for one in every), 0),
                percent(max(one.busy for one in every), 0),
                time(max(one.lag for one in every)),
                time(late.percentile(99)) if late.count > 0 else "-",
                number(max(one.in_flight for one in every)),
                f"{bad} s: {', '.join(reasons)}" if bad else "0",
            )
        )
    grid(titles, rows, right=titles[1:-1])
    say("CPU, busy, lag and in flight: the highest second.")
    unsound = unsound_line(agents)
    if unsound:
        say(click.style(f"! {unsound}", fg="yellow"))


def unsound_line(agents: Mapping[str, Mapping[int, Meters]]) -> str:
    """The seconds in which an agent was the bottleneck, and why; "" if there are none."""
    bad: set[int] = set()
    reasons: Counter[str] = Counter()
    for seconds in agents.values():
        for second, meters in seconds.items():
            if meters.unsound:
                bad.add(second)
                reasons.update(meters.unsound)
    if not bad:
        return ""
    ranges = stretches(sorted(bad))
    shown = ", ".join(ranges[:STRETCHES]) + (", …" if len(ranges) > STRETCHES else "")
    why = ", ".join(f"{reason} {times}" for reason, times in reasons.most_common())
    return f"unsound: second{'s' if len(bad) > 1 else ''} {shown}: an agent was too slow ({why})"


def stretches(seconds: Sequence[int]) -> list[str]:
    """`3`, `7-9`: sorted numbers, what is on end together."""
    found: list[list[int]] = []
    for one in seconds:
        if found and one == found[-1][1] + 1:
            found[-1][1] = one
        else:
            found.append([one, one])
    return [f"{a}" if a == b else f"{a}-{b}" for a, b in found]


def _findings(run: Run) -> None:
    """What makes it worth less."""
    found = run.summary.get("warnings") or ()
    if found:
        heading("mind")
        for one in found:
            say(f"! {one}")


def _events(store: Store, run: Run) -> None:
    found = store.events(run.id)
    if not found:
        return
    heading("events")
    show_events(found[:EVENTS])
    if len(found) > EVENTS:
        more = again(f"rascal runs events {run.id}")
        say(f"… and {number(len(found) - EVENTS)} more: {more}")
    kept = len(store.samples(run.id))
    if kept:
        them = again(f"rascal runs samples {run.id}")
        say(f"{number(kept)} failing exchanges were kept: {them}")
