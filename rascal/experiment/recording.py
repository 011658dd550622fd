"""What an experiment keeps beside its load run, and the judge's Record made of both.

Live and stored runs go through the same function, so a stored run judged again with the same
thresholds gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs

from rascal.experiment.record import FaultRecord, FlowRecord, InvariantRecord, Record
from rascal.load.types import FlowKind, Meters, Row

KEY = "experiment"
"""Under which the run store has it."""
VERSION = 1


class Rows(Protocol):
    """Merged results of a load run: those in memory, or those of a store."""

    @property
    def flows(self) -> Iterable[str]: ...
    @property
    def scenarios(self) -> Iterable[str]: ...
    @property
    def meters(self) -> Mapping[str, Mapping[int, Meters]]: ...
    def rows(self, kind: FlowKind, name: str) -> Mapping[int, Row]: ...


@attrs.define(kw_only=True)
class Kept:
    """An experiment as it went, besides rows and meters. Plain data."""

    name: str
    text: str
    """The experiment file."""
    phases: dict[str, tuple[float, float]]
    faults: list[FaultRecord] = attrs.Factory(list)
    invariants: list[InvariantRecord] = attrs.Factory(list)
    uses: dict[str, list[str]] | None = None
    learned: bool = False
    """The map was learned, not declared."""
    deadlines: dict[str, float] = attrs.Factory(dict)
    timeout: float = 30.0
    work: dict[str, dict[int, int]] = attrs.Factory(dict)
    strikes: dict[str, list[dict[str, Any]]] = attrs.Factory(dict)
    """By fault (PROXY/NAME), the first exchanges that it struck."""
    troubles: list[str] = attrs.Factory(list)
    looks: int = 1
    expect: str = ""
    variables: dict[str, str] = attrs.Factory(dict)
    """What the file took from the environment; secrets are hidden."""
    clocks: dict[str, tuple[float, float]] = attrs.Factory(dict)
    """Of each node, how far its clock is ahead of ours, and how exactly that is known (s)."""

    def json(self) -> dict[str, Any]:
        """For the store; keys in a stable order."""
        return {
            "version": VERSION,
            "name": self.name,
            "text": self.text,
            "phases": {name: list(window) for name, window in self.phases.items()},
            "faults": [attrs.asdict(one) for one in self.faults],
            "invariants": [attrs.asdict(one) for one in self.invariants],
            "uses": self.uses,
            "learned": self.learned,
            "deadlines": self.deadlines,
            "timeout": self.timeout,
            "work": {
                name: {str(at): count for at, count in sorted(seconds.items())}
                for name, seconds in sorted(self.work.items())
            },
            "strikes": dict(sorted(self.strikes.items())),
            "troubles": self.troubles,
            "looks": self.looks,
            "expect": self.expect,
            "variables": dict(sorted(self.variables.items())),
            "clocks": {name: list(pair) for name, pair in self.clocks.items()},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Kept:
        """Back from JSON."""
        known = {key: value for key, value in data.items() if key != "version"}
        known["phases"] = {name: tuple(window) for name, window in data["phases"].items()}
        known["faults"] = [FaultRecord(**one) for one in data["faults"]]
        known["invariants"] = [InvariantRecord(**one) for one in data["invariants"]]
        known["work"] = {
            name: {int(at): count for at, count in seconds.items()}
            for name, seconds in data["work"].items()
        }
        known["clocks"] = {name: tuple(pair) for name, pair in data["clocks"].items()}
        return cls(**known)


def record_of(kept: Kept, results: Rows) -> Record:
    """What the judge reads."""
    return Record(
        phases={name: window for name, window in kept.phases.items() if name != "warm-up"},
        faults=tuple(kept.faults),
        flows=tuple(
            FlowRecord(
                name=name,
                rows=results.rows("flow", name),
                uses=_uses(kept, name),
                timeout=kept.timeout,
                deadline=kept.deadlines.get(name),
            )
            for name in sorted(results.flows)
        ),
        invariants=tuple(kept.invariants),
        unsound=frozenset(
            second
            for meters in results.meters.values()
            for second, one in meters.items()
            if one.unsound
        ),
        offered=_offered(results),
        work=kept.work,
        troubles=tuple(kept.troubles),
        looks=kept.looks,
    )


def _uses(kept: Kept, flow: str) -> frozenset[str] | None:
    if kept.uses is None:
        return None
    if kept.learned and any(fault.dependency not in kept.uses for fault in kept.faults):
        return None  # only proxies can be learned; who uses a container, nobody knows
    return frozenset(name for name, flows in kept.uses.items() if flow in flows)


def _offered(results: Rows) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for name in results.scenarios:
        for second, row in results.rows("scenario", name).items():
            planned, offered = found.get(second, (0, 0))
            found[second] = planned + row.planned, offered + row.started + row.dropped
    return found
