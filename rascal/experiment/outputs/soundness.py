"""Is the measurement sound? What the judge checks before it says anything, one by one.

The judge's own sentences decide; here they are put beside what was measured, so that a check that
went well says how well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import attrs

from rascal.experiment.outputs.counted import left_out
from rascal.experiment.outputs.gathered import Gathered
from rascal.report.words import many, number, share_text, span


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    good: bool
    text: str


_ABOUT = (
    ("every fault fired", r"never fired$|^no flow uses"),
    ("faults took effect on time", r"took effect .* late$"),
    ("faults were removed", r"could not be removed$"),
    ("the agents kept up", r"^an agent was overloaded"),
    ("the load was offered", r"of the load was offered|bound of calls in flight"),
    (
        "it was well before the fault",
        r"before any fault$|already in the baseline|calls in the baseline|"
        r"was still getting|wrong data before",
    ),
    ("invariants held before", r"did not hold before"),
)
OTHER = "nothing else went wrong"


def checks(it: Gathered) -> list[Check]:
    """All of them; a reason that fits none stands last."""
    reasons = list(it.verdict.reasons) if it.verdict and it.verdict.word == "invalid" else []
    if it.verdict is None:
        reasons = [*it.kept.troubles]
    left = list(reasons)
    found = []
    for name, pattern in _ABOUT:
        mine = [one for one in reasons if re.search(pattern, one)]
        left = [one for one in left if one not in mine]
        text = "; ".join(mine) or _measured(name, it)
        if text:
            found.append(Check(name=name, good=not mine, text=text))
    text = "; ".join(left) or "no agent was lost, no node went away"
    found.append(Check(name=OTHER, good=not left, text=text))
    if it.verdict is None:
        why = it.why or "it was ended before it could be judged"
        found.insert(0, Check(name="it went to its end", good=False, text=why))
    return found


def _measured(name: str, it: Gathered) -> str:
    return {
        "every fault fired": _fired,
        "faults took effect on time": _on_time,
        "faults were removed": _removed,
        "the agents kept up": _kept_up,
        "the load was offered": _offered,
        "it was well before the fault": _before,
        "invariants held before": _held,
    }[name](it)


def _fired(it: Gathered) -> str:
    if any(not one.record.fired for one in it.faults):  # it was not asked: it ended early
        return ""
    return ", ".join(f"{one.letter} {number(one.record.fired)} ×" for one in it.faults)


def _on_time(it: Gathered) -> str:
    if not it.faults:
        return ""
    late = max(abs(one.record.on - one.planned[0]) for one in it.faults)
    text = f"at most {span(late)} beside the plan"
    clocks = [f"{node} within {span(error)}" for node, (_, error) in it.kept.clocks.items()]
    return text + (f"; clocks are known: {', '.join(clocks)}" if clocks else "")


def _removed(it: Gathered) -> str:
    return f"{many(len(it.faults), 'fault')}, none stayed" if it.faults else ""


def _window(it: Gathered) -> tuple[int, int]:
    if it.verdict is not None:
        return it.verdict.windows["baseline"][0], it.verdict.windows["tail"][1]
    return 0, math.floor(it.end)


def _kept_up(it: Gathered) -> str:
    first, last = _window(it)
    deaf = sum(1 for second in it.record.unsound if first <= second < last)
    if not deaf:
        return f"in all of {many(last - first, 'second')}"
    share = share_text(deaf / max(1, last - first))
    allowed = share_text(it.thresholds.unsound)
    return f"but for {deaf} of {many(last - first, 'second')} ({share}; {allowed} are allowed)"


def _offered(it: Gathered) -> str:
    first, last = _window(it)
    pairs = [it.record.offered.get(at, (0, 0)) for at in range(first, last)]
    planned, offered = (sum(one) for one in zip(*pairs, strict=True)) if pairs else (0, 0)
    if not planned:
        return ""
    return f"{number(offered)} of {number(planned)} arrivals ({share_text(offered / planned)})"


def _before(it: Gathered) -> str:
    if it.verdict is None or not it.verdict.flows:
        return ""
    worst = min(it.verdict.flows, key=lambda one: one.baseline)
    calls = sum(one.calls.get("baseline", 0) for one in it.verdict.flows)
    return f"{number(calls)} calls; {worst.name}: {share_text(worst.baseline)} served in time"


def _held(it: Gathered) -> str:
    count = len(it.kept.invariants)
    return many(count, "invariant") if count else ""


def unsound_text(it: Gathered) -> Iterator[str]:
    """Why seconds are shaded."""
    reasons: dict[str, int] = {}
    for words in it.load.unsound.values():
        for word in words:
            reasons[word] = reasons.get(word, 0) + 1
    if reasons:
        named = ", ".join(f"{word} in {many(times, 'second')}" for word, times in reasons.items())
        counted = " The judge does not count them." if left_out(it) else ""
        yield (
            f"Shaded seconds are those in which an agent did not keep up itself: {named}.{counted}"
        )
