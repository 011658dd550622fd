"""What an experiment is: target, load, phases, faults on a timeline, what must hold, what is hoped.

Frozen values; `reading` makes them of YAML, `timeline` puts their times on one clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from rascal.experiment.expectation import Expectation
from rascal.experiment.record import Thresholds
from rascal.language import Objective, Time

PHASES = ("warm-up", "baseline", "fault", "recovery")
"""In order. `start` is the beginning of the first, `end` that of nothing more."""
DEFAULT_PHASES: Mapping[str, float] = {
    "warm-up": 10.0,
    "baseline": 20.0,
    "fault": 20.0,
    "recovery": 60.0,
}
"""Seconds, where the file does not say."""
DEFAULT_NODE = "http://127.0.0.1:8474"

Form = Literal["fault", "script", "recipe", "roulette", "container"]


@attrs.frozen(kw_only=True)
class Action:
    """Something that goes wrong for a while."""

    form: Form
    name: str
    """Unique in the experiment; what it is called on its proxy."""
    on: str
    """A proxy, or `service.NAME` for a container."""
    text: str
    """The sentence, without `on` and times; of a script its steps."""
    begins: Time
    ends: Time
    """Times of the plan; a script or a fault with a count may be used up before."""
    match: str = ""
    """Of a script."""
    line: int = 0
    """Where it stands in the file."""

    @property
    def service(self) -> str:
        """The Compose service that it strikes; empty for a proxy."""
        return self.on.partition(".")[2] if self.form == "container" else ""


@attrs.frozen(kw_only=True)
class Check:
    """A question with one answer: what must hold, or what stops the experiment."""

    name: str
    way: Literal["get", "sql", "redis", "command"]
    ask: str
    """A URL, a query, a Redis command, or a command line."""
    at: str = ""
    """Of sql and redis: the server's URL."""
    json: str = ""
    """Of get and command: the path to the value in the reply."""
    test: Literal["equals", "at_most", "at_least", "contains", "unchanged", "answers"] = "answers"
    value: str = ""
    within: float = 0.0
    """After the experiment: seconds until it must hold again."""
    timeout: float = 5.0
    lasts: float = 0.0
    """Of a stop rule: how long it must fail."""
    line: int = 0


@attrs.frozen(kw_only=True)
class Experiment:
    """One experiment, as its file says it."""

    name: str
    target: str
    nodes: Mapping[str, str]
    """Control URLs of the rascal-proxy processes, by name."""
    load: Mapping[str, Any]
    """What the load client reads: scenarios, profile, options (see rascal.load.planning)."""
    scenarios: str
    """The scenario file, as the file names it (relative to the experiment's file)."""
    phases: Mapping[str, float]
    actions: tuple[Action, ...]
    uses: Mapping[str, tuple[str, ...]] | None = None
    """Which flows use which dependency; None: it is learned, or not known."""
    deadlines: Mapping[str, float] = attrs.Factory(dict)
    """Seconds, by flow, in which a call must be served; others are derived from the baseline."""
    objectives: tuple[Objective, ...] = ()
    stop: tuple[Objective | Check, ...] = ()
    invariants: tuple[Check, ...] = ()
    expect: Expectation | None = None
    seed: int = 0
    thresholds: Thresholds = attrs.Factory(Thresholds)
    compare: Literal["load", "shares"] = "load"
    """`shares`: the load may differ between baseline and recovery."""
    probe: bool = True
    """Run the escape probe if it is stuck."""
    probe_load: float = 0.1
    probe_wait: float = 60.0
    compose: str = ""
    """The Compose project of container faults; found by its file or label."""
    learn: bool = True
    """Learn which flows use which dependency, if nobody says."""
    labels: tuple[str, ...] = ()
    path: str = ""
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Those of the environment that its file names, with what they stood for."""

    @property
    def dependencies(self) -> tuple[str, ...]:
        """What the faults strike: proxies and services, in order."""
        return tuple(dict.fromkeys(action.service or action.on for action in self.actions))
