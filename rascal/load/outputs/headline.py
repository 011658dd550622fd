"""What came out of a run in a few sentences: what was offered, what got through, who was slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rascal.load.outputs.gathered import Gathered, joined
from rascal.load.types import SERVED
from rascal.load.words import share_words
from rascal.report.page import Badge, Tile
from rascal.report.words import (
    clock_text,
    many,
    number,
    rate_text,
    share_text,
    time_text,
    value_text,
)  # fmt: skip

Tone = Literal["", "good", "bad", "warn"]
NOTABLE = 1.1
"""How many times as long a corrected latency must be for the difference to be told."""
CLASSES = 4
"""Classes of failures that are named."""


def tone(it: Gathered) -> Tone:
    """How it went, in a colour."""
    if it.run.state != "ended" or it.run.status is None:
        return "warn"
    if it.run.status == 0:
        return "warn" if it.summary.get("warnings") else "good"
    return "warn" if it.run.status == 130 else "bad"


def badges(it: Gathered) -> list[Badge]:
    """One word each."""
    if it.run.state != "ended":
        return [Badge(text=it.run.state, tone="warn")]
    kept = [bool(one.get("kept")) for one in it.summary.get("objectives") or ()]
    words = {
        0: "as expected",
        1: "an objective was not kept",
        3: "proves nothing",
        4: "ended by a stop rule",
        130: "interrupted",
    }
    found = []
    if it.run.status is not None:
        text = words.get(it.run.status, f"status {it.run.status}")
        found.append(Badge(text=text, tone=tone(it)))
    if kept:
        all_kept = all(kept)
        found.append(
            Badge(
                text=f"{sum(kept)} of {many(len(kept), 'objective')} kept",
                tone="good" if all_kept else "bad",
            )
        )
    return found


def sentences(it: Gathered) -> list[str]:
    """The headline, the most important first."""
    return [_first(it), *_offered(it), *_through(it), *_tool(it), *_correction(it)]


def _first(it: Gathered) -> str:
    return f"{_verdict(it)}{_core(it)}"


def _verdict(it: Gathered) -> str:
    state, status = it.run.state, it.run.status
    why = str(it.summary.get("why") or "")
    if state == "running":
        return "The run goes on. So far: "
    if state != "ended":
        return "The run is lost: its process is gone without a word. What it had reported: "
    if status == 3:
        invalid = it.summary.get("invalid") or [why or it.run.outcome]
        return f"This run proves nothing: {str(invalid[0]).rstrip('.')}. "
    if status == 4:
        return f"Ended after {clock_text(it.seconds)}, {why}. " if why else "Ended early. "
    if status == 130:
        return f"Interrupted after {clock_text(it.seconds)}. "
    if status == 1:
        states = it.summary.get("objectives") or ()
        missed = [one for one in states if not one.get("kept")]
        if len(missed) == 1:
            value = value_text(missed[0].get("type"), missed[0].get("value"))
            found = f" (measured: {value})" if value != "-" else ""
            return f"Not kept: {missed[0].get('text')}{found}. "
        return f"{len(missed)} of {many(len(states), 'objective')} were not kept. "
    return ""


def _core(it: Gathered) -> str:
    planned = it.all.planned
    if not planned:
        return "No call was made."
    text = f"{share_text(it.served / planned)} of {number(planned)} calls were served"
    if it.all.served.count > 0:
        p50, p99 = it.all.served.percentiles((50, 99))
        text += f", half of them within {time_text(p50)}, 99 % within {time_text(p99)}"
    return f"{text}."


def _offered(it: Gathered) -> Iterator[str]:
    total_planned = sum(row.planned for row in it.scenarios.values())
    if not total_planned:
        return
    load = "; ".join(share_words(one) for one in it.run.plan.get("shares") or ())
    dropped = sum(row.dropped for row in it.scenarios.values())
    text = f"Offered: {number(total_planned)} iterations in {time_text(it.seconds)} ({load})"
    if any(event.kind == "changed" for event in it.events):
        text += ", changed while it went on"
    offered = it.summary.get("offered") or {}
    unknown = max(
        0, total_planned - sum(row.started + row.dropped for row in it.scenarios.values())
    )
    short = max(0, (offered.get("short") or 0) - unknown)
    if short:
        text += f", {number(short)} fewer than the profile asks for"
    if unknown and it.run.state == "ended":
        text += f"; what became of {number(unknown)} of them is not known"
    if dropped:
        text += (
            f"; {number(dropped)} of them ({share_text(dropped / total_planned)}) were dropped: as "
            "many were in flight as the plan allows"
        )
    elif not short and not unknown:
        text += ", all of which were started"
    yield f"{text}."


def _through(it: Gathered) -> Iterator[str]:
    planned = it.all.planned
    if not planned or not it.seconds:
        return
    text = (
        f"Got through: {number(it.served)} of {number(planned)} calls, "
        f"{rate_text(it.served / it.seconds)} of {rate_text(planned / it.seconds)}."
    )
    failures = {name: times for name, times in it.all.outcomes.items() if name != SERVED and times}
    if it.all.dropped:
        failures["dropped"] = it.all.dropped
    named = sorted(failures.items(), key=lambda one: -one[1])
    if named:
        words = [f"{number(times)} {name}" for name, times in named[:CLASSES]]
        if len(named) > CLASSES:
            words.append(f"{number(sum(times for _, times in named[CLASSES:]))} others")
        text += f" Failed: {', '.join(words)}."
    if it.all.reduced:
        text += f" {number(it.all.reduced)} got reduced service."
    yield text


def _tool(it: Gathered) -> Iterator[str]:
    if not it.sums:
        return
    every = joined(it.sums.values())
    facts = f"{'its agent' if len(it.sums) == 1 else 'no agent'} used "
    facts += f"{'at most' if len(it.sums) == 1 else 'more than'} {share_text(every.cpu)} of a core"
    if every.lateness.count > 0:
        late = time_text(every.lateness.percentile(99))
        facts += f", and 99 % of the arrivals began within {late} of their time"
    if not it.unsound:
        yield f"The tool was not the bottleneck: {facts}."
        return
    share = len(it.unsound) / max(it.end, 1)
    reasons: dict[str, int] = {}
    for words in it.unsound.values():
        for word in words:
            reasons[word] = reasons.get(word, 0) + 1
    named = ", ".join(f"{word} {times}" for word, times in reasons.items())
    yield (
        f"The tool was the bottleneck in {many(len(it.unsound), 'second')} ({share_text(share)}; "
        f"{named}), shaded in the plots: what was measured there is the tool, not the target."
    )


def _correction(it: Gathered) -> Iterator[str]:
    honest, naive = it.all.served, it.all.served_actual
    if honest.count <= 0 or naive.count <= 0:
        return
    right, wrong = honest.percentile(99), naive.percentile(99)
    if right > wrong * NOTABLE and right - wrong > 0.001:
        yield (
            f"Uncorrected, the 99th percentile would read {time_text(wrong)} instead of "
            f"{time_text(right)}: such a number counts from when a call was started, and leaves "
            "out how long it had to wait until then."
        )


def tiles(it: Gathered) -> list[Tile]:
    """The numbers that everybody looks for."""
    row = it.all
    found = []
    offered, served = it.rates(None, row)
    if offered is not None:
        found.append(Tile(rate_text(offered), "offered", many(row.planned, "call")))
        found.append(Tile(rate_text(served), "served", many(it.served, "call")))
    if row.planned:
        bad = row.planned - it.served
        failed = share_text(bad / row.planned)
        found.append(Tile(failed, "failed", many(bad, "call"), "bad" if bad else ""))
    if row.served.count > 0:
        latencies = [*row.served.percentiles((50, 95, 99)), row.served.most / 1e6]
        naive = [*row.served_actual.percentiles((50, 95, 99)), row.served_actual.most / 1e6]
        for name, value, other in zip(("p50", "p95", "p99", "max"), latencies, naive, strict=True):
            found.append(Tile(time_text(value), name, f"uncorrected {time_text(other)}"))
    return found
