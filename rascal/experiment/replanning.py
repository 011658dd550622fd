"""Other times for a planned fault while its experiment goes on, or none: asked for by hand.

Only what has not begun can be moved, and only within the fault phase: what goes wrong outside of
it would spoil the comparison. What was changed is an event of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from rascal.control.client import Refused, Unreachable
from rascal.experiment.errors import ExperimentError
from rascal.experiment.timeline import Window, overlapping
from rascal.report.words import clock_text

if TYPE_CHECKING:
    from rascal.experiment.conductor import Conductor, Standing

NEAR = 3.0
"""Seconds before its moment at which a fault has been told of it."""
SHORTEST = 1.0

Times = tuple[float, float]


def checked(name: str, now: float, planned: Times, wanted: Times | None, phase: Times) -> None:
    """Whether a planned fault can be moved there, or taken out with None.

    Raises:
        ExperimentError: it cannot, and why.
    """
    if planned[0] <= now + NEAR:
        raise ExperimentError(f"{name} begins in a moment, or has begun: it cannot be moved")
    if wanted is None:
        return
    begins, ends = wanted
    if ends - begins < SHORTEST:
        raise ExperimentError(f"{name} would last for less than {SHORTEST:g} s")
    if begins <= now + NEAR:
        raise ExperimentError(f"{name} would begin at {clock_text(begins)}, which is too soon")
    if begins < phase[0] or ends > phase[1]:
        raise ExperimentError(
            f"{name} would last from {clock_text(begins)} to {clock_text(ends)}; the fault phase "
            f"lasts from {clock_text(phase[0])} to {clock_text(phase[1])}, and what goes wrong "
            "outside of it would spoil the comparison"
        )


def asked(conductor: Conductor, request: dict[str, Any]) -> None:
    """What somebody wants of a fault: {"fault": "cache/hang", "planned": [90, 120] or null}.

    Raises:
        ExperimentError: it cannot be.
    """
    name, times, by = str(request.get("fault")), request.get("planned"), str(request.get("by", ""))
    one = next((known for known in conductor.standings if known.name == name), None)
    if one is None:
        raise ExperimentError(f"there is no planned fault {name}")
    wanted = None if times is None else (float(times[0]), float(times[1]))
    window = one.window
    planned = window.begins, window.ends
    checked(name, conductor.now, planned, wanted, conductor.timeline.phases["fault"])
    if one.told:
        raise ExperimentError(f"{name} begins in a moment: it cannot be moved")
    if wanted is None:
        _taken_out(conductor, one, by)
    else:
        _moved(conductor, one, attrs.evolve(window, begins=wanted[0], ends=wanted[1]), by)


def _moved(conductor: Conductor, one: Standing, window: Window, by: str) -> None:
    others = [known.window for known in conductor.standings if known is not one]
    if len(overlapping([*others, window])) > len(overlapping([*others, one.window])):
        raise ExperimentError(f"{one.name}: another fault of the same service is on at that time")
    one.window = window
    _settle(conductor)
    conductor.schedule(one)
    when = f"{clock_text(window.begins)} to {clock_text(window.ends)}"
    _tell(conductor, one, f"is planned for {when}", [window.begins, window.ends], by)


def _taken_out(conductor: Conductor, one: Standing, by: str) -> None:
    if len(conductor.standings) == 1:
        raise ExperimentError(
            f"{one.name} is the only fault, and an experiment needs one: end the run instead"
        )
    conductor.unschedule(one)
    conductor.standings.remove(one)
    _settle(conductor)
    _tell(conductor, one, "is taken out of the plan", [], by)
    if one.installed:
        conductor.keep(_removed(conductor, one))


async def _removed(conductor: Conductor, one: Standing) -> None:
    """Its lease would end with the others' at the latest; while it is there it does nothing."""
    try:
        await conductor.remove(one)
    except (Unreachable, Refused) as error:
        conductor.tell("error", f"{one.name} could not be removed: {error}", {})


def _settle(conductor: Conductor) -> None:
    windows = tuple(one.window for one in conductor.standings)
    conductor.timeline = attrs.evolve(conductor.timeline, windows=windows)


def _tell(conductor: Conductor, one: Standing, what: str, planned: list[float], by: str) -> None:
    text = f"{one.name} {what}" + (f", by {by}" if by else "")
    data = {"fault": one.name, "planned": planned, **({"by": by} if by else {})}
    conductor.tell("fault_planned", text, data)
