"""The report at the end of an experiment: the verdict in words first, then what it is made of."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from rascal.cli.experiment.view import word_text
from rascal.cli.output import again, grid_lines, number, tick, width
from rascal.experiment.outcome import Outcome
from rascal.report.words import clock_text, share_text, time_text, value_text

if TYPE_CHECKING:
    from rascal.experiment.judge import FlowResult, Rule, Verdict
    from rascal.experiment.repeating import Repeats
    from rascal.experiment.statistics import Finding

TITLES = (
    "FLOW", "HIT", "BASELINE", "KEPT", "BETWEEN", "HONEST", "DISHONEST", "ATTEMPTS", "DEGRADED",
    "RECOVERED", "STILL MISSING",
)  # fmt: skip
FAULTS = ("FAULT", "ON", "OFF", "LATE", "MATCHED", "FIRED")
REPEATS = ("VERDICT", "RUNS", "SHARE", "BETWEEN")
ANSWERS = {"yes": "red", "no": "green", "unsure": "yellow"}
PLAIN = 100
"""Columns of text, at most."""
WIDE, CUT = 112, 7
"""Columns from which on all of a flow stands in one table; where it is cut below that."""


def lines_of(outcome: Outcome, limit: int | None, *, why: bool = False) -> list[str]:
    """The whole report."""
    found = [headline(outcome), *filled(outcome.sentence)]
    verdict = outcome.verdict
    if verdict is not None and verdict.flows:
        found += ["", *flow_lines(verdict, limit)]
    found += _objectives(outcome)
    found += _invariants(outcome)
    if outcome.kept.faults:
        found += ["", *_fault_lines(outcome, limit)]
    if verdict is not None and verdict.rules:
        found += ["", *rule_lines(verdict, limit, why=why)]
    return [*found, "", *last_lines(outcome, why=why)]


def headline(outcome: Outcome) -> str:
    """`graceful  as expected (graceful)`."""
    verdict = outcome.verdict
    if verdict is None:
        return click.style("not judged", bold=True)
    word = verdict.kind if verdict.kind not in ("", "not probed") else verdict.word
    found = word_text(word) + (f" ({verdict.kind})" if verdict.kind == "not probed" else "")
    if not verdict.sure:
        found += f", or {' or '.join(one for one in verdict.between if one != verdict.word)}"
    said = {
        "yes": click.style("as expected", fg="green"),
        "no": click.style("worse than expected", fg="red"),
        "unsure": click.style("this run cannot tell whether it is as expected", fg="yellow"),
    }
    if outcome.met:
        exactly = outcome.expect is not None and outcome.expect.exactly
        text = said[outcome.met].replace("worse than", "not as") if exactly else said[outcome.met]
        if verdict.word == "invalid" and outcome.met != "yes":
            text = click.style("it proves nothing", fg="yellow")
        found += f"  {text} (expected: {outcome.expect})"
    return found


def filled(text: str) -> list[str]:
    """A text, broken to the width."""
    return textwrap.wrap(text, min(width(), PLAIN)) or []


# ---- flows


def flow_lines(verdict: Verdict, limit: int | None) -> list[str]:
    """The table of flows; two on a narrow terminal."""
    rows = [_flow_row(one) for one in sorted(verdict.flows, key=lambda one: not one.uses)]
    cuts = [range(len(TITLES))]
    if limit is not None and limit < WIDE:
        cuts = [range(CUT), range(CUT, len(TITLES))]
    found: list[str] = []
    for cut in cuts:
        columns = sorted({0, *cut})
        titles = [TITLES[at] for at in columns]
        found += [""] if found else []
        found += grid_lines(
            titles,
            [[row[at] for at in columns] for row in rows],
            right=[title for title in titles if title not in ("FLOW", "HIT")],
            give="FLOW",
            paint={"DISHONEST": _some} if "DISHONEST" in titles else None,
            limit=limit,
        )
    notes = [_failures(one) for one in verdict.flows if one.failures]
    notes += [
        f"{one.name}: deadline {time_text(one.deadline)}"
        + (" (derived)" if one.derived else "")
        + (f", usual p95 {time_text(one.p95)}" if one.p95 is not None else "")
        for one in verdict.flows
        if one.deadline is not None
    ]
    return [*found, *(click.style(text, dim=True) for text in notes)]


def _flow_row(one: FlowResult) -> list[str]:
    part, low, high = one.kept
    attempts = f"{one.attempts_before:.2f} → {one.attempts:.2f}"
    same = abs(one.attempts - one.attempts_before) < 0.005
    return [
        one.name,
        "yes" if one.uses else "no",
        share_text(one.baseline),
        share_text(part),
        between(low, high),
        number(one.honest),
        number(one.dishonest),
        f"{one.attempts:.2f}" if same else attempts,
        "-" if one.time_to_degrade is None else f"after {one.time_to_degrade} s",
        f"{one.time_to_recover} s",
        residual(one.residual),
    ]


def residual(found: tuple[float, float, float]) -> str:
    """What was still missing at the end, if that is not chance."""
    part, low, high = found
    return f"{share_text(max(0.0, part))} ({between(low, high)})" if low > 0 or high < 0 else "-"


def between(low: float, high: float) -> str:
    """`9.1 to 15 %`."""
    return f"{share_text(max(0.0, low)).removesuffix(' %')} to {share_text(min(1.0, high))}"


def _failures(one: FlowResult) -> str:
    every = sorted(one.failures.items(), key=lambda item: -item[1])
    return f"{one.name}: " + "  ".join(f"{name} {number(count)}" for name, count in every)


def _some(text: str) -> str:
    return text if text == "0" else click.style(text, fg="red")


# ---- what else must hold


def _objectives(outcome: Outcome) -> list[str]:
    found = [""] if outcome.objectives else []
    for one in outcome.objectives:
        measured = value_text(one.type, one.value) if one.value is not None else one.why
        said = "kept" if one.kept else "not kept"
        found.append(f"{_mark(one.kept)} {one.text}  {said}: {measured}")
    return found


def _invariants(outcome: Outcome) -> list[str]:
    found = [""] if outcome.kept.invariants else []
    for one in outcome.kept.invariants:
        said = "holds" if one.before and one.after else "does not hold any more"
        said = said if one.before else "did not hold before the fault"
        found.append(f"{_mark(one.before and one.after)} {one.name}  {said}: {one.found}")
    return found


def _mark(good: bool) -> str:
    return click.style(tick(good), fg="green" if good else "red", bold=True)


def _fault_lines(outcome: Outcome, limit: int | None) -> list[str]:
    rows = [
        [
            one.name,
            f"{one.on:.2f}s",
            "stayed" if one.stayed else f"{one.off:.2f}s",
            time_text(one.late) if one.late else "0ms",
            number(one.matched),
            number(one.fired),
        ]
        for one in outcome.kept.faults
    ]
    return grid_lines(FAULTS, rows, right=FAULTS[1:], give="FAULT", limit=limit)


# ---- rules


def rule_lines(verdict: Verdict, limit: int | None, *, why: bool) -> list[str]:
    """Each rule, its answer, and what decided it; all that it found with `why`."""
    found = [click.style("RULES, THE WORST FIRST", bold=True)]
    size = max(len(rule.verdict) for rule in verdict.rules)
    room = max(40, (limit or 100_000) - size - 11)
    for rule in verdict.rules:
        answer = click.style(f"{rule.answer:6}", fg=ANSWERS[rule.answer] if rule.findings else None)
        lead = f"{answer}  {rule.verdict.ljust(size)}"
        findings = list(rule.findings) if why else deciding(rule)
        if not findings:
            found.append(lead.rstrip())
        for one in findings:
            mark = f"{one.answer}: " if why else ""
            text = f"{mark}{one.question}{_numbers(one, why=why)}"
            for line in textwrap.wrap(text, room, break_long_words=False):
                found.append(f"{lead}  {line}")
                lead = " " * (8 + size)
    if verdict.amplification is not None:
        found.append(
            f"work per call at the dependency: {verdict.amplification:.2f} × that of the baseline "
            "(at the end)"
        )
    if not why and any(len(rule.findings) > 1 for rule in verdict.rules):
        found.append(click.style("--why shows everything that each rule found", dim=True))
    return found


def deciding(rule: Rule) -> list[Finding]:
    """The finding that the answer comes from: of several the one furthest on its side."""
    same = [one for one in rule.findings if one.answer == rule.answer] or list(rule.findings)
    if rule.verdict == "degraded":  # that something was lost the next rule says, too
        same = [one for one in same if not one.flow] or same
    return sorted(same, key=_margin)[:1]


def _margin(one: Finding) -> float:
    if one.part is None or one.limit is None:
        return 1.0
    distance = abs(one.part - one.limit)
    return -distance if one.answer == "yes" else distance


def _numbers(one: Finding, *, why: bool) -> str:
    facts = [f"{number(one.calls)} calls"] if one.calls else []
    if one.limit is not None:
        facts.append(f"limit {share_text(one.limit)}")
    if why and one.first is not None and one.last is not None:
        facts.append(f"second {one.first} to {one.last}")
    if why and one.scatter != 1.0:
        facts.append(f"scatter {one.scatter:.2f}")
    return f" ({', '.join(facts)})" if facts else ""


# ---- the end


def last_lines(outcome: Outcome, *, why: bool) -> list[str]:
    """Which run it was, and what can be done with it."""
    phases = outcome.kept.phases
    lasted = clock_text(max((end for _, end in phases.values()), default=0.0))
    if not outcome.stored:
        return [f"not kept: {outcome.name}, {lasted}, seed {outcome.seed}"]
    found = [f"run {outcome.run}: {outcome.name}, {lasted}, seed {outcome.seed}"]
    if outcome.verdict is None:
        return [*found, f"what was measured: {again(f'rascal runs show {outcome.run}')}"]
    if not why:
        found.append(f"in every detail: {again(f'rascal experiment show {outcome.run} --why')}")
    judge = again(f"rascal experiment judge {outcome.run} --set keep=90%")
    found.append(f"with other limits: {judge}")
    return found


def repeat_lines(repeats: Repeats, limit: int | None) -> list[str]:
    """What several runs say together."""
    word = {0: "as expected", 1: "not as expected", 3: "cannot tell"}[repeats.status]
    colour = {0: "green", 1: "red", 3: "yellow"}[repeats.status]
    head = click.style(word, fg=colour, bold=True)
    found = [f"{head}  {len(repeats.counted)} runs" + _spared(repeats)]
    found += filled(repeats.sentence())
    shown = [*repeats.proportions]
    if shown and repeats.expect is not None:
        shown.append(repeats.as_expected)
    rows = [
        [one.word, f"{one.count} of {one.of}", share_text(one.share), between(one.low, one.high)]
        for one in shown
    ]
    if rows:
        found += ["", *grid_lines(REPEATS, rows, right=REPEATS[1:], limit=limit)]
    unsure = sum(not one.sure for one in repeats.counted)
    if unsure:
        found.append(f"{unsure} of them were unsure by themselves; the named verdict counts")
    for one in repeats.invalid:
        found.append(click.style(f"! run {one.run} proves nothing: {one.sentence}", fg="yellow"))
    runs = ", ".join(one.run for one in repeats.runs if one.run)
    if runs:
        found += ["", f"runs {runs}: rascal experiment list"]
    return found


def _spared(repeats: Repeats) -> str:
    spared = repeats.left if repeats.settled else 0
    return f", {spared} spared: they could not have changed the answer" if spared > 0 else ""
