"""Runs side by side: /compare?runs=12,17; the first is what the others are held against."""

from __future__ import annotations

from typing import Any

from rascal.control._problems import Problem
from rascal.panel import comparing, history
from rascal.panel.site import Call, Panel


def routes(panel: Panel) -> None:
    """Add the addresses."""
    panel.page("/compare", _page)
    panel.api("GET", "/api/v1/compare", _curves)
    panel.api("GET", "/api/v1/compare/differences", _differences)


async def _page(call: Call) -> Any:
    try:
        numbers = await comparing.wanted(call)
    except Problem as problem:
        if call.query.get("runs") and problem.code != "which-runs":
            raise
        return "compare.html", {"title": "Compare", "here": "runs", "runs": [], "report": ""}

    def look(store: Any) -> list[dict[str, Any]]:
        return [history.row(store, one) for one in numbers]

    runs = await call.panel.runs.ask(look)
    both = len(runs) == 2 and all(one["word"] for one in runs)
    return "compare.html", {
        "title": f"Compare {', '.join('#' + one for one in numbers)}",
        "here": "runs",
        "runs": runs,
        "report": f"/compare/report.html?runs={','.join(numbers)}" if both else "",
        "others": [_without(numbers, one) for one in numbers],
        "firsts": [_first(numbers, one) for one in numbers],
        "may_run": call.caller.may("operator"),
    }


def _without(numbers: list[str], run: str) -> str:
    left = [one for one in numbers if one != run]
    return f"/compare?runs={','.join(left)}" if len(left) > 1 else ""


def _first(numbers: list[str], run: str) -> str:
    """With that run as the one that the others are held against."""
    return f"/compare?runs={','.join([run, *(one for one in numbers if one != run)])}"


async def _curves(call: Call) -> Any:
    """Curves, phases and faults of each, and the measures that its verdict has."""
    runs = call.panel.runs
    numbers = await comparing.wanted(call)
    actives = [await runs.open(one) for one in numbers]
    return {**comparing.drawn(actives), "order": numbers, "measures": comparing.measures(actives)}


async def _differences(call: Call) -> Any:
    """Each against the first, with ranges; what was not the same. Takes a while for long runs."""
    numbers = await comparing.wanted(call)
    return await call.panel.reports.make(comparing.held_against, numbers)
