"""Two to five runs side by side: their curves over one axis, their measures, what was not the same.

The first run is the one that the others are held against. Whether a difference is one is said by
the comparisons of the command line (rascal.store.compare, rascal.experiment.outputs.comparing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from rascal.control._problems import Problem
from rascal.errors import RascalError
from rascal.panel.columns import CLASSES, COLUMNS, Cells
from rascal.report.words import rate_text, share_text, time_text, value_text

MOST = 5
POINTS = 1200
"""Points of a curve, at most; of a longer run several seconds share one."""
STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
SHOWN = ("good", "failed", "p95", "in_flight", "attempts")
"""The curves: calls served, calls that failed, milliseconds, calls, attempts per call."""
_AT = {name: at for at, name in enumerate(COLUMNS)}
_FAILED = [_AT[name] for name in CLASSES if name != "good"]
COMMIT = ("source", "ref", "commit")
"""What a job knows of the code that was tested, and keeps with its run."""
_UNIT = re.compile(r"(?<=\d)(us|ms|s)\b")
TONES = {"better": "ok", "worse": "bad"}


async def wanted(call: Any, *, least: int = 2, most: int = MOST) -> list[str]:
    """The numbers of the runs that an address names, each once. Raises Problem."""
    words = [one.strip() for one in call.query.get("runs", "").split(",") if one.strip()]
    found: list[str] = []
    for word in words[: 4 * MOST]:
        run = await call.panel.runs.find(word)
        if run not in found:
            found.append(run)
    if not least <= len(found) <= most:
        many = "two runs" if most == 2 else f"two to {most} runs"
        raise Problem(422, "which-runs", f"name {many}, as in /compare?runs=12,17", pointer="/runs")
    return found


# ---- curves


@attrs.frozen
class Drawn:
    """What is drawn of one run."""

    rows: list[list[Any]]
    """[t, *SHOWN], every `step` seconds from the run's second 0."""
    zero: float
    """Where its first fault began; 0 without one."""


def step_for(lengths: Sequence[int]) -> int:
    """Seconds of a point, the same for all runs."""
    longest = max(lengths, default=0)
    return next((step for step in STEPS if longest / step <= POINTS), STEPS[-1])


def zero_of(active: Any) -> float:
    """The second in which its first fault began."""
    begins = [span[0] for fault in active.own for span in fault["spans"] if span[0] is not None]
    if begins:
        return float(min(begins))
    return next((float(one["from"]) for one in active.phases if one["kind"] == "fault"), 0.0)


def curves(rows: Sequence[Cells], step: int) -> list[list[Any]]:
    """Rates are averages over a point, latencies the highest second of it. Seconds at the end in
    which nothing was offered any more are left out."""
    ends = len(rows)
    while ends and not rows[ends - 1][_AT["offered"]]:
        ends -= 1
    rows = rows[:ends]
    return [_point(rows[at : at + step]) for at in range(0, len(rows), step)]


def _point(rows: Sequence[Cells]) -> list[Any]:
    count = len(rows)

    def average(at: int) -> float | None:
        known = [row[at] for row in rows if row[at] is not None]
        return round(sum(known) / len(known), 3) if known else None

    slow = [row[_AT["p95"]] for row in rows if row[_AT["p95"]] is not None]
    failed = sum(row[at] for row in rows for at in _FAILED) / count
    return [
        rows[0][0], average(_AT["good"]), round(failed, 3), max(slow, default=None),
        average(_AT["in_flight"]), average(_AT["attempts"]),
    ]  # fmt: skip


def drawn(actives: Sequence[Any]) -> dict[str, Any]:
    """All that the charts need."""
    step = step_for([len(one.rows) for one in actives])
    return {
        "step": step,
        "columns": ["t", *SHOWN],
        "runs": {
            one.id: {
                "rows": curves(one.rows, step),
                "zero": zero_of(one),
                "length": len(one.rows),
                "phases": one.phases,
                "faults": [
                    {name: fault[name] for name in ("id", "proxy", "name", "text", "spans")}
                    for fault in one.own
                ],
            }
            for one in actives
        },
    }


# ---- measures of experiments and objectives, as their verdicts have them


def measures(actives: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of the table: a value for each run, and how it changed against the first one."""
    said = [one.verdict or {} for one in actives]
    found: list[dict[str, Any]] = []
    if any(one.get("kept") is not None for one in said):
        found.append(_plain("Goodput kept", [one.get("kept") for one in said], _points, 0.01))
        recovered = [_recovered(one) for one in said]
        found.append(_plain("Time to recover", recovered, _seconds, 2, more=False))
        attempts = [_worst(one, "attempts", max) for one in said]
        found.append(_plain("Attempts per call", attempts, _times, 0.1, more=False))
    return [*found, *_objectives(said)]


def _worst(said: Mapping[str, Any], name: str, pick: Any) -> float | None:
    known = [one[name] for one in said.get("flows", ()) if one.get(name) is not None]
    return pick(known) if known else None


def _recovered(said: Mapping[str, Any]) -> float | None:
    stuck = said.get("word") in ("stuck", "broken", "overloaded", "metastable", "invalid")
    return None if stuck else _worst(said, "recovered", max)


def _plain(
    name: str, values: Sequence[float | None], text: Any, least: float, *, more: bool = True
) -> dict[str, Any]:
    """A measure without a range: a change below `least` is none, and none is called worse."""
    cells: list[dict[str, Any]] = []
    for value in values:
        cell: dict[str, Any] = {"text": text(value, False)}
        base = values[0]
        if cells and value is not None and base is not None:
            change = value - base
            cell["change"] = text(change, True) if abs(change) >= least else "the same"
            if abs(change) >= least:
                cell["arrow"] = "up" if change > 0 else "down"
                cell["good"] = (change > 0) == more
        cells.append(cell)
    return {"name": name, "flow": "", "cells": cells}


def _points(value: float | None, change: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:+.0f} points" if change else f"{100 * value:.0f} %"


def _seconds(value: float | None, change: bool) -> str:
    if value is None:
        return "–"
    return f"{value:+.0f} s" if change else f"{value:.0f} s"


def _times(value: float | None, change: bool) -> str:
    if value is None:
        return "–"
    return f"{value:+.1f}" if change else f"{value:.1f} ×"


def _objectives(said: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each objective of any of them: measured, and whether it was met."""
    tables = [
        {(one["flow"], one["name"]): one for one in it.get("measures", ()) if _asked(one)}
        for it in said
    ]
    for flow, name in dict.fromkeys(key for table in tables for key in table):
        cells: list[dict[str, Any]] = []
        first = tables[0].get((flow, name))
        for table in tables:
            one = table.get((flow, name))
            if one is None:
                cells.append({"text": "not asked", "quiet": True})
                continue
            cell = {"text": spaced(value_text(one["type"], one["value"])), "met": one["met"]}
            if cells and first is not None and first["met"] != one["met"]:
                cell |= {"change": "✓ → ✗" if first["met"] else "✗ → ✓",
                         "tone": "bad" if first["met"] else "ok"}  # fmt: skip
            cells.append(cell)
        yield {"name": name, "flow": flow, "objective": True, "cells": cells}


def _asked(one: Mapping[str, Any]) -> bool:
    return one.get("limit") is not None or one.get("met") is not None


# ---- in the thread of reports


def held_against(reader: Any, runs: Sequence[str]) -> dict[str, Any]:
    """Everything that takes a while: each run against the first, with ranges.

    Gives `rows` (flows and measures with a cell for each run) and `differs` (by run).
    """
    first, *others = runs
    gathered: dict[str, Any] = {}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    differs: dict[str, Any] = {}
    for at, other in enumerate(others, 1):
        pair = _experiments(reader, gathered, first, other)
        if pair is not None:
            _flows(rows, pair, at, len(runs))
        else:
            pair = _loads(reader, first, other)
            _findings(rows, pair, at, len(runs))
        differs[other] = {
            "sentence": getattr(pair, "sentence", ""),
            "settings": [*_code(reader, first, other), *(_setting(one) for one in pair.settings)],
            "file": list(getattr(pair, "file", ())),
            "before": [
                f"{one.flow}: {one.measure} {one.verdict}"
                for one in getattr(pair, "baselines", ())
                if one.verdict in TONES
            ],
        }
    return {"rows": list(rows.values()), "differs": differs}


def _experiments(reader: Any, gathered: dict[str, Any], first: str, other: str) -> Any:
    """Both as experiments; None if one is none, or was not judged."""
    from rascal.experiment.outputs.comparing import compare_gathered
    from rascal.experiment.outputs.gathered import gather

    for run in (first, other):
        if run not in gathered:
            gathered[run] = None
            with suppress(RascalError):
                gathered[run] = gather(reader, run)
    if gathered[first] is None or gathered[other] is None:
        return None
    return compare_gathered(reader, gathered[first], gathered[other])


def _loads(reader: Any, first: str, other: str) -> Any:
    from rascal.store.compare import compare

    return compare(reader, first, other)


def _row(rows: dict[tuple[str, str], dict[str, Any]], flow: str, name: str, many: int) -> Any:
    blank = [{"text": "–", "quiet": True} for _ in range(many)]
    return rows.setdefault((flow, name), {"name": name, "flow": flow, "cells": blank})["cells"]


def _flows(rows: Any, pair: Any, at: int, many: int) -> None:
    from rascal.experiment.outputs.comparing import answer_text
    from rascal.experiment.outputs.headline import kept_text

    for one in pair.flows:
        cells = _row(rows, one.name, "Kept", many)
        if one.before is not None:
            cells[0] = {"text": kept_text(one.before.kept)}
        if one.after is not None:
            cells[at] = {
                "text": kept_text(one.after.kept),
                "change": answer_text(one),
                "tone": TONES.get(one.answer, ""),
            }


def _findings(rows: Any, pair: Any, at: int, many: int) -> None:
    for one in pair.findings:
        cells = _row(rows, one.flow, one.measure, many)
        texts = [_value(one, which) for which in (0, 1)]
        cells[0] = {"text": texts[0]}
        cells[at] = {
            "text": texts[1],
            "change": difference_text(one),
            "tone": TONES.get(one.verdict, ""),
        }


def _value(one: Any, which: int) -> str:
    if not one.calls[which]:
        return "–"
    value = one.values[which]
    if one.unit == "share":
        return share_text(value)
    return rate_text(value) if one.unit == "rate" else spaced(time_text(value))


def spaced(text: str) -> str:
    """`6.0 ms`: as the rest of the panel writes it."""
    return _UNIT.sub(r" \1", text)


def difference_text(one: Any) -> str:
    """`worse by 31ms to 78ms`, `no difference seen`."""
    if one.change is None or one.verdict not in TONES:
        return f"{one.verdict}: {one.why}" if one.why else str(one.verdict)
    low, high = sorted((abs(one.change.low), abs(one.change.high)))
    if one.unit == "share":
        return f"{one.verdict} by {100 * low:.1f} to {100 * high:.1f} points"
    text = rate_text if one.unit == "rate" else time_text
    return spaced(f"{one.verdict} by {text(low)} to {text(high)}")


def _code(reader: Any, first: str, other: str) -> list[dict[str, str]]:
    """The commit that was tested, where a job knows it."""
    both = [reader.run(one).about.get("job") or {} for one in (first, other)]
    found = []
    for name in COMMIT:
        old, new = (str(one.get(name) or "") for one in both)
        if old != new:
            found.append({"what": name, "before": old or "none", "after": new or "none",
                          "meaning": "other code was tested"})  # fmt: skip
    return found


def _setting(one: Any) -> dict[str, str]:
    found = attrs.asdict(one)
    if one.what == "profile":
        from rascal.language import from_json, show

        with suppress(RascalError, ValueError, TypeError):
            found |= {name: show(from_json("profile", found[name])) for name in ("before", "after")}
    return {name: str(value) for name, value in found.items()}


def pair_page(reader: Any, before: str, after: str) -> str:
    """The report of two experiments. Raises StoreError, ExperimentError."""
    from rascal.experiment.outputs.comparing import compare
    from rascal.experiment.outputs.comparison import html

    return html(compare(reader, before, after))
