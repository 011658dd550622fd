"""Goes of contenders as ratios within a round, as a table and for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

import attrs
from contenders import OURS, Contender, Go

Goes = dict[str, list[Go | None]]
"""By contender, one a round; None: it failed."""
ENOUGH = 0.8
"""Share of its core that a contender must have had, or the round's rate says nothing of it."""
RATES = 0.8
"""Rates may fall behind the goal for CPU time by a fifth."""


def costs(goes: Goes, name: str) -> list[float]:
    """How often its CPU time per request was ours, round by round, sorted."""
    pairs = zip(goes[name], goes.get(OURS, ()), strict=False)
    return sorted(one.each / ours.each for one, ours in pairs if one and ours and ours.each)


def rates(goes: Goes, name: str) -> list[float]:
    """How often our rate was its, in the rounds in which both had their core."""
    pairs = zip(goes[name], goes.get(OURS, ()), strict=False)
    return sorted(
        ours.rate / one.rate
        for one, ours in pairs
        if one and ours and one.rate and min(one.share, ours.share) >= ENOUGH
    )


def lines(users: int, goes: Goes, contenders: Iterable[Contender]) -> tuple[list[str], list[str]]:
    """The table for so many users, and the goals that were missed."""
    shown = [
        f"{users} in flight",
        f"  {'':<20} {'CPU a request':>13} {'rate':>10} {'core':>5}"
        f"  {'CPU, of ours':<22} {'goal':>5}  {'our rate, of its':<22} lost  opened",
    ]
    missed: list[str] = []
    for one in contenders:
        found = [go for go in goes.get(one.name, ()) if go is not None]
        if not found:
            continue
        cost, rate = (costs(goes, one.name), rates(goes, one.name)) if one.goal else ([], [])
        if one.goal and cost and median(cost) < one.goal:
            missed.append(f"{one.name} at {users}: {median(cost):.2f} of {one.goal:g}")
        if one.goal and users > 1 and rate and median(rate) < one.goal * RATES:
            missed.append(f"rate of {one.name} at {users}: {median(rate):.2f}")
        failed = sum(go.failed for go in found)
        shown.append(
            f"  {one.name:<20} {median(go.each for go in found) * 1e6:10.1f} us"
            f" {median(go.rate for go in found):8,.0f}/s {median(go.share for go in found):5.0%}"
            f"  {spread(cost):<22} {f'{one.goal:g}' if one.goal else '':>5}  {spread(rate):<22}"
            f" {max((go.lost for go in found), key=abs):4}  {max(go.opened for go in found):6}"
            + (f"  {failed} failed" if failed else "")
        )
    return shown, missed


def spread(values: list[float]) -> str:
    """`5.21 [4.80-6.02]`: median, least, most."""
    return f"{median(values):.2f} [{values[0]:.2f}-{values[-1]:.2f}]" if values else ""


def summary(goes: Goes) -> dict[str, Any]:
    """Every go and the ratios, for JSON."""
    made: dict[str, Any] = {}
    for name, found in goes.items():
        whole = [go for go in found if go is not None]
        made[name] = {
            "goes": [attrs.asdict(go) if go else None for go in found],
            "us": median(go.each for go in whole) * 1e6 if whole else None,
            "rate": median(go.rate for go in whole) if whole else None,
            "cpu_of_ours": costs(goes, name),
            "our_rate_of_its": rates(goes, name),
        }
    return made
