"""Two runs of an experiment as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from rascal import __version__
from rascal.experiment.outputs.comparing import Compared, Pair, answer_text
from rascal.experiment.outputs.gathered import FILE
from rascal.experiment.outputs.headline import certainty, expected, kept_text, measured, verdict
from rascal.experiment.outputs.timeline import timeline
from rascal.report.page import Block, Code, Grid, Page, Section, Tone, Words, render
from rascal.report.ranges import Measured, Point, Ranges
from rascal.report.tables import Cell, Cells, Table, table
from rascal.report.words import number, rate_text, share_text, time_text
from rascal.store.compare import Finding

_TONES = {"better": "good", "worse": "bad"}
TIMES = ("before", "after")


def html(it: Compared) -> str:
    """The file."""
    return render(page(it))


def page(it: Compared) -> Page:
    """What stands in it."""
    names = dict.fromkeys(one.name for one in it.both)
    runs = [one.load.run.id for one in it.both]
    shown = [verdict(one) for one in it.both]
    return Page(
        title=" → ".join(names),
        over=f"Two experiments, run {runs[0]} and run {runs[1]}",
        verdicts=[
            attrs.evolve(one, note=f"{when}, run {run}: {one.note}")
            for when, run, one in zip(TIMES, runs, shown, strict=True)
        ],
        headline=[
            it.sentence,
            *(f"{when.capitalize()}: {one.told}" for when, one in zip(TIMES, it.both, strict=True)),
        ],
        tone=_tone(it),
        sections=[one for one in _sections(it) if one.blocks],
        foot=(f"Made by Rascal {__version__}.",),
    )


def _tone(it: Compared) -> Tone:
    answers = {one.answer for one in it.flows}
    if "worse" in answers:
        return "bad"
    return "good" if "better" in answers else ""


def _sections(it: Compared) -> Iterator[Section]:
    ranges = [_ranges(it)] if it.flows else []
    yield Section("flows", "Flows", [*ranges, *_grids(_flows(it))])
    yield Section("verdicts", "Verdicts", _grids(_verdicts(it), _objectives(it)))
    note = "A fault is held against each run's own baseline; here the baselines stand side by side."
    yield Section("baseline", "Before any fault", _grids(_baselines(it)), note)
    yield Section("differs", "What was not the same", list(_differs(it)))
    for when, one in zip(TIMES, it.both, strict=True):
        blocks: list[Block] = [timeline(one)] if one.record.flows and one.end else []
        yield Section(when, f"Timeline {when}: run {one.load.run.id}", blocks)


def _grids(*found: Table | None) -> list[Block]:
    return [Grid(one) for one in found if one is not None]


def _ranges(it: Compared) -> Ranges:
    rows = []
    for one in it.flows:
        points = [
            Point(
                value=flow.kept[0],
                low=max(0.0, flow.kept[1]),
                high=flow.kept[2],
                text=f"{when} {kept_text(flow.kept)}",
                colour="slate" if when == "before" else "blue",
                sign="ring" if when == "before" else "dot",
            )
            for when, flow in zip(TIMES, (one.before, one.after), strict=True)
            if flow is not None
        ]
        rows.append(Measured(name=one.name, points=points, more=answer_text(one)))
    keep = it.after.thresholds.keep
    return Ranges(
        rows=rows,
        limit=keep,
        limit_text=f"lost if all of it lies below {share_text(keep)}",
        legend=(("before", "slate", "ring"), ("after", "blue", "dot")),
        note="The share of good calls during the fault over that of the run's own baseline.",
    )


def _flows(it: Compared) -> Table | None:
    if not it.flows:
        return None
    return table(
        ("Flow", "Kept before", "Kept after", "Change", "Failures", "Well again"),
        [_flow(one) for one in it.flows],
        note="Failures: quick no + bad ones, before → after. Well again: seconds after the fault "
        "ended.",
    )


def _flow(one: Pair) -> Cells:
    both = one.before, one.after
    tone: Tone = _TONES.get(one.answer, "")  # type: ignore[assignment]
    failures = (
        "-" if it is None else f"{number(it.honest)} + {number(it.dishonest)}" for it in both
    )
    well = ("-" if it is None else f"{it.time_to_recover}s" for it in both)
    return [
        one.name,
        *("-" if it is None else kept_text(it.kept) for it in both),
        Cell(answer_text(one), tone),
        " → ".join(failures),
        " → ".join(well),
    ]


def _verdicts(it: Compared) -> Table:
    return table(
        ("Run", "When", "Verdict", "Certainty", "Expected", "Status"),
        [
            [
                one.load.run.id,
                when,
                one.word,
                certainty(one),
                expected(one),
                "-" if one.status is None else str(one.status),
            ]
            for when, one in zip(TIMES, it.both, strict=True)
        ],
        words=("When", "Verdict", "Certainty", "Expected"),
    )


def _objectives(it: Compared) -> Table | None:
    both = [{one.text: one for one in run.objectives} for run in it.both]
    rows: list[Cells] = []
    for text in dict.fromkeys((*both[0], *both[1])):
        row: list[Cell | str] = [text]
        for found in both:
            one = found.get(text)
            if one is None:
                row.append(Cell("not asked", "quiet"))
            else:
                sign = "✓" if one.kept else "✗"
                value = measured(one)
                row.append(Cell(f"{sign} {value}", "good" if one.kept else "bad"))
        rows.append(row)
    return table(("Objective", "Before", "After"), rows) if rows else None


def _baselines(it: Compared) -> Table | None:
    rows: list[Cells] = [
        [
            one.flow,
            one.measure,
            _value(one, 0),
            _value(one, 1),
            Cell(one.verdict, _TONES.get(one.verdict, "quiet")),  # type: ignore[arg-type]
        ]
        for one in it.baselines
        if one.verdict != "too few calls"
    ]
    if not rows:
        return None
    return table(
        ("Flow", "Measure", "Before", "After", "Answer"), rows, words=("Measure", "Answer")
    )


def _value(one: Finding, at: int) -> str:
    value = one.values[at]
    if one.unit == "seconds":
        return time_text(value)
    return rate_text(value) if one.unit == "rate" else share_text(value)


def _differs(it: Compared) -> Iterator[Block]:
    if it.settings:
        yield Grid(
            table(
                ("What", "Before", "After", "Meaning"),
                [[one.what, one.before, one.after, one.meaning] for one in it.settings],
                words=("Before", "After", "Meaning"),
            )
        )
    if it.file:
        yield Code("\n".join(it.file), FILE)
    if not it.settings and not it.file:
        yield Words(("Nothing: file, load, seed and versions were the same.",))
