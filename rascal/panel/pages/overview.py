"""The overview: what is on now, drawn from the events; without JavaScript it is a list."""

from __future__ import annotations

from typing import Any

from rascal.panel import history
from rascal.panel.scenario_files import dumps
from rascal.panel.site import Call, Panel

VERDICTS = 6


def routes(panel: Panel) -> None:
    """Add the address."""
    panel.page("/", _overview)


async def _overview(call: Call) -> Any:
    panel = call.panel
    runs = panel.runs.snapshot(call.caller)
    first = {"nodes": panel.nodes.json(), "lever": panel.nodes.levers(), "runs": runs}
    ended = [one["id"] for one in runs["last"][:VERDICTS]]

    def look(store: Any) -> list[Any]:
        return [history.row(store, run) for run in ended]

    last = await panel.runs.ask(look) if ended else []
    about = {"redis": bool(panel.settings.redis), "who": panel.door.who_may("operator")}
    return "overview.html", {
        "title": "Overview",
        "first": dumps(first),
        "about": dumps(about),
        "nodes": panel.nodes.nodes.values(),
        "runs": runs,
        "last": last,
        "new": not (ended or runs["active"]),
        "may_run": call.caller.may("operator"),
    }
