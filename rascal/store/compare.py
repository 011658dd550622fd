"""Two runs side by side: what differs in what came out, how surely, and in what they were.

All intervals of one comparison hold together with its confidence (95 %): who looks at thirty of
them would else see a difference that is none in every other comparison. `statistics` says how
they are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from rascal.histogram import Histogram
from rascal.load.types import OUTCOMES, SERVED, Row
from rascal.store.errors import StoreError
from rascal.store.reading import Reader
from rascal.store.setting import Difference, differences
from rascal.store.statistics import (
    Span,
    difference,
    mean_rate,
    percentile,
    ratio,
    scatter,
    wilson,
    z_of,
)
from rascal.store.values import Run

PERCENTILES = (50.0, 95.0, 99.0)
ALL = "all"
"""All flows together."""
SEEN = 5
"""Calls of an outcome in one of the runs from which on it is compared."""

Verdict = Literal["better", "worse", "no difference seen", "too few calls", "not compared"]
Unit = Literal["share", "rate", "seconds"]


@attrs.frozen(kw_only=True)
class Finding:
    """One measure of one flow in both runs."""

    flow: str
    measure: str
    """served, an outcome, goodput, p50 …"""
    unit: Unit
    before: Span | None
    after: Span | None
    """With its limits; None if there are too few calls to have any."""
    values: tuple[float, float]
    """What was measured, with or without limits."""
    calls: tuple[int, int]
    """Calls it rests on, in each run."""
    change: Span | None = None
    """after - before."""
    ratio: Span | None = None
    """after / before, where `before` cannot be 0."""
    verdict: Verdict
    why: str = ""


@attrs.frozen(kw_only=True)
class Comparison:
    """Two runs: `before` is what `after` is held against."""

    before: Run
    after: Run
    confidence: float
    window: tuple[int | None, int | None]
    findings: tuple[Finding, ...]
    settings: tuple[Difference, ...]
    """What was not the same in them."""
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    """Flows of one of them."""

    @property
    def worse(self) -> bool:
        """Whether anything is surely worse."""
        return any(one.verdict == "worse" for one in self.findings)


Series = Mapping[int, Row]


def compare(
    reader: Reader,
    before: str,
    after: str,
    *,
    flows: Sequence[str] = (),
    confidence: float = 0.95,
    first: int | None = None,
    last: int | None = None,
) -> Comparison:
    """Hold one run against another.

    Args:
        flows: only these; otherwise all that both have, and all together.
        confidence: that no difference is named which is none, over the whole comparison.
        first, last: only seconds from `first` on, and before `last`, of both.

    Raises:
        StoreError: there is no such run, or both are the same.
    """
    runs = reader.run(before), reader.run(after)
    if runs[0].id == runs[1].id:
        raise StoreError(f"'{before}' and '{after}' are the same run, {runs[0].id}: name two")
    names = [reader.flows(run.id) for run in runs]
    both = [name for name in names[0] if name in names[1]]
    kept = [name for name in both if not flows or name in flows]
    series = {
        name: tuple(_window(reader.series(run.id, "flow", name), first, last) for run in runs)
        for name in kept
    }
    if len(kept) > 1:
        every = tuple(_together(pair[at] for pair in series.values()) for at in (0, 1))
        series = {ALL: every, **series}
    settings = differences(reader, *runs)
    return Comparison(
        before=runs[0],
        after=runs[1],
        confidence=confidence,
        window=(first, last),
        findings=tuple(
            findings(
                {name: (pair[0], pair[1]) for name, pair in series.items()},
                confidence,
                same_load=not any(one.what == "profile" for one in settings),
                whole=(runs[0].outcome == "completed", runs[1].outcome == "completed"),
            )
        ),
        settings=settings,
        only_before=tuple(name for name in names[0] if name not in names[1]),
        only_after=tuple(name for name in names[1] if name not in names[0]),
    )


def findings(
    series: Mapping[str, tuple[Series, Series]],
    confidence: float,
    *,
    same_load: bool = True,
    whole: tuple[bool, bool] = (True, True),
) -> list[Finding]:
    """All measures of all flows, with intervals that hold together.

    Args:
        series: rows by flow, of both runs.
        confidence: of all together.
        same_load: both had the same profile; otherwise rates say nothing.
        whole: whether each run went to its end; the last second of one that did not is no whole
            second, and does not count for rates.
    """
    asked = [(flow, pair, _outcomes(pair), _any_served(pair)) for flow, pair in series.items()]
    questions = sum(
        len(outcomes) + (len(PERCENTILES) + (1 if same_load else 0) if served else 0)
        for *_, outcomes, served in asked
    )
    z = z_of(confidence, questions)
    found: list[Finding] = []
    for flow, pair, outcomes, served in asked:
        found += [_share(flow, outcome, pair, z) for outcome in outcomes]
        if served:
            found.append(_rate(flow, pair, z, same_load, whole))
            found += [_latency(flow, share, pair, z) for share in PERCENTILES]
    return found


def _any_served(pair: tuple[Series, Series]) -> bool:
    return any(_count(row, SERVED) for one in pair for row in one.values())


def _outcomes(pair: tuple[Series, Series]) -> list[str]:
    """served, and what else came up often enough."""
    counts = [
        {name: sum(_count(row, name) for row in one.values()) for name in OUTCOMES[1:]}
        for one in pair
    ]
    return [SERVED, *(n for n in OUTCOMES[1:] if max(counts[0][n], counts[1][n]) >= SEEN)]


def _count(row: Row, outcome: str) -> int:
    return row.dropped if outcome == "dropped" else row.outcomes.get(outcome, 0)


def _share(flow: str, outcome: str, pair: tuple[Series, Series], z: float) -> Finding:
    spans: list[Span] = []
    calls: list[int] = []
    for one in pair:
        counts = [(_count(row, outcome), row.planned) for row in _in_order(one)]
        k, n = sum(k for k, _ in counts), sum(n for _, n in counts)
        spans.append(wilson(k, n, z, scatter(counts)))
        calls.append(n)
    values = [one.value for one in spans]
    return _finding(flow, outcome, "share", spans, values, calls, more_is_better=outcome == SERVED)


def _rate(
    flow: str,
    pair: tuple[Series, Series],
    z: float,
    same_load: bool,
    whole: tuple[bool, bool],
) -> Finding:
    # Over the seconds that both have: the end of the longer one may be another part of the profile.
    ends = [max(one, default=-1) + int(full) for one, full in zip(pair, whole, strict=True)]
    first = max(min(one, default=0) for one in pair)
    counts = [
        [_count(one[at], SERVED) if at in one else 0 for at in range(first, min(ends))]
        for one in pair
    ]
    calls = [sum(one) for one in counts]
    values = [sum(one) / len(one) if one else 0.0 for one in counts]
    if not same_load:
        why = "the runs had other profiles"
        return _finding(flow, "goodput", "rate", [None, None], values, calls, why=why)
    spans = [mean_rate(one, z) for one in counts]
    return _finding(flow, "goodput", "rate", spans, values, calls, more_is_better=True)


def _latency(flow: str, share: float, pair: tuple[Series, Series], z: float) -> Finding:
    spans: list[Span | None] = []
    values: list[float] = []
    calls: list[int] = []
    for one in pair:
        rows = _in_order(one)
        total = Histogram()
        for row in rows:
            total.add(row.served)
        value = total.percentile(share)
        phi = scatter([(row.served.over(value), row.served.count) for row in rows])
        spans.append(percentile(total, share, z, phi))
        values.append(value)
        calls.append(total.count)
    return _finding(flow, f"p{share:g}", "seconds", spans, values, calls, more_is_better=False)


def _finding(
    flow: str,
    measure: str,
    unit: Unit,
    spans: Sequence[Span | None],
    values: Sequence[float],
    calls: Sequence[int],
    *,
    more_is_better: bool = True,
    why: str = "",
) -> Finding:
    before, after = spans
    change = quotient = None
    verdict: Verdict = "not compared" if why else "too few calls"
    if before and after and min(calls):
        change = difference(before, after)
        quotient = ratio(before, after)
        if not math.isfinite(quotient.value + quotient.high):
            quotient = None
        verdict = "no difference seen"
        if change.low > 0 or change.high < 0:
            verdict = "better" if (change.low > 0) == more_is_better else "worse"
    return Finding(
        flow=flow,
        measure=measure,
        unit=unit,
        before=before,
        after=after,
        values=(values[0], values[1]),
        calls=(calls[0], calls[1]),
        change=change,
        ratio=quotient,
        verdict=verdict,
        why=why,
    )


def _window(series: Series, first: int | None, last: int | None) -> Series:
    return {
        second: row
        for second, row in series.items()
        if (first is None or second >= first) and (last is None or second < last)
    }


def _in_order(series: Series) -> list[Row]:
    """The rows second by second; seconds without calls between the others are empty rows."""
    if not series:
        return []
    return [series.get(at) or Row() for at in range(min(series), max(series) + 1)]


def _together(many: Iterable[Series]) -> Series:
    found: dict[int, Row] = {}
    for series in many:
        for second, row in series.items():
            found.setdefault(second, Row()).add(row)
    return found


def comparison_json(found: Comparison) -> dict[str, Any]:
    """For programs."""
    return {
        "schema": "rascal-comparison/1",
        "before": {"id": found.before.id, "name": found.before.name},
        "after": {"id": found.after.id, "name": found.after.name},
        "confidence": found.confidence,
        "from": found.window[0],
        "to": found.window[1],
        "worse": found.worse,
        "findings": [_finding_json(one) for one in found.findings],
        "differs": [attrs.asdict(one) for one in found.settings],
        "only_before": list(found.only_before),
        "only_after": list(found.only_after),
    }


def _finding_json(one: Finding) -> dict[str, Any]:
    shown = attrs.asdict(one)
    shown |= {"calls": list(one.calls), "values": list(one.values)}
    return shown
