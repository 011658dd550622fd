"""What an experiment recorded, as the judge reads it: nothing else goes into a verdict."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rascal.load.types import Row


@attrs.frozen(kw_only=True)
class FlowRecord:
    """A flow's rows, by second of intended start, and what is known about it."""

    name: str
    rows: Mapping[int, Row]
    uses: frozenset[str] | None = None
    """The dependencies that it needs; None if nobody knows."""
    timeout: float = 30.0
    """The client's, seconds."""
    deadline: float | None = None
    """The user's, seconds; without one it is derived from the baseline."""


@attrs.frozen(kw_only=True)
class FaultRecord:
    """A fault, and when it really took effect."""

    name: str
    dependency: str
    on: float
    off: float
    fired: int
    matched: int = 0
    late: float = 0.0
    """Seconds after its planned time."""
    stayed: bool = False
    """It could not be removed."""


@attrs.frozen(kw_only=True)
class InvariantRecord:
    """Something that must hold before and after."""

    name: str
    before: bool
    after: bool
    found: str = ""
    """What was there instead, for the text."""


@attrs.frozen(kw_only=True)
class Record:
    """One experiment. Times are seconds of the run."""

    phases: Mapping[str, tuple[float, float]]
    """baseline, fault, recovery; `down` and `back` if the escape probe ran."""
    faults: tuple[FaultRecord, ...]
    flows: tuple[FlowRecord, ...]
    invariants: tuple[InvariantRecord, ...] = ()
    unsound: frozenset[int] = frozenset()
    """Seconds that an agent marked as not to be trusted."""
    offered: Mapping[int, tuple[int, int]] = attrs.Factory(dict)
    """Arrivals by second: as drawn, and started or dropped. Without it the flows' calls count."""
    work: Mapping[str, Mapping[int, int]] = attrs.Factory(dict)
    """What each dependency was sent (bytes through its proxy), by second; evidence only."""
    troubles: tuple[str, ...] = ()
    """Other reasons why the run proves nothing: an agent was lost, …"""
    looks: int = 1
    """2 if the recovery was extended because the first look was unsure."""


@attrs.frozen(kw_only=True)
class Thresholds:
    """What the judge compares with. All can be set; the defaults are those of docs/verdicts.md."""

    keep: float = 0.95
    """A flow kept its goodput: at least this share of its baseline's."""
    cascade_dip: float = 0.80
    """A flow that does not use the dependency was hit: under it for `scan` seconds."""
    scan: int = 5
    dishonest: float = 0.10
    """The share of dishonest failures that is still graceful."""
    react: float = 3.0
    """Seconds in which a breaker may notice; failures in them do not count as dishonest."""
    baseline_ok: float = 0.99
    offered: float = 0.95
    unsound: float = 0.05
    clear: float = 0.90
    """Under the probe's low load a flow counts as well from here on."""
    slow: float = 2.0
    """Slow: over it times the baseline's p95, and over that plus `slack`."""
    slack: float = 0.010
    slow_share: float = 0.05
    deadline_factor: float = 5.0
    deadline_floor: float = 0.5
    thin: int = 250
    fewest: int = 30
    reduced: float = 0.05
    sure: float = 0.975
    """One-sided confidence of a yes or a no."""
    sure_again: float = 0.9875
    """The same at a second look."""
    evidence: float = 3.0
    """Log likelihood ratio before a change point is believed (20 : 1)."""
