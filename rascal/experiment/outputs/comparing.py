"""Two runs of an experiment side by side: verdicts, what each flow kept, what was not the same."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import attrs

from rascal.errors import listed
from rascal.experiment.errors import ExperimentError
from rascal.experiment.judge import FlowResult
from rascal.experiment.outputs.gathered import FILE, Gathered, Kin, gather
from rascal.experiment.outputs.headline import certainty, kept_text
from rascal.load.types import Row
from rascal.report.words import share_text
from rascal.store.compare import Finding, findings
from rascal.store.reading import Reader
from rascal.store.setting import Difference, differences
from rascal.store.statistics import Span, difference

CONFIDENCE = 0.95
Answer = Literal["better", "worse", "no difference seen", "only before", "only after"]


@attrs.frozen(kw_only=True)
class Pair:
    """A flow in both runs, or in one of them."""

    name: str
    before: FlowResult | None
    after: FlowResult | None
    change: Span | None
    """Of what it kept, after - before."""
    answer: Answer


@attrs.frozen(kw_only=True)
class Compared:
    """Two experiments: `before` is what `after` is held against."""

    before: Gathered
    after: Gathered
    flows: Sequence[Pair]
    baselines: Sequence[Finding]
    """The system before any fault: was it the same?"""
    settings: Sequence[Difference]
    """What of load, files, versions, agents was not the same."""
    file: Sequence[str]
    """What of the experiment's file was not the same, as a diff."""

    @property
    def both(self) -> tuple[Gathered, Gathered]:
        """In order."""
        return self.before, self.after

    @property
    def sentence(self) -> str:
        """`Graceful before, resilient after; cached kept more (36 % → 98 %).`"""
        words = f"{self.before.word} before, {self.after.word} after"
        if self.before.word == self.after.word:
            words = f"{self.after.word}, as before"
        found = [
            f"{one.name} kept {'more' if one.answer == 'better' else 'less'} "
            f"({share_text(one.before.kept[0])} → {share_text(one.after.kept[0])})"
            for one in self.flows
            if one.answer in ("better", "worse") and one.before and one.after
        ]
        end = listed(found) if found else "no flow is seen to have kept more or less"
        return f"{words.capitalize()}; {end}."


def compare(source: Reader, before: str, after: str) -> Compared:
    """Hold one experiment against another.

    Raises:
        StoreError, ExperimentError: there is no such run, one is no experiment, both are the same.
    """
    kin = cast(Kin, source)
    both = gather(kin, before), gather(kin, after)
    if both[0].load.run.id == both[1].load.run.id:
        raise ExperimentError(
            f"'{before}' and '{after}' are the same run, {both[0].load.run.id}: name two"
        )
    return compare_gathered(source, *both)


def compare_gathered(source: Reader, before: Gathered, after: Gathered) -> Compared:
    """The same of two that have been read."""
    both = before, after
    runs = source.run(both[0].load.run.id), source.run(both[1].load.run.id)
    return Compared(
        before=both[0],
        after=both[1],
        flows=list(_pairs(*both)),
        baselines=_baselines(both),
        settings=[one for one in differences(source, *runs) if one.what != FILE],
        file=_diff(*both),
    )


def _flows(it: Gathered) -> Mapping[str, FlowResult]:
    return {one.name: one for one in it.verdict.flows} if it.verdict else {}


def _pairs(before: Gathered, after: Gathered) -> Iterator[Pair]:
    old, new = _flows(before), _flows(after)
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        change = None
        answer: Answer = "only before" if other is None else "only after"
        if one is not None and other is not None:
            change = difference(Span(*one.kept), Span(*other.kept))
            answer = "no difference seen"
            if change.low > 0 or change.high < 0:
                answer = "better" if change.low > 0 else "worse"
        yield Pair(name=name, before=one, after=other, change=change, answer=answer)


def _baselines(both: Sequence[Gathered]) -> list[Finding]:
    """The seconds before the fault of flows that both have."""
    windows = []
    for it in both:
        begin, end = it.kept.phases.get("baseline", (0.0, 0.0))
        flows: dict[str, Mapping[int, Row]] = {
            flow.name: {
                second: row for second, row in flow.rows.items() if begin <= second < end - 1
            }
            for flow in it.record.flows
        }
        windows.append(flows)
    names = [name for name in windows[0] if windows[0][name] and windows[1].get(name)]
    series = {name: (_from_zero(windows[0][name]), _from_zero(windows[1][name])) for name in names}
    found = findings(series, CONFIDENCE, same_load=_load(both[0]) == _load(both[1]))
    return [one for one in found if one.verdict != "not compared"]


def _from_zero(rows: Mapping[int, Row]) -> Mapping[int, Row]:
    first = min(rows)
    return {second - first: row for second, row in rows.items()}


def _load(it: Gathered) -> Any:
    return [
        {key: value for key, value in share.items() if key != "for"}
        for share in it.load.run.plan.get("shares") or ()
    ]


def _diff(before: Gathered, after: Gathered) -> list[str]:
    old, new = (it.kept.text.splitlines() for it in (before, after))
    names = [f"run {it.load.run.id}" for it in (before, after)]
    return list(difflib.unified_diff(old, new, names[0], names[1], n=1, lineterm=""))


# ---- as text


def lines(it: Compared) -> list[str]:
    """For a terminal, or a log."""
    found = [it.sentence, ""]
    for what, one in zip(("before", "after"), it.both, strict=True):
        sure = certainty(one)
        found.append(f"{what.ljust(6)}  run {one.load.run.id}  {one.name}  {one.word} ({sure})")
        found.append(f"        {one.told}")
    found += ["", *_flow_lines(it)]
    told = [one for one in it.baselines if one.verdict in ("better", "worse")]
    if told:
        found += ["", "Before any fault it was not the same system:"]
        found += [f"  {one.flow}: {one.measure} {one.verdict}" for one in told]
    found += ["", "What was not the same:"]
    settings = [
        f"  {one.what}: {one.before or '-'} → {one.after or '-'}"
        + (f" ({one.meaning})" if one.meaning else "")
        for one in it.settings
    ]
    found += settings + [f"  {line}" for line in it.file]
    if not settings and not it.file:
        found.append("  nothing: file, load, seed and versions were the same")
    return found


def _flow_lines(it: Compared) -> list[str]:
    rows = [("FLOW", "KEPT BEFORE", "KEPT AFTER", "")]
    rows += [(one.name, _kept(one.before), _kept(one.after), answer_text(one)) for one in it.flows]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return [
        "  ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]))
        .rstrip()
        for row in rows
    ]  # fmt: skip


def _kept(one: FlowResult | None) -> str:
    return kept_text(one.kept) if one is not None else "-"


def answer_text(one: Pair) -> str:
    """`better by 60 to 64 points`."""
    if one.change is None or one.answer not in ("better", "worse"):
        return one.answer
    low, high = sorted((abs(one.change.low), abs(one.change.high)))
    return f"{one.answer} by {low * 100:.0f} to {high * 100:.0f} points"


def data(it: Compared) -> dict[str, Any]:
    """For programs: schema rascal-experiment-comparison/1."""

    def side(one: Gathered) -> dict[str, Any]:
        return {
            "run": one.load.run.id,
            "name": one.name,
            "verdict": one.word,
            "certainty": certainty(one),
            "sentence": one.told,
            "status": one.status,
        }

    return {
        "schema": "rascal-experiment-comparison/1",
        "before": side(it.before),
        "after": side(it.after),
        "sentence": it.sentence,
        "flows": [
            {
                "name": one.name,
                "before": list(one.before.kept) if one.before else None,
                "after": list(one.after.kept) if one.after else None,
                "change": attrs.asdict(one.change) if one.change else None,
                "answer": one.answer,
            }
            for one in it.flows
        ],
        "differs": [attrs.asdict(one) for one in it.settings],
        "file": list(it.file),
    }
