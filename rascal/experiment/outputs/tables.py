"""The tables of an experiment's page: flows, objectives, invariants, checks, struck exchanges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rascal.experiment.judge import FlowResult
from rascal.experiment.outputs.gathered import Gathered
from rascal.experiment.outputs.headline import interval_text, kept_text, measured
from rascal.experiment.outputs.soundness import checks
from rascal.experiment.power import Lengths, Power, enough, power
from rascal.report.ranges import Measured, Point, Ranges
from rascal.report.tables import Cell, Cells, Table, table
from rascal.report.words import number, share_text, span, time_text, value_text

STRIKES = 3
"""Of each fault."""
_APART = ("second", "match")


# ---- flows


def ranges(it: Gathered) -> Ranges | None:
    """What each flow kept, as one picture."""
    if it.verdict is None or not it.verdict.flows:
        return None
    keep = it.thresholds.keep
    rows = [
        Measured(
            name=one.name,
            more=_uses(one, it),
            points=[
                Point(
                    value=one.kept[0],
                    low=max(0.0, one.kept[1]),
                    high=one.kept[2],
                    text=kept_text(one.kept),
                    colour="blue" if one.kept[1] >= keep else "orange",
                    sign="dot" if one.uses else "ring",
                )
            ],
        )
        for one in it.verdict.flows
    ]
    legend: list[tuple[str, str, Any]] = []
    if it.verdict.mapped:
        legend = [("uses the dependency", "blue", "dot"), ("does not", "blue", "ring")]
    return Ranges(
        rows=rows,
        limit=keep,
        limit_text=f"lost if all of it lies below {share_text(keep)}",
        legend=legend,
        note="The share of good calls during the fault over that of the baseline, with its "
        "interval. Orange: the interval reaches below the limit.",
    )


def _uses(one: FlowResult, it: Gathered) -> str:
    if it.verdict is not None and not it.verdict.mapped:
        return "nobody knows what it uses"
    dependencies = ", ".join(dict.fromkeys(fault.record.dependency for fault in it.faults))
    return f"uses {dependencies}" if one.uses else f"does not use {dependencies}"


def flows(it: Gathered) -> Table | None:
    """Each flow, or pool of thin ones, in numbers."""
    if it.verdict is None or not it.verdict.flows:
        return None
    learned = " Who uses what was learned by watching." if it.kept.learned else ""
    return table(
        (
            "Flow", "Deadline", "Before", "Kept", "Slow", "Failures", "Attempts", "Degraded",
            "Well again", "Missing",
        ),
        [_flow(one, it) for one in it.verdict.flows],
        note="Before: the baseline's calls and the share that was good. Kept: goodput during the "
        "fault over the baseline's. Slow: of the served calls, those over twice the usual p95. "
        "Failures: those in the fault; bad ones are hangs, resets and late answers. Degraded, "
        "well again: seconds after the fault began and ended. Missing: what it still "
        f"did not keep at the end of the recovery, where the interval excludes 0.{learned}",
    )  # fmt: skip


def _flow(one: FlowResult, it: Gathered) -> Cells:
    keep = it.thresholds.keep
    lost = one.kept[2] < keep
    tone: Any = "bad" if lost else "warn" if one.kept[1] < keep else ""
    retried = one.attempts > one.attempts_before * 1.05
    usual = "" if one.p95 is None else f"p95 was {time_text(one.p95)}"
    reduced = f", {number(one.reduced)} reduced" if one.reduced else ""
    return [
        Cell(one.name, more=_uses(one, it)),
        _deadline(one),
        Cell(number(one.calls.get("baseline", 0)), more=f"{share_text(one.baseline)} good"),
        Cell(share_text(one.kept[0]), tone, interval_text(one.kept[1], one.kept[2]) + reduced),
        Cell(share_text(one.slow), "warn" if one.slow > it.thresholds.slow_share else "", usual),
        _failures(one),
        Cell(
            f"{one.attempts:.2f} ×",
            "warn" if retried else "",
            f"before {one.attempts_before:.2f}" if retried else "",
        ),
        "-" if one.time_to_degrade is None else f"{_about(one, it)}{one.time_to_degrade}s",
        _recovered(one, it),
        _residual(one),
    ]


def _failures(one: FlowResult) -> Cell:
    if not one.honest and not one.dishonest:
        return Cell("none", "quiet")
    classes = ", ".join(f"{name} {number(count)}" for name, count in one.failures.items())
    bad = f"{number(one.dishonest)} bad"
    if not one.honest:
        return Cell(bad, "bad", classes)
    more = "; ".join(text for text in (bad if one.dishonest else "", classes) if text)
    tone: Any = "bad" if one.dishonest > one.honest else ""
    return Cell(f"{number(one.honest)} quick no", tone, more)


def _deadline(one: FlowResult) -> Cell:
    if one.deadline is None:
        return Cell("each its own", "quiet")
    return Cell(time_text(one.deadline), more="derived" if one.derived else "given")


def _about(one: FlowResult, it: Gathered) -> str:
    assert it.verdict is not None
    first, last = it.verdict.windows["baseline"]
    return "~" if one.calls.get("baseline", 0) < 5 * (last - first) else ""


def _recovered(one: FlowResult, it: Gathered) -> Cell:
    assert it.verdict is not None
    left = it.verdict.windows["tail"][1] - it.verdict.windows["fault"][1]
    if one.time_to_recover >= left - 1 and one.time_to_recover:
        return Cell("never", "bad", f"in {left}s")
    return Cell(f"{_about(one, it)}{one.time_to_recover}s")


def _residual(one: FlowResult) -> Cell:
    part, low, high = one.residual
    if low > 0:
        return Cell(share_text(part), "bad", interval_text(low, high))
    return Cell("-", "quiet")


# ---- objectives, invariants, checks


def objectives(it: Gathered) -> Table | None:
    """How each came out."""
    if not it.objectives:
        return None
    rows: list[Cells] = [
        [
            one.text,
            Cell("✓ kept", "good") if one.kept else Cell("✗ not kept", "bad"),
            measured(one),
            value_text(one.type, one.limit),
            one.why or one.phase,
        ]
        for one in it.objectives
    ]
    return table(
        ("Objective", "Result", "Measured", "Limit", "Phase"), rows, words=("Result", "Phase")
    )


def invariants(it: Gathered) -> Table | None:
    """What had to hold before, and must hold again."""
    if not it.kept.invariants:
        return None

    def sign(held: bool) -> Cell:
        return Cell("✓ holds", "good") if held else Cell("✗ does not", "bad")

    rows: list[Cells] = [
        [one.name, sign(one.before), sign(one.after), one.found] for one in it.kept.invariants
    ]
    words = ("Before", "After", "Found afterwards")
    return table(("Invariant", *words), rows, words=words)


def soundness(it: Gathered) -> Table:
    """Does it prove anything?"""
    rows: list[Cells] = [
        [one.name, Cell("✓ yes", "good") if one.good else Cell("✗ no", "bad"), one.text]
        for one in checks(it)
    ]
    return table(("Check", "Result", "Found"), rows, words=("Result", "Found"))


# ---- faults and what they struck


def strikes(it: Gathered) -> Table | None:
    """The first exchanges that each fault struck."""
    keys = list(
        dict.fromkeys(
            key for fault in it.faults for one in fault.strikes for key in one if key not in _APART
        )
    )
    rows: list[Cells] = [
        [f"{fault.letter} {fault.record.name}", _second(one), *(str(one.get(k, "")) for k in keys)]
        for fault in it.faults
        for one in fault.strikes[:STRIKES]
    ]
    if not rows:
        return None
    titles = {"n": "exchange", "kind": "what"}
    names = [titles.get(key, key).capitalize() for key in keys]
    words = [name for name in names if name not in ("Connection", "Exchange")]
    return table(
        ("Fault", "Time", *names),
        rows,
        words=words,
        note=f"The first {STRIKES} of each fault at most, as the proxies saw them.",
    )


def _second(strike: Mapping[str, Any]) -> str:
    second = strike.get("second")
    return "-" if second is None else f"{second:.2f}s"


# ---- how long would have been enough


def powers(it: Gathered) -> Iterator[tuple[FlowResult, float, Power, Lengths | None]]:
    """Of each flow: calls a second, what they can prove, the phases that would have been enough."""
    verdict = it.verdict
    if verdict is None:
        return
    spans = {name: last - first for name, (first, last) in verdict.windows.items()}
    left = verdict.windows["tail"][1] - verdict.windows["fault"][1]
    lengths = Lengths(baseline=spans["baseline"], fault=spans["fault"], recovery=left)
    for one in verdict.flows:
        side = sum(1 for other in verdict.flows if other.uses == one.uses)
        rate = one.calls.get("baseline", 0) / max(1, spans["baseline"]) / one.scatter
        found = power(one.name, rate, lengths, it.thresholds, groups=side)
        yield one, rate, found, enough(rate, it.thresholds, groups=side)


def lengths(it: Gathered) -> Table | None:
    """Was it long enough to be sure?"""
    rows: list[Cells] = []
    for one, _, found, needed in powers(it):
        long_enough = Cell("✓ yes", "good") if found.sure_kept else Cell("✗ no", "warn")
        rows.append(
            [
                one.name,
                number(one.calls.get("fault", 0)),
                long_enough,
                share_text(found.sees),
                "hours would not do"
                if needed is None
                else ", ".join(
                    f"{name} {span(getattr(needed, name))}"
                    for name in ("baseline", "fault", "recovery")
                ),
            ]
        )
    if not rows:
        return None
    return table(
        ("Flow", "Calls in the fault", "Long enough", "Sees losses from", "Enough at this rate"),
        rows,
        words=("Long enough", "Enough at this rate"),
        note="Long enough to be sure that a flow that kept everything kept at least "
        f"{share_text(it.thresholds.keep)}; the smallest loss that these calls can be sure of.",
    )
