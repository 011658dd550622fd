"""The tables of a run's page: objectives, checks, flows, failures, agents, events, the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rascal.histogram import Histogram
from rascal.load.masking import mask_data, mask_url
from rascal.load.outputs.checks import checks, limit_text, measured_text, where_text
from rascal.load.outputs.gathered import Gathered
from rascal.load.types import OUTCOMES, SERVED, Row, Sample
from rascal.load.words import plan_lines, value_words
from rascal.report.page import Code, Facts, Message
from rascal.report.tables import Cell, Cells, Table, table
from rascal.report.words import clock_text, number, rate_text, share_text, time_text

TIMES = (50.0, 95.0, 99.0, 99.9)
EVENTS = 500
"""Rows of the timeline's table."""
FLOWS = 200
SAMPLES = 3
"""Of a flow and outcome."""
MESSAGES = 40
UNCORRECTED = "* from the actual start: what a tool shows that does not correct"


def objectives(it: Gathered) -> Table | None:
    """How each came out; None if none was asked."""
    states: Sequence[Mapping[str, Any]] = it.summary.get("objectives") or ()
    if not states:
        return None
    rows: list[Cells] = [
        [
            str(one.get("text", "")),
            Cell("✓ kept", "good") if one.get("kept") else Cell("✗ not kept", "bad"),
            measured_text(one),
            limit_text(one),
            str(one.get("why") or where_text(one, it.seconds)),
        ]
        for one in states
    ]
    return table(
        ("Objective", "Result", "Measured", "Limit", "When"), rows, words=("Result", "When")
    )


def validity(it: Gathered) -> Table:
    """Does it prove anything?"""
    rows: list[Cells] = []
    for check in checks(it):
        good, bad = Cell("✓ yes", "good"), Cell("✗ no", "bad" if check.fatal else "warn")
        rows.append([check.name, good if check.good else bad, check.text])
    return table(("Check", "Result", "Found"), rows, words=("Result", "Found"))


# ---- flows


def flows(it: Gathered) -> Table:
    """A row for each flow, the busiest first, and their sum."""
    names = sorted(it.flows, key=lambda name: -it.flows[name].planned)
    shown = {name: it.flows[name] for name in names[:FLOWS]}
    rows: list[Cells] = [[name, *_cells(row, it.rates(name, row))] for name, row in shown.items()]
    total = len(rows) > 1
    if total:
        rows.append(["all", *_cells(it.all, it.rates(None, it.all))])
    titles = ("Flow", "Calls", "Offered", "Served", "Failed", *_titles(), "p50*", "p99*", "max*")
    note = f"Times from the intended start; {UNCORRECTED}."
    if len(names) > FLOWS:
        note += f" {len(names) - FLOWS} flows with fewer calls are left out."
    return table(titles, rows, note=note, total=total)


def _titles() -> list[str]:
    return [*(f"p{share:g}" for share in TIMES), "max"]


def _cells(row: Row, rates: tuple[float | None, float | None]) -> list[Cell]:
    served = row.outcomes.get(SERVED, 0)
    failed = (row.planned - served) / row.planned if row.planned else None
    return [
        Cell(number(row.planned)),
        *(Cell(rate_text(one)) for one in rates),
        Cell(share_text(failed), "bad" if failed else ""),
        *_times(row.served, TIMES),
        *_times(row.served_actual, (50.0, 99.0), "quiet"),
    ]


def _times(histogram: Histogram, shares: Sequence[float], tone: Any = "") -> Iterator[Cell]:
    if histogram.count <= 0:
        yield from (Cell("-", "quiet") for _ in (*shares, "max"))
        return
    for value in (*histogram.percentiles(shares), histogram.most / 1e6):
        yield Cell(time_text(value), tone)


def outcomes(it: Gathered) -> Table | None:
    """Flows by class of outcome; None if all was served."""
    there = [one for one in OUTCOMES if _count(it.all, one)]
    if there in ([], [SERVED]):
        return None
    more = [name for name in ("reduced", "retries") if _count(it.all, name)]
    rows: list[Cells] = [
        [name, *(_count_cell(row, one) for one in (*there, *more))]
        for name, row in it.flows.items()
    ]
    total = len(rows) > 1
    if total:
        rows.append(["all", *(_count_cell(it.all, one) for one in (*there, *more))])
    return table(("Flow", *there, *more), rows, total=total)


def _count(row: Row, name: str) -> int:
    if name == "dropped":
        return row.dropped
    if name == "reduced":
        return row.reduced
    if name == "retries":
        return row.attempts - row.started
    return row.outcomes.get(name, 0)


def _count_cell(row: Row, name: str) -> Cell:
    count = _count(row, name)
    bad = name not in (SERVED, "reduced", "retries")
    return Cell(number(count), "bad" if count and bad else "" if count else "quiet")


def scenarios(it: Gathered) -> Table | None:
    """Iterations: whole passes through a scenario."""
    if not it.scenarios:
        return None
    rows: list[Cells] = []
    for name, row in it.scenarios.items():
        failed = row.started - row.outcomes.get(SERVED, 0)
        rows.append(
            [
                Cell(name),
                Cell(number(row.planned)),
                Cell(rate_text(row.planned / it.seconds if it.seconds else None)),
                Cell(number(row.started)),
                Cell(number(row.dropped), "bad" if row.dropped else ""),
                Cell(number(failed), "bad" if failed else ""),
                *_times(row.served, (50.0, 95.0, 99.0)),
            ]
        )
    titles = (
        "Scenario", "Iterations", "Rate", "Started", "Dropped", "Failed", "p50", "p95", "p99", "max"
    )  # fmt: skip
    return table(titles, rows, note="Times of whole iterations, think times included.")


# ---- failures


def failing(it: Gathered) -> list[Message]:
    """Failing exchanges that were kept, a few of each flow and outcome. They are masked already."""
    kept: dict[tuple[str, str], int] = {}
    found: list[Message] = []
    for sample in it.samples:
        key = (sample.flow, sample.outcome)
        kept[key] = kept.get(key, 0) + 1
        if kept[key] <= SAMPLES and len(found) < MESSAGES:
            found.append(message(sample))
    return found


def message(sample: Sample) -> Message:
    """An exchange under one line."""
    what = f"{sample.method} {sample.url}".strip()
    more = [sample.detail] if sample.detail else []
    more += [what] if what else []
    more += [f"at {clock_text(sample.second)}", f"took {time_text(sample.took)}"]
    if sample.attempts > 1:
        more.append(f"{sample.attempts} attempts")
    parts = [("Request", sample.request), ("Reply", sample.reply)]
    return Message(
        title=sample.flow,
        label=sample.outcome,
        more=", ".join(more),
        parts=[(name, _shown(text)) for name, text in parts if text],
    )


def _shown(text: str) -> str:
    """Control characters made visible."""
    text = text.replace("\r\n", "\n")
    return "".join(one if one >= " " or one in "\n\t" else chr(0x2400 + ord(one)) for one in text)


# ---- agents, events


def agents(it: Gathered) -> Table | None:
    """The tool itself."""
    if not it.sums:
        return None
    known = it.summary.get("agents") or {}
    rows: list[Cells] = []
    for name, one in it.sums.items():
        about = known.get(name, {})
        seconds = [meters for meters in it.agents[name] if meters is not None]
        bad = sum(1 for meters in seconds if meters.unsound)
        late = one.lateness
        lost = str(about.get("lost") or "")
        state = Cell("lost", "bad", lost) if lost else Cell("yes", "good")
        if bad and not lost:
            unsound = about.get("unsound") or dict.fromkeys(one.unsound, "")
            words = ", ".join(f"{word} {times}".strip() for word, times in unsound.items())
            state = Cell("not always", "warn", words)
        rows.append(
            [
                Cell(name, more=str(about.get("host") or "")),
                state,
                Cell(share_text(one.cpu)),
                Cell(share_text(one.busy)),
                Cell(time_text(one.lag)),
                Cell(time_text(late.percentile(99)) if late.count > 0 else "-"),
                Cell(number(one.in_flight)),
                Cell(number(one.begun)),
                Cell(number(one.connections)),
                Cell(number(one.reused_lost)),
            ]
        )
    titles = (
        "Agent", "Sound", "CPU", "Busy", "Lag", "Late p99", "In flight", "Requests", "Connections",
        "Resent",
    )  # fmt: skip
    return table(
        titles,
        rows,
        words=("Sound",),
        note="CPU, busy, lag and in flight: the highest second.",
    )


def events(it: Gathered) -> Table | None:
    """The timeline; the numbers are those in the plots."""
    rows: list[Cells] = [
        [
            Cell(str(at)),
            Cell(clock_text(event.second)),
            Cell(event.kind.replace("_", " ")),
            Cell(event.text, more=event.agent if event.agent not in event.text else ""),
        ]
        for at, event in enumerate(it.events[:EVENTS], 1)
    ]
    if not rows:
        return None
    left = len(it.events) - EVENTS
    note = f"{number(left)} more are left out: rascal runs events {it.run.id}" if left > 0 else ""
    return table(("Number", "Time", "Kind", "What"), rows, words=("Kind", "What"), note=note)


# ---- configuration


def plan(it: Gathered) -> Facts:
    """What was run; secrets are masked."""
    run = it.run
    plan = mask_data(run.plan)
    if "target" in plan:
        plan["target"] = mask_url(str(plan["target"]))
    facts = [(name, words) for name, words in plan_lines(plan)]
    facts += [
        ("seed", "" if run.seed is None else str(run.seed)),
        ("labels", ", ".join(run.labels)),
        ("files", ", ".join(f"{name} (SHA-256 {at[:12]}…)" for name, at in it.digests.items())),
        ("versions", value_words(run.versions)),
        ("host", run.host),
    ]
    return Facts([one for one in facts if one[1]])


def again(it: Gathered) -> list[Code]:
    """How to do it once more."""
    command = str(it.run.about.get("command") or "")
    found = []
    if it.run.id and it.digests:
        text = f"rascal runs sources {it.run.id} --into again"
        found.append(Code(text, "The files as they were, out of the run store"))
    if command:
        title = "The command; the same seed gives the same arrivals, picks and think times"
        found.append(Code(command, title))
    if it.run.id:
        text = f"rascal runs compare {it.run.id} last"
        found.append(Code(text, "And then: what differs, and how surely"))
    return found
