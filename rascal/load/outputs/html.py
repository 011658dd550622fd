"""A run as one HTML page: what came out in words, objectives, plots, tables, how to do it again."""

from __future__ import annotations

from datetime import datetime

from rascal import __version__
from rascal.load.masking import mask_url
from rascal.load.outputs import sections
from rascal.load.outputs.curves import distribution, timelines
from rascal.load.outputs.gathered import Gathered
from rascal.load.outputs.headline import badges, sentences, tiles, tone
from rascal.report.page import (
    Block,
    Grid,
    Messages,
    Note,
    Notes,
    Page,
    Plots,
    Section,
    Tiles,
    Words,
    render,
)
from rascal.report.tables import Table
from rascal.report.words import time_text

FOOT = (
    "Every call belongs to the second in which it should have started. Latencies of served calls "
    "count from there (for the first call of an iteration; later ones start when the scenario "
    "asks for them), so that a target that stalls cannot hide the calls that waited.",
    "Percentiles come from merged histograms, never from averages; they are right within 0.4 %.",
)


def html(it: Gathered) -> str:
    """The file."""
    return render(page(it))


def page(it: Gathered) -> Page:
    """What stands in it."""
    run = it.run
    target = mask_url(str(run.plan.get("target") or ""))
    name = run.name or str(run.plan.get("file") or "load")
    return Page(
        title=f"{name} → {target}" if target else name,
        over=f"Load run {run.id}".strip(),
        under=", ".join(_under(it)),
        badges=badges(it),
        headline=sentences(it),
        tone=tone(it),
        sections=[one for one in _sections(it) if one.blocks],
        foot=(*FOOT, f"Made by Rascal {__version__}."),
    )


def _under(it: Gathered) -> list[str]:
    run = it.run
    began = run.started or run.created
    found = [datetime.fromtimestamp(began).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")]
    if it.seconds:
        found.append(f"load for {time_text(it.seconds)}")
    if it.sums:
        count = len(it.sums)
        found.append("1 agent" if count == 1 else f"{count} agents")
    return found


def _sections(it: Gathered) -> list[Section]:
    warnings = [Note(str(one)) for one in it.summary.get("warnings") or ()]
    numbers: list[Block] = [Notes(warnings)] if warnings else []
    numbers.append(Tiles(tiles(it)))
    spread = distribution(it.all)
    failures: list[Block] = [*_grids(sections.outcomes(it))]
    samples = sections.failing(it)
    if samples:
        failures.append(Words(("Some of them, as they went over the wire; secrets are masked.",)))
        failures.append(Messages(samples))
    return [
        Section("numbers", "Numbers", numbers),
        Section(
            "objectives",
            "Objectives and validity",
            _grids(sections.objectives(it), sections.validity(it)),
        ),
        Section("time", "Over time", [Plots(timelines(it), "time")] if it.all.planned else []),
        Section("spread", "Distribution", [Plots([spread])] if spread else []),
        Section("flows", "Flows", _grids(sections.flows(it), sections.scenarios(it))),
        Section("failures", "Failures", failures),
        Section("agents", "Agents", _grids(sections.agents(it))),
        Section("events", "Events", _grids(sections.events(it))),
        Section("plan", "What was run", [sections.plan(it)]),
        Section("again", "How to run it again", list(sections.again(it))),
    ]


def _grids(*tables: Table | None) -> list[Block]:
    return [Grid(one) for one in tables if one is not None]
