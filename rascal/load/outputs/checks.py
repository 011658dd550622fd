"""What must be so for a run to prove anything, one by one, and its objectives, in words.

The same for every output: JUnit has a test case for each, the page a row. A check that is not
`good` and not `fatal` is a warning: the exit status of the run does not count it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rascal.load.outputs.gathered import Gathered
from rascal.load.summary import DROPPED, OFFERED, UNSOUND
from rascal.report.words import many, number, share_text, stretch_text, value_text

SHOWN = 5
"""Windows of an objective that are named."""


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    good: bool
    text: str
    """What was found."""
    fatal: bool = True


def checks(it: Gathered) -> list[Check]:
    """What makes a run valid, in the order in which it matters."""
    if it.run.state != "ended":
        text = "it goes on" if it.run.state == "running" else "its process is gone without a word"
        return [Check(name="the run ended", good=False, text=text)]
    return [_ended(it), _offered(it), _kept_up(it), _dropped(it), _lost(it), _complete(it)]


def _ended(it: Gathered) -> Check:
    outcome, why = it.run.outcome, str(it.summary.get("why") or "")
    text = f"{outcome}: {why}" if why else outcome
    return Check(name="the run ended as planned", good=outcome == "completed", text=text)


def _offered(it: Gathered) -> Check:
    offered = it.summary.get("offered") or {}
    share = offered.get("share")
    name = "the load was offered"
    if share is None:
        return Check(name=name, good=True, text="no arrivals were planned by the clock")
    done = (offered.get("started") or 0) + (offered.get("dropped") or 0)
    expected, chance = offered.get("expected") or done, offered.get("chance") or 0
    text = f"{number(done)} arrivals; the profile asks for {number(expected)}"
    if chance:
        text += f", give or take {number(chance)} by chance"
    if share < OFFERED:
        text += f"; {share_text(share)} were offered, {OFFERED * 100:g} % are needed"
    return Check(name=name, good=share >= OFFERED, text=text)


def _kept_up(it: Gathered) -> Check:
    unsound = it.summary.get("unsound") or {}
    seconds, share = unsound.get("seconds") or (), unsound.get("share") or 0.0
    text = "in no second was an agent late or short of CPU"
    if seconds:
        words = ", ".join(f"{word} {times}" for word, times in unsound.get("reasons", {}).items())
        text = (
            f"the client could not keep up in {many(len(seconds), 'second')} "
            f"({share_text(share)}; {UNSOUND * 100:g} % are allowed): {words}"
        )
    return Check(name="the client was not the bottleneck", good=share <= UNSOUND, text=text)


def _dropped(it: Gathered) -> Check:
    offered = it.summary.get("offered") or {}
    dropped, planned = offered.get("dropped") or 0, offered.get("planned") or 0
    share = dropped / planned if planned else 0.0
    text = "none was dropped"
    if dropped:
        text = f"{number(dropped)} of {number(planned)} arrivals ({share_text(share)}) were dropped"
    return Check(
        name="arrivals found room in flight", good=share <= DROPPED, text=text, fatal=False
    )


def _lost(it: Gathered) -> Check:
    agents = it.summary.get("agents") or {}
    lost = {name: one["lost"] for name, one in agents.items() if one.get("lost")}
    text = f"{many(len(agents), 'agent')}, none lost"
    if lost:
        text = "; ".join(f"{name}: {why}" for name, why in lost.items())
    return Check(name="no agent was lost", good=not lost, text=text, fatal=False)


def _complete(it: Gathered) -> Check:
    reports = it.summary.get("reports") or {}
    missing = reports.get("missing") or 0
    text = f"{many(reports.get('merged') or 0, 'report')} merged, {missing or 'none'} missing"
    return Check(name="no report is missing", good=not missing, text=text, fatal=False)


# ---- objectives


def limit_text(state: Mapping[str, Any]) -> str:
    """`< 300ms`."""
    return f"{state.get('op', '')} {value_text(state.get('type'), state.get('limit'))}".strip()


def measured_text(state: Mapping[str, Any]) -> str:
    """The value, or that there is none."""
    return value_text(state.get("type"), state.get("value"))


def where_text(state: Mapping[str, Any], seconds: float) -> str:
    """When it was not kept: `in 3 of 51 windows: 0:12 to 0:21 (512ms)`; else over which time."""
    of, failed = state.get("of") or 1, state.get("failed") or 0
    if of <= 1 or state.get("kept"):
        return f"the worst of {of} windows" if of > 1 else f"over {value_text('duration', seconds)}"
    windows: Sequence[Mapping[str, Any]] = state.get("windows") or ()
    named = [
        f"{stretch_text(one['first'], one['last'])} "
        f"({value_text(state.get('type'), one.get('value'))})"
        for one in windows[:SHOWN]
    ]
    if len(windows) > SHOWN:
        named.append("…")
    return f"in {number(failed)} of {number(of)} windows: {', '.join(named)}".rstrip(": ")
