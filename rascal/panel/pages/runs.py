"""The history of runs, what runs and waits now, and the form of a replay with changes."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from rascal.control._problems import Problem
from rascal.panel import history
from rascal.panel.history import Search
from rascal.panel.runs_json import run_json
from rascal.panel.site import Call, Panel
from rascal.report.words import clock_text, many


def routes(panel: Panel) -> None:
    """Add the addresses, and what templates need for numbers and times."""
    panel.templates.filters |= FILTERS
    panel.page("/runs", _list)
    panel.page("/runs/<run>/replay", _again, "operator")
    panel.api("PUT", "/api/v1/runs/<run>/baseline", _pin, "operator")


# ---- how things are written


def share(value: float | None) -> str:
    """`57 %`; a dash for nothing."""
    return "–" if value is None else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    """`35 s`."""
    return "–" if value is None else f"{value:,.0f} s"


def utc(at: float | None) -> str:
    """The moment, for those without JavaScript: `2026-11-25 08:12 UTC`."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def rate(value: float | None) -> str:
    """`400/s`."""
    if value is None:
        return "–"
    return f"{value:,.1f}/s" if 0 < value < 10 else f"{value:,.0f}/s"


FILTERS = {
    "share": share,
    "seconds": seconds,
    "utc": utc,
    "rate": rate,
    "clock": clock_text,
    "many": many,
}


# ---- the list


async def _list(call: Call) -> Any:
    runs = call.panel.runs
    search = Search.of(call.query)
    found = await runs.ask(history.find, search)
    snapshot = runs.snapshot(call.caller)
    live = sorted(snapshot["active"].values(), key=lambda one: int(one["id"]))

    def address(page: int) -> str:
        query = urlencode(search.query(page=str(page) if page > 1 else ""))
        return f"/runs?{query}" if query else "/runs"

    return "runs.html", {
        "title": "Runs",
        "search": search,
        "found": found,
        "live": live,
        "queue": snapshot["queue"],
        "problem": snapshot["problem"],
        "address": address,
        "may_run": call.caller.may("operator"),
    }


async def _pin(call: Call, run: str) -> Any:
    """{"on": true}: others of its name are held against this run, and no other."""
    body = call.body()
    if not isinstance(body, dict) or not isinstance(body.get("on"), bool):
        raise Problem(422, "not-allowed", 'pinned or not: {"on": true}', pointer="/on")
    runs = call.panel.runs
    which = await runs.find(run)
    found = await runs.ask(history.pin, which, body["on"])
    call.panel.hub.publish("run", {"last": runs.last})
    return found


# ---- once more


async def _again(call: Call, run: str) -> Any:
    runs = call.panel.runs
    which = await runs.find(run)

    def look(store: Any) -> dict[str, Any]:
        found = run_json(store.run(which))
        return {"run": history.row(store, which), "spec": found["spec"], "seed": found["seed"]}

    found = await runs.ask(look)
    return "replay.html", {"title": f"Replay run {which}", **found}
