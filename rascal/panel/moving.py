"""Planned faults of a running experiment: moved, made longer or shorter, taken out, by hand."""

from __future__ import annotations

from typing import Any

from rascal.control._problems import Problem
from rascal.experiment.errors import ExperimentError
from rascal.experiment.replanning import Times, checked


async def plan(
    runs: Any, which: str, letter: str, wanted: Times | None, by: str = ""
) -> dict[str, Any]:
    """Ask the run for it; None takes the fault out. The run says what came of it by an event.

    Raises:
        Problem: there is no such fault, or it cannot be moved there.
    """
    active = await runs.open(which)
    lane = next((one for one in active.own if one["id"] == letter), None)
    if lane is None:
        known = ", ".join(one["id"] for one in active.own) or "none"
        raise Problem(404, "unknown-name", f"run {active.id} has no fault {letter}: {known}")
    name = f"{lane['proxy']}/{lane['name']}"
    if active.over or active.run["state"] != "running":
        raise Problem(409, "ended", f"run {active.id} has ended: its plan is what it was")
    if active.run["kind"] != "experiment" or not lane["planned"]:
        raise Problem(409, "not-planned", f"{name} is not planned any more: nothing can be moved")
    phase = next((one for one in active.phases if one["kind"] == "fault"), None)
    if phase is None:
        raise Problem(409, "not-planned", f"run {active.id} has no fault phase")
    begins, ends = lane["planned"][0]
    try:
        within = (phase["from"], phase["to"])
        checked(name, active.state.get("t", 0), (begins, ends), wanted, within)
    except ExperimentError as error:
        raise Problem(422, "not-allowed", str(error), pointer="/planned") from None
    if wanted is None and sum(1 for one in active.own if one["planned"] or one["spans"]) == 1:
        text = f"{name} is the only fault, and an experiment needs one: end the run instead"
        raise Problem(422, "not-allowed", text)
    planned = None if wanted is None else list(wanted)
    await runs.ask(_ask, active.id, name, planned, by)
    return {
        "run": active.id,
        "fault": name,
        "planned": planned,
        "taken": await runs.taken(active.id),
    }


def _ask(store: Any, run: str, name: str, planned: list[float] | None, by: str) -> None:
    store.ask(run, "fault", fault=name, planned=planned, by=by)
