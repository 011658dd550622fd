"""The screen of a run: while it goes on (/runs/N/live) and afterwards (/runs/N), the same page."""

from __future__ import annotations

from typing import Any

from rascal.control._problems import Problem
from rascal.experiment.outputs.headline import MEANINGS, SIGNS
from rascal.panel import history
from rascal.panel.moving import plan
from rascal.panel.runs_json import run_json
from rascal.panel.scenario_files import dumps
from rascal.panel.site import Call, Panel

BEFORE = 8
"""Runs of a name that are looked through for one to compare with."""
GONE = "live_gone.html"


def routes(panel: Panel) -> None:
    """Add the addresses."""
    panel.page("/runs/<run>", _page)
    panel.page("/runs/<run>/live", _page)
    panel.api("PATCH", "/api/v1/runs/<run>/faults/<fault>", _move, "operator")
    panel.api("DELETE", "/api/v1/runs/<run>/faults/<fault>", _take, "operator")


# ---- the page


async def _page(call: Call, run: str) -> Any:
    runs = call.panel.runs
    try:
        which = await runs.find(run)
    except Problem as problem:
        if problem.status != 404:
            raise
        call.request.setResponseCode(404)
        return GONE, {"title": "No such run", "asked": run[:80], "last": runs.last[:5]}

    def look(store: Any) -> dict[str, Any]:
        from rascal.store.verdicts import verdict_of

        found = store.run(which)
        verdict = verdict_of(store, found.id) if found.kind == "experiment" else None
        return {
            "run": run_json(found, verdict),
            "row": history.row(store, found.id),
            "compare": _other(store, found),
        }

    found = await runs.ask(look)
    active = runs.active.get(which)
    lanes = len(active.faults()) if active is not None and active.ready else 0
    closed = any("users" in one["profile"] for one in found["run"]["spec"]["shares"])
    about = {
        "run": found["run"],
        "compare": found["compare"],
        "signs": {word: history.sign_of(word) for word in SIGNS},
        "meanings": MEANINGS,
    }
    return "live.html", {
        "title": f"{found['run']['name']} · run {which}",
        "run": found["run"],
        "row": found["row"],
        "lanes": lanes or (1 if found["run"]["kind"] == "experiment" else 0),
        "closed": closed,
        "tracks": _tracks(closed),
        "about": dumps(about),
    }


def _tracks(closed: bool) -> list[dict[str, Any]]:
    """The charts, as they stand there before there are numbers."""
    classes = ("Goodput", "Shed", "HTTP errors", "Refused, reset", "Timed out", "Wrong data",
               "Not sent")  # fmt: skip
    flight = ("Requests open", "Users") if closed else ("Requests open",)
    return [
        {"id": "throughput", "title": "Requests per second", "legend": ("Offered", *classes)},
        {"id": "latency", "title": "Latency from intended start", "legend": ("p99", "p95", "p50")},
        {
            "id": "users" if closed else "flight",
            "title": "In flight, users" if closed else "In flight",
            "legend": flight,
        },
        {"id": "tries", "title": "Attempts per call", "legend": ("With retries",)},
    ]


def _other(store: Any, run: Any) -> str:
    """The run that one compares with: the pinned one of its name, or the one before; else ""."""
    pinned = history.baseline_of(store, run.name)
    if pinned and pinned != run.id:
        return pinned
    found = store.database.select(
        "SELECT max(id) FROM runs WHERE name = ? AND id < ? AND ended IS NOT NULL "
        "AND started IS NOT NULL",
        run.name, int(run.id),
    )  # fmt: skip
    return "" if found[0][0] is None else str(found[0][0])


# ---- planned faults


async def _move(call: Call, run: str, fault: str) -> Any:
    """{"planned": [from, to]}, seconds of the run: a fault that has not begun gets other times."""
    body = call.body()
    times = body.get("planned") if isinstance(body, dict) else None
    if (
        not isinstance(times, list)
        or len(times) != 2
        or any(isinstance(one, bool) or not isinstance(one, int | float) for one in times)
        or not all(0 <= one < 1e7 for one in times)
    ):
        raise Problem(
            422, "not-allowed", 'a plan is two times, seconds of the run: {"planned": [90, 120]}',
            pointer="/planned",
        )  # fmt: skip
    call.request.setResponseCode(202)
    return await plan(
        call.panel.runs, run, fault, (float(times[0]), float(times[1])), call.caller.name
    )


async def _take(call: Call, run: str, fault: str) -> Any:
    """A planned fault is taken out."""
    call.request.setResponseCode(202)
    return await plan(call.panel.runs, run, fault, None, call.caller.name)
