"""An experiment as one HTML page: the verdict, its timeline, what it rests on, how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rascal import __version__
from rascal.experiment.outputs import evidence, tables
from rascal.experiment.outputs.gathered import FILE, Gathered
from rascal.experiment.outputs.headline import badges, sentences, tone, verdict
from rascal.experiment.outputs.soundness import unsound_text
from rascal.experiment.outputs.timeline import timeline
from rascal.load.masking import mask_url
from rascal.load.outputs import sections as load_sections
from rascal.load.types import Sample
from rascal.load.words import value_words
from rascal.report.page import (
    Block,
    Code,
    Facts,
    Grid,
    Message,
    Messages,
    Page,
    Section,
    Words,
    render,
)
from rascal.report.tables import Table
from rascal.report.words import span, time_text

SAMPLES = 6
EACH = 1
"""Of a flow and outcome."""
FOOT = (
    "Good: served right within the flow's deadline. A quick no: refused in plain words within it. "
    "All else is a bad failure: hangs, resets, late answers. Every call belongs to the second in "
    "which it should have started, and its latency counts from there.",
)


def html(it: Gathered) -> str:
    """The file."""
    return render(page(it))


def page(it: Gathered) -> Page:
    """What stands in it."""
    run = it.load.run
    return Page(
        title=it.name,
        over=f"Experiment, run {run.id}",
        under=", ".join(_under(it)),
        badges=badges(it),
        verdicts=(verdict(it),),
        headline=sentences(it),
        tone=tone(it),
        sections=[one for one in _sections(it) if one.blocks],
        foot=(*FOOT, f"Made by Rascal {__version__}."),
    )


def _under(it: Gathered) -> Iterator[str]:
    run = it.load.run
    began = run.started or run.created
    yield datetime.fromtimestamp(began).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    yield mask_url(str(run.plan.get("target") or ""))
    yield f"{time_text(it.end)} in all"
    if run.seed is not None:
        yield f"seed {run.seed}"


def _sections(it: Gathered) -> Iterator[Section]:
    line: list[Block] = []
    if it.record.flows and it.end:
        line = [timeline(it), *(Words((text,)) for text in unsound_text(it))]
    yield Section("timeline", "Timeline", line)
    ranges = tables.ranges(it)
    flows: list[Block] = [ranges] if ranges is not None else []
    yield Section("flows", "Flows", [*flows, *_grids(tables.flows(it))])
    yield Section(
        "asked",
        "Objectives and invariants",
        _grids(tables.objectives(it), tables.invariants(it)),
    )
    yield Section("evidence", "Evidence", _grids(*evidence.tables(it)))
    yield Section("sound", "Is the measurement sound?", _grids(tables.soundness(it)))
    yield Section("length", "Was it long enough?", _grids(tables.lengths(it)))
    yield Section("exchanges", "Exchanges", list(_exchanges(it)))
    yield Section("setup", "What was run", list(_setup(it)))
    yield Section("again", "How to run it again", list(again(it)))


def _grids(*found: Table | None) -> list[Block]:
    return [Grid(one) for one in found if one is not None]


def _exchanges(it: Gathered) -> Iterator[Block]:
    yield from _grids(tables.strikes(it))
    messages = _samples(it)
    if messages:
        text = "Calls that failed, as they went over the wire; secrets are masked."
        yield Words((text,))
        yield Messages(messages)


def _samples(it: Gathered) -> list[Message]:
    """Failing calls since the first fault, a few of each kind; of those before it one tells."""
    first = min((one.record.on for one in it.faults), default=0.0)
    chosen: list[Sample] = []
    kinds: dict[tuple[str, str], int] = {}
    for one in sorted(it.load.samples, key=lambda one: (one.second < first, one.second)):
        kind = one.flow, one.outcome
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= EACH and len(chosen) < SAMPLES:
            chosen.append(one)
    return [load_sections.message(one) for one in chosen]


def _setup(it: Gathered) -> Iterator[Block]:
    run = it.load.run
    if it.kept.text:
        yield Code(it.kept.text.rstrip(), FILE)
    facts = [
        ("seed", "" if run.seed is None else str(run.seed)),
        ("uses", _uses(it)),
        ("versions", value_words(run.versions)),
        ("host", run.host),
        ("clocks", _clocks(it)),
        (
            "files",
            ", ".join(f"{name} (SHA-256 {at[:12]}…)" for name, at in it.load.digests.items()),
        ),
        ("agents", ", ".join(it.load.sums)),
        ("labels", ", ".join(run.labels)),
    ]
    yield Facts([one for one in facts if one[1]])


def _uses(it: Gathered) -> str:
    if it.kept.uses is None:
        return "nobody said, and it was not learned"
    found = "; ".join(f"{name} by {', '.join(flows)}" for name, flows in it.kept.uses.items())
    return f"{found} ({'learned' if it.kept.learned else 'declared'})" if found else ""


def _clocks(it: Gathered) -> str:
    return ", ".join(
        f"{node} is {span(abs(offset))} {'ahead' if offset >= 0 else 'behind'}, give or take "
        f"{span(error)}"
        for node, (offset, error) in it.kept.clocks.items()
    )


def again(it: Gathered) -> Iterator[Code]:
    """How to do it once more."""
    run = it.load.run
    if run.id and it.load.digests:
        target = str(run.plan.get("target") or "")
        other = it.experiment is not None and it.experiment.target != target
        more = f" --target {mask_url(target)}" if other else ""
        text = (
            f"rascal runs sources {run.id} --into again\n"
            f"rascal experiment run again/{FILE} --seed {run.seed or 0}{more}"
        )
        yield Code(
            text, "The files as they were, out of the run store; the same seed, the same draws"
        )
    command = str(run.about.get("command") or "")
    if command:
        yield Code(command, "The command")
    if run.id:
        text = f"rascal experiment report last --compare {run.id} --html compared.html"
        yield Code(text, "And then: both side by side")
