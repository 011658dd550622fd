"""What the verdict rests on: every rule with its answer, and the numbers of every question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from rascal.experiment.judge import VERDICTS, Rule
from rascal.experiment.outputs.gathered import Gathered
from rascal.experiment.outputs.headline import interval_text
from rascal.experiment.statistics import Finding
from rascal.report.tables import Cell, Cells, Table, Tone, table
from rascal.report.words import number, share_text

QUESTIONS = {
    "invalid": "Does the run prove nothing?",
    "corrupt": "Does something not hold any more, or is data wrong?",
    "stuck": "At the end of the recovery: is goodput still lost, are calls still slow?",
    "clears at low load": "The load was cut: did what was stuck become well?",
    "fails again at full load": "The load came back: did it fail again?",
    "cascading": "Did flows lose goodput that do not use what was struck?",
    "degraded": "Was goodput lost, and were many failures no quick and honest no?",
    "graceful": "Was goodput lost, were calls slow, was service reduced?",
    "resilient": "None of all this?",
}
SIGNS = {"yes": "● yes", "no": "○ no", "unsure": "◐ unsure"}
NOT_ASKED = "– not asked"
ROWS = 60
"""Findings that are shown; the JSON has all."""


@attrs.frozen(kw_only=True)
class Shown:
    """A rule as it is told; `answer` is empty if it was not asked."""

    name: str
    question: str
    answer: str
    findings: tuple[Finding, ...] = ()
    text: str = ""
    """Where there are no numbers."""


def rules(it: Gathered) -> list[Shown]:
    """In the order in which they are asked; those behind the first yes were not."""
    verdict = it.verdict
    if verdict is None:
        return []
    asked = {rule.verdict: rule for rule in verdict.rules}
    found = [_exact("invalid", it), _exact("corrupt", it)]
    if verdict.word == "invalid":
        found[1] = Shown(name="corrupt", question=QUESTIONS["corrupt"], answer="")
    for name in VERDICTS[2:]:
        found.append(_shown(name, asked.get(name)))
        if name == "stuck":
            probed = [one for one in verdict.rules if one.verdict not in VERDICTS]
            found += [_shown(one.verdict, one) for one in probed]
    return found


def _exact(name: str, it: Gathered) -> Shown:
    verdict = it.verdict
    assert verdict is not None
    yes = verdict.word == name
    text = "; ".join(verdict.reasons) if yes else "every check was well"
    if name == "corrupt" and not yes:
        held = it.kept.invariants
        text = f"{len(held)} of {len(held)} invariants held, " if held else ""
        text = f"{text}no wrong data"
    return Shown(name=name, question=QUESTIONS[name], answer="yes" if yes else "no", text=text)


def _shown(name: str, rule: Rule | None) -> Shown:
    question = QUESTIONS.get(name, name)
    if rule is None:
        return Shown(name=name, question=question, answer="")
    text = "" if rule.findings else "as nothing else was so"
    return Shown(
        name=name, question=question, answer=rule.answer, findings=rule.findings, text=text
    )


def tables(it: Gathered) -> Iterator[Table]:
    """The rules with their answers; then every question that was asked, once."""
    shown = rules(it)
    if not shown:
        return
    yield table(
        ("Rule", "Answer", "Found"),
        [
            [
                Cell(one.name, more=one.question),
                Cell(SIGNS.get(one.answer, NOT_ASKED), _tone(one.answer)),
                _found(one),
            ]
            for one in shown
        ],
        words=("Answer", "Found"),
    )
    asked: dict[Finding, list[str]] = {}
    for one in shown:
        for finding in one.findings:
            asked.setdefault(finding, []).append(one.name)
    if asked:
        rows = [_row(finding, names) for finding, names in list(asked.items())[:ROWS]]
        left = f" {len(asked) - ROWS} more are in the JSON." if len(asked) > ROWS else ""
        yield table(
            ("Question", "Answer", "For", "Share", "Limit", "Calls", "Scatter", "Window"),
            rows,
            words=("Answer", "For"),
            note=_note(it) + left,
        )


def _found(one: Shown) -> Cell:
    """What decided it."""
    if not one.answer:
        return Cell("a worse one was a yes", "quiet")
    deciding = [finding for finding in one.findings if finding.answer == one.answer]
    if one.answer == "no" and len(one.findings) > 1:
        noes = sum(1 for finding in one.findings if finding.answer == "no")
        return Cell(f"no to {noes} of {len(one.findings)} questions", "quiet")
    return Cell(question(deciding[0]) if deciding else one.text)


def _row(finding: Finding, names: Sequence[str]) -> Cells:
    return [
        question(finding),
        Cell(SIGNS[finding.answer], _tone(finding.answer)),
        ", ".join(names),
        _share(finding),
        share_text(finding.limit),
        number(finding.calls) if finding.calls else "-",
        f"{finding.scatter:.1f}",
        window(finding),
    ]


def _tone(answer: str) -> Tone:
    return "warn" if answer == "unsure" else "" if answer == "yes" else "quiet"


def question(finding: Finding) -> str:
    """Without the interval, which has a column of its own."""
    return re.sub(r" \([\d.]+% to [\d.]+%\)", "", finding.question)


def _share(finding: Finding) -> Cell:
    if finding.part is None:
        return Cell("-", "quiet")
    if finding.low is None or finding.high is None:
        high = "" if finding.high is None else f"at most {share_text(finding.high)}"
        return Cell(share_text(finding.part), more=high)
    return Cell(share_text(finding.part), more=interval_text(finding.low, finding.high))


def window(finding: Finding) -> str:
    """`23 to 39 s`."""
    if finding.first is None or finding.last is None:
        return ""
    return f"{finding.first} to {finding.last} s"


def _note(it: Gathered) -> str:
    sure = it.thresholds.sure_again if it.record.looks > 1 else it.thresholds.sure
    text = (
        "Rules are asked from the worst to the best; the first yes ends the walk, an unsure is "
        f"collected. Intervals hold with {share_text(sure)} to each side, shared among the flows "
        "of a side. Scatter: how much more the counts vary than those of independent calls; n "
        "calls are worth n / scatter. Windows are seconds of the run."
    )
    if it.record.looks > 1:
        text += " The recovery was extended once, as the first look could not tell."
    return text
