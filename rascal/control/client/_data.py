"""What the API answers with, as types. Quantities are texts with units where a user wrote them
(options, clauses), and plain seconds, bytes and counts where they were measured."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Counts = dict[str, int]


class _Books(TypedDict):
    """matched == fired + reserved + all that was skipped."""

    matched: int
    fired: int
    reserved: int
    waiting: int
    skipped: Counts


class StepData(TypedDict):
    """One step of a script: unused, pass, fired, void …"""

    n: int
    text: str
    state: str


class FaultData(_Books):
    """A fault, roulette, script or recipe of a proxy."""

    name: str
    form: str
    text: str
    enabled: bool
    armed: bool
    structure: dict[str, Any]
    lease: NotRequired[str | None]
    enables_in: NotRequired[float | None]
    expires_in: NotRequired[float | None]
    used: NotRequired[int]
    hits: NotRequired[list[int]]
    recipe: NotRequired[str]
    parts: NotRequired[dict[str, FaultData]]
    match: NotRequired[str]
    steps: NotRequired[list[StepData]]
    reached: NotRequired[int]
    unused: NotRequired[list[int]]
    void: NotRequired[list[int]]


class _Connections(TypedDict):
    open: int
    total: int


class _Faults(TypedDict):
    installed: int
    armed: int


class ProxyData(TypedDict):
    """A proxy and what is on it, in short."""

    name: str
    protocol: str
    listen: list[str]
    upstream: str
    enabled: bool
    options: dict[str, Any]
    addresses: list[str]
    connections: _Connections
    exchanges: int
    faults: _Faults


class CountersData(TypedDict):
    """What a proxy has counted, and by name what its faults have."""

    connections: int
    open: int
    exchanges: int
    to_upstream: int
    to_client: int
    faults: dict[str, _Books]


class ExchangeData(TypedDict):
    """One exchange that is over."""

    number: int
    connection: int
    n: int
    client: str
    command: str
    at: float
    seconds: float
    outcome: str
    faults: list[str]
    size: int
    fields: dict[str, Any]


class ConnectionData(TypedDict):
    """One connection that lives."""

    number: int
    client: str
    seconds: float
    idle: float
    state: str
    ended_by: str
    faults: list[str]
    held_by: list[str]


class PanicData(TypedDict):
    """The lever."""

    on: bool
    by: str
    since: float | None


class LeaseData(TypedDict):
    """A lease and what is under it: PROXY/NAME."""

    id: str
    seconds: float
    expires_in: float | None
    holds: list[str]


class StateData(TypedDict):
    """Everything that requests may change; nothing that is counted."""

    revision: int
    seed: int
    panic: PanicData
    proxies: dict[str, dict[str, Any]]
    leases: dict[str, float]


class ReloadData(TypedDict):
    """What a reload did."""

    summary: str
    added: list[str]
    removed: list[str]
    changed: dict[str, dict[str, Any]]
    service: list[str]
