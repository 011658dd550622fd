"""An experiment's times on one clock: seconds of the run, whole phases, each action's window.

Pure; what happens at these moments is the conductor's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from rascal.errors import ConfigError, did_you_mean
from rascal.experiment.specification import PHASES, Action, Experiment
from rascal.language import Time, show

Phase = tuple[float, float]


@attrs.frozen(kw_only=True)
class Window:
    """When an action begins and ends, seconds of the run."""

    action: Action
    begins: float
    ends: float


@attrs.frozen(kw_only=True)
class Timeline:
    """All of an experiment's times."""

    phases: Mapping[str, Phase]
    windows: tuple[Window, ...]

    @property
    def ends(self) -> float:
        """Where the last phase ends."""
        return max(end for _, end in self.phases.values())

    def phase_at(self, second: float) -> str:
        """The phase at that moment; the last one after its end."""
        for name, (begin, end) in self.phases.items():
            if begin <= second < end:
                return name
        names = tuple(self.phases)
        return names[-1] if second >= 0 else names[0]


def phase_windows(lengths: Mapping[str, float]) -> dict[str, Phase]:
    """Begin and end of each phase, in order."""
    found: dict[str, Phase] = {}
    at = 0.0
    for name in PHASES:
        if name in lengths:
            found[name] = (at, at + lengths[name])
            at += lengths[name]
    return found


def timeline_of(experiment: Experiment) -> Timeline:
    """Put an experiment on its clock.

    Raises:
        ConfigError: a time names no phase, or a window is empty or outside of the fault phase.
    """
    phases = phase_windows(experiment.phases)
    windows = [_window(action, phases, experiment.path) for action in experiment.actions]
    return Timeline(phases=phases, windows=tuple(windows))


def moment(time: Time, phases: Mapping[str, Phase]) -> float:
    """A time of the plan in seconds of the run."""
    anchor, _, edge = time.anchor.partition(".")
    if anchor in ("start", "end") and not edge:
        at = 0.0 if anchor == "start" else max(end for _, end in phases.values())
    elif anchor in phases and edge in ("", "end"):
        at = phases[anchor][1 if edge else 0]
    else:
        known = ("start", "end", *phases)
        raise ConfigError(
            f"'{time.anchor}' is not a phase; phases: {', '.join(known)} (NAME is its beginning, "
            f"NAME.end its end).{did_you_mean(anchor, known)}",
            allowed=known,
        )
    return at + float(time.offset)


def _window(action: Action, phases: Mapping[str, Phase], path: str) -> Window:
    def wrong(message: str) -> ConfigError:
        return ConfigError(message, path=path or None, line=action.line or None)

    try:
        begins, ends = moment(action.begins, phases), moment(action.ends, phases)
    except ConfigError as error:
        raise wrong(error.message) from None
    if ends <= begins:
        raise wrong(
            f"{action.name} would end ({show(action.ends)}: {ends:g}s) before it begins "
            f"({show(action.begins)}: {begins:g}s)"
        )
    first, last = phases["fault"]
    if begins < first or ends > last:
        raise wrong(
            f"{action.name} lasts from {begins:g}s to {ends:g}s, the phase 'fault' from {first:g}s "
            f"to {last:g}s: what goes wrong outside of it would spoil the comparison; make the "
            "phase longer, or the fault shorter"
        )
    return Window(action=action, begins=begins, ends=ends)


def overlapping(windows: Sequence[Window]) -> list[tuple[Window, Window]]:
    """Container faults of one service that would be on at the same time."""
    found = []
    containers = [one for one in windows if one.action.form == "container"]
    for at, one in enumerate(containers):
        for other in containers[at + 1 :]:
            same = one.action.service == other.action.service
            if same and one.begins < other.ends and other.begins < one.ends:
                found.append((one, other))
    return found
